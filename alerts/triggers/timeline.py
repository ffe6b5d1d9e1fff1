"""Runs the timelines that stand in a rule file through the same job that runs live."""

from __future__ import annotations

from math import log, log1p
from operator import itemgetter
from typing import Any

import msgspec
import orjson
from msgspec import Struct
from msgspec.structs import replace

from alerts.triggers.arms import Arms, Given
from alerts.triggers.condition import Conditions, over_catalog
from alerts.triggers.decide import Decider
from alerts.triggers.job import CustomersJob
from alerts.triggers.policy import Policy
from alerts.triggers.rule import Rule, Timeline, WrongRule
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
    MINUTE_MS,
    local_day,
    local_ms,
    midnight_ms,
    next_day,
    parse_duration,
    parse_offset,
    spell_offsets,
)
from features.written import hint

START_MS = 1_777_824_000_000  # Monday, 4 May 2026, 00:00 in the test's time zone
ZONE = "Asia/Shanghai"
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


class Times(Struct):
    """When a written event happens, and how often."""

    at: str = "+0s"
    repeat: int = 1
    every: str = "1d"


TIMES = Times.__struct_fields__


def failures(rule: Rule, file: str, text: str, catalog: Catalog) -> list[str]:
    """One line for every timeline that does not come out as its rule file says. Raises WrongRule."""
    rule = replace(rule, enabled=True)
    conditions = over_catalog([(rule, file, text)], catalog)
    found = []
    for timeline in rule.test:
        try:
            wanted = sorted(parse_offset(at) for at in timeline.fires_at)
        except ValueError as error:
            raise WrongRule(f"{file}: test {timeline.name!r}: fires_at: {error}") from error
        fired = sorted(firings(rule, timeline, conditions, catalog, file))
        if fired != wanted:
            found.append(
                f"{file}: test {timeline.name!r}: fired at {spell_offsets(fired)}, expected {spell_offsets(wanted)}"
            )
    return found


def firings(rule: Rule, timeline: Timeline, conditions: Conditions, catalog: Catalog, file: str) -> list[int]:
    """When the rule gives its coupon, in ms from the start; consent, caps, holdout and quiet hours do not interfere."""
    decider = Decider(catalog, conditions, ALWAYS, "coupons", "decisions")
    for model, score in timeline.scores.items():
        place = f"{file}: test {timeline.name!r}"
        if model not in catalog.models:
            raise WrongRule(f"{place}: there is no model {model!r}{hint(model, catalog.models)}")
        if catalog.tasks[model].link == "logit" and score > 1:
            raise WrongRule(f"{place}: scores: found {model} = {score:g}, expected a probability, from 0 to 1")
    decider.arms = OneArm(rule, timeline.arm)
    inputs = inputs_of(catalog)
    decider.models = {m: _constant(m, x, inputs[m], catalog.tasks[m].link) for m, x in timeline.scores.items()}
    job = CustomersJob(catalog, decider, NO_LABELS, "examples", "dead-letters")
    values = _records(rule, timeline, file)
    batch = Batch("events", 0, -1, list(range(len(values))), values, [0] * len(values))
    coupons = [orjson.loads(m.value) for m in run(job, [batch])[0].sent if m.topic == "coupons"]
    return [coupon["data"]["at_ms"] - START_MS for coupon in coupons]


def _records(rule: Rule, timeline: Timeline, file: str) -> list[bytes]:
    """Each event behind a tick of its time; and a tick every ten minutes, until all waits are over."""
    events = sorted(events_of(timeline, file), key=lambda event: event.at_ms)
    last_ms = max([event.at_ms for event in events], default=START_MS)
    end_ms = last_ms + _wait_ms(rule, last_ms) + DAY_MS
    ticks = {event.at_ms for event in events} | set(range(START_MS, end_ms + TICK_MS, TICK_MS))
    records = [(at_ms, False, _tick(at_ms)) for at_ms in ticks] + [(v.at_ms, True, e.encode(v)) for v in events]
    return [record for _, _, record in sorted(records, key=itemgetter(0, 1))]


def _wait_ms(rule: Rule, from_ms: int) -> int:
    """How long it may be until the rule looks again where nothing happens."""
    if rule.at is None:
        return rule.after.longest_ms if rule.after else 0
    now_ms = local_ms(from_ms, ZONE)
    return next((wall_ms - now_ms for wall_ms in rule.at.wall_ms(rule.dates) if wall_ms > now_ms), 0)


def _tick(at_ms: int) -> bytes:
    return e.encode(e.Tick(id=str(at_ms), at_ms=at_ms, source="test", of=1))


def events_of(timeline: Timeline, file: str) -> list[e.Event]:
    """What happens in it, in the order of the file. Raises WrongRule."""
    events: list[e.Event] = []
    for written in timeline.events:
        try:
            times = msgspec.convert({key: written[key] for key in TIMES if key in written}, Times)
            at_ms, every_ms = parse_offset(times.at), parse_duration(times.every)
            raw = {key: value for key, value in written.items() if key not in TIMES}
            events += [_event(raw, at_ms + i * every_ms, len(events) + i) for i in range(times.repeat)]
        except ValueError as error:
            raise WrongRule(f"{file}: test {timeline.name!r}: event {written}: {error}") from error
    return events


def _event(written: dict[str, Any], from_start_ms: int, number: int) -> e.Event:
    """Raises ValueError."""
    raw = {"id": f"e{number}", **written}
    if raw.get("type") == "order":
        raw.setdefault("total_cents", 1800)
        raw.setdefault("lines", [{"sku": "milk-tea", "price_cents": raw["total_cents"]}])
    if raw.get("type") == "weather":
        raise ValueError("the weather is told by the events that it is asked of: write temp_c, rain_mm there")
    event: e.Event = msgspec.convert(raw, e.CustomerEvent)
    known = [*event.__struct_fields__, "type"]
    for key in written:
        if key not in known:
            raise ValueError(f"unknown key {key!r}{hint(key, known)}")
    event.at_ms, event.customer, event.tz = START_MS + from_start_ms, "c-test", ZONE
    event.day = local_day(event.at_ms, ZONE)
    if isinstance(event, e.Placed) and e.WEATHER & raw.keys():
        event.weather_ms = event.at_ms
    if isinstance(event, e.Placed) and e.LOAD & raw.keys():
        event.load_ms = event.at_ms
    elif isinstance(event, e.Refund):
        event.ordered_ms, event.ordered_day = event.at_ms, event.day
    elif isinstance(event, e.DeliveryPromised):
        event.promised_ms = START_MS + parse_offset(str(event.promised_time))
    elif isinstance(event, e.Suppress) and event.until_time:
        event.until_ms = START_MS + parse_offset(str(event.until_time))
    elif isinstance(event, e.Profile):
        event.birthday_ms = midnight_ms(next_day(event.birthday, event.day), ZONE)
    return event


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
