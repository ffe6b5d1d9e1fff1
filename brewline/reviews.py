"""The cases of possible abuse: shows them, and takes a human's word on one."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from alerts.abuse.case import CONFIRMED, DECIDED, NOTHING_LEFT, STANDING
from alerts.abuse.fact import Decided, Erased, encode_fact
from brewline.reading import Features
from brewline.trail import person
from config.settings import Settings
from features.outgoing import CloudEvent
from features.suppression import ABUSE
from features.times import rfc3339
from operators.compacted import latest
from operators.kafka import Unreachable, producer, require_kafka
from operators.redis_link import connect_redis

REVOKED = "coupons_revoked"
SHOWN = 3  # customers of a case, in the table
WAIT_S = 10.0
_decode = msgspec.json.Decoder(CloudEvent).decode


def read_words(settings: Settings) -> list[CloudEvent]:
    """The latest word on every case, as of its topic. Raises Unreachable."""
    found: dict[str, str | None] = {}
    for part in latest(settings.kafka.librdkafka(), settings.topic("reviews")):
        found |= part
    return [_decode(value.encode()) for value in found.values() if value]


def read_cases(settings: Settings) -> list[dict[str, Any]]:
    """As `read_words`; those that wait come first, then the latest."""
    require_kafka(settings.kafka.librdkafka(), settings.kafka.start_timeout_s)
    found = [word.data for word in read_words(settings)]
    return sorted(found, key=lambda case: (case["state"] not in STANDING, -case["opened_ms"], case["case"]))


def show_cases(settings: Settings, waiting: bool, out: Console) -> list[dict[str, Any]]:
    """Prints cases; `waiting`: only those that no human has decided yet. Raises Unreachable, NoState."""
    cases = [case for case in read_cases(settings) if not waiting or case["state"] in STANDING]
    note_revoked(settings, [case for case in cases if case["state"] == CONFIRMED])
    names = ("signal", "state", "since", "customers held", "coupons revoked", "why")
    table = Table(Column("case", overflow="fold"), *names, box=SIMPLE_HEAD)
    for case in cases:
        state = "waits" if case["state"] in STANDING else case["state"]
        by = f" by {case['decided_by']}" if case["decided_by"] else ""
        revoked = str(case.get(REVOKED, "–"))
        about = (case["case"], case["signal"], state + by, _day(case["opened_ms"]), _held(case), revoked, case["why"])
        table.add_row(*map(escape, about))
    out.print(table)
    return cases


def note_revoked(settings: Settings, confirmed: list[dict[str, Any]]) -> None:
    """Notes in each case how many coupons of its customers were revoked for abuse, of those that records still hold."""
    if not confirmed:
        return
    features = Features(settings, connect_redis(settings.redis.url, settings.redis.start_timeout_s))
    for case in confirmed:
        ledgers = [features.unpacked(raw).ledger for raw in features.records(case["held"]).values()]
        coupons = {c.decision: c.revoked_for for ledger in ledgers for c in ledger.coupons.values() if c.revoked_ms}
        case[REVOKED] = sum(reason == ABUSE for reason in coupons.values())
    features.close()


def naming(settings: Settings, customers: Collection[str]) -> list[CloudEvent]:
    """The words on cases in which one of these takes part."""
    return [word for word in read_words(settings) if not set(customers).isdisjoint(_named(word.data))]


def erasures(words: Iterable[CloudEvent], customers: Collection[str]) -> Iterator[tuple[str, Erased]]:
    """What the devices of these cases must hear, by device: an account that was last seen there long ago no longer
    knows of them, and what a human has decided there still names it."""
    for data in (word.data for word in words if word.data["subject"] not in customers):
        for customer in sorted(_named(data) & set(customers)):
            yield data["subject"], Erased(customer, data["subject"])


def without(word: CloudEvent, customers: Collection[str]) -> CloudEvent:
    """The word on a case of which the flow keeps nothing any more, as it is without these."""
    data, revision = word.data, word.data["revision"] + 1
    left = {name: [who for who in data[name] if who not in customers] for name in ("customers", "held")}
    subject = "" if data["subject"] in customers else data["subject"]
    why = data["why"] if left["customers"] else NOTHING_LEFT
    changed = {**left, "subject": subject, "revision": revision, "why": why}
    return replace(word, id=f"{data['case']}|{revision}", data={**data, **changed})


def _named(case: dict[str, Any]) -> set[str]:
    return {case["subject"], *case["customers"], *case["held"]}


def _day(at_ms: int) -> str:
    return rfc3339(at_ms)[:16].replace("T", " ") if at_ms else "–"


def _held(case: dict[str, Any]) -> str:
    names = [f"{customer[:9]}…" for customer in case["held"][:SHOWN]]
    return ", ".join(names + [f"and {len(case['held']) - SHOWN} more"] * (len(case["held"]) > SHOWN))


def decide_case(settings: Settings, id: str, outcome: str, by: str, out: Console) -> None:
    """Sends a human's word on a case. Raises ValueError where there is no such case, or nothing to decide."""
    cases = read_cases(settings)
    case = next((case for case in cases if case["case"] == id), None)
    if case is None:
        waiting = [one["case"] for one in cases if one["state"] in STANDING]
        hint = f"those that wait are {', '.join(waiting[:5])}" if waiting else "none waits"
        raise ValueError(f"reviews: there is no case {id!r}; {hint}")
    if case["state"] not in (*STANDING, *DECIDED) or case["state"] == outcome:
        raise ValueError(f"reviews: case {id} is {case['state']} already: there is nothing to decide")
    word = Decided(case["subject"], id, outcome, by or person(), round(time.time() * 1000))
    _send(settings, word)
    people = f"{len(case['held'])} customers"
    confirmed = f"{people} stay suppressed without end, and their open coupons are revoked"
    said = f"{people} are let go" if outcome == "released" else confirmed
    out.print(
        f"{id} is {outcome} by {word.by}: {said}, as soon as the abuse flow hears of it", soft_wrap=True, markup=False
    )


def _send(settings: Settings, word: Decided) -> None:
    sender, failed = producer(settings.kafka.librdkafka()), list[Any]()
    sender.produce(
        settings.topic("sightings"),
        encode_fact(word),
        word.subject,
        on_delivery=lambda error, _: failed.append(error) if error else None,
    )
    if sender.flush(WAIT_S) or failed:
        raise Unreachable("Kafka did not take the decision; the same command may be given again")
