"""Rules over a past: the same core, conditions and policy as live; decisions are noted, and nothing is sent."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import nan
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from alerts.triggers.arms import Given
from alerts.triggers.campaign import NONE, Campaigns
from alerts.triggers.candidates import Candidate, Candidates, plain
from alerts.triggers.condition import Conditions
from alerts.triggers.decide import NO_SENDS, Decider
from alerts.triggers.gifts import Then
from alerts.triggers.job import CustomersJob
from alerts.triggers.lease import Cost, Lease
from alerts.triggers.moments import Moments, Seen
from alerts.triggers.news import Order
from alerts.triggers.policy import Policy
from alerts.triggers.receipts.misses import near_misses
from alerts.triggers.receipts.receipt import Verdict
from alerts.triggers.round import FIRED, Decided, Round
from alerts.triggers.rule import Rule
from alerts.triggers.sending import USUAL_HOUR, sending
from alerts.triggers.trials import Deed
from features.catalog import Catalog
from features.columns import Columns
from features.customer import Applied
from features.job import Batch, Message
from features.kernel.arrays import Ints
from features.labels import NO_LABELS
from features.models import LinearModel
from features.record import Ledger
from features.trials import Trial

UNSENT = Message("", "", b"")
TIMER = "rule|"  # how the cause of a decision begins that no event has asked for


class Span(Struct, frozen=True):
    """Rules are asked from `from_ms` on and before `to_ms`; what happened before fills the windows all the same."""

    from_ms: int = 0
    to_ms: int = 2**62


ALL_OF_IT = Span()


class World(Struct, frozen=True):
    """Rules that are decided together, as if there were no others: by number, what each is called in the figures."""

    names: dict[int, str]

    @classmethod
    def of(cls, rules: list[Rule]) -> World:
        """The only one."""
        return cls({i: rule.id for i, rule in enumerate(rules)})


class Decision(NamedTuple):
    rule: str
    customer: str
    at_ms: int
    outcome: str
    cause: str
    arm: str = ""


class Judged(Struct):
    """What came of a share of the past in one world. By decision: rule, customer (both by number), time and outcome."""

    world: World
    columns: Columns
    rules: list[Rule]
    rule: Ints
    who: Ints
    at_ms: Ints
    outcome: npt.NDArray[Any]
    causes: list[str]
    arm: npt.NDArray[Any]
    cents: Ints  # that the coupon may cost
    asked: Ints  # by rule: how often
    near: list[tuple[Ints, Ints]]  # by rule: whom it has nearly reached, and when
    spent: dict[str, int] = {}  # by pot of the campaigns

    def of(self, rule: int, outcome: str) -> tuple[Ints, Ints]:
        """Whom a rule had this outcome for, and when."""
        mine = (self.rule == rule) & (self.outcome == outcome)
        return self.who[mine], self.at_ms[mine]

    def fired(self, rule: int, arm: str) -> tuple[Ints, Ints]:
        """Whom a rule gave this arm, which may be the control, and when."""
        mine = (self.rule == rule) & (self.arm == arm) & np.isin(self.outcome, FIRED)
        return self.who[mine], self.at_ms[mine]

    def decisions(self) -> list[Decision]:
        rules, customers = [self.rules[i].id for i in self.rule.tolist()], self.columns.customers
        told = (self.at_ms.tolist(), self.outcome.tolist(), self.causes, self.arm.tolist())
        return [
            Decision(rule, customers[who], *of) for rule, who, *of in zip(rules, self.who.tolist(), *told, strict=True)
        ]


class Unlimited(Lease):
    """Counts what would be spent if there were enough of everything."""

    def lacking(self, costs: Iterable[Cost]) -> str:
        return ""


Noted = tuple[str, int, int, str, str, str, int]  # rule, customer by number, time, outcome, cause, arm, worth in cents


class Rationed(Struct):
    """What came of all shares where these shared the campaigns' pots; `ran_out`: when one first had too little left."""

    noted: list[list[Noted]]  # by share
    spent: dict[str, int]
    ran_out: dict[str, int]


