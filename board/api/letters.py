"""Dead letters: what could not be used or delivered, and sending it again."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from msgspec import Meta, Struct

from board.access.person import Person, Role
from board.endpoint import Nothing, get, post
from board.paging import Limit, page
from board.problems import Problem
from board.sources import Sources
from brewline import letters as kept
from brewline.letters import Letter

SEE: frozenset[Role] = frozenset({"engineer", "auditor"})
MEND: frozenset[Role] = frozenset({"engineer"})
SHOWN = 4_000  # characters of a record
AT_ONCE = 500


class Asked(Struct, forbid_unknown_fields=True):
    """`q`: a part of the id or of what was wrong; never of the record, which may hold personal data."""

    reason: str = ""
    topic: str = ""
    q: str = ""
    from_ms: int | None = None
    to_ms: int | None = None
    limit: Limit = 50
    after: str = ""


class Row(Struct):
    """`whole`: the letter holds all of the record."""

    id: str
    at_ms: int
    topic: str
    reason: str
    detail: str
    bytes: int
    whole: bool


class Group(Struct):
    topic: str
    reason: str
    letters: int


class Letters(Struct):
    """`groups`: of all that were read; `read`: how many those are, the latest of each partition."""

    items: list[Row]
    next: str
    groups: list[Group]
    read: int
    older: int


class Which(Struct, forbid_unknown_fields=True):
    topic: str
    partition: int
    offset: int

    @property
    def id(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class Shown(Struct):
    """`masked`: letters and digits of values are replaced."""

    row: Row
    masked: bool
    text: str


class Again(Struct, forbid_unknown_fields=True):
    ids: Annotated[list[str], Meta(min_length=1, max_length=AT_ONCE)]


class SentAgain(Struct):
    sent: int
    left_out: int


@get("/dead-letters", SEE)
def letters(sources: Sources, person: Person, asked: Asked) -> Letters:
    """What could not be used, the latest first, and how much of it there is."""
    found, older = sources.letters()
    meant = [letter for letter in reversed(found) if _is_meant(letter, asked)]
    shown, after = page(meant, asked.limit, asked.after, lambda letter: letter.id)
    groups = Counter((letter.topic, letter.reason) for letter in found)
    told = [Group(topic, reason, number) for (topic, reason), number in groups.most_common()]
    return Letters([_row(letter) for letter in shown], after, told, len(found), older)


def _is_meant(letter: Letter, asked: Asked) -> bool:
    text = asked.q.lower()
    return (
        asked.reason in ("", letter.reason)
        and asked.topic in ("", letter.topic)
        and (asked.from_ms is None or letter.at_ms >= asked.from_ms)
        and (asked.to_ms is None or letter.at_ms < asked.to_ms)
        and (not text or text in letter.id.lower() or text in letter.detail.lower())
    )


@get("/dead-letters/{topic}/{partition}/{offset}", SEE)
def letter(sources: Sources, person: Person, asked: Which) -> Shown:
    """One of them, with its record masked: its shape shows, and no name or number."""
    found = _find(sources, asked.id)
    return Shown(_row(found), True, kept.masked(found.value)[:SHOWN])


@get("/dead-letters/{topic}/{partition}/{offset}/record", MEND, personal="a record that could not be used")
def record(sources: Sources, person: Person, asked: Which) -> Shown:
    """One of them, with its record as it came. It may hold personal data."""
    found = _find(sources, asked.id)
    return Shown(_row(found), False, found.value.decode("utf-8", "backslashreplace")[:SHOWN])


@post("/dead-letters/resend", MEND)
def resend(sources: Sources, person: Person, asked: Nothing, said: Again) -> SentAgain:
    """Sends records again to where they came from, once what was wrong is mended."""
    known = {one.id: one for one in sources.letters()[0]}
    if missing := [id for id in said.ids if id not in known]:
        raise Problem(404, f"there is no dead letter {missing[0]!r}: it may be too old to be listed here")
    sources.notes.note(person, "dead_letter_resend", "dead letters", len(said.ids))
    sent = kept.send_again(sources.settings, [known[id] for id in dict.fromkeys(said.ids)], person.name)
    return SentAgain(sent, len(set(said.ids)) - sent)


def _find(sources: Sources, id: str) -> Letter:
    found = next((one for one in sources.letters()[0] if one.id == id), None)
    if found is None:
        raise Problem(404, f"there is no dead letter {id!r}: it may be too old to be listed here")
    return found


def _row(one: Letter) -> Row:
    return Row(one.id, one.at_ms, one.topic, one.reason, one.detail, one.bytes, one.whole)


ENDPOINTS = (letters, letter, record, resend)
