"""A condition that pySigma parsed, as a tree of what is asked of which field, with each `not` at a leaf's side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from msgspec import Struct
from sigma import conditions as c
from sigma import types as t

from alerts.sigma.criterion import (
    Criterion,
    Exists,
    Like,
    Matching,
    Null,
    Number,
    Ordered,
    Refers,
    Same,
    TimePart,
    Truth,
    Unsupported,
    Wild,
    Within,
    compiled,
)

ANYWHERE = ""  # the field of a keyword: any value of the event
FLAGS = {"IGNORECASE": "i", "MULTILINE": "m", "DOTALL": "s"}
WILD = {t.SpecialChars.WILDCARD_MULTI: Wild.ANY, t.SpecialChars.WILDCARD_SINGLE: Wild.ONE}


class Ask(Struct, frozen=True):
    """One question: whether a value of the field meets the criterion."""

    field: str
    criterion: Criterion


class Every(Struct, frozen=True):
    parts: tuple[Node, ...]


class Some(Struct, frozen=True):
    parts: tuple[Node, ...]


class Never(Struct, frozen=True):
    ask: Ask


Node: TypeAlias = Ask | Every | Some | Never


def condition(tree: Any, wanted: bool = True) -> Node:
    """The tree of `SigmaCondition.parsed`, or of its opposite. Raises Unsupported."""
    if isinstance(tree, c.ConditionNOT):
        return condition(tree.args[0], not wanted)
    if isinstance(tree, c.ConditionAND | c.ConditionOR):
        parts = [condition(arg, wanted) for arg in tree.args]
        return joined(Every if isinstance(tree, c.ConditionAND) == wanted else Some, parts)
    if isinstance(tree, c.ConditionFieldEqualsValueExpression):
        return _asked(tree.field, tree.value, wanted)
    if isinstance(tree, c.ConditionValueExpression):
        return _asked(ANYWHERE, tree.value, wanted)
    raise Unsupported("an empty condition is not supported")


def joined(kind: type[Every] | type[Some], parts: list[Node]) -> Node:
    """Parts of the same kind become one with it."""
    flat = [each for part in parts for each in (part.parts if isinstance(part, kind) else (part,))]
    return flat[0] if len(flat) == 1 else kind(tuple(dict.fromkeys(flat)))


def asks(node: Node) -> Iterator[Ask]:
    """Every question, in order."""
    if isinstance(node, Every | Some):
        for part in node.parts:
            yield from asks(part)
    else:
        yield node.ask if isinstance(node, Never) else node


def _asked(field: str, value: t.SigmaType, wanted: bool) -> Node:
    if isinstance(value, t.SigmaExpansion):
        return joined(Some if wanted else Every, [_asked(field, each, wanted) for each in value.values])
    try:
        ask = Ask(field, _keyword(value) if field == ANYWHERE else _criterion(value))
    except Unsupported as error:
        raise Unsupported(f"{field}: {error}" if field else f"{error}") from None
    return ask if wanted else Never(ask)


def _keyword(value: t.SigmaType) -> Criterion:
    """Stands anywhere in the text."""
    if isinstance(value, t.SigmaNumber):
        return Like((Wild.ANY, str(value.number), Wild.ANY))
    if isinstance(value, t.SigmaString):
        return _text(value, around=True)
    if isinstance(value, t.SigmaRegularExpression):
        return _criterion(value)
    raise Unsupported(f"a value without a field (keyword) is a text, not {_name(value)}; name the field")


def _criterion(value: t.SigmaType) -> Criterion:
    """Exact types, because pySigma derives values of other meaning from these."""
    if isinstance(value, t.SigmaString):
        return _text(value)
    if isinstance(value, t.SigmaTimestampPart):
        return TimePart(value.timestamp_part.name.lower(), "eq", value.number)
    if isinstance(value, t.SigmaNumber):
        return Number(value.number)
    if isinstance(value, t.SigmaCompareExpression):
        return _compare(value)
    if isinstance(value, t.SigmaRegularExpression):
        return _pattern(value)
    if isinstance(value, t.SigmaCIDRExpression):
        return Within(str(value.network))
    if isinstance(value, t.SigmaFieldReference):
        return Refers(value.field, value.starts_with, value.ends_with)
    if isinstance(value, t.SigmaExists):
        return Exists(bool(value))
    if isinstance(value, t.SigmaBool):
        return Truth(bool(value))
    if isinstance(value, t.SigmaNull):
        return Null()
    raise Unsupported(f"{_name(value)} values are not supported")


def _compare(value: t.SigmaCompareExpression) -> Criterion:
    op, number = value.op.name.lower(), value.number
    if isinstance(number, t.SigmaTimestampPart):
        return TimePart(number.timestamp_part.name.lower(), op, number.number)
    return Ordered(op, number.number)


def _text(value: t.SigmaString, around: bool = False) -> Criterion:
    _no_placeholders(value)
    parts = [part if isinstance(part, str) else WILD[part] for part in value.s]  # type: ignore[index]
    parts = [Wild.ANY, *parts, Wild.ANY] if around else parts
    parts = [part for n, part in enumerate(parts) if not (n and part is parts[n - 1] is Wild.ANY)]
    cased = isinstance(value, t.SigmaCasedString)
    if not any(isinstance(part, Wild) for part in parts):
        return Same("".join(map(str, parts)), cased)
    like = Like(tuple(parts), cased)
    like.test()
    return like


def _pattern(value: t.SigmaRegularExpression) -> Criterion:
    _no_placeholders(value.regexp)
    flags = "".join(sorted(FLAGS[flag.name] for flag in value.flags))
    pattern = (f"(?{flags})" if flags else "") + str(value.regexp)
    compiled(pattern)
    return Matching(pattern)


def _no_placeholders(value: t.SigmaString) -> None:
    for part in value.s:
        if isinstance(part, t.Placeholder):
            raise Unsupported(
                f"the placeholder %{part.name}% has no values; write them under `vars` of a processing pipeline"
                " with the transformation `value_placeholders`"
            )


def _name(value: t.SigmaType) -> str:
    return type(value).__name__.removeprefix("Sigma")
