"""The figures of a back-test: what goes into JSON, tables and the plot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from operator import itemgetter
from typing import Any

from alerts.triggers.backtests.tally import Common, Tally
from alerts.triggers.campaign import Campaigns
from alerts.triggers.rule import Rule
from features.times import rfc3339

Figures = dict[str, Any]


def rule_figures(rule: Rule, tally: Tally) -> Figures:
    """`cents` are the most that the coupons can cost: the face value, or the most that a percentage takes off."""
    return {
        "name": rule.name,
        "version": rule.version,
        "asked": tally.asked,
        "held": tally.outcomes.total(),
        "outcomes": dict(tally.outcomes.most_common()),
        "customers": tally.customers,
        "customers_reached": tally.reached,
        "customers_held_out": tally.held_out,
        "caps_hit": tally.outcomes["capped"],
        "coupon": rule.then.coupon,
        "valid": rule.then.valid,
        "worth_cents": rule.then.worth_cents,
        "given_cents": tally.cents_on.total(),
        "arms": dict(sorted(tally.arms.items())),
        "by_day": _burn(tally, date.fromordinal),
        "by_week": _burn(tally, _monday),
        "overlap": {other: _common(common) for other, common in sorted(tally.common.items())},
        "lookalikes": {group: response.figures() for group, response in tally.groups.items()},
    }


def _burn(tally: Tally, period: Callable[[int], date]) -> Figures:
    """By the first day of a period: coupons and cents; periods without any stand between those with some."""
    coupons, cents = Counter[date](), Counter[date]()
    for day, issued in tally.issued_on.items():
        coupons[period(day)] += issued
        cents[period(day)] += tally.cents_on[day]
    if not coupons:
        return {}
    first, last = min(coupons), max(coupons)
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    starts = sorted({period(day.toordinal()) for day in days})
    return {f"{day}": {"coupons": coupons[day], "cents": cents[day]} for day in starts}


def _monday(day: int) -> date:
    found = date.fromordinal(day)
    return found - timedelta(days=found.weekday())


def _common(common: Common) -> Figures:
    return {"customers": common.customers, "coupons_within_a_day": common.coupons}


def campaign_figures(campaigns: Campaigns, rules: Figures, of: dict[str, str], ran_out: dict[str, int]) -> Figures:
    """What the rules chosen would have taken of each campaign's limits, and when these would have run out.

    `of`: by rule its campaign; `ran_out`: by pot, epoch ms.
    """
    found: Figures = {}
    for id, campaign in campaigns.by_id.items():
        mine = [rule["by_day"] for name, rule in rules.items() if of[name] == id]
        days = {
            day: _sums([by_day.get(day, {}) for by_day in mine]) for day in sorted({d for days in mine for d in days})
        }
        if days:
            found[id] = {"budget_cents": campaign.budget_cents, "stock": campaign.coupons, **_sums(list(days.values()))}
            mine_out = {pot.partition("/")[2]: ms for pot, ms in ran_out.items() if pot.startswith(f"{id}/")}
            found[id]["ran_out"] = {name: rfc3339(ms) for name, ms in sorted(mine_out.items(), key=itemgetter(1))}
    return found


def _sums(parts: list[Figures]) -> Figures:
    return {unit: sum(part.get(unit, 0) for part in parts) for unit in ("cents", "coupons")}
