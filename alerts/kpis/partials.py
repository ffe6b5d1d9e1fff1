"""Clean events of one partition in, partial minutes out: what this partition alone has counted.

A partial minute carries the whole count so far and the offset of the last event that changed it, so
a repeat overwrites, an older one is recognised, and the same offset always means the same counts.
The partition's clock follows its partials to every target partition, so whoever has seen the clock
has seen all that was counted before it.

What says that customers are merged, and events that moved with them, count nothing here: they were counted before.
Every other event ends in exactly one count: `applied`, `duplicates`, `too_late` or `dead_lettered`; the
first three are called `kpi_events`, `kpi_duplicates` and `kpi_too_late` for events of a customer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct, field, msgpack

from alerts.kpis.kpi import COUNTERS, ClockMark, Partial, encode_partial, hour_record
from alerts.kpis.tally import Deltas, counted_ms, dimensions, tally
from features.events import CONTROL, CUSTOMER_EVENTS, OF_BOTH, OWN, Event, Tick, decode_clean
from features.job import Batch, Changes, Message, Plan, Position, State
from features.messages import Refused, dead_letter
from features.seen import expires_ms, id_hash, is_set, set_name
from features.times import HOUR_MS, MINUTE_MS

Hour = dict[int, list[int]]  # minute of the hour → counters
encode_hour = msgpack.Encoder().encode
decode_hour = msgpack.Decoder(Hour).decode

OF_CUSTOMERS = (*CONTROL.values(), *OWN.values())  # words on customers, who are not known here
MAYBE_OWN = tuple(CUSTOMER_EVENTS[kind] for kind in OF_BOTH)  # of Brewline itself, where ingest has given no day
NAMES = {  # by whether the event has a customer
    False: ("applied", "duplicates", "too_late"),
    True: ("kpi_events", "kpi_duplicates", "kpi_too_late"),
}


class Entry(Struct):
    """One event to be counted, unless its id was seen."""

    offset: int
    at_ms: int
    hour: int
    id: bytes
    customer: bool
    deltas: Deltas
    dims: list[str]

    @property
    def seen(self) -> str:
        return set_name(self.hour * HOUR_MS)


class Work(Struct):
    """A batch, read."""

    batch: Batch
    entries: list[Entry] = []
    messages: list[Message] = []
    counts: Counter[str] = field(default_factory=Counter)


def _read(raw: bytes) -> Event:
    try:
        event: Event = decode_clean(raw)
    except (ValueError, RecursionError) as error:
        raise Refused("malformed", str(error)) from error
    return event


def _entry(event: Event, offset: int) -> Entry:
    deltas = tally(event)
    id = id_hash(event.id)
    dims = dimensions(event) if deltas else []
    return Entry(offset, counted_ms(event), event.at_ms // HOUR_MS, id, bool(event.customer), deltas, dims)


class PartialMinutes:
    """The job over the clean topic. `partition_keys` reach each partition of `partials`; `sources` run this job."""

    def __init__(
        self, partials: str, dead_letters: str, partition_keys: list[str], sources: int, retention_hours: int
    ) -> None:
        self.partials = partials
        self.dead_letters = dead_letters
        self.partition_keys = partition_keys
        self.sources = sources
        self.retention_hours = retention_hours

    def plan(self, batch: Batch, position: Position) -> Plan:
        work, clock = Work(batch), position.clock
        for index, (offset, raw) in enumerate(zip(batch.offsets, batch.values, strict=True)):
            try:
                event = _read(raw)
            except Refused as refused:
                work.messages.append(dead_letter(self.dead_letters, batch, index, refused))
                work.counts.update(("dead_lettered", f"dead_lettered:{refused.reason}"))
                continue
            if isinstance(event, Tick):
                clock = clock.moved(event.source, event.of, event.at_ms)
            elif not (isinstance(event, OF_CUSTOMERS) or (not event.day and isinstance(event, MAYBE_OWN))):
                self._accept(work, _entry(event, offset), clock.now_ms)
        seen: dict[str, list[bytes]] = {}
        for entry in work.entries:
            seen.setdefault(entry.seen, []).append(entry.id)
        records = {hour_record(dim, entry.at_ms) for entry in work.entries for dim in entry.dims}
        return Plan(position, clock, sorted(records), seen, work)

    def _accept(self, work: Work, entry: Entry, now_ms: int) -> None:
        """Unless the hour in which it counts is forgotten; its id is never forgotten before that."""
        if self._expires(entry.at_ms) > now_ms:
            work.entries.append(entry)
        else:
            work.counts[NAMES[entry.customer][2]] += 1

    def _expires(self, at_ms: int) -> int:
        return expires_ms(at_ms, self.retention_hours)

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return []

    def apply(self, plan: Plan, state: State) -> Changes:
        work: Work = plan.work
        fresh = _fresh(work, state.seen)
        hours, changed = _add(fresh, state.records)
        changes = Changes(plan.position, messages=work.messages, counts=dict(work.counts))
        for (dim, minute), offset in changed.items():
            counters = hours[hour_record(dim, minute * MINUTE_MS)][minute % 60]
            partial = Partial(work.batch.partition, dim, minute * MINUTE_MS, counters, offset)
            changes.messages.append(Message(self.partials, dim, encode_partial(partial)))
        if plan.clock.now_ms > plan.position.clock.now_ms:
            mark = encode_partial(ClockMark(work.batch.partition, self.sources, plan.clock.now_ms))
            changes.messages += [Message(self.partials, key, mark) for key in self.partition_keys]
        self._keep(changes, hours, fresh, plan.clock.now_ms)
        _forget(changes, state.due)
        changes.position = plan.position.moved(work.batch.last, plan.clock, changes.counts)
        return changes

    def _keep(self, changes: Changes, hours: dict[str, Hour], fresh: list[Entry], now_ms: int) -> None:
        """Puts hours and ids that the clock has not passed yet, each with the timer that ends it."""
        for name, hour in hours.items():
            due_ms = self._expires(int(name.rpartition("|")[2]) * HOUR_MS)
            if due_ms > now_ms:
                changes.puts[name] = encode_hour(hour)
                changes.timers[name] = due_ms
        for entry in fresh:
            due_ms = self._expires(entry.hour * HOUR_MS)
            if due_ms > now_ms:
                changes.seen.setdefault(entry.seen, []).append(entry.id)
                changes.timers[entry.seen] = due_ms


def _fresh(work: Work, known: set[tuple[str, bytes]]) -> list[Entry]:
    """Entries whose id is new; all are counted one way or the other."""
    fresh, ids = [], set(known)
    for entry in work.entries:
        name, duplicate, _ = NAMES[entry.customer]
        key = (entry.seen, entry.id)
        work.counts[duplicate if key in ids else name] += 1
        if key not in ids:
            ids.add(key)
            fresh.append(entry)
    return fresh


def _add(fresh: list[Entry], records: Mapping[str, bytes]) -> tuple[dict[str, Hour], dict[tuple[str, int], int]]:
    """Hours with the entries added, and the offset that last changed each (dimension, minute)."""
    hours: dict[str, Hour] = {}
    changed: dict[tuple[str, int], int] = {}
    for entry in fresh:
        minute = entry.at_ms // MINUTE_MS
        for dim in entry.dims:
            name = hour_record(dim, entry.at_ms)
            if name not in hours:
                hours[name] = decode_hour(records[name]) if name in records else {}
            counters = hours[name].setdefault(minute % 60, [0] * len(COUNTERS))
            counters.extend([0] * (len(COUNTERS) - len(counters)))
            for column, count in entry.deltas:
                counters[column] += count
            changed[dim, minute] = entry.offset
    return hours, changed


def _forget(changes: Changes, due: list[tuple[int, str]]) -> None:
    for _, timer in due:
        (changes.drops if is_set(timer) else changes.deletes).append(timer)
        changes.timers[timer] = None
