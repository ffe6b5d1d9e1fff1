"""How much a partition keeps, of groups and of actors: where it is too much, what was used longest ago goes.

Records are listed on pages as they come. One that is used when its page has come into the older half of them is listed
anew, on the newest page. Where there are more than `most`, the oldest pages are taken up, and those that are listed
nowhere later are evicted. Where there are pages for twice as many, most of what the oldest lists has ended by itself,
and what has not is listed anew.

Groups have the records `roster` (which pages there are, how many groups) and `roster|<n>`, page n; habits, pasts, cases
and peers have `actors` and `actors|<n>`. They are listed apart: names that an attacker makes up become groups of failed
logins, and push no actor's habits out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from msgspec import Struct, msgpack

from alerts.security.baseline import decode_past
from alerts.security.cases import decode_case
from alerts.security.habits import decode_habit, decode_peers
from alerts.sigma.correlating import GROUP
from alerts.sigma.group import decode_group
from features.job import Changes, State

MOST_GROUPS = 200_000  # of a partition
MOST_ACTORS = 300_000  # records about actors, of a partition
PAGE = 256  # records on a page
AT_ONCE = 8  # pages that one batch takes up at most


class Listed(Protocol):
    """What a record holds; `page` is where it is listed, 0 nowhere."""

    page: int


class Roll(NamedTuple):
    """What is listed together: records whose names begin so, by how they are read."""

    record: str
    kinds: dict[str, Callable[[bytes], Any]]
    evicted: str  # the count

    def lists(self, name: str) -> bool:
        return name[: name.find("|") + 1] in self.kinds

    def decode(self, name: str, raw: bytes) -> Any:
        return self.kinds[name[: name.find("|") + 1]](raw)

    def page_record(self, number: int) -> str:
        return f"{self.record}|{number}"

    def written(self, name: str) -> bytes:
        """A name on a page: of a group, its hash."""
        return bytes.fromhex(name.removeprefix(GROUP)) if GROUP in self.kinds else name.encode()

    def name(self, raw: bytes) -> str:
        return f"{GROUP}{raw.hex()}" if GROUP in self.kinds else raw.decode()


GROUPS = Roll("roster", {GROUP: decode_group}, "groups_evicted")
ACTORS = Roll(
    "actors",
    {"habit|": decode_habit, "past|": decode_past, "case|": decode_case, "peers|": decode_peers},
    "actor_records_evicted",
)


class Bounds(NamedTuple):
    """How many records of a roll a partition keeps."""

    groups: int = MOST_GROUPS
    actors: int = MOST_ACTORS

    @property
    def rolls(self) -> tuple[tuple[Roll, int], ...]:
        return (GROUPS, self.groups), (ACTORS, self.actors)


class Roster(Struct, array_like=True):
    """Pages from `first` to `last`; `live` records."""

    first: int = 1
    last: int = 1
    live: int = 0

    @property
    def pages(self) -> int:
        return self.last - self.first + 1

    def crowded(self, more: int, most: int) -> bool:
        """Whether, with so many more records, the oldest pages must be taken up."""
        return self.live + more > most or self.pages + more // PAGE > 2 * most // PAGE + 2

    def old(self, page: int) -> bool:
        return page < self.first or (page < self.last and page <= self.first + self.pages // 2)


encode = msgpack.Encoder().encode
_roster = msgpack.Decoder(Roster).decode
_page = msgpack.Decoder(list[bytes]).decode


def needed(asked: Collection[str], bounds: Bounds, found: Mapping[str, bytes]) -> Iterator[str]:
    """The records that those found lead to; `asked`: records that the batch may change."""
    for roll, most in bounds.rolls:
        if roll.record in found:
            more = sum(roll.lists(name) and name not in found for name in asked)
            yield from _needed(roll, _roster(found[roll.record]), more, most, found)


def _needed(roll: Roll, roster: Roster, more: int, most: int, found: Mapping[str, bytes]) -> Iterator[str]:
    yield roll.page_record(roster.last)
    if not roster.crowded(more, most):
        return
    over = max(0, roster.live + more - most)
    for number in range(roster.first, min(roster.first + min(over // PAGE + 1, AT_ONCE), roster.last)):
        yield roll.page_record(number)
        if raw := found.get(roll.page_record(number)):
            yield from map(roll.name, _page(raw))


def keep(
    roll: Roll, kept: Mapping[str, Listed], ended: int, state: State, changes: Changes, most: int, counts: Counter[str]
) -> None:
    """Lists what a batch keeps of a roll, and makes room; so many others have ended."""
    roster = _roster(raw) if (raw := state.records.get(roll.record)) else Roster()
    roster.live = max(len(kept), roster.live + sum(name not in state.records for name in kept) - ended)
    listing, newest = _Listing(roll, roster, state, changes), roster.last  # of what it lists, not all was asked for
    for name, record in kept.items():
        if roster.old(record.page):
            listing.add(name, record)
    past = {name for _, name in state.due}
    for number in range(roster.first, min(roster.first + AT_ONCE, newest)):
        page = state.records.get(roll.page_record(number))
        if page is None or not roster.crowded(0, most):
            break
        evicted = roster.live > most  # then all of the page: what stays of it would count as the newest
        for name in dict.fromkeys(map(roll.name, _page(page))):  # one that ended and began again stands there twice
            if name in kept:
                if kept[name].page == number:
                    listing.add(name, kept[name])
                continue
            raw = None if name in past else state.records.get(name)
            if raw is None or (record := roll.decode(name, raw)).page != number:
                continue
            if evicted:
                changes.deletes.append(name)
                changes.timers[name] = None
                roster.live -= 1
                counts[roll.evicted] += 1
            else:
                listing.add(name, record)
                changes.puts[name] = encode(record)
        changes.deletes.append(roll.page_record(number))
        roster.first = number + 1
    listing.put()


class _Listing:
    """The newest pages, as far as this batch has changed them."""

    def __init__(self, roll: Roll, roster: Roster, state: State, changes: Changes) -> None:
        self.roll = roll
        self.roster = roster
        self.changes = changes
        raw = state.records.get(roll.page_record(roster.last))
        self.page = _page(raw) if raw else []
        self.pages: dict[int, list[bytes]] = {}  # those that have changed

    def add(self, name: str, record: Listed) -> None:
        if len(self.page) >= PAGE:
            self.roster.last += 1
            self.page = []
        self.page.append(self.roll.written(name))
        self.pages[self.roster.last] = self.page
        record.page = self.roster.last

    def put(self) -> None:
        if not self.roster.live:
            pages = range(self.roster.first, self.roster.last + 1)
            self.changes.deletes += [self.roll.record, *map(self.roll.page_record, pages)]
            return
        self.changes.puts[self.roll.record] = encode(self.roster)
        for number, page in self.pages.items():
            self.changes.puts[self.roll.page_record(number)] = encode(page)
