"""The leak join: customers who were exported, and who of them comes back with a coupon, on which device.

Exports are keyed by actor and redemptions by customer. Both go to `exposures`, under a hash of the customer; what they
come to goes back to `audit.events` under the actor's name. A rule counts from there.

    security              an export's customers → exposures
    security-redemptions  clean events: coupons redeemed on a device → exposures
    security-leaks        exposures: a customer who was exported redeems → audit_told `customer_back`

Customer ids are in neither the topic nor the records, only hashes of them. Exports and redemptions come by ways of
their own: a redemption that is here before the export it follows waits for it, for as long as exports may be late.
"""

from __future__ import annotations

from collections import Counter

import msgspec
from msgspec import Struct, msgpack

from alerts.security.finding import digest as hashed
from features.events import AuditExport, AuditTold, CouponRedeemed, encode
from features.job import Batch, Changes, Message, Plan, Position, State
from features.messages import Refused, dead_letter, digest
from features.times import DAY_MS

REMEMBERED_MS = 30 * DAY_MS  # how long a leak may lie before it is used
LATE_MS = DAY_MS  # how much later than a redemption an export may come that was made before it
MOST_EXPORTS = 16  # of a customer, the latest
MOST_WAITING = 16  # redemptions of a customer, the latest
BACK = "customer_back"
KIND = b'{"type":"coupon_redeemed"'


class Exposure(Struct, omit_defaults=True):
    """One word on `exposures`: an export by `actor`, or a redemption, which has none."""

    customer: str
    event: str
    at_ms: int
    actor: str = ""
    device: str = ""
    store: str = ""


class Exports(Struct, array_like=True):
    """A customer's record: when which actor has exported them last, and their latest redemptions."""

    by: dict[str, int] = {}
    waiting: list[Exposure] = []

    @property
    def due_ms(self) -> int:
        newest_ms = max((word.at_ms for word in self.waiting), default=-LATE_MS)
        return max(max(self.by.values(), default=-REMEMBERED_MS) + REMEMBERED_MS, newest_ms + LATE_MS)


_encode = msgspec.json.Encoder().encode
_exposure = msgspec.json.Decoder(Exposure).decode
_decode_redeemed = msgspec.json.Decoder(CouponRedeemed).decode
_pack, _unpack = msgpack.Encoder().encode, msgpack.Decoder(Exports).decode


def name_of(customer: str) -> str:
    return hashed((customer,), 8).hex()


def exposures(topic: str, event: AuditExport) -> list[Message]:
    """What an export tells of its customers."""
    if event.result != "ok":
        return []
    return [_message(topic, Exposure(name_of(c), event.id, event.at_ms, event.actor)) for c in event.customers]


def _message(topic: str, exposure: Exposure) -> Message:
    return Message(topic, exposure.customer, _encode(exposure))


class RedemptionsJob:
    """Implements features.job.Job over `events`; it keeps nothing, for a word may be repeated."""

    def __init__(self, topic: str) -> None:
        self.topic = topic

    def plan(self, batch: Batch, position: Position) -> Plan:
        return Plan(position, position.clock, work=batch)

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return []

    def apply(self, plan: Plan, state: State) -> Changes:
        batch: Batch = plan.work
        found = [self._redeemed(raw) for raw in batch.values if raw.startswith(KIND) and b'"device"' in raw]
        messages = [message for message in found if message is not None]
        return Changes(position=plan.position.moved(batch.last, plan.clock, {}), messages=messages)

    def _redeemed(self, raw: bytes) -> Message | None:
        try:
            event = _decode_redeemed(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None  # customers and kpis make a dead letter of it
        if not (event.customer and event.device):
            return None
        told = Exposure(name_of(event.customer), event.id, event.at_ms, device=event.device, store=event.store)
        return _message(self.topic, told)


class LeaksJob:
    """Implements features.job.Job over `exposures`; time is that of the newest word."""

    def __init__(self, audit_topic: str, dead_letters_topic: str) -> None:
        self.audit_topic = audit_topic
        self.dead_letters_topic = dead_letters_topic

    def plan(self, batch: Batch, position: Position) -> Plan:
        words, letters = list[Exposure](), list[tuple[int, Refused]]()
        for index, raw in enumerate(batch.values):
            try:
                words.append(_decode(raw))
            except Refused as refused:
                letters.append((index, refused))
        clock = position.clock.moved("", 1, max((word.at_ms for word in words), default=0))
        return Plan(position, clock, sorted({_record(word) for word in words}), work=(batch, words, letters))

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return []

    def apply(self, plan: Plan, state: State) -> Changes:
        batch, words, letters = plan.work
        found = {name: _unpack(raw) for name, raw in state.records.items()}
        messages = [dead_letter(self.dead_letters_topic, batch, *letter) for letter in letters]
        messages += [message for word in words for message in self._word(word, found, plan.clock.now_ms)]
        counts = Counter(name for _, each in letters for name in ("dead_lettered", f"dead_lettered:{each.reason}"))
        position = plan.position.moved(batch.last, plan.clock, dict(counts))
        changes = Changes(position=position, messages=messages, counts=dict(counts))
        for name in [name for _, name in state.due if name not in found]:
            changes.deletes.append(name)
            changes.timers[name] = None
        for name, exports in found.items():
            if exports.due_ms > plan.clock.now_ms:
                changes.puts[name], changes.timers[name] = _pack(exports), exports.due_ms
            else:
                changes.deletes.append(name)
                changes.timers[name] = None
        return changes

    def _word(self, word: Exposure, found: dict[str, Exports], now_ms: int) -> list[Message]:
        exports = found.setdefault(_record(word), Exports())
        exports.waiting = [each for each in exports.waiting if each.at_ms + LATE_MS > now_ms]
        if not word.actor:
            if word.at_ms + LATE_MS > now_ms:
                exports.waiting = [*exports.waiting, word][-MOST_WAITING:]
            since_ms = word.at_ms - REMEMBERED_MS
            return [self._back(word, by) for by, at_ms in sorted(exports.by.items()) if since_ms < at_ms <= word.at_ms]
        exports.by[word.actor] = max(word.at_ms, exports.by.get(word.actor, 0))
        if len(exports.by) > MOST_EXPORTS:
            del exports.by[min(exports.by, key=lambda actor: (exports.by[actor], actor))]
        until_ms = word.at_ms + REMEMBERED_MS
        return [self._back(each, word.actor) for each in exports.waiting if word.at_ms <= each.at_ms < until_ms]

    def _back(self, word: Exposure, actor: str) -> Message:
        told = AuditTold(
            id=digest(f"told|{BACK}|{actor}|{word.customer}|{word.event}"),
            time=word.at_ms,
            actor=actor,
            action=BACK,
            by="customers",
            object=word.customer,
            device=word.device,
            store=word.store,
        )
        return Message(self.audit_topic, actor, encode(told))


def _decode(raw: bytes) -> Exposure:
    """Raises Refused."""
    try:
        return _exposure(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused("malformed", "no export and no redemption of a customer") from None


def _record(word: Exposure) -> str:
    return f"exposed|{word.customer}"
