"""Coupon rules: how they stand, what they say, their tests, back-tests, and the switch."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import Any, Literal

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from alerts.triggers.condition import over_catalog
from alerts.triggers.happenings import START_MS, events_of
from alerts.triggers.receipts import spoken
from alerts.triggers.receipts.clauses import Clause as ClauseOf
from alerts.triggers.receipts.clauses import clauses_of
from alerts.triggers.rule import Rule, Timeline
from alerts.triggers.timeline import firings
from board.access.person import Person
from board.api.coupons import DECIDERS, clock_of
from board.backtests import Backtests, Report, Running
from board.endpoint import Nothing, get, post
from board.pages import MARKETING
from board.problems import Problem
from board.rulebook import Rules
from board.sources import Sources
from board.trying import Asked
from brewline.campaigns import read_pauses
from brewline.switch import CannotSwitch, require_own, switch
from features.times import local_day, parse_offset

one_at_a_time = Lock()  # tests take a processor, and a file is written by one
State = Literal["on", "off", "paused"]
OF_EVENT = {"type", "id", "customer", "tz", "at_ms"}


class Row(Struct):
    """`state`: "paused" where the rule's campaign is paused everywhere. `paused_at`: the places where it is. `fired`:
    today, by the engine's clock, since the board began to look."""

    id: str
    name: str
    state: State
    priority: int
    campaign: str
    gift: str
    looks: str
    group: str
    cooldown: str
    paused_at: list[str]
    fired: int


class Listed(Struct):
    """`holdout_percent`: of all customers, who get no coupons, for comparison. `cannot_switch`: why rules cannot be
    switched here; empty: they can. `wrong`: why the files as they stand are not used. `since_ms`: when the board began
    to look, by its own clock; 0: it has not yet."""

    items: list[Row]
    holdout_percent: float
    cannot_switch: str
    wrong: str
    since_ms: int


@get("/rules", MARKETING)
def rules(sources: Sources, person: Person, asked: Nothing) -> Listed:
    """All coupon rules, the first to be settled first."""
    fired = _fired(sources)
    paused = _paused(sources)
    rows = [_row(rule, paused, fired[rule.id]) for rule, _, _ in sources.rulebook.rules.by_id.values()]
    rows.sort(key=lambda row: (-row.priority, row.id))
    holdout_percent, since_ms = sources.settings.coupons.holdout_percent, sources.decided.since_ms
    return Listed(rows, holdout_percent, _refusal(sources), sources.rulebook.wrong, since_ms)


def _fired(sources: Sources) -> Counter[str]:
    """By rule, how often it has given something on the day that it is."""
    today = local_day(clock_of(sources), sources.settings.stores.timezone)
    return Counter({rule: ways["issued"] for rule, ways in sources.decided.funnel("rule", today).items()})


def _paused(sources: Sources) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word in read_pauses(sources.redis, sources.prefix):
        found.setdefault(word.campaign, []).append(word.place)
    return found


def _row(rule: Rule, paused: dict[str, list[str]], fired: int) -> Row:
    places = paused.get(rule.then.campaign, []) if rule.then.campaign else []
    state: State = "off" if not rule.enabled else "paused" if "" in places else "on"
    return Row(
        id=rule.id,
        name=rule.name or rule.id,
        state=state,
        priority=rule.priority,
        campaign=rule.then.campaign,
        gift=spoken.gift(rule.then),
        looks=spoken.looks(rule),
        group=rule.group,
        cooldown=rule.cooldown,
        paused_at=places,
        fired=fired,
    )


def _refusal(sources: Sources) -> str:
    try:
        require_own(sources.settings)
    except CannotSwitch as refused:
        return f"{refused}"
    return ""


class Clause(Struct):
    """A part of the condition that must hold. `of`: "when", "exit", or the key of the schedule."""

    of: str
    text: str
    words: str


class Happening(Struct):
    """An event of a test: when, from its start on, and what it says."""

    at_ms: int
    type: str
    says: dict[str, Any]


class Test(Struct):
    """`wanted_ms`: when the rule must fire, from the start on; empty: never."""

    name: str
    events: list[Happening]
    wanted_ms: list[int]
    scores: dict[str, float]


class Told(Struct):
    """A rule in words and as its file says it."""

    rule: Row
    clauses: list[Clause]
    valid: str
    min_spend_cents: int
    capped: bool
    quiet: str
    max_event_age: str
    version: str
    source: str
    tests: list[Test]
    cannot_switch: str


class Which(Struct, forbid_unknown_fields=True):
    id: str


@get("/rules/{id}", MARKETING)
def rule(sources: Sources, person: Person, asked: Which) -> Told:
    """One rule: when it looks, what must hold, what it gives, and its tests."""
    book = sources.rulebook.rules
    found, _, text = book.named(asked.id)
    return Told(
        rule=_row(found, _paused(sources), _fired(sources)[found.id]),
        clauses=_clauses(found, book),
        valid=found.then.valid,
        min_spend_cents=found.then.min_spend_cents,
        capped=found.capped,
        quiet=found.in_quiet_hours,
        max_event_age=found.max_event_age,
        version=found.version,
        source=text,
        tests=[_test(timeline) for timeline in found.test],
        cannot_switch=_refusal(sources),
    )


