"""What `brewline kpis` prints of what the KPI flow has stored."""

from __future__ import annotations

import io
from typing import Any

import orjson
import pytest
import redis as redis_py
from rich.console import Console

from alerts.kpis.closing import Ways
from alerts.kpis.ledger import Topics
from alerts.kpis.merge import MergedMinutes
from alerts.kpis.partials import PartialMinutes
from brewline.kpis import Asked, show_kpis
from config.settings import Settings
from features import events as ev
from features.job import encode_position
from features.loop import batches, run
from features.partitions import partition_keys, partition_of
from features.times import parse_time, rfc3339
from operators.customers import NoState
from operators.kpis import FLOW, TOPIC
from operators.layout import RECORDS, check_layout
from operators.store import PartitionStore
from tests.oracle_kpis import SHIPPED

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
NOON_MS = 490_012 * HOUR_MS
PARTITIONS = 2


def order(id: str, minute: int, cents: int = 900) -> ev.Order:
    lines = [ev.Line("boba", 2, cents // 2, "milk_tea")]
    fields: dict[str, Any] = {"store": "0012", "staff": "ann", "tz": "Asia/Shanghai"}
    return ev.Order(id=id, at_ms=NOON_MS + minute * MINUTE_MS, lines=lines, total_cents=cents, **fields)


def tick(minute: int) -> ev.Tick:
    return ev.Tick(id="t", at_ms=NOON_MS + minute * MINUTE_MS, source="p", of=1)


def store(settings: Settings, log: list[ev.Event]) -> None:
    """Runs both steps of the flow over a log, and puts what they keep into Redis."""
    redis = redis_py.Redis.from_url(settings.redis.url)
    check_layout(redis, settings.redis.prefix, {f"partitions of {TOPIC}": PARTITIONS})
    partials = PartialMinutes("partials", "letters", partition_keys(PARTITIONS), 1, 48, SHIPPED)
    sent = run(partials, batches("events", 0, [ev.encode(event) for event in log]))[0].sent
    ways = Ways(SHIPPED.names, ["p0"], PARTITIONS)
    merge = MergedMinutes(Topics("minutes", "closings", "letters"), 48, ways, SHIPPED)
    kept = PartitionStore(redis, settings.redis.prefix, FLOW)
    for part in range(PARTITIONS):
        values = [message.value for message in sent if partition_of(message.key, PARTITIONS) == part]
        merged = run(merge, batches("kpi.partials", part, values))[part]
        redis.set(kept.key(part, "fence"), encode_position(merged.position))
        for name, raw in merged.records.items():
            redis.hset(kept.key(part, RECORDS), name, raw)


def shown(settings: Settings, dim: str, *kpis: str, step: str = "minute", **span: int) -> dict[str, Any]:
    out = io.StringIO()
    asked = Asked(dim, list(kpis), step, span.get("start"), span.get("to"))
    show_kpis(settings, asked, True, Console(file=out))
    found: dict[str, Any] = orjson.loads(out.getvalue())
    return found


def test_minutes_are_shown_with_the_one_that_runs_and_ratios_are_null_where_nothing_can_be_divided(
    settings: Settings,
) -> None:
    store(settings, [order("a", 0), order("b", 0, 700), tick(3), order("c", 3)])
    told = shown(settings, "store:0012")
    at = rfc3339(NOON_MS)[:14]
    assert [(slot["at"], slot["orders"], slot["aov_cents"]) for slot in told["slots"]] == [
        (f"{at}00:00.000Z", 2, 800),
        (f"{at}01:00.000Z", 0, None),
        (f"{at}02:00.000Z", 0, None),
        (f"{at}03:00.000Z", 1, 900),
    ]
    assert told["sum"]["revenue_cents"] == 2500
    assert told["sum"]["conversion"] is None


def test_what_a_silent_till_has_not_sent_is_unknown_and_no_zero(settings: Settings) -> None:
    beats = [ev.Heartbeat(id=f"h{at}", at_ms=NOON_MS + at * MINUTE_MS, store="0012") for at in (0, 1, 12)]
    store(settings, [*beats, order("a", 1), order("late", 9), tick(12)])
    told = shown(settings, "store:0012")["slots"]
    assert [slot["orders"] for slot in told] == [0, 1, 0, 0, 0, 0, 0, None, None, 1, None, None, 0]


def test_five_minutes_and_hours_are_sums_of_minutes(settings: Settings) -> None:
    store(settings, [order(f"o{minute}", minute) for minute in range(7)] + [tick(7)])
    assert [slot["orders"] for slot in shown(settings, "chain:*", step="5m")["slots"]] == [5, 2]
    assert [slot["orders"] for slot in shown(settings, "chain:*", step="hour")["slots"]] == [7]
    span = {"start": NOON_MS + MINUTE_MS, "to": NOON_MS + 3 * MINUTE_MS}
    assert [slot["orders"] for slot in shown(settings, "chain:*", **span)["slots"]] == [1, 1]


def test_staff_and_product_lines_are_shown_against_their_targets_of_the_day(settings: Settings) -> None:
    yesterday = order("y", -1440, 100_000)
    store(settings, [yesterday, order("a", 0, 50_000), tick(1)])
    assert shown(settings, "staff:ann", step="hour")["targets"] == {
        "sold_cents": {"sold": 50_000, "target": 200_000, "share": 0.25}
    }
    assert shown(settings, "category:milk_tea")["targets"]["sold_items"]["sold"] == 2


def test_a_day_on_which_clocks_go_back_has_25_hours_and_all_count_for_its_target(settings: Settings) -> None:
    settings.stores.timezone = "Europe/Berlin"
    last = (parse_time("2026-10-25T23:30:00+01:00") - NOON_MS) // MINUTE_MS
    store(settings, [order("a", last - 1440, 50_000), tick(last - 1440), order("b", last, 10_000), tick(last)])
    assert shown(settings, "staff:ann", step="hour")["targets"]["sold_cents"]["sold"] == 60_000


@pytest.mark.parametrize(
    ("dim", "kpis", "step", "message"),
    [
        ("shop:1", [], "minute", "found 'shop:1', expected chain:*, store:0012 or the like"),
        ("store", [], "minute", "found 'store', expected chain:*"),
        ("store:1", ["order"], "minute", "there is no 'order'; did you mean 'orders'?"),
        ("store:1", [], "day", "--step: found 'day', expected one of minute, 5m, hour"),
        ("staff:ann", [], "minute", "staff is kept by hours only: write --step hour"),
    ],
)
def test_what_is_not_kept_is_refused(settings: Settings, dim: str, kpis: list[str], step: str, message: str) -> None:
    with pytest.raises(ValueError, match="kpis: ") as error:
        shown(settings, dim, *kpis, step=step)
    assert message in str(error.value)


def test_it_says_so_when_no_flow_has_run(settings: Settings) -> None:
    with pytest.raises(NoState, match="brewline run kpis"):
        shown(settings, "chain:*")
