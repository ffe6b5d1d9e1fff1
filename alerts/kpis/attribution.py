"""What touches are worth: customers' ways to an order as a Markov chain, and what is lost without one kind of touch.

A way begins with a touch and ends with an order, or without one where nothing follows for a while. From each touch the
chain goes on as customers did. Without a kind of touch, whoever would come to it is lost; the share of orders that are
lost then is its removal effect, and orders are attributed in proportion to these.

Source: Anderl, Becker, von Wangenheim and Schumann, Mapping the customer journey: a graph-based framework for online
attribution modeling (2016).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from alerts.kpis import cohorts
from alerts.kpis.cohorts import orders_of

TOUCHES = ("coupon_issued", "coupon_delivered", "coupon_opened", "app_open", "share", "referral")
READ = [*cohorts.READ, "channel", "gateway", "campaign"]
By = Literal["channel", "campaign"]
NAMED: dict[str, tuple[str, ...]] = {"channel": ("gateway", "channel"), "campaign": ("campaign",)}
START, ORDER, NOTHING = "(start)", "(order)", "(nothing)"
KEPT = (0.0, 0.25, 0.5, 0.75, 1.0)  # shares of a kind of touch that are kept, of the curve
MARGIN = 0.01  # share of the touches that are taken away for what the last ones bring

Floats = npt.NDArray[np.float64]


class Ways:
    """The steps of all ways, counted; `alone`: orders that no touch led to; `open`: ways that may still come to one."""

    def __init__(self, by: By, window_ms: int) -> None:
        self.by = by
        self.window_ms = window_ms
        self.steps: Counter[tuple[str, str]] = Counter()
        self.cents: Counter[str] = Counter()  # by last touch, of the orders that it led to
        self.alone = 0
        self.open = 0

    def add(self, rows: pl.DataFrame, from_ms: int, end_ms: int) -> None:
        """All that some customers did, as a share of an archive holds it, from `from_ms` on and before `end_ms`."""
        ways = self._ways(rows.filter(pl.col("at_ms") < end_ms), from_ms)
        way = pl.col("at_ms").max().over("way")
        is_open = ~pl.col("ordered") & (way + self.window_ms >= end_ms)
        ways = ways.with_columns(open=is_open)
        self.open += ways.filter(pl.col("open"))["way"].n_unique()
        touched = pl.col("name").ne(ORDER).any().over("way")
        self.alone += ways.filter(~touched).height
        self._count(ways.filter(touched & ~pl.col("open")))

    def _ways(self, rows: pl.DataFrame, from_ms: int) -> pl.DataFrame:
        """Touches and orders in order, each with the number of its way, and whether that has come to an order."""
        same = ["customer", "type", "id"]
        touches = rows.filter(pl.col("type").is_in(TOUCHES)).unique(same, keep="first", maintain_order=True)
        named = [pl.col(name).cast(pl.String) for name in NAMED[self.by] if name in rows.columns]
        kind = pl.col("type").cast(pl.String)
        name = pl.concat_str(kind, pl.coalesce(*named, pl.lit("")), separator=" ").str.strip_chars_end()
        touches = touches.select("customer", "at_ms", "place", name=name, cents=pl.lit(0, pl.Int64))
        orders = orders_of(rows).select("customer", "at_ms", "place", pl.lit(ORDER).alias("name"), "cents")
        steps = pl.concat([touches, orders]).filter(pl.col("at_ms") >= from_ms).sort("customer", "at_ms", "place")
        before = pl.col("at_ms", "name").shift(1).over("customer").name.suffix("_before")
        begins = (
            pl.col("at_ms_before").is_null()
            | (pl.col("name_before") == ORDER)
            | (pl.col("at_ms") - pl.col("at_ms_before") > self.window_ms)
        )
        steps = steps.with_columns(before).with_columns(way=begins.cum_sum())
        return steps.with_columns(ordered=(pl.col("name") == ORDER).any().over("way"))

    def _count(self, ways: pl.DataFrame) -> None:
        after = pl.col("name").shift(-1).over("way").fill_null(NOTHING)
        steps = ways.with_columns(after=after)
        firsts = ways.group_by("way", maintain_order=True).first().select(name=pl.lit(START), after=pl.col("name"))
        steps = steps.filter(pl.col("name") != ORDER)
        both = pl.concat([firsts, steps.select("name", "after")]).group_by("name", "after").len()
        self.steps.update({(name, after): count for name, after, count in both.iter_rows()})
        lasts = ways.with_columns(last=pl.col("name").shift(1).over("way")).filter(pl.col("name") == ORDER)
        sums = lasts.group_by("last").agg(pl.col("cents").sum())
        self.cents.update(dict(sums.iter_rows()))

    def figures(self) -> dict[str, Any]:
        return {"orders_alone": self.alone, "open": self.open, **attributed(self.steps, self.cents)}


def attributed(steps: Mapping[tuple[str, str], int], cents: Mapping[str, int]) -> dict[str, Any]:
    """By kind of touch: removal effect, orders and revenue that are attributed, those of the last touch, the curve."""
    chain = Chain(steps)
    ways = sum(count for (name, _), count in steps.items() if name == START)
    orders = sum(count for (_, after), count in steps.items() if after == ORDER)
    revenue_cents = sum(cents.values())
    effects = {name: 1 - chain.reached({name: 0.0}) / chain.whole if chain.whole else 0.0 for name in chain.names}
    total = sum(effects.values())
    touches = []
    for name in sorted(chain.names, key=lambda name: (-effects[name], name)):
        share = effects[name] / total if total else 0.0
        seen = sum(count for (_, after), count in steps.items() if after == name)
        curve = [(kept, ways * chain.reached({name: kept})) for kept in KEPT]
        margin = ways * (chain.whole - chain.reached({name: 1 - MARGIN}))
        touches.append(
            {
                "touch": name,
                "touches": seen,
                "removal_effect": effects[name],
                "orders": orders * share,
                "revenue_cents": revenue_cents * share,
                "orders_last": steps.get((name, ORDER), 0),
                "revenue_last_cents": cents.get(name, 0),
                "curve": [{"kept": kept, "orders": reached} for kept, reached in curve],
                "marginal_orders": margin / (MARGIN * seen),
            }
        )
    return {"ways": ways, "orders": orders, "revenue_cents": revenue_cents, "touches": touches}


class Chain:
    """The chain of all steps; `whole`: how likely a way comes to an order, which is the share of ways that did."""

    def __init__(self, steps: Mapping[tuple[str, str], int]) -> None:
        found = {name for step in steps for name in step}
        self.names = sorted(found - {START, ORDER, NOTHING})
        states = [START, *self.names]
        place = {name: i for i, name in enumerate(states)}
        counts, orders = np.zeros((len(states), len(states))), np.zeros(len(states))
        leaving = np.zeros(len(states))
        for (name, after), count in steps.items():
            leaving[place[name]] += count
            if after == ORDER:
                orders[place[name]] += count
            elif after != NOTHING:
                counts[place[name], place[after]] += count
        leaving[leaving == 0] = 1.0
        self.place = place
        self.onward: Floats = counts / leaving[:, None]
        self.orders: Floats = orders / leaving
        self.whole = self.reached({})

    def reached(self, kept: Mapping[str, float]) -> float:
        """How likely a way comes to an order where only shares of some touches are kept; who meets another is lost."""
        onward = self.onward.copy()
        for name, share in kept.items():
            onward[:, self.place[name]] *= share
        return float(np.linalg.solve(np.eye(len(onward)) - onward, self.orders)[0])
