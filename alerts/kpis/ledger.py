"""What one batch does to minutes: merge, close, correct, tell the judge, say how full stores are, forget."""

from __future__ import annotations

from collections import Counter
from math import nan
from typing import Any

from msgspec import Struct

from alerts.agenda import Agenda
from alerts.kpis.catalog import KpiCatalog
from alerts.kpis.closing import SENT, Closings, encode_closing
from alerts.kpis.hour import Hour, closes_ms, decode_hour, encode_hour, watch_record, watched_dim
from alerts.kpis.kpi import COLUMN, Row, hour_record, ratios, store_of
from alerts.kpis.load import Watch, decode_watch, encode_watch, pause, retired, silent, skip
from alerts.kpis.load import step as load_step
from alerts.kpis.rollup import Kept, Rollup, fold_ms, step_of, steps_of, summed
from alerts.kpis.silence import Tills, beats, living_dim
from features.job import Changes, Message, State
from features.load import load_key
from features.messages import cloudevent
from features.outgoing import StoreLoad
from features.outgoing import StoreSilence as Silence
from features.seen import expires_ms
from features.times import DAY_MS, HOUR_MS, MINUTE_MS

SHOWN = ("chain", "region")  # kinds whose KPIs are metrics: there are few of them


class Topics(Struct, frozen=True):
    """Where closed minutes, what the judge must know, dead letters and stores' load go."""

    minutes: str
    closings: str
    dead_letters: str
    loads: str = "store.load"


