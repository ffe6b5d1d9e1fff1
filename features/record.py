"""A customer's record: everything the engine knows of one customer, packed into one Redis value.

    u8      version, 6                       u32    layout: what is kept (features/layout.py)
    u32     zone: CRC-32 of its IANA name    varint wake_ms: look at the customer by then; 0: no need
    varint  first_order_ms, 0 for none       hashes ids of the latest orders, refunds and coupons, orders of voids
    hashes  ids of the latest other events   [varint kind, varint at_ms]  latest event per type
    hashes  cases of open complaints         [u32 purpose, varint at_ms, varint granted]  consent
    [u32 rule, varint due_ms, varint grace_ms]  timers: a rule fires due_ms + grace_ms at the earliest
    varint  at_ms of the order whose row waits for the next one, 0 for none; then varint due_ms: when its label is
            told, varint told_ms: horizons up to this one have been, varint gap_ms until the next order, 0 for none yet,
            varint rhythm_ms, 0 for none, [float]: the row
    varint  at_ms of the order whose row waits for what is spent, 0 for none; then varint end_ms: until when that
            counts, varint due_ms, zigzag cents, [float]: the row
    varint  at_ms of the order after which a later moment was chosen, 0 for none; then varint 1 where its row is kept,
            and all that an order's row has which waits for the next; or 0, varint at_ms of the moment, varint due_ms,
            varint rhythm_ms as it is now
    [varint head, zigzag age_ms, [varint code, value]]  tables that hold something
    cells   lifetime                         [varint level, varint number, varint day, cells]  panes
    msgpack [fired_ms, issued_ms, taken, given, coupons, messages_ms, suppressed, inside, held, choices, referral,
            unheld, exposed_ms, purse]  the ledger: what policy decided and must know, whose histories were taken in,
            coupons, arms, by whom brought, points given

Numbers are little-endian; a varint is that of Protocol Buffers, `[...]` a varint count and so many
entries, `hashes` such a list of u64, `cells` a varint mask of the cells that are not 0 and a zigzag
varint for each. A cell is a sum; or one more than the greatest or the least; or a set of bits, one for each
pair of its table. A `float` is a float32 as a varint of its bytes in reverse order, most of which are 0.

The head of a table is four times its number, and 1 more where its age follows: by how much the latest event of any
type is later than the moment as of which it weighs, or at which its value came. It is 2 more where values are weights
(top, decay), f64; others are zigzag varints. A code stands for a text (`words` of the partition), or is a time or a
month. A kind is an index into the event types, a purpose or rule the CRC-32 of its name. A pane counts events of 5
minutes (level 0, `number` = epoch ms // 300,000), of an hour (1, // 3,600,000) or of a day (2, 0), all of them of one
store-local `day` (proleptic ordinal).

In the place of the record of a customer who was merged into another stands a note, `FORWARD` and the id of that one.
First bytes from 240 on are kept for such notes; no version will be one.

Version 5 had rows of [float32], and tables of [varint table, varint weighed_ms, [u64 code, i64 or f64]]. Version 4 had
no later moments. Version 3 had one row, of float64, where three stand: varint at_ms, 0 for none; then varint due_ms,
varint grace_ms, [float64]. The kernel still reads such records, and drops that one row.

`features/kernel/records.py` reads and writes these bytes; this module is its plain twin for reading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TypeVar

from msgspec import Struct, msgpack

from features.kernel.arrays import VERSION
from features.purse import Purse

FORWARD = 240  # the first byte of a note
EVERY_REASON = ""  # a word that lifts whatever there is
_T = TypeVar("_T")
WORDS = 16  # on one reason, that are kept: the latest


class Taken(Struct, array_like=True):
    """What a record has taken in of a customer merged into it: up to which offset of that one's partition."""

    offset: int = -1
    history: bool = False


class Coupon(Struct, array_like=True):
    """A coupon that a customer got, and what became of it; times are 0 until it has.

    New fields are added at the end, with a default.
    """

    decision: str
    rule: str
    name: str = ""  # what the rule calls it
    campaign: str = ""
    face_value_cents: int = 0
    percent: int = 0
    at_most_cents: int = 0
    min_spend_cents: int = 0
    stores: list[str] = []  # where it is good; everywhere, if both are empty
    regions: list[str] = []
    cause: str = ""  # id of the event that earned it, or its timer
    issued_ms: int = 0
    expires_ms: int = 0
    delivered_ms: int = 0
    opened_ms: int = 0
    redeemed_ms: int = 0
    order: str = ""  # in which it was used
    revoked_ms: int = 0
    revoked_for: str = ""


class Choice(Struct, array_like=True, gc=False):
    """An arm that was chosen for a customer, and what has come of it; `paid_cents` are of the latest order since.

    Of its coupon, `face_value_cents` or `percent` and `at_most_cents`; none of them: it gives no coupon.
    """

    rule: str
    arm: str
    context: str
    propensity: float
    at_ms: int
    expires_ms: int
    face_value_cents: int = 0
    percent: int = 0
    at_most_cents: int = 0
    nothing: bool = False
    revision: int = 0
    orders: int = 0
    order: str = ""  # the latest
    paid_cents: int = 0
    redeemed: bool = False
    awaited: str = ""  # the order that the redemption names and that has not come; ANY if it names none
    reward_cents: int = 0
    exposed_ms: int = 0  # when the customer first got an arm of the rule


