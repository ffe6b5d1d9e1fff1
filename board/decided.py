"""What was decided and what became of it, since the board began to look: exact counts, and the latest of each kind.

A coupon's way is counted by what happened when: who looks for a cohort asks `brewline cohorts`. Memory is bounded by
the numbers of rules and outcomes, however much is decided.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Struct, field

from features.refusals import REFUSALS
from features.times import local_day

TOPICS = ("coupons", "decisions", "redemptions", "deliveries")
TURNS = ("delivered", "undeliverable", "opened", "redeemed", "refused", "revoked", "restored")
DAYS = 8
EACH = 40  # the latest of a rule and outcome
REMEMBERED = 20_000  # coupons whose delivery may still be told, and messages that may come again, by hash of their id
TOLD = 16  # in one message


class Data(Struct):
    decision: str = ""
    rule: str = ""
    outcome: str = ""
    reason: str = ""
    customer: str = ""
    campaign: str = ""
    coupon: str = ""
    message: str = ""
    at_ms: int = 0
    face_value_cents: int = 0
    percent: int = 0
    at_most_cents: int = 0
    because: str = ""


class Refused(Struct):
    """What it looks at in `features.refusals.Refusals`."""

    decision: list[str]
    customer: list[str]
    at_ms: list[int]
    rule: str = ""
    outcome: str = ""
    campaign: str = ""
    coupon: str = ""
    message: str = ""
    face_value_cents: int = 0
    percent: int = 0
    at_most_cents: int = 0


class Said(Struct):
    """`data`: of a type of its own, which `type` tells."""

    id: str
    type: str
    data: msgspec.Raw


class Word(Struct):
    """What a message says of one decision."""

    id: str
    type: str
    data: Data


class Decision(Struct):
    """`outcome`: "issued", or the first reason why not. `customer`: the customer id, which names nobody."""

    decision: str
    at_ms: int
    rule: str
    outcome: str
    customer: str
    gift: str
    worth_cents: int
    percent: int
    because: str


class Count(Struct, array_like=True):
    rule: str
    what: str  # an outcome of a decision, or a turn of a coupon
    count: int


Turns = tuple[str, ...]  # that deliveries of a coupon have taken


class Kind(NamedTuple):
    """`what`: an outcome of a decision, or a turn of a coupon."""

    rule: str
    campaign: str
    what: str


class News(Struct):
    """`counts`: those that have changed, as they stand since `since_ms` (by this computer's clock). `items`: the latest
    of each rule and outcome, so many of `came`. `clock_ms`: of the latest decision."""

    since_ms: int
    clock_ms: int
    came: int
    items: list[Decision] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)


Kept = TypeVar("Kept")
_said = msgspec.json.Decoder(Said).decode
_data = msgspec.json.Decoder(Data).decode
_refused = msgspec.json.Decoder(Refused).decode


class Decided:
    """One thread takes, others ask."""

    def __init__(self, timezone: str) -> None:
        self.timezone = timezone
        self.since_ms = self.clock_ms = 0
        self.kinds: Counter[Kind] = Counter()
        self.days: dict[int, Counter[Kind]] = {}
        self.latest: dict[tuple[str, str], deque[Decision]] = {}
        self.names: dict[tuple[str, str], tuple[str, str]] = {}  # rule and campaign, kept once
        self.whose: OrderedDict[int, tuple[tuple[str, str], Turns]] = OrderedDict()  # decision → rule, campaign; told
        self.early: OrderedDict[int, Turns] = OrderedDict()  # told of coupons that were not read yet
        self.seen: OrderedDict[int, None] = OrderedDict()
        self.lock = Lock()

    def begin(self, now_ms: int) -> None:
        """What came while nobody looked is missing: so what was counted before is not added to."""
        with self.lock:
            self.since_ms, self.clock_ms = now_ms, 0
            for kept in (self.kinds, self.days, self.latest, self.whose, self.early, self.seen):
                kept.clear()

    def take(self, came: Iterable[tuple[str, bytes]]) -> News:
        """(topic, message) of what has come; what it tells a viewer."""
        fresh: dict[tuple[str, str], Decision] = {}
        changed: set[Kind] = set()
        number = 0
        with self.lock:
            for topic, said in ((topic, word) for topic, raw in came for word in words(raw)):
                if self._known(said.id):
                    continue
                changed.update(self._count(topic, said))
                if topic in ("coupons", "decisions"):
                    number += 1
                    decision = _decision(said.data)
                    fresh[decision.rule, decision.outcome] = decision
                    self._keep(decision)
            items = sorted(fresh.values(), key=lambda decision: decision.at_ms)[-TOLD:]
            counts = self._sums((kind.rule, kind.what) for kind in changed)
            return News(self.since_ms, self.clock_ms, number, items, counts)

    def _known(self, id: str) -> bool:
        """A message may come twice when a flow starts again."""
        if (known := hash(id)) in self.seen:
            return True
        _remember(self.seen, known, None)
        return False

    def _count(self, topic: str, said: Word) -> list[Kind]:
        """What it adds to."""
        data, coupon, turn = said.data, hash(said.data.decision), said.type.rpartition(".")[2]
        if topic == "deliveries":
            return self._delivery(coupon, turn)
        self.clock_ms = max(self.clock_ms, data.at_ms)
        what = turn if topic == "redemptions" else data.outcome or "issued"
        found = [self._add(Kind(data.rule, data.campaign, what), data.at_ms)]
        if what == "issued":  # on both topics, under one id: of two words the second is passed over
            names = data.rule, data.campaign
            _remember(self.whose, coupon, (self.names.setdefault(names, names), ()))
            for early in self.early.pop(coupon, ()):
                found += self._delivery(coupon, early)
        return found

    def _delivery(self, coupon: int, turn: str) -> list[Kind]:
        """Of each coupon once, however many gateways say so; where it comes before its coupon, with that."""
        names, told = self.whose.get(coupon, (None, self.early.get(coupon, ())))
        if turn in told:
            return []
        if names is None:
            _remember(self.early, coupon, (*told, turn))
            return []
        self.whose[coupon] = names, (*told, turn)
        return [self._add(Kind(*names, turn), self.clock_ms)]  # its own time is of the clock on the wall

    def _add(self, kind: Kind, at_ms: int) -> Kind:
        self.kinds[kind] += 1
        self._of_day(at_ms)[kind] += 1
        return kind

    def _of_day(self, at_ms: int) -> Counter[Kind]:
        day = local_day(at_ms, self.timezone)
        if day not in self.days:
            self.days[day] = Counter()
            for old in sorted(self.days)[:-DAYS]:
                del self.days[old]
        return self.days.get(day, Counter())

    def _keep(self, decision: Decision) -> None:
        key = (decision.rule, decision.outcome)
        if key not in self.latest:
            self.latest[key] = deque(maxlen=EACH)
        self.latest[key].append(decision)

    def _sums(self, asked: Iterable[tuple[str, str]]) -> list[Count]:
        wanted, found = set(asked), Counter[tuple[str, str]]()
        for kind, number in self.kinds.items():
            if (kind.rule, kind.what) in wanted:
                found[kind.rule, kind.what] += number
        return [Count(rule, what, number) for (rule, what), number in sorted(found.items())]

    def news(self, rule: str = "", outcome: str = "", most: int = 100) -> News:
        """All counts, and the latest of a rule, an outcome, or both."""
        with self.lock:
            kept = [
                decision
                for (of, what), decisions in self.latest.items()
                if rule in ("", of) and outcome in ("", what)
                for decision in decisions
            ]
            counts = self._sums((kind.rule, kind.what) for kind in self.kinds)
        kept.sort(key=lambda decision: (decision.at_ms, decision.decision))
        return News(self.since_ms, self.clock_ms, len(kept), kept[-most:], counts)

    def funnel(self, by: str, day: int = 0) -> Mapping[str, Counter[str]]:
        """By name of a rule or a campaign, how often what happened; `day`: of that day alone."""
        found: dict[str, Counter[str]] = {}
        with self.lock:
            for kind, number in (self.days.get(day, Counter()) if day else self.kinds).items():
                name = kind.rule if by == "rule" else kind.campaign
                found.setdefault(name, Counter())[kind.what] += number
        return found


def words(raw: bytes) -> list[Word]:
    """One by one, what is told together."""
    said = _said(raw)
    if said.type != REFUSALS:
        return [Word(said.id, said.type, _data(said.data))]
    told = _refused(said.data)
    of = {name: getattr(told, name) for name in told.__struct_fields__[3:]}
    each = zip(told.decision, told.customer, told.at_ms, strict=True)
    return [Word(id, said.type, Data(decision=id, customer=who, at_ms=ms, **of)) for id, who, ms in each]


def _remember(kept: OrderedDict[int, Kept], key: int, value: Kept) -> None:
    """The oldest goes where there are too many."""
    kept[key] = value
    if len(kept) > REMEMBERED:
        kept.popitem(last=False)


def _decision(data: Data) -> Decision:
    return Decision(
        decision=data.decision,
        at_ms=data.at_ms,
        rule=data.rule,
        outcome=data.outcome or "issued",
        customer=data.customer,
        gift=data.coupon or data.message,
        worth_cents=data.face_value_cents or data.at_most_cents,
        percent=data.percent,
        because=data.because,
    )
