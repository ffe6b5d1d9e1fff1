"""Loads Sigma rules with pySigma; what cannot be evaluated exactly is refused by name, never skipped.

Detections become predicates, correlations (event_count, value_count, value_sum) become Correlation.
A correlation must group by `actor`: audit.events is partitioned by actor, so nothing else is whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias, get_args

import yaml
from msgspec import Struct
from sigma.collection import SigmaCollection
from sigma.correlations import SigmaCorrelationCondition, SigmaCorrelationRule
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule
from sigma.rule.base import SigmaYAMLLoader

from alerts.security.correlation import MAX_EVENTS, Correlation, Kind
from alerts.security.fields import GROUP_NAMES, LISTS, NUMBERS
from alerts.security.finding import Rule
from alerts.security.predicate import Predicate, Unsupported, check_field, compile_condition, either, least_wanted

PRODUCT, LOG = "brewline", "audit"
AnyRule: TypeAlias = SigmaRule | SigmaCorrelationRule


class RefusedRule(NamedTuple):
    file: str
    title: str
    reason: str


class Detection(Struct, frozen=True):
    """`limit` is the one field and number the rule compares with `gt` or `gte`, if it is one."""

    rule: Rule
    matches: Predicate
    alerts: bool  # False: only counted by a correlation
    limit: tuple[str, float] | None = None


class Rules(Struct, frozen=True):
    detections: tuple[Detection, ...] = ()
    correlations: tuple[Correlation, ...] = ()

    @property
    def heads(self) -> list[Rule]:
        return [*(each.rule for each in self.detections), *(each.rule for each in self.correlations)]


def load(files: Iterable[tuple[str, str]]) -> tuple[Rules, list[RefusedRule]]:
    """Rules of (file name, YAML text) pairs; they may refer to each other across files."""
    refused: list[RefusedRule] = []
    parsed = [(file, rule) for file, text in files for rule in _parse(file, text, refused)]
    silent = _silent(parsed)
    taken: dict[str, str] = {}
    detections: list[Detection] = []
    correlations: list[Correlation] = []
    for file, rule in sorted(parsed, key=lambda pair: _is_correlation(pair[1])):
        try:
            head = _head(file, rule, taken)
            if isinstance(rule, SigmaRule):
                detections.append(_detection(head, rule, not silent & {head.id, head.name}))
            else:
                correlations.append(_correlation(head, rule, detections))
            taken |= {head.id: file, head.name: file}
        except (Unsupported, SigmaError) as error:
            refused.append(RefusedRule(file, str(rule.title), str(error)))
    return Rules(tuple(detections), tuple(correlations)), refused


def _is_correlation(rule: AnyRule) -> bool:
    return isinstance(rule, SigmaCorrelationRule)


def _silent(parsed: list[tuple[str, AnyRule]]) -> set[str]:
    """Ids and names of the rules that do not alert themselves, even if their correlation is refused."""
    correlations = [rule for _, rule in parsed if isinstance(rule, SigmaCorrelationRule) and not rule.generate]
    return {reference.reference for rule in correlations for reference in rule.rules or ()}


def _parse(file: str, text: str, refused: list[RefusedRule]) -> list[AnyRule]:
    """What pySigma makes of a file's documents, without errors."""
    try:
        documents = [document for document in yaml.load_all(text, SigmaYAMLLoader) if document is not None]
        if not documents or not all(isinstance(document, dict) for document in documents):
            raise Unsupported("a Sigma file holds one mapping a document; write title, logsource, detection, ...")
        parsed = SigmaCollection.from_dicts(
            documents, collect_errors=True, collect_filters=True, resolve_references=False
        )
    except (yaml.YAMLError, Unsupported) as error:
        refused.append(RefusedRule(file, "", str(error)))
        return []
    except (AttributeError, TypeError, ValueError, KeyError) as error:  # pySigma on values of an unexpected shape
        refused.append(RefusedRule(file, "", f"is no valid Sigma: {type(error).__name__}: {error}"))
        return []
    refused += [RefusedRule(file, str(each.title), "Sigma filters are not supported") for each in parsed.filters]
    known = {id(error) for rule in parsed.rules for error in rule.errors}
    refused += [RefusedRule(file, "", str(error)) for error in parsed.errors if id(error) not in known]
    for rule in parsed.rules:
        if rule.errors:
            refused.append(RefusedRule(file, str(rule.title), "; ".join(str(error) for error in rule.errors)))
    return [rule for rule in parsed.rules if not rule.errors]


