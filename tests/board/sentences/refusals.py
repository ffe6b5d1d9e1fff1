"""What is refused: answers to people, dead letters, complaints of flows. Most of it is read in the source."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
from redis.exceptions import AuthenticationError, ConnectionError, RedisError

from board.access.gate import PURPOSE
from board.api.alerts import OTHERS, STAFF
from board.api.alerts import Asked as AlertsAsked
from board.app import ENDPOINTS
from board.endpoint import Nothing
from brewline.models.appointing import _kept
from features.events import decode_event
from features.times import parse_duration
from operators.footprint import KINDS, kind_of
from operators.health import Pulse
from operators.kafka import REFUSALS
from operators.redis_link import UNTRUSTED, unreachable
from tests.board.sentences.sentence import NAME, Sentence, python_files, written

ASKED = (  # what the board calls, and what may say no
    *("board", "operators/customers.py", "operators/kpis.py", "operators/redis_link.py", "operators/topic.py"),
    *(
        "operators/kafka.py",
        "operators/writing.py",
        "brewline/switch.py",
        "brewline/alert_words.py",
        "brewline/brake.py",
    ),
    *("brewline/models", "brewline/reading.py", "brewline/findings.py"),
)
NOT_ASKED = ("brewline/models/shown.py", "board/access/users.py")  # by the command line alone
TOLD_APART = (  # with what may stand in their blanks
    *(
        f"this opens {NAME} of",
        f"Kafka at {NAME} {NAME}:",
        f"{NAME} does not answer (",
        f"{NAME} refuses us",
        f"{NAME} is not trusted",
    ),
    *(
        f"alerts: {NAME} is {NAME} already",
        f"alerts silence: --for: {NAME}",
        f"{NAME} is paused there",
        f"{NAME} is not paused",
    ),
    *(
        f"models rollback: no champion of {NAME}",
        f"models: {NAME} has no version",
        f"models: version 7 of {NAME} cannot",
    ),
)
NO_FORMER = "models rollback: no champion of churn_risk before the present one is kept"
SETTINGS = (
    "kind",
    "store",
    "[redis] url (rediss://)",
    "[redis] url",
    "BREWLINE_REDIS__URL",
    "[kafka] brokers",
    "[kafka] security_protocol",
    "BREWLINE_KAFKA__BROKERS",
    "Redis",
    "Kafka",
)
SAY_NO = ("CannotSwitch", "Unreachable", "UnknownCustomer", "NoState", "ValueError")
TROUBLES = ("operators/source.py", "operators/courier.py", "operators/keeping.py")
BAD = (  # what msgspec says of them
    *(b'{"type":"rating","id":"a","time":1,"stars":"x"}', b'{"type":"rating","id":"a","time":1,"stars":77}'),
    *(
        b'{"type":"rating","id":"a","time":1}',
        b'{"type":"rating","id":"","time":1,"stars":2}',
        b'{"type":"nothing"}',
        b"{}",
        b"{",
        b"x",
    ),
    *(
        b'{"type":"rating","id":"' + b"a" * 600 + b'","time":1,"stars":2}',
        b'{"type":"rating","id":7,"time":1,"stars":2}',
    ),
    *(
        b'{"type":"weather","id":"a","time":1,"place":"p","temp_c":-200}',
        b'{"type":"profile","id":"a","time":1,"birthday":"x"}',
    ),
)


def sentences() -> list[Sentence]:
    return [*problems(), *letters(), *decoded(), *complaints(), *others()]


def problems() -> Iterator[Sentence]:
    for file in python_files(*ASKED):
        found = [*written(file, ("Problem",), 1)]
        found += [] if file in NOT_ASKED else written(file, SAY_NO, 0)
        found += written(file, ("Refused",), 0) if file == "board/access/oidc.py" else []
        for text, names, at in found:
            if not text.startswith(TOLD_APART):
                yield Sentence(text, "problem", at, (*names, *SETTINGS))
    for text, names, at in [
        *written("board/backtests.py", ("Line",), "error"),
        *written("brewline/letters.py", ("Unreachable",), 0),
    ]:
        yield Sentence(text, "problem", at, tuple(names))
    yield from (Sentence(text, "problem", at, tuple(names)) for text, at, *names in filled())
    for of in (Nothing, AlertsAsked):
        try:
            msgspec.convert({"severity": "none"}, of)
        except msgspec.ValidationError as error:
            yield Sentence(f"{error}", "problem", "msgspec", ("none", "severity"))


def filled() -> Iterator[tuple[str, ...]]:
    """Those in whose blanks other sentences stand: text, where, names."""
    for endpoint in ENDPOINTS:
        if endpoint.personal:
            yield (
                f"this opens {endpoint.personal} of a customer: say what for in the header {PURPOSE}",
                "board/access/gate.py",
                PURPOSE,
            )
    for kind in (*OTHERS, STAFF):
        yield f"on a {kind} alert others decide: the security team", "board/api/alerts.py: _require_acts"
    for code, said in REFUSALS.items():
        yield f"Kafka at kafka:9092 {said}: {NAME}", f"operators/kafka.py: REFUSALS, {code}", NAME, "kafka:9092"
    for error in (RedisError(NAME), AuthenticationError(NAME), ConnectionError(f"{UNTRUSTED} {NAME}")):
        yield (
            f"{unreachable('redis://cache:6379', error)}",
            "operators/redis_link.py: unreachable",
            f"{error}",
            "redis://cache:6379",
            *SETTINGS,
        )
    for faults in (dict[int, str](), {1: ""}, {1: "", 2: ""}):
        known: Any = SimpleNamespace(
            faults=faults, versions=SimpleNamespace(kept=[SimpleNamespace(number=n) for n in faults])
        )
        for said in (
            "models: churn_risk has no version 9",
            "models: version 1 of churn_risk cannot score: layout",
            NO_FORMER,
        ):
            yield f"{said}; {_kept(known)}", "brewline/models/appointing.py", "churn_risk"
    for place in ("everywhere", "at store S1", "at region east"):
        told = f"spring is not paused {place}; what is paused: nothing"
        yield told, "brewline/brake.py: resume", "spring", "S1", "east", "nothing"
    yield (
        "spring is paused there already, by mei since 2026-05-04T12:30:00.000Z",
        "brewline/brake.py: pause",
        "spring",
        "mei",
    )
    for state in ("resolved", "closed"):
        yield f"alerts: k1 is {state} already: there is nothing to say of it", "brewline/alert_words.py: say", "k1"
    try:
        parse_duration("soon")
    except ValueError as error:
        yield f"{error}", "features/times.py: parse_duration", "soon"
        yield f"alerts silence: --for: {error}", "brewline/alert_words.py: _lasting_ms", "soon"


def letters() -> Iterator[Sentence]:
    for file in python_files("features", "alerts", "operators"):
        for text, names, at in written(file, ("Refused",), 0):
            yield Sentence(text, "reason", at, tuple(names))
        for text, names, at in written(file, ("Refused",), 1):
            yield Sentence(text, "detail", at, (*names, "%m [%p] %q%u@%d %h"))
    for what in ("phone is no phone number", "phone is not a possible phone number"):  # of a friend
        yield Sentence(f"friend: {what}", "detail", "features/clean.py")


def decoded() -> Iterator[Sentence]:
    for raw in BAD:
        try:
            decode_event(raw)
        except msgspec.DecodeError as error:
            yield Sentence(f"{error}", "detail", "msgspec", ("invalid character (byte 0)",))


def complaints() -> Iterator[Sentence]:
    now = [0.0]
    for beats in (("0",), ("0", "1")):
        now[0], pulse = 0.0, Pulse(15.0, lambda: now[0])
        for partition in beats:
            pulse.beat(partition)
        with pulse.waiting("kafka, writing customers events/0"):
            now[0] = 100.0
            for line in pulse.complaints():
                yield Sentence(line, "complaint", "operators/health.py", ("customers events/0",))
    for file in TROUBLES:
        for text, names, at in written(file, ("trouble",), 1):
            for said in {text.replace(f"a {NAME}", f"a {noun}") for noun in ("coupon", "notice")}:
                for what in ("kafka, reading events/0", "redis"):
                    yield Sentence(f"{what}: {said}", "complaint", at, (*names, "events/0", "redis"))
    for text, names, at in written("operators/scrape.py", ("Silent",), 0):
        yield Sentence(text, "complaint", at, tuple(names))


def others() -> Iterator[Sentence]:
    kinds = [*KINDS.values(), kind_of("bl:x", "bl")[1], kind_of("y", "bl")[1]]
    yield from (Sentence(kind, "held", "operators/footprint.py") for kind in kinds)
    for text, _, at in written("features/versions.py", ("Unusable",), 0):
        yield Sentence(text, "fault", at)
