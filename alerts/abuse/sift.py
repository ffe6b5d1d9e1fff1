"""The first stage: clean events of one partition in, facts on accounts out, one for each customer of a batch.

Most events say nothing here: only those whose bytes may hold a device, a coupon, or a word that matters are decoded.
It keeps no state, for facts may be repeated. The partition's clock follows its facts to all partitions.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from alerts.abuse.fact import Erased, Fact, Known, Merged, Traces, encode_fact, hashed, subject_of
from alerts.abuse.signals import Signals
from alerts.kpis.kpi import ClockMark, encode_partial
from features.clean import NOBODY
from features.forgotten import Forgotten, name_hash
from features.job import Batch, Changes, Message, Plan, Position, State
from features.times import DAY_MS

ALWAYS = {b"referral", b"refund", b"void", b"coupon_redeemed", b"merge", b"forget", b"tick"}
WITH_DEVICE = {b"login", b"bind", b"app_open", b"order"}  # tell something only if they name a device, or a coupon
KIND_AT = len(b'{"type":"')  # of all that Brewline writes


def tells(raw: bytes) -> bool:
    """Whether an event may say something here."""
    kind = raw[KIND_AT : raw.find(b'"', KIND_AT)]
    return kind in ALWAYS or (kind in WITH_DEVICE and (b'"device":"' in raw or b'"coupon":"' in raw))


class Told(Struct):
    """What matters here of any clean event."""

    type: str = ""
    customer: str = ""
    at_ms: int = 0
    id: str = ""
    device: str = ""
    channel: str = ""
    coupon: str = ""
    order: str = ""
    friend: str = ""
    into: str = ""
    source: str = ""
    of: int | str = 0


decode_told = msgspec.json.Decoder(Told).decode


class SiftJob:
    """Implements features.job.Job over `events`. `partition_keys` reach each partition of `sightings`."""

    def __init__(
        self,
        sightings: str,
        partition_keys: list[str],
        sources: int,
        signals: Signals,
        forgotten: Forgotten | None = None,
    ) -> None:
        self.sightings = sightings
        self.partition_keys = partition_keys
        self.sources = sources
        self.channels = set(signals.allow.channels)
        self.devices = set(signals.allow.devices)
        self.forgotten = Forgotten() if forgotten is None else forgotten

    def plan(self, batch: Batch, position: Position) -> Plan:
        clock, facts, known = position.clock, list[Fact](), dict[str, Known]()
        for raw in batch.values:
            if not tells(raw):
                continue
            try:
                told = decode_told(raw)
            except (ValueError, RecursionError):
                continue  # customers and kpis make a dead letter of it
            if told.type == "tick":
                clock = clock.moved(told.source, int(told.of), told.at_ms)
            elif told.type in ("merge", "forget"):
                facts += known.values()
                known = {}
                facts.append(
                    Merged(told.customer, told.into, told.at_ms) if told.type == "merge" else Erased(told.customer)
                )
            else:
                self._note(told, known)
        return Plan(position, clock, work=(batch, self._living([*facts, *known.values()])))

    def _note(self, told: Told, known: dict[str, Known]) -> None:
        for customer, traces in self._traces(told):
            if customer in known:
                known[customer].traces.add(traces)
            else:
                known[customer] = Known(customer, traces)

    def _traces(self, told: Told) -> list[tuple[str, Traces]]:
        """What the event says, and of whom."""
        found = list[tuple[str, Traces]]()
        who, at_ms = told.customer, told.at_ms
        if not who:
            return found
        if told.device and told.channel not in self.channels and told.device not in self.devices:
            found.append((who, Traces(devices={told.device: {at_ms // DAY_MS: at_ms}})))
        if told.type == "order" and told.coupon:
            found.append((who, Traces(redeemed={hashed(told.id): at_ms})))
        elif told.type == "coupon_redeemed" and told.order:
            found.append((who, Traces(redeemed={hashed(told.order): at_ms})))
        elif told.type in ("refund", "void"):
            found.append((who, Traces(refunded={hashed(told.order): at_ms})))
        elif told.type == "referral" and told.friend != NOBODY:
            found.append((told.friend, Traces(referrers={hashed(who): at_ms})))
        return found

    def _living(self, facts: list[Fact]) -> list[Fact]:
        """Without those who were forgotten; whoever is to be forgotten now is heard of."""
        gone, kept = self.forgotten.among({subject_of(fact) for fact in facts}), list[Fact]()
        for fact in facts:
            if isinstance(fact, Erased):
                gone.add(fact.customer)
                kept.append(fact)
            elif subject_of(fact) not in gone:
                kept.append(fact)
        self.forgotten.add({name_hash(name): 0 for name in gone})
        return kept

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return []

    def apply(self, plan: Plan, state: State) -> Changes:
        batch, facts = plan.work
        messages = [Message(self.sightings, subject_of(fact), encode_fact(fact)) for fact in facts]
        if plan.clock.now_ms > plan.position.clock.now_ms:
            mark = encode_partial(ClockMark(batch.partition, self.sources, plan.clock.now_ms))
            messages += [Message(self.sightings, key, mark) for key in self.partition_keys]
        counts = {"facts": len(facts)} if facts else {}
        return Changes(plan.position.moved(batch.last, plan.clock, counts), messages=messages, counts=counts)