class Bare(Candidates):
    """Nobody reads what explains them."""

    def __init__(self, catalog: Catalog, conditions: Conditions, ids: bool) -> None:
        super().__init__(catalog, conditions)
        self.ids = ids

    def causes(
        self, moments: Moments, at: Ints, rules: list[Rule], customers: list[str], at_ms: list[int]
    ) -> list[str]:
        if self.ids:
            return super().causes(moments, at, rules, customers, at_ms)
        causes: list[str] = np.where(moments.event[at] < 0, TIMER, "").tolist()
        asked = [i for i, rule in enumerate(rules) if rule.then.spends] if self.conditions.spends else []
        for i, id in zip(asked, moments.columns.texts("id", moments.event[at[asked]]) if asked else [], strict=True):
            causes[i] = id  # by which the points of a request are known to be spent
        return causes

    def explained(self, seen: Seen, features: Any, rows: Ints, at: Ints, rule: Ints) -> tuple[list[Any], list[Any]]:
        """Only what a coupon's worth hangs on, what it is paid with, and the hour at which it is to be sent."""
        told: Any = np.full(len(at), None, dtype=object)
        told[:] = [{}] * len(at)
        for j in np.unique(rule).tolist():
            then = self.conditions.rules[j].then
            names = [*(then.read if then.worth else []), *([] if then.send == "now" else [USUAL_HOUR])]
            if names:
                mine, look = np.flatnonzero(rule == j), seen.looks(j)
                columns = [plain(look(name, at[mine])) for name in names]
                told[mine] = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        return told.tolist(), [{}] * len(at)


class Silent(Round):
    """Decides as live, and keeps what was decided instead of telling it; or waits for what a lease has left for it."""

    house: Noting

    def wait(self) -> list[Candidate]:
        """The moments at which rules hold, in log order by customer; all else is put aside by customer, too."""
        held = self.house.conditions.evaluate(self.moments.asks, self.seen.looks)
        candidates = list(self._at(*self.house.candidates.in_order(held, self.moments, self.applied.customers)))
        self._hear(held, candidates, None, NO_SENDS)
        self.orders = self.moments.orders([candidate.moment for candidate in candidates])
        self.aside = defaultdict[int, deque[tuple[Order, Callable[[], bool]]]](deque)
        for *order, _, _, happens, who in sorted(self.news.coming, key=lambda news: news[:4]):
            self.aside[who].append(((order[0], order[1]), happens))
        known = {one.who: self.ledgers[one.who] for one in candidates}
        self.ledgers, self.news.coming = known, []  # type: ignore[assignment]  # without the rows behind them
        self.news.ledger = known.__getitem__
        del self.moments, self.applied, self.seen, self.holding
        return candidates

    def settle(self, place: int, candidate: Candidate, lease: Lease) -> None:
        """Of one who has waited, in log order by customer."""
        self.lease, aside = lease, self.aside[candidate.who]
        while aside and aside[0][0] <= self.orders[place]:
            aside.popleft()[1]()
        self._settle(candidate)

    def _receipt(self, candidate: Candidate, ledger: Ledger, given: Given, verdict: Verdict) -> Any:
        arm, of = given.arm.name if given.arm else "", (candidate.rule.id, candidate.who, candidate.at_ms)
        self.house.noted.append((*of, verdict.outcome, candidate.cause, arm, given.then.worth_cents))

    def _refused(self, at: Ints, rule: Ints) -> npt.NDArray[np.bool_]:
        """Each is noted by itself."""
        return np.zeros(len(at), dtype=np.bool_)

    def _deeds(self, *_: Any) -> list[Deed]:
        return []

    def _tried(self, *_: Any) -> list[Trial]:
        return []

    def _leave(self, *_: Any) -> None:
        """Nobody hears of it."""

    def _pack(self) -> None:
        """A share is all that its customers ever did, and another world is to find them as they were."""

    def _coupon(self, *_: Any) -> Message:
        return UNSENT

    def _sending(self, candidate: Candidate, then: Then) -> tuple[int, str]:
        """Channels count it as live, when it would leave."""
        hour, local_ms = candidate.values.get(USUAL_HOUR), candidate.place.local_ms
        known = hour if isinstance(hour, float) else nan
        return sending(then, candidate.at_ms, local_ms, known, self.house.policy.quiet)

    def _send(self, *_: Any) -> None:
        """Nothing is sent."""


