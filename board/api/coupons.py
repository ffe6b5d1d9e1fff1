"""Coupons: what is decided and why, what becomes of them, what campaigns spend, what rules bring."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date
from threading import Event
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, convert

from board.access.person import HEAD_OFFICE, Person, Role
from board.decided import TOPICS, TURNS, News
from board.endpoint import Nothing, get, post
from board.live import Feed
from board.pages import MARKETING
from board.problems import Problem
from board.sources import Sources
from board.tail import tail
from brewline.arms import arm_rows
from brewline.brake import resume as let_go_on
from brewline.campaigns import read_campaigns, read_pauses
from features.times import DAY_MS
from features.trials import HOLDOUT
from operators.layout import stored_partitions
from operators.store import PartitionStore

DECIDERS: frozenset[Role] = frozenset({"marketing", "engineer"})
MOST = 500
LATELY_S = 5.0  # figures that take a while to read are this old at most
QUIET_S = 5.0  # a feed that says nothing new says so
WAYS = ("issued", *TURNS)
Limit = Annotated[int, Meta(ge=1, le=MOST)]


class Which(Struct, forbid_unknown_fields=True):
    """`outcome`: "issued", or a reason why not; empty: all."""

    rule: str = ""
    outcome: str = ""
    limit: Limit = 100


@get("/coupons/decisions", HEAD_OFFICE)
def decisions(sources: Sources, person: Person, asked: Which) -> News:
    """The latest decisions, oldest first, and how many there were of each since the board began to look."""
    return sources.decided.news(asked.rule, asked.outcome, asked.limit)


class By(Struct, forbid_unknown_fields=True):
    """`day`: as 2026-05-04, one of the latest eight; empty: since the board began to look."""

    by: Literal["rule", "campaign"] = "rule"
    day: str = ""


class Way(Struct):
    """How often what happened. Nobody is followed: what is redeemed today may have been issued before."""

    name: str
    issued: int
    delivered: int
    undeliverable: int
    opened: int
    redeemed: int
    refused: int
    revoked: int
    restored: int


class Funnel(Struct):
    """`since_ms`: when the board began to look, by its own clock; 0: it has not yet."""

    since_ms: int
    days: list[str]
    items: list[Way]


@get("/coupons/funnel", MARKETING)
def funnel(sources: Sources, person: Person, asked: By) -> Funnel:
    """The way of coupons, from issued to redeemed, by rule or by campaign."""
    decided = sources.decided
    found = decided.funnel(asked.by, date.fromisoformat(asked.day).toordinal() if asked.day else 0)
    items = [Way(name, *(counts[way] for way in WAYS)) for name, counts in sorted(found.items())]
    days = [f"{date.fromordinal(day)}" for day in sorted(decided.days)]
    return Funnel(decided.since_ms, days, [way for way in items if way.issued or way.redeemed or way.opened])


class Budget(Struct):
    """Of a campaign with limits. `burn_cents`: a day, since its first coupon. `empty_ms`: when nothing is left, if it
    goes on like this; null: never, or it cannot be told. `reserved_cents`: handed out to partitions, not yet spent."""

    campaign: str
    state: str
    budget_cents: int | None
    spent_cents: int
    reserved_cents: int | None
    remaining_cents: int | None
    burn_cents: int | None
    coupons: int | None
    given: int
    ran_out: list[str]
    empty_ms: int | None = None


class Pause(Struct):
    """`place`: as `store:0012` or `region:east`; empty: everywhere. `incident`: of the alert that has paused it."""

    campaign: str
    place: str
    by: str
    at_ms: int
    reason: str
    incident: str


class Budgets(Struct):
    """`clock_ms`: how far the customers flow has come."""

    clock_ms: int
    items: list[Budget]
    pauses: list[Pause]


@get("/coupons/budgets", MARKETING)
def budgets(sources: Sources, person: Person, asked: Nothing) -> Budgets:
    """What campaigns have spent and may spend, and what is paused where."""
    return sources.lately("budgets", LATELY_S, lambda: _budgets(sources))


def _budgets(sources: Sources) -> Budgets:
    redis, prefix, timezone = sources.redis, sources.prefix, sources.settings.stores.timezone
    clock_ms = clock_of(sources)
    rows = [convert(row, Budget) for row in read_campaigns(redis, prefix, sources.rulebook.rules.campaigns, timezone)]
    for row in rows:
        row.empty_ms = empty_ms(row, clock_ms)
    found = read_pauses(redis, prefix)
    pauses = [Pause(word.campaign, word.place, word.by, word.at_ms, word.reason, word.incident) for word in found]
    return Budgets(clock_ms, rows, pauses)


def clock_of(sources: Sources) -> int:
    """How far the customers flow has come in event time, epoch ms; 0: it has not begun."""
    store = PartitionStore(sources.redis, sources.prefix, "customers")
    partitions = range(stored_partitions(sources.redis, sources.prefix))
    return max((store.position(partition).clock.now_ms for partition in partitions), default=0)


def empty_ms(row: Budget, now_ms: int) -> int | None:
    if row.remaining_cents is None or not row.burn_cents:
        return None
    return now_ms + round(max(0, row.remaining_cents) / row.burn_cents * DAY_MS)


class Resume(Struct, forbid_unknown_fields=True):
    place: Annotated[str, Meta(max_length=128)]
    reason: Annotated[str, Meta(min_length=3, max_length=500)]


class Campaign(Struct, forbid_unknown_fields=True):
    campaign: str


class Told(Struct):
    detail: str


@post("/coupons/pauses/{campaign}/resume", DECIDERS)
def resume(sources: Sources, person: Person, asked: Campaign, said: Resume) -> Told:
    """Lets a campaign that is paused somewhere go on; who says so is kept with it."""
    if not said.reason.strip():
        raise Problem(422, "say why it may go on: it stands beside the pause")
    sources.notes.note(person, "brake_resume", f"campaign {asked.campaign}", purpose=said.reason)
    return Told(let_go_on(sources.settings, asked.campaign, said.place, person.name, said.reason.strip()))


Verdict = Literal["control", "unknown", "early", "more", "less"]


class Arm(Struct):
    """`lift`: of the share that ordered while the coupon was valid, over those who got nothing; what lies in its
    interval holds in 95 of 100 experiments however often one looks. `verdict`: "more" or "less" once 0 is not in it;
    "control" of those who get nothing."""

    rule: str
    context: str
    arm: str
    chosen: int
    over: int
    redeemed: int
    rate: float | None
    ordered_rate: float | None
    lift: float | None
    lift_interval: tuple[float, float] | None
    probability: float | None
    mismatch: bool
    verdict: Verdict = "unknown"


class Lifts(Struct):
    items: list[Arm]


@get("/coupons/lift", MARKETING)
def lift(sources: Sources, person: Person, asked: Nothing) -> Lifts:
    """What the coupons of each rule and arm have brought, beside those who got nothing."""
    return sources.lately("lift", LATELY_S, lambda: _lifts(sources))


def _lifts(sources: Sources) -> Lifts:
    rules = [rule for rule, _, _ in sources.rulebook.rules.by_id.values() if rule.then.arms or rule.then.coupon]
    controls = {(rule.id, arm.name) for rule in rules for arm in rule.then.arms if arm.nothing}
    arms = [convert(row, Arm) for row in arm_rows(sources.settings, sources.redis, rules)]
    for arm in arms:
        is_control = arm.arm == HOLDOUT or (arm.rule, arm.arm) in controls
        arm.verdict = "control" if is_control else verdict(arm.lift_interval)
    return Lifts([arm for arm in arms if arm.chosen])


def verdict(interval: tuple[float, float] | None) -> Verdict:
    if interval is None:
        return "unknown"
    low, high = interval
    return "more" if low > 0 else "less" if high < 0 else "early"


def _told(sources: Sources, stop: Event) -> Iterator[Any]:
    """What was decided, at most four times a second."""
    decided, said_s = sources.decided, 0.0
    for came in tail(sources.settings, TOPICS, stop):
        if not said_s:
            decided.begin(round(time.time() * 1000))
        news, now_s = decided.take(came), time.monotonic()
        if news.counts or now_s > said_s + QUIET_S:
            said_s = now_s
            yield news
        else:
            yield None


ENDPOINTS = (decisions, funnel, budgets, resume, lift)
FEEDS = (Feed("decisions", HEAD_OFFICE, _told, always=True),)
