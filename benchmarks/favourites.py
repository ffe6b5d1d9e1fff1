"""How often what a customer usually has is what they have next, beside what is most popular with everybody.

python -m benchmarks.favourites [--history DIR] [--json FILE]

Every basket of a year of a grocery chain (Complete Journey, docs/data.md) goes through the core under the shipped
features. Before each, the favourites of its customer stand as the basket before has left them: `favourite_category`
(its department), `usual_sku`, `favourite_store`, `usual_hour`. A favourite is right when it is in the basket; so is
what was in most baskets of the chain until then. A customer's first basket has no favourite and is left out for both.
The category drawn to everybody's is what a model of the next one could say without looking at more: the customer's own
fading counts, and the chain's as if that had been so many orders of the customer.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from benchmarks.house import out, progress
from brewline.histories.complete_journey import TIMEZONE, read_complete_journey
from brewline.histories.history import History
from brewline.results import circumstances, write_json
from config import settings as conf
from features import events as e
from features.customer import Core
from features.job import Batch, Clock
from features.kernel import arrays
from features.times import DAY_MS, hour_of, local_day, local_ms
from flows.files import load_catalog

BATCH = 5_000
DRAWN = "favourite_category"
BELIEF, HALF_LIFE_DAYS = 10.0, 60.0  # orders' worth, chosen on customers 0 to 59 of benchmarks.people.part_of
HAD: dict[str, Callable[[e.Order], set[str]]] = {
    "favourite_category": lambda order: {line.category for line in order.lines},
    "usual_sku": lambda order: {line.sku for line in order.lines},
    "favourite_store": lambda order: {order.store},
    "usual_hour": lambda order: {str(hour_of(local_ms(order.at_ms, TIMEZONE)))},
}


class Hits(Struct):
    asked: int = 0
    own: int = 0
    popular: int = 0
    drawn: int = 0


class Popular:
    """What was in most baskets until now."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.first, self.baskets = "", 0

    def add(self, found: set[str]) -> None:
        self.baskets += 1
        self.counts.update(found)
        self.first = max(self.first, *sorted(found), key=lambda text: self.counts[text])


class Drawn:
    """Each customer's counts, fading, drawn to everybody's."""

    def __init__(self, everybody: Popular) -> None:
        self.everybody = everybody
        self.counts: dict[str, Counter[str]] = {}
        self.latest_ms: dict[str, int] = {}

    def first(self, customer: str, at_ms: int) -> str:
        own, of, fading = self.counts[customer], self.everybody, self._fading(customer, at_ms)
        return max(of.counts, key=lambda text: fading * own[text] + BELIEF * of.counts[text] / of.baskets)

    def add(self, customer: str, at_ms: int, found: set[str]) -> None:
        fading = self._fading(customer, at_ms)
        own = {text: count * fading for text, count in self.counts.get(customer, Counter()).items()}
        self.counts[customer] = Counter({text: own.get(text, 0.0) + (text in found) for text in own.keys() | found})  # type: ignore[dict-item]
        self.latest_ms[customer] = at_ms

    def _fading(self, customer: str, at_ms: int) -> float:
        return 0.5 ** ((at_ms - self.latest_ms.get(customer, at_ms)) / DAY_MS / HALF_LIFE_DAYS)


class Guesses:
    """What is thought of each customer's next basket, and how often that was right."""

    def __init__(self) -> None:
        self.own: dict[str, dict[str, str]] = {name: {} for name in HAD}  # by favourite and customer
        self.popular = {name: Popular() for name in HAD}
        self.hits = {name: Hits() for name in HAD}
        self.drawn = Drawn(self.popular[DRAWN])

    def judge(self, order: e.Order) -> None:
        for name, had in HAD.items():
            found, hits, popular = had(order), self.hits[name], self.popular[name]
            if guess := self.own[name].get(order.customer):
                hits.asked += 1
                hits.own += guess in found
                hits.popular += popular.first in found
                hits.drawn += name == DRAWN and self.drawn.first(order.customer, order.at_ms) in found
            popular.add(found)
        self.drawn.add(order.customer, order.at_ms, HAD[DRAWN](order))


class Chain:
    """The core over one partition, and the texts behind its codes."""

    def __init__(self) -> None:
        self.catalog = load_catalog(conf.load(environ={}))
        self.core = Core(self.catalog, wanted={"order"})
        self.records: dict[str, bytes] = {}
        self.words: dict[int, str] = {}

    def favourites(self, orders: list[e.Order]) -> Iterator[dict[str, str]]:
        """By order, what they are behind it."""
        values = [e.encode(order) for order in orders]
        batch = Batch("events", 0, -1, list(range(len(values))), values, [0] * len(values))
        columns = self.core.columns(batch, Clock())
        applied = self.core.apply(columns, [], self.records)
        self.records.update(applied.records)
        self.words |= applied.touches.words(columns.scanned, self.words)
        places = np.argsort(columns.index[applied.asked[:, arrays.EVENT]])
        seen = applied.rows[places][:, [self.catalog.index(name) for name in HAD]]
        for row in seen.tolist():
            yield {name: self._spelt(name, value) for name, value in zip(HAD, row, strict=True) if value == value}

    def _spelt(self, name: str, value: float) -> str:
        return self.words[int(value)] if name in self.catalog.texts else str(int(value))


def orders_of(history: History) -> Iterator[e.Order]:
    for record in history.events():
        if record.kind == "order":
            order = msgspec.json.decode(record.value, type=e.Order)
            order.customer, order.at_ms, order.tz = record.key, record.at_ms, TIMEZONE
            order.day = local_day(record.at_ms, TIMEZONE)
            yield order


def judged(
    orders: Iterator[e.Order], told: Callable[[int], None] = lambda _: None, batch: int = BATCH
) -> dict[str, Hits]:
    """A customer's favourites of one batch are those that orders before them in it have left."""
    chain, guesses = Chain(), Guesses()
    while some := list(islice(orders, batch)):
        for order, found in zip(some, chain.favourites(some), strict=True):
            guesses.judge(order)
            for name, text in found.items():
                guesses.own[name][order.customer] = text
        told(len(some))
    return guesses.hits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--history", type=Path, help="a folder with its tables, in the place of the package's")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    history = read_complete_journey(asked.history)
    with progress() as bar:
        task = bar.add_task("baskets", total=history.orders)
        hits = judged(orders_of(history), lambda done: bar.advance(task, done))
    figures = {}
    for name, found in hits.items():
        own, popular = (round(part / max(found.asked, 1), 4) for part in (found.own, found.popular))
        figures |= {f"{name}_asked": found.asked, f"{name}_right": own, f"{name}_most_popular_right": popular}
        out.print(f"{name}: right {own:.1%} of {found.asked:,}, most popular {popular:.1%}", highlight=False)
    figures[f"{DRAWN}_drawn_right"] = drawn = round(hits[DRAWN].drawn / max(hits[DRAWN].asked, 1), 4)
    out.print(f"{DRAWN}, drawn to everybody's: right {drawn:.1%}", highlight=False)
    out.print(circumstances()["machine"], circumstances()["commit"], highlight=False)
    write_json(asked.json, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
