"""notify: alerts → what fires, who knows, what is silenced → notices → sinks. No dataflow: threads (decision 0011)."""

from __future__ import annotations

from functools import partial
from threading import Event

from alerts.notices.sink import Sinks
from config.settings import Settings
from flows.notices import STOP_S, carry, repeat
from flows.showing import show_health
from flows.sinks import load_sinks, load_targets
from flows.threaded import main, work_on
from operators.desk import FLOW, DeskKeeper, Topics
from operators.health import Pulse, log
from operators.kafka import ensure_topics, producer, require_kafka
from operators.redis_link import connect_redis
from operators.standings import Standings

USED = ("alerts", "alert.words", "notices", "dead-letters")


def run(settings: Settings, stop: Event) -> None:
    """Until `stop`. Without a sink it still keeps what fires, for `brewline alerts`."""
    if settings.kafka.shared != (0, 1):
        raise ValueError("notify: found a share, expected none: one process keeps the alerts of all partitions")
    sinks, pulse = load_sinks(settings), Pulse(settings.metrics.stall_s)
    targets, kafka, names = load_targets(settings, sinks), settings.kafka, [*map(settings.topic, USED)]
    client, size = kafka.librdkafka(), {"max.message.bytes": str(kafka.max_message_bytes)}
    require_kafka(client, kafka.start_timeout_s)
    partitions = ensure_topics(client, names, kafka.partitions, kafka.replication, size)
    standings = Standings(connect_redis(settings.redis.url, settings.redis.start_timeout_s), settings.redis.prefix)
    show_health(settings, FLOW, pulse)
    if not targets:
        log.warning("no sink is configured: alerts are listed by `brewline alerts`, and sent nowhere")
    works = [("alerts", partial(keep_desk, settings, sinks, partitions, standings, pulse, stop))]
    works += [(f"sink {one.name}", partial(carry, settings, one, partitions, pulse, stop)) for one in targets]
    works += [(f"sink {one.name}, again", partial(repeat, one, standings, stop)) for one in targets]
    work_on(works, settings, names[0], pulse, stop, STOP_S)


def keep_desk(
    settings: Settings, sinks: Sinks, partitions: dict[str, int], standings: Standings, pulse: Pulse, stop: Event
) -> None:
    """What fires, from where it stands in Redis."""
    client, topics = settings.kafka.librdkafka(), Topics(*map(settings.topic, USED))
    keeper = DeskKeeper(client, producer(client), topics, partitions, standings, sinks.terms, settings.board.url)
    keeper.keep(pulse, stop)


if __name__ == "__main__":
    main(run)
