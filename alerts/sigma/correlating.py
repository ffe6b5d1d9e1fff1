"""What a correlation counts, in which groups, and when that is enough.

Limits that more can only help to reach (gt, gte) are judged at each event; all others (lt, lte, eq, neq, ranges, a
`not`) when the window is over, for what may still grow cannot be called small.
Source: Sigma specification v2.1, correlation rules; `percentile`, `value_median` and expressions as pySigma reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from msgspec import Struct
from sigma import correlations as c

from alerts.security.finding import Rule, digest
from alerts.sigma.criterion import COMPARE, Unsupported, number_of, scalars, text_of

Kind: TypeAlias = Literal[
    "event_count",
    "value_count",
    "value_sum",
    "value_avg",
    "value_percentile",
    "value_median",
    "temporal",
    "temporal_ordered",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
NUMERIC = ("value_sum", "value_avg", "value_percentile", "value_median")
TEMPORAL = ("temporal", "temporal_ordered")
OPERATORS = tuple(COMPARE)
RISING = ("gt", "gte")
LIMITS = "limits"  # where a document carries the limits of a correlation that has several
GROUP = "group|"  # begins the names of the records of groups
MOST_PARTS = 63  # rules of a temporal correlation: bits of an integer


class Limit(NamedTuple):
    op: str
    number: float

    def holds(self, measured: float) -> bool:
        return COMPARE[self.op](measured, self.number)


class Part(NamedTuple):
    """A rule that is counted: its place among the detections, or among the correlations before this one."""

    name: str
    place: int
    chained: bool


class Correlation(Struct, frozen=True):
    """`aliases` name, for each alias and part, the field to look at."""

    rule: Rule
    kind: Kind
    parts: tuple[Part, ...]
    group_by: tuple[str, ...]
    timespan_ms: int
    timespan: str  # as the rule spells it
    limits: tuple[Limit, ...] = ()
    fields: tuple[str, ...] = ()  # what value_... looks at
    percentile: float = 0
    aliases: dict[str, dict[str, str]] = {}
    expression: Any = None  # over parts, of a temporal one without limits
    alerts: bool = True  # False: only counted by another correlation
    rising: bool = True  # judged at each event; else when the window is over
    shape: str = ""  # of its groups: another one when the rule comes to count other things, or in another way

    @property
    def of(self) -> frozenset[int]:
        """The detections that it counts."""
        return frozenset(part.place for part in self.parts if not part.chained)

    @property
    def threshold(self) -> float:
        return self.limits[0].number if self.limits else len(self.parts)

    @property
    def field(self) -> str:
        return " and ".join(self.fields)

    def reached(self, measured: float, mask: int = 0) -> bool:
        """`mask`: the parts that a temporal one has seen, as bits."""
        if self.expression is not None:
            return true_of(self.expression, mask)
        return all(limit.holds(measured) for limit in self.limits)

    def groups(self, event: Mapping[str, Any], met: Sequence[int]) -> dict[tuple[str, ...], int]:
        """The groups that the event belongs to, each with the parts that it meets there as bits."""
        if not self.aliases:
            mask = 0
            for place in met:
                mask |= 1 << place
            return {tuple([self._grouped(event, name, "") for name in self.group_by]): mask}
        found: dict[tuple[str, ...], int] = {}
        for place in met:
            part = self.parts[place].name
            values = tuple(self._grouped(event, name, part) for name in self.group_by)
            found[values] = found.get(values, 0) | 1 << place
        return found

    def _grouped(self, event: Mapping[str, Any], name: str, part: str) -> str:
        value = event.get(self.aliases[name].get(part, name) if name in self.aliases else name)
        return value if value.__class__ is str else "" if value is None else text_of(value)

    def record(self, values: Sequence[str]) -> str:
        """The name of the group's record: that of a rule of another shape is another."""
        return GROUP + digest((self.shape, *values), 16).hex()

    def value(self, event: Mapping[str, Any], mask: int) -> float | None:
        """What the event adds: 1, its number, a hash of its texts, the parts it meets; None where it adds nothing."""
        if self.kind in TEMPORAL:
            return mask
        if self.kind == "event_count":
            return 1
        if self.kind in NUMERIC:
            return self._number(event)
        texts = [text for name in self.fields if (text := _spelt(event.get(name)))]
        return int.from_bytes(digest(tuple(texts), 8), "big") if len(texts) == len(self.fields) else None

    def _number(self, event: Mapping[str, Any]) -> float | None:
        numbers = [number_of(each) for each in scalars(event.get(self.fields[0]))]
        known = [number for number in numbers if number is not None]
        if not known or (self.kind == "value_sum" and not any(known)):
            return None
        return sum(known) if self.kind == "value_sum" else known[0]


def _spelt(value: Any) -> str:
    """0 and false are values; nothing, an empty text and an empty list are none."""
    return "" if value is None or value == [] else text_of(value)


