"""The slow, obvious twin of rows that wait for labels: the whole log is read again whenever something is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from features import events as e

DAY_MS = 86_400_000


@dataclass
class Row:
    """Of an order, from the place in the log at which it began to wait; or of a moment after the order of `from_ms`."""

    at_ms: int
    place: int
    rhythm_ms: int = 0
    told_ms: int = 0
    due_ms: int = 0
    from_ms: int = 0
    kept: bool = True


@dataclass
class Told:
    """A label: of the row of `at_ms`, known at `known_ms`; `label` by model."""

    at_ms: int
    known_ms: int
    labels: dict[str, float]
    place: int = 0  # in the log, up to which its row knows it
    of_order: bool = True


def share_of(id: str) -> int:
    """How far into one and a half of the longest horizon the later moment of an order with this id lies: of 2 ** 21."""
    return (hash_of(id) >> 43) ** 2 >> 21


def hash_of(id: str) -> int:
    """FNV-1a of 64 bits, with MurmurHash3's finalizer."""
    h, mask = 0xCBF29CE484222325, 2**64 - 1
    for byte in id.encode():
        h = (h ^ byte) * 0x100000001B3 & mask
    h = (h ^ h >> 33) * 0xFF51AFD7ED558CCD & mask
    h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53 & mask
    return h ^ h >> 33


