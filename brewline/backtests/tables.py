"""A back-test's figures as tables."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alerts.triggers.campaign import COUPONS
from brewline.backtests.figures import Figures

SHORT = 8  # of so many rules, those that never held are shown too
NAMED = 5  # pots that ran out
PAIRS = 20  # of overlapping rules that are shown
GROUPS = {"issued": "got it", "holdout": "held out", "nearly": "nearly"}


def print_tables(figures: Figures, out: Console) -> None:
    if apart := decided_apart(figures):
        out.print(apart, highlight=False, markup=False, soft_wrap=True)
    for table in (_decided(figures), _given(figures), _campaigns(figures), _lookalikes(figures), _overlap(figures)):
        if table.row_count:
            out.print(table)


def decided_apart(figures: Figures) -> str:
    """Which rules know nothing of each other; empty where all are decided together."""
    if len(figures["worlds"]) < 2:
        return ""
    worlds = [", ".join(world) for world in figures["worlds"]]
    return f"decided apart, each side as if the other did not exist, with budgets of its own: {' | '.join(worlds)}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    table.add_column(columns[0], no_wrap=True, overflow="fold")
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=" " not in column, overflow="fold")
    return table


def _decided(figures: Figures) -> Table:
    """What stood against it is told in words: there are too many reasons for a column each."""
    rules = figures["rules"]
    table = _table("what each rule would have decided", "rule", "asked", "held", "issued", "customers", "reached")
    table.add_column("else", overflow="fold")
    for id, rule in ((id, rule) for id, rule in rules.items() if rule["held"] or len(rules) <= SHORT):
        issued = rule["outcomes"].get("issued", 0)
        numbers = [rule["asked"], rule["held"], issued, rule["customers"], rule["customers_reached"]]
        table.add_row(id, *(f"{n:,}" for n in numbers), _otherwise(rule["outcomes"]))
    table.caption = "; ".join(never(figures)) or None
    return table


def never(figures: Figures) -> Iterator[str]:
    """Which rules did not hold, and why they could not."""
    quiet = {id: rule["asked"] for id, rule in figures["rules"].items() if not rule["held"]}
    if unasked := [id for id, asked in quiet.items() if not asked]:
        yield f"never asked, as the history has no event they look at: {', '.join(unasked)}"
    if asked := [id for id, asked in quiet.items() if asked]:
        yield f"never held: {', '.join(asked)}"


def _otherwise(outcomes: dict[str, int]) -> str:
    """The most frequent first."""
    found = sorted((-n, name) for name, n in outcomes.items() if n and name != "issued")
    return ", ".join(f"{name} {-n:,}" for n, name in found)


def _given(figures: Figures) -> Table:
    table = _table("what it would have given, at most", "rule", "coupons", "each", "in all", "a week", "most in a week")
    for id, rule in figures["rules"].items():
        weeks = [week["cents"] for week in rule["by_week"].values()]
        if weeks:
            cents = [rule["worth_cents"], rule["given_cents"], sum(weeks) / len(weeks), max(weeks)]
            table.add_row(id, f"{rule['outcomes']['issued']:,}", *(f"{c / 100:,.2f}" for c in cents))
    return table


def _campaigns(figures: Figures) -> Table:
    table = _table("of campaigns", "campaign", "given", "budget", "coupons", "stock", "ran out")
    for id, seen in figures["campaigns"].items():
        cents = ["-" if c is None else f"{c / 100:,.2f}" for c in (seen["cents"], seen["budget_cents"])]
        stock = "-" if seen["stock"] is None else f"{seen['stock']:,}"
        out = [f"{'stock' if name == COUPONS else name} {at}" for name, at in seen["ran_out"].items()]
        told = "; ".join(out[:NAMED]) + ("; ..." if len(out) > NAMED else "")
        table.add_row(id, *cents, f"{seen['coupons']:,}", stock, escape(told))
    return table


def _lookalikes(figures: Figures) -> Table:
    title = "what customers did while the coupon was, or would have been, valid"
    table = _table(title, "rule", "who", "moments", "ordered", "redeemed any", "this one", "still valid")
    for id, rule in figures["rules"].items():
        for group, seen in rule["lookalikes"].items():
            if seen["moments"] or seen["open"]:
                shares = [seen[f"{name}_share"] for name in ("ordered", "redeemed", "own")]
                told = ["-" if share is None else f"{share:.1%}" for share in shares]
                table.add_row(id, GROUPS.get(group, group), f"{seen['moments']:,}", *told, f"{seen['open']:,}")
    return table


def _overlap(figures: Figures) -> Table:
    apart = ", also of what was decided apart" if decided_apart(figures) else ""
    table = _table(
        f"overlap{apart}", "rule", "with", "customers who got both", "coupons within a day of one of the other"
    )
    pairs = sorted(_pairs(figures), reverse=True)
    for close, customers, id, other in pairs[:PAIRS]:
        table.add_row(id, other, f"{customers:,}", f"{close:,}")
    if len(pairs) > PAIRS:
        table.caption = f"and {len(pairs) - PAIRS} pairs more, with fewer; --json has them all"
    return table


def _pairs(figures: Figures) -> Iterator[tuple[int, int, str, str]]:
    """Coupons within a day, customers, the rule, the other."""
    for id, rule in figures["rules"].items():
        for other, common in rule["overlap"].items():
            if common["customers"]:
                yield common["coupons_within_a_day"], common["customers"], id, other
