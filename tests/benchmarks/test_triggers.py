"""The simulated chain knows which carts were left and who has lapsed; the shipped rules find them."""

from __future__ import annotations

from benchmarks.triggers import measure
from sim.chain import Chain


def test_carts_that_were_left_and_regulars_who_lapsed_are_found() -> None:
    figures = measure(Chain(seed=3, stores=3, customers=60, days=30))
    carts, lapses = figures["cart-left"], figures["winback-14d"]
    assert carts["truth"] > 50
    assert min(carts["precision"], carts["recall"]) >= 0.99
    assert lapses["regulars"] > 0
    assert lapses["recall_of_regulars"] == 1.0
