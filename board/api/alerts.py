"""Alerts: what fires and what is over, why, and what people say of it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from msgspec import Struct

from alerts.formats.attack import read_attack
from alerts.notices.alert import Part, Severity
from alerts.notices.desk import State
from alerts.notices.silence import Silence
from alerts.notices.standing import Standing
from board.access.person import EVERYONE, Person, Role
from board.endpoint import Nothing, get, post
from board.paging import Limit, page
from board.problems import Problem
from board.sources import Sources
from brewline.alert_words import Said, say, silence, unsilence
from brewline.alerts import rank, wall_ms, word_of
from brewline.findings import Actor, Sample, read_actor, read_samples

ACT: frozenset[Role] = frozenset({"marketing", "security", "engineer"})
SEE_STAFF: frozenset[Role] = frozenset({"security", "auditor"})  # findings name people of the staff
STAFF = "security"  # the kind of alert that does
OTHERS = ("kpi", "service", "model", "experiment")


class Asked(Struct, forbid_unknown_fields=True):
    """`state`: firing, over, or a word such as acknowledged; `entity`: a glob over who or what it is about."""

    kind: str = ""
    severity: Severity | Literal[""] = ""
    state: str = ""
    entity: str = ""
    limit: Limit = 50
    after: str = ""


class Row(Struct):
    """`state`: firing, acknowledged, silenced, held, not sent, resolved or closed. `opened_ms`, `ended_ms`: when people
    were told, by the clock; `started_ms`, `at_ms`: when it happened."""

    key: str
    kind: str
    severity: Severity
    state: str
    firing: bool
    entity: str
    store: str
    title: str
    why: str
    count: int
    started_ms: int
    at_ms: int
    opened_ms: int
    ended_ms: int
    by: str


class Covering(Struct):
    """A silence. `state`: lasting or ended."""

    id: str
    state: str
    matchers: dict[str, str]
    by: str
    reason: str
    at_ms: int
    until_ms: int
    ended_by: str


class Detail(Struct):
    """`may`: what you may do. `usual`: where a KPI was expected, from and to; `parts`: what contributes to it."""

    row: Row
    labels: dict[str, str]
    figures: dict[str, float]
    usual: list[float]
    parts: list[Part]
    window_minutes: int
    tags: list[str]
    tactics: list[str]
    techniques: list[str]
    evidence: list[str]
    reason: str
    acknowledged_by: str
    acknowledged_ms: int
    held: int
    silence: Covering | None
    may: list[str]


class Case(Struct):
    """All findings of one actor that the desk still lists, the earliest first."""

    actor: Actor | None
    findings: list[Row]


class Alerts(Struct):
    items: list[Row]
    next: str
    now_ms: int


class Silences(Struct):
    items: list[Covering]
    next: str


class Key(Struct, forbid_unknown_fields=True):
    key: str


class Id(Struct, forbid_unknown_fields=True):
    id: str


class SilencesAsked(Struct, forbid_unknown_fields=True):
    limit: Limit = 50
    after: str = ""


class Because(Struct, forbid_unknown_fields=True):
    reason: str = ""


class Wish(Struct, forbid_unknown_fields=True):
    """`matchers`: globs by what they match, such as kind, rule, entity, store; `last`: 30m, 4h, 2d."""

    matchers: dict[str, str]
    last: str
    reason: str


@get("/alerts", EVERYONE)
def alerts(sources: Sources, person: Person, asked: Asked) -> Alerts:
    """What fires and what is over, the worst and latest first."""
    state = sources.alerts()
    found = [one for one in state.book.values() if may_see(person, one) and _is_meant(one, asked)]
    shown, after = page(sorted(found, key=rank), asked.limit, asked.after, lambda one: one.alert.key)
    return Alerts([row_of(one) for one in shown], after, wall_ms())


def _is_meant(one: Standing, asked: Asked) -> bool:
    alert = one.alert
    return (
        asked.kind in ("", alert.kind)
        and asked.severity in ("", alert.severity)
        and (asked.state in ("", word_of(one)) or asked.state == ("firing" if one.firing else "over"))
        and fnmatchcase(alert.entity.lower(), f"*{asked.entity.lower()}*")
    )


@get("/alerts/{key}", EVERYONE)
def alert(sources: Sources, person: Person, asked: Key) -> Detail:
    """All that is known of one alert."""
    state = sources.alerts()
    one = _theirs(state, person, asked.key)
    told, attack = one.alert, read_attack(one.alert.tags)
    covering = state.silences.get(one.silenced)
    return Detail(
        row=row_of(one),
        labels=told.labels,
        figures=told.figures,
        usual=told.usual,
        parts=[] if person.is_limited else told.parts,
        window_minutes=told.window_minutes,
        tags=told.tags,
        tactics=[name for _, name in attack.tactics],
        techniques=[*attack.techniques, *attack.parts],
        evidence=[] if person.is_limited else told.evidence,
        reason=one.reason,
        acknowledged_by=one.acknowledged_by,
        acknowledged_ms=one.acknowledged_ms,
        held=one.held,
        silence=_covering(covering) if covering else None,
        may=_may(person, one),
    )


def _may(person: Person, one: Standing) -> list[str]:
    if not one.firing or one.alert.kind not in acts_on(person):
        return []
    return [
        "silence",
        *(["acknowledge"] if not one.acknowledged_by else []),
        *(["close"] if not one.alert.ends else []),
    ]


@get("/alerts/{key}/evidence", SEE_STAFF)
def evidence(sources: Sources, person: Person, asked: Key) -> list[Sample]:
    """Events that a finding rests on, as far as Kafka still has them; customers are masked."""
    one = _theirs(sources.alerts(), person, asked.key)
    return read_samples(sources.settings, one) if one.alert.kind == STAFF else []


@get("/alerts/{key}/case", SEE_STAFF)
def case(sources: Sources, person: Person, asked: Key) -> Case:
    """Whoever caused a finding: their risk, their habits, and their other findings."""
    state = sources.alerts()
    one = _theirs(state, person, asked.key)
    actor = one.alert.labels.get("actor", "")
    if one.alert.kind != STAFF or not actor:
        return Case(None, [])
    found = [
        other for other in state.book.values() if other.alert.kind == STAFF and other.alert.labels.get("actor") == actor
    ]
    rows = [row_of(other) for other in sorted(found, key=lambda other: other.alert.at_ms)]
    return Case(read_actor(sources.redis, sources.prefix, actor), rows)


@post("/alerts/{key}/acknowledge", ACT)
def acknowledge(sources: Sources, person: Person, asked: Key, said: Because) -> Said:
    """Says that you look after it. It stays until it is over."""
    return _say(sources, person, "acknowledged", asked.key, said.reason)


@post("/alerts/{key}/close", ACT)
def close(sources: Sources, person: Person, asked: Key, said: Because) -> Said:
    """Closes a finding, which does not end by itself."""
    if not said.reason.strip():
        raise Problem(400, "say why: whoever reads it later wants to know")
    return _say(sources, person, "closed", asked.key, said.reason)


def _say(sources: Sources, person: Person, word: Literal["acknowledged", "closed"], key: str, reason: str) -> Said:
    one = _theirs(sources.alerts(), person, key)
    _require_acts(person, one.alert.kind)
    told = say(sources.talk(person), word, key, person.name, reason.strip())
    sources.alerts.forget()
    return told


@get("/silences", EVERYONE - {"store"})
def silences(sources: Sources, person: Person, asked: SilencesAsked) -> Silences:
    """What somebody does not want to be told for a while; the ones that last come first, then those that have ended."""
    found = [_covering(one) for one in sources.alerts().silences.values() if _sees_silence(person, one)]
    found.sort(key=lambda one: (one.state != "lasting", -one.until_ms))
    return Silences(*page(found, asked.limit, asked.after, lambda one: one.id))


@post("/silences", ACT)
def add_silence(sources: Sources, person: Person, asked: Nothing, said: Wish) -> Said:
    """Silences what matches for a while: it is listed, and not sent."""
    matchers = {name: glob for name, glob in said.matchers.items() if glob}
    kinds = acts_on(person)
    if len(kinds) == 1:
        matchers.setdefault("kind", *kinds)
    if not _is_theirs(person, matchers):
        raise Problem(403, f"name the kind of alert that it covers, one of yours: kind={', kind='.join(sorted(kinds))}")
    told = silence(sources.talk(person), matchers, said.last, person.name, said.reason)
    sources.alerts.forget()
    return told


@post("/silences/{id}/end", ACT)
def stop_silence(sources: Sources, person: Person, asked: Id, said: Because) -> Said:
    """Ends a silence before its time."""
    one = sources.alerts().silences.get(asked.id)
    if one is None or not _sees_silence(person, one):
        raise Problem(404, f"there is no silence {asked.id!r}")
    if not _is_theirs(person, one.matchers):
        raise Problem(403, "this silence covers alerts that are not yours to act on")
    told = unsilence(sources.talk(person), asked.id, person.name, said.reason)
    sources.alerts.forget()
    return told


def may_see(person: Person, one: Standing) -> bool:
    """A store manager sees incidents of their own stores; findings are for those who look into them."""
    alert = one.alert
    if person.is_limited:
        return alert.kind == "kpi" and alert.labels.get("store", "") in person.stores
    return alert.kind != STAFF or bool(person.roles & SEE_STAFF)


def acts_on(person: Person) -> set[str]:
    """Kinds of alerts on which they have a say."""
    kinds = {STAFF} if "security" in person.roles else set()
    return kinds | (set(OTHERS) if person.roles & {"marketing", "engineer"} else set())


def _require_acts(person: Person, kind: str) -> None:
    if kind not in acts_on(person):
        raise Problem(
            403,
            f"on a {kind} alert others decide: the "
            + ("security team" if kind == STAFF else "marketing team or engineers"),
        )


def _is_theirs(person: Person, matchers: dict[str, str]) -> bool:
    """Whether all that these cover is theirs to act on."""
    kinds = acts_on(person)
    return kinds == {STAFF, *OTHERS} or matchers.get("kind", "") in kinds


def _sees_silence(person: Person, one: Silence) -> bool:
    return bool(person.roles & SEE_STAFF) or one.matchers.get("kind") in OTHERS or _is_theirs(person, one.matchers)


def _theirs(state: State, person: Person, key: str) -> Standing:
    one = state.book.get(key)
    if one is None or not may_see(person, one):
        raise Problem(404, f"there is no alert {key!r}: it may be over for so long that it is no longer listed")
    return one


def row_of(one: Standing) -> Row:
    alert = one.alert
    return Row(
        key=alert.key,
        kind=alert.kind,
        severity=alert.severity,
        state=word_of(one),
        firing=one.firing,
        entity=alert.entity,
        store=alert.labels.get("store", ""),
        title=alert.title,
        why=alert.why,
        count=one.count,
        started_ms=alert.started_ms,
        at_ms=alert.at_ms,
        opened_ms=one.opened_ms,
        ended_ms=one.ended_ms,
        by=one.ended_by or one.acknowledged_by,
    )


def _covering(one: Silence) -> Covering:
    state = "lasting" if wall_ms() < one.until_ms else "ended"
    return Covering(one.id, state, one.matchers, one.by, one.reason, one.at_ms, one.until_ms, one.ended_by)


ENDPOINTS = (alerts, alert, evidence, case, acknowledge, close, silences, add_silence, stop_silence)
