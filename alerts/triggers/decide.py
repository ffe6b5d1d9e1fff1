"""From feature rows to decisions: scores, conditions, policy, receipts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from alerts.triggers.campaign import NONE, Campaigns, Place
from alerts.triggers.condition import Conditions
from alerts.triggers.kept import NOTHING, Keeping, encode_kept
from alerts.triggers.lease import Lease
from alerts.triggers.misses import missed
from alerts.triggers.moments import Moments, Seen
from alerts.triggers.policy import Policy, held_out
from alerts.triggers.rule import Rule
from alerts.triggers.simple import Look
from features.catalog import Catalog
from features.customer import Applied
from features.job import Message
from features.kernel.arrays import Ints
from features.messages import cloudevent
from features.models import LinearModel, Matrix, top_terms
from features.outgoing import Receipt
from features.record import Ledger, decode_ledger, encode_ledger

TOP_TERMS = 5
NEVER = 2**62


class Candidate(Struct, gc=False):
    """A moment at which a rule's condition held."""

    rule: Rule
    who: int
    customer: str
    at_ms: int
    cause: str  # event id, or timer and due time
    stamp_ms: int
    clock_ms: int
    consented: bool
    rivals: list[str]  # the other rules of its group
    place: Place
    values: dict[str, float | str | None]
    terms: dict[str, dict[str, float]]


class Decided(Struct):
    """What came of a batch's moments; `records` are the customers' with what policy has noted."""

    records: dict[str, bytes]
    messages: list[Message] = []
    counts: dict[str, int] = {}
    causes_ms: list[int] = []
    receipts: dict[str, list[tuple[int, bytes]]] = {}  # by customer: (time, receipt as it is kept)
    misses: dict[str, dict[str, bytes]] = {}  # by customer and rule


class Ledgers(dict[int, Ledger]):
    """By customer of a batch, each unpacked when it is first asked for."""

    def __init__(self, applied: Applied) -> None:
        super().__init__()
        self.applied = applied

    def __missing__(self, who: int) -> Ledger:
        ledger = self[who] = decode_ledger(self.applied.records[who][self.applied.ledgers[who] :])
        return ledger


