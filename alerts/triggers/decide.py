"""From feature rows to decisions: scores, conditions, policy, receipts."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from alerts.triggers.condition import Conditions
from alerts.triggers.policy import Policy
from alerts.triggers.rule import Rule
from features.catalog import Catalog
from features.job import Message
from features.messages import cloudevent
from features.models import LinearModel, score, terms
from features.record import Record
from features.times import local_hour, local_ms

DAY_MS = 86_400_000
TOP_TERMS = 5


class Candidate(Struct):
    """A moment at which rules are asked: a customer's row as of a time, with what policy must know of then."""

    customer: str
    record: Record
    at_ms: int
    row: list[float]
    asked: list[int]  # indexes of rules
    cause: str  # event id, or timer and due time
    stamp_ms: int  # Kafka timestamp of the record that caused it
    consented: bool
    tz: str
    event: str = ""
    store: str = ""
    region: str = ""
    channel: str = ""


class Decided(Struct):
    """What came of a batch's candidates."""

    messages: list[Message] = []
    counts: dict[str, int] = {}
    causes_ms: list[int] = []


class Decider:
    """Evaluates all candidates of a batch at once, then walks over those whose condition held."""

    def __init__(
        self, catalog: Catalog, conditions: Conditions, policy: Policy, coupons_topic: str, decisions_topic: str
    ) -> None:
        self.catalog = catalog
        self.conditions = conditions
        self.policy = policy
        self.coupons_topic = coupons_topic
        self.decisions_topic = decisions_topic
        self.models: dict[str, LinearModel] = {}

    def decide(self, candidates: list[Candidate]) -> Decided:
        decided = Decided()
        if not candidates:
            return decided
        values = self._values(candidates)
        held = self.conditions.evaluate(values, _facts(candidates))
        asked = np.zeros_like(held)
        for i, candidate in enumerate(candidates):
            asked[i, candidate.asked] = True
        for i, j in np.argwhere(held & asked):
            self._settle(decided, candidates[i], self.conditions.rules[j], values[i], self.conditions.names[j])
        return decided

    def _values(self, candidates: list[Candidate]) -> npt.NDArray[np.float64]:
        """float64[n, features + scores], in the order of the conditions' numbers."""
        rows = np.array([candidate.row for candidate in candidates], dtype=np.float64)
        scores = [self._score(name, rows) for name in self.catalog.models]
        return np.column_stack([rows, *scores]) if scores else rows

    def _score(self, name: str, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        model = self.models.get(name)
        if model is None:
            return np.full(len(rows), np.nan)
        return score(model, rows[:, self.catalog.models[name]])

    def _settle(
        self, decided: Decided, candidate: Candidate, rule: Rule, values: npt.NDArray[np.float64], names: list[str]
    ) -> None:
        outcome = self.policy.outcome(rule, candidate.customer, candidate.record, candidate.at_ms, candidate.consented)
        receipt = self._receipt(candidate, rule, values, names, outcome)
        if outcome == "issued":
            self.policy.issue(rule, candidate.record, candidate.at_ms)
            decided.messages.append(self._message(self.coupons_topic, "coupon.issued", "coupons", candidate, receipt))
            decided.causes_ms.append(candidate.stamp_ms)
            decided.counts["coupons"] = decided.counts.get("coupons", 0) + 1
        decided.messages.append(self._message(self.decisions_topic, "decision", "decisions", candidate, receipt))
        name = f"decision:{rule.id}:{outcome}"
        decided.counts[name] = decided.counts.get(name, 0) + 1

    def _message(self, topic: str, type: str, source: str, candidate: Candidate, receipt: dict[str, Any]) -> Message:
        id, customer = str(receipt["decision"]), candidate.customer
        return cloudevent(topic, customer, id, type, source, candidate.at_ms, customer, receipt)

    def _receipt(
        self, candidate: Candidate, rule: Rule, values: npt.NDArray[np.float64], names: list[str], outcome: str
    ) -> dict[str, Any]:
        """All that explains the decision: the rule's version, the values it saw, the caps as they stood."""
        numbers = {name: _plain(values[i]) for i, name in enumerate(self.conditions.numbers) if name in names}
        return {
            "decision": decision_id(rule.id, candidate.customer, candidate.cause),
            "rule": rule.id,
            "rule_version": rule.version,
            "customer": candidate.customer,
            "outcome": outcome,
            "coupon": rule.then.coupon,
            "face_value_cents": rule.then.face_value_cents,
            "campaign": rule.then.campaign,
            "at_ms": candidate.at_ms,
            "expires_ms": candidate.at_ms + rule.then.valid_ms,
            "cause": candidate.cause,
            "trigger_stamp_ms": candidate.stamp_ms,
            "values": numbers,
            "terms": {name: self._terms(name, values) for name in self.catalog.models if name in names},
            "coupons_in_cap_window": len(self.policy.recent(candidate.record, candidate.at_ms)),
            "cap": self.policy.cap,
        }

    def _terms(self, name: str, values: npt.NDArray[np.float64]) -> dict[str, float]:
        """The features that moved a score most, by what each added to the logit."""
        model = self.models.get(name)
        if model is None:
            return {}
        added = terms(model, values[None, self.catalog.models[name]])[0]
        return {model.features[i]: round(float(added[i]), 4) for i in np.argsort(-np.abs(added))[:TOP_TERMS]}


def decision_id(rule: str, customer: str, cause: str) -> str:
    """The same after every replay: receivers take it as idempotency key."""
    return blake2b(f"{rule}|{customer}|{cause}".encode(), digest_size=12).hexdigest()


def _facts(candidates: list[Candidate]) -> dict[str, list[int] | list[str]]:
    return {
        "hour": [local_hour(c.at_ms, c.tz) for c in candidates],
        # the epoch's first day was a Thursday
        "weekday": [(local_ms(c.at_ms, c.tz) // DAY_MS + 3) % 7 + 1 for c in candidates],
        "event": [c.event for c in candidates],
        "store": [c.store for c in candidates],
        "region": [c.region for c in candidates],
        "channel": [c.channel for c in candidates],
    }


def _plain(value: float) -> float | None:
    return None if value != value else round(float(value), 6)
