"""Dead letters: what there are and why, and sending them again, once what was wrong is mended."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Event
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from msgspec import DecodeError, Struct, to_builtins
from msgspec.json import decode, encode, format
from msgspec.structs import replace
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Column, Table

from brewline.sender import NotDelivered
from config.settings import Settings
from features.job import Message as Sent
from features.times import parse_time, rfc3339
from features.written import hint
from operators.kafka import Unreachable, consumer, produce, producer, require_kafka
from operators.resent import HEADER
from operators.topic import Bounds, bounds_of, read_to_end

ASK_S = 10.0
NOWHERE = {KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART}
SHOWN = 1_000  # bytes of a value
KEY = re.compile(r"[a-z][a-z_]{0,31}")  # what a key of ours looks like; others may be anything

Raw = bytes  # a field of the letter has that name


class Letter(Struct):
    """One dead letter. `topic`, without prefix, `partition` and `offset` say where the record came from; `bytes` is its
    size there, `whole` whether the letter has all of it. The value itself may hold personal data."""

    id: str
    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    at_ms: int
    bytes: int
    whole: bool
    value: Raw = b""


class Asked(Struct, frozen=True):
    """Which letters are meant; empty: all."""

    reason: str = ""
    topic: str = ""
    ids: tuple[str, ...] = ()

    def means(self, letter: Letter) -> bool:
        return (
            self.reason in ("", letter.reason)
            and self.topic in ("", letter.topic)
            and (not self.ids or letter.id in self.ids)
        )


def read_letters(settings: Settings, asked: Asked, out: Console, values: bool) -> list[Letter]:
    """Those that are meant, oldest first, each id once, with or without their values. Raises Unreachable, and
    ValueError for an id, a reason or a topic that none has."""
    client, topic, group = _reached(settings)
    bounds = bounds_of(client, topic, group)
    found: dict[str, Letter] = {}
    reasons, topics = set[str](), set[str]()
    for letter in _letters(_messages(client, topic, group, bounds, out), settings.kafka.topic_prefix):
        reasons.add(letter.reason)
        topics.add(letter.topic)
        if asked.means(letter):
            found[letter.id] = letter if values else replace(letter, value=b"")
    for said, known, what in ((asked.reason, reasons, "reason"), (asked.topic, topics, "topic")):
        if said and said not in known:
            there = hint(said, known) if known else "; there are none at all"
            raise ValueError(f"no dead letter has the {what} {said!r}{there}")
    if missing := [id for id in asked.ids if id not in found]:
        raise ValueError(f"there is no dead letter {missing[0]!r}; `brewline dead-letters list` shows their ids")
    return sorted(found.values(), key=lambda letter: (letter.at_ms, letter.id))


def latest_letters(settings: Settings, most: int) -> tuple[list[Letter], int]:
    """About so many of the latest, oldest first, each id once; and how many older records there are.

    Raises Unreachable.
    """
    client, topic, group = _reached(settings)
    bounds = bounds_of(client, topic, group)
    each = max(1, most // max(1, len(bounds)))
    late = {place: (max(first, end - each), end) for place, (first, end) in bounds.items()}
    older = sum(late[place][0] - first for place, (first, _) in bounds.items())
    parts = read_to_end(client, topic, group, late)
    found = {one.id: one for part in parts for one in _letters(part, settings.kafka.topic_prefix)}
    return sorted(found.values(), key=lambda letter: (letter.at_ms, letter.id)), older


def _reached(settings: Settings) -> tuple[dict[str, Any], str, str]:
    """Client, topic and a group of its own. Raises Unreachable."""
    client = settings.kafka.librdkafka()
    require_kafka(client, settings.kafka.start_timeout_s)
    return client, settings.topic("dead-letters"), f"brewline-letters-{uuid4().hex[:8]}"


def masked(value: bytes) -> str:
    """A record's shape: of JSON the keys stay and values are masked; of other text all letters and digits are."""
    try:
        return format(encode(_masked(decode(value)))).decode()
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return _hidden(value.decode("utf-8", "replace"))


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key if KEY.fullmatch(key) else _hidden(key): _masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    return value if value is None or isinstance(value, bool) else _hidden(f"{value}")


def _hidden(text: str) -> str:
    return "".join("0" if sign.isdigit() else "x" if sign.isalpha() else sign for sign in text)