def _head(file: str, rule: AnyRule, taken: dict[str, str]) -> Rule:
    name = rule.name or rule.title
    head = Rule(
        name=name,
        id=str(rule.id or name),
        title=rule.title,
        level=rule.level.name.lower() if rule.level else "medium",
        tags=tuple(str(tag) for tag in rule.tags),
        file=file,
    )
    for reference in {head.id, head.name}:
        if reference in taken:
            raise Unsupported(f"{reference!r} is taken by {taken[reference]}; choose another")
    return head


def _detection(head: Rule, rule: SigmaRule, alerts: bool) -> Detection:
    source = rule.logsource
    if source.product != PRODUCT or {source.category, source.service} - {None} != {LOG}:
        raise Unsupported(f"its logsource is not for these events; write product: {PRODUCT} and service: {LOG}")
    trees = [condition.parsed for condition in rule.detection.parsed_condition]
    limits = least_wanted(trees[0]) if len(trees) == 1 else []
    matches = either([compile_condition(tree) for tree in trees])
    return Detection(head, matches, alerts, limits[0] if len(limits) == 1 else None)


def _correlation(head: Rule, rule: SigmaCorrelationRule, detections: list[Detection]) -> Correlation:
    condition, kind = rule.condition, rule.type.name.lower()
    if kind not in get_args(Kind):
        raise Unsupported(f"the correlation type {kind} is not supported; these are: {', '.join(get_args(Kind))}")
    if not isinstance(condition, SigmaCorrelationCondition) or condition.op.name not in ("GT", "GTE"):
        raise Unsupported("a correlation needs one condition, gt or gte, and a number")
    if rule.aliases.aliases:
        raise Unsupported("aliases are not supported; all audit events share one set of fields")
    if kind != "value_sum" and condition.count >= MAX_EVENTS:
        raise Unsupported(f"the threshold {condition.count} is not below {MAX_EVENTS}, the events that a group keeps")
    return Correlation(
        rule=head,
        kind=kind,  # type: ignore[arg-type]
        of=frozenset(_index(ref.reference, detections) for ref in rule.rules or ()),
        group_by=_group_by(rule.group_by or []),
        timespan_ms=rule.timespan.seconds * 1000,
        timespan=rule.timespan.spec,
        threshold=condition.count,
        inclusive=condition.op.name == "GTE",
        field="" if kind == "event_count" else _counted_field(kind, condition.fieldref),
    )


def _index(reference: str, detections: list[Detection]) -> int:
    for index, detection in enumerate(detections):
        if reference in (detection.rule.id, detection.rule.name):
            return index
    raise Unsupported(f"refers to {reference!r}, which is no detection rule that could be loaded")


def _group_by(names: list[str]) -> tuple[str, ...]:
    for name in names:
        check_field(name)
        if name not in GROUP_NAMES:
            raise Unsupported(f"group-by {name!r} is not supported; expected some of {', '.join(GROUP_NAMES)}")
    if "actor" not in names:
        raise Unsupported(
            "group-by must name `actor`: audit events are partitioned by actor, other groups are not whole"
        )
    return tuple(names)


def _counted_field(kind: str, fieldref: str | list[str] | None) -> str:
    names = [fieldref] if isinstance(fieldref, str) else fieldref or []
    if len(names) != 1:
        raise Unsupported(f"{kind} needs one field, found {len(names)}")
    check_field(names[0])
    if kind == "value_sum" and names[0] not in NUMBERS:
        raise Unsupported(f"{names[0]} is no number; value_sum fits {' and '.join(NUMBERS)}")
    if names[0] in LISTS:
        raise Unsupported(f"{kind} of a list such as {names[0]} is not supported")
    return names[0]