class Noting(Decider):
    """One world's decisions, `noted` by silent rounds. Causes are told where `ids` are known."""

    def __init__(
        self, catalog: Catalog, conditions: Conditions, policy: Policy, campaigns: Campaigns, ids: bool, world: World
    ) -> None:
        super().__init__(catalog, conditions, policy, "", "", campaigns)
        self.world = world
        self.offered.following = False  # nothing is learned of what is not sent
        self.candidates = Bare(catalog, conditions, ids)  # rivals of another world never fire in this one
        self.others = [i for i in range(len(conditions.rules)) if i not in world.names]
        self.noted: list[Noted] = []

    def of_world(self, moments: Moments) -> Moments:
        """Those of its rules alone."""
        if not self.others:
            return moments
        asks, exits = moments.asks.copy(), moments.exits.copy()
        asks[:, self.others] = exits[:, self.others] = False
        return replace(moments, asks=asks, exits=exits)

    def decide(
        self, moments: Moments, applied: Applied, words: Mapping[int, str], lease: Lease, *_: Any, **__: Any
    ) -> Decided:
        return Silent(self, self.of_world(moments), applied, words, lease).decide(None, NO_SENDS)


class Held(Struct):
    """Of a share of the past, the moments at which a rule of a world held, and how often each was asked, and nearly
    held."""

    waiting: Silent
    candidates: list[Candidate]
    asked: Ints
    near: list[tuple[Ints, Ints]]


