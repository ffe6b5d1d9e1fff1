"""Decisions that want of consent makes alone, whatever the ledger says: for all of a batch at once.

They are most of all decisions, so they are told together: of each what `receipt_of` tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from alerts.triggers.arms import Arms
from alerts.triggers.candidates import Candidates
from alerts.triggers.moments import Moments, Seen
from alerts.triggers.policy import Policy, held_out
from alerts.triggers.receipts.receipt import channel_cap, decision_id
from features.customer import Applied
from features.kernel.arrays import Ints
from features.refusals import Refusals

REFUSED: Final = "no_consent"
TOGETHER = 500  # in a message: some 150 kB
NEVER_MS = 2**62


class Refuser:
    """Of a house as it stands at a batch: its rules, its policy, its arms."""

    def __init__(self, candidates: Candidates, policy: Policy, arms: Arms) -> None:
        rules = candidates.conditions.rules
        self.candidates = candidates
        self.policy = policy
        self.arms = arms
        plain = [rule.id in arms.plain and not rule.then.worth and arms.plain[rule.id].arm is None for rule in rules]
        alone = [is_plain and not rivals for is_plain, rivals in zip(plain, candidates.rivals, strict=True)]
        self.alone = np.array(alone, dtype=np.bool_)  # no gate that looks at the ledger stands before that of consent
        ages_ms = [NEVER_MS if rule.max_event_age_ms is None else rule.max_event_age_ms for rule in rules]
        self.oldest_ms = np.array(ages_ms, dtype=np.int64)

    def among(self, at: Ints, rule: Ints, moments: Moments, applied: Applied) -> npt.NDArray[np.bool_]:
        """Which of these moments and rules they are: of customers without a ledger, who get none in this batch."""
        if not self.policy.consent:
            return np.zeros(len(at), dtype=np.bool_)
        who, age_ms = moments.who[at], moments.clock_ms[at] - moments.at_ms[at]
        refused = self.alone[rule] & (moments.consented[at] == 0) & (age_ms <= self.oldest_ms[rule])
        refused &= ~applied.has_ledger[who]
        return np.asarray(refused & ~np.isin(who, who[~refused]), dtype=np.bool_)

    def told(
        self, at: Ints, rule: Ints, moments: Moments, applied: Applied, seen: Seen
    ) -> Iterator[tuple[Ints, Refusals]]:
        """By rule, those in their order that share a message; with their places among `at`."""
        for j in np.unique(rule).tolist():
            mine = np.flatnonzero(rule == j)
            for start in range(0, len(mine), TOGETHER):
                some = mine[start : start + TOGETHER]
                yield some, self._of_rule(j, at[some], moments, applied, seen)

    def _of_rule(self, j: int, at: Ints, moments: Moments, applied: Applied, seen: Seen) -> Refusals:
        rule, policy = self.candidates.conditions.rules[j], self.policy
        then = self.arms.plain[rule.id].then
        customers = [applied.customers[w] for w in moments.who[at].tolist()]
        at_ms = moments.at_ms[at]
        causes = self.candidates.causes(moments, at, [rule] * len(at), customers, at_ms.tolist())
        values, terms = self.candidates.explained_of(j, seen, applied.rows, moments.rows, at)
        return Refusals(
            decision=[decision_id(rule.id, *of) for of in zip(customers, causes, strict=True)],
            rule=rule.id,
            rule_version=rule.version,
            customer=customers,
            outcome=REFUSED,
            coupon=then.coupon,
            face_value_cents=then.face_value_cents,
            percent=then.percent,
            at_most_cents=then.at_most_cents,
            message=then.message,
            channel=then.channel,
            campaign=then.campaign,
            at_ms=at_ms.tolist(),
            expires_ms=(at_ms + then.valid_ms).tolist(),
            cause=causes,
            trigger_stamp_ms=moments.stamps_ms[at].tolist(),
            values=values,
            terms=terms,
            cap=policy.cap,
            clock_ms=moments.clock_ms[at].tolist(),
            holdout=[held_out(customer, policy.holdout_salt, policy.holdout) for customer in customers],
            models=self.candidates.models(seen, j),
            channel_cap=channel_cap(then, policy),
        )
