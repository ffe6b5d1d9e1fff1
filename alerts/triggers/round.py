"""One batch's decisions in the making: what befalls its customers and what rules decide, in log order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from alerts.coupons.walk import Walk
from alerts.triggers import trials
from alerts.triggers.arms import Given, given_to
from alerts.triggers.brake import RELEASED, Brakes
from alerts.triggers.candidates import Candidate
from alerts.triggers.gates import Standing, first_shut
from alerts.triggers.gifts import Then
from alerts.triggers.holding import Consent, Holding, nothing_said
from alerts.triggers.lease import Lease
from alerts.triggers.moments import Moments
from alerts.triggers.news import END, News
from alerts.triggers.points import Spent, request_of, spending_id
from alerts.triggers.receipts.kept import encode_all_kept, encode_kept, encode_refused
from alerts.triggers.receipts.misses import missed
from alerts.triggers.receipts.receipt import Verdict, decision_id, receipt_of
from alerts.triggers.refusals import Refuser
from alerts.triggers.sending import USUAL_HOUR, sending
from features.customer import Applied
from features.job import Message
from features.kernel.arrays import Ints
from features.messages import HEADERS, cloudevent, cloudevents, digest
from features.outgoing import Drawn, Receipt
from features.purse import Purse
from features.record import Ledger, decode_ledger, encode_ledger
from features.records import Records
from features.refusals import Refusals
from features.trials import HOLDOUT, Trial

if TYPE_CHECKING:
    from alerts.triggers.decide import Decider

FIRED = ("issued", "control")  # outcomes from which the cooldown runs
LARGEST = 500_000  # bytes of a message that several decisions share


class Decided(Struct):
    """What came of a batch's moments; `records` are the customers' with what policy has noted."""

    records: Records
    messages: list[Message] = []
    counts: dict[str, int] = {}
    causes_ms: list[int] = []
    receipts: dict[str, list[bytes]] = {}  # by customer, as they are kept
    misses: dict[str, dict[str, bytes]] = {}  # by customer and rule
    timers: dict[str, int | None] = {}  # of messages that are held
    trials: list[Trial] = []
    spent: list[Spent] = []


class Ledgers(dict[int, Ledger]):
    """By customer of a batch, each unpacked when it is first asked for."""

    def __init__(self, applied: Applied) -> None:
        super().__init__()
        self.applied = applied

    def __missing__(self, who: int) -> Ledger:
        ledger = self[who] = decode_ledger(self.applied.ledger(who))
        return ledger


class Round:
    """`house` is the decider whose rules, policy and campaigns count; spends from the lease."""

    def __init__(
        self,
        house: Decider,
        moments: Moments,
        applied: Applied,
        words: Mapping[int, str],
        lease: Lease,
        consent: Consent = nothing_said,
        brakes: Brakes = RELEASED,
    ) -> None:
        self.house = house
        self.moments = moments
        self.applied = applied
        self.refuser = Refuser(house.candidates, house.policy, house.arms)
        self.refusals: list[tuple[Ints, Refusals]] = []  # with their places among all that are refused
        self.lease = lease
        self.brakes = brakes
        self.seen = house.seen(moments, applied, words)
        self.decided = Decided(applied.records)
        self.leaving: list[Message | Receipt] = []  # in log order; of a receipt, its decision
        self.keepers: dict[str, str] = {}  # by decision: with whom its receipt is kept, if not with its customer
        self.ledgers = Ledgers(applied)
        self.news = News(self.ledgers.__getitem__)
        self.holding = Holding(self.news, moments.columns, applied.customers, self._release, self._withhold, consent)
        self.withheld: list[tuple[str, str]] = []

    def decide(self, walk: Walk | None, sends: Mapping[str, int]) -> Decided:
        house, news = self.house, self.news
        held = house.conditions.evaluate(self.moments.asks, self.seen.looks)
        at, rule = house.candidates.in_order(held, self.moments, self.applied.customers)
        refused = self._refused(at, rule)
        candidates = list(self._at(at[~refused], rule[~refused]))
        self._hear(held, candidates, walk, sends)
        self.refusals += self.refuser.told(at[refused], rule[refused], self.moments, self.applied, self.seen)
        outcomes: list[tuple[str, str]] = [
            (told.rule, told.outcome) for _, told in self.refusals for _ in told.decision
        ]
        for order, candidate in zip(self.moments.orders(at[~refused]), candidates, strict=True):
            if news.coming and news.coming[0][:2] <= order:
                news.until(order)
            outcomes.append(self._settle(candidate))
        news.until(END)
        self._tell()
        self._pack()
        self._note_misses(held)
        self.decided.counts = self._counts(outcomes + self.withheld) | (walk.counts if walk else {})
        del self.holding  # which knows this round: the rows of a batch are not to wait for the garbage collector
        return self.decided

    def _refused(self, at: Ints, rule: Ints) -> npt.NDArray[np.bool_]:
        return self.refuser.among(at, rule, self.moments, self.applied)

    def _at(self, at: Ints, rule: Ints) -> Iterator[Candidate]:
        keys = self.brakes.keys or self.house.campaigns.keys
        return self.house.candidates.at(at, rule, self.moments, self.applied, self.seen, keys)

    def _hear(
        self, held: npt.NDArray[np.bool_], candidates: list[Candidate], walk: Walk | None, sends: Mapping[str, int]
    ) -> None:
        """Of all that may befall customers, before what rules decide at that moment."""
        columns, house = self.moments.columns, self.house
        self.news.hear(columns, self.applied)
        self.news.spend(columns, self.applied, house.conditions.spends)
        self.news.leave(house.conditions, self.moments, held, self.seen, self.applied)
        if walk:
            walk.join(self.news, self._leave)
        self.holding.hear(house.policy.consent, self.applied.has_ledger, {candidate.who for candidate in candidates})
        self.holding.due(sends)
        if house.offered.following:
            free = not house.policy.consent
            getting = {c.who for c in candidates if (c.consented or free) and house.offered.follows(c.rule)}
            for deed in self._deeds(getting):
                self.news.add((deed.place, 0), deed.who, partial(self._follow, deed, walk))

    def _deeds(self, getting: set[int]) -> Iterable[trials.Deed]:
        return trials.deeds(self.moments.columns, self.applied, getting)

    def _follow(self, deed: trials.Deed, walk: Walk | None) -> bool:
        """Whether anything has come of an arm that was given; of a redemption, if it was accepted."""
        if walk and walk.lifecycle.codes:
            deed.coupon = walk.accepted.get(deed.id, "")
        ledger = self.ledgers[deed.who]
        if not ledger.choices:
            return False
        self.decided.trials += trials.follow(deed, ledger, self.house.policy.margin_percent)
        return True

    def _settle(self, candidate: Candidate) -> tuple[str, str]:
        """Rule and outcome; sends the decision, and the coupon if one is issued, or holds it until its time."""
        house, ledger = self.house, self.ledgers[candidate.who]
        drawn = house.arms.given(candidate.rule, candidate.customer, candidate.context)
        given = given_to(drawn, candidate.values)
        verdict = self._verdict(candidate, ledger, given)
        receipt = self._receipt(candidate, ledger, given, verdict)
        if verdict.outcome in FIRED:
            house.policy.issue(candidate.rule, ledger, candidate.at_ms, given.nothing, verdict.send_ms)
            self.news.touched.add(candidate.who)
        if verdict.outcome == "issued":
            house.campaigns.issue(given.then, candidate.place, ledger, self.lease)
            self._spend(candidate, given.then, ledger)
            self._send(candidate, self._issued(given.then, ledger, receipt), verdict.send_ms)
        if house.offered.following:
            self.decided.trials += self._tried(candidate, given, verdict.outcome)
        self._leave(receipt)
        return candidate.rule.id, verdict.outcome

    def _spend(self, candidate: Candidate, then: Then, ledger: Ledger) -> None:
        """Takes the points that the coupon was asked for with."""
        if request := request_of(candidate.rule, candidate.values, candidate.cause, ledger):
            ledger.purse = ledger.purse or Purse()
            ledger.purse.promise(request.id, request.points.asked, candidate.at_ms)
            of = (candidate.customer, candidate.at_ms, request.points.asked, then.coupon)
            self.decided.spent.append(Spent(spending_id(candidate.cause), *of))

    def _verdict(self, candidate: Candidate, ledger: Ledger, given: Given) -> Verdict:
        standing = self._standing(candidate, ledger)
        verdict = self._judged(candidate, ledger, given, standing)
        verdict.points = standing.request.points if standing.request else None
        return verdict

    def _judged(self, candidate: Candidate, ledger: Ledger, given: Given, standing: Standing) -> Verdict:
        if gate := first_shut(candidate.rule, candidate.rivals, self.house.policy, standing):
            because = gate.rule if gate.outcome == "excluded" else gate.because
            return Verdict(gate.outcome, until_ms=gate.until_ms, because=because)
        if brake := self.brakes.pulled(given.then.campaign, candidate.place.names):
            return Verdict("paused", brake=brake)
        outcome, ran_out = self.house.campaigns.outcome(given.then, candidate.place, ledger, self.lease)
        if outcome != "issued":
            return Verdict(outcome, ran_out)
        if given.nothing:
            return Verdict("control")
        return Verdict("issued", "", 0, "", *self._sending(candidate, given.then))

    def _standing(self, candidate: Candidate, ledger: Ledger) -> Standing:
        at_ms, local_ms = candidate.at_ms, candidate.place.local_ms
        request = request_of(candidate.rule, candidate.values, candidate.cause, ledger)
        age_ms = candidate.clock_ms - at_ms
        return Standing(candidate.customer, ledger, at_ms, local_ms, candidate.consented, age_ms, request)

    def _sending(self, candidate: Candidate, then: Then) -> tuple[int, str]:
        """When the message leaves, and why then."""
        at_ms = candidate.at_ms
        if then.send == "now":
            return at_ms, ""
        [hour] = self.seen.look(USUAL_HOUR, np.array([candidate.moment]))
        return sending(then, at_ms, candidate.place.local_ms, float(hour), self.house.policy.quiet)

    def _tried(self, candidate: Candidate, given: Given, outcome: str) -> list[Trial]:
        """What begins with a coupon that is given, or would be if the customer were not held out."""
        house, rule = self.house, candidate.rule
        if outcome == "holdout" and self._would_fire(candidate, given):
            self.news.touched.add(candidate.who)
            given = Given(given.then, Drawn(HOLDOUT, house.policy.holdout, candidate.context), nothing=True)
        elif outcome not in FIRED:
            return []
        if not house.offered.follows(rule):  # a message takes its place in caps and groups all the same
            return []
        id = decision_id(rule.id, candidate.customer, candidate.cause)
        row = self.applied.rows[self.moments.rows[candidate.moment]]
        scored = house.offered.scored(row, rule, given.then, given.nothing)
        return trials.chosen(rule, given, id, candidate.at_ms, self.ledgers[candidate.who], scored)

    def _would_fire(self, candidate: Candidate, given: Given) -> bool:
        """Whether it would for one who is held out, as it then notes beside the ledger."""
        house, ledger = self.house, self.ledgers[candidate.who]
        unheld = ledger.unheld or Ledger()
        if first_shut(candidate.rule, candidate.rivals, house.unheld, self._standing(candidate, unheld)):
            return False
        if self.brakes.pulled(given.then.campaign, candidate.place.names):
            return False
        if house.campaigns.outcome(given.then, candidate.place, unheld, self.lease)[0] != "issued":
            return False
        house.policy.issue(candidate.rule, unheld, candidate.at_ms, given.nothing)
        house.campaigns.count(given.then, unheld)
        ledger.unheld = unheld
        return True

    def _issued(self, then: Then, ledger: Ledger, receipt: Receipt) -> Message:
        """The coupon, with its code where coupons have a lifecycle; or the message that is due."""
        type, lifecycle = "coupon.issued" if then.coupon else "message.due", self.house.lifecycle
        if then.coupon and lifecycle:
            receipt = lifecycle.issue(ledger, receipt, then.min_spend_cents, then.stores, then.regions)
        return self._coupon(type, receipt)

    def _coupon(self, type: str, receipt: Receipt) -> Message:
        customer, topic = receipt.customer, self.house.coupons_topic
        return cloudevent(topic, customer, receipt.decision, type, "coupons", receipt.at_ms, customer, receipt)

    def _send(self, candidate: Candidate, coupon: Message, send_ms: int) -> None:
        if send_ms > max(candidate.at_ms, candidate.clock_ms):
            self.holding.hold(candidate.who, send_ms, coupon.value)
        else:
            self._leave(coupon)
            self.decided.causes_ms.append(candidate.stamp_ms)

    def _release(self, customer: str, coupon: bytes) -> None:
        """What was held leaves."""
        self._leave(Message(self.house.coupons_topic, customer, coupon, HEADERS))

    def _withhold(self, who: int, decision: str, receipt: Receipt) -> None:
        self.withheld.append((receipt.rule, receipt.outcome))
        self.decided.trials += trials.withdraw(self.ledgers[who], decision, receipt.at_ms)
        self.keepers[receipt.decision] = self.applied.customers[who]
        self._leave(receipt)

    def _leave(self, one: Message | Receipt) -> None:
        self.leaving.append(one)

    def _tell(self) -> None:
        """What leaves: of receipts, the decisions, each of which is kept with its customer as well."""
        receipts = [one for one in self.leaving if isinstance(one, Receipt)]
        ids, at_ms = (receipt.decision for receipt in receipts), (receipt.at_ms for receipt in receipts)
        customers, topic = [receipt.customer for receipt in receipts], self.house.decisions_topic
        decisions = iter(cloudevents(topic, ids, "decision", "decisions", at_ms, customers, receipts))
        self.decided.messages = [next(decisions) if isinstance(one, Receipt) else one for one in self.leaving]
        self.decided.messages += [message for _, told in self.refusals for message in self._together(told)]
        if self.house.keeping.receipts:
            self._keep(receipts)

    def _together(self, told: Refusals) -> Iterator[Message]:
        """By the first one's key: where `decisions` has as many partitions as `events`, that of all of them."""
        id, last_ms, topic = digest("|".join(told.decision)), max(told.at_ms), self.house.decisions_topic
        message = cloudevent(topic, told.customer[0], id, "refusals", "decisions", last_ms, told.rule, told)
        if len(message.value) <= LARGEST or len(told.decision) == 1:
            yield message
        else:
            for half in told.halves():
                yield from self._together(half)

    def _keep(self, receipts: list[Receipt]) -> None:
        """A customer whose refusals are told together has no other decisions in this batch."""
        kept = self.decided.receipts
        for receipt, packed in zip(receipts, encode_all_kept(receipts), strict=True):
            kept.setdefault(self.keepers.get(receipt.decision, receipt.customer), []).append(packed)
        refused = [
            (place, customer, packed)
            for places, told in self.refusals
            for place, customer, packed in zip(places.tolist(), told.customer, encode_refused(told), strict=True)
        ]
        for _, customer, packed in sorted(refused) if len(self.refusals) > 1 else refused:
            kept.setdefault(customer, []).append(packed)

    def _receipt(self, candidate: Candidate, ledger: Ledger, given: Given, verdict: Verdict) -> Receipt:
        return receipt_of(candidate, self.house.policy, ledger, given, verdict)

    def _pack(self) -> None:
        """The ledgers that have changed, behind their records."""
        for who in self.news.touched:
            self.applied.with_ledger(who, encode_ledger(self.ledgers[who]))
        self.decided.timers = self.holding.timers()

    def _note_misses(self, held: npt.NDArray[np.bool_]) -> None:
        house = self.house
        for outcome, places in missed(house.conditions, self.moments, held, self.seen.looks, house.keeping):
            for candidate in self._at(*house.candidates.in_order(places, self.moments, self.applied.customers)):
                ledger, given = self.ledgers[candidate.who], Given(candidate.rule.then.to(candidate.values))
                receipt = self._receipt(candidate, ledger, given, Verdict(outcome))
                self.decided.misses.setdefault(candidate.customer, {})[candidate.rule.id] = encode_kept(receipt)

    def _counts(self, outcomes: list[tuple[str, str]]) -> dict[str, int]:
        counts = {f"decision:{rule}:{outcome}": n for (rule, outcome), n in Counter(outcomes).items()}
        chosen = Counter((t.rule, t.arm) for t in self.decided.trials if not t.revision and t.arm not in ("", HOLDOUT))
        counts |= {f"arm:{rule}:{arm}": n for (rule, arm), n in chosen.items()}
        coupons = sum(message.topic == self.house.coupons_topic for message in self.decided.messages)
        return counts | ({"coupons": coupons} if coupons else {})
