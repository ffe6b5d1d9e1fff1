"""A Sigma condition, parsed by pySigma, as a plain predicate over the flat fields of an audit event.

Text compares without regard to case unless `cased`; regular expressions are RE2 (linear time, since
the text comes from outside), are searched for anywhere in the text, and respect case unless `i`.
A list matches when one of its elements does. Source: Sigma specification v2.1, modifiers appendix.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from difflib import get_close_matches
from ipaddress import ip_address
from typing import Any, TypeAlias

import re2  # type: ignore[import-untyped]
from sigma import conditions as c
from sigma import types as t

from alerts.security.fields import LISTS, NAMES, NUMBERS, Fields

Predicate: TypeAlias = Callable[[Fields], bool]
Test: TypeAlias = Callable[[str], bool]

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "LT": operator.lt,
    "LTE": operator.le,
    "GT": operator.gt,
    "GTE": operator.ge,
}
_FLAGS = {"IGNORECASE": "i", "MULTILINE": "m", "DOTALL": "s"}
_QUIET = re2.Options()
_QUIET.log_errors = False


class Unsupported(ValueError):
    """A rule uses what cannot be evaluated here; the message says what, and what to write instead."""


def compile_condition(node: Any) -> Predicate:
    """The predicate of a condition tree (`SigmaCondition.parsed`). Raises Unsupported."""
    if isinstance(node, c.ConditionAND):
        parts = [compile_condition(arg) for arg in node.args]
        return lambda fields: all(part(fields) for part in parts)
    if isinstance(node, c.ConditionOR):
        return either([compile_condition(arg) for arg in node.args])
    if isinstance(node, c.ConditionNOT):
        part = compile_condition(node.args[0])
        return lambda fields: not part(fields)
    if isinstance(node, c.ConditionFieldEqualsValueExpression):
        check_field(node.field)
        return _match(node.field, node.value)
    if isinstance(node, c.ConditionValueExpression):
        raise Unsupported("a value without a field (keyword search) is not supported; name the field")
    raise Unsupported("an empty condition is not supported")


def either(parts: list[Predicate]) -> Predicate:
    return parts[0] if len(parts) == 1 else lambda fields: any(part(fields) for part in parts)


def check_field(name: str) -> None:
    if name not in NAMES:
        close = get_close_matches(name, NAMES, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(NAMES)}"
        raise Unsupported(f"there is no field {name!r}; {hint}")


def least_wanted(node: Any) -> list[tuple[str, float]]:
    """(field, number) of each `gt` and `gte` that must hold for the condition to hold."""
    if isinstance(node, c.ConditionAND):
        return [found for arg in node.args for found in least_wanted(arg)]
    if isinstance(node, c.ConditionFieldEqualsValueExpression) and isinstance(node.value, t.SigmaCompareExpression):
        return [(node.field, node.value.number.number)] if node.value.op.name in ("GT", "GTE") else []
    return []


def _match(field: str, value: t.SigmaType) -> Predicate:
    """Exact types, because pySigma derives values of other meaning from these."""
    kind = type(value)
    if kind is t.SigmaNull:
        return (lambda fields: False) if field in NUMBERS else (lambda fields: not fields[field])
    if kind is t.SigmaExists:
        wanted = bool(value)
        return lambda fields: (field in NUMBERS or bool(fields[field])) == wanted
    if isinstance(value, t.SigmaExpansion):
        return either([_match(field, each) for each in value.values])
    if isinstance(value, t.SigmaCompareExpression):
        return _compare(field, value)
    if isinstance(value, t.SigmaNumber) and kind is t.SigmaNumber:
        number = value.number
        return (lambda fields: fields[field] == number) if field in NUMBERS else _lift(field, _equals(str(number)))
    return _lift(field, _text_test(value))


def _compare(field: str, value: t.SigmaCompareExpression) -> Predicate:
    if field not in NUMBERS:
        raise Unsupported(f"{field} is no number; {value.op.name.lower()} fits {' and '.join(NUMBERS)}")
    if value.op.name not in COMPARE:
        raise Unsupported(f"the comparison {value.op.name.lower()} is not supported")
    compare, number = COMPARE[value.op.name], value.number.number
    return lambda fields: compare(fields[field], number)


def _lift(field: str, test: Test) -> Predicate:
    if field in LISTS:
        return lambda fields: any(test(each) for each in fields[field])
    if field in NUMBERS:
        return lambda fields: test(str(fields[field]))
    return lambda fields: test(fields[field])


def _text_test(value: t.SigmaType) -> Test:
    if isinstance(value, t.SigmaString):
        return _string_test(value)
    if isinstance(value, t.SigmaRegularExpression):
        _no_placeholders(value.regexp)
        flags = "".join(_FLAGS[flag.name] for flag in value.flags)
        search = _compiled(f"(?{flags})" if flags else "", str(value.regexp)).search
        return lambda text: bool(text) and search(text) is not None
    if isinstance(value, t.SigmaCIDRExpression):
        return _cidr_test(value)
    name = type(value).__name__.removeprefix("Sigma")
    raise Unsupported(f"{name} values are not supported")


def _string_test(value: t.SigmaString) -> Test:
    _no_placeholders(value)
    cased = isinstance(value, t.SigmaCasedString)
    if not value.contains_special():
        plain = "".join(str(part) for part in value.s)
        return (lambda text: text == plain) if cased else _equals(plain)
    wild = {t.SpecialChars.WILDCARD_MULTI: ".*", t.SpecialChars.WILDCARD_SINGLE: "."}
    pattern = "".join(re2.escape(part) if isinstance(part, str) else wild[part] for part in value.s)  # type: ignore[index]
    match = _compiled("(?s)" if cased else "(?is)", pattern).fullmatch
    return lambda text: bool(text) and match(text) is not None


def _equals(plain: str) -> Test:
    lower = plain.lower()
    return lambda text: text.lower() == lower


def _cidr_test(value: t.SigmaCIDRExpression) -> Test:
    network = value.network

    def within(text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:  # the producer sent none, or a host name
            return False
        return (getattr(address, "ipv4_mapped", None) or address) in network

    return within


def _compiled(flags: str, pattern: str) -> Any:
    try:
        return re2.compile(flags + pattern, _QUIET)
    except re2.error as error:
        said = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise Unsupported(f"the regular expression {pattern!r} is not RE2: {said}") from error


def _no_placeholders(value: t.SigmaString) -> None:
    if value.contains_placeholder():
        raise Unsupported("placeholders (expand) are not supported; write the values out")
