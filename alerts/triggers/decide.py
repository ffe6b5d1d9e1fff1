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
from features.columns import Columns
from features.customer import Applied
from features.job import Message
from features.kernel import Floats, Ints
from features.messages import cloudevent
from features.models import LinearModel, Matrix, score_rows, terms
from features.record import Ledger, decode_ledger, encode_ledger
from features.times import DAY_MS, HOUR_MS

TOP_TERMS = 5


class Moments(Struct):
    """When rules are asked, as columns: a row of features as of a time, with what conditions and policy need of then.

    `rows` are indexes of feature rows; `asks` is bool[n, rules]; `place` is where in the batch the cause stands: an
    event, or the tick that reached a timer (then `events` holds None); `stamps_ms` are these records' Kafka timestamps.
    """

    rows: Ints
    asks: npt.NDArray[np.bool_]
    who: Ints
    events: Ints  # indexes of `columns`, -1 for a timer
    columns: Columns
    place: Ints
    stamps_ms: list[int]
    at_ms: Ints
    local_ms: Ints
    consented: Ints


class Candidate(Struct):
    """A moment at which a rule's condition held."""

    customer: str
    ledger: Ledger
    at_ms: int
    cause: str  # event id, or timer and due time
    stamp_ms: int
    consented: bool


class Decided(Struct):
    """What came of a batch's moments; `records` are the customers' with what policy has noted."""

    records: dict[str, bytes] = {}
    messages: list[Message] = []
    counts: dict[str, int] = {}
    causes_ms: list[int] = []