@dataclass
class Waiting:
    """One customer; horizons by model: days, or so many rhythms."""

    days: dict[str, int]
    rhythms: dict[str, int]
    spend_days: int
    log: list[e.Event] = field(default_factory=list)
    row: Row | None = None
    later: Row | None = None
    spending: Row | None = None

    def orders(self) -> list[int]:
        """Times of those that were not voided."""
        times: list[int] = []
        for event in self.log:
            if isinstance(event, e.Order):
                times.append(event.at_ms)
            elif isinstance(event, e.Void) and event.ordered_ms in times:
                times.remove(event.ordered_ms)
        return times

    def newest_ms(self) -> int:
        return max((event.at_ms for event in self.log), default=0)

    def rhythm_ms(self) -> int:
        times = [o.at_ms for o in self.log if isinstance(o, e.Order)]
        gaps = len(times) - sum(isinstance(v, e.Void) for v in self.log) - 1
        return (max(times) - min(times)) // gaps if gaps > 0 else 0

    def take(self, event: e.Event, clock_ms: int) -> bool:
        """False when it was taken before."""
        if any(event.id == known.id for known in self.log):
            return False
        newest_ms = max((o.at_ms for o in self.log if isinstance(o, e.Order)), default=0)
        self.reach(max(event.at_ms, clock_ms))
        self.log.append(event)
        if isinstance(event, e.Void):
            gone = event.ordered_ms not in self.orders()
            if self.row and gone and self.row.at_ms == event.ordered_ms:
                self.row = None
            if self.later and gone and self.later.from_ms == event.ordered_ms:
                self.later = None
            if self.spending and gone and self.spending.at_ms == event.ordered_ms:
                self.spending = None
        if isinstance(event, e.Order) and event.at_ms > newest_ms:
            self._keep(event, clock_ms)
        self.settle(clock_ms)
        return True

    def reach(self, now_ms: int) -> None:
        """The later moment has come: its row is of what is known by then."""
        if self.later and not self.later.kept and self.later.at_ms <= now_ms:
            self.later.kept, self.later.place = True, len(self.log)

    def _keep(self, order: e.Order, clock_ms: int) -> None:
        if not self.row:
            self.row = Row(order.at_ms, len(self.log), self.rhythm_ms())
            self.row = self.row if self.horizons(self.row) else None
        if not (self.later and self.later.kept):
            self.later = self._choose(order, clock_ms)
        if not self.spending:
            self.spending = Row(order.at_ms, len(self.log))

    def _choose(self, order: e.Order, clock_ms: int) -> Row | None:
        row = Row(order.at_ms, 0, self.rhythm_ms(), from_ms=order.at_ms, kept=False)
        row.at_ms += 1 + 3 * max(self.horizons(row).values(), default=0) // 2 * share_of(order.id) // 2**21
        return row if row.at_ms > max(clock_ms, self.newest_ms()) and self.horizons(row) else None

    def horizons(self, row: Row) -> dict[str, int]:
        """Of a row that waits, by model; of a customer without a rhythm some have none."""
        found = {model: days * DAY_MS for model, days in self.days.items()}
        for model, times in self.rhythms.items():
            if row.rhythm_ms:
                found[model] = min(max(times * row.rhythm_ms, DAY_MS), 180 * DAY_MS)
        return found

    def gap_ms(self, row: Row) -> int:
        return min((at_ms for at_ms in self.orders() if at_ms > row.at_ms), default=2**62) - row.at_ms

    def decided_ms(self, row: Row) -> int:
        """When the next horizon has passed, whoever has come before."""
        return row.at_ms + min((h for h in self.horizons(row).values() if h > row.told_ms), default=0)

    def settle(self, clock_ms: int) -> None:
        """What is decided is told a day later; if the clock is there already, when it moves next."""
        if self.later and not self.later.kept:
            self.later.rhythm_ms = self.rhythm_ms()
        for row in (self.row, self.later):
            if row:
                row.due_ms = max(self.decided_ms(row) + DAY_MS, clock_ms + 1)
        if self.spending:
            end_ms = self.spending.at_ms + self.spend_days * DAY_MS
            self.spending.due_ms = max(end_ms + DAY_MS, clock_ms + 1)

    def tick(self, clock_ms: int) -> list[Told]:
        """What is told when the clock gets there."""
        self.reach(clock_ms)
        found = []
        while self.row and self.row.due_ms <= clock_ms:
            told, self.row = self._tell(self.row)
            found.append(told)
        while self.later and self.later.due_ms <= clock_ms:
            told, self.later = self._tell(self.later)
            found.append(told)
        if self.spending and self.spending.due_ms <= clock_ms:
            found.append(Told(self.spending.at_ms, self.spending.due_ms, {"spend": float(self.spent())}))
            self.spending = None
        return found

    def _tell(self, row: Row) -> tuple[Told, Row | None]:
        """What is told of it, and the row while it waits on."""
        horizons, gap_ms = self.horizons(row), self.gap_ms(row)
        left = {model: h for model, h in horizons.items() if h > row.told_ms}
        now = {model: h for model, h in left.items() if h == min(left.values())}
        told = Told(row.at_ms, row.due_ms, {}, row.place, not row.from_ms)
        for model, horizon_ms in now.items():
            days = model == "days"
            told.labels[model] = min(gap_ms, horizon_ms) / DAY_MS if days else float(gap_ms >= horizon_ms)
        row.told_ms = max(now.values())
        row.due_ms = max(row.due_ms, self.decided_ms(row) + DAY_MS)
        return told, None if now == left else row

    def spent(self) -> int:
        """Cents within the window after the row's order, less what was given back of them."""
        assert self.spending
        start_ms, end_ms, cents = self.spending.at_ms, self.spending.at_ms + self.spend_days * DAY_MS, 0
        for event in self.log[self.spending.place :]:
            if isinstance(event, e.Order) and start_ms < event.at_ms < end_ms:
                cents += event.total_cents
            elif isinstance(event, e.Refund) and start_ms < event.ordered_ms < end_ms:
                cents -= event.amount_cents
        return cents

    def merge(self, other: Waiting, clock_ms: int) -> None:
        """The earlier row waits on, with the orders of both; one for spend, if the other has ordered nothing since."""
        mine, theirs = ([o.at_ms for o in w.log if isinstance(o, e.Order)] for w in (self, other))
        keeps = bool(self.spending) and max(theirs, default=0) <= self.spending.at_ms
        takes = bool(other.spending) and max(mine, default=0) <= other.spending.at_ms
        before = other.log[: other.spending.place] if other.spending else []
        self.reach(max(clock_ms, other.newest_ms()))
        other.reach(max(clock_ms, self.newest_ms()))
        if other.row and (not self.row or other.row.at_ms < self.row.at_ms):
            self.row = other.row
        if other.later and (not self.later or _sooner(other.later) < _sooner(self.later)):
            self.later = other.later
        if not keeps:
            self.spending = other.spending if takes else None
        if self.spending and self.spending is other.spending:
            after = other.log[len(before) :]
            self.log = [*before, *self.log, *after]
            self.spending.place = len(self.log) - len(after)
        else:
            at = self.spending.place if self.spending else len(self.log)
            self.log = [*self.log[:at], *other.log, *self.log[at:]]
            if self.spending:
                self.spending.place = at + len(other.log)
        self.settle(clock_ms)


def _sooner(later: Row) -> tuple[bool, int]:
    """One whose row is kept goes before one whose moment has not come."""
    return not later.kept, later.at_ms
