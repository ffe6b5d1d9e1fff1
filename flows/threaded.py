"""What flows without a dataflow share: a thread for each piece of work, and their orderly stop (decision 0011)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from threading import Event, Thread

from config.settings import Settings, load
from operators.health import Pulse, configure_logs, log
from operators.kafka import Unreachable
from operators.keeping import keep, watch_kafka
from operators.stopping import hear_stop

CLOSE_S = 12.0  # on top of what is in flight: to confirm, to commit, to close
Work = tuple[str, Callable[[], None]]  # its name, and what is begun again when it breaks off


def work_on(works: Iterable[Work], settings: Settings, topic: str, pulse: Pulse, stop: Event, stop_s: float) -> None:
    """Until `stop`; what is in flight then has `stop_s` to end. `topic`: by which it is known whether Kafka answers."""
    threads = [Thread(target=keep, args=(*work, pulse, stop), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    watch_kafka(settings.kafka.librdkafka(), topic, pulse, stop)
    log.info("stopping")
    end_s = time.monotonic() + stop_s + CLOSE_S
    for thread in threads:
        thread.join(max(0.0, end_s - time.monotonic()))


def main(run: Callable[[Settings, Event], None]) -> None:
    """Runs it until SIGTERM or SIGINT, or ends with a plain message and exit code 1 when it cannot start."""
    stop = Event()
    hear_stop(lambda _: stop.set())
    try:
        settings = load()
        configure_logs(settings.log.level, settings.log.format)
        run(settings, stop)
    except (ValueError, Unreachable) as error:
        sys.exit(f"brewline: {error}")
