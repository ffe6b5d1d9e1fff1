"""From feature rows to decisions: scores, conditions, policy, receipts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from alerts.coupons.lifecycle import Lifecycle
from alerts.coupons.walk import Walk
from alerts.triggers import trials
from alerts.triggers.arms import Arms, Given
from alerts.triggers.campaign import NONE, Campaigns
from alerts.triggers.candidates import Candidate, Candidates
from alerts.triggers.condition import Conditions
from alerts.triggers.gates import Standing, first_shut
from alerts.triggers.holding import Holding
from alerts.triggers.kept import NOTHING, Keeping, encode_kept
from alerts.triggers.lease import Lease
from alerts.triggers.misses import missed
from alerts.triggers.moments import Moments, Seen
from alerts.triggers.news import END, News
from alerts.triggers.policy import Policy, held_out
from alerts.triggers.rule import Then
from alerts.triggers.sending import USUAL_HOUR, sending
from features.catalog import Catalog
from features.columns import Columns
from features.customer import Applied
from features.job import Message
from features.messages import HEADERS, cloudevent, digest
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
    timers: dict[str, int | None] = {}  # of messages that are held
    trials: list[Trial] = []


class Verdict(Struct, gc=False):
    """`issued`, or the first reason why not; which of the campaign's pots ran out; as of a gate."""

    outcome: str
    ran_out: str = ""
    until_ms: int = 0
    because: str = ""


