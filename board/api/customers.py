"""One customer: who they are to the engine, what it knows of them, what was decided and why.

An identifier such as a phone number is only ever taken in a body: it must not stand in addresses, histories and logs.
"""

from __future__ import annotations

import time
from threading import Lock
from typing import Annotated, Any
from zlib import crc32

from msgspec import Meta, Struct, field

from alerts.coupons.check import State, state
from alerts.triggers.receipts import spoken
from alerts.triggers.receipts.explain import Barrier, Line, Outlook, Told
from board.access.person import HEAD_OFFICE, Person
from board.api.coupons import clock_of
from board.endpoint import Nothing, get, post
from board.problems import Problem
from board.sources import Sources
from board.weighed import Weighed, weigh
from brewline.reading import Row, moment_ms
from brewline.tickets import read_tickets
from brewline.why import Explaining
from features.record import Coupon, Record
from features.suppression import suppression
from flows.files import load_features
from flows.keys import load_pseudonyms
from operators.customers import find_customer, read_current

MOST_AT_ONCE = 100
WINDOWED, HABITS, RHYTHM, POINTS, SHARES, STEPS = "counts", "habits", "rhythm", "points", "ratios", "steps"
At = Annotated[int, Meta(ge=0, le=253_402_300_799_000)]  # to the end of the year 9999
one_at_a_time = Lock()  # a zone that is met for the first time is added to a table that all share


class Many(Struct, forbid_unknown_fields=True):
    """`customers`: ids, joined by commas. `at`: RFC 3339 with its offset, or epoch ms; empty: now. `features`: names,
    joined by commas; empty: all."""

    customers: str
    at: str = ""
    features: str = ""


class Features(Struct):
    """By customer id, those who are known: name → number or text, null where there is no value."""

    at_ms: int
    items: dict[str, Row]


@get("/features", HEAD_OFFICE, personal="features", often=True)
async def features(sources: Sources, person: Person, asked: Many) -> Features:
    """Features of up to 100 customers as of a time."""
    ids = [_require_id(id) for id in dict.fromkeys(asked.customers.split(",")) if id]
    if len(ids) > MOST_AT_ONCE:
        raise Problem(400, f"found {len(ids)} customers, expected {MOST_AT_ONCE} at most")
    at_ms = moment_ms(int(asked.at) if asked.at.isdecimal() else asked.at or None)
    names = tuple(dict.fromkeys(name for name in asked.features.split(",") if name))
    return Features(at_ms, await sources.reads.read(ids, at_ms, names))  # type: ignore[arg-type]  # JSON is the same


def _require_id(id: str) -> str:
    if ":" in id:
        raise Problem(400, "this is no customer id: an identifier is taken by POST /customers/find only")
    return id


class Sought(Struct, forbid_unknown_fields=True):
    """A customer id, or an identifier such as `card:123`."""

    id: Annotated[str, Meta(min_length=1, max_length=128)]


class Found(Struct):
    customer: str


@post("/customers/find", HEAD_OFFICE, personal="identifier")
def find(sources: Sources, person: Person, asked: Nothing, said: Sought) -> Found:
    """The customer id that somebody is known by; what was said is neither kept nor written anywhere."""
    sought = said.id.strip()
    pseudonyms = load_pseudonyms(sources.settings) if ":" in sought else None
    named = find_customer(sources.redis, sources.prefix, pseudonyms, sought)
    return Found(read_current(sources.redis, sources.prefix, named)[0])


class Feature(Struct):
    """`since_ms`: since when it counts; 0: from the beginning."""

    name: str
    value: float | str | None
    since_ms: int


class Group(Struct):
    """Features that are declared alike."""

    name: str
    items: list[Feature]


class Measure(Struct):
    """A count by window; null where it is not kept in that window."""

    name: str
    values: list[float | None]
    since_ms: int


class Consent(Struct):
    purpose: str
    granted: bool
    since_ms: int


class Held(Struct):
    """A coupon of the customer's; times are 0 until it has come to that."""

    decision: str
    name: str
    rule: str
    campaign: str
    state: State
    face_value_cents: int
    percent: int
    at_most_cents: int
    issued_ms: int
    delivered_ms: int
    opened_ms: int
    redeemed_ms: int
    expires_ms: int
    revoked_ms: int
    order: str


