"""What fires now, told live."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any, NamedTuple

from msgspec import Struct

from alerts.notices.desk import State
from alerts.notices.standing import Standing
from board.access.person import EVERYONE, Person
from board.api.alerts import SEE_STAFF, STAFF, Row, row_of
from board.live import Feed
from board.sources import Sources
from brewline.alerts import rank

WORST = 12
LOOK_S, SPARE = 0.4, 10  # between two looks at the desk, and ten times as long as one takes


class Firing(Struct):
    """`turn` rises with every change of the desk; `counts`: by kind and severity, such as kpi/high."""

    turn: int
    counts: dict[str, int]
    worst: list[Row]


class Now(NamedTuple):
    """All that fires at a turn, the worst first."""

    turn: int
    firing: list[Standing]


def _tells(staff: bool) -> Callable[[Sources, Event], Iterator[Any]]:
    """A feed of findings, or of all other alerts."""

    def told(sources: Sources, stop: Event) -> Iterator[Any]:
        turn, before = 0, None
        while not stop.is_set():
            began_s = time.monotonic()
            state = sources.alerts()
            if (mark := _mark(state, staff)) != before:
                before, turn = mark, turn + 1
                yield now(state, staff, turn)
            else:
                yield None
            stop.wait(max(LOOK_S, SPARE * (time.monotonic() - began_s)))

    return told


def _mark(state: State, staff: bool) -> int:
    book = frozenset(
        (key, one.count, one.state, one.acknowledged_ms, one.silenced, one.told, one.held)
        for key, one in state.book.items()
        if (one.alert.kind == STAFF) is staff
    )
    return hash((book, frozenset((one.id, one.until_ms) for one in state.silences.values())))


def now(state: State, staff: bool, turn: int) -> Now:
    firing = [one for one in state.book.values() if one.firing and (one.alert.kind == STAFF) is staff]
    return Now(turn, sorted(firing, key=rank))


def shown(told: Now) -> Firing:
    counts = Counter(f"{one.alert.kind}/{one.alert.severity}" for one in told.firing)
    return Firing(told.turn, dict(counts), [row_of(one) for one in told.firing[:WORST]])


def cut(told: Now, person: Person) -> Firing:
    """How much fires elsewhere is not theirs to know."""
    theirs = [one for one in told.firing if one.alert.kind == "kpi" and one.alert.labels.get("store") in person.stores]
    return Firing(told.turn, {}, [row_of(one) for one in theirs[:WORST]])


FEEDS = (
    Feed("alerts", EVERYONE, _tells(staff=False), cut, shown),
    Feed("findings", SEE_STAFF, _tells(staff=True), shown=shown),
)
