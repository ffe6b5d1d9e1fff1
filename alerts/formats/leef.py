"""A notice as a line of IBM's Log Event Extended Format (LEEF 2.0)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from alerts.formats.attack import read_attack
from alerts.formats.figures import figure_texts
from alerts.formats.source import source_ip
from features.outgoing import Notice

SEVERITY = {"informational": 1, "low": 3, "medium": 5, "high": 8, "critical": 10}
DELIMITER = "\t"
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # there are no escapes: what divides cannot stand in it


def leef_line(notice: Notice, id: str) -> str:
    """`id` is that of the notice. What would divide the line is a blank in it, or / in its head."""
    name = notice.labels.get("rule", notice.labels.get("series", notice.kind))
    head = ("Brewline", "Brewline", "1", name)
    pairs = (f"{key}={CONTROLS.sub(' ', value)}" for key, value in _pairs(notice, id) if value)
    return f"LEEF:2.0|{'|'.join(map(_header, head))}|x09|{DELIMITER.join(pairs)}"


def _header(text: str) -> str:
    return CONTROLS.sub(" ", text).replace("|", "/")


def _pairs(notice: Notice, id: str) -> Iterator[tuple[str, str]]:
    attack = read_attack(notice.tags)
    yield from (("devTime", str(notice.at_ms)), ("sev", str(SEVERITY[notice.severity])), ("cat", notice.kind))
    yield from (("usrName", notice.labels.get("actor", "")), ("resource", notice.labels.get("store", "")))
    yield from (("src", str(source_ip(notice.labels) or "")), ("identHostName", notice.labels.get("device", "")))
    yield from (("policy", notice.title), ("msg", notice.why), ("action", notice.action))
    yield from (("id", id), ("key", notice.key), ("entity", notice.entity), ("count", str(notice.count)))
    yield from (("by", notice.by), ("reason", notice.reason), ("events", ",".join(notice.evidence)))
    yield "attack", ",".join([*attack.techniques, *attack.parts, *(uid for uid, _ in attack.tactics)])
    yield from figure_texts(notice.figures).items()
