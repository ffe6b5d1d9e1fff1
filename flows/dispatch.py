"""dispatch: coupons → gateways over HTTP → deliveries. No dataflow: a thread for each gateway (decision 0011)."""

from __future__ import annotations

import signal
import sys
import time
from functools import partial
from threading import Event, Thread

import structlog

from alerts.delivery.errand import Coupons
from alerts.delivery.outcome import Topics
from config.settings import Settings, load
from flows.gateways import Target, load_gateways
from flows.showing import show_health
from operators.courier import Courier
from operators.gateway import Attempts, Gateway
from operators.health import Pulse, configure_logs
from operators.intake import Intake
from operators.kafka import Unreachable, ensure_topics, producer, require_kafka
from operators.keeping import keep, watch_kafka
from operators.telling import Telling
from operators.tombstones import Following

log = structlog.get_logger()
USED = ("coupons", "deliveries", "dead-letters", "events", "forgotten")
CLOSE_S = 10.0  # on top of `stop_s`: to confirm, to commit, to close


def run(settings: Settings, stop: Event) -> None:
    """Until `stop`. Without a gateway it only says so, so that it can be part of every installation."""
    kafka, targets, pulse = settings.kafka, load_gateways(settings), Pulse(settings.metrics.stall_s)
    client, names = kafka.librdkafka(), [*map(settings.topic, USED)]
    require_kafka(client, kafka.start_timeout_s)
    size = {"max.message.bytes": str(kafka.max_message_bytes)}
    partitions = ensure_topics(client, names, kafka.partitions, kafka.replication, size, names[-1:])[names[0]]
    parts = range(kafka.shared[0], partitions, kafka.shared[1])
    show_health(settings, "dispatch", pulse)
    if not targets:
        log.warning("no gateway is configured: coupons stay on their topic; name one in [dispatch.gateways.<name>]")
    works = [(f"gateway {one.name}", partial(carry, settings, one, parts, pulse, stop)) for one in targets]
    threads = [Thread(target=keep, args=(*work, pulse, stop), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    watch_kafka(client, names[0], pulse, stop)
    log.info("stopping")
    end_s = time.monotonic() + settings.dispatch.stop_s + CLOSE_S
    for thread in threads:
        thread.join(max(0.0, end_s - time.monotonic()))


def carry(settings: Settings, target: Target, parts: range, pulse: Pulse, stop: Event) -> None:
    """One gateway's work, from the offsets that its group has committed."""
    client, gateway, terms, flow = settings.kafka.librdkafka(), target.gateway, target.terms, f"dispatch-{target.name}"
    intake = Intake(client, settings.topic(flow), flow, settings.topic("coupons"), parts, gateway.begin == "latest")
    attempts = Attempts(Gateway(gateway.url, target.secrets, terms.timeout_s, terms.in_flight).post, terms.in_flight)
    telling = Telling(producer(client), intake.finish, stop)
    errand = Coupons(target.name, gateway.channels, Topics(*map(settings.topic, USED[1:-1])))
    tombstones = Following(client, settings.topic("forgotten"), flow)
    log.info("gateway opened", gateway=target.name, partitions=[*parts])
    courier = Courier("dispatch", target.name, errand, terms, intake, attempts, telling, pulse, tombstones)
    courier.carry(stop, settings.dispatch.stop_s)


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
