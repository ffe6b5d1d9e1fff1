"""A minute as it was judged, looked at from any dimension: what explains a deviation, and what it comes to."""

from __future__ import annotations

import numpy as np

from alerts.kpis.book import Book, Layer
from alerts.kpis.catalog import CHAIN
from alerts.kpis.course import RESOLVE_P
from alerts.kpis.expectation import Floats
from alerts.kpis.incident import (
    ALIKE,
    BEYOND_CHANCE,
    EXPLAINS,
    STILL_EXPLAINS,
    Contribution,
    Incident,
    Sight,
    category_of_line,
    kind,
    region_of_line,
)
from alerts.kpis.panel import FIRING, ROOTS, Panel
from alerts.kpis.series import (
    AOV,
    CATEGORY,
    KPIS,
    LINES,
    NAMES,
    OF_REGION,
    ORDERS,
    PLACE,
    REDEEMED,
    REDEMPTIONS,
    SOLD,
)

MOST_NAMED = 10  # stores, or contributors, in one message
BAND = 3.0  # standard deviations to each side
CRITICAL, WARNING = 0.05, 0.005  # of what the chain takes in an hour

Deviations = dict[tuple[str, int], tuple[Floats, Floats]]  # by layer and window: seen and expected, [SERIES, dims]


class View:
    """A minute as it was judged, to be looked at from any dimension."""

    def __init__(self, book: Book, layers: list[Layer], minute: int) -> None:
        self.book, self.minute = book, minute
        self.layers = {layer.panel.layer: layer for layer in layers}
        self.region_of = {
            dim: book.roots.dims[parent]
            for dim, parent in zip(book.stores.dims, book.stores.learned["parent"].tolist(), strict=True)
        }
        lines = {dim: region_of_line(dim) for dim in book.roots.dims if kind(dim) == OF_REGION}
        self.lies_in = self.region_of | lines
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
        name, place, screened = layer.panel.layer, _at_least(layer.panel, width), layer.look.screened
        if (name, place) not in self._deviations:
            seen, of, mid = screened.seen[place], screened.of[place], screened.mid[place]
            self._deviations[name, place] = seen, np.where(np.isfinite(mid), of * mid, seen)
        return self._deviations[name, place]

    def look_down(self, dim: str, series: int, width: int) -> str:
        """The narrowest dimension that explains most of a deviation; the chain where all of it strays alike."""
        dim = self._strays_with(dim, width) if kind(dim) in LINES else dim
        while kind(dim) != "store":
            whole = self.orders(dim, width) if kind(dim) == CATEGORY else self.part(dim, series, width)
            parts = self.parts(dim, series, width)
            if not parts or not whole.strayed:
                return self._told_as_line(dim, series, width) or dim
            explained = [part.strayed / whole.strayed for part in parts]
            most, others = max(explained), sum(sorted(explained)[:-1])
            part = parts[explained.index(most)]
            told = any(one.dim == part.dim and series in one.kpis for one in self.open)
            unexplained = most < (STILL_EXPLAINS if told else EXPLAINS)
            if kind(dim) == "chain" and (unexplained or all_around(part, whole)):
                return self.campaign_of(dim, series, width) or self._not_sold(dim, series, width) or dim
            if unexplained or (kind(dim) in ("channel", "campaign", CATEGORY) and others > most):
                return self._told_as_line(dim, series, width) or dim
            dim = part.dim
        return dim

    def _strays_with(self, dim: str, width: int) -> str:
        """What a line of products is part of, where the rest of that strays as it does; else itself."""
        part = self.orders(dim, width)
        for whole in (region_of_line(dim), category_of_line(dim)) if kind(dim) == OF_REGION else (CHAIN,):
            if whole in self.book.roots.place and not stands_out(part, self.orders(whole, width)):
                return self._strays_with(whole, width) if kind(whole) in LINES else whole
        return dim

    def _not_sold(self, dim: str, series: int, width: int) -> str:
        """The category that explains what the chain lacks; empty: none."""
        return self.line_of(dim, series, width) if self.orders(dim, width).strayed < 0 else ""

    def _told_as_line(self, dim: str, series: int, width: int) -> str:
        """The category that explains what a region lacks, where the chain has an incident of it; empty: none."""
        category = category_of_line(self.line_of(dim, series, width))
        return category if any(one.dim == category for one in self.open) else ""

    def line_of(self, dim: str, series: int, width: int) -> str:
        """The line of products, of the chain or a region, that explains how much more or less is sold; empty: none."""
        if series not in SOLD or kind(dim) not in ("chain", "region"):
            return ""
        whole, roots = self.orders(dim, width), self.book.roots.dims
        lines = [d for d in roots if (kind(d) == CATEGORY if dim == CHAIN else region_of_line(d) == dim)]
        parts = sorted((self.orders(line, width) for line in lines), key=lambda part: -abs(part.strayed))
        return next((p.dim for p in parts if p.strayed / (whole.strayed or 1) >= EXPLAINS and stands_out(p, whole)), "")

    def campaign_of(self, dim: str, series: int, width: int) -> str:
        """The one whose redemptions explain how many more, or fewer, there are; empty: none."""
        if series not in REDEEMED:
            return ""
        whole = self.part(dim, REDEMPTIONS, width)
        return next((part.dim for part in self.campaigns(width) if explains(part, whole)), "")

    def rest_strays(self, dim: str, series: int) -> bool:
        """Whether the rest of the chain strays as a part of it does, in the window that tells most."""
        layer = self.layers[ROOTS]
        width = int(layer.found.window[series, layer.panel.place[CHAIN]])
        return all_around(self.part(dim, series, width), self.part(CHAIN, series, width))

    def part(self, dim: str, series: int, width: int) -> Contribution:
        layer = self.layer(dim)
        seen, expected = self.deviations(layer, width)
        place = layer.panel.place[dim]
        return Contribution(dim, float(seen[series, place]), float(expected[series, place]))

    def orders(self, dim: str, width: int) -> Contribution:
        """Of a root, in the very minutes that told of it, held against those before them where that is what told."""
        layer = self.layers[ROOTS]
        if layer.look.jumped is None or width not in layer.panel.jumps:
            return self.part(dim, ORDERS, width)
        at, jumped = (layer.panel.jumps.index(width), ORDERS, layer.panel.place[dim]), layer.look.jumped
        seen, mid = float(jumped.seen[at]), float(jumped.mid[at])
        return Contribution(dim, seen, float(jumped.of[at]) * mid if np.isfinite(mid) else seen)

    def campaigns(self, width: int) -> list[Contribution]:
        """Redemptions of each, in the whole chain, those first that stray most."""
        found = [self.part(dim, REDEMPTIONS, width) for dim in self.book.roots.dims if kind(dim) == "campaign"]
        return sorted(found, key=lambda part: -abs(part.strayed))

    def parts(self, dim: str, series: int, width: int) -> list[Contribution]:
        """Of the chain its regions and channels, of a channel or a campaign the regions, of a region its stores, of a
        category itself by region."""
        if kind(dim) in ("chain", "channel", "campaign"):
            kinds = ("region", "channel") if kind(dim) == "chain" else ("region",)
            layer, dims = self.layers[ROOTS], [d for d in self.book.roots.dims if kind(d) in kinds]
        elif kind(dim) == CATEGORY:
            return [self.orders(line, width) for line in self.book.roots.dims if category_of_line(line) == dim]
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
        layer, series = self.layer(one.dim), one.series
        place, found, screened = layer.panel.place[one.dim], layer.found, layer.look.screened
        p, width = self._told((one.dim, series))
        arrays = (found.of, found.mean, found.seen, found.sd)
        rarest = min([(p, width), *map(self._told, one.members)])
        if p > RESOLVE_P and rarest[0] < p:  # by itself it tells little: looked at as the member that tells most
            p, at = rarest[0], _at_least(layer.panel, rarest[1])
            width = layer.panel.widths[at]
            arrays = (screened.of[at], screened.mid[at], screened.seen[at], screened.sd[at])
        of, mean, seen, sd = (float(array[series, place]) for array in arrays)
        if not of or not np.isfinite(mean):
            return unseen(layer.panel.window)
        if series == AOV:
            values = [float(np.exp(x)) for x in (seen / of, mean, mean - BAND * sd / of, mean + BAND * sd / of)]
        else:
            scale = of if KPIS[series].kind == "share" else 1.0
            values = [max(0.0, x) / scale for x in (seen, of * mean, of * mean - BAND * sd, of * mean + BAND * sd)]
        money = self._money(layer, place, series, seen - of * mean, of) * 60 / max(1, width)
        seen, usual, low, high = values
        return Sight(seen, usual, low, high, p, width, round(abs(money)))

    def _told(self, member: tuple[str, int]) -> tuple[float, int]:
        """How rare it is, and in which window."""
        dim, series = member
        layer = self.layer(dim)
        at = (series, layer.panel.place[dim])
        return float(layer.found.p[at]), int(layer.found.window[at])

    def _money(self, layer: Layer, place: int, series: int, strayed: float, of: float) -> float:
        """Cents that a deviation stands for; a line of products has no amounts: its orders are as large as others."""
        if kind(layer.panel.dims[place]) in LINES:
            place = layer.panel.place[CHAIN]
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
        chain = self.book.roots.place.get(CHAIN)
        if chain is None or ROOTS not in self.layers:
            return "warning"
        mean = self.layers[ROOTS].around.now.mean[:, chain]
        hour = float(mean[ORDERS] * 60 * np.exp(mean[AOV])) if np.isfinite(mean[[ORDERS, AOV]]).all() else 0.0
        if not hour:
            return "warning"
        share = one.money_cents / hour
        return "critical" if share >= CRITICAL else "warning" if share >= WARNING else "notice"

    def stores(self, one: Incident) -> tuple[list[str], int]:
        """The stores in which something of it fires, then those that deviate with it, the worst first; how many."""
        if kind(one.dim) == "store":
            return [one.dim[6:]], 1
        stores = dict.fromkeys(dim for dim, _ in one.members if kind(dim) == "store")
        if "stores" in self.layers and kind(one.dim) not in LINES:
            stores |= dict.fromkeys(part.dim for part in self._store_parts(one))
        return [dim[6:] for dim in stores][:MOST_NAMED], len(stores)

    def _store_parts(self, one: Incident) -> list[Contribution]:
        """Stores that deviate to the incident's side by half of what is expected there, the most first."""
        layer = self.layers["stores"]
        seen, expected = (array[one.series] for array in self.deviations(layer, layer.panel.window))
        inside = np.array([kind(one.dim) != "region" or root == one.dim for root in self.region_of.values()])
        strayed = (seen - expected) * one.side
        places = np.flatnonzero(inside & (strayed > np.maximum(1.0, 0.5 * np.abs(expected))))
        order = places[np.argsort(-strayed[places], kind="stable")]
        return [Contribution(layer.panel.dims[p], float(seen[p]), float(expected[p])) for p in order.tolist()]


