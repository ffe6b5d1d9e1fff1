"""The documents of Sigma files as pySigma understands them, each by itself: a wrong one is refused, the rest taken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise
from math import isfinite
from typing import Any, NamedTuple, TypeAlias

import re2  # type: ignore[import-untyped]
import yaml
from msgspec import Struct
from sigma.collection import deep_dict_update
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaError, SigmaRegularExpressionError
from sigma.filters import SigmaFilter
from sigma.policy import SigmaPolicy
from sigma.policy.regex_engine import RE2RegexEngine
from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaDetectionItem, SigmaRule
from sigma.rule.base import SigmaYAMLLoader, check_alias_expansion

from alerts.sigma.correlating import LIMITS, OPERATORS
from alerts.sigma.criterion import QUIET, Unsupported
from features.written import hint

AnyRule: TypeAlias = SigmaRule | SigmaCorrelationRule
Document: TypeAlias = dict[str, Any]
SAME = {"utf16le": "wide"}  # modifiers that pySigma knows by another name
DOCUMENT = re.compile(r"^---(?=\s|$)", re.MULTILINE)
NOTHING = re.compile(r"(?:\s|#.*$|^%.*$|^\.\.\.$)*", re.MULTILINE)
UNDECODED = re.compile("[\udc80-\udcff]")  # how bytes that are no UTF-8 stand in a text
BYTES = re.compile(r"""\bb(['"])(.*)\1$""")  # how RE2's words stand in what pySigma says
MISSING = object()
EXACT = 2**53  # pySigma reads numbers as floats, which hold every integer up to here
OF_CORRELATION = ("type", "rules", "group-by", "timespan", "aliases", "condition", "generate")
OF_CONDITION = (*OPERATORS, "field", "percentile")
A_DOCUMENT = "a Sigma file holds one mapping a document: write title, logsource, detection, ..."
A_CONDITION = "a text such as 'selection and not filter'"
SHAPES: dict[tuple[str, ...], tuple[type | tuple[type, ...], str]] = {
    ("title",): (str, "a text"),
    ("name",): ((str, type(None)), "a text"),
    ("logsource",): (dict, "a mapping such as {product: windows, category: process_creation}"),
    ("detection",): (dict, "a mapping with a selection and a condition"),
    ("detection", "condition"): ((str, list), A_CONDITION),
    ("filter",): (dict, "a mapping with rules, a selection and a condition"),
    ("filter", "condition"): (str, A_CONDITION),
    ("correlation",): (dict, "a mapping with type, rules, timespan and condition"),
    ("correlation", "type"): (str, "a text such as event_count"),
    ("correlation", "rules"): ((str, list), "a list of ids or names of rules"),
    ("correlation", "group-by"): ((str, list), "a list of fields"),
    ("correlation", "timespan"): (str, "a text such as 10m"),
    ("correlation", "aliases"): (dict, "a mapping such as {user: {rule_a: field_a, rule_b: field_b}}"),
    ("correlation", "condition"): ((dict, str), "a mapping such as {gte: 10}"),
    ("priority",): (int, "a whole number"),
    ("vars",): (dict, "a mapping of names to lists of values"),
    ("transformations",): (list, "a list of transformations"),
}


class RefusedRule(NamedTuple):
    file: str
    title: str
    reason: str

    @property
    def line(self) -> str:
        return ": ".join(part for part in self if part)


class StoppedRule(RefusedRule):
    """Valid Sigma that cannot run here."""


class Parsed(Struct):
    """What files hold, in order."""

    rules: list[tuple[str, AnyRule]] = []
    filters: list[tuple[str, SigmaFilter]] = []
    pipelines: list[tuple[str, ProcessingPipeline]] = []
    refused: list[RefusedRule] = []


class Quiet(RE2RegexEngine):
    """RE2 without its own lines on stderr: what is wrong is said by who refuses the rule."""

    error = re2.error

    def __init__(self) -> None:
        """It holds no module: filters are copied, and it with them."""

    def compile(self, pattern: str, flags: int = 0) -> Any:
        letters = "".join(letter for flag, letter in ((re.I, "i"), (re.M, "m"), (re.S, "s")) if flags & flag)
        return re2.compile(f"(?{letters}){pattern}" if letters else pattern, QUIET)


POLICY = SigmaPolicy(regex_engine=Quiet())


def parse(file: str, text: str, parsed: Parsed) -> None:
    """Adds what the file holds to what was parsed."""
    if said := undecoded(text):
        parsed.refused.append(RefusedRule(file, "", said))
        return
    reading, found = _File(file, parsed), False
    for part in _parts(text):
        found |= reading.take(part)
    if not found:
        parsed.refused.append(RefusedRule(file, "", f"holds nothing; {A_DOCUMENT}"))


def undecoded(text: str) -> str:
    """What is wrong with a text that was read with `surrogateescape`; empty where all of it was UTF-8."""
    wrong = UNDECODED.search(text)
    if wrong is None:
        return ""
    line, byte = text.count("\n", 0, wrong.start()) + 1, ord(wrong[0]) - 0xDC00
    return f"is no UTF-8: line {line} has the byte {byte:#x}; save it as UTF-8"


def _parts(text: str) -> Iterator[str]:
    """The text of each document, at the line where it stands: YAML itself ends at the first that is wrong."""
    starts = [0, *(match.start() for match in DOCUMENT.finditer(text)), len(text)]
    begin = 0
    for start, end in pairwise(starts):
        if NOTHING.fullmatch(text, start, end):  # directives belong to the document behind them
            continue
        yield "\n" * text.count("\n", 0, begin) + text[begin:end]
        begin = end


class _File:
    """The documents of one file, one after the other: `action: global` and `repeat` carry keys on to later ones."""

    def __init__(self, file: str, parsed: Parsed) -> None:
        self.file, self.parsed = file, parsed
        self.common: Document = {}
        self.before: Document = {}

    def take(self, part: str) -> bool:
        """Whether something was there."""
        document, found = None, False
        try:
            for document in yaml.load_all(part, SigmaYAMLLoader):
                if document is not None:
                    found = True
                    self._take(document)
        except Exception as error:  # whatever it is that somebody has written, the other rules run
            self._refuse(document, reason(error, document))
            return True
        return found

    def _refuse(self, document: Any, said: str) -> None:
        title = document.get("title") if isinstance(document, dict) else None
        self.parsed.refused.append(RefusedRule(self.file, f"{title or ''}", said))

    def _take(self, document: Any) -> None:
        if not isinstance(document, dict):
            raise Unsupported(f"found {document!r:.40}; {A_DOCUMENT}")
        check_alias_expansion(document)
        if document.get("action") is not None:
            self._act(document)
        elif "transformations" in document:
            check_shapes(document)
            self.parsed.pipelines.append((self.file, ProcessingPipeline.from_dict(deepcopy(document), policy=POLICY)))
        elif "correlation" in document or "filter" in document:
            self._keep(document)
        else:
            self.before = deep_dict_update(deepcopy(document), deepcopy(self.common))
            self._keep(self.before)

    def _act(self, document: Document) -> None:
        action = document["action"]
        if action == "global":
            self.common = self.before = {name: value for name, value in document.items() if name != "action"}
        elif action == "reset":
            self.common = {}
        elif action == "repeat":
            self.before = deep_dict_update(deepcopy(self.before), document)
            self._keep(self.before)
        else:
            raise Unsupported(f"action: found {action!r}{hint(str(action), ('global', 'reset', 'repeat'))}")

    def _keep(self, document: Document) -> None:
        check_shapes(document)
        written = _understood(document)
        kind = SigmaCorrelationRule if "correlation" in written else SigmaFilter if "filter" in written else SigmaRule
        rule = kind.from_dict(written, collect_errors=True, policy=POLICY)
        if rule.errors:
            said = "; ".join(dict.fromkeys(reason(error, written) for error in rule.errors))
            self._refuse(document, said)
        elif isinstance(rule, SigmaFilter):
            self.parsed.filters.append((self.file, rule))
        else:
            self.parsed.rules.append((self.file, rule))


def reason(error: Exception, document: Any = None) -> str:
    """Why something is refused: what is wrong, and at which key of the document."""
    if isinstance(error, Unsupported | yaml.YAMLError):
        return f"{error}"
    if isinstance(error, SigmaError):
        said = f"{error}"
        if isinstance(error, SigmaRegularExpressionError):
            said = BYTES.sub(r"\2", said) + ": patterns are RE2, without look-around and back-references"
    else:  # pySigma on values of an unexpected shape
        said = f"is no valid Sigma: {type(error).__name__}: {error}"
    return f"{where}: {said}" if (where := _where(error, document)) else said


def _where(error: Exception, document: Any) -> str:
    """The key of a selection that pySigma stumbles over in this way when it sees nothing else."""
    held = document.get("detection") or document.get("filter") if isinstance(document, dict) else None
    for name, key, value in _items(held) if isinstance(held, dict) else ():
        try:
            SigmaDetectionItem.from_mapping(key, value, policy=POLICY)
        except Exception as other:  # as above
            if (type(other), str(other)) == (type(error), str(error)):
                return f"{name}: {key or 'a value without a field'}"
    return ""


def _items(detection: Document) -> Iterator[tuple[str, str | None, Any]]:
    """Selection, key and value of all that is asked."""
    for name, selection in detection.items():
        if name in ("condition", "rules"):
            continue
        for part in selection if isinstance(selection, list) else [selection]:
            if isinstance(part, dict):
                yield from ((str(name), str(key), value) for key, value in part.items())
            else:
                yield str(name), None, part


def check_shapes(document: Document) -> None:
    """Raises Unsupported for a value that cannot stand where it does, and for a key of a correlation that is none."""
    for path, (kind, expected) in SHAPES.items():
        held: Any = document
        for key in path[:-1]:
            held = held.get(key) or {}
        found = held.get(path[-1], MISSING)
        if found is not MISSING and (not isinstance(found, kind) or (kind is int and isinstance(found, bool))):
            raise Unsupported(f"{'.'.join(path)}: found {found!r:.60}, expected {expected}")
    for key in ("detection", "filter"):
        for name, field, value in _items(document.get(key, {})):
            if field is None and value is None:
                raise Unsupported(f"{key}: {name}: is empty; write fields and values under it")
            _check_anchors(f"{key}: {name}: {field}", f"{field}".split("|"))
            _check_value(f"{key}: {name}: {field}" if field else f"{key}: {name}", value)
    if "correlation" in document:
        _check_correlation(document["correlation"])


def _check_anchors(where: str, words: list[str]) -> None:
    for word, anchored in (("startswith", "'^(?:...)'"), ("endswith", "'(?:...)$'")):
        if "re" in words and word in words:
            raise Unsupported(f"{where}: a pattern is searched for anywhere; write {anchored} instead of {word}")


def _check_value(where: str, value: Any) -> None:
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, float) and not isfinite(each):
            raise Unsupported(f"{where}: found {each}, expected a number that is finite")
        if isinstance(each, int) and abs(each) > EXACT:
            raise Unsupported(f"{where}: found {each}, which is read as another number; write it as a text: '{each}'")
        if not isinstance(each, str | int | float | list | None):
            if hasattr(each, "isoformat"):
                raise Unsupported(f"{where}: found a date; write it as a text: '{each.isoformat()}'")
            found = "a mapping" if isinstance(each, dict) else f"{each!r:.40}"
            raise Unsupported(f"{where}: found {found}, expected a text, a number, true, false or null")


def _check_correlation(about: Document) -> None:
    _check_keys("correlation", about, OF_CORRELATION)
    for key in ("rules", "group-by"):
        _check_texts(f"correlation.{key}", about.get(key))
    for alias, fields in (about.get("aliases") or {}).items():
        if not isinstance(fields, dict) or not all(isinstance(each, str) for pair in fields.items() for each in pair):
            found = f"correlation.aliases.{alias}: found {fields!r:.60}"
            raise Unsupported(f"{found}, expected a field of each rule, such as {{rule_a: field_a, rule_b: field_b}}")
    asked = about.get("condition")
    if isinstance(asked, dict):
        _check_keys("correlation.condition", asked, OF_CONDITION)
        if not any(name in asked for name in OPERATORS):
            raise Unsupported(f"correlation.condition: has no limit; write one of {', '.join(OPERATORS)}")
        _check_texts("correlation.condition.field", asked.get("field"))
        kind = f"{about.get('type')}".lower()
        if kind.startswith("value_") and not asked.get("field"):
            raise Unsupported(f"correlation.condition: {kind} needs a field to look at; write field: and its name")


def _check_texts(where: str, found: Any) -> None:
    for each in found if isinstance(found, list) else [found or ""]:
        if not isinstance(each, str):
            raise Unsupported(f"{where}: found {each!r:.60}, expected a text or a list of texts")


def _check_keys(where: str, found: Document, known: tuple[str, ...]) -> None:
    for name in found:
        if name not in known:
            raise Unsupported(f"{where}: unknown key {name!r}{hint(str(name), known)}")


def _understood(document: Document) -> Document:
    """The document in the words of pySigma; all limits of a correlation stand beside it, for it takes one only."""
    written = {**document}
    if isinstance(detection := document.get("detection"), dict):
        written["detection"] = {name: _renamed(part) for name, part in detection.items()}
    if isinstance(about := document.get("correlation"), dict) and isinstance(asked := about.get("condition"), dict):
        limits = {name: limit for name, limit in asked.items() if name in OPERATORS}
        if len(limits) > 1:
            first = next(iter(limits))
            kept = {name: value for name, value in asked.items() if name not in limits or name == first}
            written["correlation"] = {**about, "condition": kept}
            written[LIMITS] = limits
    return written


def _renamed(part: Any) -> Any:
    """With modifiers as pySigma calls them."""
    if isinstance(part, list):
        return [_renamed(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {"|".join(SAME.get(word, word) for word in str(key).split("|")): value for key, value in part.items()}
