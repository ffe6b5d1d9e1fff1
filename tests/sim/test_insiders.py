"""A month with thirty insiders: the shipped rules find them all, and leave honest people alone."""

from __future__ import annotations

import pytest
from msgspec import json

from benchmarks.insiders import in_a_loop, judged
from features.events import AUDIT_EVENTS, CouponRedeemed, decode_audit
from sim.chain import START_MS
from sim.insiders import Insiders
from sim.wire import AUDIT


def test_the_same_seed_is_the_same_month() -> None:
    one, other = ([*Insiders(7, START_MS, days=4, stores=3).records()] for _ in range(2))
    assert one == other
    assert one != [*Insiders(8, START_MS, days=4, stores=3).records()]


def test_every_sound_record_is_an_audit_event_of_its_key() -> None:
    broken = 0
    for record in Insiders(7, START_MS, days=4, stores=3).records():
        if record.topic != AUDIT:
            assert json.decode(record.value, type=CouponRedeemed).customer == record.key
            continue
        try:
            event = decode_audit(record.value)
        except ValueError:
            broken += 1
            continue
        assert type(event) in AUDIT_EVENTS.values()
        assert record.tick or getattr(event, "actor", "") == record.key
    assert broken < 20


@pytest.mark.slow
def test_all_insiders_are_found_and_hardly_anybody_else() -> None:
    house = Insiders(2, START_MS, stores=8)
    verdict = judged(house, in_a_loop(house, minutes=15))
    assert [scheme.kind for scheme in verdict.missed] == []
    assert verdict.figures["scenarios"] == 30
    assert len(verdict.false) <= house.days
