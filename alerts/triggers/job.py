"""The customers job: windows → feature row → scores → rules → decisions, in log order."""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from zlib import crc32

import msgspec
import numpy as np
from msgspec import Struct

from alerts.coupons.walk import Walk
from alerts.triggers.alarms import LACKS, SENDS, no_timers, whose
from alerts.triggers.brake import Brakes
from alerts.triggers.decide import Decider
from alerts.triggers.lease import Lease
from alerts.triggers.moments import Moments
from alerts.triggers.points import once
from alerts.triggers.referrals import Settling, Thanked, follow
from alerts.triggers.trials import FIELDS, withdraw_all
from features import events as e
from features.amounts import with_room
from features.catalog import Catalog
from features.columns import NAMES, Columns
from features.customer import Applied, Core, Damaged, Wait
from features.forgetting import Sifted, sift
from features.forgotten import Forgotten
from features.job import Batch, Changes, Message, Plan, Position, State
from features.kernel import arrays
from features.kernel.arrays import Ints
from features.labels import Labels
from features.layout import Layout
from features.messages import Refused, dead_letter
from features.record import FORWARD, Ledger, WrongLayout, forwarded
from features.records import NO_RECORD, Records
from features.times import HOUR_MS
from features.trials import Trial, encode_trial, trials_key

NO_CODE = -1
BIRTHDAYS = Wait("profile", arrays.BIRTHDAY, 0, arrays.NAMED, yearly=True)
OWN, OF_BOTH = (np.isin(np.array(NAMES), list(kinds)) for kinds in (e.OWN, e.OF_BOTH))  # by kind


