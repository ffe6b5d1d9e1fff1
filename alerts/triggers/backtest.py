"""Rules over a past: the same core, conditions and policy as live; decisions are noted, and nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from alerts.triggers.arms import Given
from alerts.triggers.campaign import NONE, Campaigns
from alerts.triggers.candidates import Candidate, Candidates
from alerts.triggers.condition import Conditions
from alerts.triggers.decide import NO_SENDS, Decider
from alerts.triggers.job import CustomersJob
from alerts.triggers.lease import Lease
from alerts.triggers.misses import near_misses
from alerts.triggers.moments import Moments, Seen
from alerts.triggers.policy import Policy
from alerts.triggers.round import FIRED, Decided, Round
from alerts.triggers.rule import Rule, Then
from alerts.triggers.trials import Deed
from features.catalog import Catalog
from features.columns import Columns
from features.customer import Applied
from features.job import Batch, Message
from features.kernel.arrays import Ints
from features.labels import Churn
from features.trials import Trial

UNSENT = Message("", "", b"")


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
    arm: str = ""


class Judged(Struct):
    """What came of a share of the past. By decision: rule, customer (both by number), time and outcome."""

    columns: Columns
    rules: list[Rule]
    rule: Ints
    who: Ints
    at_ms: Ints
    outcome: npt.NDArray[Any]
    causes: list[str]
    arm: npt.NDArray[Any]
    asked: Ints  # by rule: how often
    near: list[tuple[Ints, Ints]]  # by rule: whom it has nearly reached, and when

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


class Bare(Candidates):
    """Nobody reads what explains them."""

    def __init__(self, catalog: Catalog, conditions: Conditions, ids: bool) -> None:
        super().__init__(catalog, conditions)
        self.ids = ids

    def _causes(self, moments: Moments, at: Ints, rules: list[Rule], *more: Any) -> list[str]:
        return super()._causes(moments, at, rules, *more) if self.ids else [""] * len(rules)

    def _explained(self, seen: Seen, features: Any, rows: Ints, at: Ints, rule: Ints) -> tuple[list[Any], list[Any]]:
        nothing: list[Any] = [{}] * len(at)
        return nothing, nothing


class Silent(Round):
    """Decides as live, and keeps what was decided instead of telling it."""

    house: Noting

    def _receipt(self, candidate: Candidate, outcome: str, given: Given, *_: Any, **more: Any) -> Any:
        arm = given.arm.name if given.arm else ""
        self.house.noted.append((candidate.rule.id, candidate.who, candidate.at_ms, outcome, candidate.cause, arm))

    def _deeds(self, *_: Any) -> list[Deed]:
        return []

    def _tried(self, *_: Any) -> list[Trial]:
        return []

    def _tell(self, *_: Any) -> None:
        """Nobody hears of it."""

    def _message(self, *_: Any) -> Message:
        return UNSENT

    def _sending(self, candidate: Candidate, then: Then) -> tuple[int, str]:
        """All at once: nothing is sent."""
        return candidate.at_ms, ""


class Noting(Decider):
    """`noted` by silent rounds. Causes are told where `ids` are known."""

    def __init__(
        self, catalog: Catalog, conditions: Conditions, policy: Policy, campaigns: Campaigns, ids: bool
    ) -> None:
        super().__init__(catalog, conditions, policy, "", "", campaigns)
        self.candidates = Bare(catalog, conditions, ids)
        self.noted: list[tuple[str, int, int, str, str, str]] = []

    def decide(
        self, moments: Moments, applied: Applied, words: Mapping[int, str], lease: Lease, *_: Any, **__: Any
    ) -> Decided:
        return Silent(self, moments, applied, words, lease).decide(None, NO_SENDS)


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
    ) -> None:
        """`ids`: decisions name their cause; the columns must hold the texts of the events' ids then."""
        self.span = span
        conditions.fields |= {"coupon", "campaign"}  # of redeemed coupons
        self.decider = Noting(catalog, conditions, policy, campaigns, ids)
        self.job = CustomersJob(catalog, self.decider, Churn("", "", [], 0), "", "")
        self.numbers = {rule.id: i for i, rule in enumerate(conditions.rules)}

    def judge(self, columns: Columns) -> Judged:
        """All that some customers ever did, at once: nothing was known of them before."""
        self.decider.noted = []
        applied = self.job.core.apply(columns, [], {})
        moments = self._moments(columns, applied)
        words = applied.touches.words(columns.scanned, {})
        self.decider.decide(moments, applied, words, Lease())
        noted, near = self.decider.noted, self._near(moments, applied, words)
        numbers = np.array([(self.numbers[n[0]], n[1], n[2]) for n in noted], dtype=np.int64).reshape(-1, 3)
        return Judged(
            columns=columns,
            rules=self.decider.conditions.rules,
            rule=numbers[:, 0],
            who=numbers[:, 1],
            at_ms=numbers[:, 2],
            outcome=np.array([n[3] for n in noted], dtype=object),
            causes=[n[4] for n in noted],
            arm=np.array([n[5] for n in noted], dtype=object),
            asked=moments.asks.sum(axis=0),
            near=[(moments.who[at], moments.at_ms[at]) for at in near],
        )

    def _near(self, moments: Moments, applied: Applied, words: dict[int, str]) -> list[Ints]:
        """By rule: the moments at which it nearly held."""
        decider = self.decider
        seen = Seen(decider.catalog, decider.columns, decider.models, moments, applied.rows, words)
        asked = [np.flatnonzero(asks) for asks in moments.asks.T]
        return [near_misses(decider.conditions, i, seen.look, rows) for i, rows in enumerate(asked)]

    def _moments(self, columns: Columns, applied: Applied) -> Moments:
        stamps: Any = np.zeros(columns.last + 1, dtype=np.int64)
        moments = self.job._moments(Batch("", 0, -1, stamps_ms=stamps), columns, applied)
        inside = (moments.at_ms >= self.span.from_ms) & (moments.at_ms < self.span.to_ms)
        moments.asks &= inside[:, None]
        return moments