class Ledger:
    """Hours and watches of a batch; all is decided in log order, so that it does not matter where batches end.

    `known` names what the store was asked for: of any other record it is not known whether it exists.
    """

    def __init__(
        self,
        topics: Topics,
        retention_hours: int,
        known: set[str],
        state: State,
        closings: Closings,
        catalog: KpiCatalog,
        kept: Kept,
    ) -> None:
        self.topics = topics
        self.retention_hours = retention_hours
        self.closings = closings
        self.known = known
        self.records = state.records
        self.catalog, self.names, self.kept = catalog, catalog.names, kept
        self.rollups: dict[str, Rollup] = {}
        self.levels: dict[str, float] = {}
        self.agenda = Agenda(state.due)
        self.tills = Tills(state.records, self.agenda)
        self.hours: dict[str, Hour] = {}
        self.watches: dict[str, Watch | None] = {}
        self.changed: set[str] = set()
        self.gone: set[str] = set()
        self.messages: list[Message] = []
        self.counts: Counter[str] = Counter()

    def merge(self, source: int, row: Row, now_ms: int) -> None:
        """Takes what one source has counted; a minute that was closed already is corrected at once."""
        if self._expires(row.minute_ms) <= now_ms:
            self.counts["too_late"] += 1
            return
        name, minute = hour_record(row.dim, row.minute_ms), row.minute_ms // MINUTE_MS
        hour = self._hour(name)
        if not hour.take(source, row):
            self.counts["repeats"] += 1
            return
        self.changed.add(name)
        if beats(row.dim, row.counters):
            self._tell_silence(self.tills.beat(row.dim, minute, now_ms))
        if minute in hour.open:
            self.agenda.set(name, closes_ms(row.dim, min(hour.open)))
        else:
            self._tell(row.dim, hour, minute, "corrections")

    def _tell_silence(self, told: Silence | None) -> None:
        if told:
            at_ms, id = told.until_ms or told.since_ms, f"{told.store}|{told.state}|{told.since_ms}"
            dim = f"store:{told.store}"
            self.messages.append(cloudevent(self.topics.minutes, dim, id, "kpi.silence", "kpis", at_ms, dim, told))
            self.counts[f"stores_{told.state}"] += 1

    def advance(self, now_ms: int) -> None:
        """Does what is due."""
        while timer := self.agenda.pop(now_ms):
            due_ms, name = timer
            dim = watched_dim(name)
            if dim:
                self._judge(dim, due_ms, now_ms)
            elif store := living_dim(name):
                self._tell_silence(self.tills.fall_silent(store))
            elif step_of(name):
                self.gone.add(name)
            else:
                self._end(name, due_ms)

    def _end(self, name: str, due_ms: int) -> None:
        """Closes the minutes of an hour that have ended; at last, forgets the hour."""
        hour, dim = self._hour(name), name.rpartition("|")[0]
        ended = (due_ms - closes_ms(dim, 0)) // MINUTE_MS
        for minute in sorted(minute for minute in hour.open if minute <= ended):
            self._close(dim, name, hour, minute)
        if hour.open:
            self.agenda.set(name, closes_ms(dim, min(hour.open)))
            return
        forget_ms = fold_ms(dim, int(name.rpartition("|")[2]), self.retention_hours)
        if forget_ms <= due_ms:
            self._fold(dim, name, hour, due_ms)
        else:
            self.agenda.set(name, forget_ms)

    def _fold(self, dim: str, name: str, hour: Hour, due_ms: int) -> None:
        """Forgets the minutes of an hour that no late event can change any more; its sums stay."""
        number = int(name.rpartition("|")[2])
        records = {step.record(dim, number): step for step in steps_of(dim, self.catalog)}
        if not records.keys() <= self.known:
            self.agenda.leave(name, due_ms)
            return
        for record, step in records.items():
            if record not in self.rollups:
                self.rollups[record] = Rollup(step.minutes, self.records.get(record))
            for slot, counts in summed(hour, step.minutes).items():
                self.rollups[record].add(slot, counts)
            self.agenda.set(record, step.end_ms(record) + self.kept.days(step) * DAY_MS)
        self.gone.add(name)

    def _close(self, dim: str, name: str, hour: Hour, minute: int) -> None:
        hour.open.remove(minute)
        self.changed.add(name)
        self._tell(dim, hour, minute, "kpi_minutes")

    def _tell(self, dim: str, hour: Hour, minute: int, count: str) -> None:
        """Sends a closed minute, for the first time or corrected."""
        revision, counters = hour.sums(minute, len(self.names))
        at_ms = minute * MINUTE_MS
        data: dict[str, Any] = {"dim": dim, "minute_ms": at_ms, "revision": revision}
        data["minutes"] = self.catalog.slot_minutes(dim)
        counted = dict(zip(self.names, counters, strict=True))
        told = counted | ratios(counted, self.catalog.ratios)
        data |= told
        if count == "kpi_minutes" and dim.partition(":")[0] in SHOWN:
            self.levels |= {f"kpi:{name}:{dim}": nan if value is None else value for name, value in told.items()}
        id = f"{dim}|{at_ms}|{revision}"
        self.messages.append(cloudevent(self.topics.minutes, dim, id, "kpi.minute", "kpis", at_ms, dim, data))
        self.counts[count] += 1
        self.closings.note(dim, minute, counters)
        if store_of(dim):
            self._watch(dim, minute)

    def _watch(self, dim: str, minute: int) -> None:
        """Begins to watch a store when it is first seen."""
        if self._watched(dim) is None:
            self.watches[dim] = Watch(minute, minute, minute, minute)
            self.agenda.set(watch_record(dim), closes_ms(dim, minute))

    def _judge(self, dim: str, due_ms: int, now_ms: int) -> None:
        """Looks at the next minute of a store, or leaves it for the next batch if its hour was not loaded."""
        watch, timer = self._watched(dim), watch_record(dim)
        if watch is None:
            return
        if not store_of(dim):  # of a region or the chain, stored when these were judged here
            self.watches[dim] = None
            return
        if self._expires(watch.next * MINUTE_MS) <= now_ms:
            skip(watch, (now_ms // HOUR_MS - self.retention_hours) * 60)
        else:
            minute, name = watch.next, hour_record(dim, watch.next * MINUTE_MS)
            if name not in self.known:
                self.agenda.leave(timer, due_ms)
                return
            hour = self._hour(name)
            if minute in hour.open:
                self._close(dim, name, hour, minute)
            counters = hour.sums(minute, len(self.names))[1]
            watch.active = minute if any(counters) else watch.active
            self._say_load(store_of(dim), watch, minute, counters)
            watch.next += 1
        if retired(watch):
            self.watches[dim] = None
        else:
            self.agenda.set(timer, closes_ms(dim, watch.next))

    def _say_load(self, store: str, watch: Watch, minute: int, counters: list[int]) -> None:
        """What an offline till does not send is unknown: of its store nothing is said, and nothing learned."""
        orders, beats = (counters[COLUMN[name]] if counters else 0 for name in ("orders", "heartbeats"))
        if silent(watch, minute, beats):
            pause(watch.load)
            return
        seen, at_ms = load_step(watch.load, minute, orders), (minute + 1) * MINUTE_MS
        if seen:
            said = StoreLoad(store, at_ms, seen.orders, round(seen.usual, 2), round(seen.orders / seen.usual, 3))
            id, key = f"{store}|{at_ms}", load_key(store, at_ms)
            self.messages.append(cloudevent(self.topics.loads, key, id, "store.load", "kpis", at_ms, store, said))
            self.counts["store_loads"] += 1

    def _expires(self, at_ms: int) -> int:
        return expires_ms(at_ms, self.retention_hours)

    def _hour(self, name: str) -> Hour:
        if name not in self.hours:
            self.hours[name] = decode_hour(self.records[name]) if name in self.records else Hour()
        return self.hours[name]

    def _watched(self, dim: str) -> Watch | None:
        if dim not in self.watches:
            raw = self.records.get(watch_record(dim))
            self.watches[dim] = decode_watch(raw) if raw else None
        return self.watches[dim]

    def write(self, changes: Changes) -> None:
        """What the batch has changed."""
        changes.puts = {name: encode_hour(self.hours[name]) for name in self.changed - self.gone}
        for dim, watch in self.watches.items():
            if watch:
                changes.puts[watch_record(dim)] = encode_watch(watch)
            else:
                changes.deletes.append(watch_record(dim))
        changes.puts |= {name: rollup.packed() for name, rollup in self.rollups.items() if name not in self.gone}
        self.tills.write(changes)
        changes.deletes += self.gone
        changes.timers = self.agenda.timers
        changes.messages += self.messages
        changes.messages += [
            Message(self.topics.closings, key, encode_closing(told)) for key, told in self.closings.sent
        ]
        self.counts[SENT] = self.closings.count
        changes.counts = dict(self.counts)
        changes.levels = self.levels