class Decider:
    """Evaluates all rules at all moments of a batch at once, then walks over those that held."""

    def __init__(
        self,
        catalog: Catalog,
        conditions: Conditions,
        policy: Policy,
        coupons_topic: str,
        decisions_topic: str,
        campaigns: Campaigns = NONE,
        keeping: Keeping = NOTHING,
    ) -> None:
        self.catalog = catalog
        self.conditions = conditions
        self.columns = {name: i for i, name in enumerate(catalog.names)}
        self.policy = policy
        self.campaigns = campaigns
        self.coupons_topic = coupons_topic
        self.decisions_topic = decisions_topic
        self.keeping = keeping
        self.models: dict[str, LinearModel] = {}
        rules = conditions.rules
        self.ranks = _ranks(range(len(rules)), key=lambda i: -rules[i].priority)
        self.timer_ranks = _ranks(range(len(rules)), key=lambda i: (-rules[i].priority, f"{rules[i].id}|"))
        self.rivals = [[r.id for r in rules if rule.group and r.group == rule.group and r != rule] for rule in rules]

    def decide(self, moments: Moments, applied: Applied, words: Mapping[int, str], lease: Lease) -> Decided:
        """Decides in log order, of timers that one tick has reached, the earliest due first; spends from the lease."""
        decided = Decided(dict(zip(applied.customers, applied.records, strict=True)))
        seen = Seen(self.catalog, self.columns, self.models, moments, applied.rows, words)
        held = self.conditions.evaluate(moments.asks, seen.look)
        starts, ledgers, outcomes = applied.ledgers.tolist(), Ledgers(applied), []
        for candidate in self._candidates(held, moments, applied, seen.look):
            who = candidate.who
            outcome = self._settle(decided, candidate, ledgers[who], lease)
            outcomes.append((candidate.rule.id, outcome))
            if outcome == "issued":
                decided.records[candidate.customer] = applied.records[who][: starts[who]] + encode_ledger(ledgers[who])
        for outcome, places in missed(self.conditions, moments, held, seen.look, self.keeping):
            for candidate in self._candidates(places, moments, applied, seen.look):
                receipt = self._receipt(candidate, ledgers[candidate.who], outcome)
                decided.misses.setdefault(candidate.customer, {})[candidate.rule.id] = encode_kept(receipt)
        decided.counts = {f"decision:{rule}:{outcome}": n for (rule, outcome), n in Counter(outcomes).items()}
        if decided.causes_ms:
            decided.counts["coupons"] = len(decided.causes_ms)
        return decided

    def _candidates(
        self, held: npt.NDArray[np.bool_], moments: Moments, applied: Applied, look: Look
    ) -> Iterator[Candidate]:
        at, rule = self._in_order(held, moments, applied.customers)
        rules = [self.conditions.rules[j] for j in rule.tolist()]
        who = moments.who[at].tolist()
        customers = [applied.customers[w] for w in who]
        at_ms, stamps_ms = moments.at_ms[at].tolist(), moments.stamps_ms[at].tolist()
        causes = self._causes(moments, at, rules, customers, at_ms)
        values, moved = self._explained(look, applied.rows, moments.rows, at, rule)
        clocks_ms, consented = moments.clock_ms[at].tolist(), (moments.consented[at] != 0).tolist()
        places = self._places(look, at, at_ms, moments)
        rivals = [self.rivals[j] for j in rule.tolist()]
        then = (at_ms, causes, stamps_ms, clocks_ms, consented)
        return map(Candidate, rules, who, customers, *then, rivals, places, values, moved)

    def _in_order(self, held: npt.NDArray[np.bool_], moments: Moments, customers: list[str]) -> tuple[Ints, Ints]:
        """Moments and rules by place, then priority; of timers that one tick has reached, the earliest due first."""
        at, rule = np.nonzero(held)
        timer = moments.event[at] < 0
        due_ms, ranks = np.where(timer, moments.at_ms[at], 0), np.where(timer, self.timer_ranks[rule], self.ranks[rule])
        order = np.lexsort((ranks, due_ms, moments.place[at]))
        keys = np.stack((moments.place[at], due_ms, ranks))[:, order]
        same = np.flatnonzero((keys[:, 1:] == keys[:, :-1]).all(axis=0))
        if len(same):
            names = [customers[w] for w in moments.who[at].tolist()]
            places = {name: place for place, name in enumerate(sorted(set(names)))}
            order = np.lexsort((np.array([places[name] for name in names]), ranks, due_ms, moments.place[at]))
        return at[order], rule[order]

    def _causes(
        self, moments: Moments, at: Ints, rules: list[Rule], customers: list[str], at_ms: list[int]
    ) -> list[str]:
        causes = [f"rule|{rule.id}|{customer}|{ms}" for rule, customer, ms in zip(rules, customers, at_ms, strict=True)]
        event = moments.event[at]
        of_event = np.flatnonzero(event >= 0)
        for i, id in zip(of_event.tolist(), moments.columns.texts("id", event[of_event]), strict=True):
            causes[i] = id
        return causes

    def _places(self, look: Look, at: Ints, at_ms: list[int], moments: Moments) -> list[Place]:
        keys, local_ms = self.campaigns.keys, moments.local_ms[at].tolist()
        return list(map(Place, at_ms, local_ms, _dicts(keys, [look(key, at).tolist() for key in keys], len(at))))

    def _explained(self, look: Look, features: Matrix, rows: Ints, at: Ints, rule: Ints) -> tuple[list[Any], list[Any]]:
        """By candidate: the values that its rule looked at, and what moved its scores."""
        seen, moved = np.empty((2, len(at)), dtype=object)
        for j in np.unique(rule).tolist():
            places, names = np.flatnonzero(rule == j), [*self.conditions.names[j], *self.conditions.facts[j]]
            seen[places] = _dicts(names, [_plain(look(name, at[places])) for name in names], len(places))
            models = [name for name in self.catalog.models if name in names]
            mine = features[rows[at[places]]] if models else features
            moved[places] = _dicts(models, [self._terms(name, mine) for name in models], len(places))
        return seen.tolist(), moved.tolist()

    def _settle(self, decided: Decided, candidate: Candidate, ledger: Ledger, lease: Lease) -> str:
        """The outcome; sends the decision, and the coupon if one is issued."""
        rule, at_ms = candidate.rule, candidate.at_ms
        outcome, ran_out = self._outcome(candidate, ledger, lease)
        receipt = self._receipt(candidate, ledger, outcome, ran_out)
        if outcome == "issued":
            self.policy.issue(rule, ledger, at_ms)
            self.campaigns.issue(rule.then, candidate.place, ledger, lease)
            type = "coupon.issued" if rule.then.coupon else "message.due"
            decided.messages.append(self._message(self.coupons_topic, type, "coupons", receipt))
            decided.causes_ms.append(candidate.stamp_ms)
        decided.messages.append(self._message(self.decisions_topic, "decision", "decisions", receipt))
        if self.keeping.receipts:
            decided.receipts.setdefault(candidate.customer, []).append((at_ms, encode_kept(receipt)))
        return outcome

    def _outcome(self, candidate: Candidate, ledger: Ledger, lease: Lease) -> tuple[str, str]:
        """(`issued`, or the first reason why not, which of the campaign's pots ran out)."""
        rule, customer, at_ms, place = candidate.rule, candidate.customer, candidate.at_ms, candidate.place
        outcome = _barred(candidate, ledger) or self.policy.outcome(rule, customer, ledger, at_ms, candidate.consented)
        if outcome != "issued":
            return outcome, ""
        if rule.in_quiet_hours == "drop" and self.policy.quiet.left_ms(place.local_ms):
            return "quiet_hours", ""
        return self.campaigns.outcome(rule.then, place, ledger, lease)

    def _message(self, topic: str, type: str, source: str, receipt: Receipt) -> Message:
        customer = receipt.customer
        return cloudevent(topic, customer, receipt.decision, type, source, receipt.at_ms, customer, receipt)

    def _receipt(self, candidate: Candidate, ledger: Ledger, outcome: str, ran_out: str = "") -> Receipt:
        """All that explains the decision: the rule's version, the values it saw, the caps as they stood."""
        rule, customer, at_ms, cause = candidate.rule, candidate.customer, candidate.at_ms, candidate.cause
        then = rule.then
        return Receipt(
            decision_id(rule.id, customer, cause),
            rule.id,
            rule.version,
            customer,
            outcome,
            then.coupon,
            then.face_value_cents,
            then.percent,
            then.at_most_cents,
            then.message,
            then.channel,
            then.campaign,
            at_ms,
            at_ms + then.valid_ms,
            cause,
            candidate.stamp_ms,
            candidate.values,
            candidate.terms,
            len(self.policy.recent(ledger, at_ms)),
            self.policy.cap,
            ran_out,
            candidate.clock_ms,
            ledger.fired_ms.get(rule.id, -rule.cooldown_ms) + rule.cooldown_ms,
            held_out(customer, self.policy.holdout_salt, self.policy.holdout),
        )

    def _terms(self, name: str, rows: Matrix) -> list[dict[str, float]]:
        model = self.models.get(name)
        return top_terms(model, rows[:, self.catalog.models[name]], TOP_TERMS) if model else [{}] * len(rows)