def _messages(client: dict[str, Any], topic: str, group: str, bounds: Bounds, out: Console) -> Iterator[Message]:
    total = sum(end - first for first, end in bounds.values())
    with Progress(console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("reading dead letters", total=total)
        for messages in read_to_end(client, topic, group, bounds):
            bar.advance(task, len(messages))
            yield from messages


def _letters(messages: Iterable[Message], prefix: str) -> Iterator[Letter]:
    """Those that are ours: others may write to a topic of this name, too."""
    for message in messages:
        try:
            yield _letter(message, prefix)
        except (KeyError, ValueError):
            continue


def _letter(message: Message, prefix: str) -> Letter:
    """Raises KeyError, ValueError."""
    said = {name: (value or b"").decode("utf-8", "replace") for name, value in message.headers() or ()}  # type: ignore[union-attr, str-unpack]
    value = message.value() or b""
    return Letter(
        id=said["ce_id"],
        reason=said["reason"],
        detail=said["detail"],
        topic=said["source_topic"].removeprefix(prefix),
        partition=int(said["source_partition"]),
        offset=int(said["source_offset"]),
        at_ms=parse_time(said["ce_time"]),
        bytes=int(said.get("whole_bytes", len(value))),
        whole="whole_bytes" not in said,
        value=value,
    )


def sum_up(letters: Sequence[Letter], out: Console) -> list[dict[str, Any]]:
    """Prints how many there are of each reason and topic."""
    groups: defaultdict[tuple[str, str], list[Letter]] = defaultdict(list)
    for letter in letters:
        groups[letter.topic, letter.reason].append(letter)
    table = Table("topic", "reason", "letters", "first", "latest", "for example", box=SIMPLE_HEAD)
    rows = []
    for (topic, reason), group in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        first, latest = rfc3339(group[0].at_ms)[:19], rfc3339(group[-1].at_ms)[:19]
        table.add_row(escape(topic), escape(reason), f"{len(group):,}", first, latest, escape(group[-1].detail))
        rows.append({"topic": topic, "reason": reason, "letters": len(group), "first": first, "latest": latest})
    out.print(table if rows else "There are no dead letters.")
    return rows


def show_letters(letters: Sequence[Letter], out: Console) -> list[dict[str, Any]]:
    """Prints one a line, without their values."""
    table = Table(Column("id", overflow="fold"), "time", "reason", "detail", "bytes", box=SIMPLE_HEAD)
    for letter in letters:
        said = map(escape, (letter.id, rfc3339(letter.at_ms)[:19], letter.reason, letter.detail))
        table.add_row(*said, f"{letter.bytes:,}")
    out.print(table if letters else "There are no such dead letters.")
    return [{k: v for k, v in to_builtins(letter).items() if k != "value"} for letter in letters]


def show_letter(letter: Letter, with_value: bool, out: Console) -> None:
    for name, value in (
        ("id", letter.id),
        ("time", rfc3339(letter.at_ms)),
        ("reason", letter.reason),
        ("detail", letter.detail or "–"),
        ("record", f"{letter.topic}, partition {letter.partition}, offset {letter.offset}, {letter.bytes:,} bytes"),
    ):
        out.print(f"{name:<8}{value}", soft_wrap=True, highlight=False, markup=False)
    if with_value:
        cut = "" if letter.whole and letter.bytes <= SHOWN else f" … ({letter.bytes:,} bytes in all)"
        text = letter.value[:SHOWN].decode("utf-8", "backslashreplace")
        out.print(f"{'value':<8}{text}{cut}", soft_wrap=True, highlight=False, markup=False)
    else:
        out.print("The value may hold personal data: --value prints it.")


def resend(settings: Settings, letters: Sequence[Letter], by: str, out: Console) -> int:
    """As `send_again`, with a bar, and a line for each that is left out."""
    with Progress(console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("sending again", total=len(letters))

        def done(letter: Letter, sent: bool) -> None:
            bar.advance(task)
            if not sent:
                cut = f"the letter has a part of it only, and {letter.topic} no longer has it"
                why = f"Kafka has no such partition of a topic {letter.topic}" if letter.whole else cut
                out.print(f"{letter.id}: left out: {why}", markup=False, soft_wrap=True)

        return send_again(settings, letters, by, done)


def send_again(
    settings: Settings, letters: Sequence[Letter], by: str, done: Callable[[Letter, bool], None] = lambda *_: None
) -> int:
    """Sends records again to the partition they came from, under the key they had while the topic still has them; those
    that the letter was cut of come from there, and those of what is no topic are left out, such as a timer's. `done`
    hears of each. Returns how many were sent. Raises NotDelivered, Unreachable.
    """
    client = settings.kafka.librdkafka()
    sender, failures = producer(client, message_timeout_ms=30_000), list[str]()
    reader = consumer(client, f"brewline-letters-{uuid4().hex[:8]}")
    sent = 0
    try:
        for letter in letters:
            topic = settings.topic(letter.topic)
            key, value = _original(reader, topic, letter)
            if value is not None:
                again = Sent(topic, key, value, {HEADER: letter.id, "resent_by": by})
                _put(sender, again, letter.partition, failures)
                sent += 1
            done(letter, value is not None)
    finally:
        sender.flush(ASK_S * 3)
        reader.close()
    if failures:
        raise NotDelivered(f"{len(failures)} records were not delivered; the first: {failures[0]}")
    return sent


def _put(sender: Producer, message: Sent, partition: int, failures: list[str]) -> None:
    def delivered(error: KafkaError | None, _: Any) -> None:
        if error is not None:
            failures.append(error.str())

    try:
        produce(sender, message, Event(), partition=partition, on_delivery=delivered)
    except KafkaException as error:  # too large with its headers
        failures.append(error.args[0].str())
    sender.poll(0)


def _original(reader: Consumer, topic: str, letter: Letter) -> tuple[str, bytes | None]:
    """Key and value as they stand in the topic; without them no key, and the value that the letter has."""
    kept = letter.value if letter.whole else None
    place = TopicPartition(topic, letter.partition, letter.offset)
    try:
        first, end = reader.get_watermark_offsets(place, timeout=ASK_S)
        if not first <= letter.offset < end:
            return "", kept
        reader.assign([place])
        message = reader.poll(ASK_S)
    except KafkaException as error:
        if error.args[0].code() in NOWHERE:
            return "", None
        raise Unreachable(f"Kafka topic {topic} does not tell what it has: {error.args[0].str()}") from error
    if message is None or message.error() is not None or message.offset() != letter.offset:
        return "", kept
    return (message.key() or b"").decode("utf-8", "replace"), message.value() or b""
