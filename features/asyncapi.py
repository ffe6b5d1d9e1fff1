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
from features.glossary import EVENTS, FIELDS, HEADERS, Word
from features.job import Batch
from features.labels import Examples
from features.messages import Refused, dead_letter
from features.trials import Trial

Json = dict[str, Any]

VERSION = "0.1.0"
SENDER_ONLY = {"time", "who"}
SET_BY_BREWLINE = {"customer", "at_ms", "day", "tz", "region", "source", "of", *e.OF_INGEST}
MORE_THAN = {out.IssuedCoupon.__name__: out.Receipt.__name__}
MEASURED = {f"Weather.{name}" for name in e.WEATHER}  # which a sender tells there, and Brewline elsewhere
RECEIVED = {**e.SENT_EVENTS, **e.AUDIT_EVENTS}
NOBODY = {"footfall", "weather", "tick", *e.AUDIT_EVENTS}  # events of no customer
IDENTITY = "The customer id; of a group, its pseudonyms and whom it has taken in. None: not needed, or forgotten."
TIME = [{"type": "integer"}, {"type": "string"}]  # how msgspec describes features.events.Time
TURNS = ("opened", "warned", "breached", "escalated", "answered", "reopened", "closed")  # of a ticket
CLOUDEVENTS: dict[str, tuple[str, type[Struct]]] = {  # message: flow, data
    "coupon.issued": ("coupons", out.IssuedCoupon),
    "message.due": ("coupons", out.Receipt),
    "decision": ("decisions", out.Receipt),
    "coupon.redeemed": ("redemptions", out.CouponVerdict),
    "coupon.refused": ("redemptions", out.CouponVerdict),
    "coupon.revoked": ("redemptions", out.CouponVerdict),
    "coupon.restored": ("redemptions", out.CouponVerdict),
    "coupon.opened": ("redemptions", out.CouponVerdict),
    "coupon.delivered": ("dispatch", out.Delivery),
    "coupon.undeliverable": ("dispatch", out.Delivery),
    "kpi.minute": ("kpis", out.KpiMinute),
    "alert.kpi": ("kpis", out.KpiAlert),
    "alert.security": ("security", out.Finding),
    "alert.service": ("service", out.ServiceAlert),
    **{f"ticket.{what}": ("service", out.Ticket) for what in TURNS},
    "review.opened": ("abuse", out.Review),
    "review.grown": ("abuse", out.Review),
    "review.withdrawn": ("abuse", out.Review),
    "review.released": ("abuse", out.Review),
    "review.confirmed": ("abuse", out.Review),
}


class Topic(Struct, frozen=True):
    """`received` by Brewline, `sent` by it, or both."""

    name: str
    about: str
    key: str
    writers: str
    readers: str
    messages: tuple[str, ...]
    received: bool = False
    sent: bool = False


