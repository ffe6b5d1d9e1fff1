"""Which rules are chosen, over which time: what was typed, found and checked."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from alerts.triggers.backtests.backtest import Span, World
from alerts.triggers.gifts import WrongRule
from brewline.rules import Named, find_rule
from config.settings import Settings
from features.times import parse_time
from features.written import hint
from flows.rules import load_calendars, load_rules

FOREVER_MS = 2**62
AGAINST = " (against)"  # behind the name of a rule that stands beside both, in the second world


class Chosen(Struct):
    """The rules under test, those they are held against, those that stand beside both, and when they are asked."""

    rules: list[Named]
    against: list[Named]
    span: Span
    beside: list[Named] = []

    @property
    def all(self) -> list[Named]:
        return [*self.rules, *self.against, *self.beside]

    @property
    def worlds(self) -> list[World]:
        """What is held against each other is decided apart, as if the other did not exist. What stands beside them is
        in both worlds, and called otherwise in the second."""
        names = [rule.id for rule, _, _ in self.all]
        first, second = len(self.rules), len(self.rules) + len(self.against)
        beside = range(second, len(names))
        if not self.against:
            return [World(dict(enumerate(names)))]
        return [
            World({i: names[i] for i in [*range(first), *beside]}),
            World({i: names[i] for i in range(first, second)} | {i: f"{names[i]}{AGAINST}" for i in beside}),
        ]


def choose(settings: Settings, names: list[str], against: list[str], every: bool, span: Span) -> Chosen:
    """Rules by id or by file; a draft whose id is taken is called `<id>-draft`. With `against`, drafts are held against
    it and what is shipped stands beside both; where there is no draft, what was named. Raises WrongRule."""
    known = {rule.id: (rule, file, text) for rule, file, text in load_rules(settings)}
    if not (names or every):
        raise WrongRule(f"name a rule{hint('', known)}; or a file, or --all")
    calendars = load_calendars(settings)
    named, others = ([find_rule(name, known, calendars) for name in some] for some in (names, against))
    found = _apart([*others, *named, *(known.values() if every else [])], known)
    count = len({_key(one) for one in others})
    others, rules = found[:count], found[count:]
    if not (others and rules):
        return Chosen(found, [], span)
    drafts = [one for one in rules if not _is_shipped(one, known)]
    tried = drafts or [one for one in rules if _key(one) in {_key(one) for one in named}] or rules
    return Chosen(tried, others, span, [one for one in rules if one not in tried])


def _apart(chosen: list[Named], known: dict[str, Named]) -> list[Named]:
    """The same rule once; a draft whose id another one has gets a name of its own."""
    once = {_key(one): one for one in reversed(chosen)}
    found, taken = list[Named](), {rule.id for rule, *more in once.values() if _is_shipped((rule, *more), known)}
    for key in dict.fromkeys(map(_key, chosen)):
        rule, file, text = once[key]
        if not _is_shipped(once[key], known):
            while rule.id in taken:
                rule = replace(rule, id=f"{rule.id}-draft")
            taken.add(rule.id)
        found.append((rule, file, text))
    return found


def _key(one: Named) -> tuple[str, str]:
    return one[0].id, one[0].version


def _is_shipped(one: Named, known: dict[str, Named]) -> bool:
    return one[0].id in known and known[one[0].id][0].version == one[0].version


def span_of(from_text: str | None, to_text: str | None) -> Span:
    """What was typed. Raises ValueError."""
    span = Span(_moment(from_text, 0), _moment(to_text, FOREVER_MS))
    if span.from_ms >= span.to_ms:
        raise ValueError(f"--from {from_text} is not before --to {to_text}")
    return span


def _moment(text: str | None, default_ms: int) -> int:
    if text is None:
        return default_ms
    return parse_time(int(text) if text.isdigit() else text)
