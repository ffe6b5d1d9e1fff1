"""Replays a history and waits until the flows have applied it; then gives the account, and compares with a recount."""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path
from threading import Event
from typing import Any

from redis import Redis
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from brewline.account import Account, accounted, balance, percentile, totals
from brewline.histories import History, open_history
from brewline.replay import Replayed, replay
from brewline.results import write_json
from brewline.verify import Difference, compare
from brewline.watch import Watch
from config.settings import Settings
from features.times import rfc3339
from operators.kafka import Unreachable, require_kafka
from operators.redis_link import connect_redis
from operators.store import PartitionStore, stored_partitions

STALLED_S = 60.0
PROGRESS = Path("out")


def replay_history(
    settings: Settings, name: str, speed: float | None, verify: int, restart: bool, json: Path | None, out: Console
) -> int:
    """0 when every event is accounted for and every customer compared is equal."""
    history = open_history(name, settings.stores.timezone)
    require_kafka(settings.kafka.librdkafka(), settings.kafka.start_timeout_s)
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    partitions = stored_partitions(redis, settings.redis.prefix)
    if not partitions:
        raise Unreachable("no flow has run yet: start `brewline run ingest customers learning kpis security` first")
    _warn_of_clock(redis, settings, partitions, history, out)
    watch, before = Watch(settings), accounted(redis, settings, partitions)
    orders_before = totals(redis, settings, "customers", partitions)["applied:order"]
    sent = _send(settings, history, speed, restart, out)
    account = _wait(redis, settings, partitions, watch, before, sent.events_in, out)
    orders = totals(redis, settings, "customers", partitions)["applied:order"] - orders_before
    differences = compare(settings, redis, history, verify, out) if verify else []
    figures = _figures(account, watch, history, sent, orders)
    figures |= {"verified": verify, "differences": len(differences)} if verify else {}
    _print(figures, differences, out)
    write_json(json, figures)
    watch.close()
    return 0 if account.settled and not differences else 1


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


def _send(settings: Settings, history: History, speed: float | None, restart: bool, out: Console) -> Replayed:
    """Sends; Ctrl-C stops in order, and the next run goes on from there."""
    stop = Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    PROGRESS.mkdir(exist_ok=True)
    file = PROGRESS / f"replay-{Path(history.name).name}.json"
    try:
        sent = replay(settings, history, speed, file, restart, stop, out)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if sent.complete:
        file.unlink(missing_ok=True)
    else:
        out.print(f"stopped; the same command goes on from here ({file})")
    return sent


def _wait(
    redis: Redis, settings: Settings, partitions: int, watch: Watch, before: Counter[str], sent: int, out: Console
) -> Account:
    """Until every event is accounted for, or nothing has moved for a minute."""
    moved_s, last = time.monotonic(), -1
    with Progress(TextColumn("applied"), BarColumn(), MofNCompleteColumn(), console=out) as progress:
        task = progress.add_task("applied", total=sent)
        while True:
            for _ in watch.poll(0.5):
                pass
            account = balance(redis, settings, partitions, watch, before, sent)
            progress.update(task, completed=account.done)
            if account.done != last:
                moved_s, last = time.monotonic(), account.done
            if account.settled or time.monotonic() > moved_s + STALLED_S:
                return account


def _figures(account: Account, watch: Watch, history: History, sent: Replayed, orders: int) -> dict[str, Any]:
    return {
        "history": history.name,
        "events_in": account.events_in,
        "applied": account.applied,
        "duplicates": account.duplicates,
        "too_late": account.too_late,
        "dead_lettered": account.dead_lettered,
        "orders_in_the_data": history.orders,
        "orders_applied": orders,
        "coupons": watch.coupons.total(),
        "kpi_alerts": watch.alerts["kpi"],
        "security_alerts": watch.alerts["security"],
        "latency_p50_ms": percentile(watch.latencies_ms, 0.50),
        "latency_p99_ms": percentile(watch.latencies_ms, 0.99),
        "seconds": round(sent.seconds, 1),
        "kafka": watch.settings.kafka.brokers,
        "redis": watch.settings.redis.url.rpartition("@")[2],
    }


def _print(figures: dict[str, Any], differences: list[Difference], out: Console) -> None:
    table = Table(show_header=False, title="the replay's account")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    out.print(table)
    for difference in differences[:20]:
        out.print(
            f"[red]{difference.customer} {difference.feature}: {difference.found}, recount {difference.expected}[/]"
        )
