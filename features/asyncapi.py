"""The contract of every topic as an AsyncAPI 3.0 document.

One schema of an event serves both sides of ingest: `writeOnly` fields are the sender's and gone from the
clean topic, `readOnly` fields are set by Brewline whatever a sender puts there. Source: asyncapi.com, v3.0.0.
"""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

import msgspec
from msgspec import Struct

from features import events as e
from features import outgoing as out
from features.channels import CLOUDEVENTS, TOPICS, Topic
from features.glossary import EVENTS, FIELDS, HEADERS, Word
from features.job import Batch
from features.labels import Examples
from features.messages import Refused, dead_letter
from features.refusals import Refusals
from features.trials import Trial
from features.versions import Appointment

Json = dict[str, Any]

VERSION = "0.1.0"
SENDER_ONLY = {"time", "who"}
SET_BY_BREWLINE = {"customer", "at_ms", "day", "tz", "region", "brand", "source", "of", "issued", *e.OF_INGEST}
SAME_WORDS_AS = {
    out.IssuedCoupon.__name__: out.Receipt.__name__,
    out.BrakeTurn.__name__: out.Braked.__name__,
    e.Brake.__name__: out.Braked.__name__,
    Refusals.__name__: out.Receipt.__name__,
}
MEASURED = {f"Weather.{name}" for name in e.WEATHER}  # which a sender tells there, and Brewline elsewhere
RECEIVED = {**e.SENT_EVENTS, **e.AUDIT_EVENTS}
NOBODY = {"footfall", "weather", "tick", *e.AUDIT_EVENTS}  # events of no customer
IDENTITY = "The customer id; of a group, its pseudonyms and whom it has taken in. None: not needed, or forgotten."
TIME = [{"type": "integer"}, {"type": "string"}]  # how msgspec describes features.events.Time


def document() -> Json:
    """The AsyncAPI document, from Brewline's side."""
    operations = [(action, t) for t in TOPICS for action, does in (("receive", t.received), ("send", t.sent)) if does]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Brewline",
            "version": VERSION,
            "description": "What Brewline reads from Kafka and what it writes there. To be read: docs/events.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {f"{action}-{t.name}": _operation(action, t.name) for action, t in operations},
        "components": {"messages": messages(), "schemas": schemas()},
    }


def _channel(topic: Topic) -> Json:
    return {
        "address": topic.name,
        "description": f"{topic.about} Key: {topic.key}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in topic.messages},
    }


def _operation(action: str, topic: str) -> Json:
    return {"action": action, "channel": {"$ref": f"#/channels/{topic}"}}


def messages() -> dict[str, Json]:
    """Every message by name."""
    found = {kind: _received(kind, shape) for kind, shape in RECEIVED.items()}
    found |= {f"clean.{kind}": _clean(kind, shape) for kind, shape in e.CUSTOMER_EVENTS.items()}
    found |= {kind: {"payload": _ref(shape)} for kind, shape in e.CONTROL.items()}
    found["example"] = {"payload": _ref(Examples)}
    found["trial"] = {"payload": _ref(Trial)}
    found["appointment"] = {"payload": _ref(Appointment)}
    found["identity"] = {"contentType": "text/plain", "payload": {"type": "string", "description": IDENTITY}}
    found["tombstone"] = {
        "contentType": "text/plain",
        "payload": {"type": "string", "description": "When the customer was forgotten, epoch ms."},
    }
    found["line"] = {"payload": {"type": "object", "required": ["source", "line"]}}
    found |= {
        name: {"payload": {}} for name in ("partial", "closing", "case", "sighting", "exposure", "match", "brake.asked")
    }
    found |= {name: _cloudevent(name, flow, data) for name, (flow, data) in CLOUDEVENTS.items()}
    found["dead_letter"] = {
        "contentType": "application/octet-stream",
        "headers": dead_letter_headers(),
        "payload": {"description": "The original bytes, unchanged."},
    }
    return found


def _received(kind: str, shape: type[e.Event]) -> Json:
    """As a sender writes it: with its time and, unless the event may be anonymous, an identifier."""
    more: Json = {"required": ["time"]}
    if not shape.anonymous:
        more = {"required": ["time", "who"], "properties": {"who": {"type": "object", "minProperties": 1}}}
    return {"payload": {"allOf": [_ref(shape), more]}, "examples": [{"payload": sample(kind)}]}


