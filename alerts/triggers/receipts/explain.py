"""Why a rule fired or did not, in words: of a decision that was taken, and of one that would be taken at some time."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl
from msgspec import Struct
from polars.exceptions import PolarsError

from alerts.triggers.condition import CLOCK, FACTS, OF_EVENTS, Types
from alerts.triggers.gates import Gate
from alerts.triggers.gifts import Then
from alerts.triggers.receipts import spoken
from alerts.triggers.receipts.clauses import Asked, Truth, Value, ask, clauses_of, nearest_first
from alerts.triggers.receipts.kept import Kept
from alerts.triggers.rule import Rule
from features.outgoing import Braked, Drawn, Points

IDLE = "not_waiting"  # of a rule that looks when a wait is over, where none runs
OF_THE_EVENT = {*OF_EVENTS, *FACTS} - set(CLOCK)


class Line(Struct):
    """A clause: how it is written, whether it held, what it saw and what it needs."""

    clause: str
    of: str  # "when", or the key of the schedule
    holds: Truth
    found: str
    needs: str
    values: dict[str, Value]


class Score(Struct):
    """A score, and what moved it most: by feature, what it added to the logit."""

    value: float | None
    terms: dict[str, float]
    version: int = 0  # of the model


class Told(Struct):
    """A decision that was taken. `rule_file`: how the rule stands now; `clauses` is empty where its file of then, or
    a feature in it, is not known any more."""

    decision: str
    rule: str
    rule_version: str
    rule_file: str  # "unchanged", "changed since", "gone"
    outcome: str
    reason: str
    gift: str
    at_ms: int
    clock_ms: int
    cause: str
    clauses: list[Line]
    scores: dict[str, Score]
    coupons_in_cap_window: int
    cap: int
    cooldown_until_ms: int
    holdout: bool
    until_ms: int = 0
    because: str = ""
    send_ms: int = 0
    send_why: str = ""
    arm: Drawn | None = None
    brake: Braked | None = None
    ran_out: str = ""
    on_channel: int = 0
    channel_cap: int = 0
    points: Points | None = None


class Barrier(Struct):
    """A gate in words."""

    outcome: str
    is_open: bool
    until_ms: int
    words: str


class Outlook(Struct):
    """What a rule would do. `would_fire` is None where that hangs on the event that asks."""

    rule: str
    name: str
    rule_version: str
    at_ms: int
    would_fire: Truth
    outcome: str
    reason: str
    looks: str
    due_ms: int  # when it looks next, if a wait runs; else 0
    gift: str
    clauses: list[Line]
    barriers: list[Barrier]
    to_change: list[str]
    scores: dict[str, Score]


def told(kept: Kept, then: Rule | None, current: Rule | None, schema: Types) -> Told:
    """`then`: the rule as it stood, if that is known; `current`: as its file says now, if there is one."""
    return Told(
        decision=kept.decision,
        rule=kept.rule,
        rule_version=kept.rule_version,
        rule_file=_file(kept, current),
        outcome=kept.outcome,
        reason=_reason(kept),
        gift=_gift(kept, then.then) if then else "",
        at_ms=kept.at_ms,
        clock_ms=kept.clock_ms,
        cause=spoken.cause(kept.cause),
        clauses=_seen_then(kept, then, schema) if then else [],
        scores={
            name: Score(_number(kept.values.get(name)), terms, kept.models.get(name, 0))
            for name, terms in kept.terms.items()
        },
        coupons_in_cap_window=kept.coupons_in_cap_window,
        cap=kept.cap,
        cooldown_until_ms=kept.cooldown_until_ms,
        holdout=kept.holdout,
        until_ms=kept.until_ms,
        because=kept.because,
        send_ms=kept.send_ms,
        send_why=kept.send_why,
        arm=kept.arm,
        brake=kept.brake,
        ran_out=kept.ran_out,
        on_channel=kept.on_channel,
        channel_cap=kept.channel_cap,
        points=kept.points,
    )


def _reason(kept: Kept) -> str:
    because = spoken.because(kept.outcome, kept.because) if kept.because else ""
    if kept.points:
        because = spoken.points(kept.points, kept.because)
    if kept.outcome == "budget" and kept.ran_out:
        because = f"that of {spoken.pot(kept.ran_out)}"
    return spoken.outcome(kept.outcome) + (f" ({because})" if because else "")


def _gift(kept: Kept, then: Then) -> str:
    """Of a rule with arms, that of the arm that was drawn."""
    if kept.arm is None:
        return spoken.gift(then)
    gift = then.gifts.get(kept.arm.name)
    return spoken.gift(gift) if gift else ""


def _seen_then(kept: Kept, rule: Rule, schema: Types) -> list[Line]:
    """Nothing where it speaks of a feature that is not declared any more."""
    try:
        asked = ask(clauses_of(rule, schema), with_texts(kept.values, schema), schema)
    except PolarsError:
        return []
    return [_line(one, rule) for one in nearest_first(asked)]


def outlook(
    rule: Rule,
    values: Mapping[str, Value],
    scores: Mapping[str, Score],
    gates: list[tuple[Gate, str]],
    schema: Types,
    at_ms: int,
    due_ms: int,
    seen_ms: int | None = None,
) -> Outlook:
    """`values`: all that conditions can look at, None where it is not known; `gates`: each with its words; `seen_ms`:
    when the latest event came after which the rule would wait."""
    open_names = hangs_on_event(rule)
    asked = nearest_first(ask(clauses_of(rule, schema), with_texts(values, schema, open_names), schema))
    fires, outcome = verdict(rule, asked, [gate for gate, _ in gates], due_ms)
    read = {name for one in asked for name in one.clause.names}
    missing = [one for one in asked if one.holds is not True]
    shut = [words for gate, words in gates if not gate.is_open]
    idle = [spoken.idle(rule, seen_ms is not None)] if outcome == IDLE else []
    return Outlook(
        rule=rule.id,
        name=rule.name,
        rule_version=rule.version,
        at_ms=at_ms,
        would_fire=fires,
        outcome=outcome,
        reason=spoken.prospect(outcome),
        looks=spoken.looks(rule),
        due_ms=due_ms,
        gift=spoken.gift(rule.then),
        clauses=[_line(one, rule, open_names) for one in asked],
        barriers=[Barrier(gate.outcome, gate.is_open, gate.until_ms, words) for gate, words in gates],
        to_change=idle + [spoken.change(one, rule.schedule, open_names) for one in missing] + shut,
        scores={name: score for name, score in scores.items() if name in read},
    )


def verdict(rule: Rule, asked: list[Asked], gates: list[Gate], due_ms: int) -> tuple[Truth, str]:
    """Whether the rule would fire, and what the decision would come to; a clause without a value does not hold."""
    open_names = hangs_on_event(rule)
    hanging = [one for one in asked if one.holds is None and not open_names.isdisjoint(one.clause.names)]
    shut = [gate.outcome for gate in gates if not gate.is_open]
    if not rule.enabled:
        return False, "disabled"
    if not (rule.on or due_ms):
        return False, IDLE
    if any(one.holds is not True for one in asked if one not in hanging):
        return False, "condition_false"
    if shut:
        return False, shut[0]
    return (None, "hangs_on_event") if hanging else (True, "issued")


def hangs_on_event(rule: Rule) -> set[str]:
    """Names whose values are not known before the event that asks has come; a wait asks without one."""
    if not rule.on:
        return set()
    return OF_THE_EVENT - ({"event"} if told_event(rule) else set())


def told_event(rule: Rule) -> str:
    """The only event that asks, if there is one."""
    return rule.on[0] if len(rule.on) == 1 and not rule.waits else ""


def with_texts(values: Mapping[str, Value], schema: Types, unknown: Collection[str] = ()) -> dict[str, Value]:
    """As conditions see them: a text that there is not is empty, unless it is one that is not yet known."""
    texts = {name for name, value in values.items() if value is None and schema.get(name) == pl.String}
    return {**values, **dict.fromkeys(texts - set(unknown), "")}


def _line(asked: Asked, rule: Rule, open_names: Collection[str] = ()) -> Line:
    return Line(
        clause=spoken.clause(asked.clause, rule.schedule),
        of=asked.clause.of,
        holds=asked.holds,
        found=spoken.found(asked, open_names),
        needs=spoken.needs(asked, rule.schedule),
        values=asked.values,
    )


def _file(kept: Kept, current: Rule | None) -> str:
    if current is None:
        return "gone"
    return "unchanged" if current.version == kept.rule_version else "changed since"


def _number(value: Value) -> float | None:
    return value if isinstance(value, float) else None
