"""From series that fire to what people are told: which incident, how much money, which stores, in which words."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from msgspec import to_builtins

from alerts.kpis.book import Book, Layer
from alerts.kpis.course import RESOLVE_P
from alerts.kpis.expectation import Floats
from alerts.kpis.incident import (
    ALIKE,
    BEYOND_CHANCE,
    EXPLAINS,
    STILL_EXPLAINS,
    TOLD_EVERY,
    Contribution,
    Incident,
    Place,
    Sight,
    State,
    join,
    kind,
    lies_within,
    widen,
)
from alerts.kpis.panel import FIRING, ROOTS
from alerts.kpis.series import ALIVE_MINUTES, AOV, KINDS, KPIS, NAMES, ORDERS, PLACE, REDEMPTIONS
from features.job import Message
from features.messages import cloudevent
from features.times import MINUTE_MS, rfc3339

MOST_NAMED = 10  # stores or contributors in one message
BAND = 3.0  # standard deviations to each side
CRITICAL, WARNING = 0.05, 0.005  # of what the chain takes in an hour
SEVERITIES = ("notice", "warning", "critical")
OFFLINE = "offline"  # what people call a store of which nothing at all is heard

Deviations = dict[tuple[str, int], tuple[Floats, Floats]]  # by layer and window: seen and expected, [SERIES, dims]


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
        fired = [layer for layer in layers if layer.steps.fired.any()]
        if not fired and not incidents:
            return
        view = View(self.book, layers, minute)
        for one in list(incidents):
            for ended in self._widened(view, one):
                self._say(ended, "resolved", view, stamp_ms, f"part of the incident of {ended.dim}")
        for layer in fired:
            for series, place in self._widest_first(layer):
                for ended in self._gather(view, layer, series, place):
                    self._say(ended, "resolved", view, stamp_ms, f"part of the incident of {ended.dim}")
        for one in list(incidents):
            one.members = [member for member in one.members if view.fires(member)]
            if not one.members:
                incidents.remove(one)
                self._say(one, "resolved", view, stamp_ms)
            elif self._grows(one, view) and minute >= one.told + TOLD_EVERY:
                self._say(one, "firing", view, stamp_ms)

    def _widest_first(self, layer: Layer) -> list[tuple[int, int]]:
        """Series and places that have begun to fire, the rarest of each kind of dimension first."""
        fired, p = np.argwhere(layer.steps.fired).tolist(), layer.found.p
        order = [
            (KINDS.index(kind(layer.panel.dims[place])), p[series, place], series, place) for series, place in fired
        ]
        return [(series, place) for _, _, series, place in sorted(order)]

    def _gather(self, view: View, layer: Layer, series: int, place: int) -> list[Incident]:
        dim = layer.panel.dims[place]
        side, began = (int(layer.panel.course[name][series, place]) for name in ("side", "start"))
        meant = view.look_down(dim, series, int(layer.found.window[series, place]))
        where = Place(meant, series, side, view.region_of.get(meant, ""))
        return join(self.book.header.incidents, where, (dim, series), began, NAMES[series], view.region_of)

    def _widened(self, view: View, one: Incident) -> list[Incident]:
        """A channel's incident is the chain's once the rest of the chain is seen to stray as well: in the first minute
        it may not be."""
        incidents, chain = self.book.header.incidents, Place("chain:*", one.series, one.side)
        if kind(one.dim) != "channel" or one not in incidents or (chain.dim, one.series) not in one.members:
            return []
        if not view.all_around(one.dim, one.series):
            return []
        others = [other for other in incidents if other is not one and lies_within(other, chain, view.region_of)]
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
        self._send(one, state, view.minute + 1, view.described(one, state, note))
        self.causes_ms.append(stamp_ms)
        self.counts["kpi_alerts"] += state == "firing"
        self.counts["kpi_incidents"] += state == "firing" and one.revision == 1

    def _send(self, one: Incident, state: State, minute: int, data: dict[str, Any]) -> None:
        """As of the beginning of a minute."""
        id, at_ms = f"{one.id}|{state}|{one.revision}", minute * MINUTE_MS
        self.messages.append(cloudevent(self.topic, one.mark, id, "alert.kpi", "kpis", at_ms, one.dim, data))


class View:
    """A minute as it was judged, to be looked at from any dimension."""

    def __init__(self, book: Book, layers: list[Layer], minute: int) -> None:
        self.book, self.minute = book, minute
        self.layers = {layer.panel.layer: layer for layer in layers}
        self.region_of = {
            dim: book.roots.dims[parent]
            for dim, parent in zip(book.stores.dims, book.stores.learned["parent"].tolist(), strict=True)
        }
        self._deviations: Deviations = {}
        self.open = book.header.incidents

    def layer(self, dim: str) -> Layer:
        return self.layers["stores" if kind(dim) == "store" else ROOTS]

    def fires(self, member: tuple[str, int]) -> bool:
        dim, series = member
        panel = self.layer(dim).panel
        return bool(panel.course["state"][series, panel.place[dim]] == FIRING)

    def still(self, members: list[tuple[str, int]]) -> bool:
        """Whether one of them is unusual in this minute, and not only waits to be resolved."""
        layers = ((self.layer(dim), dim, series) for dim, series in members)
        return any(layer.found.p[series, layer.panel.place[dim]] <= RESOLVE_P for layer, dim, series in layers)

    def deviations(self, layer: Layer, width: int) -> tuple[Floats, Floats]:
        """What was seen in a window and what was expected; of amounts, sums of logarithms."""
        panel = layer.panel
        width = next((each for each in panel.widths if width <= each), panel.window)
        if (panel.layer, width) not in self._deviations:
            place, screened = panel.widths.index(width), layer.look.screened
            seen, of, mid = screened.seen[place], screened.of[place], screened.mid[place]
            self._deviations[panel.layer, width] = seen, np.where(np.isfinite(mid), of * mid, seen)
        return self._deviations[panel.layer, width]

    def look_down(self, dim: str, series: int, width: int) -> str:
        """The narrowest dimension that explains most of a deviation; the chain where all of it strays alike."""
        while kind(dim) != "store":
            layer = self.layer(dim)
            seen, expected = self.deviations(layer, width)
            place = layer.panel.place[dim]
            whole = float(seen[series, place] - expected[series, place])
            parts = self.parts(dim, series, width)
            if not parts or not whole:
                return dim
            explained = [(part.observed - part.expected) / whole for part in parts]
            most, others = max(explained), sum(sorted(explained)[:-1])
            part = parts[explained.index(most)]
            child, all_of_it = part.dim, Contribution(dim, float(seen[series, place]), float(expected[series, place]))
            if kind(dim) == "chain" and _all_around(part, all_of_it):
                return dim
            told = any(one.dim == child and series in one.kpis for one in self.open)
            if most < (STILL_EXPLAINS if told else EXPLAINS) or (kind(dim) == "channel" and others > most):
                return dim
            dim = child
        return dim

    def all_around(self, dim: str, series: int) -> bool:
        """Whether the rest of the chain strays as a part of it does, in the window that tells most."""
        layer = self.layers[ROOTS]
        seen, expected = self.deviations(layer, int(layer.found.window[series, layer.panel.place["chain:*"]]))
        places = [(each, layer.panel.place[each]) for each in (dim, "chain:*")]
        part, whole = (Contribution(each, float(seen[series, p]), float(expected[series, p])) for each, p in places)
        return _all_around(part, whole)

    def parts(self, dim: str, series: int, width: int) -> list[Contribution]:
        """Of the chain its regions and channels, of a channel the regions, of a region its stores."""
        if kind(dim) in ("chain", "channel"):
            kinds = ("region", "channel") if kind(dim) == "chain" else ("region",)
            layer, dims = self.layers[ROOTS], [d for d in self.book.roots.dims if kind(d) in kinds]
        elif "stores" in self.layers:
            layer, dims = self.layers["stores"], [d for d, root in self.region_of.items() if root == dim]
        else:
            return []
        seen, expected = self.deviations(layer, width)
        places = [layer.panel.place[each] for each in dims]
        return [
            Contribution(each, float(seen[series, place]), float(expected[series, place]))
            for each, place in zip(dims, places, strict=True)
        ]

    def sight(self, one: Incident) -> Sight:
        layer = self.layer(one.dim)
        place, series = layer.panel.place[one.dim], one.series
        found = layer.found
        of, mean, seen = (float(array[series, place]) for array in (found.of, found.mean, found.seen))
        if not of or not np.isfinite(mean):
            return unseen(layer.panel.window)
        sd, p, width = float(found.sd[series, place]), float(found.p[series, place]), int(found.window[series, place])
        if series == AOV:
            values = [float(np.exp(x)) for x in (seen / of, mean, mean - BAND * sd / of, mean + BAND * sd / of)]
        else:
            scale = of if KPIS[series].kind == "share" else 1.0
            values = [max(0.0, x) / scale for x in (seen, of * mean, of * mean - BAND * sd, of * mean + BAND * sd)]
        money = self._money(layer, place, series, seen - of * mean, of) * 60 / max(1, width)
        seen, usual, low, high = values
        return Sight(seen, usual, low, high, p, width, round(abs(money)))

    def _money(self, layer: Layer, place: int, series: int, strayed: float, of: float) -> float:
        """Cents that a deviation stands for."""
        mean = layer.around.now.mean[:, place]
        order = float(np.exp(mean[AOV])) if np.isfinite(mean[AOV]) else 0.0
        name = NAMES[series]
        if name in ("orders", "conversion", "refund_rate"):
            return strayed * order
        if name == "alive":
            return float(np.nan_to_num(mean[ORDERS])) * of * order
        if name in ("redemptions", "redemption_share"):
            counts = layer.look.sums[-1][:, place]
            redeemed = max(1, int(counts[KPIS[REDEMPTIONS].over]))
            return strayed * float(counts[PLACE["discount_cents"]]) / redeemed
        if name == "aov_cents":
            return of * order * (float(np.exp(strayed / max(of, 1))) - 1)
        return 0.0

    def severity(self, one: Incident) -> str:
        """By the share of what the chain takes in an hour that is at stake."""
        chain = self.book.roots.place.get("chain:*")
        if chain is None or ROOTS not in self.layers:
            return "warning"
        mean = self.layers[ROOTS].around.now.mean[:, chain]
        hour = float(mean[ORDERS] * 60 * np.exp(mean[AOV])) if np.isfinite(mean[[ORDERS, AOV]]).all() else 0.0
        if not hour:
            return "warning"
        share = one.money_cents / hour
        return "critical" if share >= CRITICAL else "warning" if share >= WARNING else "notice"

    def described(self, one: Incident, state: State, note: str) -> dict[str, Any]:
        sight, layer = self.sight(one), self.layer(one.dim)
        parts = self.parts(one.dim, one.series, sight.window_minutes)
        parts.sort(key=lambda part: -abs(part.observed - part.expected))
        named = parts[:MOST_NAMED] if state == "firing" else []
        stores, count = self._stores(one)
        why = note or self._why(one, state, sight, count)
        contributors = [to_builtins(_readable(part, one.series, layer)) for part in named]
        return described(one, state, sight, why) | {
            "stores": stores, "stores_affected": count, "contributors": contributors
        }  # fmt: skip

    def _stores(self, one: Incident) -> tuple[list[str], int]:
        """The stores in which something of it fires, the worst first, and how many they are."""
        if kind(one.dim) == "store":
            return [one.dim[6:]], 1
        stores = list(dict.fromkeys(dim for dim, _ in one.members if kind(dim) == "store"))
        if not stores and "stores" in self.layers:
            parts = self._store_parts(one)
            stores = [part.dim for part in parts]
        return [dim[6:] for dim in stores[:MOST_NAMED]], len(stores)

    def _store_parts(self, one: Incident) -> list[Contribution]:
        """Stores that deviate to the incident's side by half of what is expected there, the most first."""
        layer = self.layers["stores"]
        seen, expected = (array[one.series] for array in self.deviations(layer, layer.panel.window))
        inside = np.array([kind(one.dim) != "region" or root == one.dim for root in self.region_of.values()])
        strayed = (seen - expected) * one.side
        places = np.flatnonzero(inside & (strayed > np.maximum(1.0, 0.5 * np.abs(expected))))
        order = places[np.argsort(-strayed[places], kind="stable")]
        return [Contribution(layer.panel.dims[p], float(seen[p]), float(expected[p])) for p in order.tolist()]

    def _why(self, one: Incident, state: State, sight: Sight, stores: int) -> str:
        until = rfc3339((self.minute + 1) * MINUTE_MS)[:16]
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
        return (
            f"{one.dim}: {_named(one.series)} {verb} {seen} in the {sight.window_minutes} minutes before {until}Z;"
            f" usual now: {usual}{odds}{also}{where}"
        )


def unseen(window: int) -> Sight:
    return Sight(0.0, 0.0, 0.0, 0.0, 1.0, window, 0)


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


def _all_around(part: Contribution, whole: Contribution) -> bool:
    """Whether what is around a part strays as it does: a part that is most of the whole has most of any deviation."""
    usual = whole.expected - part.expected
    rest, own = whole.observed - whole.expected - (part.observed - part.expected), part.observed - part.expected
    if min(usual, part.expected) <= 0 or rest * own <= 0 or abs(rest) < BEYOND_CHANCE * usual**0.5:
        return False
    return abs(rest) / usual >= ALIKE * abs(own) / part.expected


def _readable(part: Contribution, series: int, layer: Layer) -> Contribution:
    """Rounded; sums of logarithms say nothing to people, so amounts are left as differences from nothing."""
    if series == AOV:
        return Contribution(part.dim, round(part.observed - part.expected, 4), 0.0)
    return Contribution(part.dim, round(part.observed, 2), round(part.expected, 2))