def _clean(kind: str, shape: type[e.Event]) -> Json:
    """As it stands in the clean topic."""
    filled = ["at_ms", "source", "of"] if shape is e.Tick else ["at_ms", "day", "tz"]
    if kind in e.OWN or shape in (e.CouponDelivered, e.CouponRevoked, e.PointsSpent):  # Brewline's own do not say where
        filled = ["at_ms"]
    if issubclass(shape, e.Refund):
        filled += ["ordered_ms", "ordered_day"]
    filled += {e.DeliveryPromised: ["promised_ms"], e.Profile: ["birthday_ms"]}.get(shape, [])
    gone = dict.fromkeys(sorted(SENDER_ONLY), False)
    return {"payload": {"allOf": [_ref(shape), {"required": filled, "properties": gone}]}}


def _cloudevent(name: str, flow: str, data: type[Struct]) -> Json:
    fixed = {"type": {"const": f"brewline.{name}"}, "source": {"const": f"brewline/{flow}"}, "data": _ref(data)}
    return {
        "contentType": "application/cloudevents+json",
        "payload": {"allOf": [_ref(out.CloudEvent), {"properties": fixed}]},
    }


def dead_letter_headers() -> Json:
    """The headers that every dead letter has, all of them text."""
    letter = dead_letter("", Batch("", 0, -1, [0], [b""], [0]), 0, Refused(""))
    texts = {name: {"type": "string", "description": HEADERS[name]} for name in letter.headers}
    return {"type": "object", "required": list(texts), "properties": texts}


def sample(kind: str) -> Json:
    """An event of this kind, as a sender might write it, with all fields that are its own."""
    shape = RECEIVED[kind]
    common = ["id", "time", *(["who"] if kind not in NOBODY else []), *(["store"] if kind != "tick" else [])]
    names = [*common, *(name for name in own_fields(shape) if not set_by_brewline(shape.__name__, name))]
    return {"type": kind, **{name: word_of(shape.__name__, name).sample for name in names}}


def set_by_brewline(shape: str, field: str) -> bool:
    return field in SET_BY_BREWLINE and f"{shape}.{field}" not in MEASURED


def own_fields(shape: type[Struct]) -> list[str]:
    """Fields that are not those of all events."""
    common = e.Event.__struct_fields__ if issubclass(shape, e.Event) else ()
    return [name for name in shape.__struct_fields__ if name not in common]


def _ref(shape: type[Struct]) -> Json:
    return {"$ref": f"#/components/schemas/{shape.__name__}"}


def schemas() -> dict[str, Json]:
    """JSON Schema of every type, by class name, in words as well as in types."""
    shapes = [
        e.Event,
        *RECEIVED.values(),
        *e.OWN.values(),
        *e.CONTROL.values(),
        Examples,
        Trial,
        Appointment,
        out.CloudEvent,
        *(data for _, data in CLOUDEVENTS.values()),
    ]
    _, found = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    kinds = {shape.__name__: kind for kind, shape in {**RECEIVED, **e.OWN, **e.CONTROL}.items()}
    for name, schema in found.items():
        schema["description"] = cleandoc(schema.get("description") or EVENTS[kinds[name]])
        if name in kinds:
            _without(schema, e.Event.__struct_fields__)
            schema["allOf"] = [_ref(e.Event)]
        for field, part in schema["properties"].items():
            _describe(part, name, field)
            if name in {"Event", *kinds} and (field in SENDER_ONLY or set_by_brewline(name, field)):
                part["writeOnly" if field in SENDER_ONLY else "readOnly"] = True
    return found


def word_of(shape: str, field: str) -> Word:
    """What a field means in a shape, or in the one whose words it shares."""
    of = (FIELDS.get(f"{name}.{field}") for name in (shape, SAME_WORDS_AS.get(shape, shape)))
    return next(filter(None, of), None) or FIELDS[field]


def _without(schema: Json, fields: tuple[str, ...]) -> None:
    schema["properties"] = {name: part for name, part in schema["properties"].items() if name not in fields}
    schema["required"] = [name for name in schema["required"] if name not in fields]


def _describe(part: Json, shape: str, field: str) -> None:
    part["description"] = word_of(shape, field).meaning
    if part.get("anyOf") == TIME:
        part["anyOf"] = [{"type": "integer"}, {"type": "string", "format": "date-time"}]
