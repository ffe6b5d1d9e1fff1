"""What the coupons of rules have brought: by rule, context and arm, beside those who got nothing."""

from __future__ import annotations

from typing import Any

import orjson
from redis import Redis
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alerts.triggers.arms import arm_shares, design_of
from alerts.triggers.rule import Rule
from config.settings import Settings
from features.arms import ArmTotals, Totals, Weights, decode_totals, decode_weights, weights_key
from features.intervals import difference_interval, mean_interval, share_interval
from features.mismatch import Divided
from features.partitions import partition_of
from features.times import DAY_MS
from features.trials import HOLDOUT, NOVELTY_MS, trials_key
from features.written import hint
from flows.rules import load_rules
from operators.layout import stored_partitions
from operators.redis_link import connect_redis
from operators.store import PartitionStore

Row = dict[str, Any]
COLUMNS = ("chosen", "withdrawn", "over", "redeemed", "rate", "cents a choice", "ordered", "lift", "probability")
DAYS_NEW = NOVELTY_MS // DAY_MS


def show_arms(settings: Settings, rule: str, as_json: bool, out: Console) -> None:
    """Prints them, of rules without arms where something has come of them. Raises ValueError for no such rule, or one
    that gives no coupon; Unreachable."""
    rules = {one.id: one for one, _, _ in load_rules(settings) if one.then.arms or one.then.coupon}
    if rule and rule not in rules:
        raise ValueError(f"there is no rule {rule!r} with coupons{hint(rule, rules)}")
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    rows = arm_rows(settings, redis, [rules[rule]] if rule else list(rules.values()))
    if as_json:
        shown = orjson.dumps({"arms": rows}, option=orjson.OPT_INDENT_2).decode()
        out.print(shown, soft_wrap=True, highlight=False, markup=False)
    else:
        out.print(_table(rows))
        out.print(_trust(rows))
        for one in dict.fromkeys(row["rule"] for row in rows if row["mismatch"]):
            out.print(f"[red]{one}: its customers are not divided as its file says: trust none of its lifts[/]")


def arm_rows(settings: Settings, redis: Redis, rules: list[Rule]) -> list[Row]:
    least_share = settings.learning.least_share_percent / 100
    return [
        row for rule in rules for row in rule_rows(rule, *read_arms(redis, settings.redis.prefix, rule.id), least_share)
    ]


def read_arms(redis: Redis, prefix: str, rule: str) -> tuple[Totals, Weights | None]:
    """What learning has counted of a rule, and the version of the weights that counts."""
    store, partitions = PartitionStore(redis, prefix, "learning"), stored_partitions(redis, prefix, "examples") or 1
    partition = partition_of(trials_key(rule), partitions)
    names = (trials_key(rule), weights_key(rule))
    totals, weights = store.records(partition, names)
    return decode_totals(totals) if totals else Totals(), decode_weights(weights) if weights else None


def rule_rows(rule: Rule, totals: Totals, weights: Weights | None, least_share: float) -> list[Row]:
    """Arms that the file does not name any more stay, without a probability."""
    learned = weights.shares if weights and rule.then.choose == "learn" else {}
    rows = []
    for context in sorted(totals.contexts) or [""]:
        arms = totals.contexts.get(context, {})
        shares = arm_shares(rule.then, learned.get(context, {}), least_share)
        divided = totals.designs.get(design_of(rule.then), Divided())
        controls = [*(arm.name for arm in rule.then.arms if arm.nothing), HOLDOUT]
        control = next((arms[name] for name in controls if name in arms), None)
        for name in [*shares, *sorted(arms.keys() - shares.keys())]:  # of a rule without arms, what there is
            row = arm_row(arms.get(name, ArmTotals()), control)
            told = {"customers": divided.customers.get(name), "customers_expected": divided.expected.get(name)}
            told |= {"mismatch_p": divided.p if divided.customers else None, "mismatch": bool(divided.alarm_ms)}
            rows.append(
                {"rule": rule.id, "context": context, "arm": name, **row, **told, "probability": shares.get(name)}
            )
    return rows


def arm_row(arm: ArmTotals, control: ArmTotals | None) -> Row:
    """`lift`: of the share that ordered while the coupon was valid, over that of the rule's control or, where it has
    none, of those held out; None without either."""
    n = arm.learned
    return {
        "chosen": arm.open + arm.withdrawn + n,
        "withdrawn": arm.withdrawn,
        "over": n,
        "redeemed": arm.redeemed,
        "rate": arm.redeemed / n if n else None,
        "rate_interval": share_interval(arm.redeemed, n) if n else None,
        "reward_cents": arm.mean_cents if n else None,
        "reward_cents_interval": mean_interval(arm.mean_cents, arm.variance, n) if n > 1 else None,
        "ordered": arm.ordered,
        "ordered_rate": arm.ordered / n if n else None,
        **lifts(arm, control),
    }


def lifts(arm: ArmTotals, control: ArmTotals | None) -> Row:
    """Over all time; while the rule was new to the customer; and later."""
    found: Row = {}
    for name, (ordered, of) in _spans(arm).items():
        there, of_there = _spans(control)[name] if control and not arm.nothing else (0, 0)
        known = of > 0 and of_there > 0
        found[f"lift{name}"] = ordered / of - there / of_there if known else None
        found[f"lift{name}_interval"] = difference_interval(ordered, of, there, of_there) if known else None
    return found


def _spans(arm: ArmTotals) -> dict[str, tuple[int, int]]:
    """(that ordered, of how many)."""
    later = (arm.ordered - arm.early_ordered, arm.learned - arm.early)
    return {"": (arm.ordered, arm.learned), "_while_new": (arm.early_ordered, arm.early), "_later": later}


def _table(rows: list[Row]) -> Table:
    table = Table(
        "rule",
        "context",
        "arm",
        box=SIMPLE_HEAD,
        title="arms; in brackets, what holds in 95 of 100 experiments however often one looks",
    )
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for row in rows:
        counts = [f"{row[name]:,}" for name in COLUMNS[:4]]
        rate, lift = _share(row["rate"], row["rate_interval"]), _share(row["lift"], row["lift_interval"])
        cents = _with(row["reward_cents"], row["reward_cents_interval"], "{:,.0f}")
        ordered = _share(row["ordered_rate"], None)
        table.add_row(
            *_name(row),
            *counts,
            rate,
            cents,
            ordered,
            lift,
            _share(row["probability"], None),
        )
    return table


def _name(row: Row) -> list[str]:
    return [escape(row[name]) for name in ("rule", "context", "arm")]


def _trust(rows: list[Row]) -> Table:
    """Whether the division of customers is that of the file, and whether a lift wears off."""
    table = Table("rule", "context", "arm", box=SIMPLE_HEAD, title="can it be trusted, and does it last")
    for name in ("customers", f"lift within {DAYS_NEW} days", "lift later"):
        table.add_column(name, justify="right")
    for row in rows:
        lifts = [_share(row[name], row[f"{name}_interval"]) for name in ("lift_while_new", "lift_later")]
        table.add_row(*_name(row), _customers(row), *lifts)
    return table


def _customers(row: Row) -> str:
    if row["customers"] is None:
        return "-"
    return f"{row['customers']:,} of {row['customers_expected']:,.0f} expected"


def _share(value: float | None, interval: tuple[float, float] | None) -> str:
    return _with(value, interval, "{:.1%}")


def _with(value: float | None, interval: tuple[float, float] | None, spelt: str) -> str:
    if value is None:
        return "-"
    return spelt.format(value) + (f" [{spelt.format(interval[0])}, {spelt.format(interval[1])}]" if interval else "")
