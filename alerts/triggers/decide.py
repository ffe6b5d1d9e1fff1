"""From feature rows to decisions: scores, conditions, policy, receipts."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from hashlib import blake2b

from msgspec import Struct
from msgspec.structs import replace

from alerts.triggers import trials
from alerts.triggers.arms import Arms, Given
from alerts.triggers.campaign import NONE, Campaigns
from alerts.triggers.candidates import Candidate, Candidates
from alerts.triggers.condition import Conditions
from alerts.triggers.gates import Standing, first_reason
from alerts.triggers.kept import NOTHING, Keeping, encode_kept
from alerts.triggers.lease import Lease
from alerts.triggers.misses import missed
from alerts.triggers.moments import Moments, Seen
from alerts.triggers.policy import Policy, held_out
from features.catalog import Catalog
from features.customer import Applied
from features.job import Message
from features.messages import cloudevent
from features.models import LinearModel
from features.outgoing import Receipt
from features.record import Ledger, decode_ledger, encode_ledger
from features.trials import Trial

FIRED = ("issued", "control")  # outcomes from which the cooldown runs
NO_GIFT = {"coupon": "", "face_value_cents": 0, "percent": 0, "at_most_cents": 0, "message": ""}


class Decided(Struct):
    """What came of a batch's moments; `records` are the customers' with what policy has noted."""

    records: dict[str, bytes]
    messages: list[Message] = []
    counts: dict[str, int] = {}
    causes_ms: list[int] = []
    receipts: dict[str, list[tuple[int, bytes]]] = {}  # by customer: (time, receipt as it is kept)
    misses: dict[str, dict[str, bytes]] = {}  # by customer and rule
    trials: list[Trial] = []
    noted: set[int] = set()  # customers of the batch whose ledgers have changed


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
        self.arms = Arms(conditions.rules, policy.holdout_salt, policy.least_share)
        self.candidates = Candidates(catalog, conditions)

    def decide(self, moments: Moments, applied: Applied, words: Mapping[int, str], lease: Lease) -> Decided:
        """Decides in log order, of timers that one tick has reached, the earliest due first; spends from the lease."""
        decided = Decided(dict(zip(applied.customers, applied.records, strict=True)))
        seen = Seen(self.catalog, self.columns, self.models, moments, applied.rows, words)
        held = self.conditions.evaluate(moments.asks, seen.look)
        starts, ledgers, outcomes = applied.ledgers.tolist(), Ledgers(applied), []
        candidates = list(self.candidates.at(held, moments, applied, seen, self.campaigns.keys))
        deeds = self._deeds(moments, applied, candidates)
        for candidate in candidates:
            self._follow(decided, deeds, ledgers, candidate.row)
            outcomes.append((candidate.rule.id, self._settle(decided, candidate, ledgers[candidate.who], lease)))
        self._follow(decided, deeds, ledgers)
        for who in decided.noted:
            decided.records[applied.customers[who]] = applied.records[who][: starts[who]] + encode_ledger(ledgers[who])
        for outcome, places in missed(self.conditions, moments, held, seen.look, self.keeping):
            for candidate in self.candidates.at(places, moments, applied, seen, self.campaigns.keys):
                receipt = self._receipt(candidate, ledgers[candidate.who], outcome, Given(candidate.rule.then))
                decided.misses.setdefault(candidate.customer, {})[candidate.rule.id] = encode_kept(receipt)
        decided.counts = {f"decision:{rule}:{outcome}": n for (rule, outcome), n in Counter(outcomes).items()}
        told = Counter((trial.rule, trial.arm) for trial in decided.trials if not trial.revision)
        decided.counts |= {f"arm:{rule}:{arm}": n for (rule, arm), n in told.items()}
        if decided.causes_ms:
            decided.counts["coupons"] = len(decided.causes_ms)
        return decided

    def _deeds(self, moments: Moments, applied: Applied, candidates: list[Candidate]) -> deque[trials.Deed]:
        """What may come of arms that were or are given; nothing where no rule has any."""
        if not self.arms.drawing:
            return deque()
        getting = {candidate.who for candidate in candidates if candidate.rule.then.arms}
        return deque(trials.deeds(moments.columns, applied, getting))

    def _follow(self, decided: Decided, deeds: deque[trials.Deed], ledgers: Ledgers, row: int | None = None) -> None:
        """Takes in what was done up to a place of the batch, or to its end."""
        while deeds and (row is None or deeds[0].place <= row):
            deed = deeds.popleft()
            if ledgers[deed.who].choices:
                decided.trials += trials.follow(deed, ledgers[deed.who], self.policy.margin_percent)
                decided.noted.add(deed.who)

    def _settle(self, decided: Decided, candidate: Candidate, ledger: Ledger, lease: Lease) -> str:
        """The outcome; sends the decision, and the coupon if one is issued."""
        rule, at_ms = candidate.rule, candidate.at_ms
        given = self.arms.given(rule, candidate.customer, candidate.context)
        outcome, ran_out = self._outcome(candidate, given, ledger, lease)
        receipt = self._receipt(candidate, ledger, outcome, given, ran_out)
        if outcome in FIRED:
            self.policy.issue(rule, ledger, at_ms, given.nothing)
            decided.trials += self._tried(candidate, given, ledger)
            decided.noted.add(candidate.who)
        if outcome == "issued":
            self.campaigns.issue(given.then, candidate.place, ledger, lease)
            type = "coupon.issued" if given.then.coupon else "message.due"
            decided.messages.append(self._message(self.coupons_topic, type, "coupons", receipt))
            decided.causes_ms.append(candidate.stamp_ms)
        decided.messages.append(self._message(self.decisions_topic, "decision", "decisions", receipt))
        if self.keeping.receipts:
            decided.receipts.setdefault(candidate.customer, []).append((at_ms, encode_kept(receipt)))
        return outcome

    def _tried(self, candidate: Candidate, given: Given, ledger: Ledger) -> list[Trial]:
        id = decision_id(candidate.rule.id, candidate.customer, candidate.cause) if given.arm else ""
        return trials.chosen(candidate.rule, given, id, candidate.at_ms, ledger)

    def _outcome(self, candidate: Candidate, given: Given, ledger: Ledger, lease: Lease) -> tuple[str, str]:
        """(`issued`, `control`, or the first reason why not, which of the campaign's pots ran out)."""
        at_ms, place = candidate.at_ms, candidate.place
        age_ms = candidate.clock_ms - at_ms
        standing = Standing(candidate.customer, ledger, at_ms, place.local_ms, candidate.consented, age_ms)
        if reason := first_reason(candidate.rule, candidate.rivals, self.policy, standing):
            return reason, ""
        outcome, ran_out = self.campaigns.outcome(given.then, place, ledger, lease)
        return "control" if given.nothing and outcome == "issued" else outcome, ran_out

    def _message(self, topic: str, type: str, source: str, receipt: Receipt) -> Message:
        customer = receipt.customer
        return cloudevent(topic, customer, receipt.decision, type, source, receipt.at_ms, customer, receipt)

    def _receipt(self, candidate: Candidate, ledger: Ledger, outcome: str, given: Given, ran_out: str = "") -> Receipt:
        """All that explains the decision: the rule's version, the values it saw, the caps as they stood."""
        rule, customer, at_ms, cause = candidate.rule, candidate.customer, candidate.at_ms, candidate.cause
        then = replace(given.then, **NO_GIFT) if given.nothing else given.then
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
            arm=given.arm,
        )


def decision_id(rule: str, customer: str, cause: str) -> str:
    """The same after every replay: receivers take it as idempotency key."""
    return blake2b(f"{rule}|{customer}|{cause}".encode(), digest_size=12).hexdigest()
