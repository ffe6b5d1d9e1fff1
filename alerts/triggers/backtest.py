"""Rules over a past: the same core, conditions and policy as live; decisions are noted, and nothing is sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from alerts.triggers.campaign import NONE, Campaigns
from alerts.triggers.candidates import Candidate, Candidates
from alerts.triggers.condition import Conditions
from alerts.triggers.decide import Decided, Decider
from alerts.triggers.job import CustomersJob
from alerts.triggers.lease import Cost, Lease
from alerts.triggers.misses import near_misses
from alerts.triggers.moments import Moments, Seen
from alerts.triggers.policy import Policy
from alerts.triggers.rule import Rule
from features.catalog import Catalog
from features.columns import Columns
from features.customer import Applied
from features.job import Batch, Message
from features.kernel.arrays import Ints
from features.labels import Churn
from features.models import LinearModel
from features.record import Ledger

UNSENT = Message("", "", b"")
TIMER = "rule|"  # how the cause of a decision begins that no event has asked for


class Span(Struct, frozen=True):
    """Rules are asked from `from_ms` on and before `to_ms`; what happened before fills the windows all the same."""

    from_ms: int = 0
    to_ms: int = 2**62


ALL_OF_IT = Span()


class Decision(NamedTuple):
    rule: str
    customer: str
    at_ms: int
    outcome: str
    cause: str


class Judged(Struct):
    """What came of a share of the past. By decision: rule, customer (both by number), time and outcome."""

    columns: Columns
    rules: list[Rule]
    rule: Ints
    who: Ints
    at_ms: Ints
    outcome: npt.NDArray[Any]
    causes: list[str]
    asked: Ints  # by rule: how often
    near: list[tuple[Ints, Ints]]  # by rule: whom it has nearly reached, and when
    spent: dict[str, int] = {}  # by pot of the campaigns

    def of(self, rule: int, outcome: str) -> tuple[Ints, Ints]:
        """Whom a rule had this outcome for, and when."""
        mine = (self.rule == rule) & (self.outcome == outcome)
        return self.who[mine], self.at_ms[mine]

    def decisions(self) -> list[Decision]:
        rules, customers = [self.rules[i].id for i in self.rule.tolist()], self.columns.customers
        rows = zip(rules, self.who.tolist(), self.at_ms.tolist(), self.outcome.tolist(), self.causes, strict=True)
        return [Decision(rule, customers[who], at_ms, outcome, cause) for rule, who, at_ms, outcome, cause in rows]


class Unlimited(Lease):
    """Counts what would be spent if there were enough of everything."""

    def lacking(self, costs: Iterable[Cost]) -> str:
        return ""


class Held(Struct):
    """Of a share of the past, the moments at which a rule held, in log order by customer; and how often each was
    asked, and nearly held."""

    candidates: list[Candidate]
    asked: Ints
    near: list[tuple[Ints, Ints]]


Noted = tuple[str, int, int, str, str]  # rule, customer by number, time, outcome, cause


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

    def _causes(self, moments: Moments, at: Ints, rules: list[Rule], *more: Any) -> list[str]:
        if self.ids:
            return super()._causes(moments, at, rules, *more)
        causes: list[str] = np.where(moments.event[at] < 0, TIMER, "").tolist()
        return causes

    def _explained(self, seen: Seen, features: Any, rows: Ints, at: Ints, rule: Ints) -> tuple[list[Any], list[Any]]:
        nothing: list[Any] = [{}] * len(at)
        return nothing, nothing


class Noting(Decider):
    """Decides as live, and keeps what was decided instead of telling it. Causes are told where `ids` are known."""

    def __init__(
        self, catalog: Catalog, conditions: Conditions, policy: Policy, campaigns: Campaigns, ids: bool
    ) -> None:
        super().__init__(catalog, conditions, policy, "", "", campaigns)
        self.candidates = Bare(catalog, conditions, ids)
        self.noted: list[Noted] = []

    def _receipt(self, candidate: Candidate, ledger: Ledger, outcome: str, *_: Any) -> Any:
        self.noted.append((candidate.rule.id, candidate.who, candidate.at_ms, outcome, candidate.cause))

    def _message(self, *_: Any) -> Message:
        return UNSENT


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
    ) -> None:
        """`ids`: decisions name their cause; the columns must hold the texts of the events' ids then; `models`: without
        any, there are no scores."""
        self.span = span
        conditions.fields |= {"coupon", "campaign"}  # of redeemed coupons
        self.decider = Noting(catalog, conditions, policy, campaigns, ids)
        self.decider.models = dict(models or {})
        self.job = CustomersJob(catalog, self.decider, Churn("", "", [], 0), "", "")
        self.numbers = {rule.id: i for i, rule in enumerate(conditions.rules)}

    def judge(self, columns: Columns) -> Judged:
        """All that some customers ever did, at once: nothing was known of them before. Pots are not rationed."""
        self.decider.noted, lease = [], Unlimited()
        applied = self.job.core.apply(columns, [], {})
        moments = self._moments(columns, applied)
        words = applied.touches.words(columns.scanned, {})
        self.decider.decide(moments, applied, words, lease)
        found = Held([], moments.asks.sum(axis=0), self._near(moments, applied, words))
        return self.judged(columns, found, self.decider.noted, lease.spent)

    def hold(self, columns: Columns) -> Held:
        """The same without deciding."""
        applied, decider = self.job.core.apply(columns, [], {}), self.decider
        moments = self._moments(columns, applied)
        words = applied.touches.words(columns.scanned, {})
        seen = Seen(decider.catalog, decider.columns, decider.models, moments, applied.rows, words)
        held = decider.conditions.evaluate(moments.asks, seen.look)
        candidates = decider.candidates.at(held, moments, applied, seen, decider.campaigns.keys)
        return Held(list(candidates), moments.asks.sum(axis=0), self._near(moments, applied, words))

    def ration(self, shares: list[list[Candidate]]) -> Rationed:
        """Decides of all shares, in the order in which the partitions' clocks, or the events, come to them."""
        decider, lease = self.decider, Lease()
        decider.noted, ledgers, found = [], defaultdict[tuple[int, int], Ledger](Ledger), Rationed([], {}, {})
        found.noted = [[] for _ in shares]
        for share, candidate in in_order(shares):
            known = len(lease.short)
            decider._settle(Decided({}), candidate, ledgers[share, candidate.who], lease)
            found.noted[share].append(decider.noted.pop())
            if len(lease.short) > known:
                found.ran_out |= dict.fromkeys(lease.short.keys() - found.ran_out.keys(), candidate.at_ms)
        found.spent = lease.spent
        return found

    def judged(self, columns: Columns, found: Held, noted: list[Noted], spent: dict[str, int]) -> Judged:
        numbers = np.array([(self.numbers[n[0]], n[1], n[2]) for n in noted], dtype=np.int64).reshape(-1, 3)
        return Judged(
            columns=columns,
            rules=self.decider.conditions.rules,
            rule=numbers[:, 0],
            who=numbers[:, 1],
            at_ms=numbers[:, 2],
            outcome=np.array([n[3] for n in noted], dtype=object),
            causes=[n[4] for n in noted],
            asked=found.asked,
            near=found.near,
            spent=spent,
        )

    def _near(self, moments: Moments, applied: Applied, words: dict[int, str]) -> list[tuple[Ints, Ints]]:
        """By rule: at whom it nearly held, and when."""
        decider = self.decider
        seen = Seen(decider.catalog, decider.columns, decider.models, moments, applied.rows, words)
        asked = [np.flatnonzero(asks) for asks in moments.asks.T]
        near = [near_misses(decider.conditions, i, seen.look, rows) for i, rows in enumerate(asked)]
        return [(moments.who[at], moments.at_ms[at]) for at in near]

    def _moments(self, columns: Columns, applied: Applied) -> Moments:
        stamps: Any = np.zeros(columns.last + 1, dtype=np.int64)
        moments = self.job._moments(Batch("", 0, -1, stamps_ms=stamps), columns, applied)
        inside = (moments.at_ms >= self.span.from_ms) & (moments.at_ms < self.span.to_ms)
        moments.asks &= inside[:, None]
        return moments


def in_order(shares: list[list[Candidate]]) -> list[tuple[int, Candidate]]:
    """(share, candidate) by the time to which the clock, or the event itself, had come; of a customer, in log order.

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
    return [(share, shares[share][place]) for *_, share, place in sorted(found)]
