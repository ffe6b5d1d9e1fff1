"""The signals find who abuses in the simulated chain, and leave families, tablets and popular people in peace."""

from __future__ import annotations

import pytest

from benchmarks.abuse import Bench
from features.events import Login
from sim import Chain
from sim.abuse import FARMS, LOOPS, RINGS
from sim.members import phone_of


@pytest.fixture(scope="module")
def bench() -> Bench:
    bench = Bench(Chain(3, stores=8, customers=400, days=4))
    bench.run()
    return bench


@pytest.mark.parametrize(("signal", "abuses"), [("device", FARMS), ("ring", RINGS), ("loop", LOOPS)])
def test_every_abuse_is_found_and_nobody_else_is_accused(bench: Bench, signal: str, abuses: int) -> None:
    found = bench.figures()[signal]
    assert (found["precision"], found["recall"], found["cases"]) == (1.0, 1.0, abuses)


def test_families_share_phones_and_tablets_are_used_in_this_chain(bench: Bench) -> None:
    """Else there would be nobody to accuse wrongly."""
    phones = [phone_of(number) for number in range(1, 401)]
    assert {phones.count(phone) for phone in phones} == {1, 2, 3}
    tablets = [r for r in bench.chain.records() if b'"device":"tablet-' in r.value and b'"kiosk"' in r.value]
    assert len(tablets) > 10
    assert all(Login.__struct_config__.tag in str(record.value) for record in tablets)


def test_without_what_is_allowed_the_tablets_would_be_accused() -> None:
    bench = Bench(Chain(3, stores=8, customers=400, days=4))
    bench.sift.channels = set()
    bench.run()
    assert bench.figures()["device"]["precision"] < 1
