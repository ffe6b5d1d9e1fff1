"""Correlations of every type equal a twin that looks at all that came before, for any order, lateness and cuts."""

from __future__ import annotations

from itertools import combinations, pairwise
from statistics import fmean, median
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.sigma import group as groups
from alerts.sigma.logsource import LogSource
from alerts.sigma.reading import load
from alerts.sigma.stream import Alert, Stream, Told

SOURCE = LogSource("p")
SPAN_MS = 60_000
NAMES = ("login", "export", "wipe")
BASES = [
    {"title": name, "name": name, "logsource": {"product": "p"}, "detection": {"a": {"do": name}, "condition": "a"}}
    for name in NAMES
]


def rule(kind: str, condition: Any, rules: list[str], **more: Any) -> dict[str, Any]:
    about = {"type": kind, "rules": rules, "group-by": ["who"], "timespan": "1m", "condition": condition, **more}
    return {"title": "c", "name": "c", "correlation": {k: v for k, v in about.items() if v is not None}}


RULES = {
    "event_count": rule("event_count", {"gte": 3}, ["login", "export"]),
    "value_count": rule("value_count", {"field": "what", "gt": 1}, ["login"]),
    "values_count": rule("value_count", {"field": ["what", "rows"], "gte": 3}, ["login"]),
    "value_sum": rule("value_sum", {"field": "rows", "gte": 7}, ["login", "export"]),
    "value_avg": rule("value_avg", {"field": "rows", "gt": 3}, ["login"]),
    "value_percentile": rule("value_percentile", {"field": "rows", "gte": 4, "percentile": 75}, ["login", "export"]),
    "value_median": rule("value_median", {"field": "rows", "gt": 2.5}, ["login", "export"]),
    "temporal": rule("temporal", None, ["login", "export", "wipe"]),
    "two_of_three": rule("temporal", {"gte": 2}, ["login", "export", "wipe"]),
    "either": rule("temporal", "(login and export) or wipe", ["login", "export", "wipe"]),
    "temporal_ordered": rule("temporal_ordered", None, ["login", "export", "login"]),
    "ordered_2": rule("temporal_ordered", {"gte": 2}, ["wipe", "export", "login"]),
    "few": rule("event_count", {"lt": 3}, ["login"]),
    "range": rule("event_count", {"gt": 1, "lte": 3}, ["login", "export"]),
    "exactly": rule("value_sum", {"field": "rows", "eq": 5}, ["login"]),
    "low_median": rule("value_median", {"field": "rows", "lte": 2}, ["login", "export"]),
    "without": rule("temporal", "login and not export", ["login", "export"]),
}


def loaded(*documents: dict[str, Any]) -> Any:
    rules, refused = load([("r.yml", yaml.safe_dump_all([*BASES, *documents]))])
    assert refused == []
    return rules


@st.composite
def logs(draw: st.DrawFn) -> list[Told]:
    """Times on a grid that the timespan shares, so that events meet at the edges; some come late."""
    now_ms, log = 1_000_000, []
    for n in range(draw(st.integers(1, 25))):
        now_ms += draw(st.sampled_from([0, 10_000, 20_000, 30_000, 60_000]))
        at_ms = now_ms - draw(st.sampled_from([0, 0, 0, 10_000, 30_000, 60_000, 110_000, 130_000]))
        fields: dict[str, Any] = {
            "do": draw(st.sampled_from(NAMES)),
            "who": draw(st.sampled_from(["ann", "ann", "bob"])),
        }
        fields |= {
            "what": draw(st.sampled_from(["x", "y", "z", None])),
            "rows": draw(st.sampled_from([1, 2, 5, "3", 0])),
        }
        log.append(Told(SOURCE, at_ms, f"e{n}", fields))
    return log


def found(document: dict[str, Any], log: list[Told], cuts: list[int]) -> list[Alert]:
    stream = Stream(loaded(document), lateness_ms=20_000)
    edges = sorted({0, len(log), *(cut for cut in cuts if cut < len(log))})
    alerts = [a for low, high in pairwise(edges) for a in stream.feed(log[low:high])]
    return [*alerts, *stream.end(10_000_000)]


