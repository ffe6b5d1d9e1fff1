"""The job over closings: all series of all stores judged together, minute by minute, and incidents told once.

A minute is judged when every merging partition has closed it; until then its rows wait in a record `wait|<minute>`
with a timer of the same name. One partition does all, for only who sees all series can bound their false alerts
together and tell a chain-wide fault once. The other partitions of the topic have nothing but the clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct, msgpack

from alerts.kpis.book import FORGETS_AT, Book, Judging
from alerts.kpis.closing import Closing, decode_closing, read_rows
from alerts.kpis.expectation import day_cell
from alerts.kpis.panel import CELLS, ROOTS, STORES, WEEK_HOURS, names
from alerts.kpis.seasons import Seasons
from alerts.kpis.series import LAYOUT
from alerts.kpis.telling import Teller
from features.job import Batch, Changes, Message, Plan, Position, State
from features.messages import Refused, dead_letter
from features.times import MINUTE_MS

WEEK, FORGETS = WEEK_HOURS * 60, FORGETS_AT * 60  # minutes
LEAP = 1440  # minutes without a row: more are leapt over


class Told(Struct, array_like=True):
    """Of one minute, as a message told them."""

    dims: list[str]
    counters: bytes
    layout: int = LAYOUT


Waiting = list[Told]  # in log order
_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(Waiting).decode


class Work(Struct):
    """A batch, read: closings, each with its Kafka timestamp, and what cannot be read."""

    last: int
    said: list[tuple[Closing, int]] = []
    letters: list[Message] = []


def waiting(minute: int) -> str:
    """Name of the record, and of the timer, of rows for a minute that is not judged yet."""
    return f"wait|{minute}"


class Judge:
    """`regions`: of each store; where it is not known, a store is measured against the chain."""

    def __init__(
        self, alerts: str, dead_letters: str, judging: Judging, regions: Mapping[str, str], seasons: Seasons
    ) -> None:
        self.alerts, self.dead_letters = alerts, dead_letters
        self.judging, self.regions, self.seasons = judging, regions, seasons

    def plan(self, batch: Batch, position: Position) -> Plan:
        work, clock, records = Work(batch.last), position.clock, set[str]()
        for index, raw in enumerate(batch.values):
            try:
                said = decode_closing(raw)
                if said.known:
                    said.rows()
            except (ValueError, RecursionError) as error:
                refused = Refused("malformed", str(error))
                work.letters.append(dead_letter(self.dead_letters, batch, index, refused))
                continue
            work.said.append((said, batch.stamps_ms[index]))
            clock = clock.moved(str(said.source), said.of, said.at_ms) if said.at_ms else clock
            records |= {waiting(minute) for minute in {*said.minutes}}
        first, end = position.clock.now_ms // MINUTE_MS, clock.now_ms // MINUTE_MS
        if end > first or any(minute < first for said, _ in work.said for minute in said.minutes):
            records |= self._needed(first, end)
        records.add("judge")
        return Plan(position, clock, sorted(records), work=work)

    def _needed(self, first: int, end: int) -> set[str]:
        """What is judged from minute `first` until before `end`, and learned with it."""
        hours = range((first - self.judging.window_minutes) // 60 - 1, end // 60 + 2) if end > first else ()
        week = range(hours.start, min(hours.stop, hours.start + CELLS)) if hours else ()
        cells = {hour % WEEK_HOURS for hour in week} | {day_cell(hour) for hour in week}
        if (first - FORGETS - 1) // WEEK != (end - FORGETS) // WEEK:
            cells = {*range(CELLS)}
        return {name for layer in (ROOTS, STORES) for name in names(layer, self.judging.window_minutes, cells)}

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return [timer for _, timer in due]

    def apply(self, plan: Plan, state: State) -> Changes:
        work: Work = plan.work
        bench = Bench(self, state)
        bench.break_off()
        clock = plan.position.clock
        for said, stamp_ms in work.said:
            bench.take(said)
            if said.at_ms:
                clock = clock.moved(str(said.source), said.of, said.at_ms)
                bench.advance(clock.now_ms // MINUTE_MS, stamp_ms)
        changes = bench.changes(plan)
        changes.messages = work.letters + changes.messages
        if work.letters:
            for name in ("dead_lettered", "dead_lettered:malformed"):
                changes.counts[name] = len(work.letters)
        changes.position = plan.position.moved(work.last, plan.clock, changes.counts)
        return changes


class Bench:
    """One batch at work: rows come in, minutes are judged, incidents are told."""

    def __init__(self, job: Judge, state: State) -> None:
        self.book = Book(state.records, job.judging, job.regions, job.seasons)
        self.teller = Teller(job.alerts, self.book)
        self.records = state.records
        self.waits: dict[int, Waiting] = {}
        self.timers: dict[str, int | None] = {}
        self.due = sorted(int(timer.partition("|")[2]) for _, timer in state.due)
        self.deletes = self.book.former
        self.counts: Counter[str] = Counter()

    def break_off(self) -> None:
        """Ends the incidents of what is no longer known: it begins anew, with another window or other counters."""
        for one in self.book.broken_off:
            self.teller.break_off(one, self.book.header.next, self.book.judging.window_minutes)

    def take(self, said: Closing) -> None:
        """Rows of a message that did not come before: into its minute's record, or at once where that was judged."""
        header = self.book.header
        if not said.dims:
            return
        if said.number <= header.numbers.get(said.source, -1):
            self.counts["repeats"] += 1
            return
        header.numbers[said.source] = said.number
        if not said.known:
            self.counts["other_layout"] += len(said.dims)
            return
        rows = said.rows()
        for minute in dict.fromkeys(said.minutes):
            these = [place for place, each in enumerate(said.minutes) if each == minute]
            dims = [said.dims[place] for place in these]
            if header.next < 0 or minute >= header.next:
                self._waits(minute).append(Told(dims, rows[these].tobytes()))
                self.timers[waiting(minute)] = (minute + 1) * MINUTE_MS
            elif minute > header.next - 1 - self.book.judging.window_minutes:
                self.counts["left_out"] += self.book.take(dims, rows[these], minute)
                self.counts["corrections"] += len(dims)
            else:
                self.counts["too_late"] += len(dims)

    def _waits(self, minute: int) -> Waiting:
        if minute not in self.waits:
            raw = self.records.get(waiting(minute))
            self.waits[minute] = _decode(raw) if raw else []
        return self.waits[minute]

    def advance(self, end: int, stamp_ms: int) -> None:
        """Judges all minutes that end by then."""
        header = self.book.header
        due = sorted({*self.due, *self.waits})
        if header.next < 0 and due and due[0] < end:
            header.next = header.since = due[0]
        while 0 <= header.next < end:
            ahead = next((minute for minute in due if header.next <= minute), end)
            if min(ahead, end) - header.next > LEAP:
                self.book.skip(min(ahead, end))
                continue
            self._judge(header.next, stamp_ms)

    def _judge(self, minute: int, stamp_ms: int) -> None:
        self.book.clear(minute)
        self.book.welcome([dim for told in self._waits(minute) if told.layout == LAYOUT for dim in told.dims], minute)
        for told in self._waits(minute):
            if told.layout == LAYOUT:
                self.counts["left_out"] += self.book.take(told.dims, read_rows(told.counters), minute)
            else:
                self.counts["other_layout"] += len(told.dims)
        if self.waits.pop(minute):
            name = waiting(minute)
            self.timers[name] = None
            self.deletes.append(name)
        self.teller.tell(self.book.judge(), minute, stamp_ms)

    def changes(self, plan: Plan) -> Changes:
        changes = Changes(plan.position, puts=self.book.write(), deletes=self.deletes, timers=self.timers)
        changes.puts.update({waiting(minute): _encode(waits) for minute, waits in self.waits.items() if waits})
        changes.messages, changes.causes_ms = self.teller.messages, self.teller.causes_ms
        changes.counts = dict(self.counts + self.teller.counts)
        return changes
