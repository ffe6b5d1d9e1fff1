"""What is compiled at set-up is what judging calls."""

from __future__ import annotations

import numpy as np

from alerts.kpis.book import Book, Judging
from alerts.kpis.compiled import MINUTE, compile_screen
from alerts.kpis.screen import screen
from alerts.kpis.seasons import Seasons
from alerts.kpis.series import WIDTH


def test_a_minute_of_a_chain_compiles_nothing_that_was_not_compiled_at_set_up() -> None:
    compile_screen()
    known = list(screen.signatures)
    assert len(known) == 1
    dims = ["chain:*", "region:east", "channel:app", *(f"store:{number}" for number in range(7))]
    regions = {str(number): "east" for number in range(5)}
    book = Book({}, Judging(), regions, Seasons())
    book.take(dims, np.ones((len(dims), WIDTH), dtype=np.int64), MINUTE)
    for each in (book, Book(book.write(), Judging(), regions, Seasons())):
        for panel in (each.roots, each.stores):
            each.look(panel, MINUTE)
    assert screen.signatures == known
