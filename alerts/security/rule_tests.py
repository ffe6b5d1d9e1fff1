"""The timelines beside a rule file, run through the same job that runs live.

`bulk_export.yml` is tested by `bulk_export.test.toml`:

    [[test]]
    name = "one large export"
    events = [{ type = "audit_export", actor = "ann", rows = 6000, at = "+10h" }]
    fires_at = ["+10h"]    # nothing, if the rules of the file must stay quiet

Times count from a Monday, 00:00, store time. `repeat = 200, every = "10s"` writes an event 200
times, and `{n}` in its texts is then the number of the repetition.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Annotated, Any

import msgspec
import orjson
from msgspec import Meta, Struct

from alerts.security.groups import GroupsJob
from alerts.security.job import SecurityJob
from alerts.security.matches import Mark, encode_match
from alerts.security.sigma import load
from alerts.sigma.parsing import undecoded
from alerts.sigma.reading import RefusedRule, Rules
from features.check import Limits
from features.events import AuditEvent, Event, Tick, encode
from features.job import Message
from features.loop import Store, batches, run
from features.stores import Stores
from features.times import DAY_MS, parse_duration, parse_offset, spell_offsets

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

START_MS = 1_777_824_000_000  # Monday, 4 May 2026, 00:00 in ZONE
END_MS = START_MS + 999 * DAY_MS
ZONE = "Asia/Shanghai"
RULE_SUFFIXES, TEST_SUFFIX = (".yml", ".yaml"), ".test.toml"
RULES = re.compile(r"^(detection|correlation):", re.MULTILINE)
ABOUT_RULES = re.compile(r"^(filter|transformations):", re.MULTILINE)  # these need no tests of their own


class WrongTest(ValueError):
    """A test that cannot be run; the message names file, test, what was found and what was expected."""


class Timeline(Struct, forbid_unknown_fields=True, frozen=True):
    name: Annotated[str, Meta(min_length=1)]
    events: list[dict[str, Any]]
    fires_at: list[str] = []


class _File(Struct, forbid_unknown_fields=True, frozen=True):
    test: list[Timeline] = []


def load_tested(files: Iterable[tuple[str, str]]) -> tuple[Rules, list[RefusedRule]]:
    """Rules of (file name, text) pairs, rule files and test files; a file without its tests is refused."""
    texts = dict(files)
    missing = {file: lack(file, texts) for file in texts if file.endswith(RULE_SUFFIXES)}
    rules, refused = load([(file, texts[file]) for file, reason in missing.items() if not reason])
    return rules, [*refused, *(RefusedRule(file, "", reason) for file, reason in missing.items() if reason)]


def failures(files: Iterable[tuple[str, str]]) -> list[str]:
    """One line for every timeline that does not come out as its file says. Raises WrongTest."""
    texts = dict(files)
    rules, _ = load_tested(texts.items())
    found = []
    for file in dict.fromkeys(rule.file for rule in rules.heads):
        ids = {rule.id for rule in rules.heads if rule.file == file}
        beside = test_file(file)
        for timeline in read_tests(texts[beside], beside):
            wanted = sorted(_wanted(timeline, beside))
            fired = sorted(firings(rules, ids, timeline, beside))
            if fired != wanted:
                said = f"fired at {spell_offsets(fired)}, expected {spell_offsets(wanted)}"
                found.append(f"{beside}: test {timeline.name!r}: {said}")
    return found


def test_file(file: str) -> str:
    return next((file.removesuffix(each) for each in RULE_SUFFIXES if file.endswith(each)), file) + TEST_SUFFIX


def read_tests(text: str, file: str) -> list[Timeline]:
    """The timelines of a test file. Raises WrongTest."""
    if said := undecoded(text):
        raise WrongTest(f"{file}: {said}")
    try:
        return msgspec.convert(tomllib.loads(text), _File).test
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise WrongTest(f"{file}: {error}") from error


def lack(file: str, texts: Mapping[str, str]) -> str:
    """What a rule file lacks in tests, and what to write; empty when it has them or needs none."""
    if ABOUT_RULES.search(texts[file]) and not RULES.search(texts[file]):
        return ""
    beside = test_file(file)
    if beside not in texts:
        return (
            f"has no tests: write {PurePath(beside).name} beside it, with a [[test]] that fires and one that does not"
        )
    try:
        timelines = read_tests(texts[beside], beside)
    except WrongTest as error:
        return str(error)
    if not any(timeline.fires_at for timeline in timelines):
        return f'has no firing test: add a [[test]] to {PurePath(beside).name} with events and fires_at = ["+10h"]'
    if all(timeline.fires_at for timeline in timelines):
        return (
            f"has no quiet test: add a [[test]] to {PurePath(beside).name} whose events must not fire, without fires_at"
        )
    return ""


def firings(rules: Rules, ids: set[str], timeline: Timeline, file: str) -> list[int]:
    """Event times, in ms from the start, at which the rules with these ids fire."""
    limits = Limits(max_event_bytes=1_000_000, earliest_ms=0, max_future_ms=START_MS + 1000 * DAY_MS)
    job = SecurityJob(rules, Stores(ZONE), limits, 24)
    values = [encode(event) for event in sorted(_events(timeline, file), key=lambda event: event.time)]
    if job.engine.closes:  # some windows are judged when they are over
        values.append(encode(Tick(id="end", time=END_MS)))
    sent = _of_actors(job, values)
    sent += _of_groups(rules, sent)
    alerts = [orjson.loads(message.value)["data"] for message in sent if message.topic == "alerts"]
    return [alert["event_at_ms"] - START_MS for alert in alerts if alert["rule_id"] in ids]


def _of_actors(job: SecurityJob, values: list[bytes]) -> list[Message]:
    """What the events send; what one tells others comes before the next."""
    stores = {0: Store()}
    for value in values:
        told = [value]
        while told:
            heard, first = len(stores[0].sent), stores[0].position.offset + 1
            sent = run(job, batches(job.ways.audit, 0, told, first=first), stores)[0].sent[heard:]
            told = [message.value for message in sent if message.topic == job.ways.audit]
    return stores[0].sent


def _of_groups(rules: Rules, sent: list[Message]) -> list[Message]:
    """What groups that span partitions send, and those that count them, to the end of their windows."""
    job, stores = GroupsJob(rules, 24), {0: Store()}
    topic = job.ways.matches
    while matches := [message.value for message in sent if message.topic == topic]:
        before, first = len(stores[0].sent), stores[0].position.offset + 1
        run(job, batches(topic, 0, matches, first=first), stores)
        sent = stores[0].sent[before:]
    run(job, batches(topic, 0, [encode_match(Mark(0, 1, END_MS))], first=stores[0].position.offset + 1), stores)
    return stores[0].sent


def _wanted(timeline: Timeline, file: str) -> list[int]:
    try:
        return [parse_offset(at) for at in timeline.fires_at]
    except ValueError as error:
        raise WrongTest(f"{file}: test {timeline.name!r}: fires_at: {error}") from error


def _events(timeline: Timeline, file: str) -> Iterator[Event]:
    """The events in full; what is wrong with one names file, test and event."""
    for number, written in enumerate(timeline.events):
        try:
            yield from _repeated(written, f"e{number}")
        except ValueError as error:
            raise WrongTest(f"{file}: test {timeline.name!r}: event {written}: {error}") from error


def _repeated(written: dict[str, Any], id: str) -> Iterator[Event]:
    raw = {"type": "", **written}
    at_ms, every_ms = START_MS + parse_offset(str(raw.pop("at", "+0s"))), parse_duration(str(raw.pop("every", "1m")))
    for n in range(msgspec.convert(raw.pop("repeat", 1), int)):
        texts = {key: value.replace("{n}", str(n)) for key, value in raw.items() if isinstance(value, str)}
        event: Event = msgspec.convert({"id": f"{id}-{n}", **raw, **texts, "time": at_ms + n * every_ms}, AuditEvent)
        known = (*event.__struct_fields__, "type")
        for name in raw:
            if name not in known:
                raise ValueError(f"there is no field {name!r}; expected some of {', '.join(known)}")
        yield event