class Backtest:
    """One thread's: give each its own."""

    def __init__(
        self,
        catalog: Catalog,
        conditions: Conditions,
        policy: Policy,
        campaigns: Campaigns = NONE,
        span: Span = ALL_OF_IT,
        ids: bool = False,
        models: Mapping[str, LinearModel] | None = None,
        worlds: Sequence[World] = (),
    ) -> None:
        """`ids`: decisions name their cause; then, and where a rule spends, the columns must hold the texts of ids;
        `models`: without any, there are no scores; `worlds`: by default one of all rules."""
        self.span = span
        conditions.fields |= {"coupon", "campaign"}  # of redeemed coupons
        of = (catalog, conditions, policy, campaigns, ids)
        self.deciders = [Noting(*of, world) for world in worlds or [World.of(conditions.rules)]]
        self.decider = self.deciders[0]  # what features and models there are, all know alike
        for decider in self.deciders:
            decider.models = dict(models or {})
        self.job = CustomersJob(catalog, self.decider, NO_LABELS, "", "")
        self.numbers = {rule.id: i for i, rule in enumerate(conditions.rules)}

    def judge(self, columns: Columns) -> list[Judged]:
        """By world, all that some customers ever did, at once: nothing was known of them before. Pots are not
        rationed."""
        applied, moments, words = self._applied(columns)
        asked, near, found = moments.asks.sum(axis=0), self._near(moments, applied, words), []
        for world, decider in enumerate(self.deciders):
            decider.noted, lease = [], Unlimited()
            decider.decide(moments, applied, words, lease)
            found.append(self.judged(columns, asked, near, decider.noted, lease.spent, world))
        return found

    def hold(self, columns: Columns) -> list[Held]:
        """The same without deciding."""
        applied, moments, words = self._applied(columns)
        asked, near, found = moments.asks.sum(axis=0), self._near(moments, applied, words), []
        for decider in self.deciders:
            waiting = Silent(decider, decider.of_world(moments), applied, words, Lease())
            found.append(Held(waiting, waiting.wait(), asked, near))
        return found

    def ration(self, shares: list[Held]) -> Rationed:
        """Decides of all shares of a world, in the order in which the partitions' clocks, or the events, come to
        them."""
        lease, found = Lease(), Rationed([[] for _ in shares], {}, {})
        for share, place, candidate in in_order([one.candidates for one in shares]):
            known, waiting = len(lease.short), shares[share].waiting
            waiting.house.noted = found.noted[share]
            waiting.settle(place, candidate, lease)
            if len(lease.short) > known:
                found.ran_out |= dict.fromkeys(lease.short.keys() - found.ran_out.keys(), candidate.at_ms)
        found.spent = lease.spent
        return found

    def judged(
        self,
        columns: Columns,
        asked: Ints,
        near: list[tuple[Ints, Ints]],
        noted: list[Noted],
        spent: dict[str, int],
        world: int = 0,
    ) -> Judged:
        numbers = np.array([(self.numbers[n[0]], n[1], n[2]) for n in noted], dtype=np.int64).reshape(-1, 3)
        return Judged(
            world=self.deciders[world].world,
            columns=columns,
            rules=self.decider.conditions.rules,
            rule=numbers[:, 0],
            who=numbers[:, 1],
            at_ms=numbers[:, 2],
            outcome=np.array([n[3] for n in noted], dtype=object),
            causes=[n[4] for n in noted],
            arm=np.array([n[5] for n in noted], dtype=object),
            cents=np.array([n[6] for n in noted], dtype=np.int64),
            asked=asked,
            near=near,
            spent=spent,
        )

    def _applied(self, columns: Columns) -> tuple[Applied, Moments, dict[int, str]]:
        applied = self.job.core.apply(columns, [], {})
        return applied, self._moments(columns, applied), applied.touches.words(columns.scanned, {})

    def _near(self, moments: Moments, applied: Applied, words: dict[int, str]) -> list[tuple[Ints, Ints]]:
        """By rule: at whom it nearly held, and when."""
        decider = self.decider
        seen = decider.seen(moments, applied, words)
        asked = [np.flatnonzero(asks) for asks in moments.asks.T]
        near = [near_misses(decider.conditions, i, seen.looks(i), rows) for i, rows in enumerate(asked)]
        return [(moments.who[at], moments.at_ms[at]) for at in near]

    def _moments(self, columns: Columns, applied: Applied) -> Moments:
        stamps: Any = np.zeros(columns.last + 1, dtype=np.int64)
        moments = self.job._moments(Batch("", 0, -1, stamps_ms=stamps), columns, applied)
        inside = (moments.at_ms >= self.span.from_ms) & (moments.at_ms < self.span.to_ms)
        moments.asks &= inside[:, None]
        return moments


def in_order(shares: list[list[Candidate]]) -> list[tuple[int, int, Candidate]]:
    """(share, place in it, candidate) by the time to which the clock, or the event, had come; of a customer, as logged.

    Of timers that one move of a clock has reached, the earliest due comes first, as live.
    """
    latest_ms: dict[tuple[int, int], int] = {}
    found: list[tuple[Any, ...]] = []
    for share, candidates in enumerate(shares):
        for place, one in enumerate(candidates):
            at_ms = latest_ms[share, one.who] = max(latest_ms.get((share, one.who), 0), one.clock_ms, one.at_ms)
            among = (
                (0, one.at_ms, -one.rule.priority, f"{one.rule.id}|", one.customer)
                if one.cause.startswith(TIMER)
                else (1,)
            )
            found.append((at_ms, one.clock_ms, among, share, place))
    return [(share, place, shares[share][place]) for *_, share, place in sorted(found)]
