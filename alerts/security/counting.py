"""The groups of correlations that one batch touches, over what the store held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from alerts.security import cases, roster
from alerts.security.spoken import decode_by
from alerts.sigma.correlating import Correlation, is_group
from alerts.sigma.engine import Engine, Fired
from alerts.sigma.group import Group, Open, decode_group, encode_group
from features.job import Changes, State


class Counting:
    """`find` and `lose` are what the engine asks for. At most about `most` groups are kept."""

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
            if rule := self.engine.closing(group):
                self.groups[name] = Open(group, rule)
        for open in self.groups.values():
            yield from self.engine.close(open.group, now_ms)

    def put(self, changes: Changes, now_ms: int) -> None:
        """Keeps the groups that the clock has not passed; the others end, as do those whose timer has come."""
        dues = {name: open.group.due_ms(open.rule) for name, open in self.groups.items()}
        kept = {name: open for name, open in self.groups.items() if dues[name] > now_ms}
        due = {name for _, name in self.state.due if is_group(name)}
        there = due | (self.groups.keys() & self.state.records.keys())
        if kept or there:
            roster.keep(kept, len(there - kept.keys()), self.state, changes, self.most, self.counts)
        for name, open in self.groups.items():
            put(changes, name, encode_group(open.group), dues[name], now_ms)


def timer_records(engine: Engine, due: list[tuple[int, str]]) -> list[str]:
    """What must be known of groups whose timers have come."""
    names = [name for _, name in due if is_group(name)]
    return [*(names if engine.closes else ()), *([roster.RECORD] if names else ())]


def with_roster(records: set[str]) -> list[str]:
    return sorted(records | {roster.RECORD} if any(map(is_group, records)) else records)


def follow(engine: Engine, records: list[str], most: int) -> Callable[[Mapping[str, bytes]], list[str]]:
    """The further records that those found lead to."""
    asked = [name for name in records if is_group(name)]

    def more(found: Mapping[str, bytes]) -> list[str]:
        return [*(cases_of(found) if engine.closes else ()), *roster.needed(asked, most, found)]

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
