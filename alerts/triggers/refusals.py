"""Decisions that want of consent makes alone, whatever the ledger says: for all of a batch at once.

They are most of those that come to nothing. What is told of them is what `receipt_of` tells of one.
"""

from __future__ import annotations

from itertools import repeat

import numpy as np
import numpy.typing as npt

from alerts.triggers.arms import Arms
from alerts.triggers.candidates import Candidates
from alerts.triggers.moments import Moments, Seen
from alerts.triggers.policy import Policy, held_out
from alerts.triggers.receipts.receipt import channel_cap, decision_id
from features.customer import Applied
from features.kernel.arrays import Ints
from features.outgoing import Receipt

REFUSED = "no_consent"
NEVER_MS = 2**62


class Refusals:
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

    def receipts(self, at: Ints, rule: Ints, moments: Moments, applied: Applied, seen: Seen) -> list[Receipt]:
        """In their order."""
        told = np.empty(len(at), dtype=object)
        for j in np.unique(rule).tolist():
            mine = np.flatnonzero(rule == j)
            told[mine] = self._of_rule(j, at[mine], moments, applied, seen)
        return told.tolist()

    def _of_rule(self, j: int, at: Ints, moments: Moments, applied: Applied, seen: Seen) -> list[Receipt]:
        rule, policy = self.candidates.conditions.rules[j], self.policy
        then = self.arms.plain[rule.id].then
        customers = [applied.customers[w] for w in moments.who[at].tolist()]
        at_ms = moments.at_ms[at]
        causes = self.candidates.causes(moments, at, [rule] * len(at), customers, at_ms.tolist())
        values, terms = self.candidates.explained(seen, applied.rows, moments.rows, at, np.full(len(at), j))
        return list(
            map(
                Receipt,
                [decision_id(rule.id, customer, cause) for customer, cause in zip(customers, causes, strict=True)],
                repeat(rule.id),
                repeat(rule.version),
                customers,
                repeat(REFUSED),
                repeat(then.coupon),
                repeat(then.face_value_cents),
                repeat(then.percent),
                repeat(then.at_most_cents),
                repeat(then.message),
                repeat(then.channel),
                repeat(then.campaign),
                at_ms.tolist(),
                (at_ms + then.valid_ms).tolist(),
                causes,
                moments.stamps_ms[at].tolist(),
                values,
                terms,
                repeat(0),
                repeat(policy.cap),
                repeat(""),
                moments.clock_ms[at].tolist(),
                repeat(0),
                [held_out(customer, policy.holdout_salt, policy.holdout) for customer in customers],
                repeat(0),
                repeat(""),
                repeat(0),
                repeat(""),
                repeat(None),
                repeat(self.candidates.models(seen, j)),
                repeat(None),
                repeat(0),
                repeat(channel_cap(then, policy)),
            )
        )
