"""Runs the timelines that stand in a rule file through the same job that runs live."""

from __future__ import annotations

from math import log, log1p
from operator import itemgetter

import orjson
from msgspec.structs import replace

from alerts.triggers.arms import Arms, Given
from alerts.triggers.condition import Conditions, over_catalog
from alerts.triggers.decide import Decider
from alerts.triggers.happenings import START_MS, ZONE, events_of, moment_ms
from alerts.triggers.job import CustomersJob
from alerts.triggers.policy import Policy
from alerts.triggers.rule import Rule, Timeline
from features import events as e
from features.catalog import Catalog
from features.job import Batch
from features.labels import NO_LABELS
from features.loop import run
from features.models import Curve, LinearModel
from features.offers import GIVEN, inputs_of
from features.outgoing import Drawn
from features.times import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    local_ms,
    parse_offset,
    spell_offsets,
)

TICK_MS = 10 * MINUTE_MS
ALWAYS = Policy(cap=1_000_000, cap_window_ms=DAY_MS, holdout=0.0, holdout_salt="test", consent="")


class OneArm(Arms):
    """Gives everybody the same one: that of this name, or the first that gives something."""

    def __init__(self, rule: Rule, name: str) -> None:
        super().__init__([rule], "", 0.0)
        gifts = rule.then.gifts
        first = next(iter(gifts))
        name = name or first
        arm = Drawn(name, 1.0) if rule.then.arms else None
        self.plain = {rule.id: Given(gifts.get(name, gifts[first]), arm, name not in gifts)}


def failures(rule: Rule, file: str, text: str, catalog: Catalog) -> list[str]:
    """One line for every timeline that does not come out as its rule file says. Raises WrongRule."""
    rule = replace(rule, enabled=True)
    conditions = over_catalog([(rule, file, text)], catalog)
    found = []
    for timeline in rule.test:
        wanted = sorted(parse_offset(at) for at in timeline.fires_at)
        fired = sorted(firings(rule, timeline, conditions, catalog))
        if fired != wanted:
            place = timeline.place(text, file)
            found.append(f"{place}: fired at {spell_offsets(fired)}, expected {spell_offsets(wanted)}")
    return found


def firings(rule: Rule, timeline: Timeline, conditions: Conditions, catalog: Catalog) -> list[int]:
    """When the rule gives its coupon, in ms from the start; consent, caps, holdout and quiet hours do not interfere."""
    decider = Decider(catalog, conditions, ALWAYS, "coupons", "decisions")
    decider.arms = OneArm(rule, timeline.arm)
    inputs = inputs_of(catalog)
    decider.models = {m: _constant(m, x, inputs[m], catalog.tasks[m].link) for m, x in timeline.scores.items()}
    job = CustomersJob(catalog, decider, NO_LABELS, "examples", "dead-letters")
    values = _records(rule, timeline)
    batch = Batch("events", 0, -1, list(range(len(values))), values, [0] * len(values))
    coupons = [orjson.loads(m.value) for m in run(job, [batch])[0].sent if m.topic == "coupons"]
    return [coupon["data"]["at_ms"] - START_MS for coupon in coupons]


def _records(rule: Rule, timeline: Timeline) -> list[bytes]:
    """Each event behind a tick of its time; and a tick every ten minutes for a day, then every hour, until all waits
    are over."""
    events = sorted(events_of(timeline.events), key=lambda event: event.at_ms)
    end_ms = _over_ms(rule, events) + DAY_MS
    hurries = rule.max_event_age_ms is not None and rule.max_event_age_ms < 2 * HOUR_MS
    ticks = set(range(START_MS, end_ms + HOUR_MS, TICK_MS if hurries else HOUR_MS))
    for event in events:
        ticks |= {event.at_ms, *range(event.at_ms - event.at_ms % TICK_MS, event.at_ms + DAY_MS, TICK_MS)}
    records = [(at_ms, False, _tick(at_ms)) for at_ms in ticks] + [(v.at_ms, True, e.encode(v)) for v in events]
    return [record for _, _, record in sorted(records, key=itemgetter(0, 1))]


def _over_ms(rule: Rule, events: list[e.Event]) -> int:
    """When the rule has looked for the last time where nothing happens, or will do so next year only."""
    first_ms, last_ms = events[0].at_ms, events[-1].at_ms
    if rule.at:
        now_ms = local_ms(last_ms, ZONE)
        return last_ms + next((wall_ms - now_ms for wall_ms in rule.at.wall_ms(rule.dates) if wall_ms > now_ms), 0)
    if rule.after is None:
        return last_ms
    begins_ms = [moment_ms(event) if rule.after.until else event.at_ms for event in events]
    longest_ms = rule.after.longest_ms(last_ms - first_ms)
    return max([last_ms, *(begin_ms + longest_ms for begin_ms in begins_ms)])


def _tick(at_ms: int) -> bytes:
    return e.encode(e.Tick(id=str(at_ms), at_ms=at_ms, source="test", of=1))


def _constant(name: str, score: float, inputs: list[str], link: str) -> LinearModel:
    """A model that says the same of everybody; of uplift, half above what it is without the coupon and half below."""
    if GIVEN not in inputs:
        bias = _logit(score) if link == "logit" else log1p(score)
        return LinearModel(name, 1, "", 0, inputs, [Curve()] * len(inputs), bias, link)
    without, given = _logit((1 - score) / 2), _logit((1 + score) / 2)
    raised = Curve([0.0, 1.0], [0.0, given - without])
    curves = [raised if feature == GIVEN else Curve() for feature in inputs]
    return LinearModel(name, 1, "", 0, inputs, curves, without)


def _logit(probability: float) -> float:
    return log(probability / (1 - probability)) if 0 < probability < 1 else 30.0 * (1 if probability else -1)
