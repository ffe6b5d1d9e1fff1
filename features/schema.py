"""Writes the contract of every topic: docs/asyncapi.json for machines, docs/events.md for people.

python -m features.schema
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from features import check
from features import events as e
from features.asyncapi import (
    NOBODY,
    RECEIVED,
    Json,
    dead_letter_headers,
    document,
    sample,
)
from features.channels import CLOUDEVENTS, TOPICS
from features.choices import LONGEST, MANY_DIGITS, OTHER
from features.glossary import REASONS
from features.kernel.arrays import RING
from features.labels import Examples
from features.offers import Scored
from features.outgoing import Braked, Drawn, Points
from features.trials import Trial
from features.versions import Appointment

DOCS = Path(__file__).parent.parent / "docs"
MARK = re.compile(r"^ {4}(\w+) {2,}(\S.*)$", re.MULTILINE)  # a line of the list in features/check.py

INTRO = f"""\
# Events

Written by `python -m features.schema`; [asyncapi.json](asyncapi.json) says the same to machines.

- **Times** are RFC 3339 with an offset (`2026-05-01T08:30:00+08:00`) or epoch milliseconds. What ends in `_ms` is
  epoch milliseconds, UTC.
- **Money** is whole cents. There are no fractions of a cent, and no floats.
- **Twice is once:** an event that is sent again under the same `id` counts once. Remembered are a customer's last
  {RING} events, and all other events for the `retention_hours` of `[kpis]` and `[security]`.
