"""From series that fire to what people are told: which incident, and in which words."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from msgspec import to_builtins

from alerts.kpis.book import Book, Layer
from alerts.kpis.catalog import CHAIN
from alerts.kpis.course import RESOLVE_P
from alerts.kpis.incident import (
    TOLD_EVERY,
    Contribution,
    Incident,
    Place,
    Sight,
    State,
    category_of_line,
    covers,
    join,
    kind,
    lies_within,
    widen,
)
from alerts.kpis.panel import FIRING, ROOTS
from alerts.kpis.series import (
    ALIVE_MINUTES,
    AOV,
    KINDS,
    KPIS,
    LINES,
    NAMES,
    ORDERS,
    REDEEMED,
    series_of,
)
from alerts.kpis.verdict import Flags
from alerts.kpis.view import MOST_NAMED, View, unseen
from features.job import Message
from features.messages import cloudevent
from features.times import MINUTE_MS, rfc3339

WIDE = ("chain", "region", "channel")  # where coupons of several campaigns are redeemed
SEVERITIES = ("notice", "warning", "critical")
OFFLINE = "offline"  # what people call a store of which nothing at all is heard


class Teller:
    """Of one batch; the incidents are those of the book."""

    def __init__(self, topic: str, book: Book) -> None:
        self.topic, self.book = topic, book
        self.messages: list[Message] = []
        self.causes_ms: list[int] = []
        self.counts: Counter[str] = Counter()

    def tell(self, layers: list[Layer], minute: int, stamp_ms: int) -> None:
        """All that a minute changed."""
        incidents = self.book.header.incidents
        to_tell = [layer.steps.fired | self._untold(layer) for layer in layers]
        if not incidents and not any(these.any() for these in to_tell):
            return
        view = View(self.book, layers, minute)
        for one in list(incidents):
            for ended in self._widened(view, one):
                self._say(ended, "resolved", view, stamp_ms, f"part of the incident of {ended.dim}")
        for layer, these in zip(layers, to_tell, strict=True):
            for series, place in self._widest_first(layer, these):
                for ended in self._gather(view, layer, series, place):
                    self._say(ended, "resolved", view, stamp_ms, f"part of the incident of {ended.dim}")
        for one in list(incidents):
            one.members = [member for member in one.members if view.fires(member)]
            if not one.members:
                incidents.remove(one)
                self._say(one, "resolved", view, stamp_ms)
            elif self._grows(one, view) and minute >= one.told + TOLD_EVERY:
                self._say(one, "firing", view, stamp_ms)

    def _untold(self, layer: Layer) -> Flags:
        """Lines of products that fire, and had no incident as they fell with their place: they may stand out by now."""
        found = np.zeros(layer.steps.fired.shape, bool)
        if layer.panel.layer == ROOTS:
            told = {dim for one in self.book.header.incidents for dim, _ in one.members}
            rare = (layer.panel.course["state"][ORDERS] == FIRING) & (layer.found.p[ORDERS] <= RESOLVE_P)
            lines = np.logical_or.reduce([self.book.kinds[name] for name in LINES])
            for place in np.flatnonzero(rare & lines).tolist():
                found[ORDERS, place] = layer.panel.dims[place] not in told
        return found

    def _widest_first(self, layer: Layer, these: Flags) -> list[tuple[int, int]]:
        """Series and places that have begun to fire, the rarest of each kind of dimension first."""
        p = layer.found.p
        order = [
            (KINDS.index(kind(layer.panel.dims[place])), p[series, place], series, place)
            for series, place in np.argwhere(these).tolist()
        ]
        return [(series, place) for _, _, series, place in sorted(order)]

    def _gather(self, view: View, layer: Layer, series: int, place: int) -> list[Incident]:
        """A line of products that falls with its place is part of what is told of that, which is judged by itself."""
        dim = layer.panel.dims[place]
        side, began = (int(layer.panel.course[name][series, place]) for name in ("side", "start"))
        meant = view.look_down(dim, series, int(layer.found.window[series, place]))
        where = Place(meant, series_of(kind(meant), series), side, view.lies_in.get(meant, ""))
        open_ = self.book.header.incidents
        if kind(dim) in LINES and kind(meant) not in LINES and not any(covers(one, where) for one in open_):
            return []
        return join(open_, where, (dim, series), began, NAMES[where.series], view.lies_in)

    def _widened(self, view: View, one: Incident) -> list[Incident]:
        """A channel's incident is the chain's once the rest of the chain is seen to stray as well: in the first minute
        it may not be."""
        incidents, chain = self.book.header.incidents, Place(CHAIN, one.series, one.side)
        if kind(one.dim) != "channel" or one not in incidents or (chain.dim, one.series) not in one.members:
            return []
        if not view.rest_strays(one.dim, one.series):
            return []
        others = [other for other in incidents if other is not one and lies_within(other, chain, view.lies_in)]
        return widen(incidents, [one, *others], chain.dim)

    def _grows(self, one: Incident, view: View) -> bool:
        sight = view.sight(one)
        one.money_cents = max(one.money_cents, sight.money_cents)
        severity = max(one.severity or "notice", view.severity(one), key=SEVERITIES.index)
        one.news |= severity != one.severity
        one.severity = severity
        return one.news and (not one.revision or sight.p <= RESOLVE_P or view.still(one.members))

    def break_off(self, one: Incident, minute: int, window: int) -> None:
        """Ends an incident that cannot be looked at any more; of no event's making, so without a latency."""
        one.revision += 1
        why = f"{one.dim}: no longer watched in this way; what is usual of {_named(one.series)} is learned anew"
        self._send(one, "resolved", minute, described(one, "resolved", unseen(window), why))

    def _say(self, one: Incident, state: State, view: View, stamp_ms: int, note: str = "") -> None:
        one.revision, one.told, one.news = one.revision + 1, view.minute, False
        self._send(one, state, view.minute + 1, self._described(view, one, state, note))
        self.causes_ms.append(stamp_ms)
        self.counts["kpi_alerts"] += state == "firing"
        self.counts["kpi_incidents"] += state == "firing" and one.revision == 1

    def _send(self, one: Incident, state: State, minute: int, data: dict[str, Any]) -> None:
        """As of the beginning of a minute."""
        id, at_ms = f"{one.id}|{state}|{one.revision}", minute * MINUTE_MS
        self.messages.append(cloudevent(self.topic, one.mark, id, "alert.kpi", "kpis", at_ms, one.dim, data))

    def _described(self, view: View, one: Incident, state: State, note: str) -> dict[str, Any]:
        sight = view.sight(one)
        parts = view.parts(one.dim, one.series, sight.window_minutes)
        if one.series in REDEEMED and kind(one.dim) in WIDE:
            parts += view.campaigns(sight.window_minutes)
        if line := view.line_of(one.dim, one.series, sight.window_minutes):
            parts.append(view.orders(line, sight.window_minutes))
        parts.sort(key=lambda part: -abs(part.strayed))
        named = parts[:MOST_NAMED] if state == "firing" else []
        stores, count = view.stores(one)
        why = note or self._why(view, one, state, sight, count)
        contributors = [to_builtins(_readable(part, one.series)) for part in named]
        return described(one, state, sight, why) | {
            "stores": stores, "stores_affected": count, "contributors": contributors
        }  # fmt: skip

    def _why(self, view: View, one: Incident, state: State, sight: Sight, stores: int) -> str:
        until = rfc3339((view.minute + 1) * MINUTE_MS)[:16]
        seen, usual = (_words(one.series, value) for value in (sight.observed, sight.expected))
        if state == "resolved":
            return f"{one.dim}: {_named(one.series)} back to usual at {until}Z"
        if one.series == ALIVE_MINUTES:
            told = f"{one.dim}: offline, nothing heard in the {sight.window_minutes} minutes before {until}Z"
            return f"{told}; usual: something in {sight.expected:,.0f} of them, odds {sight.p:.0e}"
        verb = "down to" if one.side < 0 else "up to"
        others = [_named(series) for series in one.kpis if series != one.series]
        odds = f", odds {sight.p:.0e}" if sight.p < 1 else ""
        also = f"; also {', '.join(others)}" if others else ""
        where = f"; {stores:,} stores stand out" if stores > 1 else ""
        most = f"; most of it {culprit}" if (culprit := _culprit(view, one, sight.window_minutes)) else ""
        return (
            f"{one.dim}: {_named(one.series)} {verb} {seen} in the {sight.window_minutes} minutes before {until}Z;"
            f" usual now: {usual}{odds}{also}{where}{most}"
        )


