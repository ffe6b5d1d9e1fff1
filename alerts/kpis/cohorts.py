"""Monthly cohorts: who came for the first time in a month, who of them comes back, and what they spend.

An order counts once, unless a void takes it back; refunds take their money off it, wherever in the history they stand.
A month is the calendar's where the order was placed. All is sums of whole numbers, so shares of customers add up.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from msgspec import Struct, field

READ = ["customer", "type", "place", "at_ms", "tz", "id", "order", "total_cents", "amount_cents"]
MONTHS = 6  # that a cohort is followed, behind its first one


class Cell(Struct):
    """What the customers of a cohort do so many months after their first order. Money in cents."""

    active: int = 0
    orders: int = 0
    revenue_cents: int = 0

    def add(self, other: Cell) -> None:
        self.active += other.active
        self.orders += other.orders
        self.revenue_cents += other.revenue_cents


class Cohort(Struct):
    """Customers whose first order was in one month; `cells` by months since then, `again`: who ordered twice or more.

    The last cells are of `complete` months that are over; what follows is not told.
    """

    again: int = 0
    cells: dict[int, Cell] = field(default_factory=dict)

    @property
    def customers(self) -> int:
        return self.cells[0].active

    def cell(self, age: int) -> Cell:
        return self.cells.setdefault(age, Cell())


class Cohorts:
    """By month of the first order, counted since the year 0."""

    def __init__(self) -> None:
        self.by_month: dict[int, Cohort] = {}

    def add(self, rows: pl.DataFrame, end_ms: int) -> None:
        """All that some customers did, as a share of an archive holds it; what is at `end_ms` or later is left out."""
        orders = orders_of(rows.filter(pl.col("at_ms") < end_ms))
        firsts = pl.col("month").sort_by("at_ms", "id").first().over("customer")
        orders = orders.with_columns(cohort=firsts).with_columns(
            age=(pl.col("month") - pl.col("cohort")).clip(lower_bound=0)
        )
        cells = orders.group_by("cohort", "age").agg(pl.col("customer").n_unique(), pl.len(), pl.col("cents").sum())
        for cohort, age, active, count, cents in cells.iter_rows():
            self._cohort(cohort).cell(age).add(Cell(active, count, cents))
        again = orders.group_by("cohort", "customer").len().filter(pl.col("len") > 1)
        for cohort, _, _ in again.iter_rows():
            self._cohort(cohort).again += 1

    def _cohort(self, month: int) -> Cohort:
        return self.by_month.setdefault(month, Cohort())

    def figures(self, end_month: int, first_month: int = 0) -> dict[str, Any]:
        """Of the cohorts since `first_month`; only months before `end_month` are over, and told."""
        shown = {m: c for m, c in sorted(self.by_month.items()) if first_month <= m < end_month}
        rows = [_figures(month, cohort, min(MONTHS, end_month - 1 - month)) for month, cohort in shown.items()]
        return {"cohorts": rows, **_together(rows)}


def _figures(month: int, cohort: Cohort, last_age: int) -> dict[str, Any]:
    cells = [cohort.cells.get(age, Cell()) for age in range(last_age + 1)]
    size = cohort.customers
    return {
        "month": month_name(month),
        "customers": size,
        "again": cohort.again,
        "repeat_rate": cohort.again / size,
        "loyalty_index": _loyalty(sum(cell.active for cell in cells[1:]), size * last_age),
        "months": [
            {
                "age": age,
                "active": cell.active,
                "orders": cell.orders,
                "revenue_cents": cell.revenue_cents,
                "retention": cell.active / size,
                "arpu_cents": cell.revenue_cents / size,
            }
            for age, cell in enumerate(cells)
        ],
    }


def _together(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of all cohorts; of each age, those that have reached it."""
    customers, months = sum(row["customers"] for row in rows), list[dict[str, Any]]()
    for age in range(MONTHS + 1):
        reached = [(row["customers"], row["months"][age]) for row in rows if age < len(row["months"])]
        sizes = sum(size for size, _ in reached)
        sums = {name: sum(cell[name] for _, cell in reached) for name in ("active", "orders", "revenue_cents")}
        if sizes:
            shares = {"retention": sums["active"] / sizes, "arpu_cents": sums["revenue_cents"] / sizes}
            months.append({"age": age, "customers": sizes, **sums, **shares})
    later = [month for month in months if month["age"]]
    again = sum(row["again"] for row in rows)
    return {
        "customers": customers,
        "again": again,
        "repeat_rate": again / customers if customers else None,
        "loyalty_index": _loyalty(sum(m["active"] for m in later), sum(m["customers"] for m in later)),
        "months": months,
    }


def _loyalty(active: int, possible: int) -> float | None:
    """0: nobody has come in any month after the first; 100: everybody in every one."""
    return 100 * active / possible if possible else None


def orders_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Orders that stand, each once: customer, id, at_ms, cents that are left of it, and month."""
    whole = rows.with_columns(pl.lit(None).cast(type).alias(name) for name, type in _lacking(rows))
    orders = whole.filter(pl.col("type") == "order").unique(["customer", "id"], keep="first", maintain_order=True)
    undone = whole.filter(pl.col("type").is_in(["void", "refund"])).unique(["customer", "type", "id"], keep="first")
    undone = undone.group_by("customer", pl.col("order").alias("id")).agg(
        void=(pl.col("type") == "void").any(),
        back=pl.col("amount_cents").filter(pl.col("type") == "refund").sum(),
    )
    orders = orders.join(undone, on=["customer", "id"], how="left").filter(~pl.col("void").fill_null(value=False))
    cents = pl.col("total_cents").fill_null(0) - pl.col("back").fill_null(0)
    return _with_months(orders.select("customer", "id", "place", "at_ms", "tz", cents=cents))


def _lacking(rows: pl.DataFrame) -> list[tuple[str, Any]]:
    """Columns that an archive without a refund or a void may not have."""
    types = {"order": pl.String(), "amount_cents": pl.Int64()}
    return [(name, type) for name, type in types.items() if name not in rows.columns]


def _with_months(orders: pl.DataFrame) -> pl.DataFrame:
    at = pl.from_epoch("at_ms", time_unit="ms").dt.replace_time_zone("UTC")
    parts = [orders.clear().with_columns(month=pl.lit(0, pl.Int64))]
    for (zone,), part in orders.partition_by("tz", as_dict=True).items():
        local = at.dt.convert_time_zone(str(zone or "UTC"))
        month = local.dt.year().cast(pl.Int64) * 12 + local.dt.month().cast(pl.Int64) - 1
        parts.append(part.with_columns(month=month))
    return pl.concat(parts)


def month_of(at_ms: int, zone: str) -> int:
    """The calendar's month there, counted since the year 0."""
    at = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone))
    return at.year * 12 + at.month - 1


def month_name(month: int) -> str:
    """2026-05."""
    return f"{month // 12:04}-{month % 12 + 1:02}"
