"""A batch's decisions are made in a round, which goes with its batch."""

from __future__ import annotations

import gc

from alerts.triggers.gifts import Then
from alerts.triggers.round import Round
from alerts.triggers.rule import Rule
from features import events as e
from features.loop import batches, run
from tests.alerts.triggers.jobs import customers_job, encoded

RULE = Rule(id="r", on=["view"], when="true", then=Then("c"), cooldown="0s")


def test_no_round_waits_for_the_garbage_collector_with_the_rows_of_its_batch() -> None:
    log = [e.View(id=f"v{n}", customer="ca", at_ms=n, tz="UTC") for n in range(3)]
    gc.collect()
    gc.disable()
    try:
        run(customers_job([RULE]), batches("events", 0, encoded(log), [1, 2]))
        assert [one for one in gc.get_objects() if isinstance(one, Round)] == []
    finally:
        gc.enable()
