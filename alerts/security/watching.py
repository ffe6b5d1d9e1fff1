"""What is remembered of actors and their peers beyond the rules, for one batch: habits, risk, cases, what is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec import Struct

from alerts.security import cases, habits
from alerts.security.cases import Case, decode_case
from alerts.security.fields import NOWHERE, Fields
from alerts.security.finding import Finding
from alerts.security.habits import Habit, Peers, decode_habit, decode_peers
from alerts.security.networks import Networks
from alerts.security.told import BARS, bar, told_of
from features.events import Audit, AuditTold

Kept = TypeVar("Kept", Habit, Peers, Case)


def records(event: Audit) -> list[str]:
    """Those that an event needs."""
    own = [cases.record(event.actor)]
    if isinstance(event, AuditTold):
        return [*own, habits.record(event.actor)] if event.action in BARS else own
    return [*own, habits.record(event.actor), *habits.peer_records(event)]


class Watching(Struct):
    """One batch over what the store held; `now_ms` is the clock at its event."""

    stored: Mapping[str, bytes]
    networks: Networks = NOWHERE
    habits: dict[str, Habit] = {}
    peers: dict[str, Peers] = {}
    cases: dict[str, Case] = {}
    told: list[AuditTold] = []

    def look(self, event: Audit, fields: Fields, findings: list[Finding], now_ms: int, stamp_ms: int) -> list[Finding]:
        """The findings of one event with their case, and perhaps one more."""
        signals = []
        if isinstance(event, AuditTold):
            if event.action in BARS:
                self.told += bar(self._habit(event.actor, now_ms), event)
        elif event.result == "ok" or self._known(event.actor):
            habit, names = self._habit(event.actor, now_ms), habits.peer_records(event)
            circles = [_kept(name, self.peers, self.stored, decode_peers, Peers, now_ms) for name in names]
            self.told += told_of(event, habit)
            signals = habits.observe(habit, circles, event, fields, self.networks.find(event.client_ip))
        if not findings and not signals:
            return []
        case = _kept(cases.record(event.actor), self.cases, self.stored, decode_case, Case, now_ms)
        return cases.weigh(case, event, findings, signals, stamp_ms)

    def weigh(self, finding: Finding, now_ms: int) -> Finding:
        """A finding that no event has made, with its case."""
        case = _kept(cases.record(finding.actor), self.cases, self.stored, decode_case, Case, now_ms)
        return cases.join(case, finding)

    @property
    def records(self) -> dict[str, Habit | Peers | Case]:
        """Those that may have changed."""
        return {**self.habits, **self.peers, **self.cases}

    def _habit(self, actor: str, now_ms: int) -> Habit:
        return _kept(habits.record(actor), self.habits, self.stored, decode_habit, Habit, now_ms)

    def _known(self, actor: str) -> bool:
        """Whether the actor was ever let in: names that somebody tries leave nothing behind."""
        name = habits.record(actor)
        return name in self.habits or name in self.stored


def _kept(
    name: str,
    found: dict[str, Kept],
    stored: Mapping[str, bytes],
    decode: Callable[[bytes], Kept],
    new: Callable[[], Kept],
    now_ms: int,
) -> Kept:
    """A new one where the old has run out, whether or not its timer has come."""
    kept = found.get(name)
    if kept is None:
        raw = stored.get(name)
        kept = decode(raw) if raw else new()
        kept = new() if raw and kept.due_ms <= now_ms else kept
        found[name] = kept
    return kept