def is_group(record: str) -> bool:
    return record.startswith(GROUP)


def correlation(
    head: Rule,
    rule: c.SigmaCorrelationRule,
    names: list[str],
    places: Mapping[str, int],
    chained: Mapping[str, int],
    alerts: bool,
) -> Correlation:
    """`names`: the rules that it counts; `places`, `chained`: detections and correlations by id and name.
    Raises Unsupported."""
    kind = rule.type.name.lower()
    if kind not in KINDS:
        raise Unsupported(f"the correlation type {kind} is not supported; these are: {', '.join(KINDS)}")
    parts = tuple(_part(name, places, chained) for name in names)
    if not parts:
        raise Unsupported("correlation.rules: names no rule; write the ids or names of those that it counts")
    if kind in TEMPORAL and not 0 < len(parts) <= MOST_PARTS:
        raise Unsupported(f"{kind} takes 1 to {MOST_PARTS} rules, found {len(parts)}")
    limits, fields, percentile, expression = _asked(kind, rule, parts)
    aliases = {each.alias: _alias(each, names) for each in rule.aliases}
    group_by = tuple(rule.group_by or ())
    rising = all(limit.op in RISING for limit in limits) and not negates(expression)
    return Correlation(
        rule=head,
        kind=kind,
        parts=parts,
        group_by=group_by,
        timespan_ms=rule.timespan.seconds * 1000,
        timespan=rule.timespan.spec,
        limits=limits,
        fields=fields,
        percentile=percentile,
        aliases=aliases,
        expression=expression,
        alerts=alerts,
        rising=rising,
        shape=_shape(head.id, kind, "rising" if rising else "whole", fields, tuple(names), group_by),
    )


def _shape(id: str, kind: str, judged: str, *lists: tuple[str, ...]) -> str:
    return digest((id, kind, judged, *(digest(texts, 8).hex() for texts in lists)), 8).hex()


def _part(name: str, places: Mapping[str, int], chained: Mapping[str, int]) -> Part:
    if name in places:
        return Part(name, places[name], False)
    if name in chained:
        return Part(name, chained[name], True)
    raise Unsupported(f"refers to {name!r}, which is no rule that could be loaded")


def _asked(
    kind: str, rule: c.SigmaCorrelationRule, parts: tuple[Part, ...]
) -> tuple[tuple[Limit, ...], tuple[str, ...], float, Any]:
    asked = rule.condition
    if not isinstance(asked, c.SigmaCorrelationCondition):
        if kind == "temporal_ordered":
            raise Unsupported("temporal_ordered takes no expression; list the rules in their order")
        bits = {part.name: 1 << place for place, part in enumerate(parts)}
        return (), (), 0, expression_of(asked.parsed, bits)
    written = (rule.custom_attributes or {}).get(LIMITS) or {asked.op.name.lower(): asked.count}
    limits = tuple(_limit(op, number) for op, number in written.items())
    fields = [asked.fieldref] if isinstance(asked.fieldref, str) else asked.fieldref or []
    if kind.startswith("value") and (not fields or (kind != "value_count" and len(fields) > 1)):
        raise Unsupported(f"{kind} needs one field, found {len(fields)}")
    if kind == "value_percentile" and (asked.percentile is None or not 0 <= asked.percentile <= 100):
        raise Unsupported("value_percentile needs a percentile of 0 to 100; write for example percentile: 95")
    percentile = 50 if kind == "value_median" else asked.percentile or 0
    return limits, tuple(fields) if kind.startswith("value") else (), percentile, None


def _limit(op: str, number: Any) -> Limit:
    if number_of(number) is None:
        raise Unsupported(f"{op}: found {number!r}, expected a number")
    return Limit(op, float(number) if isinstance(number, str) else number)


def _alias(alias: c.SigmaCorrelationFieldAlias, names: list[str]) -> dict[str, str]:
    fields = {reference.reference: field for reference, field in alias.mapping.items()}
    for name in fields:
        if name not in names:
            raise Unsupported(f"the alias {alias.alias!r} names {name!r}, which is not among the rules")
    return fields


def expression_of(tree: Any, bits: Mapping[str, int]) -> Any:
    """A bit, or ("and" | "or" | "not", ...) over some."""
    if isinstance(tree, c.SigmaRuleReference):
        return bits[tree.reference]
    word = {c.CorrelationConditionAND: "and", c.CorrelationConditionOR: "or", c.CorrelationConditionNOT: "not"}
    return (word[type(tree)], *(expression_of(arg, bits) for arg in tree.args))


def true_of(tree: Any, mask: int) -> bool:
    if isinstance(tree, int):
        return bool(mask & tree)
    word, *args = tree
    if word == "not":
        return not true_of(args[0], mask)
    return (all if word == "and" else any)(true_of(arg, mask) for arg in args)


def negates(tree: Any) -> bool:
    return isinstance(tree, tuple) and (tree[0] == "not" or any(negates(arg) for arg in tree[1:]))