class Referral(Struct, array_like=True):
    """Who has brought a customer, until that one was thanked; from then on nobody. `paid`: orders since, by their time:
    the cents of each that were not given back."""

    by: str = ""
    at_ms: int = 0
    paid: dict[int, int] = {}

    def merge(self, other: Referral) -> Referral:
        """Thanks that were given stay given; else the earlier word stands, for the orders of both."""
        if not (self.by and other.by):
            return Referral()
        first = min(self, other, key=lambda referral: (referral.at_ms, referral.by))
        paid = {at: self.paid.get(at, 0) + other.paid.get(at, 0) for at in {**self.paid, **other.paid}}
        return Referral(first.by, first.at_ms, paid)


class Ledger(Struct, array_like=True):
    """What policy has decided for a customer, and who was merged into this one."""

    fired_ms: dict[str, int] = {}  # rule → latest coupon, for cooldowns
    issued_ms: list[int] = []  # coupons within the cap window
    taken: dict[str, Taken] = {}  # by customer
    given: dict[str, int] = {}  # campaign → coupons, of campaigns with a file
    coupons: dict[int, Coupon] = {}  # by serial, until some time after they have expired
    messages_ms: dict[str, list[int]] = {}  # channel → what was sent on it, of channels with a cap
    suppressed: dict[str, list[tuple[int, int]]] = {}  # reason → words on it, as in features/suppression.py
    inside: dict[str, int] = {}  # rule with an exit → since when the customer has been inside
    held: list[tuple[int, bytes]] = []  # (send_ms, coupon as it will be sent), the earliest first
    choices: dict[str, Choice] = {}  # decision → the arm that was chosen, while it can still bring something
    referral: Referral | None = None
    unheld: Ledger | None = None  # of a customer who is held out, what this would be otherwise
    exposed_ms: dict[str, int] = {}  # rule → when it first gave the customer something, or held it back to compare
    purse: Purse | None = None

    def merge(self, other: Ledger) -> Ledger:
        """Both ledgers as one: cooldowns from the later coupon on; all coupons count against cap and limits."""
        taken = dict(self.taken)
        for customer, more in other.taken.items():
            mine = taken.get(customer, Taken())
            taken[customer] = Taken(max(mine.offset, more.offset), mine.history or more.history)
        fired_ms = {
            r: max(self.fired_ms.get(r, 0), other.fired_ms.get(r, 0)) for r in {**self.fired_ms, **other.fired_ms}
        }
        given = dict(Counter(self.given) + Counter(other.given))
        return Ledger(
            fired_ms,
            sorted([*self.issued_ms, *other.issued_ms]),
            taken,
            given,
            coupons=dict(sorted((other.coupons | self.coupons).items())),
            messages_ms={name: sorted(times) for name, times in _joined(self.messages_ms, other.messages_ms).items()},
            suppressed={name: latest_words(w) for name, w in _joined(self.suppressed, other.suppressed).items()},
            inside={
                rule: max(self.inside.get(rule, 0), other.inside.get(rule, 0)) for rule in self.inside | other.inside
            },
            held=sorted([*self.held, *other.held]),
            choices=dict(sorted({**other.choices, **self.choices}.items(), key=lambda choice: choice[1].at_ms)),
            referral=self.referral.merge(other.referral)
            if self.referral and other.referral
            else self.referral or other.referral,
            unheld=self.unheld.merge(other.unheld) if self.unheld and other.unheld else self.unheld or other.unheld,
            exposed_ms={
                rule: min(times) for rule, times in _joined(_listed(self.exposed_ms), _listed(other.exposed_ms)).items()
            },
            purse=self.purse.merge(other.purse) if self.purse and other.purse else self.purse or other.purse,
        )


