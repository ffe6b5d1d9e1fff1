"""The slow, obvious twin of rows that wait for labels: the whole log is read again whenever something is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from features import events as e

DAY_MS = 86_400_000


@dataclass
class Row:
    """Of an order, from the place in the log at which it began to wait."""

    at_ms: int
    place: int
    rhythm_ms: int = 0
    told_ms: int = 0
    due_ms: int = 0


@dataclass
class Told:
    """A label: of the row of `at_ms`, known at `known_ms`; `label` by model."""

    at_ms: int
    known_ms: int
    labels: dict[str, float]


@dataclass
class Waiting:
    """One customer; horizons by model: days, or so many rhythms."""

    days: dict[str, int]
    rhythms: dict[str, int]
    spend_days: int
    log: list[e.Event] = field(default_factory=list)
    row: Row | None = None
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

    def take(self, event: e.Event, clock_ms: int) -> bool:
        """False when it was taken before."""
        if any(event.id == known.id for known in self.log):
            return False
        newest_ms = max((o.at_ms for o in self.log if isinstance(o, e.Order)), default=0)
        self.log.append(event)
        if isinstance(event, e.Void):
            gone = event.ordered_ms not in self.orders()
            if self.row and gone and self.row.at_ms == event.ordered_ms:
                self.row = None
            if self.spending and gone and self.spending.at_ms == event.ordered_ms:
                self.spending = None
        if isinstance(event, e.Order) and event.at_ms > newest_ms:
            self._keep(event.at_ms)
        self.settle(clock_ms)
        return True

    def _keep(self, at_ms: int) -> None:
        if not self.row:
            times = [o.at_ms for o in self.log if isinstance(o, e.Order)]
            gaps = len(times) - sum(isinstance(v, e.Void) for v in self.log) - 1
            self.row = Row(at_ms, len(self.log), (max(times) - min(times)) // gaps if gaps > 0 else 0)
            self.row = self.row if self.horizons() else None
        if not self.spending:
            self.spending = Row(at_ms, len(self.log))

    def horizons(self) -> dict[str, int]:
        """Of the row that waits, by model; of a customer without a rhythm some have none."""
        assert self.row
        found = {model: days * DAY_MS for model, days in self.days.items()}
        for model, times in self.rhythms.items():
            if self.row.rhythm_ms:
                found[model] = min(max(times * self.row.rhythm_ms, DAY_MS), 180 * DAY_MS)
        return found

    def gap_ms(self) -> int:
        assert self.row
        return min((at_ms for at_ms in self.orders() if at_ms > self.row.at_ms), default=2**62) - self.row.at_ms

    def decided_ms(self) -> int:
        """When the next label is decided: by an order, or by a horizon."""
        assert self.row
        left = [h for h in self.horizons().values() if h > self.row.told_ms]
        return self.row.at_ms + min(self.gap_ms(), *left)

    def settle(self, clock_ms: int) -> None:
        """What is decided is told a day later; if the clock is there already, when it moves next."""
        if self.row:
            self.row.due_ms = max(self.decided_ms() + DAY_MS, clock_ms + 1)
        if self.spending:
            end_ms = self.spending.at_ms + self.spend_days * DAY_MS
            self.spending.due_ms = max(end_ms + DAY_MS, clock_ms + 1)

    def tick(self, clock_ms: int) -> list[Told]:
        """What is told when the clock gets there."""
        found = []
        while self.row and self.row.due_ms <= clock_ms:
            found.append(self._tell())
        if self.spending and self.spending.due_ms <= clock_ms:
            found.append(Told(self.spending.at_ms, self.spending.due_ms, {"spend": float(self.spent())}))
            self.spending = None
        return found

    def _tell(self) -> Told:
        row, horizons, gap_ms = self.row, self.horizons(), self.gap_ms()
        assert row
        left = {model: h for model, h in horizons.items() if h > row.told_ms}
        now = left if gap_ms <= min(left.values()) else {m: h for m, h in left.items() if h == min(left.values())}
        told = Told(row.at_ms, row.due_ms, {})
        for model, horizon_ms in now.items():
            days = model == "days"
            told.labels[model] = min(gap_ms, horizon_ms) / DAY_MS if days else float(gap_ms >= horizon_ms)
        row.told_ms = max(now.values())
        if now == left:
            self.row = None
        else:
            row.due_ms = max(row.due_ms, self.decided_ms() + DAY_MS)
        return told

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
        if other.row and (not self.row or other.row.at_ms < self.row.at_ms):
            self.row = other.row
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
