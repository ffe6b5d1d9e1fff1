"""Who pauses a campaign at a place, and who lets it go on.

`AlarmWatch` hears in `alerts` that redemptions are unusually many, and asks for a pause there of every campaign with a
brake; people ask by `brewline brake`. `BrakeDesk` hears both, one after the other for each campaign and place, and
tells all partitions of the clean topic what counts from there on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct, json, msgpack
from msgspec.structs import astuple

from alerts.triggers.brake import ALARM, WHERE, brake_key, braked
from features.control import Brake
from features.events import encode
from features.job import Batch, Changes, Message, Plan, Position, State
from features.messages import Refused, cloudevent, dead_letter
from features.outgoing import BrakeTurn
from features.times import parse_time

SERIES = ("redemptions", "redemption_share")  # too many of these may be somebody who abuses coupons
KPI_ALERT = b'"brewline.alert.kpi"'
INCIDENTS = 64  # that have paused one campaign at one place, of which repeats are known
REASON = 500  # characters that are kept
By = Annotated[str, Meta(min_length=1, max_length=128)]
Place = Annotated[str, Meta(max_length=len("region:") + 128)]  # of a `Name`, with its kind


class Pause(Struct, tag="pause", omit_defaults=True):
    """Somebody, or an alert, asks that a campaign gives nothing at a place."""

    campaign: By
    place: Place
    by: By
    reason: str
    at_ms: int
    incident: str = ""


class Resume(Struct, tag="resume"):
    """A person lets a campaign go on at a place."""

    campaign: By
    place: Place
    by: By
    reason: str
    at_ms: int


Asked: TypeAlias = Pause | Resume
encode_asked = json.Encoder().encode
decode_asked = json.Decoder(Asked).decode


class Alarm(Struct):
    """What matters here of an alert on a KPI."""

    state: str
    incident: str
    why: str = ""
    high: dict[str, list[str]] = {}


class Told(Struct):
    time: str
    data: Alarm


decode_told = json.Decoder(Told).decode


class AlarmWatch:
    """Implements features.job.Job over `alerts`; `campaigns`: those with a brake. It keeps no state."""

    def __init__(self, asked_topic: str, dead_letters_topic: str, campaigns: list[str]) -> None:
        self.asked_topic = asked_topic
        self.dead_letters_topic = dead_letters_topic
        self.campaigns = campaigns

    def plan(self, batch: Batch, position: Position) -> Plan:
        return Plan(position, position.clock, work=batch)

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return []

    def apply(self, plan: Plan, state: State) -> Changes:
        batch, messages, counts = plan.work, list[Message](), dict[str, int]()
        for index, raw in enumerate(batch.values):
            if KPI_ALERT in raw:
                try:
                    asked = self._asked(decode_told(raw))
                except (ValueError, RecursionError) as error:
                    messages.append(dead_letter(self.dead_letters_topic, batch, index, _malformed(error, counts)))
                    continue
                counts["alarms"] = counts.get("alarms", 0) + len(asked)
                messages += [_sent(self.asked_topic, pause) for pause in asked]
        return Changes(plan.position.moved(batch.last, plan.clock, counts), messages=messages, counts=counts)

    def _asked(self, told: Told) -> list[Pause]:
        alarm = told.data
        if alarm.state != "firing":
            return []
        dims = [dim for series in SERIES for dim in alarm.high.get(series, ())]
        meant = dict.fromkeys(each for dim in dims for each in self._meant(dim))
        at_ms, why = parse_time(told.time), alarm.why[:REASON]
        return [Pause(id, place, ALARM, why, at_ms, alarm.incident) for id, place in meant]

    def _meant(self, dim: str) -> list[tuple[str, str]]:
        """Campaigns, and where, as brakes spell it: of a campaign all its places, of a channel, which has no stores,
        all there are."""
        kind, _, name = dim.partition(":")
        if kind == "campaign":
            return [(name, "")] if name in self.campaigns else []
        return [(id, dim if kind in WHERE else "") for id in self.campaigns]


class Course(Struct, array_like=True):
    """How one campaign stands at one place."""

    revision: int = 0
    paused: bool = False
    incidents: list[str] = []


_encode_course = msgpack.Encoder().encode
_decode_course = msgpack.Decoder(Course).decode


class BrakeTopics(Struct, frozen=True):
    events: str
    brakes: str
    dead_letters: str


class BrakeDesk:
    """Implements features.job.Job over `brake.asked`. `partition_keys` reach each partition of the clean topic."""

    def __init__(self, topics: BrakeTopics, partition_keys: list[str]) -> None:
        self.topics = topics
        self.partition_keys = partition_keys

    def plan(self, batch: Batch, position: Position) -> Plan:
        found = [_read(raw) for raw in batch.values]
        names = {brake_key(asked.campaign, asked.place) for asked in found if not isinstance(asked, Exception)}
        return Plan(position, position.clock, sorted(names), work=(batch, found))

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return []

    def apply(self, plan: Plan, state: State) -> Changes:
        batch, found = plan.work
        changes, courses, counts = Changes(plan.position), dict[str, Course](), dict[str, int]()
        for index, asked in enumerate(found):
            if isinstance(asked, Exception):
                refused = _malformed(asked, counts)
                changes.messages.append(dead_letter(self.topics.dead_letters, batch, index, refused))
                continue
            name = brake_key(asked.campaign, asked.place)
            course = courses.get(name) or _course(state.records, name)
            turned = turn(course, asked, batch.offsets[index])
            what = asked_what(asked, turned)
            counts[what] = counts.get(what, 0) + 1
            courses[name] = course
            changes.messages += self._tell(course, asked) if turned else []
        changes.puts = {name: _encode_course(course) for name, course in courses.items()}
        changes.position, changes.counts = plan.position.moved(batch.last, plan.clock, counts), counts
        return changes

    def _tell(self, course: Course, asked: Asked) -> list[Message]:
        """All partitions, and whoever wants to know."""
        word = word_of(asked, course)
        turned = BrakeTurn(*astuple(braked(word)), state="paused" if word.paused else "resumed")
        key, type = f"{brake_key(word.campaign, word.place)}/{word.revision}", f"brake.{turned.state}"
        told = cloudevent(self.topics.brakes, key, word.id, type, "kpis", word.at_ms, word.campaign, turned)
        said = encode(word)
        return [told, *(Message(self.topics.events, key, said) for key in self.partition_keys)]


def word_of(asked: Asked, course: Course) -> Brake:
    return Brake(
        id=f"brake|{brake_key(asked.campaign, asked.place)}|{course.revision}",
        at_ms=asked.at_ms,
        campaign=asked.campaign,
        place=asked.place,
        revision=course.revision,
        paused=course.paused,
        by=asked.by,
        reason=asked.reason[:REASON],
        incident=asked.incident if isinstance(asked, Pause) else "",
    )


def turn(course: Course, asked: Asked, offset: int) -> bool:
    """Whether it changes what counts. What an incident has asked once counts once: who lets the campaign go on while
    it still fires has decided so. Of a course that is lost nobody knows how it stood: then a person's word counts.

    Revisions go on from the offset too, which a lost course does not lower: all words on a brake are in one partition.
    """
    if isinstance(asked, Resume):
        turned = course.paused or not course.revision
    elif asked.incident and asked.incident in course.incidents:
        return False
    else:
        turned = not course.paused
        course.incidents = [*course.incidents, *([asked.incident] if asked.incident else [])][-INCIDENTS:]
    if turned:
        course.revision = max(course.revision, offset) + 1
        course.paused = isinstance(asked, Pause)
    return turned


def asked_what(asked: Asked, turned: bool) -> str:
    if not turned:
        return "brakes_in_vain"
    return "brakes_paused" if isinstance(asked, Pause) else "brakes_resumed"


def _course(records: Mapping[str, bytes], name: str) -> Course:
    return _decode_course(records[name]) if name in records else Course()


def _read(raw: bytes) -> Asked | Exception:
    try:
        asked: Asked = decode_asked(raw)
    except (ValueError, RecursionError) as error:
        return error
    return asked


def _sent(topic: str, asked: Asked) -> Message:
    return Message(topic, brake_key(asked.campaign, asked.place), encode_asked(asked))


def _malformed(error: Exception, counts: dict[str, int]) -> Refused:
    for name in ("dead_lettered", "dead_lettered:malformed"):
        counts[name] = counts.get(name, 0) + 1
    return Refused("malformed", str(error))
