"""What people say of alerts goes to a topic of its own, where the notify flow hears it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import Struct
from rich.console import Console

from alerts.notices.alert import MATCHED
from alerts.notices.desk import State
from alerts.notices.standing import word_message
from brewline.alerts import minute, named, read_state, wall_ms
from brewline.trail import note
from config.settings import Settings
from features.messages import digest
from features.outgoing import AlertWord
from features.times import parse_duration
from features.written import hint
from operators.kafka import Unreachable, ensure_topics, producer, require_kafka

SENT_S, HEARD_S = 10.0, 5.0


class Said(Struct):
    """A word on an alert or a silence. `heard`: the notify flow has heard of it; `covers`: alerts that fire."""

    about: str
    heard: bool
    by: str
    until_ms: int = 0
    covers: int = 0


def say_of_alert(
    settings: Settings, word: Literal["acknowledged", "closed"], key: str, by: str, reason: str, out: Console
) -> None:
    """Sends a person's word on an alert. Raises ValueError where there is none, or nothing to say of it."""
    said = say(settings, word, named(key, read_state(settings).book, "alert"), by, reason)
    out.print(f"{said.about} is {word} by {said.by}{_when(said.heard)}", soft_wrap=True)


def say(settings: Settings, word: Literal["acknowledged", "closed"], key: str, by: str, reason: str) -> Said:
    """Of the alert of this key. Raises ValueError where there is nothing to say of it."""
    one = read_state(settings).book[key]
    if not one.firing:
        raise ValueError(f"alerts: {key} is {one.state} already: there is nothing to say of it")
    if word == "closed" and one.alert.ends:
        raise ValueError(
            f"alerts: {key} ends by itself, when what it tells of does; acknowledge it, or"
            f" `brewline alerts silence key={key}`"
        )
    said = AlertWord(word, key, _person(by), wall_ms(), reason)
    field = "acknowledged_ms" if word == "acknowledged" else "ended_ms"
    heard = _send(settings, said, lambda now: getattr(now.book.get(key, one), field) == said.at_ms)
    return Said(key, heard, said.by)


def silence_alerts(settings: Settings, matchers: list[str], last: str, by: str, reason: str, out: Console) -> None:
    """Sends a silence. Raises ValueError where a matcher names nothing that alerts have."""
    said = silence(settings, dict(map(_matcher, matchers)), last, by, reason)
    firing = f"; of what fires, it covers {said.covers}" if said.heard else ""
    out.print(f"{said.about} until {minute(said.until_ms)}{firing}{_when(said.heard)}", soft_wrap=True)


def silence(settings: Settings, matchers: dict[str, str], last: str, by: str, reason: str) -> Said:
    """`matchers`: globs by what they match; `last`: 30m, 4h, 2d. Raises ValueError."""
    for name in matchers:
        _require_matched(name)
    if all(set(glob) <= {"*"} for glob in matchers.values()):
        raise ValueError("alerts silence: that would cover every alert; name a rule, an actor, a store, ...")
    if not reason.strip():
        raise ValueError("alerts silence: --reason: found nothing, expected why, for who reads it later")
    now_ms = wall_ms()
    until_ms = now_ms + parse_duration(last)
    id = digest(f"{msgspec.json.encode(matchers).decode()}|{by}|{now_ms}")
    said = AlertWord("silenced", id, _person(by), now_ms, reason, matchers, until_ms)
    heard = _send(settings, said, lambda now: id in now.silences)
    covered = sum(one.silenced == id for one in read_state(settings).book.values() if one.firing)
    return Said(id, heard, said.by, until_ms, covered)


def end_silence(settings: Settings, silence: str, by: str, reason: str, out: Console) -> None:
    """Raises ValueError where there is no such silence, or it has ended."""
    said = unsilence(settings, named(silence, read_state(settings).silences, "silence"), by, reason)
    out.print(f"{said.about} is ended by {said.by}{_when(said.heard)}", soft_wrap=True)


def unsilence(settings: Settings, id: str, by: str, reason: str) -> Said:
    """Ends the silence of this id. Raises ValueError where it has ended."""
    now_ms = wall_ms()
    if now_ms >= read_state(settings).silences[id].until_ms:
        raise ValueError(f"alerts: the silence {id} has ended already")
    said = AlertWord("unsilenced", id, _person(by), now_ms, reason)
    heard = _send(settings, said, lambda now: id not in now.silences or bool(now.silences[id].ended_by))
    return Said(id, heard, said.by)


def _matcher(text: str) -> tuple[str, str]:
    name, equals, glob = text.partition("=")
    if not equals or not glob:
        raise ValueError(f"alerts silence: found {text!r}, expected name=glob, such as actor='till-*'")
    _require_matched(name)
    return name, glob


def _require_matched(name: str) -> None:
    if name not in MATCHED:
        raise ValueError(f"alerts silence: alerts have no {name!r}{hint(name, MATCHED)}")


def _person(by: str) -> str:
    if not by.strip():
        raise ValueError("alerts: --by: found nothing, expected the name of who says so")
    return by.strip()


def _send(settings: Settings, word: AlertWord, heard: Callable[[State], bool]) -> bool:
    """Sends it to Kafka; whether the notify flow has heard of it soon after. Raises Unreachable."""
    note(settings, f"alert_{word.word}", f"alert {word.about}"[:128], by=word.by)
    kafka, topic = settings.kafka, settings.topic("alert.words")
    client = kafka.librdkafka()
    require_kafka(client, kafka.start_timeout_s)
    size = {"max.message.bytes": str(kafka.max_message_bytes)}
    ensure_topics(client, [topic], kafka.partitions, kafka.replication, size)
    message = word_message(topic, word)
    sender, taken = producer(client), list[bool]()
    sender.produce(
        *(message.topic, message.value, message.key), on_delivery=lambda error, _: taken.append(error is None)
    )
    if sender.flush(SENT_S) or not all(taken):
        raise Unreachable("Kafka did not take the word; the same command may be given again")
    until_s = time.monotonic() + HEARD_S
    while not (known := heard(read_state(settings))) and time.monotonic() < until_s:
        time.sleep(0.1)
    return known


def _when(heard: bool) -> str:
    return "" if heard else ", as soon as the notify flow hears of it: it does not seem to run"
