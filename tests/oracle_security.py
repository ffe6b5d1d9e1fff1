"""The slow, obvious twin of the security job: every event looks at everything that came before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from features import events as ev

HOUR_MS = 3_600_000


@dataclass
class Count:
    """One correlation, written as plainly as it can be said."""

    rule_id: str
    kind: str
    span_ms: int
    at_least: float
    of_actions: set[str]
    field: str = ""
    group_by: tuple[str, ...] = ("actor",)


@dataclass
class House:
    """What one partition found: (rule id, group, deciding event id, observed), and what became of the events."""

    counts: list[Count]
    retention_hours: int
    found: list[tuple[str, tuple[str, ...], str, float]] = field(default_factory=list)
    fates: dict[str, int] = field(default_factory=dict)

    def judge(self, log: list[ev.Event]) -> None:
        """All events of one partition, in order."""
        now_ms, ids = 0, set()
        past: dict[tuple[str, tuple[str, ...]], list[tuple[int, Any]]] = {}
        fired: dict[tuple[str, tuple[str, ...]], list[int]] = {}
        for event in log:
            if isinstance(event, ev.Tick):
                now_ms = max(now_ms, event.at_ms)
                continue
            assert isinstance(event, ev.Audit)
            hour = event.at_ms // HOUR_MS
            if (hour + 1 + self.retention_hours) * HOUR_MS <= now_ms:
                self._fate("dead_lettered")
            elif (hour, event.id) in ids:
                self._fate("duplicates")
            else:
                ids.add((hour, event.id))
                self._fate("applied")
                for count in self.counts:
                    self._count(count, event, now_ms, past, fired)

    def _fate(self, name: str) -> None:
        self.fates[name] = self.fates.get(name, 0) + 1

    def _count(self, count: Count, event: Any, now_ms: int, past: Any, fired: Any) -> None:
        action = event.action if isinstance(event, ev.AuditAccess) else "export"
        value = getattr(event, count.field) if count.field else 1
        if action not in count.of_actions or not value:
            return
        group = tuple(getattr(event, name) for name in count.group_by)
        key, at_ms, span_ms = (count.rule_id, group), event.at_ms, count.span_ms
        past.setdefault(key, []).append((at_ms, value))
        alive = [(then_ms, what) for then_ms, what in past[key] if then_ms + 2 * span_ms > now_ms]
        quiet = any(abs(at_ms - then) < span_ms and then + 2 * span_ms > now_ms for then in fired.get(key, []))
        if quiet or at_ms + 2 * span_ms <= now_ms:
            return
        ends = {then_ms for then_ms, _ in alive if at_ms <= then_ms < at_ms + span_ms}
        windows = [[what for then_ms, what in alive if end - span_ms < then_ms <= end] for end in ends]
        observed = max(measure(count.kind, window) for window in windows)
        if observed >= count.at_least:
            fired.setdefault(key, []).append(at_ms)
            self.found.append((count.rule_id, group, event.id, observed))


def measure(kind: str, window: list[Any]) -> float:
    return len(set(window)) if kind == "value_count" else sum(window)


def weighted_mean(values: list[float], weight: float) -> float:
    """The mean of the first 1 / weight values is plain; then each new one counts `weight`."""
    plain = round(1 / weight)
    mean = fmean(values[:plain])
    for value in values[plain:]:
        mean = (1 - weight) * mean + weight * value
    return mean
