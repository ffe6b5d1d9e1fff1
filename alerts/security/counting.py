"""The groups of correlations that one batch touches, over what the store held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol

from alerts.security import cases, roster
from alerts.security.roster import ACTORS, GROUPS, Bounds, Listed, Roll
from alerts.security.spoken import decode_by
from alerts.sigma.correlating import Correlation, is_group
from alerts.sigma.engine import Engine, Fired
from alerts.sigma.group import Group, Open, decode_group, encode_group
from features.job import Changes, State


class Kept(Listed, Protocol):
    """A record about an actor; `due_ms` is from when on it means nothing."""

    @property
    def due_ms(self) -> int: ...


class Counting:
    """`find` and `lose` are what the engine asks for. `most` groups are kept, about."""

    def __init__(self, engine: Engine, state: State, counts: Counter[str], most: int) -> None:
        self.engine = engine
        self.state = state
        self.counts = counts
        self.most = most
        self.groups: dict[str, Open] = {}

    def find(self, name: str, rule: Correlation) -> Open:
        if name not in self.groups:
            raw = self.state.records.get(name)
            self.groups[name] = Open(decode_group(raw) if raw else Group(), rule)
        return self.groups[name]

    def lose(self, reason: str, count: int) -> None:
        self.counts[f"group_events_{reason}"] += count

    def close(self, now_ms: int) -> Iterator[Fired]:
        """What the clock has passed of windows that are judged as a whole."""
        if not self.engine.closes:
            return
        for _, name in self.state.due:
            raw = self.state.records.get(name) if is_group(name) and name not in self.groups else None
            group = decode_group(raw) if raw else Group()
            if rule := self.engine.closing(name, group):
                self.groups[name] = Open(group, rule)
        for name, open in self.groups.items():
            yield from self.engine.close(name, open.group, now_ms)

    def put(self, changes: Changes, now_ms: int) -> None:
        """Keeps the groups that the clock has not passed; the others end, as do those whose timer has come."""
        dues = {name: open.group.due_ms(open.rule) for name, open in self.groups.items()}
        kept = {name: open.group for name, open in self.groups.items() if dues[name] > now_ms}
        there = self.groups.keys() & self.state.records.keys()
        _list(GROUPS, kept, there, self.state, changes, self.most, self.counts)
        for name, open in self.groups.items():
            put(changes, name, encode_group(open.group), dues[name], now_ms)


def put_actors(
    found: Mapping[str, Kept], state: State, changes: Changes, now_ms: int, most: int, counts: Counter[str]
) -> None:
    """Keeps the records about actors that the clock has not passed, `most` of them."""
    kept = {name: record for name, record in found.items() if record.due_ms > now_ms}
    _list(ACTORS, kept, found.keys() & state.records.keys(), state, changes, most, counts)
    for name, record in found.items():
        put(changes, name, roster.encode(record), record.due_ms, now_ms)


def _list(
    roll: Roll,
    kept: Mapping[str, Listed],
    there: AbstractSet[str],
    state: State,
    changes: Changes,
    most: int,
    counts: Counter[str],
) -> None:
    """`there`: those of the batch that were stored."""
    before = there | {name for _, name in state.due if roll.lists(name)}
    if kept or before:
        roster.keep(roll, kept, len(before - kept.keys()), state, changes, most, counts)


def timer_records(engine: Engine, due: list[tuple[int, str]]) -> list[str]:
    """What must be known of records whose timers have come."""
    groups = [name for _, name in due if is_group(name)] if engine.closes else []
    return [*groups, *(roll.record for roll in (GROUPS, ACTORS) if any(roll.lists(name) for _, name in due))]


def with_rolls(records: set[str]) -> list[str]:
    return sorted(records | {GROUPS.record, ACTORS.record} if records else records)


def follow(engine: Engine, records: list[str], bounds: Bounds) -> Callable[[Mapping[str, bytes]], list[str]]:
    """The further records that those found lead to."""

    def more(found: Mapping[str, bytes]) -> list[str]:
        return [*(cases_of(found) if engine.closes else ()), *roster.needed(records, bounds, found)]

    return more


def put(changes: Changes, name: str, raw: bytes, due_ms: int, now_ms: int) -> None:
    """A record with the timer that ends it, unless the clock has passed that."""
    if due_ms > now_ms:
        changes.puts[name], changes.timers[name] = raw, due_ms
    else:
        changes.deletes.append(name)
        changes.timers[name] = None


def cases_of(found: Mapping[str, bytes]) -> list[str]:
    """The cases of whom a group was last about: its window may be over."""
    lasts = [decode_group(raw).last for name, raw in found.items() if is_group(name)]
    return [cases.record(decode_by(last.data).actor) for last in lasts if last and last.data]
