"""Which of many conditions hold for each event of a batch: rules are looked up by what an event holds, not looped over.

Every distinct question about a field has a number. A value's answers are the numbers that it meets, found once for
each distinct value (FieldIndex); events with the same answers in every field meet the same rules, found once for each
distinct profile. For a new profile only those rules are tried of which something that they need is answered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from alerts.sigma.condition import ANYWHERE, Ask, Every, Never, Node, Some, asks
from alerts.sigma.criterion import Exists, Like, Matching, Null, Refers, Wild
from alerts.sigma.field_index import MISSING, Answers, FieldIndex

KEPT = 16_384  # values of a field, and profiles, whose answers are remembered
LONGEST = 256  # characters of a text that is remembered
LONGEST_LIST = 4_096  # and of all texts of a list
T = TypeVar("T")
Event: TypeAlias = Mapping[str, Any]
Holds: TypeAlias = Callable[[Answers], bool]
Place: TypeAlias = tuple[int, ...]  # of conditions, by their place in the matcher


class Profile(NamedTuple):
    """`holding` holds for all events with these answers; `open` also asks how two fields of an event compare."""

    holding: Place
    open: Place
    answers: Answers


class Matcher:
    """Conditions over the events of one log source."""

    def __init__(self, conditions: Sequence[Node]) -> None:
        numbers: dict[Ask, int] = {}
        for node in conditions:
            for ask in asks(node):
                numbers.setdefault(ask, len(numbers))
        by_field: defaultdict[str, list[tuple[int, Any]]] = defaultdict(list)
        for ask, number in numbers.items():
            if not isinstance(ask.criterion, Refers):
                by_field[ask.field].append((number, ask.criterion))
        fields = [field for field in by_field if field != ANYWHERE]
        self.columns = [Column(field, FieldIndex(by_field[field]), self._code) for field in fields]
        self.words = Words(FieldIndex(by_field[ANYWHERE])) if ANYWHERE in by_field else None
        self.holds = [_holds(node, numbers) for node in conditions]
        self.refers = [
            [(ask, numbers[ask]) for ask in asks(n) if isinstance(ask.criterion, Refers)] for n in conditions
        ]
        self.always, self.wakes = _wakes(conditions, numbers)
        self.profiles: dict[tuple[int, ...], Profile] = {}
        self.codes: dict[Answers, int] = {}  # short names of answers
        self.named: list[Answers] = []

    def match(self, events: Sequence[Event]) -> list[Place]:
        """For each event the conditions that hold."""
        if len(self.codes) > KEPT:
            self._forget()
        columns = [column.codes(events) for column in self.columns]
        if self.words is not None:
            columns.append([self._code(self.words.answers(event)) for event in events])
        known, found = self.profiles, []
        for event, key in zip(events, zip(*columns, strict=True) if columns else [()] * len(events), strict=True):
            profile = known.get(key) or self._profile(key)
            found.append(self._opened(profile, event) if profile.open else profile.holding)
        return found

    def _forget(self) -> None:
        self.profiles.clear()
        self.codes.clear()
        self.named.clear()
        for column in self.columns:
            column.clear()

    def _code(self, answers: Answers) -> int:
        code = self.codes.get(answers)
        if code is None:
            code = self.codes[answers] = len(self.named)
            self.named.append(answers)
        return code

    def _profile(self, key: tuple[int, ...]) -> Profile:
        answers = frozenset[int]().union(*(self.named[code] for code in key))
        tried = set(self.always).union(*(self.wakes[number] for number in answers & self.wakes.keys()))
        open = tuple(sorted(place for place in tried if self.refers[place]))
        holding = tuple(sorted(place for place in tried if not self.refers[place] and self.holds[place](answers)))
        profile = Profile(holding, open, answers)
        if len(self.profiles) >= KEPT:
            self.profiles.clear()
        self.profiles[key] = profile
        return profile

    def _opened(self, profile: Profile, event: Event) -> Place:
        more = [place for place in profile.open if self.holds[place](profile.answers | self._refer(place, event))]
        return tuple(sorted((*profile.holding, *more))) if more else profile.holding

    def _refer(self, place: int, event: Event) -> set[int]:
        return {
            number
            for ask, number in self.refers[place]
            if isinstance(ask.criterion, Refers)
            and ask.field in event
            and ask.criterion.field in event
            and ask.criterion.holds(event[ask.field], event[ask.criterion.field])
        }


class Column(dict[Any, int]):
    """One field: codes of answers by value, each distinct one answered once."""

    def __init__(self, field: str, index: FieldIndex, code: Callable[[Answers], int]) -> None:
        super().__init__()
        self.field = field
        self.index = index
        self.code = code

    def __missing__(self, key: Any) -> int:
        code = self.code(self.index.answers(key if key.__class__ is str else value_of(key)))
        keep(self, key, code)
        return code

    def codes(self, events: Sequence[Event]) -> list[int]:
        field = self.field
        values = [event.get(field, MISSING) for event in events]
        keys = [v if v.__class__ is str or v is MISSING else kept_apart(v) for v in values]
        new = [key for key in {*keys} if key not in self and key.__class__ is str]
        if not new:
            return list(map(self.__getitem__, keys))
        found = dict.fromkeys(new, self.code(self.index.always))
        found.update((text, self.code(answers)) for text, answers in self.index.of_texts(new).items())
        codes = [found[key] if key in found else self[key] for key in keys]
        if len(self) + len(found) > KEPT:
            self.clear()
        short = max(map(len, new)) <= LONGEST
        self.update(found if short else {text: code for text, code in found.items() if len(text) <= LONGEST})
        return codes


class Words:
    """All values of an event together, each distinct one answered once: for keywords."""

    def __init__(self, index: FieldIndex) -> None:
        self.index = index
        self.known: dict[Any, Answers] = {}

    def answers(self, event: Event) -> Answers:
        answers: set[int] = set()
        for value in event.values():
            key = value if type(value) is str else kept_apart(value)
            found = self.known.get(key)
            if found is None:
                found = self.index.answers(value)
                keep(self.known, key, found)
            answers |= found
        return frozenset(answers)


def keep(known: dict[Any, T], key: Any, found: T) -> None:
    if len(known) >= KEPT:
        known.clear()
    if is_short(key):
        known[key] = found


def is_short(key: Any) -> bool:
    """Whether what `kept_apart` makes of a value takes little memory."""
    if key.__class__ is str:
        return len(key) <= LONGEST
    return key.__class__ is not tuple or len(str(key[1])) <= LONGEST_LIST


def kept_apart(value: Any) -> Any:
    """A key that is the same only for values of the same kind: 1, 1.0 and true are told apart."""
    if isinstance(value, list | tuple):
        return (list, tuple(map(kept_apart, value)))
    if isinstance(value, dict):  # no flat event: its text counts
        return (dict, str(value))
    return (type(value), value)


def value_of(key: Any) -> Any:
    """The value behind `kept_apart`, or a text or MISSING as it is."""
    if key.__class__ is not tuple:
        return key
    kind, value = key
    return [value_of(each) for each in value] if kind is list else value


def _holds(node: Node, numbers: Mapping[Ask, int]) -> Holds:
    """The condition as a function of an event's answers."""
    if isinstance(node, Ask):
        return frozenset((numbers[node],)).issubset
    if isinstance(node, Never):
        return frozenset((numbers[node.ask],)).isdisjoint
    plain = frozenset(numbers[part] for part in node.parts if isinstance(part, Ask))
    never = frozenset(numbers[part.ask] for part in node.parts if isinstance(part, Never))
    nested = [_holds(part, numbers) for part in node.parts if isinstance(part, Every | Some)]
    return _every(plain, never, nested) if isinstance(node, Every) else _some(plain, never, nested)


