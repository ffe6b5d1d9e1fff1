"""From feature rows to decisions: scores, conditions, policy, receipts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct

from alerts.coupons.lifecycle import Lifecycle
from alerts.coupons.walk import Walk
from alerts.triggers.campaign import NONE, Campaigns
from alerts.triggers.candidates import Candidate, Candidates
from alerts.triggers.condition import Conditions
from alerts.triggers.gates import Standing, first_reason
from alerts.triggers.kept import NOTHING, Keeping, encode_kept
from alerts.triggers.lease import Lease
from alerts.triggers.misses import missed
from alerts.triggers.moments import Moments, Seen
from alerts.triggers.policy import Policy, held_out
from alerts.triggers.rule import Then
from features.catalog import Catalog
from features.customer import Applied
from features.job import Message
from features.messages import cloudevent, digest
from features.models import LinearModel
from features.outgoing import Receipt
from features.record import Ledger, decode_ledger, encode_ledger


class Decided(Struct):
    """What came of a batch's moments; `records` are the customers' with what policy has noted."""

    records: dict[str, bytes]
    messages: list[Message] = []
    counts: dict[str, int] = {}
    causes_ms: list[int] = []
    receipts: dict[str, list[tuple[int, bytes]]] = {}  # by customer: (time, receipt as it is kept)
    misses: dict[str, dict[str, bytes]] = {}  # by customer and rule


class Ledgers(dict[int, Ledger]):
    """By customer of a batch, each unpacked when it is first asked for; `changed` are those to be packed again."""

    def __init__(self, applied: Applied) -> None:
        super().__init__()
        self.applied = applied
        self.changed: set[int] = set()

    def __missing__(self, who: int) -> Ledger:
        ledger = self[who] = decode_ledger(self.applied.records[who][self.applied.ledgers[who] :])
        return ledger

    def records(self) -> dict[str, bytes]:
        """The changed ones, by customer."""
        records, starts, customers = self.applied.records, self.applied.ledgers, self.applied.customers
        return {customers[who]: records[who][: starts[who]] + encode_ledger(self[who]) for who in sorted(self.changed)}


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
        lifecycle: Lifecycle | None = None,
    ) -> None:
        """Without a `lifecycle`, coupons are issued and forgotten: for back-tests, which nobody redeems anything in."""
        self.catalog = catalog
        self.conditions = conditions
        self.columns = {name: i for i, name in enumerate(catalog.names)}
        self.policy = policy
        self.campaigns = campaigns
        self.coupons_topic = coupons_topic
        self.decisions_topic = decisions_topic
        self.keeping = keeping
        self.lifecycle = lifecycle
        self.models: dict[str, LinearModel] = {}
        self.candidates = Candidates(catalog, conditions)

    def decide(
        self, moments: Moments, applied: Applied, words: Mapping[int, str], lease: Lease, walk: Walk | None = None
    ) -> Decided:
        """Decides in log order, of timers that one tick has reached, the earliest due first; spends from the lease.

        What an event of the `walk` does to a coupon comes before what rules decide at that event.
        """
        decided = Decided(dict(zip(applied.customers, applied.records, strict=True)))
        seen = Seen(self.catalog, self.columns, self.models, moments, applied.rows, words)
        held = self.conditions.evaluate(moments.asks, seen.look)
        ledgers, outcomes = Ledgers(applied), []
        for candidate in self.candidates.at(held, moments, applied, seen, self.campaigns.keys):
            if walk:
                decided.messages += walk.until(candidate.index, ledgers, ledgers.changed)
            outcome = self._settle(decided, candidate, ledgers[candidate.who], lease)
            outcomes.append((candidate.rule.id, outcome))
            if outcome == "issued":
                ledgers.changed.add(candidate.who)
        if walk:
            decided.messages += walk.rest(ledgers, ledgers.changed)
        decided.records |= ledgers.records()
        for outcome, places in missed(self.conditions, moments, held, seen.look, self.keeping):
            for candidate in self.candidates.at(places, moments, applied, seen, self.campaigns.keys):
                receipt = self._receipt(candidate, ledgers[candidate.who], outcome)
                decided.misses.setdefault(candidate.customer, {})[candidate.rule.id] = encode_kept(receipt)
        decided.counts = {f"decision:{rule}:{outcome}": n for (rule, outcome), n in Counter(outcomes).items()}
        if walk:
            decided.counts |= walk.counts
        if decided.causes_ms:
            decided.counts["coupons"] = len(decided.causes_ms)
        return decided

    def _settle(self, decided: Decided, candidate: Candidate, ledger: Ledger, lease: Lease) -> str:
        """The outcome; sends the decision, and the coupon if one is issued."""
        rule, at_ms = candidate.rule, candidate.at_ms
        outcome, ran_out = self._outcome(candidate, ledger, lease)
        receipt = self._receipt(candidate, ledger, outcome, ran_out)
        if outcome == "issued":
            self.policy.issue(rule, ledger, at_ms)
            self.campaigns.issue(rule.then, candidate.place, ledger, lease)
            decided.messages.append(self._issued(rule.then, ledger, receipt))
            decided.causes_ms.append(candidate.stamp_ms)
        decided.messages.append(self._message(self.decisions_topic, "decision", "decisions", receipt))
        if self.keeping.receipts:
            decided.receipts.setdefault(candidate.customer, []).append((at_ms, encode_kept(receipt)))
        return outcome

    def _outcome(self, candidate: Candidate, ledger: Ledger, lease: Lease) -> tuple[str, str]:
        """(`issued`, or the first reason why not, which of the campaign's pots ran out)."""
        at_ms, place = candidate.at_ms, candidate.place
        age_ms = candidate.clock_ms - at_ms
        standing = Standing(candidate.customer, ledger, at_ms, place.local_ms, candidate.consented, age_ms)
        reason = first_reason(candidate.rule, candidate.rivals, self.policy, standing)
        return (reason, "") if reason else self.campaigns.outcome(candidate.rule.then, place, ledger, lease)

    def _issued(self, then: Then, ledger: Ledger, receipt: Receipt) -> Message:
        """The coupon, with its code where coupons have a lifecycle; or the message that is due."""
        if not then.coupon:
            return self._message(self.coupons_topic, "message.due", "coupons", receipt)
        if self.lifecycle:
            receipt = self.lifecycle.issue(ledger, receipt, then.min_spend_cents, then.stores, then.regions)
        return self._message(self.coupons_topic, "coupon.issued", "coupons", receipt)

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


def decision_id(rule: str, customer: str, cause: str) -> str:
    return digest(f"{rule}|{customer}|{cause}")