def _culprit(view: View, one: Incident, width: int) -> str:
    """The campaign or the category that explains most of what a place is off by; empty: none."""
    campaign = view.campaign_of(one.dim, one.series, width) if kind(one.dim) in WIDE else ""
    line = view.line_of(one.dim, one.series, width)
    return campaign or category_of_line(line) or line


def described(one: Incident, state: State, sight: Sight, why: str) -> dict[str, Any]:
    """The alert, as `features/outgoing.py` has it, of no other dimension."""
    return {
        "state": state,
        "dim": one.dim,
        "series": shown(one.series),
        "direction": one.direction,
        "observed": round(sight.observed, 4),
        "expected": round(sight.expected, 4),
        "p": sight.p,
        "started_ms": one.start * MINUTE_MS,
        "fingerprint": one.mark,
        "incident": one.id,
        "why": why,
        "expected_low": round(sight.low, 4),
        "expected_high": round(sight.high, 4),
        "window_minutes": sight.window_minutes,
        "kpis": [shown(series) for series in one.kpis],
        "stores": [one.dim[6:]] if kind(one.dim) == "store" else [],
        "stores_affected": int(kind(one.dim) == "store"),
        "severity": one.severity or "notice",
        "money_cents": one.money_cents,
        "contributors": [],
        "revision": one.revision,
        "high": _high(one),
    }


def shown(series: int) -> str:
    return OFFLINE if series == ALIVE_MINUTES else NAMES[series]


def _high(one: Incident) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for dim, series in one.high:
        found.setdefault(shown(series), []).append(dim)
    return found


def _named(series: int) -> str:
    return shown(series).removesuffix("_cents").replace("_", " ")


def _words(series: int, value: float) -> str:
    if series == AOV:
        return f"{value / 100:,.2f}"
    return f"{value:.1%}" if KPIS[series].kind == "share" else f"{value:,.0f}"


def _readable(part: Contribution, series: int) -> Contribution:
    """Rounded; sums of logarithms say nothing to people, so amounts are left as differences from nothing."""
    if series == AOV:
        return Contribution(part.dim, round(part.strayed, 4), 0.0)
    return Contribution(part.dim, round(part.observed, 2), round(part.expected, 2))
