"""A notice as a line of ArcSight's Common Event Format (CEF implementation standard, revision 27)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from alerts.formats.attack import read_attack
from alerts.formats.figures import figure_text
from alerts.formats.source import source_ip
from features.outgoing import Notice

SEVERITY = {"informational": 1, "low": 3, "medium": 5, "high": 8, "critical": 10}
MOST = 1_023  # characters of a string
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # whatever might begin a new line, or is no text


def cef_line(notice: Notice, id: str) -> str:
    """`id` is that of the notice."""
    signature = notice.labels.get("rule_id", notice.labels.get("rule", notice.kind))
    head = ("Brewline", "Brewline", "1", signature, notice.title, str(SEVERITY[notice.severity]))
    extension = " ".join(f"{key}={_value(value)}" for key, value in _pairs(notice, id) if value)
    return f"CEF:0|{'|'.join(map(_header, head))}|{extension}"


def _header(text: str) -> str:
    return CONTROLS.sub(" ", text).replace("\\", r"\\").replace("|", r"\|")


def _value(text: str) -> str:
    """Line ends may stand in a value, as two characters."""
    escaped = text[:MOST].replace("\\", r"\\").replace("=", r"\=").replace("\r\n", r"\n").replace("\n", r"\n")
    return CONTROLS.sub(" ", escaped.replace("\r", r"\r"))


def _pairs(notice: Notice, id: str) -> Iterator[tuple[str, str]]:
    yield from (("rt", str(notice.at_ms)), ("start", str(notice.started_ms)))
    yield from (("externalId", id), ("cat", notice.kind), ("act", notice.action), ("cnt", str(notice.count)))
    yield from (("suser", notice.labels.get("actor", "")), ("msg", notice.why), ("reason", notice.reason))
    yield from _source(notice)
    yield from _labelled("cs", _texts(notice))
    figures = [(name, figure_text(value)) for name, value in notice.figures.items()]
    yield from _labelled("cfp", [each for each in figures if not each[0].endswith("_ms")][:4])
    yield from _labelled("deviceCustomDate", [each for each in figures if each[0].endswith("_ms")][:2])
    attack = _attack(notice)
    yield from (("flexString1Label", "Attack" if attack else ""), ("flexString1", attack))


def _source(notice: Notice) -> Iterator[tuple[str, str]]:
    """`src` is of four bytes; a longer address has a field of its own."""
    ip = source_ip(notice.labels)
    if ip and ip.version == 6:
        yield from (("c6a2Label", "Source IPv6 Address"), ("c6a2", str(ip)))
    else:
        yield "src", str(ip or "")
    yield "shost", notice.labels.get("device", "")


def _texts(notice: Notice) -> list[tuple[str, str]]:
    """There are six fields for text."""
    labels = notice.labels
    return [
        ("Key", notice.key),
        ("Entity", notice.entity),
        ("Store", labels.get("store", "")),
        ("Rule", labels.get("rule", labels.get("series", ""))),
        ("By", notice.by),
        ("Events", " ".join(notice.evidence)),
    ]


def _labelled(field: str, pairs: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for number, (label, value) in enumerate(pairs, 1):
        if value:
            yield f"{field}{number}Label", label
            yield f"{field}{number}", value


def _attack(notice: Notice) -> str:
    attack = read_attack(notice.tags)
    return " ".join([*attack.techniques, *attack.parts, *(uid for uid, _ in attack.tactics)])
