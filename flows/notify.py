"""notify: alerts → what fires, who knows, what is silenced → notices → sinks. No dataflow: threads (decision 0011)."""

from __future__ import annotations

import signal
import sys
import time
from functools import partial
from threading import Event, Thread

from alerts.notices.sink import Sinks
from config.settings import Settings, load
from flows.notices import STOP_S, carry, repeat
from flows.showing import show_health
from flows.sinks import load_sinks, load_targets
from operators.desk import FLOW, DeskKeeper, Topics
from operators.health import Pulse, configure_logs, log
from operators.kafka import Unreachable, ensure_topics, producer, require_kafka
from operators.keeping import keep, watch_kafka
from operators.redis_link import connect_redis
from operators.standings import Standings

USED = ("alerts", "alert.words", "notices", "dead-letters")
CLOSE_S = 10.0  # on top of `STOP_S`: to confirm, to commit, to close


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
    threads = [Thread(target=keep, args=(*work, pulse, stop), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    watch_kafka(client, names[0], pulse, stop)
    log.info("stopping")
    end_s = time.monotonic() + STOP_S + CLOSE_S
    for thread in threads:
        thread.join(max(0.0, end_s - time.monotonic()))


def keep_desk(
    settings: Settings, sinks: Sinks, partitions: dict[str, int], standings: Standings, pulse: Pulse, stop: Event
) -> None:
    """What fires, from where it stands in Redis."""
    client, topics = settings.kafka.librdkafka(), Topics(*map(settings.topic, USED))
    DeskKeeper(client, producer(client), topics, partitions, standings, sinks.terms).keep(pulse, stop)


def main() -> None:
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = load()
        configure_logs(settings.log.level, settings.log.format)
        run(settings, stop)
    except (ValueError, Unreachable) as error:
        sys.exit(f"brewline: {error}")


if __name__ == "__main__":
    main()