def _ranks(rules: Iterable[int], key: Callable[[int], Any]) -> Ints:
    """By rule: its place in that order."""
    return np.argsort(np.array(sorted(rules, key=key), dtype=np.int64))


def _barred(candidate: Candidate, ledger: Ledger) -> str:
    """Why the rule itself does not fire now, if so."""
    rule, at_ms = candidate.rule, candidate.at_ms
    if rule.max_event_age_ms is not None and candidate.clock_ms - at_ms > rule.max_event_age_ms:
        return "stale"
    if any(at_ms < ledger.fired_ms.get(rival, -NEVER) + rule.cooldown_ms for rival in candidate.rivals):
        return "excluded"
    return ""


def decision_id(rule: str, customer: str, cause: str) -> str:
    """The same after every replay: receivers take it as idempotency key."""
    return blake2b(f"{rule}|{customer}|{cause}".encode(), digest_size=12).hexdigest()


def _plain(values: npt.NDArray[Any]) -> list[float | str | None]:
    """Texts, or numbers of six digits; None where there is none."""
    if values.dtype == object:
        return [value or None for value in values.tolist()]
    return [None if value != value else round(value, 6) for value in values.tolist()]


def _dicts(names: list[str], columns: list[list[Any]], length: int) -> list[dict[str, Any]]:
    """Columns as a dictionary for each of their rows."""
    if not names:
        return [{} for _ in range(length)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
