"""What is learned of hours in which a store was not there to be seen."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.kpis.book import Book, Judging
from alerts.kpis.catalog import CHAIN
from alerts.kpis.panel import WEEK_HOURS
from alerts.kpis.seasons import Seasons
from alerts.kpis.series import COUNTED, ORDERS, PLACE

STORES = [f"store:{name}" for name in "abcdefgh"]
FIRST = WEEK_HOURS * 60 * 2_900  # minutes since the epoch
HOUR = FIRST // 60 + 3 * 24 + 12


def lived(silent: range) -> Book:
    """After four days in which each store has two orders a minute, and one is not heard for some minutes of `HOUR`."""
    book = Book({}, Judging(), {}, Seasons())
    rows = np.zeros((len(STORES) + 1, len(COUNTED)), np.int64)
    for name, count in (("orders", 2), ("revenue_cents", 4_000), ("heartbeats", 1)):
        rows[:-1, PLACE[name]], rows[-1, PLACE[name]] = count, count * len(STORES)
    without = np.concatenate([np.zeros((1, len(COUNTED)), np.int64), rows[1:]])
    book.header.next = book.header.since = FIRST
    for minute in range(FIRST, (HOUR + 3) * 60):
        book.clear(minute)
        book.take([*STORES, CHAIN], without if minute - HOUR * 60 in silent else rows, minute)
        book.judge()
    return book


@pytest.mark.parametrize(("silent", "missing"), [(range(5, 40), [0]), (range(30, 80), [0, 1]), (range(0), [])])
def test_an_hour_with_a_silence_is_not_learned_even_if_the_store_is_back_before_that(
    silent: range, missing: list[int]
) -> None:
    book = lived(silent)
    for later in (0, 1):
        learned = book.stores.cell((HOUR + later) % WEEK_HOURS)[1, ORDERS] > 0
        assert learned.tolist() == [later not in missing] + [True] * (len(STORES) - 1)