NO_SENDS: Mapping[str, int] = {}


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
        self.arms = Arms(conditions.rules, policy.holdout_salt, policy.least_share)
        self.candidates = Candidates(catalog, conditions)

    def decide(
        self,
        moments: Moments,
        applied: Applied,
        words: Mapping[int, str],
        lease: Lease,
        walk: Walk | None = None,
        sends: Mapping[str, int] = NO_SENDS,
    ) -> Decided:
        """Decides in log order, of timers that one tick has reached, the earliest due first; spends from the lease.

        What an event of the `walk` does to a coupon comes before what rules decide at that event. `sends`: when
        messages that are held for customers are due.
        """
        decided = Decided(dict(zip(applied.customers, applied.records, strict=True)))
        seen = Seen(self.catalog, self.columns, self.models, moments, applied.rows, words)
        held = self.conditions.evaluate(moments.asks, seen.look)
        ledgers, outcomes = Ledgers(applied), list[tuple[str, str]]()
        news = News(ledgers.__getitem__)
        news.hear(moments.columns, applied)
        news.leave(self.conditions, moments, held, seen, applied)
        if walk:
            walk.join(news, decided.messages)
        holding = self._holding(decided, news, moments.columns, applied.customers)
        holding.due(sends)
        candidates = list(self.candidates.at(held, moments, applied, seen, self.campaigns.keys))
        self._follow(decided, news, moments, applied, candidates, walk)
        for candidate in candidates:
            if news.coming:
                news.until(moments.order(candidate.moment))
            outcome = self._settle(decided, candidate, ledgers[candidate.who], lease, holding, seen)
            outcomes.append((candidate.rule.id, outcome))
            if outcome in FIRED:
                news.touched.add(candidate.who)
        news.until(END)
        for who in news.touched:
            head = applied.records[who][: applied.ledgers[who]]
            decided.records[applied.customers[who]] = head + encode_ledger(ledgers[who])
        decided.timers = holding.timers()
        for outcome, places in missed(self.conditions, moments, held, seen.look, self.keeping):
            for candidate in self.candidates.at(places, moments, applied, seen, self.campaigns.keys):
                receipt = self._receipt(candidate, ledgers[candidate.who], outcome, Given(candidate.rule.then))
                decided.misses.setdefault(candidate.customer, {})[candidate.rule.id] = encode_kept(receipt)
        decided.counts = {f"decision:{rule}:{outcome}": n for (rule, outcome), n in Counter(outcomes).items()}
        told = Counter((trial.rule, trial.arm) for trial in decided.trials if not trial.revision)
        decided.counts |= {f"arm:{rule}:{arm}": n for (rule, arm), n in told.items()}
        if walk:
            decided.counts |= walk.counts
        if coupons := sum(message.topic == self.coupons_topic for message in decided.messages):
            decided.counts["coupons"] = coupons
        return decided

    def _holding(self, decided: Decided, news: News, columns: Columns, customers: list[str]) -> Holding:
        """Messages that leave later: what is done with them then."""

        def send(customer: str, coupon: bytes) -> None:
            decided.messages.append(Message(self.coupons_topic, customer, coupon, HEADERS))

        holding = Holding(news, columns, customers, send, partial(self._tell, decided))
        holding.hear(self.policy.consent)
        return holding

    def _follow(
        self,
        decided: Decided,
        news: News,
        moments: Moments,
        applied: Applied,
        candidates: list[Candidate],
        walk: Walk | None,
    ) -> None:
        """Hears of what may come of arms that were or are given; of nothing where no rule has any."""
        if not self.arms.drawing:
            return

        def happens(deed: trials.Deed) -> bool:
            if walk:  # a redemption counts if it was accepted
                deed.coupon = walk.accepted.get(deed.id, deed.coupon)
            ledger = news.ledger(deed.who)
            if not ledger.choices:
                return False
            decided.trials += trials.follow(deed, ledger, self.policy.margin_percent)
            return True

        getting = {candidate.who for candidate in candidates if candidate.rule.then.arms}
        for deed in self._deeds(moments, applied, getting):
            news.add((deed.place, 0), deed.who, partial(happens, deed))

    def _deeds(self, moments: Moments, applied: Applied, getting: set[int]) -> Iterable[trials.Deed]:
        return trials.deeds(moments.columns, applied, getting)

    def _settle(
        self, decided: Decided, candidate: Candidate, ledger: Ledger, lease: Lease, holding: Holding, seen: Seen
    ) -> str:
        """The outcome; sends the decision, and the coupon if one is issued, or holds it until its time."""
        rule, at_ms = candidate.rule, candidate.at_ms
        given = self.arms.given(rule, candidate.customer, candidate.context)
        verdict = self._verdict(candidate, given, ledger, lease)
        send_ms, why = self._sending(candidate, given.then, seen) if verdict.outcome == "issued" else (0, "")
        more = {"until_ms": verdict.until_ms, "because": verdict.because, "send_ms": send_ms, "send_why": why}
        receipt = self._receipt(candidate, ledger, verdict.outcome, given, verdict.ran_out, **more)
        if verdict.outcome in FIRED:
            self.policy.issue(rule, ledger, at_ms, given.nothing)
            decided.trials += self._tried(candidate, given, ledger)
        if verdict.outcome == "issued":
            self.campaigns.issue(given.then, candidate.place, ledger, lease)
            coupon = self._issued(given.then, ledger, receipt)
            if send_ms > max(at_ms, candidate.clock_ms):
                holding.hold(candidate.who, send_ms, coupon.value)
            else:
                decided.messages.append(coupon)
                decided.causes_ms.append(candidate.stamp_ms)
        self._tell(decided, candidate.customer, receipt)
        return verdict.outcome

    def _issued(self, then: Then, ledger: Ledger, receipt: Receipt) -> Message:
        """The coupon, with its code where coupons have a lifecycle; or the message that is due."""
        if not then.coupon:
            return self._message(self.coupons_topic, "message.due", "coupons", receipt)
        if self.lifecycle:
            receipt = self.lifecycle.issue(ledger, receipt, then.min_spend_cents, then.stores, then.regions)
        return self._message(self.coupons_topic, "coupon.issued", "coupons", receipt)

    def _tell(self, decided: Decided, customer: str, receipt: Receipt) -> None:
        """The decision leaves, and is kept with the customer."""
        decided.messages.append(self._message(self.decisions_topic, "decision", "decisions", receipt))
        if self.keeping.receipts:
            decided.receipts.setdefault(customer, []).append((receipt.at_ms, encode_kept(receipt)))

    def _tried(self, candidate: Candidate, given: Given, ledger: Ledger) -> list[Trial]:
        id = decision_id(candidate.rule.id, candidate.customer, candidate.cause) if given.arm else ""
        return trials.chosen(candidate.rule, given, id, candidate.at_ms, ledger)

    def _sending(self, candidate: Candidate, then: Then, seen: Seen) -> tuple[int, str]:
        """When the message leaves, and why then."""
        at_ms = candidate.at_ms
        if then.send == "now":
            return at_ms, ""
        [hour] = seen.look(USUAL_HOUR, np.array([candidate.moment]))
        return sending(then, at_ms, candidate.place.local_ms, float(hour), self.policy.quiet)

    def _verdict(self, candidate: Candidate, given: Given, ledger: Ledger, lease: Lease) -> Verdict:
        at_ms, place = candidate.at_ms, candidate.place
        age_ms = candidate.clock_ms - at_ms
        standing = Standing(candidate.customer, ledger, at_ms, place.local_ms, candidate.consented, age_ms)
        if gate := first_shut(candidate.rule, candidate.rivals, self.policy, standing):
            return Verdict(gate.outcome, until_ms=gate.until_ms, because=gate.because)
        outcome, ran_out = self.campaigns.outcome(given.then, place, ledger, lease)
        return Verdict("control" if given.nothing and outcome == "issued" else outcome, ran_out)

    def _message(self, topic: str, type: str, source: str, receipt: Receipt) -> Message:
        customer = receipt.customer
        return cloudevent(topic, customer, receipt.decision, type, source, receipt.at_ms, customer, receipt)

    def _receipt(
        self, candidate: Candidate, ledger: Ledger, outcome: str, given: Given, ran_out: str = "", **more: Any
    ) -> Receipt:
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
            **more,
        )


def decision_id(rule: str, customer: str, cause: str) -> str:
    return digest(f"{rule}|{customer}|{cause}")
