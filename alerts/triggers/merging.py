"""The customers job when customers turn out to be one: a batch is applied in parts, between the words that say so.

Where no merge is spoken of and nobody was merged away, a batch goes to the customers job as it is. Else:

- `merge`, at the partition of the one merged away: its record leaves as a `history`, a note stays in its place;
- events of that one which still come go on as `moved`, by the note;
- `history` and `moved`, at the partition of the other: taken in once, by what its ledger remembers.

A `brake`, which every partition hears, cuts a batch as well: what stands behind it is decided by it.

All of these leave through the outbox. A note is never changed: words that reach a merged customer go on by it, one
after the other, so that what comes of one customer stays in order on every way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
from msgspec import Struct, field
from msgspec.structs import replace

from alerts.coupons.walk import counted, told
from alerts.triggers.alarms import SENDS, SETTLES, no_timers
from alerts.triggers.brake import brake_key, newer
from alerts.triggers.job import CustomersJob
from alerts.triggers.points import owed_apart
from alerts.triggers.referrals import orders_of
from alerts.triggers.trials import crowded_out
from features import events as e
from features.amounts import with_room
from features.forgetting import Sifted
from features.forgotten import name_hash, tombstone_key
from features.job import Batch, Changes, Message, Plan, Position, State
from features.kernel.arrays import READABLE, VERSION
from features.layout import Layout
from features.record import (
    FORWARD,
    Ledger,
    Taken,
    decode_ledger,
    encode_ledger,
    forward,
    forwarded,
)
from features.records import Records


class Named(Struct):
    """Whose an event is."""

    customer: str = ""


decode_name = msgspec.json.Decoder(Named).decode


class Work(Struct):
    sifted: Sifted  # the customers job's own
    words: dict[int, Any]  # by place in the sifted batch: Merge, History, Moved, Unname, Brake


class Progress(Struct):
    """What a batch has come to so far. `due`: timers that the clock will reach within it."""

    records: dict[str, bytes]
    due: dict[str, int]
    words: dict[int, str]
    changes: Changes
    spent: dict[str, int]
    grants: dict[str, int] | None
    brakes: dict[str, bytes]
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def now_ms(self) -> int:
        return self.changes.position.clock.now_ms

    def state(self, due: list[tuple[int, str]]) -> State:
        shared = ({**self.words, **self.changes.words}, self.spent, self.grants, self.brakes)
        return State(self.records, set(), due, *shared)

    def brake(self, word: e.Brake) -> None:
        """Unless a later word on it is known."""
        if newer(word, self.brakes):
            said = {brake_key(word.campaign, word.place): e.encode(word)}
            self.brakes, self.changes.brakes = {**self.brakes, **said}, {**self.changes.brakes, **said}

    def put(self, customer: str, record: bytes) -> None:
        self.records[customer] = self.changes.puts[customer] = record

    def wake(self, customer: str, at_ms: int, held: list[tuple[int, bytes]]) -> None:
        """When to look at a customer; 0: no need. `held`: messages that wait, the earliest first."""
        self._times({customer: at_ms or None, SENDS + customer: held[0][0] if held else None})

    def settle(self, customer: str, due_ms: int) -> None:
        """When the order of one who was brought has settled; 0: there is none."""
        self._times({SETTLES + customer: due_ms or None})

    def learn(self, words: dict[int, str]) -> None:
        """Texts that codes of another partition stand for."""
        known, before = self.words, self.changes.words
        new = {code: text for code, text in words.items() if code not in known and code not in before}
        learned = with_room(new, len(known) + len(before))
        before |= learned
        if len(new) > len(learned):
            self.counts["words_left_out"] += len(new) - len(learned)

    def forget(self, sifted: Sifted) -> None:
        """Nothing is kept of whom the batch says so."""
        self._delete(sorted(sifted.gone))
        self._times(no_timers(sifted.gone))
        self.counts.update(sifted.counts)

    def _delete(self, customers: list[str]) -> None:
        self.changes.deletes += customers
        for customer in customers:
            self.records.pop(customer, None)

    def take(self, more: Changes) -> None:
        """What came of a part."""
        self._delete(more.deletes)
        self.records |= more.puts
        self.changes.puts.update(more.puts)
        self.changes.words |= more.words
        self.changes.spent |= more.spent
        self.changes.short = dict(Counter(self.changes.short) + Counter(more.short))
        self.spent = {**self.spent, **more.spent}
        self._times(more.timers)
        self.changes.messages += more.messages
        self.changes.causes_ms += more.causes_ms
        self.changes.receipts_kept = more.receipts_kept
        for name, receipts in more.receipts.items():
            self.changes.receipts.setdefault(name, []).extend(receipts)
        for name, misses in more.misses.items():
            self.changes.misses.setdefault(name, {}).update(misses)
        self.changes.position = more.position
        self.changes.counts = dict(Counter(self.changes.counts) + Counter(more.counts))

    def _times(self, timers: dict[str, int | None]) -> None:
        self.changes.timers |= timers
        for customer, at_ms in timers.items():
            self.due.pop(customer, None)
            if at_ms is not None:
                self.due[customer] = at_ms

    def finish(self, last: int) -> Changes:
        changes, position = self.changes, self.changes.position
        changes.position = position.moved(last, position.clock, self.counts)
        changes.counts = dict(Counter(changes.counts) + self.counts)
        return changes


class Merging:
    """Implements features.job.Job around the customers job; `topic` is the clean topic, which it also writes;
    `layouts` reads anew which ones records may be written in: another process may have begun with a later one."""

    def __init__(self, job: CustomersJob, topic: str, layouts: Callable[[], list[Layout]] = list) -> None:
        self.job = job
        self.topic = topic
        self.layouts = layouts
        self.layout = f"{VERSION}.{job.core.layouts[0].id:08x}"
        self.readable = _readable(job.core.layouts)

    def plan(self, batch: Batch, position: Position) -> Plan:
        plan = self.job.plan(batch, position)
        sifted: Sifted = plan.work
        heard = {i: _word(sifted.batch.values[i]) for i in sifted.columns.malformed}
        words = {i: word for i, word in heard.items() if word is not None}
        said = {word.layout for word in words.values() if isinstance(word, e.History | e.Moved)}
        if not said <= self.readable and self._learn():
            return self.plan(batch, position)
        if words:
            named = (word.customer for word in words.values() if word.customer)
            plan.records = list(dict.fromkeys([*plan.records, *named]))
        plan.work = Work(sifted, words)
        return plan

    def follow(self, job: CustomersJob) -> None:
        """Goes on with a job of other rules over the same records."""
        job.read_also(self.job.core.layouts)
        self.job = job

    def _learn(self) -> bool:
        """Whether there are layouts that were not known."""
        layouts = self.layouts()
        new = _readable(layouts) - self.readable
        if new:
            self.job.read_also(layouts)
            self.readable |= new
        return bool(new)

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return self.job.timer_records(due)

    def apply(self, plan: Plan, state: State) -> Changes:
        work: Work = plan.work
        if not work.words and not Records.of(state.records).begin_with(FORWARD):
            return self.job.apply(replace(plan, work=work.sifted), state)
        due = {customer: due_ms for due_ms, customer in state.due}
        shared = (state.spent, state.grants, state.brakes)
        progress = Progress(dict(state.records), due, state.words, Changes(plan.position), *shared)
        progress.changes.messages += self.job.withdrawn(work.sifted.gone, progress.records)
        progress.forget(work.sifted)
        batch, start = replace(work.sifted.batch, values=list(work.sifted.batch.values)), 0
        for place in sorted(work.words):
            self._apply(progress, batch.cut(start, place))
            start = place + 1
            event = self._hear(progress, work.words[place], batch.offsets[place])
            if event:
                batch.values[place], start = event, place
        self._apply(progress, batch.cut(start, len(batch.offsets)))
        return progress.finish(work.sifted.columns.last)

    def _apply(self, progress: Progress, part: Batch) -> None:
        """Applies a part without words as the customers job does, but for events of those who were merged away."""
        stay = [i for i, raw in enumerate(part.values) if not self._sent_on(progress, part.offsets[i], raw)]
        if stay:
            columns = {name: [getattr(part, name)[i] for i in stay] for name in ("offsets", "values", "stamps_ms")}
            plan = self.job.plan(replace(part, **columns), progress.changes.position)
            moved = plan.clock.now_ms != progress.now_ms
            due = sorted((at, c) for c, at in progress.due.items() if at <= plan.clock.now_ms) if moved else []
            progress.take(self.job.apply(plan, progress.state(due)))

    def _sent_on(self, progress: Progress, offset: int, raw: bytes) -> bool:
        of = _name(raw)
        into = forwarded(progress.records.get(of, b""))
        if into:
            moved = e.Moved(
                id=f"{of}/{offset}",
                customer=into,
                at_ms=orjson.loads(raw)["at_ms"],
                of=of,
                offset=offset,
                layout=self.layout,
                event=msgspec.Raw(raw),
            )
            self._send(progress, moved)
            progress.counts["moved_on"] += 1
        return bool(into)

    def _send(self, progress: Progress, word: e.Event) -> None:
        progress.changes.messages.append(Message(self.topic, word.customer, e.encode(word)))

    def _hear(self, progress: Progress, word: Any, offset: int) -> bytes:
        """Does as a word says; an event that it brings, if any.

        What was said under a layout that this state has never had is passed over: it is from before the replay that
        made the state, which says it all anew, and half of either would count twice.
        """
        into = forwarded(progress.records.get(word.customer, b""))
        if isinstance(word, e.Brake):
            progress.brake(word)
        elif isinstance(word, e.Merge):
            self._merge(progress, word, into, offset)
        elif isinstance(word, e.Unname):
            self._unname(progress, word, into)
        elif word.layout not in self.readable:
            progress.counts["outdated"] += 1
        elif into:
            self._send(progress, replace(word, customer=into))
        elif isinstance(word, e.History):
            self._take_in(progress, word)
        else:
            return self._arrived(progress, word)
        return b""

    def _merge(self, progress: Progress, word: e.Merge, into: str, offset: int) -> None:
        """Sends the history; of one who was merged elsewhere before, the others are merged in its stead."""
        if into:
            winner, loser = sorted((into, word.into))
            if winner != loser:
                self._send(progress, e.Merge(id=f"{loser}>{winner}", customer=loser, at_ms=word.at_ms, into=winner))
            return
        of, record = word.customer, progress.records.get(word.customer, b"")
        history = e.History(
            id=f"{of}/{offset}",
            customer=word.into,
            at_ms=word.at_ms,
            of=of,
            offset=offset,
            layout=self.layout,
            record=record,
            words=self._words(record, progress),
        )
        self._send(progress, history)
        progress.put(of, forward(word.into))
        progress.wake(of, 0, [])
        progress.settle(of, 0)
        progress.counts["merged_away"] += 1

    def _unname(self, progress: Progress, word: e.Unname, into: str) -> None:
        """Who was forgotten has brought nobody."""
        if into:
            self._send(progress, replace(word, customer=into))
            return
        head, ledger = self._opened(progress.records.get(word.customer, b""))
        if ledger.referral is not None and tombstone_key(name_hash(ledger.referral.by)) == word.of:
            ledger.referral = None
            progress.put(word.customer, head + encode_ledger(ledger))
            progress.settle(word.customer, 0)

    def _words(self, record: bytes, progress: Progress) -> dict[str, str]:
        """The texts that a record's codes stand for: each partition knows its own."""
        if not record:
            return {}
        tables = self.job.core.unpacked(record).tables
        known = {**progress.words, **progress.changes.words}
        return {str(code): known[code] for table in tables for code, _ in table.pairs if code in known}

    def _take_in(self, progress: Progress, word: e.History) -> None:
        """Once."""
        mine = progress.records.get(word.customer, b"")
        head, ledger = self._opened(mine)
        taken = ledger.taken.get(word.of, Taken())
        if taken.history:
            progress.counts["history_again"] += 1
            return
        merged = self.job.core.merge(head, word.record, progress.now_ms)
        other = decode_ledger(word.record[merged.other - len(head) :])
        if other.referral and self.job.forgotten.among({other.referral.by}):  # while this history was under way
            other.referral = None
        self._meet(ledger, word.record, other, mine)
        if settling := self.job.settling:
            owed = owed_apart(ledger, other, word.customer, word.of, word.at_ms)
            progress.changes.messages += [spent.told(settling.topic) for spent in owed]
        ledger = ledger.merge(other)
        ledger.taken[word.of] = Taken(max(taken.offset, word.offset), True)
        progress.changes.messages += self.job.told(crowded_out(ledger, progress.now_ms))
        self._join_coupons(progress, word, ledger)
        progress.put(word.customer, merged.record.tobytes() + encode_ledger(ledger))
        progress.wake(word.customer, merged.wake_ms, ledger.held)
        if ledger.referral and self.job.settling:
            progress.settle(word.customer, self.job.settling.due_ms(ledger.referral))
        progress.learn({int(code): text for code, text in word.words.items()})
        progress.counts["taken_in"] += 1

    def _join_coupons(self, progress: Progress, word: e.History, ledger: Ledger) -> None:
        if lifecycle := self.job.decider.lifecycle:
            for heard in lifecycle.join(ledger, word.customer, word, max(progress.now_ms, word.at_ms)):
                progress.changes.messages.append(told(lifecycle.topic, heard))
                progress.counts[counted(heard)] += 1

    def _meet(self, ledger: Ledger, theirs: bytes, other: Ledger, mine: bytes) -> None:
        """Of two who are one, who brought one of them has brought both, unless the other had ordered before."""
        if (ledger.referral is None) == (other.referral is None):
            return
        for whose, record in ((ledger, theirs), (other, mine)):
            if whose.referral is not None and whose.referral.by:
                whose.referral = orders_of(self.job.core, record).kept(whose.referral)

    def _arrived(self, progress: Progress, word: e.Moved) -> bytes:
        """The event that has moved, now of this customer; nothing if it was here before."""
        head, ledger = self._opened(progress.records.get(word.customer, b""))
        taken = ledger.taken.get(word.of, Taken())
        if word.offset <= taken.offset:
            progress.counts["moved_again"] += 1
            return b""
        ledger.taken[word.of] = Taken(word.offset, taken.history)
        progress.put(word.customer, head + encode_ledger(ledger))
        return orjson.dumps({**orjson.loads(bytes(word.event)), "customer": word.customer})

    def _opened(self, record: bytes) -> tuple[bytes, Ledger]:
        """A record in two: without its ledger, which nobody's has as well, and the ledger."""
        found = self.job.core.merge(record, b"", 0)
        return record[: found.ledger] or found.record.tobytes(), decode_ledger(record[found.ledger :])


def _readable(layouts: list[Layout]) -> set[str]:
    """As words name them."""
    return {f"{version}.{layout.id:08x}" for version in READABLE for layout in layouts}


def _word(raw: bytes) -> Any:
    """A word to forget that is still there names nobody: it stays with what cannot be read."""
    try:
        word = e.decode_control(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return None if isinstance(word, e.Forget) else word


def _name(raw: bytes) -> str:
    try:
        return decode_name(raw).customer
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