def _clauses(found: Rule, book: Rules) -> list[Clause]:
    clauses = clauses_of(found, book.conditions.schema)
    return [Clause(one.of, one.text, _spelt(one, found)) for one in clauses]


def _spelt(one: ClauseOf, found: Rule) -> str:
    """A clause of the schedule as the schedule says it: days are numbers in what is asked."""
    return spoken.spelt(one.part) if one.of == "when" and one.part else spoken.clause(one, found.schedule)


def _test(timeline: Timeline) -> Test:
    happenings = []
    for event, written in zip(events_of(timeline.events), _written(timeline), strict=True):
        says = {key: value for key, value in written.items() if key not in OF_EVENT}
        happenings.append(Happening(event.at_ms - START_MS, str(written.get("type", "")), to_builtins(says)))
    wanted = sorted(parse_offset(at) for at in timeline.fires_at)
    return Test(timeline.name, sorted(happenings, key=lambda one: one.at_ms), wanted, dict(timeline.scores))


def _written(timeline: Timeline) -> list[dict[str, Any]]:
    """Each event as its file says it, as often as it happens."""
    of_time = {"at", "repeat", "every"}
    return [
        {key: value for key, value in written.items() if key not in of_time}
        for written in timeline.events
        for _ in range(written.get("repeat", 1))
    ]


class Result(Struct):
    """`fired_ms`: when the rule fired, from the start on."""

    name: str
    fired_ms: list[int]
    ok: bool


class Results(Struct):
    items: list[Result]
    failed: int


@post("/rules/{id}/tests", MARKETING)
def tests(sources: Sources, person: Person, asked: Which) -> Results:
    """Runs a rule's tests through the same code that decides live; consent, caps and quiet hours do not interfere."""
    book = sources.rulebook.rules
    found, file, text = book.named(asked.id)
    results, on_trial = [], replace(found, enabled=True)
    conditions = over_catalog([(on_trial, file, text)], book.catalog)
    for timeline in found.test:
        with one_at_a_time:
            fired = sorted(firings(on_trial, timeline, conditions, book.catalog))
        wanted = sorted(parse_offset(at) for at in timeline.fires_at)
        results.append(Result(timeline.name, fired, fired == wanted))
    return Results(results, sum(not result.ok for result in results))


class Switch(Struct, forbid_unknown_fields=True):
    on: bool


@post("/rules/{id}/switch", DECIDERS)
def turn(sources: Sources, person: Person, asked: Which, said: Switch) -> Row:
    """Switches a rule on or off in its file; the flow follows within seconds. Tests that fail keep it off."""
    book = sources.rulebook.rules
    found, _, _ = book.named(asked.id)
    try:
        with one_at_a_time:
            require_own(sources.settings)
            sources.notes.note(person, f"rule_{'on' if said.on else 'off'}", f"rule {found.id}")
            changed = switch(sources.settings, found.id, said.on, book.catalog)
    except CannotSwitch as refused:
        raise Problem(409, f"{refused}") from None
    return _row(changed, _paused(sources), _fired(sources)[found.id])


class Try(Struct, forbid_unknown_fields=True):
    """`history`: what Kafka holds, or one of those that come with Brewline's extras."""

    history: Literal["kafka", "completejourney", "cdnow"] = "kafka"
    assume_consent: bool = False


class Tried(Struct):
    """What is tried now, be it of another rule, and the latest report of this one."""

    running: Running | None
    report: Report | None


@get("/rules/{id}/backtest", MARKETING)
def tried(sources: Sources, person: Person, asked: Which) -> Tried:
    """How far a back-test has come, and what the latest one of this rule has found."""
    backtests = Backtests(sources.redis, sources.prefix)
    return Tried(backtests.running(), backtests.report(asked.id))


@post("/rules/{id}/backtest", DECIDERS)
def begin(sources: Sources, person: Person, asked: Which, said: Try) -> Tried:
    """Asks the past about a rule: whom it would have reached, and what that would have cost. Sends nothing."""
    found, _, _ = sources.rulebook.rules.named(asked.id)
    backtests = Backtests(sources.redis, sources.prefix)
    if now := backtests.running():
        raise Problem(409, f"{now.rule} is being tried for {now.by}: one runs at a time")
    sources.notes.note(person, "backtest", f"history, rule {found.id}")
    now = backtests.begin(Asked(sources.settings, found.id, said.history, said.assume_consent), person.name)
    if now is None:
        raise Problem(409, "another one has just begun: one runs at a time")
    return Tried(now, backtests.report(found.id))


ENDPOINTS = (rules, rule, tests, turn, tried, begin)
