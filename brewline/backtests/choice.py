"""Which rules are chosen, over which time: what was typed, found and checked."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from alerts.triggers.backtests.backtest import Span
from alerts.triggers.calendar import Calendars
from alerts.triggers.rule import Rule, WrongRule, read_rule
from config.settings import Settings
from features.times import parse_time
from features.written import hint
from flows.rules import load_calendars, load_rules

Named = tuple[Rule, str, str]  # rule, file, text
FOREVER_MS = 2**62


class Chosen(Struct):
    """The rules under test, those they are held against, and when they are asked."""

    rules: list[Named]
    against: list[Named]
    span: Span

    @property
    def all(self) -> list[Named]:
        return [*self.rules, *self.against]


def choose(settings: Settings, names: list[str], against: list[str], every: bool, span: Span) -> Chosen:
    """Rules by id or by file; a draft whose id is taken is called `<id>-draft`. Raises WrongRule."""
    known = {rule.id: (rule, file, text) for rule, file, text in load_rules(settings)}
    if not (names or every):
        raise WrongRule(f"name a rule{hint('', known)}; or a file, or --all")
    calendars = load_calendars(settings)
    chosen = [_find(name, known, calendars) for name in names] + ([*known.values()] if every else [])
    rules = _apart([], chosen)
    others = _apart(rules, [_find(name, known, calendars) for name in against])
    return Chosen(rules, [one for one in others if one not in rules], span)


def _find(name: str, known: dict[str, Named], calendars: Calendars) -> Named:
    path = Path(name)
    if name in known:
        return known[name]
    if not path.is_file():
        what = f"{name}: there is no such file" if path.suffix == ".toml" else f"there is no rule {name!r}"
        raise WrongRule(f"{what}{hint(name, known)}")
    text = path.read_text("utf-8")
    return read_rule(text, name, calendars), name, text


def _apart(before: list[Named], chosen: list[Named]) -> list[Named]:
    """The same rule once, and different rules of one id under different names."""
    found: list[Named] = []
    for rule, file, text in chosen:
        same = [one for one, _, _ in [*before, *found] if one.version == rule.version and one.id == rule.id]
        if same:
            continue
        taken = {one.id for one, _, _ in [*before, *found]}
        while rule.id in taken:
            rule = replace(rule, id=f"{rule.id}-draft")
        found.append((rule, file, text))
    return found


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
