"""What people say of alerts goes to a topic of its own, where the notify flow hears it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import msgspec
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


def say_of_alert(
    settings: Settings, word: Literal["acknowledged", "closed"], key: str, by: str, reason: str, out: Console
) -> None:
    """Sends a person's word on an alert. Raises ValueError where there is none, or nothing to say of it."""
    state = read_state(settings)
    found = named(key, state.book, "alert")
    one = state.book[found]
    if not one.firing:
        raise ValueError(f"alerts: {found} is {one.state} already: there is nothing to say of it")
    if word == "closed" and one.alert.ends:
        raise ValueError(
            f"alerts: {found} ends by itself, when what it tells of does; acknowledge it, or"
            f" `brewline alerts silence key={found}`"
        )
    said = AlertWord(word, found, _person(by), wall_ms(), reason)
    field = "acknowledged_ms" if word == "acknowledged" else "ended_ms"
    heard = _send(settings, said, lambda now: getattr(now.book.get(found, one), field) == said.at_ms)
    out.print(f"{found} is {word} by {said.by}{_when(heard)}", soft_wrap=True)


def silence_alerts(settings: Settings, matchers: list[str], last: str, by: str, reason: str, out: Console) -> None:
    """Sends a silence. Raises ValueError where a matcher names nothing that alerts have."""
    found, now_ms = dict(map(_matcher, matchers)), wall_ms()
    if all(set(glob) <= {"*"} for glob in found.values()):
        raise ValueError("alerts silence: that would cover every alert; name a rule, an actor, a store, ...")
    if not reason.strip():
        raise ValueError("alerts silence: --reason: found nothing, expected why, for who reads it later")
    until_ms = now_ms + parse_duration(last)
    id = digest(f"{msgspec.json.encode(found).decode()}|{by}|{now_ms}")
    said = AlertWord("silenced", id, _person(by), now_ms, reason, found, until_ms)
    heard = _send(settings, said, lambda now: id in now.silences)
    state = read_state(settings)
    covered = sum(one.silenced == id for one in state.book.values() if one.firing)
    firing = f"; of what fires, it covers {covered}" if heard else ""
    out.print(f"{id} until {minute(until_ms)}{firing}{_when(heard)}", soft_wrap=True)


def end_silence(settings: Settings, silence: str, by: str, reason: str, out: Console) -> None:
    """Raises ValueError where there is no such silence, or it has ended."""
    state, now_ms = read_state(settings), wall_ms()
    id = named(silence, state.silences, "silence")
    if now_ms >= state.silences[id].until_ms:
        raise ValueError(f"alerts: the silence {id} has ended already")
    said = AlertWord("unsilenced", id, _person(by), now_ms, reason)
    heard = _send(settings, said, lambda now: id not in now.silences or bool(now.silences[id].ended_by))
    out.print(f"{id} is ended by {said.by}{_when(heard)}", soft_wrap=True)


def _matcher(text: str) -> tuple[str, str]:
    name, equals, glob = text.partition("=")
    if not equals or not glob:
        raise ValueError(f"alerts silence: found {text!r}, expected name=glob, such as actor='till-*'")
    if name not in MATCHED:
        raise ValueError(f"alerts silence: alerts have no {name!r}{hint(name, MATCHED)}")
    return name, glob


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
