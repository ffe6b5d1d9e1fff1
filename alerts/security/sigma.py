"""Sigma rules over audit events: which of their fields a rule may ask for, and how they look to the engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TypeAlias

from msgspec.structs import replace

from alerts.security.fields import LISTS, NAMES, NUMBERS, TEXTS, Fields
from alerts.sigma import reading
from alerts.sigma.condition import ANYWHERE, Ask, Every, Never, Node, Some, asks
from alerts.sigma.correlating import NUMERIC, Correlation
from alerts.sigma.criterion import Null, Ordered, Refers, Same, TimePart, Unsupported
from alerts.sigma.logsource import LogSource
from alerts.sigma.reading import Detection, RefusedRule, Rules

PRODUCT, LOG = "brewline", "audit"
SOURCE = LogSource(PRODUCT, LOG, LOG)
AnyRule: TypeAlias = Detection | Correlation


def load(files: Iterable[tuple[str, str]]) -> tuple[Rules, list[RefusedRule]]:
    """Rules of (file name, YAML text) pairs; what cannot be asked of audit events is refused."""
    return reading.load(files, accept)


def load_any(files: Iterable[tuple[str, str]]) -> tuple[Rules, list[RefusedRule]]:
    """The same where rules may also be of other log sources: those are taken as they are."""
    return reading.load(files, accept_any)


def accept_any(rule: AnyRule, detections: Sequence[Detection]) -> AnyRule:
    counted = [detections[place] for place in rule.of] if isinstance(rule, Correlation) else [rule]
    ours = any(detection.source.product == PRODUCT for detection in counted)
    return accept(rule, detections) if ours else rule


def accept(rule: AnyRule, detections: Sequence[Detection]) -> AnyRule:
    """The rule as it runs here. Raises Unsupported."""
    if isinstance(rule, Correlation):
        _check_group(rule)
        _check_counted(rule)
        return rule
    if rule.source.product != PRODUCT or {rule.source.category, rule.source.service} - {""} != {LOG}:
        raise Unsupported(f"its logsource is not for these events; write product: {PRODUCT} and service: {LOG}")
    for ask in asks(rule.condition):
        _check_asked(ask)
    return replace(rule, condition=_without_empty(rule.condition))


def known(fields: Fields) -> Fields:
    """The fields that the event fills in: one that is left out is not there."""
    return {name: value for name, value in fields.items() if value or value == 0}


def check_field(name: str) -> None:
    if name not in NAMES:
        close = get_close_matches(name, NAMES, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(NAMES)}"
        raise Unsupported(f"there is no field {name!r}; {hint}")


def _check_asked(ask: Ask) -> None:
    if ask.field == ANYWHERE:
        return
    check_field(ask.field)
    if isinstance(ask.criterion, Ordered) and ask.field not in NUMBERS:
        raise Unsupported(f"{ask.field} is no number; {ask.criterion.op} fits {' and '.join(NUMBERS)}")
    if isinstance(ask.criterion, TimePart):
        raise Unsupported(f"{ask.field} is no date; the field hour is the hour of day")
    if isinstance(ask.criterion, Refers):
        check_field(ask.criterion.field)


def _without_empty(node: Node) -> Node:
    """No field of an audit event is there and empty: '' asks what null asks."""
    if isinstance(node, Every | Some):
        return replace(node, parts=tuple(_without_empty(part) for part in node.parts))
    if isinstance(node, Never):
        return Never(_filled(node.ask))
    return _filled(node)


def _filled(ask: Ask) -> Ask:
    return Ask(ask.field, Null()) if isinstance(ask.criterion, Same) and not ask.criterion.text else ask


def _check_group(rule: Correlation) -> None:
    for name in rule.group_by:
        fields = {*rule.aliases[name].values()} if name in rule.aliases else {name}
        for field in sorted(fields):
            check_field(field)
            if field not in TEXTS:
                raise Unsupported(f"group-by {field!r} is not supported; expected some of {', '.join(TEXTS)}")
        if "object" in fields and len(fields) > 1:
            raise Unsupported(f"the alias {name!r} mixes `object`, which is counted by its hash, with other fields")


def _check_counted(rule: Correlation) -> None:
    for name in rule.fields:
        check_field(name)
        if rule.kind in NUMERIC and name not in NUMBERS:
            raise Unsupported(f"{name} is no number; {rule.kind} fits {' and '.join(NUMBERS)}")
        if name in LISTS:
            raise Unsupported(f"{rule.kind} of a list such as {name} is not supported")