class CustomersJob:
    """Implements features.job.Job over the clean topic."""

    def __init__(
        self,
        catalog: Catalog,
        decider: Decider,
        labels: Labels,
        examples_topic: str,
        dead_letters_topic: str,
        earlier: list[Layout] | None = None,
        forgotten: Forgotten | None = None,
        settling: Settling | None = None,
        partition_keys: Sequence[str] = (),
        sources: int = 1,
    ) -> None:
        """`earlier`: layouts that records may still be written in; `settling`: how friends who were brought earn their
        referrer thanks, None: not at all, and nothing is said of points that were spent. `partition_keys` reach each
        partition of examples, none: they are not told the hours; `sources` run this job."""
        self.decider = decider
        self.labels = labels
        self.examples_topic = examples_topic
        self.dead_letters_topic = dead_letters_topic
        self.forgotten = Forgotten() if forgotten is None else forgotten
        self.settling = settling
        self.partition_keys, self.sources = partition_keys, sources
        rules = [(i, rule) for i, rule in enumerate(decider.conditions.rules) if rule.enabled]
        self.asks = np.zeros((len(e.CUSTOMER_EVENTS), len(decider.conditions.rules)), dtype=np.bool_)
        for i, rule in rules:
            self.asks[[NAMES.index(kind) for kind in rule.on], i] = True
        self.exits = self.asks.copy()
        for i, rule in rules:
            self.exits[[NAMES.index(kind) for kind in rule.exit_on], i] = True
        self.leaves = np.array([bool(rule.exit) for rule in decider.conditions.rules], dtype=np.bool_)
        self.exits[:, ~self.leaves] = False
        self.codes = np.array([rule.code if rule.enabled else NO_CODE for rule in decider.conditions.rules])
        waits = [wait for _, rule in rules if (wait := rule.wait)]
        self.waits = {wait.rule for wait in waits}
        self._core = partial(
            Core,
            catalog,
            wanted={kind for kind, asks in zip(NAMES, self.asks | self.exits, strict=True) if asks.any()},
            waits=[BIRTHDAYS, *waits],
            label=labels.label,
            purpose=decider.policy.consent,
            also=decider.conditions.fields | (FIELDS if decider.offered.following else set()),
            quiet=decider.policy.quiet,
        )
        self.read_also(earlier or [])

    def read_also(self, layouts: list[Layout]) -> None:
        """Records may be written in any of these."""
        self.core = self._core(earlier=layouts)

    def plan(self, batch: Batch, position: Position) -> Plan:
        sifted = sift(self.core, batch, position.clock, self.forgotten)
        columns = sifted.columns
        names, prepare = columns.customers.followed_by(sorted(sifted.gone)), partial(self.core.decoder.prepare, columns)
        return Plan(position, columns.clock, names, work=sifted, meanwhile=prepare)

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return [whose(timer) for _, timer in due]

    def apply(self, plan: Plan, state: State) -> Changes:
        sifted: Sifted = plan.work
        batch, columns = once(self.core, sifted.batch, sifted.columns, plan.position.clock, state.records)
        due = dict.fromkeys(timer for _, timer in state.due)
        sends = {whose(timer): due_ms for due_ms, timer in state.due if timer.startswith(SENDS)}
        asleep = dict.fromkeys(map(whose, due))
        gone = sifted.gone | self.forgotten.among(asleep)
        heads = Records.of(state.records).heads([*asleep]).tolist()
        known = [c for c, head in zip(asleep, heads, strict=True) if head not in (NO_RECORD, FORWARD) and c not in gone]
        applied, damaged = self._applied(columns, known, state, plan.position.clock.now_ms)
        letters = [_malformed(self.dead_letters_topic, batch, i) for i in columns.malformed]
        letters += [_damaged(self.dead_letters_topic, customer, due_ms) for due_ms, customer in damaged]
        followed = self._followed(batch, columns, applied, state)
        spoken = applied.touches.words(columns.scanned, state.words)
        words = with_room(spoken, len(state.words))
        moments, lease = self._moments(batch, columns, applied), Lease(state.grants, state.spent)
        lifecycle = self.decider.lifecycle
        walk = Walk(lifecycle, batch, columns, applied) if lifecycle else None
        decided = self.decider.decide(
            moments,
            applied,
            ChainMap(words, state.words),
            lease,
            walk,
            sends,
            partial(self._consent, state.records),
            Brakes.of(state.brakes),
        )
        counts = {**_counts(batch, columns, applied, letters), **decided.counts, **sifted.counts}
        counts |= {"friends_ordered": len(followed.messages)} if followed.messages else {}
        counts |= {"strange_zones": strange} if (strange := self.core.zones.looked()) else {}
        counts |= {"words_left_out": left_out} if (left_out := len(spoken) - len(words)) else {}
        examples = [Message(self.examples_topic, model, told) for model, told in self.labels.messages(applied)]
        examples += self.told(decided.trials) + self.withdrawn(gone, state.records) + self._hours(batch, columns)
        spent = [one.told(self.settling.topic) for one in decided.spent] if self.settling else []
        return Changes(
            position=plan.position.moved(columns.last, columns.clock, counts),
            puts=decided.records,
            words=words,
            deletes=sorted(gone),
            timers={
                **dict.fromkeys(due),
                **_timers(applied, due),
                **decided.timers,
                **followed.timers,
                **no_timers(gone),
            },
            spent=lease.spent,
            short=lease.short,
            messages=[*decided.messages, *examples, *letters, *followed.messages, *spent],
            counts=counts,
            receipts=decided.receipts,
            receipts_kept=self.decider.keeping.receipts,
            misses=decided.misses,
            causes_ms=decided.causes_ms,
        )

    def _applied(
        self, columns: Columns, due: list[str], state: State, before_ms: int
    ) -> tuple[Applied, list[tuple[int, str]]]:
        """A damaged record stops the batch where an event needs it, and only its own timers elsewhere."""
        lacking = {whose(timer) for _, timer in state.due if timer.startswith(LACKS)}
        active = set(columns.customers)
        damaged: list[tuple[int, str]] = []
        idle = [customer for customer in due if customer not in active]
        while True:
            try:
                return self.core.apply(columns, idle, state.records, lacking, before_ms), damaged
            except Damaged as error:
                if error.customer not in idle:
                    raise
                idle.remove(error.customer)
                damaged.append(next((at_ms, error.customer) for at_ms, t in state.due if whose(t) == error.customer))

    def _consent(self, records: Mapping[str, bytes], customer: str) -> tuple[int, bool] | None:
        """The customer's latest word on consent to what policy asks for."""
        found = self.core.unpacked(records.get(customer, b""))
        return found.consent.get(crc32(self.decider.policy.consent.encode()))

    def told(self, trials: Iterable[Trial]) -> list[Message]:
        return [Message(self.examples_topic, trials_key(trial.rule), encode_trial(trial)) for trial in trials]

    def _hours(self, batch: Batch, columns: Columns) -> list[Message]:
        """Each hour that the clock has reached, behind all that was told before it."""
        found, before = list[Message](), columns.before_ms // HOUR_MS
        for hour in (now_ms // HOUR_MS for _, now_ms in columns.moved if self.partition_keys):
            if hour > before:
                id, source = f"{batch.partition}/{hour}", str(batch.partition)
                tick = e.encode(e.Tick(id=id, at_ms=hour * HOUR_MS, source=source, of=self.sources))
                found += [Message(self.examples_topic, key, tick) for key in self.partition_keys]
            before = hour
        return found

    def withdrawn(self, gone: Iterable[str], records: Mapping[str, bytes]) -> list[Message]:
        """Nothing is learned from what those who were forgotten have not redeemed."""
        known = [raw for customer in sorted(gone) if (raw := records.get(customer, b"")) and not forwarded(raw)]
        return self.told(trial for raw in known for trial in withdraw_all(self._ledger(raw)))

    def _ledger(self, raw: bytes) -> Ledger:
        try:
            return self.core.unpacked(raw).ledger
        except (Damaged, WrongLayout, msgspec.DecodeError):  # it goes all the same
            return Ledger()

    def _followed(self, batch: Batch, columns: Columns, applied: Applied, state: State) -> Thanked:
        if self.settling is None:
            return Thanked()
        return follow(self.settling, self.core, batch, columns, applied, state, self.forgotten)

    def _moments(self, batch: Batch, columns: Columns, applied: Applied) -> Moments:
        """The rows that rules are asked about; what waits for a label alone is left out."""
        asked = applied.asked
        event, code = asked[:, arrays.EVENT], asked[:, arrays.RULE]
        kinds = columns.kind[np.maximum(event, 0)] if len(columns.kind) else np.zeros(len(event), dtype=np.int64)
        asks, exits = self.asks[kinds], self.exits[kinds]
        timers = np.flatnonzero(event < 0)
        asks[timers] = code[timers, None] == self.codes  # of a rule that is gone, nobody asks
        exits[timers] = asks[timers] & self.leaves
        rows = np.flatnonzero((asks | exits if self.leaves.any() else asks).any(axis=1))
        asked, event = asked[rows], event[rows]
        place = _places(columns, event, asked[:, arrays.FIRES])
        return Moments(
            columns=columns,
            rows=rows,
            asks=asks[rows],
            who=asked[:, arrays.WHO],
            event=event,
            place=place,
            stamps_ms=np.array(batch.stamps_ms, dtype=np.int64)[place],
            at_ms=asked[:, arrays.AS_OF],
            local_ms=asked[:, arrays.LOCAL],
            consented=asked[:, arrays.CONSENTED],
            clock_ms=columns.clock_at(place),
            exits=exits[rows],
        )


def _places(columns: Columns, event: Ints, fires_ms: Ints) -> Ints:
    """Where in the batch the event stands or, of a timer, the tick that reached it."""
    if not columns.moved:
        return columns.index[event]
    places, clocks = (np.array(numbers, dtype=np.int64) for numbers in zip(*columns.moved, strict=True))
    reached = places[np.minimum(np.searchsorted(clocks, fires_ms), len(places) - 1)]
    return np.where(event >= 0, columns.index[event], reached) if len(columns.index) else reached


def _timers(applied: Applied, due: dict[str, None]) -> dict[str, int | None]:
    """When to look at a customer again, where that has changed or has just been done."""
    before, after = applied.wakes.T
    rows = np.flatnonzero(before != after)
    changed = {applied.customers[i]: ms or None for i, ms in zip(rows.tolist(), after[rows].tolist(), strict=True)}
    if left := due.keys() - changed.keys():
        changed |= {c: ms or None for c, ms in zip(applied.customers, after.tolist(), strict=True) if c in left}
    return changed


class Dated(Struct):
    """What tells an event of our own from one that was sent."""

    type: str
    day: int = 0


_dated = msgspec.json.Decoder(Dated).decode


def _own(batch: Batch, columns: Columns) -> Any:
    """bool[events]: Brewline itself has written it, and nobody sent it."""
    own = OWN[columns.kind]
    for i in np.flatnonzero(OF_BOTH[columns.kind]).tolist():
        word = _dated(batch.values[columns.index[i]])
        own[i] = e.is_own(word.type, word.day)
    return own


def _counts(batch: Batch, columns: Columns, applied: Applied, letters: list[Message]) -> dict[str, int]:
    fresh = applied.repeated == 0
    own = _own(batch, columns)
    counts = {f"applied:{NAMES[k]}": n for k, n in enumerate(np.bincount(columns.kind[fresh]).tolist()) if n}
    numbers = {"applied": int((~own & fresh).sum()), "own": int((own & fresh).sum())}
    numbers["duplicates"] = len(columns.kind) - int(own.sum()) - numbers["applied"]
    numbers["dead_lettered"] = len(letters)
    counts |= {name: n for name, n in numbers.items() if n}
    return counts | Counter(f"dead_lettered:{letter.headers['reason']}" for letter in letters)


def _malformed(topic: str, batch: Batch, index: int) -> Message:
    return dead_letter(topic, batch, index, Refused("malformed", "clean topic"))


def _damaged(topic: str, customer: str, due_ms: int) -> Message:
    letter = Batch("timers", 0, -1, [due_ms], [customer.encode()], [due_ms])
    return dead_letter(topic, letter, 0, Refused("internal_error", "timer: the record cannot be read"), customer)