class Decider:
    """Evaluates all rules at all moments of a batch at once, then walks over those that held."""

    def __init__(
        self, catalog: Catalog, conditions: Conditions, policy: Policy, coupons_topic: str, decisions_topic: str
    ) -> None:
        self.catalog = catalog
        self.conditions = conditions
        self.columns = {name: i for i, name in enumerate(catalog.names)}
        self.policy = policy
        self.coupons_topic = coupons_topic
        self.decisions_topic = decisions_topic
        self.models: dict[str, LinearModel] = {}

    def decide(self, moments: Moments, applied: Applied) -> Decided:
        """Decides in log order; of timers that one tick has reached, the earliest due first."""
        decided = Decided(dict(zip(applied.customers, applied.records, strict=True)))
        numbers = self._numbers(applied.rows, moments.rows)
        held = self.conditions.evaluate(moments.asks, numbers, self._facts(moments))
        ledgers: dict[int, Ledger] = {}
        for i, j in self._in_order(np.argwhere(held), moments, applied):
            who, rule = int(moments.who[i]), self.conditions.rules[j]
            if who not in ledgers:
                ledgers[who] = decode_ledger(applied.records[who][applied.ledgers[who] :])
            candidate = self._candidate(moments, i, rule, applied.customers[who], ledgers[who])
            values = {name: _plain(float(numbers[name][i])) for name in self.conditions.names[j]}
            if self._settle(decided, candidate, rule, values, applied.rows[moments.rows[i]]):
                record = applied.records[who][: applied.ledgers[who]]
                decided.records[candidate.customer] = record + encode_ledger(candidate.ledger)
        return decided

    def _in_order(self, held: Ints, moments: Moments, applied: Applied) -> list[tuple[int, int]]:
        """(moment, rule): by place; timers that one tick has reached by due time, then by name."""

        def key(pair: tuple[int, int]) -> tuple[int, int, str, int]:
            i, j = pair
            place = int(moments.place[i])
            if moments.events[i] >= 0:
                return place, 0, "", j
            timer = f"{self.conditions.rules[j].id}|{applied.customers[moments.who[i]]}"
            return place, int(moments.at_ms[i]), timer, j

        return sorted(((int(i), int(j)) for i, j in held), key=key)

    def _candidate(self, moments: Moments, i: int, rule: Rule, customer: str, ledger: Ledger) -> Candidate:
        event, at_ms = int(moments.events[i]), int(moments.at_ms[i])
        cause = moments.columns.texts("id", [event])[0] if event >= 0 else f"{rule.timer}|{customer}|{at_ms}"
        return Candidate(customer, ledger, at_ms, cause, moments.stamps_ms[i], bool(moments.consented[i]))

    def _facts(self, moments: Moments) -> dict[str, Any]:
        """The facts that some rule looks at."""
        facts: dict[str, Any] = {}
        for name in self.conditions.facts:
            if name == "hour":
                facts[name] = moments.local_ms % DAY_MS // HOUR_MS
            elif name == "weekday":  # the epoch's first day was a Thursday
                facts[name] = (moments.local_ms // DAY_MS + 3) % 7 + 1
            else:
                field = "type" if name == "event" else name
                facts[name] = [""] * len(moments.events)
                events = np.flatnonzero(moments.events >= 0)
                for i, text in zip(events.tolist(), moments.columns.texts(field, moments.events[events]), strict=True):
                    facts[name][i] = text
        return facts

    def _numbers(self, features: Matrix, rows: Ints) -> dict[str, Floats]:
        """The features and scores that rules read, by name: float64[rows] each."""
        return {
            name: self._score(name, features, rows)
            if name in self.catalog.models
            else features[rows, self.columns[name]]
            for name in self.conditions.numbers
        }

    def _score(self, name: str, features: Matrix, rows: Ints) -> Floats:
        model = self.models.get(name)
        if model is None:
            return np.full(len(rows), np.nan)
        return score_rows(model, features, rows, self.catalog.models[name])

    def _settle(
        self, decided: Decided, candidate: Candidate, rule: Rule, values: dict[str, float | None], row: Floats
    ) -> bool:
        """Whether a coupon was issued."""
        outcome = self.policy.outcome(rule, candidate.customer, candidate.ledger, candidate.at_ms, candidate.consented)
        receipt = self._receipt(candidate, rule, values, row, outcome)
        if outcome == "issued":
            self.policy.issue(rule, candidate.ledger, candidate.at_ms)
            decided.messages.append(self._message(self.coupons_topic, "coupon.issued", "coupons", candidate, receipt))
            decided.causes_ms.append(candidate.stamp_ms)
            decided.counts["coupons"] = decided.counts.get("coupons", 0) + 1
        decided.messages.append(self._message(self.decisions_topic, "decision", "decisions", candidate, receipt))
        name = f"decision:{rule.id}:{outcome}"
        decided.counts[name] = decided.counts.get(name, 0) + 1
        return outcome == "issued"

    def _message(self, topic: str, type: str, source: str, candidate: Candidate, receipt: dict[str, Any]) -> Message:
        id, customer = str(receipt["decision"]), candidate.customer
        return cloudevent(topic, customer, id, type, source, candidate.at_ms, customer, receipt)

    def _receipt(
        self, candidate: Candidate, rule: Rule, values: dict[str, float | None], row: Floats, outcome: str
    ) -> dict[str, Any]:
        """All that explains the decision: the rule's version, the values it saw, the caps as they stood."""
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
            "values": values,
            "terms": {name: self._terms(name, row) for name in self.catalog.models if name in values},
            "coupons_in_cap_window": len(self.policy.recent(candidate.ledger, candidate.at_ms)),
            "cap": self.policy.cap,
        }

    def _terms(self, name: str, row: Floats) -> dict[str, float]:
        """The features that moved a score most, by what each added to the logit."""
        model = self.models.get(name)
        if model is None:
            return {}
        added = terms(model, row[None, self.catalog.models[name]])[0]
        return {model.features[i]: round(float(added[i]), 4) for i in np.argsort(-np.abs(added))[:TOP_TERMS]}


def decision_id(rule: str, customer: str, cause: str) -> str:
    """The same after every replay: receivers take it as idempotency key."""
    return blake2b(f"{rule}|{customer}|{cause}".encode(), digest_size=12).hexdigest()


def _plain(value: float) -> float | None:
    return None if value != value else round(value, 6)
