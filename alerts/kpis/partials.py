"""Clean events of one partition in, partial minutes out: what this partition alone has counted.

A partial minute carries the whole count so far and the offset of the last event that changed it, so
a repeat overwrites, an older one is recognised, and the same offset always means the same counts.
The partition's clock follows its partials to every target partition, so whoever has seen the clock
has seen all that was counted before it.

What says that customers are merged, and events that moved with them, count nothing here: they were counted before.
Every other event ends in exactly one count: `applied`, `duplicates`, `too_late` or `dead_lettered`; the
first three are called `kpi_events`, `kpi_duplicates` and `kpi_too_late` for events of a customer, and all are
`kpi_own` for what Brewline itself has written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np
from msgspec import Struct, msgpack

from alerts.kpis.catalog import KpiCatalog
from alerts.kpis.grouping import Group, Grouping
from alerts.kpis.kpi import ClockMark, Counts, Partials, Row, counts_of, encode_partial
from alerts.kpis.tally import Events, Tally
from features.events import Control, decode_clean
from features.job import Batch, Changes, Message, Plan, Position, State
from features.messages import Refused, dead_letter
from features.partitions import partition_of
from features.seen import expires_ms, id_hash, is_set, set_name
from features.times import HOUR_MS, MINUTE_MS

Kept = bytes | Counts | list[int]  # what is not packed was kept before minutes were
Hour = dict[int, Kept]  # minute of the hour → counts, packed, because few are touched at a time
encode_hour = encode_counts = msgpack.Encoder().encode
decode_hour = msgpack.Decoder(Hour).decode
_decode_counts = msgpack.Decoder(Counts).decode

DIMS = 2**18  # of so many it is kept in mind where they go
ROWS = 200  # of a message: far from what Kafka takes
FATES = (  # by who has sent the event: nobody known, a customer, Brewline itself
    ("applied", "duplicates", "too_late"),
    ("kpi_events", "kpi_duplicates", "kpi_too_late"),
    ("kpi_own", "kpi_own", "kpi_own"),
)


_target = lru_cache(DIMS)(partition_of)


def decode_counts(kept: Kept) -> Counts:
    return _decode_counts(kept) if isinstance(kept, bytes) else counts_of(kept)


class Work(Struct):
    """A batch, read."""

    batch: Batch
    events: Events  # that are not too late
    groups: list[Group]  # what they add, if all of them are new
    keys: list[tuple[str, bytes]]  # by event: the id set and the id
    too_late: Counter[str]


class PartialMinutes:
    """The job over the clean topic. `partition_keys` reach each partition of `partials`; `sources` run this job."""

    def __init__(
        self,
        partials: str,
        dead_letters: str,
        partition_keys: list[str],
        sources: int,
        retention_hours: int,
        catalog: KpiCatalog,
    ) -> None:
        self.partials = partials
        self.dead_letters = dead_letters
        self.partition_keys = partition_keys
        self.sources = sources
        self.retention_hours = retention_hours
        self.tally = Tally(catalog)

    def plan(self, batch: Batch, position: Position) -> Plan:
        every = self.tally.events(batch, position.clock)
        in_time = (every.counted_ms // HOUR_MS + 1 + self.retention_hours) * HOUR_MS > every.clock_ms
        events, late = every.only(in_time), every.only(~in_time)
        ids = map(id_hash, self.tally.ids(events))
        hours = (events.counted_ms // HOUR_MS).tolist()
        names = {hour: set_name(hour * HOUR_MS) for hour in set(hours)}
        keys = [(names[hour], id) for hour, id in zip(hours, ids, strict=True)]
        seen: dict[str, list[bytes]] = {}
        for name, id in keys:
            seen.setdefault(name, []).append(id)
        groups = Grouping(self.tally, events).groups()
        work = Work(batch, events, groups, keys, fates(late, 2))
        return Plan(position, every.clock, sorted({group.record for group in groups}), seen, work)

    def _expires(self, at_ms: int) -> int:
        return expires_ms(at_ms, self.retention_hours)

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return []

    def apply(self, plan: Plan, state: State) -> Changes:
        work: Work = plan.work
        fresh, counts = _fresh(work, state.seen)
        groups = work.groups
        if len(fresh) < len(work.keys):
            groups = Grouping(self.tally, work.events.only(np.array(fresh, dtype=np.int64))).groups()
        letters = self._letters(work)
        counts += Counter({"dead_lettered": len(letters), "dead_lettered:malformed": len(letters)})
        changes = Changes(plan.position, messages=letters, counts=dict(+counts))
        hours = {name: decode_hour(raw) for name, raw in state.records.items()}
        rows = [_add(hours, group, work.batch.offsets[group.last]) for group in groups]
        changes.messages += self._messages(work.batch.partition, rows)
        if plan.clock.now_ms > plan.position.clock.now_ms:
            mark = encode_partial(ClockMark(work.batch.partition, self.sources, plan.clock.now_ms))
            changes.messages += [Message(self.partials, key, mark) for key in self.partition_keys]
        touched = {group.record: hours[group.record] for group in groups}
        self._keep(changes, touched, state.records, plan.clock.now_ms)
        self._remember(changes, [work.keys[place] for place in fresh], plan.clock.now_ms)
        _forget(changes, state.due)
        changes.position = plan.position.moved(work.batch.last, plan.clock, changes.counts)
        return changes

    def _letters(self, work: Work) -> list[Message]:
        """Of what cannot be read; words on customers have fields that mean something else elsewhere."""
        batch, found = work.batch, list[Message]()
        for index in work.events.malformed:
            try:
                said, why = decode_clean(batch.values[index]), "clean topic"
            except (ValueError, RecursionError) as error:
                said, why = None, str(error)
            if not isinstance(said, Control):
                found.append(dead_letter(self.dead_letters, batch, index, Refused("malformed", why)))
        return found

    def _messages(self, partition: int, rows: list[Row]) -> list[Message]:
        """Those of a minute always go to the same partition, in their order."""
        to: dict[int, list[Row]] = {}
        for row in rows:
            to.setdefault(_target(row.dim, len(self.partition_keys)), []).append(row)
        return [
            Message(self.partials, self.partition_keys[target], encode_partial(Partials(partition, part)))
            for target, all_rows in to.items()
            for part in (all_rows[start : start + ROWS] for start in range(0, len(all_rows), ROWS))
        ]

    def _keep(self, changes: Changes, hours: dict[str, Hour], known: Mapping[str, bytes], now_ms: int) -> None:
        """Puts hours that the clock has not passed yet, new ones with the timer that ends them."""
        for name, hour in hours.items():
            due_ms = self._expires(int(name[name.rindex("|") + 1 :]) * HOUR_MS)
            if due_ms > now_ms:
                changes.puts[name] = encode_hour(hour)
                if name not in known:
                    changes.timers[name] = due_ms

    def _remember(self, changes: Changes, keys: Iterable[tuple[str, bytes]], now_ms: int) -> None:
        """Ids of an hour that the clock has not passed yet; they are not forgotten before the minutes of its events."""
        for name, id in keys:
            changes.seen.setdefault(name, []).append(id)
        for name in list(changes.seen):
            due_ms = self._expires(int(name.rpartition("|")[2]) * HOUR_MS)
            if due_ms > now_ms:
                changes.timers[name] = due_ms
            else:
                del changes.seen[name]


def _add(hours: dict[str, Hour], group: Group, offset: int) -> Row:
    """Adds a group to its hour; the partial minute that it is now."""
    dim, record, minute, counts, _ = group
    if record not in hours:
        hours[record] = {}
    hour, place = hours[record], minute % 60
    if place in hour:
        before = decode_counts(hour[place])
        for column, count in counts.items():
            before[column] = before.get(column, 0) + count
        counts = before
    hour[place] = encode_counts(counts)
    return Row(dim, minute * MINUTE_MS, counts, offset)


def fates(events: Events, fate: int) -> Counter[str]:
    """Counts of what became of them: 0 counted, 1 seen before, 2 too late."""
    who = np.bincount(np.where(events.own, 2, events.of_customer), minlength=3).tolist()
    found = Counter[str]()
    for names, number in zip(FATES, who, strict=True):
        if number:
            found[names[fate]] += number
    return found


def _fresh(work: Work, known: set[tuple[str, bytes]]) -> tuple[list[int], Counter[str]]:
    """Places of events whose id is new; what became of all."""
    ids, fresh, again = set(known), list[int](), list[int]()
    for place, key in enumerate(work.keys):
        (again if key in ids else fresh).append(place)
        ids.add(key)
    counts = work.too_late
    for places, fate in ((fresh, 0), (again, 1)):
        counts += fates(work.events.only(np.array(places, dtype=np.int64)), fate)
    return fresh, counts


def _forget(changes: Changes, due: list[tuple[int, str]]) -> None:
    for _, timer in due:
        (changes.drops if is_set(timer) else changes.deletes).append(timer)
        changes.timers[timer] = None
