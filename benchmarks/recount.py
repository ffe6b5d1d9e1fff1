"""Counts issued coupons anew, slowly and by the letter, and tells what no stream may show."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import orjson

from alerts.triggers.policy import held_out
from benchmarks.decisions import decisions_in
from benchmarks.standing import standing_violations
from benchmarks.streams import Case
from features import events as e
from features.job import Message
from features.loop import Store

Receipt = dict[str, Any]


ASKED_BEFORE = {"no_consent", "suppressed"}  # the outcomes that say nothing of who is held out


def receipts(sent: list[Message], topic: str) -> list[Receipt]:
    mine = [message.value for message in sent if message.topic == topic]
    if topic == "decisions":
        return [told for value in mine for told in decisions_in(value)]
    return [orjson.loads(value)["data"] for value in mine]


def violations(case: Case, stores: list[Store]) -> list[str]:
    """One line for each thing that is wrong with what came out in the end."""
    found: list[str] = []
    for number, store in enumerate(stores):
        coupons = receipts(store.sent, "coupons")
        decisions = receipts(store.sent, "decisions")
        found += [*_once(coupons, decisions), *_of_groups(decisions)]
        found += standing_violations(case, decisions, case.events[number])
        for customer in {coupon["customer"] for coupon in coupons}:
            mine = [coupon for coupon in coupons if coupon["customer"] == customer]
            found += [f"{customer}: {what}" for what in _of_customer(case, customer, mine, case.events[number])]
    return found + list(_of_campaigns(case, stores))


def _once(coupons: list[Receipt], decisions: list[Receipt]) -> Iterator[str]:
    if coupons != [decision for decision in decisions if decision["outcome"] == "issued"]:
        yield "coupons are not the decisions that issued them"
    for what in (coupons, decisions):
        if len({receipt["decision"] for receipt in what}) < len(what):
            yield "a decision was taken twice"


def _of_groups(decisions: list[Receipt]) -> Iterator[str]:
    outcomes = defaultdict[str, set[bool]](set)
    for decision in decisions:
        if decision["outcome"] not in ASKED_BEFORE:
            outcomes[decision["customer"]].add(decision["outcome"] == "holdout")
    yield from (f"{customer} changed its group" for customer, groups in outcomes.items() if len(groups) > 1)


def _of_customer(case: Case, customer: str, coupons: list[Receipt], log: list[e.Event]) -> Iterator[str]:
    policy, cooldowns = case.policy, {rule.id: rule.cooldown_ms for rule in case.rules}
    uncapped = {rule.id for rule in case.rules if not rule.capped}
    if held_out(customer, policy.holdout_salt, policy.holdout):
        yield "is held out"
    for coupon in coupons:
        at_ms = coupon["at_ms"]
        counted = [c for c in coupons if c["rule"] not in uncapped]
        within = [c for c in counted if at_ms - policy.cap_window_ms < c["at_ms"] <= at_ms]
        if len(within) > policy.cap:
            yield f"{len(within)} coupons in one window, the cap is {policy.cap}"
        of_rule = [c for c in coupons if c["rule"] == coupon["rule"] and c is not coupon]
        if any(abs(c["at_ms"] - at_ms) < cooldowns[c["rule"]] for c in of_rule):
            yield f"{coupon['rule']} twice within its cooldown"
        if not _granted(customer, coupon["cause"], log):
            yield "has not consented"
    for id, number in Counter(coupon["campaign"] for coupon in coupons if coupon["coupon"]).items():
        campaign = case.campaigns.by_id.get(id)
        if campaign and campaign.coupons_per_customer and number > campaign.coupons_per_customer:
            yield f"{number} coupons of {id}, the limit is {campaign.coupons_per_customer}"


def _granted(customer: str, cause: str, log: list[e.Event]) -> bool:
    before = log[: [event.id for event in log].index(cause)]
    words = [event for event in before if isinstance(event, e.Consent) and event.customer == customer]
    latest_ms = max(word.at_ms for word in words)
    return all(word.granted for word in words if word.at_ms == latest_ms)


def spending(case: Case, stores: list[Store]) -> dict[str, int]:
    """By pot, what the coupons of all partitions cost."""
    spent: dict[str, int] = defaultdict(int)
    for number, store in enumerate(stores):
        where = {event.id: event.store for event in case.events[number] if isinstance(event, e.View)}
        for coupon in receipts(store.sent, "coupons"):
            if coupon["coupon"] and coupon["campaign"] in case.campaigns.by_id:
                spent[f"{coupon['campaign']}/coupons"] += 1
                spent[f"{coupon['campaign']}/budget"] += coupon["face_value_cents"]
                spent[f"{coupon['campaign']}/store:{where[coupon['cause']]}"] += coupon["face_value_cents"]
    return spent


def overspent_cents(case: Case, stores: list[Store]) -> int:
    """By how much whole budgets were passed, over all campaigns."""
    spent = spending(case, stores)
    budgets = {f"{id}/budget": campaign.budget_cents for id, campaign in case.campaigns.by_id.items()}
    return sum(max(0, spent[pot] - limit) for pot, limit in budgets.items() if limit is not None)


def _of_campaigns(case: Case, stores: list[Store]) -> Iterator[str]:
    spent = spending(case, stores)
    for pot, number in spent.items():
        limit = None if pot.endswith("store:") else case.campaigns.limit(pot)
        if limit is not None and number > limit:
            yield f"{pot}: {number} spent of {limit}"
        noted = sum(store.spent.get(pot, 0) for store in stores)
        if noted != number and (limit is not None or pot.endswith(("budget", "coupons"))):
            yield f"{pot}: {noted} noted, {number} spent"
    for coupon in (coupon for store in stores for coupon in receipts(store.sent, "coupons")):
        campaign = case.campaigns.by_id.get(coupon["campaign"])
        if campaign and campaign.begins and campaign.ends:
            begins_ms = campaign.begins.ms - 8 * 3_600_000  # a date of Shanghai's, where all of them are
            if not begins_ms <= coupon["at_ms"] < campaign.ends.ms:
                yield f"{campaign.id}: a coupon before it begins or after it ends"
