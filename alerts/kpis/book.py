"""Both panels, the minute that is judged next, and the open incidents: what one batch reads, changes and writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from msgspec import Struct, field, msgpack
from numpy.typing import NDArray

from alerts.kpis import course, discovery
from alerts.kpis.catalog import CHAIN
from alerts.kpis.closing import Rows
from alerts.kpis.expectation import Floats, Moment, Rates, rates
from alerts.kpis.incident import Incident, kind
from alerts.kpis.jump import learn_quarters, quarter_rates, ran_before
from alerts.kpis.learning import (
    Hour,
    jump_spread,
    learn_jumps,
    learn_roots,
    learn_spread,
    learn_stores,
    rain,
    spread,
)
from alerts.kpis.panel import BASE, CELLS, FIRING, QUARTER, QUIET, ROOTS, STORES, WEEK_HOURS, Panel, names
from alerts.kpis.screen import window_sums
from alerts.kpis.seasons import Seasons
from alerts.kpis.series import (
    ALIVE,
    ALIVE_MINUTES,
    KINDS,
    LAYOUT,
    LINES,
    ONLY,
    PLACE,
    SERIES,
    TABLE,
    WEIGHTS,
    WIDTH,
    alive,
)
from alerts.kpis.verdict import (
    RUNS,
    SHORTEST,
    Around,
    Flags,
    Look,
    Quarters,
    Rain,
    Verdicts,
    judge,
    judge_jumps,
    miss,
    rain_now,
)

DAY = 1440
PENDING = dict.fromkeys(KINDS, 2) | {"chain": 1, "region": 1, "store": 3}  # minutes: the widest gathers the others
CERTAIN = 1e-3  # of a discovery's p-value: a root that is so unusual is not held, and a silence has lasted by itself
FORGETS_AT = 66  # hour of the week, from Thursday 00:00 UTC on: a night, in which every profile is loaded
GONE_DAYS = 14  # of which nothing is heard for so long is forgotten
STORE_DAYS = 1  # of a store's own before it is judged
LEAST_GONE = 0.5  # of a line of products: what guests feel like moves it by a third, what was not delivered is gone
AS_TOLD = (("channel",), ("campaign",), LINES)  # kinds whose names are what tills write, whatever that is
MOST_TOLD = 1_000  # of each that are judged: tills that name each product a category must not fill the memory
NOBODY = -1
OTHERS = np.arange(SERIES) != ALIVE_MINUTES
SILENCES = [series for series, _ in RUNS]


class Judging(Struct, frozen=True):
    """How to judge; what was learned with another window, or of other counters, starts again."""

    window_minutes: int = 60
    learn_days: int = 2
    hold_minutes: int = 10


class Header(Struct, array_like=True):
    next: int = -1  # minute; -1: none was judged yet
    numbers: dict[int, int] = {}  # by merging partition, its latest message
    incidents: list[Incident] = field(default_factory=list)
    window: int = 0
    since: int = 0  # the first minute after the last gap
    layout: int = LAYOUT  # of the counters


encode_header = msgpack.Encoder().encode
decode_header = msgpack.Decoder(Header).decode


class Layer(NamedTuple):
    """A panel as it was judged in a minute."""

    panel: Panel
    around: Around
    look: Look
    steps: course.Steps

    @property
    def found(self) -> Verdicts:
        return self.look.found


class Book:
    """What is known when a batch begins, of the records that were loaded."""

    def __init__(self, records: Mapping[str, bytes], judging: Judging, regions: Mapping[str, str], seasons: Seasons):
        raw = records.get("judge")
        header = decode_header(raw) if raw else Header()
        self.former: list[str] = []  # records of panels that are no longer read
        self.broken_off: list[Incident] = []
        if (header.window, header.layout) != (judging.window_minutes, LAYOUT):
            every = {*range(CELLS)} if raw else set[int]()
            self.former = [name for layer in (ROOTS, STORES) for name in names(layer, header.window, every)]
            self.broken_off = header.incidents
            records, header = {}, Header(header.next, header.numbers, [], judging.window_minutes, header.next)
        self.header, self.judging, self.regions, self.seasons = header, judging, regions, seasons
        self.roots = Panel(ROOTS, judging.window_minutes, records)
        self.stores = Panel(STORES, judging.window_minutes, records)
        self.known: dict[tuple[str, int], Rates] = {}
        self.strays: dict[str, Floats] = {}
        self.kinds = self._kinds()

    def _kinds(self) -> dict[str, Flags]:
        of = np.array([kind(dim) for dim in self.roots.dims])
        return {name: of == name for name in KINDS if name != "store"}

    def take(self, dims: list[str], rows: Rows, minute: int) -> int:
        """Puts counters of dimensions in a minute, as it closed or is now corrected; returns how many are left out."""
        self.welcome(dims, minute)
        left_out = len(dims)
        for panel in (self.roots, self.stores):
            places = np.array([panel.place.get(dim, NOBODY) for dim in dims], np.int64)
            which = np.flatnonzero(places != NOBODY)
            if not len(which):
                continue
            left_out -= len(which)
            places = places[which]
            counts = np.zeros((WIDTH, len(which)), np.int64)
            counts[:ALIVE] = rows[which, :ALIVE].T
            if panel is self.stores:
                panel.course["till"][places] |= counts[PLACE["heartbeats"]] > 0
            panel.minute(minute)[:, places] = alive(counts, panel.course["till"][places])
            panel.touch(f"ring|{minute % panel.window}")
            panel.touch("course")
            for row, (name, seen) in enumerate((("ordered", counts[PLACE["orders"]]), ("spoke", counts[ALIVE]))):
                last, missed = panel.course[name], panel.course["missed"][row]
                newer = (seen > 0) & (minute > last[places])
                last[places] = np.where(newer, minute, last[places])
                missed[places] = np.where(newer, 0.0, missed[places])
        return left_out

    def welcome(self, dims: list[str], minute: int) -> None:
        """Dimensions that were never seen before; a store's root is its region, where that is known."""
        dims = [dim for dim in dict.fromkeys(dims) if dim not in self.stores.place and dim not in self.roots.place]
        dims = self._with_room(dims)
        if not dims:
            return
        stores = [dim for dim in dims if kind(dim) == "store"]
        above = [f"region:{self.regions[dim[6:]]}" for dim in stores if self.regions.get(dim[6:])]
        wanted = dict.fromkeys([CHAIN, *above, *(dim for dim in dims if kind(dim) != "store")])
        roots = [dim for dim in wanted if dim not in self.roots.place]
        if roots:
            self.roots.add(roots, [NOBODY] * len(roots), minute)
            self.kinds = self._kinds()
            self.known.clear()
            self.strays.clear()
        if stores:
            self.stores.add(stores, [self._root_of(dim) for dim in stores], minute)
            self.known.clear()
            self.strays.clear()

    def _with_room(self, dims: list[str]) -> list[str]:
        left = set[str]()
        for kinds in AS_TOLD:
            room = MOST_TOLD - sum(int(self.kinds[name].sum()) for name in kinds)
            left.update([dim for dim in dims if kind(dim) in kinds][max(0, room) :])
        return [dim for dim in dims if dim not in left]

    def _root_of(self, dim: str) -> int:
        place = self.roots.place
        return place.get(f"region:{self.regions.get(dim[6:], '')}", place[CHAIN])

    def skip(self, minute: int) -> None:
        """Goes on at a minute, with empty windows: what was before is not known."""
        for panel in (self.roots, self.stores):
            for back in range(panel.window):
                panel.minute(minute - 1 - back)[...] = 0
                panel.touch(f"ring|{(minute - 1 - back) % panel.window}")
            panel.course["hour"][...] = 0
            for name in ("back", "ordered", "spoke"):
                panel.course[name][...] = minute
            panel.course["missed"][...] = 0
            panel.touch("course")
        self.roots.course["quarters"][...] = 0
        self.header.next = self.header.since = minute

    def clear(self, minute: int) -> None:
        """Makes room for a minute in the rings."""
        for panel in (self.roots, self.stores):
            panel.minute(minute)[...] = 0
            panel.touch(f"ring|{minute % panel.window}")

    def around(self, panel: Panel, minute: int) -> Around:
        hour = minute // 60
        return Around(*(self._rates(panel, each) for each in (hour - 1, hour, hour + 1)))

    def _rates(self, panel: Panel, hour: int) -> Rates:
        if (panel.layer, hour) not in self.known:
            above = None if panel is self.roots else self._rates(self.roots, hour)
            self.known[panel.layer, hour] = rates(panel, hour, self.seasons.moment(hour), above)
        return self.known[panel.layer, hour]

    def judge(self) -> list[Layer]:
        """Judges the next minute, learns what leaves the window, and goes on."""
        minute, layers = self.header.next, []
        if minute % (WEEK_HOURS * 60) == FORGETS_AT * 60:
            self._forget(minute)
        for panel in (self.roots, self.stores):
            if panel.dims:
                layers.append(self._judge(panel, minute))
        for layer in layers:
            self._learn_spread(layer, minute)
        self._learn(minute - self.judging.window_minutes + 1)
        self.header.next += 1
        return layers

    def _forget(self, minute: int) -> None:
        """Drops what has not been heard for long: it may come back as new."""
        told = {one.dim for one in self.header.incidents} | {m for one in self.header.incidents for m, _ in one.members}
        stay = [self._stays(panel, minute, told) for panel in (self.roots, self.stores)]
        parents = self.stores.learned["parent"]
        stay[0][parents[stay[1]]] = True
        if all(kept.all() for kept in stay):
            return
        self.stores.learned["parent"] = (np.cumsum(stay[0]) - 1)[parents]
        for panel, kept in zip((self.roots, self.stores), stay, strict=True):
            panel.keep(kept)
        self.kinds = self._kinds()
        self.known.clear()
        self.strays.clear()

    def _stays(self, panel: Panel, minute: int, told: set[str]) -> Flags:
        named = np.array([dim in told or dim == CHAIN for dim in panel.dims], bool)
        return named | (minute - panel.course["spoke"] < GONE_DAYS * DAY)

    def _judge(self, panel: Panel, minute: int) -> Layer:
        around = self.around(panel, minute)
        miss(panel, minute, around)
        look = self.look(panel, minute)
        found = look.found
        ready, wait = self._ready(panel, minute)
        unusual, certain = self._unusual(panel, found, ready)
        silent = unusual[ALIVE_MINUTES] | (panel.course["state"][ALIVE_MINUTES] != QUIET)
        back = silent & (panel.course["spoke"] == minute)
        panel.course["back"][back] = minute
        unusual[OTHERS] &= ~silent
        wait = np.where(certain, 0, wait)
        steps = course.step(panel.course, minute, found, unusual, wait, self.judging.hold_minutes)
        panel.course["unusual"][panel.course["state"] != QUIET] = minute
        if look.ran is not None:
            panel.course["ran"] = np.stack([look.ran.log, look.ran.rate])
        panel.touch("course")
        return Layer(panel, around, look, steps)

    def look(self, panel: Panel, minute: int) -> Look:
        """At a minute in the ring."""
        widths = np.array(panel.widths)
        sums = window_sums(panel.ring, minute, widths)
        rain = rain_now(self.roots, sums if panel is self.roots else window_sums(self.roots.ring, minute, widths))
        if panel is self.stores:
            rain = Rain(
                *(np.take(part, panel.learned["parent"], axis=-1) for part in rain)
            )  # in one piece: compiled once
        look = judge(panel, minute, self.around(panel, minute), self._strays(panel), sums, rain)
        return self._look_at_jumps(panel, minute, look) if panel.jumps else look

    def _look_at_jumps(self, panel: Panel, minute: int, look: Look) -> Look:
        *jumps, whole = window_sums(panel.ring, minute, np.array([*panel.jumps, panel.window]))
        sums, base, quarter = np.array(jumps), whole - jumps[panel.jumps.index(BASE)], minute // QUARTER
        wet = rain_now(panel, base[None]).log[0]
        ran = ran_before(panel, minute, self._root_rates, self._strays(panel)[-1], base, wet)
        quarters = Quarters(*(quarter_rates(panel, quarter + step, self._root_rates) for step in (-2, -1, 0, 1)))
        return judge_jumps(panel, minute, look, quarters, sums, jump_spread(panel), ran, rain_now(panel, sums))

    def _root_rates(self, hour: int) -> Rates:
        return self._rates(self.roots, hour)

    def _strays(self, panel: Panel) -> Floats:
        if panel.layer not in self.strays:
            self.strays[panel.layer] = spread(panel)
        return self.strays[panel.layer]

    def _ready(self, panel: Panel, minute: int) -> tuple[Flags, NDArray[np.int64]]:
        """Which dimensions are judged, and for how many minutes each must stay unusual."""
        age, learn = minute - panel.learned["born"], self.judging.learn_days * DAY
        if panel is self.stores:
            parent = panel.learned["parent"]
            rooted = minute - self.roots.learned["born"][parent] >= learn
            return rooted & (age >= STORE_DAYS * DAY), np.full(len(age), PENDING["store"])
        wait = np.array([PENDING[kind(dim)] for dim in panel.dims])
        return age >= learn, wait

    def _unusual(self, panel: Panel, found: Verdicts, ready: Flags) -> tuple[Flags, Flags]:
        """Discoveries of this minute, by kind of dimension, and those that nothing need confirm."""
        groups = {"store": np.ones(len(panel.dims), bool)} if panel is self.stores else self.kinds
        alpha, unusual = discovery.level(len(KINDS)), np.zeros(found.p.shape, bool)
        weighed, certain = found.p / WEIGHTS, np.zeros(found.p.shape, bool)
        if weighed.min(initial=1.0) > alpha:
            return unusual, certain
        watched = self._watched(panel, found, weighed)
        for group in groups.values():
            mine = watched & group & ready
            p, tests = weighed[mine], float((WEIGHTS * mine).sum())
            limit = discovery.threshold(p[p <= alpha], tests, alpha)
            unusual |= (weighed <= limit) & mine & (limit > 0)
            certain |= (weighed <= CERTAIN * alpha / max(1.0, tests)) & mine & (panel is self.roots)
        certain[TABLE[SHORTEST] > 1] = False
        certain[SILENCES] |= found.seen[SILENCES] == 0
        return unusual, certain

    def _watched(self, panel: Panel, found: Verdicts, weighed: Floats) -> Flags:
        """[SERIES, dims]: of a campaign, redemptions that are too many cost money, of a line of products, what is not
        sold; all else ebbs and flows with them, and is nothing rare on the other side."""
        watched = np.ones(found.p.shape, bool)
        for name, (series, side) in ONLY.items() if panel is self.roots else ():
            of = self.kinds[name]
            watched[:, of] = False
            watched[series, of] = True
            there = found.side[series, of] == side
            if name in LINES:
                there &= found.seen[series, of] <= (1 - LEAST_GONE) * (found.of * found.mean)[series, of]
            weighed[series, of] = np.where(there, weighed[series, of], 1.0)
        return watched

    def _learn_spread(self, layer: Layer, minute: int) -> None:
        """At other minutes of the hour each time, so that what is told by five minutes is seen at all of them."""
        panel, look, blur = layer.panel, layer.look, layer.around.now.blur
        calm = (
            (panel.course["state"] != FIRING)
            & (layer.found.p > course.RESOLVE_P)
            & (minute - panel.course["back"] >= panel.window)
        )
        for place, width in enumerate(panel.widths):
            if minute % (width + 29) == 0:
                learn_spread(panel, place, *look.screened.window(place), blur, calm)
                self.strays.clear()
        for place, width in enumerate(panel.jumps):
            if look.jumped and look.ran and minute % (width + 29) == 0:
                learn_jumps(panel, place, *look.jumped.window(place), blur + look.ran.error, calm)

    def _learn(self, leaving: int) -> None:
        """The minute that leaves the window, and at the end of its hour the hour."""
        for panel in (self.roots, self.stores):
            panel.course["hour"] += panel.minute(leaving)
        self.roots.course["quarters"][leaving % 60 // QUARTER] += self.roots.minute(leaving)
        if leaving % 60 != 59:
            return
        number = leaving // 60
        if number * 60 < self.header.since:
            self._forget_hour()
            return
        moment = self.seasons.moment(number)
        of_roots = self._rates(self.roots, number)
        hours = [self._hour(panel, number, moment) for panel in (self.roots, self.stores)]
        if self.stores.dims:
            learn_stores(self.stores, hours[1], self.roots, of_roots)
        learn_roots(self.roots, hours[0])
        learn_quarters(self.roots, number, ~hours[0].odd & ~hours[0].silent)
        self.roots.course["wet"] = rain(self.roots.course["hour"], self.roots.course["wet"])
        self._forget_hour()
        self.known.clear()

    def _hour(self, panel: Panel, number: int, moment: Moment) -> Hour:
        odd = panel.course["unusual"] >= number * 60
        silent = np.tile(panel.learned["born"] > number * 60, (SERIES, 1))
        if panel is self.stores:
            silent[OTHERS] |= odd[ALIVE_MINUTES]
        return Hour(number, moment, self._rates(panel, number), odd, silent)

    def _forget_hour(self) -> None:
        for panel in (self.roots, self.stores):
            panel.course["hour"][...] = 0
        self.roots.course["quarters"][...] = 0

    def write(self) -> dict[str, bytes]:
        return {**self.roots.write(), **self.stores.write(), "judge": encode_header(self.header)}