def _every(plain: Answers, never: Answers, nested: list[Holds]) -> Holds:
    if not nested:
        return lambda answers: plain <= answers and never.isdisjoint(answers)
    return lambda answers: plain <= answers and never.isdisjoint(answers) and all(part(answers) for part in nested)


def _some(plain: Answers, never: Answers, nested: list[Holds]) -> Holds:
    if not nested and not never:
        return lambda answers: not plain.isdisjoint(answers)
    return lambda answers: (
        not plain.isdisjoint(answers) or not never <= answers or any(part(answers) for part in nested)
    )


def _wakes(conditions: Sequence[Node], numbers: Mapping[Ask, int]) -> tuple[Place, dict[int, list[int]]]:
    """The conditions that must always be tried, and by question those that are tried when it is answered."""
    shared: defaultdict[Ask, int] = defaultdict(int)
    for node in conditions:
        for ask in set(asks(node)):
            shared[ask] += 1
    always: list[int] = []
    wakes: defaultdict[int, list[int]] = defaultdict(list)
    for place, node in enumerate(conditions):
        needed = needs(node, shared)
        if needed is None:
            always.append(place)
        for ask in needed or ():
            wakes[numbers[ask]].append(place)
    return tuple(always), dict(wakes)


def needs(node: Node, shared: Mapping[Ask, int]) -> frozenset[Ask] | None:
    """Questions of which one must be answered for the condition to hold, the rarest that there are; None when it may
    hold without any."""
    if isinstance(node, Ask):
        return None if isinstance(node.criterion, Refers) else frozenset((node,))
    if isinstance(node, Never):
        return None
    found = [needs(part, shared) for part in node.parts]
    if isinstance(node, Every):
        return min((each for each in found if each is not None), key=lambda each: _likely(each, shared), default=None)
    return None if None in found else frozenset[Ask]().union(*(each for each in found if each is not None))


def _likely(needed: Iterable[Ask], shared: Mapping[Ask, int]) -> float:
    """How often one of these is met, guessed: by how little is asked, and by how many rules ask it."""
    return sum(shared[ask] * _breadth(ask) for ask in needed)


def _breadth(ask: Ask) -> float:
    criterion = ask.criterion
    if isinstance(criterion, Null | Exists):
        return 100.0
    if isinstance(criterion, Like):
        letters = sum(len(part) for part in criterion.parts if not isinstance(part, Wild))
        return 50.0 / (1 + letters)
    return 10.0 if isinstance(criterion, Matching) else 2.0
