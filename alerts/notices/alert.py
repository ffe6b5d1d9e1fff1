"""An alert as it stands on its topic, read for those who are told of it, whichever flow it comes from."""

from __future__ import annotations

import sys
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from msgspec import Struct

from features.messages import Refused, digest
from features.outgoing import CloudEvent
from features.times import LATEST_MS, parse_time, rfc3339

Severity = Literal["informational", "low", "medium", "high", "critical"]
Kind = Literal["kpi", "security", "service", "model", "experiment"]
SEVERITIES: tuple[Severity, ...] = ("informational", "low", "medium", "high", "critical")
ALSO: dict[str, Severity] = {  # words of others for the same
    "info": "informational",
    "notice": "low",
    "ticket": "low",
    "warning": "medium",
    "error": "high",
    "page": "high",
    "fatal": "critical",
}
USUAL: dict[str, Severity] = {"kpi": "high", "service": "high", "model": "medium", "experiment": "medium"}
ENDING = ("kpi", "model", "experiment")  # a promise that is broken stays so, whoever answers later
LABELS = (  # of an alert's data, what silences match and receivers group by
    *("rule", "rule_id", "actor", "store", "region", "case"),
    *("client_ip", "device"),
    *("dim", "series", "direction"),
    *("ticket", "priority", "clock", "model", "what"),
)
MATCHED = ("kind", "severity", "entity", "key", *LABELS)
FIGURES = ("observed", "expected", "threshold", "p", "money_cents", "score", "labels", "due_ms")
LIST, TEXT = 100, 1_000  # the longest that is passed on


class Part(Struct):
    """What a region, channel, campaign, category or store contributes to a KPI that strays, in its own numbers."""

    dim: str
    observed: float
    expected: float


class Alert(Struct):
    """`key` is the same for all that is told of one matter; `ends`: whoever told it will say when it is over.

    `usual`: where a KPI was expected, from and to; `parts`: the most that contribute to what strays.
    """

    id: str
    key: str
    kind: str
    severity: Severity
    state: Literal["firing", "resolved"]
    ends: bool
    entity: str
    title: str
    why: str
    labels: dict[str, str]
    started_ms: int
    at_ms: int
    tags: list[str] = []
    evidence: list[str] = []
    figures: dict[str, float] = {}
    usual: list[float] = []
    parts: list[Part] = []
    window_minutes: int = 0  # over which a KPI was looked at
    url: str = ""  # its page on the board

    def shown_on(self, board: str) -> Alert:
        """With its page on the board that people reach there; "" for none."""
        self.url = f"{board.rstrip('/')}/alerts/{quote(self.key, safe='')}" if board else ""
        return self


_decode = msgspec.json.Decoder(CloudEvent).decode


def read_alert(value: bytes) -> Alert:
    """Fields that are missing, or none, are left out. Raises Refused where it is no alert."""
    try:
        event = _decode(value)
        kind, at_ms = event.type.removeprefix("brewline.alert."), parse_time(event.time)
    except (msgspec.DecodeError, ValueError, OverflowError):
        raise Refused("malformed", "no alert") from None
    data, state = event.data, event.data.get("state", "firing")
    labels = _labels(data)
    severity = _severity(kind, data)
    entity = str(data.get("actor") or data.get("dim") or data.get("model") or event.subject)[:TEXT]
    return Alert(
        id=event.id,
        key=_key(event, data, kind),
        kind=kind,
        severity=severity,
        state="resolved" if state == "resolved" else "firing",
        ends=kind in ENDING and "state" in data,
        entity=entity,
        title=_title(kind, data)[:TEXT],
        why=str(data.get("why") or _why(kind, data))[:TEXT],
        labels=labels,
        started_ms=_whole(data.get("started_ms"), at_ms),
        at_ms=at_ms,
        tags=_texts(data.get("tags")),
        evidence=_texts(data.get("evidence") or data.get("stores")),
        figures={name: float(data[name]) for name in FIGURES if _is_number(data.get(name))},
        usual=_numbers(data.get("expected_low"), data.get("expected_high")),
        parts=_parts(data.get("contributors")),
        window_minutes=_whole(data.get("window_minutes"), 0),
    )


def _key(event: CloudEvent, data: dict[str, Any], kind: str) -> str:
    """Of what a flow gives no name to: what its rule counts together, within a case."""
    if named := data.get("incident"):
        return str(named)
    group = data.get("group") or {"subject": event.subject}
    told = msgspec.json.encode([group, data.get("case")], order="deterministic").decode()
    return digest(f"{kind}|{data.get('rule_id') or data.get('rule')}|{told}")


def _labels(data: dict[str, Any]) -> dict[str, str]:
    """A dimension that is a store is also told as one."""
    labels = {name: str(data[name])[:TEXT] for name in LABELS if data.get(name) not in (None, "", [], {})}
    kind, _, store = labels.get("dim", "").partition(":")
    return {"store": store, **labels} if kind == "store" and store else labels


def _severity(kind: str, data: dict[str, Any]) -> Severity:
    word = str(data.get("severity") or data.get("level") or USUAL.get(kind, "medium")).lower()
    word = ALSO.get(word, word)
    return next((severity for severity in SEVERITIES if severity == word), "medium")


def _title(kind: str, data: dict[str, Any]) -> str:
    if title := data.get("title"):
        return str(title)
    if kind == "kpi":
        return f"{data.get('series', 'KPI')} {data.get('direction') or 'unusual'}"
    if kind == "service":
        return f"Promise broken: {data.get('priority', '')} {data.get('clock', '')}".strip()
    if kind == "model":
        return f"Model {data.get('model', '')}: {data.get('what', '')}"
    if kind == "experiment":
        return f"Experiment {data.get('rule', '')}: {data.get('what', '')}"
    return kind


def _why(kind: str, data: dict[str, Any]) -> str:
    due_ms = _whole(data.get("due_ms"), 0)
    due = f", due {rfc3339(due_ms)}" if due_ms else ""
    return f"{data.get('ticket', kind)}: {data.get('clock', '')}{due}"


def _whole(found: Any, otherwise: int) -> int:
    return found if isinstance(found, int) and 0 <= found <= LATEST_MS else otherwise


def _texts(found: Any) -> list[str]:
    return [str(each)[:TEXT] for each in found[:LIST]] if isinstance(found, list) else []


def _numbers(*found: Any) -> list[float]:
    return [float(each) for each in found] if all(map(_is_number, found)) else []


def _parts(found: Any) -> list[Part]:
    try:
        return msgspec.convert(found or [], list[Part])[:LIST]
    except msgspec.ValidationError:
        return []


def _is_number(found: Any) -> bool:
    """Whether it is one that a float holds."""
    return isinstance(found, (int, float)) and not isinstance(found, bool) and abs(found) <= sys.float_info.max
