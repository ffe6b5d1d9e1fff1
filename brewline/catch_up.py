"""Replays a history and waits until the flows have applied it; then gives the account, and compares with a recount."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import structlog
from confluent_kafka import KafkaException
from redis import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from brewline.account import Before, percentile, totals
from brewline.histories import History, open_history
from brewline.replay import Place, Replayed, beginning, load_place, replay
from brewline.results import write_json
from brewline.verify import Difference, compare
from brewline.waiting import FLOWS, LEAVING, Sending, Stand, Waiting, started
from brewline.watch import Watch
from config.secured import shown_url
from config.settings import Settings
from features.times import rfc3339
from operators.health import configure_logs
from operators.kafka import Unreachable, require_kafka
from operators.layout import stored_partitions
from operators.redis_link import connect_redis, reason
from operators.stopping import hear_stop
from operators.store import PartitionStore

PROGRESS = Path("out")
WATCHED = ("coupons", "alerts", "tickets", "dead-letters")
Line = MutableMapping[str, Any]  # of a log
SAME_LINE_S = 30.0  # a warning that repeats is shown so often


def replay_history(
    settings: Settings, name: str, speed: float | None, verify: int, restart: bool, json: Path | None, out: Console
) -> int:
    """0 when every event is accounted for and every customer compared is equal."""
    configure_logs("warning", "text")
    structlog.configure(processors=[Seldom(), *structlog.get_config()["processors"]])
    history = open_history(name, settings.stores.timezone)
    require_kafka(settings.kafka.librdkafka(), settings.kafka.start_timeout_s)
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    with plain_outages(settings):
        partitions = stored_partitions(redis, settings.redis.prefix)
        if not partitions:
            raise Unreachable(
                "no flow has run yet: start `brewline run ingest customers learning kpis security service abuse` first"
            )
        return Run(settings, history, redis, partitions, out).go(speed, verify, restart, json)


class Run:
    """One replay of a history, from the first look at the flows to the account."""

    def __init__(self, settings: Settings, history: History, redis: Redis, partitions: int, out: Console) -> None:
        self.settings, self.history, self.redis, self.partitions, self.out = settings, history, redis, partitions, out
        self.file = PROGRESS / f"replay-{Path(history.name).name}.json"

    def go(self, speed: float | None, verify: int, restart: bool, json: Path | None) -> int:
        place = None if restart else load_place(self.file, beginning(self.settings, self.history, Before()))
        if place is None:
            _warn_of_clock(self.redis, self.settings, self.partitions, self.history, self.out)
        self._warn_of_flows()
        watch, before = self._watch(place)
        sent = self._send(speed, restart, before)
        ends_ms = sent.end_ms if sent.complete else 0
        sending = Sending(sent.skipped + sent.events_in, ends_ms, before, resumed=place is not None)
        stand = Waiting(self.settings, self.redis, self.partitions, watch, sending).wait(self.out)
        differences = (
            compare(self.settings, self.redis, self.history, verify, self.out) if self._may(verify, stand) else []
        )
        figures = _figures(stand, watch, self.history, sent)
        figures |= {"verified": verify, "differences": len(differences)} if self._may(verify, stand) else {}
        _print(figures, stand, differences, self.out)
        write_json(json, figures)
        watch.close()
        return 1 if stand.missing or differences else 0

    def _may(self, verify: int, stand: Stand) -> bool:
        """Customers to whom events are still on their way cannot be compared."""
        return verify > 0 and stand.account.settled

    def _warn_of_flows(self) -> None:
        running = started(self.redis, self.settings)
        if missing := [flow for flow in FLOWS if flow not in running]:
            self.out.print(
                f"[yellow]not started: {', '.join(missing)}; what they would do is neither waited for nor counted[/]",
                soft_wrap=True,
            )

    def _watch(self, place: Place | None) -> tuple[Watch, Before]:
        """What comes out, and where flows and topics stood, since the first record was sent, by whichever run."""
        where = f"{shown_url(self.settings.redis.url)} {self.settings.redis.prefix}"
        watch = Watch(self.settings, topics=WATCHED, starts=place.before.ends if place else None)
        if place is None:
            counts = {flow: dict(totals(self.redis, self.settings, flow, self.partitions)) for flow in FLOWS}
        else:  # a Redis that is another than then began with nothing
            counts = place.before.counts if place.before.redis == where else {}
        return watch, Before(where, counts, watch.starts)

    def _send(self, speed: float | None, restart: bool, before: Before) -> Replayed:
        """Sends; Ctrl-C stops in order, and the next run goes on from there."""
        stop = Event()
        undo = hear_stop(lambda _: stop.set())
        try:
            sent = replay(self.settings, self.history, speed, self.file, restart, stop, self.out, before)
        finally:
            undo()
        if not sent.complete:
            self.out.print(f"stopped; the same command goes on from here ({self.file})")
        elif not sent.events_in:
            self.out.print(
                f"{self.history.name} had been sent whole before ({self.file}): nothing is sent again; --restart would",
                soft_wrap=True,
            )
        return sent


@contextmanager
def plain_outages(settings: Settings) -> Iterator[None]:
    """A server that goes away is named, with what to do. Raises Unreachable."""
    then = "when it is back, the same command goes on from there"
    try:
        yield
    except RedisError as error:
        where = shown_url(settings.redis.url)
        raise Unreachable(f"Redis at {where} went away ({reason(error)}): {then}") from error
    except KafkaException as error:
        raise Unreachable(f"Kafka at {settings.kafka.brokers} went away ({error.args[0].str()}): {then}") from error


class Seldom:
    """Lets a line of a log pass that was not shown of late, whatever its details."""

    def __init__(self) -> None:
        self.shown_s: dict[str, float] = {}

    def __call__(self, logger: Any, method: str, line: Line) -> Line:
        now_s = time.monotonic()
        if now_s < self.shown_s.get(line["event"], -SAME_LINE_S) + SAME_LINE_S:
            raise structlog.DropEvent
        self.shown_s[line["event"]] = now_s
        return line


def _warn_of_clock(redis: Redis, settings: Settings, partitions: int, history: History, out: Console) -> None:
    """A clock later than the history means live flows, for which all waits of the history are over already."""
    store = PartitionStore(redis, settings.redis.prefix, "customers")
    now_ms = max(store.position(partition).clock.now_ms for partition in range(partitions))
    first_ms = next((record.at_ms for record in history.records()), now_ms)
    if now_ms > first_ms:
        out.print(
            f"[yellow]the flows' clock stands at {rfc3339(now_ms)}, after this history begins: features and counts"
            " will be exact, but rules that wait for something will not wait. Start fresh flows with"
            " BREWLINE_TIME__CLOCK=event to see them as they would have fired.[/]"
        )


def _figures(stand: Stand, watch: Watch, history: History, sent: Replayed) -> dict[str, Any]:
    account, counts = stand.account, stand.counts
    return {
        "history": history.name,
        "events_in": account.events_in,
        "applied": account.applied,
        "duplicates": account.duplicates,
        "too_late": account.too_late,
        "dead_lettered": account.dead_lettered,
        "own": account.own,
        "orders_in_the_data": history.orders,
        "orders_applied": counts.get("customers", Counter())["applied:order"],
        **{name: counts[flow][name] if flow in counts else None for name, flow in LEAVING.items()},
        "latency_p50_ms": percentile(watch.latencies_ms, 0.50),
        "latency_p99_ms": percentile(watch.latencies_ms, 0.99),
        "seconds": round(sent.seconds, 1),
        "missing": stand.missing,
        "kafka": watch.settings.kafka.brokers,
        "redis": shown_url(watch.settings.redis.url),
    }


def _print(figures: dict[str, Any], stand: Stand, differences: list[Difference], out: Console) -> None:
    table = Table(show_header=False, title="the replay's account")
    for name, value in figures.items():
        if name != "missing":
            shown = f"{value:,}" if isinstance(value, int) else "–" if value is None else str(value)
            table.add_row(name.replace("_", " "), shown)
    out.print(table)
    for missing in stand.missing:
        out.print(f"[red]missing: {missing}[/]", highlight=False, soft_wrap=True)
    for difference in differences[:20]:
        out.print(
            f"[red]{difference.customer} {difference.feature}: {difference.found}, recount {difference.expected}[/]"
        )