TOPICS = (
    Topic(
        "pos.events",
        "What the shops' tills and counters report.",
        "store",
        "tills",
        "ingest",
        tuple(e.SENT_EVENTS),
        received=True,
    ),
    Topic(
        "app.events",
        "What the app, the mini program, marketplaces, delivery and the coupon service report.",
        "the sender's account id",
        "apps and back ends",
        "ingest",
        tuple(e.SENT_EVENTS),
        received=True,
    ),
    Topic(
        "audit.events",
        "Who touched customer data. Rules count per actor, so the key must be the actor.",
        "actor",
        "every system that shows customer data",
        "security",
        tuple(e.AUDIT_EVENTS),
        received=True,
    ),
    Topic(
        "events",
        "Clean events: checked, with one customer id, without raw identifiers. Ticks go to every partition.",
        "customer; store where nobody is known",
        "ingest, customers, service, abuse, dispatch, `brewline forget`, `suppress`, `coupons revoke`",
        "customers, kpis, service, abuse",
        (*(f"clean.{kind}" for kind in e.CUSTOMER_EVENTS), *e.CONTROL),
        received=True,
        sent=True,
    ),
    Topic(
        "identities",
        "Whose a pseudonym is, into whom a customer was merged (`customer:<id>`), and which identifiers belong together"
        " (`group:<id>`). Compacted: a link is kept until its customer is forgotten, for Redis takes what it has lost"
        " from here.",
        "pseudonym, or as said",
        "ingest, `brewline forget`",
        "ingest",
        ("identity",),
        received=True,
        sent=True,
    ),
    Topic(
        "forgotten",
        "Tombstones of customers who were forgotten: that somebody was, and not who. Compacted: kept for ever, so that"
        " no replay brings anybody back.",
        "hash of the customer id",
        "`brewline forget`",
        "ingest, customers, service, abuse, dispatch",
        ("tombstone",),
        received=True,
        sent=True,
    ),
    Topic(
        "weather",
        "The weather of the last day, for all ingest processes. Compacted.",
        "place/number of its ten minutes, modulo a day and three hours",
        "ingest",
        "ingest",
        ("clean.weather",),
        received=True,
        sent=True,
    ),
    Topic(
        "examples",
        "Feature rows with the labels they got since, those of a batch together; and trials of rules' arms.",
        "model; of a trial, `arms|` and its rule",
        "customers",
        "learning",
        ("example", "trial"),
        received=True,
        sent=True,
    ),
    Topic(
        "kpi.partials",
        "Counts of one partition on their way to the merge. Between two steps of one flow, and no contract.",
        "dim",
        "kpis",
        "kpis",
        ("partial",),
        received=True,
        sent=True,
    ),
    Topic(
        "kpi.minutes",
        "Closed minutes of every dimension, and their corrections.",
        "dim",
        "kpis",
        "boards, warehouse",
        ("kpi.minute",),
        sent=True,
    ),
    Topic(
        "service.cases",
        "Clean events by the ticket they are about. Between two steps of one flow, and no contract.",
        "ticket",
        "service",
        "service",
        ("case",),
        received=True,
        sent=True,
    ),
    Topic(
        "tickets",
        "What becomes of complaints, low ratings and enquiries, and of what was promised for them.",
        "customer; ticket where nobody is known",
        "service",
        "contact centre, boards, warehouse",
        tuple(f"ticket.{what}" for what in TURNS),
        sent=True,
    ),
    Topic(
        "coupons",
        "Coupons and messages to hand out.",
        "customer",
        "customers",
        "dispatch, coupon service",
        ("coupon.issued", "message.due"),
        received=True,
        sent=True,
    ),
    Topic(
        "redemptions",
        "Whether a coupon may be used, and what else became of it: opened, revoked, given back.",
        "customer",
        "customers",
        "tills, coupon service, analysts, warehouse",
        ("coupon.redeemed", "coupon.refused", "coupon.revoked", "coupon.restored", "coupon.opened"),
        sent=True,
    ),
    Topic(
        "deliveries",
        "What became of each coupon at each gateway.",
        "decision",
        "dispatch",
        "coupon service, analysts, warehouse",
        ("coupon.delivered", "coupon.undeliverable"),
        sent=True,
    ),
    Topic(
        "decisions",
        "Every decision of a rule whose condition held, also those not to fire.",
        "customer",
        "customers",
        "analysts, warehouse",
        ("decision",),
        sent=True,
    ),
    Topic(
        "alerts",
        "KPIs that are unusual, findings about access to customer data, and broken promises to guests.",
        "dim of a KPI; actor of a finding; ticket of a promise",
        "kpis, security, service",
        "on-call staff, SIEM",
        ("alert.kpi", "alert.security", "alert.service"),
        sent=True,
    ),
    Topic(
        "sightings",
        "What is known of accounts and devices, on its way to who judges it; a human's decisions. Within one flow, and"
        " no contract.",
        "customer or device",
        "abuse, `brewline reviews`",
        "abuse",
        ("sighting",),
        received=True,
        sent=True,
    ),
    Topic(
        "reviews",
        "Cases of possible abuse that wait for a human, and what became of them. Compacted: the latest word on a case"
        " is all of it.",
        "case",
        "abuse",
        "reviewers, `brewline reviews`",
        ("review.opened", "review.grown", "review.withdrawn", "review.released", "review.confirmed"),
        sent=True,
    ),
    Topic(
        "dead-letters",
        "What could not be used or delivered, as it was. It holds the same personal data as the topics it came from,"
        " and needs their access rights and their retention.",
        "topic/partition/offset, of a coupon with its gateway behind",
        "every flow",
        "whoever mends it and sends it again",
        ("dead_letter",),
        sent=True,
    ),
)


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
    found["identity"] = {"contentType": "text/plain", "payload": {"type": "string", "description": IDENTITY}}
    found["tombstone"] = {
        "contentType": "text/plain",
        "payload": {"type": "string", "description": "When the customer was forgotten, epoch ms."},
    }
    found |= {"partial": {"payload": {}}, "case": {"payload": {}}, "sighting": {"payload": {}}}
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
    if kind in e.OWN or shape in (e.CouponDelivered, e.CouponRevoked):  # Brewline's own do not say where
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
    """What a field means in a shape, or in what it is more than."""
    of = (FIELDS.get(f"{name}.{field}") for name in (shape, MORE_THAN.get(shape, shape)))
    return next(filter(None, of), None) or FIELDS[field]


def _without(schema: Json, fields: tuple[str, ...]) -> None:
    schema["properties"] = {name: part for name, part in schema["properties"].items() if name not in fields}
    schema["required"] = [name for name in schema["required"] if name not in fields]


def _describe(part: Json, shape: str, field: str) -> None:
    part["description"] = word_of(shape, field).meaning
    if part.get("anyOf") == TIME:
        part["anyOf"] = [{"type": "integer"}, {"type": "string", "format": "date-time"}]
