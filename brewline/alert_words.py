"""What people say of alerts goes to a topic of its own, where the notify flow hears it."""

from __future__ import annotations

import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from typing import Literal

import msgspec
from msgspec import Struct
from rich.console import Console

from alerts.notices.alert import MATCHED, SEVERITIES
from alerts.notices.desk import State
from alerts.notices.silence import covers_everything
from alerts.notices.standing import word_message
from brewline.alerts import minute, named, read_state, wall_ms
from brewline.trail import note
from config.settings import Settings
from features.messages import digest
from features.outgoing import AlertWord
from features.times import DAY_MS, parse_duration
from features.written import hint
from operators.kafka import ensure_topics, require_kafka
from operators.writing import Post

HEARD_S, LOOK_S = 5.0, 0.05
LONGEST_DAYS = 365  # that a silence may last: what is never to be told again is taken out of the rules


class Talk(Struct, frozen=True):
    """A way to the desk: `read` what it knows, `send` a word, which Kafka then has. Both raise Unreachable."""

    read: Callable[[], State]
    send: Callable[[AlertWord], None]


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
    if word == "closed":
        _require_reason("alerts close", reason)
    talk = _talk(settings)
    said = say(talk, word, named(key, talk.read().book, "alert"), by, reason)
    out.print(f"{said.about} is {word} by {said.by}{_when(said.heard)}", soft_wrap=True, markup=False)


def say(talk: Talk, word: Literal["acknowledged", "closed"], key: str, by: str, reason: str) -> Said:
    """Of the alert of this key. Raises ValueError where there is nothing to say of it."""
    one = talk.read().book[key]
    if not one.firing:
        raise ValueError(f"alerts: {key} is {one.state} already: there is nothing to say of it")
    if word == "closed" and one.alert.ends:
        raise ValueError(
            f"alerts: {key} ends by itself, when what it tells of does; acknowledge it, or"
            f" `brewline alerts silence key={key}`"
        )
    said = AlertWord(word, key, _person(by), wall_ms(), reason)
    field = "acknowledged_ms" if word == "acknowledged" else "ended_ms"
    heard = _send(talk, said, lambda now: getattr(now.book.get(key, one), field) == said.at_ms)
    return Said(key, heard, said.by)


def silence_alerts(settings: Settings, matchers: list[str], last: str, by: str, reason: str, out: Console) -> None:
    """Sends a silence. Raises ValueError where a matcher names nothing that alerts have."""
    asked = dict[str, str]()
    for name, glob in map(_matcher, matchers):
        if name in asked:
            both = f"{name}={asked[name]} and {name}={glob}"
            raise ValueError(f"alerts silence: found {both}, and an alert has one {name}: silence each by itself")
        asked[name] = glob
    said = silence(_talk(settings), asked, last, by, reason)
    firing = f"; of what fires, it covers {said.covers}" if said.heard else ""
    out.print(f"{said.about} until {minute(said.until_ms)}{firing}{_when(said.heard)}", soft_wrap=True, markup=False)


def silence(talk: Talk, matchers: dict[str, str], last: str, by: str, reason: str) -> Said:
    """`matchers`: globs by what they match; `last`: 30m, 4h, 2d. Raises ValueError."""
    for name, glob in matchers.items():
        _require_matched(name)
        if name == "severity" and not any(fnmatchcase(word, glob) for word in SEVERITIES):
            raise ValueError(f"alerts silence: severity: found {glob!r}{hint(glob, SEVERITIES)}")
    if covers_everything(matchers):
        raise ValueError("alerts silence: that would cover every alert; name a rule, an actor, a store, ...")
    _require_reason("alerts silence", reason)
    now_ms = wall_ms()
    until_ms = now_ms + _lasting_ms(last)
    id = digest(f"{msgspec.json.encode(matchers).decode()}|{by}|{now_ms}")
    said = AlertWord("silenced", id, _person(by), now_ms, reason, matchers, until_ms)
    heard = _send(talk, said, lambda now: id in now.silences)
    covered = sum(one.silenced == id for one in talk.read().book.values() if one.firing)
    return Said(id, heard, said.by, until_ms, covered)


def end_silence(settings: Settings, silence: str, by: str, reason: str, out: Console) -> None:
    """Raises ValueError where there is no such silence, or it has ended."""
    talk = _talk(settings)
    said = unsilence(talk, named(silence, talk.read().silences, "silence"), by, reason)
    out.print(f"{said.about} is ended by {said.by}{_when(said.heard)}", soft_wrap=True, markup=False)


def unsilence(talk: Talk, id: str, by: str, reason: str) -> Said:
    """Ends the silence of this id. Raises ValueError where it has ended."""
    now_ms = wall_ms()
    if now_ms >= talk.read().silences[id].until_ms:
        raise ValueError(f"alerts: the silence {id} has ended already")
    said = AlertWord("unsilenced", id, _person(by), now_ms, reason)
    heard = _send(talk, said, lambda now: id not in now.silences or bool(now.silences[id].ended_by))
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


def _require_reason(command: str, reason: str) -> None:
    if not reason.strip():
        raise ValueError(f"{command}: --reason: found nothing, expected why, for who reads it later")


def _lasting_ms(last: str) -> int:
    try:
        lasting_ms = parse_duration(last)
    except ValueError as error:
        raise ValueError(f"alerts silence: --for: {error}") from None
    if not 0 < lasting_ms <= LONGEST_DAYS * DAY_MS:
        raise ValueError(f"alerts silence: --for: found {last!r}, expected from 1s to {LONGEST_DAYS}d")
    return lasting_ms


def _person(by: str) -> str:
    if not by.strip():
        raise ValueError("alerts: --by: found nothing, expected the name of who says so")
    return by.strip()


def _send(talk: Talk, word: AlertWord, heard: Callable[[State], bool]) -> bool:
    """Whether the notify flow has heard of it soon after. Raises Unreachable."""
    talk.send(word)
    until_s = time.monotonic() + HEARD_S
    while not (known := heard(talk.read())) and time.monotonic() < until_s:
        time.sleep(LOOK_S)
    return known


def _talk(settings: Settings) -> Talk:
    """Of one command."""
    return Talk(partial(read_state, settings), partial(_write, settings))


def _write(settings: Settings, word: AlertWord) -> None:
    note(settings, *noted(word), by=word.by)
    kafka, topic = settings.kafka, settings.topic("alert.words")
    client = kafka.librdkafka()
    require_kafka(client, kafka.start_timeout_s)
    size = {"max.message.bytes": str(kafka.max_message_bytes)}
    ensure_topics(client, [topic], kafka.partitions, kafka.replication, size)
    with Post(client) as post:
        post.write(word_message(topic, word))


def noted(word: AlertWord) -> tuple[str, str]:
    """Action and object, as the audit trail has them."""
    return f"alert_{word.word}", f"alert {word.about}"[:128]


def _when(heard: bool) -> str:
    return "" if heard else ", as soon as the notify flow hears of it: it does not seem to run"
