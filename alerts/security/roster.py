"""How many groups a partition keeps: where there are too many, those that were used longest ago go.

Groups are listed on pages as they come. One that is used when its page has come into the older half of them is listed
anew, on the newest page. Where there are more than `most` groups, the oldest pages are taken up, and those that are
listed nowhere later are evicted. Where there are pages for twice as many, most of what the oldest lists has ended by
itself, and what has not is listed anew.

Records are `roster` (which pages there are, how many groups) and `roster|<n>`, page n.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from msgspec import Struct, msgpack

from alerts.sigma.correlating import GROUP
from alerts.sigma.group import Group, Open, decode_group, encode_group
from features.job import Changes, State

RECORD = "roster"
MOST = 200_000  # groups of a partition
PAGE = 256  # groups on a page
AT_ONCE = 8  # pages that one batch takes up at most


class Roster(Struct, array_like=True):
    """Pages from `first` to `last`; `live` groups."""

    first: int = 1
    last: int = 1
    live: int = 0

    @property
    def pages(self) -> int:
        return self.last - self.first + 1

    def crowded(self, more: int, most: int) -> bool:
        """Whether, with so many more groups, the oldest pages must be taken up."""
        return self.live + more > most or self.pages + more // PAGE > 2 * most // PAGE + 2

    def old(self, page: int) -> bool:
        return page < self.first or (page < self.last and page <= self.first + self.pages // 2)


encode = msgpack.Encoder().encode
_roster = msgpack.Decoder(Roster).decode
_page = msgpack.Decoder(list[bytes]).decode


def page_record(number: int) -> str:
    return f"{RECORD}|{number}"


def needed(asked: Collection[str], most: int, found: Mapping[str, bytes]) -> Iterator[str]:
    """The records that those found lead to; `asked`: groups that the batch may change."""
    if RECORD not in found:
        return
    roster, more = _roster(found[RECORD]), sum(name not in found for name in asked)
    yield page_record(roster.last)
    if roster.crowded(more, most):
        over = max(0, roster.live + more - most)
        for number in range(roster.first, min(roster.first + min(over // PAGE + 1, AT_ONCE), roster.last)):
            yield page_record(number)
            if raw := found.get(page_record(number)):
                yield from map(_name, _page(raw))


def keep(kept: Mapping[str, Open], gone: int, state: State, changes: Changes, most: int, counts: Counter[str]) -> None:
    """Lists the groups that a batch keeps, and makes room; `gone` are those that have ended."""
    roster = _roster(raw) if (raw := state.records.get(RECORD)) else Roster()
    roster.live = max(len(kept), roster.live + sum(name not in state.records for name in kept) - gone)
    listing = _Listing(roster, state, changes)
    for name, open in kept.items():
        if roster.old(open.group.page):
            listing.add(name, open.group)
    ended = {name for _, name in state.due}
    for number in range(roster.first, min(roster.first + AT_ONCE, roster.last)):
        page = state.records.get(page_record(number))
        if page is None or not roster.crowded(0, most):
            break
        for name in map(_name, _page(page)):
            raw = None if name in kept or name in ended else state.records.get(name)
            if raw is None or (group := decode_group(raw)).page != number:
                continue
            if roster.live > most:
                changes.deletes.append(name)
                changes.timers[name] = None
                roster.live -= 1
                counts["groups_evicted"] += 1
            else:
                listing.add(name, group)
                changes.puts[name] = encode_group(group)
        changes.deletes.append(page_record(number))
        roster.first = number + 1
    listing.put()


class _Listing:
    """The newest pages, as far as this batch has changed them."""

    def __init__(self, roster: Roster, state: State, changes: Changes) -> None:
        self.roster = roster
        self.changes = changes
        raw = state.records.get(page_record(roster.last))
        self.page = _page(raw) if raw else []
        self.pages: dict[int, list[bytes]] = {}  # those that have changed

    def add(self, name: str, group: Group) -> None:
        if len(self.page) >= PAGE:
            self.roster.last += 1
            self.page = []
        self.page.append(bytes.fromhex(name.removeprefix(GROUP)))
        self.pages[self.roster.last] = self.page
        group.page = self.roster.last

    def put(self) -> None:
        if not self.roster.live:
            pages = range(self.roster.first, self.roster.last + 1)
            self.changes.deletes += [RECORD, *map(page_record, pages)]
            return
        self.changes.puts[RECORD] = encode(self.roster)
        for number, page in self.pages.items():
            self.changes.puts[page_record(number)] = encode(page)


def _name(raw: bytes) -> str:
    return f"{GROUP}{raw.hex()}"