- **Late is in time:** an event counts when it happened, not when it came, as long as that time is kept at all.
- **Unknown fields** are tolerated, and those at the top level counted (`unknown_fields`), so that a sender may know
  more than Brewline. **Anything else that is wrong** makes the whole event a [dead letter](#dead-letters): a wrong
  type, a value out of bounds, a missing field. Nothing is corrected by guessing.
- **Notes are not kept:** what has more than {LONGEST} characters, or {MANY_DIGITS} digits or more, as the name or the
  text of a line's option, is no choice from a menu. The order counts, and `{OTHER}` stands there
  (`notes_left_out` counts them).
- **Size:** an event of more than `[kafka] max_event_bytes` is a dead letter.
- **Set by Brewline:** whatever a sender writes into such a field is replaced.
"""

SENT_AGAIN = """\
A dead letter is a CloudEvent in binary mode: its value is the original record, byte for byte, so that it can be mended
and sent again, and all else stands in its headers. **The topic is therefore as sensitive as `pos.events`, `app.events`
and `audit.events`: phone numbers and names stand in it as they were sent. Give it the same ACL and the same
retention.** The headers hold no personal data and may be counted and logged. `brewline dead-letters` sums them up,
lists them and sends them again.
"""


WORDS = """\
Brewline alone speaks these words, in `events`; sent to `pos.events` or `app.events`, they are dead letters. `referred`
and `friend_ordered` are what becomes of a `referral`, and features and rules can look at them as at other events.
`forget` and `unname` are written by `brewline forget`, `brake` goes to every partition ([brake](brake.md)); the others
make one customer of several.

A `bind`, or a `login` with several identifiers, makes one customer of those they belonged to: the one with the smallest
id. Who counts events leaves the words for that out: what they bring was counted before. What cannot be done is to take
a customer apart again (`unbind` and `unmerge` are dead letters), and to give one more identifiers than `[identity]`
allows.
"""


def page(contract: Json) -> str:
    """docs/events.md."""
    shapes = contract["components"]["schemas"]
    parts = [INTRO, "## Topics\n", _topics(), "## What all events have\n", _table(shapes["Event"], set_by=True)]
    parts += ["### Who\n", _body(shapes["Who"]), "### Line\n", _body(shapes["Line"])]
    parts += ["## Events of shops and apps\n", "To `pos.events` or `app.events`; clean, they go to `events`.\n"]
    for kind, shape in e.SENT_EVENTS.items():
        parts += [f"### {kind}\n", _event(kind, shapes[shape.__name__])]
    parts += ["## Words in the clean topic\n", WORDS]
    words = [*e.OWN.values(), *e.CONTROL.values()]
    parts += [part for shape in words for part in (f"### {_tag(shape)}\n", _body(shapes[shape.__name__]))]
    parts += ["## Audit events\n", "To `audit.events`, with the actor as key. `tick` may be sent there as well.\n"]
    for kind in [kind for kind in e.AUDIT_EVENTS if kind not in e.CUSTOMER_EVENTS]:
        parts += [f"### {kind}\n", _event(kind, shapes[RECEIVED[kind].__name__])]
    parts += ["## Examples\n", _body(shapes[Examples.__name__]), "### trial\n", _body(shapes[Trial.__name__])]
    parts += ["### Scored\n", _body(shapes[Scored.__name__])]
    parts += ["### champion\n", _body(shapes[Appointment.__name__])]
    parts += ["## What leaves\n", _body(shapes["CloudEvent"]), "### Drawn\n", _body(shapes[Drawn.__name__])]
    parts += ["### Braked\n", _body(shapes[Braked.__name__]), "### Points\n", _body(shapes[Points.__name__])]
    for data in dict.fromkeys(data for _, data in CLOUDEVENTS.values()):
        parts += [f"### {_types(data)}\n", _body(shapes[data.__name__])]
    return "\n".join([*parts, "## Dead letters\n", _dead_letters()])


def _tag(shape: type[Struct]) -> str:
    return str(shape.__struct_config__.tag)


def _topics() -> str:
    rows = [(f"`{t.name}`", t.key, t.writers, t.readers, t.about) for t in TOPICS]
    return _rows(("Topic", "Key", "Written by", "Read by", "What"), rows)


def _types(data: type[Struct]) -> str:
    return ", ".join(f"brewline.{name}" for name, (_, its) in CLOUDEVENTS.items() if its is data)


def _event(kind: str, shape: Json) -> str:
    who = "" if kind in NOBODY else "`who` may be missing." if RECEIVED[kind].anonymous else "Needs `who`."
    said = f"{shape['description']} {who}".rstrip()
    example = json.dumps(sample(kind), ensure_ascii=False)
    return f"{said}\n\n{_table(shape, set_by=True)}\n```json\n{example}\n```\n"


def _body(shape: Json) -> str:
    return f"{shape['description']}\n\n{_table(shape)}"


def _table(shape: Json, set_by: bool = False) -> str:
    """One row per field; with `set_by`, also who sets it."""
    fields = [(name, part) for name, part in shape["properties"].items() if not (set_by and name == "type")]
    if not fields:
        return "No fields of its own.\n"
    rows = []
    for name, part in fields:
        needed = name in shape["required"] or name == "time"
        row = (f"`{name}`", _type(part), "yes" if needed else "", part["description"])
        rows.append((*row, "Brewline" if part.get("readOnly") else "sender") if set_by else row)
    return _rows(("Field", "Type", "Required", "Meaning", *(["Set by"] if set_by else [])), rows)


def _type(part: Json) -> str:
    """A schema's type and bounds in words."""
    if not part.keys() & {"$ref", "enum", "anyOf", "type"}:
        return "any JSON"
    if "$ref" in part:
        return f"[{part['$ref'].rpartition('/')[2]}](#{part['$ref'].rpartition('/')[2].lower()})"
    if "enum" in part:
        return " or ".join(f"`{value}`" for value in part["enum"])
    if "anyOf" in part:
        return "time" if "format" in part["anyOf"][-1] else " or ".join(map(_type, part["anyOf"]))
    if part["type"] == "array":
        return f"list of {_type(part['items'])}{_bounds(part, 'Items')}"
    if part["type"] == "object":
        inner = part.get("additionalProperties")
        return f"object of {_type(inner)}" if inner else "object"
    if part["type"] == "string":
        return f"text like `{part['pattern']}`" if "pattern" in part else f"text{_bounds(part, 'Length')}"
    return str(part["type"]) + _bounds(part, "imum")


def _bounds(part: Json, what: str) -> str:
    """`, 1 to 128` of minLength and maxLength, minItems and maxItems, minimum and maximum."""
    least, most = part.get(f"min{what}"), part.get(f"max{what}")
    if most is None:
        return ""
    return f", {least} to {most}" if least is not None else f", up to {most}"


def _dead_letters() -> str:
    headers = [(f"`{name}`", part["description"]) for name, part in dead_letter_headers()["properties"].items()]
    reasons = {**dict(MARK.findall(check.__doc__ or "")), **REASONS}
    said = _rows(("Reason", "Meaning"), [(f"`{reason}`", text) for reason, text in reasons.items()])
    return f"{SENT_AGAIN}\n{_rows(('Header', 'Meaning'), headers)}\n{said}"


def _rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def files() -> dict[Path, str]:
    """Both files with what they should hold."""
    contract = document()
    return {
        DOCS / "asyncapi.json": json.dumps(contract, indent=2, ensure_ascii=False) + "\n",
        DOCS / "events.md": page(contract),
    }


def main() -> None:
    for path, text in files().items():
        path.write_text(text, "utf-8")
        print(path)


if __name__ == "__main__":
    main()