class Profile(Struct):
    """As of `at_ms`. Before `newest_ms`, of the latest event, it is no look into the past: windows count what is still
    kept, and sums over the lifetime are those of now."""

    customer: str
    at_ms: int
    newest_ms: int
    first_order_ms: int
    zone: str
    windows: list[str]
    measures: list[Measure]
    groups: list[Group]
    consents: list[Consent]
    suppressed: str
    suppressed_until_ms: int
    joined: list[str]
    coupons: list[Held]
    tickets: list[dict[str, Any]] = field(default_factory=list)


class As(Struct, forbid_unknown_fields=True):
    """`at_ms`: as of when; empty: now, which in a replay is as far as time has come there."""

    id: str
    at_ms: At | None = None


@get("/customers/{id}", HEAD_OFFICE, personal="profile")
def profile(sources: Sources, person: Person, asked: As) -> Profile:
    """All that is known of a customer, as of a time."""
    known = _explaining(sources, asked.id)
    at_ms, record = _at(sources, known, asked.at_ms), known.record
    with one_at_a_time:
        matrix = known.features.core.rows({known.customer: known.raw}, at_ms)
    row = known.features.rows([known.customer], matrix)[known.customer]
    measures, groups = _grouped(sources, row)
    suppressed, until_ms = suppression(record.ledger, at_ms) or ("", 0)
    return Profile(
        customer=known.customer,
        at_ms=at_ms,
        newest_ms=newest_ms(record),
        first_order_ms=record.first_order_ms,
        zone=known.zone,
        windows=known.features.catalog.windows,
        measures=measures,
        groups=groups,
        consents=_consents(sources, record),
        suppressed=suppressed,
        suppressed_until_ms=until_ms,
        joined=sorted(record.ledger.taken),
        coupons=[_held(coupon, at_ms) for coupon in _newest_first(record) if coupon.issued_ms <= at_ms],
        tickets=read_tickets(sources.redis, sources.prefix, False, known.customer),
    )


def _explaining(sources: Sources, id: str) -> Explaining:
    rules = sources.rulebook.rules
    known = [*rules.by_id.values()], rules.conditions, rules.campaigns
    return Explaining(sources.settings, _require_id(id), sources.features, known)


def _at(sources: Sources, known: Explaining, at_ms: int | None) -> int:
    """Now is, in a replay, as far as time has come; and never before what has happened to the customer."""
    if at_ms is not None:
        return at_ms
    replayed = sources.settings.time.clock == "event"
    now_ms = (clock_of(sources) if replayed else 0) or round(time.time() * 1000)
    return max(now_ms, newest_ms(known.record))


def newest_ms(record: Record) -> int:
    """When the latest event of a customer happened; 0 for none."""
    return max(record.last_ms.values(), default=0)


def _grouped(sources: Sources, row: Row) -> tuple[list[Measure], list[Group]]:
    """Counts by window, and the others as docs/features.md groups them."""
    known, declared = sources.features, load_features(sources.settings)
    catalog, measures = known.catalog, list[Measure]()
    groups: dict[str, list[Feature]] = {name: [] for name in (STEPS, HABITS, RHYTHM, POINTS, SHARES)}
    counted = set[str]()
    for measure in catalog.measures:
        names = {window: f"{measure.name}_{window}" for window in measure.windows}
        if names:
            counted |= set(names.values())
            values = [row.get(names.get(window, "")) for window in catalog.windows]
            since_ms = known.since_ms(next(iter(names.values())))
            measures.append(Measure(measure.name, values, since_ms))  # type: ignore[arg-type]
    for name in catalog.names:
        if name not in counted:
            groups[_group_of(name, declared)].append(Feature(name, row[name], known.since_ms(name)))
    return measures, [Group(name, items) for name, items in groups.items() if items]


def _group_of(name: str, declared: dict[str, Any]) -> str:
    if name in declared.get("ratios", {}):
        return SHARES
    if name.startswith(("points_", "tier_points")):
        return POINTS
    if name in declared.get("bands", {}) or name in declared.get("segments", {}):
        return STEPS
    return HABITS if name.removesuffix("_share") in declared.get("measures", {}) else RHYTHM