def _at_least(panel: Panel, width: int) -> int:
    """The place of the shortest of its windows that is no shorter."""
    return next((place for place, each in enumerate(panel.widths) if width <= each), len(panel.widths) - 1)


def unseen(window: int) -> Sight:
    return Sight(0.0, 0.0, 0.0, 0.0, 1.0, window, 0)


def explains(part: Contribution, whole: Contribution) -> bool:
    """Whether a part strays as much as the whole, while what is around it does not."""
    return bool(whole.strayed) and part.strayed / whole.strayed >= EXPLAINS and not all_around(part, whole)


def stands_out(part: Contribution, whole: Contribution) -> bool:
    """Whether what is around a part is seen not to stray as it does."""
    usual = whole.expected - part.expected
    if min(usual, part.expected) <= 0 or not part.strayed:
        return False
    rest, alike = whole.strayed - part.strayed, part.strayed / part.expected * usual
    return rest / alike < ALIKE and abs(alike - rest) >= BEYOND_CHANCE * usual**0.5


def all_around(part: Contribution, whole: Contribution) -> bool:
    """Whether what is around a part strays as it does: a part that is most of the whole has most of any deviation."""
    usual = whole.expected - part.expected
    rest, own = whole.strayed - part.strayed, part.strayed
    if min(usual, part.expected) <= 0 or rest * own <= 0 or abs(rest) < BEYOND_CHANCE * usual**0.5:
        return False
    return abs(rest) / usual >= ALIKE * abs(own) / part.expected
