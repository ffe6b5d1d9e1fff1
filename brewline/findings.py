"""What stands behind a security alert: the events that are its evidence, and what is known of who caused them."""

from __future__ import annotations

import re
from math import expm1
from typing import Any
from uuid import uuid4

from confluent_kafka import KafkaException, TopicPartition
from msgspec import MsgspecError, Struct
from redis import Redis

from alerts.notices.standing import Standing
from alerts.security import cases, habits
from alerts.security.habits import FAR
from alerts.security.moments import Moments
from config.settings import Settings
from features.audited import Audit
from features.events import decode_audit
from features.partitions import partition_of
from features.times import parse_time
from operators.kafka import Unreachable, consumer, require_kafka
from operators.layout import stored_partitions
from operators.store import PartitionStore
from operators.topic import Bounds, bounds_of, read_to_end

MOST_READ = 20_000  # records of a partition, before the alert was heard of
SLACK_MS = 60_000
SHOWN = ("role", "purpose", "store", "device", "result")  # fields that name no customer


class Sample(Struct):
    """An event of the evidence; what may name a customer is left out or masked."""

    id: str
    at_ms: int
    actor: str
    action: str
    object: str
    rows: int
    fields: list[str]
    client_ip: str
    more: dict[str, str]


class Reason(Struct):
    """What added to an actor's risk."""

    at_ms: int
    name: str
    points: float
    why: str


class Usual(Struct):
    """Of a day: the mean, and from where on it is far above."""

    mean: float
    limit: float
    days: int


class Actor(Struct):
    """Risk, case and habits of who is behind a finding. `hours`: by weekday from Monday, a bit for each hour met."""

    actor: str
    score: float
    limit: float
    case: str
    findings: int
    reasons: list[Reason]
    known: bool
    rows: Usual
    customers: Usual
    rows_today: int
    customers_today: int
    hours: list[int]
    last_ms: int


def read_actor(redis: Redis, prefix: str, actor: str) -> Actor | None:
    """None where nothing is known of them."""
    partitions = stored_partitions(redis, prefix, "audit.events")
    if not partitions:
        return None
    store, place = PartitionStore(redis, prefix, "security"), partition_of(actor, partitions)
    stored = store.records(place, [cases.record(actor), habits.record(actor)])
    if not any(stored):
        return None
    case = cases.decode_case(stored[0]) if stored[0] else cases.Case()
    habit = habits.decode_habit(stored[1]) if stored[1] else habits.Habit()
    return Actor(
        actor=actor,
        score=round(case.score, 1),
        limit=cases.LIMIT,
        case=case.id,
        findings=case.findings,
        reasons=[Reason(one.at_ms, one.name, one.points, one.why) for one in case.reasons],
        known=habit.known,
        rows=_usual(habit.volume),
        customers=_usual(habit.breadth),
        rows_today=habit.rows,
        customers_today=len(habit.customers),
        hours=habit.hours,
        last_ms=habit.last_ms,
    )


def _usual(moments: Moments) -> Usual:
    if not moments.count:
        return Usual(0.0, 0.0, 0)
    return Usual(expm1(moments.mean), expm1(moments.limit(FAR)), moments.count)


def read_samples(settings: Settings, one: Standing) -> list[Sample]:
    """Events of its evidence that Kafka still has shortly before it was heard of. Raises Unreachable."""
    ids = set(one.alert.evidence)
    client, topic, group = (
        settings.kafka.librdkafka(),
        settings.topic("audit.events"),
        f"brewline-evidence-{uuid4().hex[:8]}",
    )
    require_kafka(client, settings.kafka.start_timeout_s)
    since_ms = one.opened_ms - max(0, one.alert.at_ms - one.alert.started_ms) - SLACK_MS
    bounds = _between(client, topic, group, since_ms, one.heard_ms + SLACK_MS)
    found: dict[str, Sample] = {}
    for records in read_to_end(client, topic, group, bounds):
        for record in records:
            event = _event(record.value() or b"", ids)
            if event is not None:
                found[event.id] = _sample(event)
        if len(found) == len(ids):
            break
    return sorted(found.values(), key=lambda sample: (sample.at_ms, sample.id))


def _between(client: dict[str, Any], topic: str, group: str, from_ms: int, to_ms: int) -> Bounds:
    """The offsets of these Kafka times, MOST_READ of a partition at most. Raises Unreachable."""
    whole = bounds_of(client, topic, group)
    asker = consumer(client, group)
    try:
        firsts, ends = (
            {place.partition: place.offset for place in asker.offsets_for_times(asked, timeout=10)}
            for asked in ([TopicPartition(topic, p, max(0, at_ms)) for p in whole] for at_ms in (from_ms, to_ms))
        )
    except KafkaException as error:
        raise Unreachable(f"Kafka topic {topic} does not tell its offsets: {error.args[0].str()}") from error
    finally:
        asker.close()
    bounds = {}
    for place, (first, end) in whole.items():
        last = ends[place] if 0 <= ends[place] <= end else end
        since = firsts[place] if 0 <= firsts[place] <= end else first
        bounds[place] = (max(first, since, last - MOST_READ), last)
    return bounds


def _event(raw: bytes, ids: set[str]) -> Audit | None:
    try:
        event = decode_audit(raw)
    except (MsgspecError, UnicodeDecodeError):
        return None
    return event if isinstance(event, Audit) and event.id in ids else None


def _sample(event: Audit) -> Sample:
    return Sample(
        id=event.id,
        at_ms=event.time if isinstance(event.time, int) else parse_time(event.time),
        actor=event.actor,
        action=getattr(event, "action", "export"),
        object=masked_object(event.object),
        rows=event.rows,
        fields=event.fields[:20],
        client_ip=masked_address(event.client_ip),
        more={name: text for name in SHOWN if (text := f"{getattr(event, name, '')}")},
    )


def masked_object(text: str) -> str:
    """What kind of thing it was: a word with a digit may be a customer, a card or a phone, one with an @ their mail."""
    return " ".join("•••" if re.search(r"[\d@]", word) else word for word in re.split(r"[\s:/]+", text))


def masked_address(text: str) -> str:
    """The network; the last part of an address may be one person's home."""
    head, mark, _ = text.rpartition(":" if ":" in text else ".")
    return f"{head}{mark}•" if mark else "•" * bool(text)
