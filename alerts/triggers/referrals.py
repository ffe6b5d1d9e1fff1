"""Who has brought whom: a referral is kept with the friend until a paid order of the friend's has settled.

    referral {friend}        by the app, of the one who brings; ingest finds out who the friend is, and adds
    referred {by}            for the friend, whose ledger keeps the earliest until the first paid order
    friend_ordered {friend}  for the one who brought, once that order is `settling_ms` old and was not given back

A referral counts for whoever had not ordered before. An order that was voided, or refunded whole, within that time
earns nothing, and the next one is waited for. Nobody brings themselves, be it that a merge finds that out.
"""

from __future__ import annotations

from bisect import bisect, bisect_left
from hashlib import blake2b
from operator import itemgetter

import numpy as np
from msgspec import Struct

from alerts.triggers.alarms import SETTLES, whose
from features import events as e
from features.columns import KINDS, Columns
from features.customer import Applied, Core
from features.forgotten import Forgotten
from features.job import Batch, Message, State
from features.kernel.arrays import ROOM_OF, TIMES
from features.record import Ledger, Referral, decode_ledger, encode_ledger

MOST = ROOM_OF[TIMES]  # orders of one customer that a record keeps the times of
SOME = 2**41  # cents of an order from before anything was noted of it: paid, until it is voided
ALL = 2**42  # what a void takes back: more than that
END = 2**62  # behind each place
FOLLOWED = [KINDS[kind] for kind in ("order", "refund", "void", "referred")]

Said = list[tuple[int, e.Event]]  # by place in the batch
Moves = list[tuple[int, int]]  # (where in the batch, the clock from then on)


class Settling(Struct, frozen=True):
    """`topic`: the clean one; `settling_ms`: how long a first order must stand."""

    topic: str
    settling_ms: int

    def due_ms(self, referral: Referral | None) -> int:
        """When the thanks are earned, as things stand; 0: not yet."""
        paid = [at_ms for at_ms, cents in referral.paid.items() if cents > 0] if referral else []
        return min(paid) + self.settling_ms if paid else 0

    def thanks(self, by: str, friend: str, at_ms: int) -> Message:
        """To the one who brought. The id tells nobody who the friend is."""
        id = blake2b(f"friend_ordered|{friend}".encode(), digest_size=16).hexdigest()
        return Message(self.topic, by, e.encode(e.FriendOrdered(id=id, customer=by, at_ms=at_ms, friend=friend)))


class Orders(Struct):
    """The latest orders that were not voided, and the first of all, as a record keeps them."""

    times_ms: list[int]
    first_ms: int

    def hear(self, event: e.Event) -> None:
        if isinstance(event, e.Order):
            self.times_ms = sorted([*self.times_ms, event.at_ms])[-MOST:]
            self.first_ms = min(self.first_ms or event.at_ms, event.at_ms)
        elif isinstance(event, e.Void) and event.ordered_ms in self.times_ms:
            self.times_ms.remove(event.ordered_ms)

    def kept(self, referral: Referral) -> Referral | None:
        """The referral of somebody who has ordered so; None where that was before it."""
        before = len(self.times_ms) == MOST and self.first_ms < referral.at_ms
        if before or any(at_ms < referral.at_ms for at_ms in self.times_ms):
            return None
        return referral.merge(Referral(referral.by, referral.at_ms, dict.fromkeys(self.times_ms, SOME)))


def orders_of(core: Core, record: bytes) -> Orders:
    """Of a packed record, or of nothing."""
    found = core.unpacked(record)
    times_ms = [at_ms for table in found.tables if table.table == 0 for at_ms, _ in table.pairs]
    return Orders(times_ms, found.first_order_ms)


