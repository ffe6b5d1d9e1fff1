"""Precision and recall of cart-left and winback-14d against what the simulated chain knows of its members.

python -m benchmarks.triggers [--days 45] [--customers 800] [--stores 12] [--seed 1] [--json FILE]

A rule is right about a moment whatever policy makes of it, so consent, caps, holdout and quiet
hours do not count here.

cart-left: the chain tells every session that ended with a full cart, and when the last piece was added. A moment is
right if it comes half an hour after such a piece; a cart is found if such a moment comes.
winback-14d: the chain tells since when a member neither comes nor opens the app any more. A moment is right if its
member has lapsed by then; a lapse is found if such a moment comes. Lapses of the last fifteen days cannot be found, and
are left out; `regulars` are those with three orders in the ninety days before.
"""

from __future__ import annotations

import argparse
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct
from rich.progress import Progress

from alerts.triggers.backtest import Decision, Span
from benchmarks.house import out, progress
from brewline.backtests.choice import choose
from brewline.backtests.run import Run
from brewline.histories.archives import Archive, archived
from brewline.histories.cleaned import cleaned, pseudonyms_of
from brewline.results import circumstances, write_json
from config.settings import Settings, load
from features.identity import Table
from features.times import DAY_MS, MINUTE_MS
from sim.chain import Chain

CART, WINBACK = "cart-left", "winback-14d"
WAIT_MS, TOLERANCE_MS = 30 * MINUTE_MS, MINUTE_MS
WINDOW_MS, REACH_MS = 90 * DAY_MS, 15 * DAY_MS


class Past(Struct):
    """What the chain knows, by customer id: when carts were left, since when somebody has lapsed; and all orders."""

    carts: dict[str, list[int]]
    lapsed: dict[str, int]
    orders: dict[str, list[int]]
    end_ms: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=45)
    parser.add_argument("--customers", type=int, default=800)
    parser.add_argument("--stores", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    with progress() as bar:
        chain = Chain(asked.seed, asked.stores, asked.customers, asked.days)
        figures = measure(chain, bar)
    for name, value in {**figures, **circumstances()}.items():
        out.print(f"{name:>12}  {value}", highlight=False, soft_wrap=True)
    write_json(asked.json, figures)


def measure(chain: Chain, bar: Progress | None = None) -> dict[str, Any]:
    """Figures of both rules over a chain's life, from its first day."""
    settings, table = load(environ={"BREWLINE_COUPONS__QUIET_HOURS": ""}), Table()
    task = bar.add_task("days", total=chain.days) if bar else None

    def records() -> Iterable[Any]:
        for record in chain.records():
            if bar and task is not None:
                bar.update(task, completed=(record.at_ms - chain.start_ms) / DAY_MS)
            if record.topic != "audit.events":
                yield record

    chunks = cleaned(settings, records(), lambda events: None, Counter(), table)
    archive = Archive("the chain", settings.stores.timezone, archived(chunks, "the chain").lazy())
    past = _past(settings, chain, table, archive)
    run = Run(settings, archive, choose(settings, [CART, WINBACK], [], False, Span()), assume_consent=True)
    decisions = list(run.decisions())
    return {
        "days": chain.days,
        "customers": chain.customers,
        "events": archive.events,
        CART: judge_carts([d for d in decisions if d.rule == CART], past),
        WINBACK: judge_lapses([d for d in decisions if d.rule == WINBACK], past),
    }


def _past(settings: Settings, chain: Chain, table: Table, archive: Archive) -> Past:
    pseudonyms = pseudonyms_of(settings)

    def customer(app_id: str) -> str:
        return table.root(table.links.get(pseudonyms.one("app_id", app_id), ""))

    carts, orders = defaultdict(list), defaultdict(list)
    for cart in chain.truth.abandoned:
        carts[customer(cart.app_id)].append(cart.at_ms)
    told = archive.rows.select("customer", "at_ms", "type").collect()
    for who, at_ms in told.filter(type="order").sort("at_ms").select("customer", "at_ms").iter_rows():
        orders[who].append(at_ms)
    lapsed = {customer(lapse.app_id): lapse.from_ms for lapse in chain.truth.lapsed}
    return Past({who: sorted(times) for who, times in carts.items()}, lapsed, dict(orders), chain.end_ms)


def judge_carts(decisions: list[Decision], past: Past) -> dict[str, Any]:
    moments = _by_customer(decisions)
    right = sum(_near(past.carts.get(d.customer, []), d.at_ms - WAIT_MS) for d in decisions)
    left = [(who, ms) for who, times in past.carts.items() for ms in times if ms + 2 * WAIT_MS <= past.end_ms]
    found = sum(_near(moments.get(who, []), ms + WAIT_MS) for who, ms in left)
    return _figures(right, len(decisions), found, len(left))


def judge_lapses(decisions: list[Decision], past: Past) -> dict[str, Any]:
    moments = _by_customer(decisions)
    right = sum(d.at_ms >= past.lapsed.get(d.customer, past.end_ms) for d in decisions)
    gone = [(who, ms) for who, ms in past.lapsed.items() if ms + REACH_MS <= past.end_ms]
    regulars = [(who, ms) for who, ms in gone if _orders_before(past, who, ms) >= 3]
    found, of_regulars = (
        sum(any(at >= ms for at in moments.get(w, [])) for w, ms in some) for some in (gone, regulars)
    )
    more = {"regulars": len(regulars), "recall_of_regulars": _share(of_regulars, len(regulars))}
    return _figures(right, len(decisions), found, len(gone)) | more


def _orders_before(past: Past, who: str, at_ms: int) -> int:
    return sum(at_ms - WINDOW_MS < ms <= at_ms for ms in past.orders.get(who, []))


def _by_customer(decisions: list[Decision]) -> dict[str, list[int]]:
    moments = defaultdict(list)
    for decision in sorted(decisions, key=lambda d: d.at_ms):
        moments[decision.customer].append(decision.at_ms)
    return moments


def _near(times: list[int], at_ms: int) -> bool:
    place = bisect_left(times, at_ms - TOLERANCE_MS)
    return place < len(times) and times[place] <= at_ms + TOLERANCE_MS


def _figures(right: int, moments: int, found: int, truth: int) -> dict[str, Any]:
    return {"moments": moments, "precision": _share(right, moments), "truth": truth, "recall": _share(found, truth)}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


if __name__ == "__main__":
    main()
