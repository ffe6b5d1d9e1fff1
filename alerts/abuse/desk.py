"""The reviewers' desk: what becomes of cases as more is known, and all that is said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from alerts.abuse.case import CONFIRMED, DECIDED, GROWN, OPEN, WITHDRAWN, Case, Found, case_id
from alerts.abuse.fact import Decided, Fact, Hold, Known, Traces, encode_fact, hashed, subject_of
from alerts.abuse.signals import Signals
from features.events import Suppress, encode
from features.job import Message
from features.messages import cloudevent
from features.suppression import ABUSE, REVIEW
from features.times import DAY_MS

NOTHING = Found([], [], {}, 0, 0)
Hand = Callable[[str, str, Hold], None]  # a customer, the hold's name, and what it says


class Topics(Struct, frozen=True):
    sightings: str
    reviews: str
    events: str
    dead_letters: str


class Desk:
    """One pass over a batch; `now_ms` follows the partition's clock."""

    def __init__(self, topics: Topics, signals: Signals, now_ms: int) -> None:
        self.topics = topics
        self.signals = signals
        self.now_ms = now_ms
        self.kept_ms = signals.kept_ms
        self.messages: list[Message] = []
        self.counts: Counter[str] = Counter()

    @property
    def day(self) -> int:
        return self.now_ms // DAY_MS + 1

    def tell(self, fact: Fact) -> None:
        self.messages.append(Message(self.topics.sightings, subject_of(fact), encode_fact(fact)))

    def hold(self, customer: str, name: str, hold: Hold) -> None:
        """Tells whoever keeps the customer's account."""
        self.tell(Known(customer, Traces(holds={name: hold})))

    def suppress(self, word: Suppress) -> None:
        """Tells the customers flow."""
        self.messages.append(Message(self.topics.events, word.customer, encode(word)))

    def say(self, case: Case, subject: str) -> None:
        """Sends the case as it is now; the latest word on a case is all of it."""
        at_ms, id = max(case.last_ms, case.opened_ms, case.decided_ms), f"{case.id}|{case.revision}"
        data = case.review(subject)
        type = f"review.{case.state}"
        self.messages.append(cloudevent(self.topics.reviews, case.id, id, type, "abuse", at_ms, case.id, data))
        self.counts[type.replace(".", "_")] += 1

    def follow(
        self,
        case: Case | None,
        found: Found | None,
        place: tuple[str, str, str],
        hand: Hand,
    ) -> Case | None:
        """The case after what is found now. `place`: signal, subject, about."""
        signal, subject, about = place
        if found is None and (case is None or not case.stands):
            return case
        stood, before = case is not None and case.stands, case.held if case is not None and case.stands else []
        if case is None or case.state in DECIDED:
            episode = 0 if case is None else case.episode + 1
            opened_ms = self.now_ms or (found or NOTHING).last_ms  # 0: no clock has come yet
            case = Case(case_id(signal, subject, about, episode), signal, episode, opened_ms, WITHDRAWN)
        news = case.take(found or NOTHING)
        if found is None:
            case.state = WITHDRAWN
        elif news:
            case.state = GROWN if stood else OPEN
        if news or found is None:
            case.revision += 1
            self._hold(case, before, hand)
            self._count(case, before, stood)
            self.say(case, subject)
        return case

    def _hold(self, case: Case, before: list[str], hand: Hand) -> None:
        fresh = [customer for customer in case.held if customer not in before]
        if fresh:
            case.until_ms = max(self.now_ms, case.last_ms) + self.signals.hold_ms
        for customer in fresh:
            hand(customer, hold_name(case, customer), Hold(case.revision, REVIEW, case.until_ms))
        for customer in before:
            if customer not in case.held:
                hand(customer, hold_name(case, customer), Hold(case.revision))

    def decide(self, case: Case | None, word: Decided, hand: Hand) -> bool:
        """A human's word; False where the case is not theirs to decide, or they have said so before."""
        if case is None or case.id != word.case or case.state in (WITHDRAWN, word.outcome):
            self.counts["decisions_in_vain"] += 1
            return False
        stood = case.stands
        case.state, case.decided_by, case.decided_ms = word.outcome, word.by, word.at_ms
        case.revision += 1
        for customer in case.held:
            hand(customer, hold_name(case, customer), Hold(case.revision, ABUSE if word.outcome == CONFIRMED else ""))
        self._count(case, case.held, stood)
        return True

    def _count(self, case: Case, before: list[str], stood: bool) -> None:
        """Cases and customers that wait for a human, as differences."""
        self.counts[f"reviews:{case.signal}:cases"] += case.stands - stood
        held = len(case.held) if case.stands else 0
        self.counts[f"reviews:{case.signal}:customers"] += held - (len(before) if stood else 0)

    def leave_out(self, case: Case, customer: str) -> None:
        """Of a customer who is forgotten no case says anything."""
        before = list(case.held)
        case.members = [member for member in case.members if member != customer]
        case.held = [held for held in case.held if held != customer]
        self._count(case, before, case.stands)

    def close(self, case: Case) -> None:
        """Leaves nothing of a case whose customer is forgotten."""
        stood, before = case.stands, case.held
        case.state, case.revision = WITHDRAWN, case.revision + 1
        case.take(NOTHING)
        self._count(case, before, stood)


def hold_name(case: Case, customer: str) -> str:
    """A case may hold two accounts that turn out to be one customer: what it says of one does not undo the other."""
    return f"{case.id}|{hashed(customer)}"