class Friend:
    """One who may have been brought, over a batch; `record`: as it was before."""

    def __init__(self, name: str, record: bytes, ledger: Ledger, core: Core, forgotten: Forgotten) -> None:
        self.name = name
        self.record = record
        self.ledger = ledger
        self.core = core
        self.forgotten = forgotten
        self.heard: list[e.Event] = []

    def live(self, said: Said, moved: Moves, settling: Settling) -> list[Message]:
        """The thanks that are due, at most one."""
        sent, after = list[Message](), -1
        for place, event in said:
            sent += self._settle(after, place, moved, settling)
            self._hear(event)
            after = place
        return sent + self._settle(after, END, moved, settling)

    def _settle(self, after: int, until: int, moved: Moves, settling: Settling) -> list[Message]:
        """If the clock moves to when they are due, or beyond, between these places."""
        referral = self.ledger.referral
        due_ms = settling.due_ms(referral)
        if referral is None or not due_ms:
            return []
        first = max(bisect(moved, (after, END)), bisect_left(moved, due_ms, key=itemgetter(1)))
        if first == len(moved) or moved[first][0] > until:
            return []
        mine = {self.name, *self.ledger.taken}
        if referral.by in mine or self.forgotten.among({referral.by}):
            self.ledger.referral = None
            return []
        self.ledger.referral = Referral()
        return [settling.thanks(referral.by, self.name, due_ms)]

    def _hear(self, event: e.Event) -> None:
        referral = self.ledger.referral
        if isinstance(event, e.Referred):
            self._brought(Referral(event.by, event.at_ms))
        elif referral is not None and referral.by:
            self.ledger.referral = _after(referral, event)
        self.heard.append(event)

    def _brought(self, referral: Referral) -> None:
        """By another one before, perhaps: then the earlier counts."""
        if referral.by == self.name or self.forgotten.among({referral.by}):
            return
        if self.ledger.referral is not None:
            self.ledger.referral = self.ledger.referral.merge(referral)
            return
        orders = orders_of(self.core, self.record)
        for event in self.heard:
            orders.hear(event)
        self.ledger.referral = orders.kept(referral)


def _after(referral: Referral, event: e.Event) -> Referral | None:
    """What is left of a referral behind an order, a refund or a void."""
    if isinstance(event, e.Order):
        at_ms, cents = event.at_ms, event.total_cents
        if cents and at_ms < referral.at_ms:
            return None
    elif isinstance(event, e.Refund):
        at_ms, cents = event.ordered_ms, -(ALL if isinstance(event, e.Void) else event.amount_cents)
    else:
        return referral
    paid = {**referral.paid, at_ms: referral.paid.get(at_ms, 0) + cents} if cents else referral.paid
    return Referral(referral.by, referral.at_ms, dict(sorted(paid.items())[:MOST]))


class Thanked(Struct):
    """What came of a batch's referrals."""

    messages: list[Message] = []
    timers: dict[str, int | None] = {}


def follow(
    settling: Settling, core: Core, batch: Batch, columns: Columns, applied: Applied, state: State, forgotten: Forgotten
) -> Thanked:
    """Looks at those only who were brought and order now, or whose time has come; notes it in `applied.records`."""
    followed, brought = Thanked(), applied.referred > 0
    if not brought.any():
        return followed
    at = np.flatnonzero(brought[columns.who] & (applied.repeated == 0) & np.isin(columns.kind, FOLLOWED))
    said: dict[int, Said] = {}
    for who, place in zip(columns.who[at].tolist(), columns.index[at].tolist(), strict=True):
        said.setdefault(who, []).append((place, e.decode_clean(batch.values[place])))
    due = {whose(name) for _, name in state.due if name.startswith(SETTLES)}
    for who in [who for who in np.flatnonzero(brought).tolist() if who in said or applied.customers[who] in due]:
        name, ledger = applied.customers[who], decode_ledger(applied.ledger(who))
        before, friend = ledger.referral, Friend(name, state.records.get(name, b""), ledger, core, forgotten)
        followed.messages += friend.live(said.get(who, []), columns.moved, settling)
        due_ms = settling.due_ms(ledger.referral)
        if due_ms != settling.due_ms(before) or name in due:
            followed.timers[SETTLES + name] = due_ms or None
        if ledger.referral != before:
            applied.with_ledger(who, encode_ledger(ledger))
    return followed
