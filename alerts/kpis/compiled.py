"""Compiles what judging needs, where Numba's cache has it not: the first minute would wait for it."""

from __future__ import annotations

import numpy as np

from alerts.kpis.book import Book, Judging
from alerts.kpis.catalog import CHAIN
from alerts.kpis.seasons import Seasons
from alerts.kpis.series import WIDTH

MINUTE = 1_000_000


def compile_screen() -> None:
    book = Book({}, Judging(), {}, Seasons())
    book.take([CHAIN, "store:a", "store:b"], np.zeros((3, WIDTH), dtype=np.int64), MINUTE)
    for panel in (book.roots, book.stores):
        book.look(panel, MINUTE)
