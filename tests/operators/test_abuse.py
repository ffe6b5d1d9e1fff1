"""The abuse jobs over real Redis: processes that die between batches leave the state of a plain loop, and its words."""

from __future__ import annotations

from random import Random
from uuid import uuid4

import pytest

from alerts.abuse.judge import ReviewJob
from features import events as e
from features.job import Batch
from features.loop import run
from features.times import DAY_MS
from operators.servers import RedisServer
from operators.store import PartitionStore
from tests.abusetown import NOON_MS, SMALL, TOPICS, Town
from tests.operators.stepping import client, step_over
from tests.tally import stored

pytestmark = [pytest.mark.servers, pytest.mark.usefixtures("quiet")]


def ticks(at_ms: int) -> list[e.Event]:
    return [e.Tick(id=f"{n}/{at_ms}", source=str(n), of=2, at_ms=at_ms) for n in range(2)]


def happened(rng: Random) -> Town:
    """Two farms and two lonely customers, as the second stage has heard of them; some are merged, one is forgotten."""
    town = Town(rng, SMALL)
    names = [f"{device}-{n}" for device in "ab" for n in range(4)]
    logins = [
        e.Login(id=f"{name}|{day}", customer=name, device=f"device:{name[0]}", at_ms=NOON_MS + day * DAY_MS)
        for name in names
        for day in range(3)
    ]
    rng.shuffle(logins)
    town.live([*ticks(NOON_MS), *logins[:9], e.Merge(id="m", customer="a-2", into="a-0", at_ms=NOON_MS), *logins[9:]])
    town.live([e.Forget(id="f", customer="b-3", at_ms=NOON_MS), *ticks(NOON_MS + 5 * DAY_MS)])
    return town


@pytest.mark.parametrize("seed", range(6))
def test_processes_that_die_leave_what_a_plain_loop_leaves(redis: RedisServer, seed: int) -> None:
    rng = Random(seed)
    town, prefix = happened(rng), f"a{uuid4().hex[:8]}"
    for partition, log in enumerate(town.sightings):
        whole = Batch("sightings", partition, -1, [*range(len(log))], log, [0] * len(log))
        expected = run(ReviewJob(TOPICS, SMALL), [whole])[partition]
        assert expected.sent
        after, step = -1, None
        while after < whole.last:
            if step is None or rng.random() < 0.3:  # it died; what it had not handed on is in the outbox
                step = step_over(PartitionStore(client(redis), prefix, "abuse-judge"), ReviewJob(TOPICS, SMALL))
                after = step.claim("sightings", partition)
            batch = whole.cut(after + 1, min(len(log), after + 1 + rng.randint(1, 7)))
            step(batch)
            after = batch.last
        step(Batch("sightings", partition, after))  # the last commit is waited for
        found = stored(step.store, partition)
        assert (found.records, found.timers, found.position) == (expected.records, expected.timers, expected.position)
        assert {message.value for message in found.sent} == {message.value for message in expected.sent}
    assert town.reviews