class Twin:
    """One correlation, as plainly as it can be said."""

    def __init__(self, about: dict[str, Any]) -> None:
        self.about = about["correlation"]
        self.rules: list[str] = self.about["rules"]
        self.condition = self.about.get("condition")
        self.held: dict[str, list[Told]] = {}
        self.fired: dict[str, list[int]] = {}
        self.closed: dict[str, int] = {}
        self.found: list[tuple[str, str]] = []

    def judge(self, log: list[Told]) -> list[tuple[str, str]]:
        now_ms = 0
        for told in log:
            now_ms = max(now_ms, told.at_ms - 20_000)
            self._close(now_ms)
            if told.fields["do"] in self.rules and self._value(told) is not None:
                (self._rising if self._rises() else self._wait)(told, now_ms)
        self._close(10_000_000)
        return self.found

    def _rises(self) -> bool:
        if isinstance(self.condition, str):
            return "not" not in self.condition
        return not {"lt", "lte", "eq", "neq"} & {*(self.condition or {})}

    def _value(self, told: Told) -> Any:
        fields = (self.condition or {}).get("field") if not isinstance(self.condition, str) else None
        if not fields:
            return told.fields["do"]
        values = tuple(told.fields[name] for name in ([fields] if isinstance(fields, str) else fields))
        if self.about["type"] == "value_count":
            return None if any(value is None or value == "" for value in values) else tuple(map(str, values))
        number = float(values[0])
        return None if self.about["type"] == "value_sum" and number == 0 else number

    def _rising(self, told: Told, now_ms: int) -> None:
        who, at_ms = told.fields["who"], told.at_ms
        if at_ms <= now_ms - 2 * SPAN_MS:
            return
        kept = [each for each in self.held.get(who, []) if each.at_ms > now_ms - 2 * SPAN_MS]
        self.held[who] = kept = sorted([*kept, told], key=lambda each: each.at_ms)
        fired = [then for then in self.fired.get(who, []) if then > now_ms - 2 * SPAN_MS]
        if any(abs(at_ms - then) < SPAN_MS for then in fired):
            return
        ends = {each.at_ms for each in kept if at_ms <= each.at_ms < at_ms + SPAN_MS}
        windows = [[each for each in kept if end - SPAN_MS < each.at_ms <= end] for end in ends]
        if any(self._reached(window) for window in windows):
            self.fired.setdefault(who, []).append(at_ms)
            self.found.append((told.id, who))

    def _wait(self, told: Told, now_ms: int) -> None:
        who = told.fields["who"]
        if told.at_ms >= self.closed.get(who, 0) and told.at_ms + SPAN_MS > now_ms:
            self.held[who] = sorted([*self.held.get(who, []), told], key=lambda each: each.at_ms)

    def _close(self, now_ms: int) -> None:
        if self._rises():
            return
        for who in self.held:
            while self.held[who] and (end_ms := self.held[who][0].at_ms + SPAN_MS) <= now_ms:
                window = [each for each in self.held[who] if each.at_ms < end_ms]
                self.held[who] = self.held[who][len(window) :]
                self.closed[who] = end_ms
                if self._reached(window):
                    self.found.append((window[-1].id, who))

    def _reached(self, window: list[Told]) -> bool:
        kind, done = self.about["type"], [each.fields["do"] for each in window]
        values: Any = [self._value(each) for each in window]
        if isinstance(self.condition, str):
            return bool(eval(self.condition, {name: name in done for name in NAMES}))
        if kind == "temporal":
            measured: Any = len({*done} & {*self.rules})
        elif kind == "temporal_ordered":
            lengths = range(len(self.rules) + 1)
            measured = max(n for n in lengths if tuple(self.rules[:n]) in {*combinations(done, n)})
        elif kind == "event_count":
            measured = len(window)
        elif kind == "value_count":
            measured = len({*values})
        elif kind == "value_percentile":
            measured = float(np.percentile(values, self.condition["percentile"]))
        else:
            measured = {"value_sum": sum, "value_avg": fmean, "value_median": median}[kind](values)
        limits = {k: v for k, v in (self.condition or {"gte": len(self.rules)}).items() if k in OPS}
        return all(OPS[op](measured, limit) for op, limit in limits.items())


OPS: dict[str, Any] = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
    "eq": lambda a, b: a == b,
    "neq": lambda a, b: a != b,
}


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=20, deadline=None)
@given(log=logs(), cuts=st.lists(st.integers(1, 20), max_size=3), short=st.sampled_from([1, 3, 16]))
def test_a_correlation_finds_what_its_twin_finds(name: str, log: list[Told], cuts: list[int], short: int) -> None:
    """`short`: from how many events on the latest window is kept up instead of looked at anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "SHORT", short)
        alerts = [(alert.id, *alert.values) for alert in found(RULES[name], log, cuts) if alert.rule_id == "c"]
    assert sorted(alerts) == sorted(Twin(RULES[name]).judge(log))
