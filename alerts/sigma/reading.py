"""Reads Sigma files: rules, correlations, filters and processing pipelines, told apart by what is in them.

What cannot be evaluated exactly is refused by name, never skipped in silence; the rest is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import TypeAlias

from msgspec import Struct
from sigma.correlations import SigmaCorrelationRule
from sigma.filters import SigmaFilter
from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaRule

from alerts.security.finding import Rule
from alerts.sigma.condition import Ask, Every, Node, Some, condition, joined
from alerts.sigma.correlating import RISING, Correlation, correlation
from alerts.sigma.criterion import Ordered, Unsupported
from alerts.sigma.logsource import LogSource
from alerts.sigma.parsing import AnyRule, Parsed, RefusedRule, StoppedRule, parse, reason

__all__ = ["Detection", "RefusedRule", "Rules", "StoppedRule", "load"]


class Detection(Struct, frozen=True):
    """A rule about single events."""

    rule: Rule
    source: LogSource
    condition: Node
    alerts: bool = True  # False: only counted by a correlation

    @property
    def limit(self) -> tuple[str, float] | None:
        """The one field and number that it compares with gt or gte, if it is one."""
        parts = self.condition.parts if isinstance(self.condition, Every) else (self.condition,)
        found = [part for part in parts if isinstance(part, Ask) and isinstance(part.criterion, Ordered)]
        limits = [(ask.field, ask.criterion.number) for ask in found if ask.criterion.op in RISING]  # type: ignore[union-attr]
        return limits[0] if len(limits) == 1 else None


class Rules(Struct, frozen=True):
    """Correlations come after those that they refer to."""

    detections: tuple[Detection, ...] = ()
    correlations: tuple[Correlation, ...] = ()

    @property
    def heads(self) -> list[Rule]:
        return [*(each.rule for each in self.detections), *(each.rule for each in self.correlations)]


Accepted: TypeAlias = Detection | Correlation
Accept: TypeAlias = Callable[[Accepted, Sequence[Detection]], Accepted]


def as_it_is(rule: Accepted, detections: Sequence[Detection]) -> Accepted:
    return rule


def load(files: Iterable[tuple[str, str]], accept: Accept = as_it_is) -> tuple[Rules, list[RefusedRule]]:
    """Rules of (file name, YAML text) pairs; they may refer to each other across files. `accept` is told the detections
    there are so far, and returns a rule, perhaps changed, or raises Unsupported."""
    parsed = Parsed()
    for file, text in files:
        parse(file, text, parsed)
    return _Loading(parsed, _pipeline(parsed), accept).rules()


def _pipeline(parsed: Parsed) -> ProcessingPipeline:
    """All of them as one."""
    whole = ProcessingPipeline()
    for file, each in sorted(parsed.pipelines, key=lambda pair: pair[1].priority):
        try:
            whole = whole + each
        except Exception as error:  # a pipeline that does not fit is refused, and the others run
            parsed.refused.append(RefusedRule(file, f"{each.name or ''}", reason(error)))
    return whole


class _Loading:
    """One pass over what was parsed: detections first, then correlations as soon as all that they refer to is there."""

    def __init__(self, parsed: Parsed, pipeline: ProcessingPipeline, accept: Accept) -> None:
        self.parsed = parsed
        self.pipeline = pipeline
        self.accept = accept
        self.refused = list(parsed.refused)
        self.taken: dict[str, str] = {}
        self.detections: list[Detection] = []
        self.correlations: list[Correlation] = []
        self.places: dict[str, int] = {}  # of detections by id and name
        self.chained: dict[str, int] = {}  # of correlations
        self.tuned: set[int] = set()  # filters that apply to some rule

    def rules(self) -> tuple[Rules, list[RefusedRule]]:
        silent = self._silent()
        counting = []
        for file, rule in self.parsed.rules:
            if isinstance(rule, SigmaCorrelationRule):
                counting.append((file, rule))
            else:
                self._try(file, rule, lambda head, r=rule: self._detection(head, r, silent))  # type: ignore[misc]
        self._correlate(counting, silent)
        for number, (file, tuning) in enumerate(self.parsed.filters):
            if number not in self.tuned:
                self.refused.append(RefusedRule(file, str(tuning.title), "the filter applies to no rule"))
        return Rules(tuple(self.detections), tuple(self.correlations)), self.refused

    def _silent(self) -> set[str]:
        """Ids and names of the rules that do not alert themselves, even if their correlation is refused."""
        counting = [rule for _, rule in self.parsed.rules if isinstance(rule, SigmaCorrelationRule)]
        return {name for rule in counting if not rule.generate for name in references(rule)}

    def _correlate(self, waiting: list[tuple[str, SigmaCorrelationRule]], silent: set[str]) -> None:
        """Those that refer to others come after them; what is left refers to what is not there, or in a circle."""
        while waiting:
            unknown = {str(r.id) for _, r in waiting} | {r.name for _, r in waiting if r.name}
            ready = [pair for pair in waiting if not unknown & {*references(pair[1])}]
            for file, rule in ready or waiting:
                self._try(file, rule, lambda head, r=rule: self._correlation(head, r, silent))  # type: ignore[misc]
            waiting = [pair for pair in waiting if pair not in ready] if ready else []

    def _try(self, file: str, rule: AnyRule, take: Callable[[Rule], None]) -> None:
        try:
            head = self._head(file, rule)
            take(head)
            self.taken |= dict.fromkeys({head.id, rule.name or head.id}, file)
        except Exception as error:  # also what pySigma raises: the other rules run
            self.refused.append(StoppedRule(file, str(rule.title), reason(error)))

    def _head(self, file: str, rule: AnyRule) -> Rule:
        name = rule.name or rule.title
        head = Rule(
            name=name,
            id=str(rule.id or name),
            title=rule.title,
            level=rule.level.name.lower() if rule.level else "medium",
            tags=tuple(str(tag) for tag in rule.tags),
            file=file,
        )
        for reference in {head.id, rule.name or head.id}:
            if reference in self.taken:
                raise Unsupported(f"{reference!r} is taken by {self.taken[reference]}; choose another")
        return head

    def _detection(self, head: Rule, rule: SigmaRule, silent: set[str]) -> None:
        tunings = [number for number, (_, tuning) in enumerate(self.parsed.filters) if applies(tuning, rule)]
        self.tuned.update(tunings)
        parts = [self._node(rule), *(node for number in tunings if (node := self._tuning(number, rule)))]
        of = rule.logsource
        source = LogSource(of.product or "", of.category or "", of.service or "")
        alerts = not silent & {head.id, head.name}
        made = self.accept(Detection(head, source, joined(Every, parts), alerts), self.detections)
        assert isinstance(made, Detection)
        self.places |= {name: len(self.detections) for name in (head.id, head.name)}
        self.detections.append(made)

    def _node(self, rule: SigmaRule) -> Node:
        """What the rule asks, after the processing pipelines."""
        self.pipeline.apply(rule)
        return joined(Some, [condition(each.parsed) for each in rule.detection.parsed_condition])

    def _tuning(self, number: int, rule: SigmaRule) -> Node | None:
        """What the filter asks, as if it stood in the rule; a filter that is wrong is refused, and the rule runs."""
        file, tuning = self.parsed.filters[number]
        asked = deepcopy(tuning.filter)
        try:
            return self._node(SigmaRule(title=tuning.title, logsource=rule.logsource, detection=asked))
        except Exception as error:  # as in `_try`
            said = StoppedRule(file, str(tuning.title), f"filter: {reason(error)}; the rules it names run without it")
            self.refused += [said] if said not in self.refused else []
            return None

    def _correlation(self, head: Rule, rule: SigmaCorrelationRule, silent: set[str]) -> None:
        self.pipeline.apply(rule)
        alerts = not silent & {head.id, head.name}
        whole = correlation(head, rule, references(rule), self.places, self.chained, alerts)
        made = self.accept(whole, self.detections)
        assert isinstance(made, Correlation)
        for part in made.parts:
            if part.chained and not self.correlations[part.place].rising:
                raise Unsupported(f"{part.name!r} is judged when its window is over, and cannot be counted by another")
        self.chained |= {name: len(self.correlations) for name in (head.id, head.name)}
        self.correlations.append(made)


def references(rule: SigmaCorrelationRule) -> list[str]:
    """Ids and names of the rules that it counts, in order."""
    if rule.rules is not None:
        return [each.reference for each in rule.rules]
    return rule.condition.get_referenced_rules()  # type: ignore[union-attr]


def applies(tuning: SigmaFilter, rule: SigmaRule) -> bool:
    """Whether the filter names the rule, or any rule, and their log sources fit."""
    named = tuning.filter.rules
    if rule.logsource not in tuning.logsource:
        return False
    return isinstance(named, str) or any(each.reference in (str(rule.id), rule.name) for each in named)