def latest_words(words: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Each once, in order of time."""
    return sorted(set(words))[-WORDS:]


def _listed(times_ms: Mapping[str, int]) -> dict[str, list[int]]:
    return {name: [at_ms] for name, at_ms in times_ms.items()}


def _joined(some: Mapping[str, list[_T]], more: Mapping[str, list[_T]]) -> dict[str, list[_T]]:
    return {name: [*some.get(name, ()), *more.get(name, ())] for name in {**some, **more}}


class Waiting(Struct):
    """The row of an order, waiting for the customer's next one."""

    at_ms: int
    due_ms: int
    told_ms: int
    gap_ms: int
    rhythm_ms: int
    row: bytes


class Later(Struct):
    """A moment after an order, and the row as of then once it is kept."""

    from_ms: int
    at_ms: int
    due_ms: int
    rhythm_ms: int
    told_ms: int = 0
    gap_ms: int = 0
    row: bytes | None = None


class Spending(Struct):
    """The row of an order, waiting for what is spent after it."""

    at_ms: int
    end_ms: int
    due_ms: int
    cents: int
    row: bytes


class Pane(Struct):
    level: int
    number: int
    day: int
    cells: list[int]


class Table(Struct):
    """Pairs (code, value) that a feature is read from; values are the bits of f64 where they are weights."""

    table: int
    weighed_ms: int
    pairs: list[tuple[int, int]]


class Record(Struct):
    """A record, unpacked."""

    layout: int
    zone: int
    wake_ms: int
    first_order_ms: int
    deals: list[int]
    seen: list[int]
    last_ms: dict[int, int]  # kind → latest event time
    complaints: list[int]
    consent: dict[int, tuple[int, bool]]  # purpose → (event time, granted)
    timers: list[tuple[int, int, int]]  # rule, due, grace
    waiting: Waiting | None
    spending: Spending | None
    later: Later | None
    tables: list[Table]
    lifetime: list[int]
    panes: list[Pane]
    ledger: Ledger


class WrongLayout(ValueError):
    """A record of another version, or of a layout that nobody knows any more."""


class CorruptRecord(ValueError):
    """Bytes that are no record."""


encode_ledger = msgpack.Encoder().encode
_decode_ledger = msgpack.Decoder(Ledger).decode


def decode_ledger(raw: bytes) -> Ledger:
    """The ledger at the end of a record; nothing for a customer of whom policy has decided nothing yet."""
    return _decode_ledger(raw) if raw else Ledger()


def forward(into: str) -> bytes:
    """The note that a customer is now `into`."""
    return bytes([FORWARD]) + into.encode()


def forwarded(raw: bytes) -> str:
    """Who a customer is now, by the note in the place of the record; empty where there is a record, or nothing."""
    return raw[1:].decode() if raw[:1] == bytes([FORWARD]) else ""


class _Reader:
    """Reads a record from its start to its end."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.at = 0

    def word(self, size: int) -> int:
        self.at += size
        if self.at > len(self.raw):
            raise CorruptRecord("the record ends too early")
        return int.from_bytes(self.raw[self.at - size : self.at], "little")

    def varint(self) -> int:
        value = shift = 0
        while (byte := self.word(1)) & 128:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def signed(self) -> int:
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def hashes(self) -> list[int]:
        return [self.word(8) for _ in range(self.varint())]

    def cells(self, width: int) -> list[int]:
        mask = self.varint()
        return [self.signed() if mask >> m & 1 else 0 for m in range(width)]

    def table(self, newest_ms: int) -> Table:
        head = self.varint()
        weighed_ms = newest_ms - self.signed() if head & 1 else 0
        value = partial(self.word, 8) if head & 2 else self.whole
        return Table(head >> 2, weighed_ms, [(self.varint(), value()) for _ in range(self.varint())])

    def whole(self) -> int:
        """The bits of an i64."""
        return self.signed() & 2**64 - 1

    def waiting(self) -> Waiting | None:
        at_ms = self.varint()
        if not at_ms:
            return None
        return Waiting(at_ms, self.varint(), self.varint(), self.varint(), self.varint(), self.row())

    def spending(self) -> Spending | None:
        at_ms = self.varint()
        return Spending(at_ms, self.varint(), self.varint(), self.signed(), self.row()) if at_ms else None

    def later(self) -> Later | None:
        from_ms = self.varint()
        if not from_ms:
            return None
        if not self.varint():
            return Later(from_ms, self.varint(), self.varint(), self.varint())
        kept = self.waiting()
        assert kept
        return Later(from_ms, kept.at_ms, kept.due_ms, kept.rhythm_ms, kept.told_ms, kept.gap_ms, kept.row)

    def row(self) -> bytes:
        return b"".join((self.varint() & 2**32 - 1).to_bytes(4, "big") for _ in range(self.varint()))

    def rest(self) -> bytes:
        return self.raw[self.at :]


def decode_record(raw: bytes, layout: int, width: int) -> Record:
    """Unpacks a record of a layout with `width` cells. Raises WrongLayout, CorruptRecord."""
    read = _Reader(raw)
    version, found = read.word(1), read.word(4)
    if (version, found) != (VERSION, layout):
        raise WrongLayout(
            f"record version {version}, layout {found:08x}; expected version {VERSION}, layout {layout:08x}:"
            " rebuild the state by replay under a new redis.prefix"
        )
    return Record(
        layout=layout,
        zone=read.word(4),
        wake_ms=read.varint(),
        first_order_ms=read.varint(),
        deals=read.hashes(),
        seen=read.hashes(),
        last_ms=(last_ms := {read.varint(): read.varint() for _ in range(read.varint())}),
        complaints=read.hashes(),
        consent={read.word(4): (read.varint(), bool(read.varint())) for _ in range(read.varint())},
        timers=[(read.word(4), read.varint(), read.varint()) for _ in range(read.varint())],
        waiting=read.waiting(),
        spending=read.spending(),
        later=read.later(),
        tables=[read.table(max(last_ms.values(), default=0)) for _ in range(read.varint())],
        lifetime=read.cells(width),
        panes=[Pane(read.varint(), read.varint(), read.varint(), read.cells(width)) for _ in range(read.varint())],
        ledger=decode_ledger(read.rest()),
    )