def _consents(sources: Sources, record: Record) -> list[Consent]:
    purposes = (sources.settings.coupons.require_consent, "marketing", "profiling")
    names = {crc32(name.encode()): name for name in purposes}
    return [
        Consent(names.get(code, f"purpose {code:08x}"), granted, since_ms)
        for code, (since_ms, granted) in record.consent.items()
    ]


def _newest_first(record: Record) -> list[Coupon]:
    return sorted(record.ledger.coupons.values(), key=lambda coupon: -coupon.issued_ms)


def _held(coupon: Coupon, at_ms: int) -> Held:
    told = {name: getattr(coupon, name) for name in Held.__struct_fields__ if name != "state"}
    return Held(state=state(coupon, at_ms), **told)


class Asked(Struct, forbid_unknown_fields=True):
    """`after`: what the page before ended with."""

    id: str
    rule: str = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    after: str = ""


class Decision(Struct):
    """A decision that was taken, in words. `because`: the rule of its group that was first, the reason of a
    suppression, the channel that is capped; `ran_out`: the pot of the campaign that had
    too little; `notes`: what else has to be said of it."""

    decision: str
    rule: str
    rule_file: str
    outcome: str
    reason: str
    gift: str
    at_ms: int
    clock_ms: int
    cause: str
    clauses: list[Line]
    scores: list[Weighed]
    coupons_in_cap_window: int
    cap: int
    cooldown_until_ms: int
    holdout: bool
    because: str
    ran_out: str
    on_channel: int
    channel_cap: int
    notes: list[str]


class Decisions(Struct):
    items: list[Decision]
    next: str


@get("/customers/{id}/decisions", HEAD_OFFICE, personal="decisions")
def decisions(sources: Sources, person: Person, asked: Asked) -> Decisions:
    """What was decided of a customer, the newest first: given or not, and why."""
    known = _explaining(sources, asked.id)
    found = [_decision(told, known) for told in known.decisions(asked.rule)]
    keys = [_key(one) for one in found]
    start = keys.index(asked.after) + 1 if asked.after in keys else 0
    page = found[start : start + asked.limit]
    return Decisions(page, _key(page[-1]) if start + asked.limit < len(found) else "")


def _key(decision: Decision) -> str:
    return f"{decision.decision}.{decision.outcome}"


def _decision(told: Told, known: Explaining) -> Decision:
    notes = [spoken.brake(told.brake, known.zone)] if told.brake else []
    notes += [f"until {spoken.moment(told.until_ms, known.zone)}"] if told.until_ms else []
    notes += [spoken.sent(told.send_ms, told.send_why, known.zone)] if told.send_why else []
    notes += [spoken.arm(told.arm)] if told.arm else []
    kept = {name: getattr(told, name) for name in Decision.__struct_fields__ if name not in ("scores", "notes")}
    return Decision(**kept, scores=weigh(told.scores, known.features.catalog.tasks), notes=notes)


class Wanted(Struct, forbid_unknown_fields=True):
    id: str
    rule: str
    at_ms: At | None = None


class Why(Struct):
    """What a rule would decide. `would_fire`: null where that hangs on the event that asks. `barriers`: on the way to
    the coupon, open or shut. `due_ms`: when it looks next, if a wait runs; else 0."""

    customer: str
    zone: str
    rule: str
    name: str
    at_ms: int
    would_fire: bool | None
    outcome: str
    reason: str
    looks: str
    due_ms: int
    gift: str
    clauses: list[Line]
    barriers: list[Barrier]
    to_change: list[str]
    scores: list[Weighed]


@get("/customers/{id}/why", HEAD_OFFICE, personal="why")
def why(sources: Sources, person: Person, asked: Wanted) -> Why:
    """What a rule would decide of a customer as of a time, and what would have to change."""
    known = _explaining(sources, asked.id)
    if asked.rule not in known.rules:
        raise Problem(404, f"there is no rule {asked.rule!r}")
    with one_at_a_time:
        found: Outlook = known.outlook(asked.rule, _at(sources, known, asked.at_ms))
    told = {name: getattr(found, name) for name in Outlook.__struct_fields__ if name not in ("scores", "rule_version")}
    scores = weigh(found.scores, known.features.catalog.tasks)
    return Why(customer=known.customer, zone=known.zone, **told, scores=scores)


ENDPOINTS = (features, find, profile, decisions, why)
