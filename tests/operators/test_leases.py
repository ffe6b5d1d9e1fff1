"""Leases in Redis: what partitions and processes hold of one budget, whoever dies, comes back or stays behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import orjson
import pytest
import redis as redis_py
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.triggers.campaign import Campaigns
from alerts.triggers.lease import RETURN, Cost, Lease, Request, settled
from features.job import Batch, Changes, Plan, Position, State
from operators.health import Pulse, configure_logs
from operators.leases import IDLE_S, RENEW_S, Leases, read_reserved
from operators.partition import LARGE, PartitionStep
from operators.servers import RedisServer
from operators.store import Fenced, Moved, PartitionStore
from tests.alerts.triggers.campaigns import campaigns_of

pytestmark = pytest.mark.servers
POT = "c/budget"
PARTITIONS = 2
SHARES = 2 * PARTITIONS


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    configure_logs("critical", "json")
    yield
    structlog.reset_defaults()


class Spender:
    """A job whose events are amounts to pay out of one budget; what cannot be paid is counted as refused."""

    def __init__(self, campaigns: Campaigns) -> None:
        self.campaigns = campaigns
        self.applied = 0

    def plan(self, batch: Batch, position: Position) -> Plan:
        return Plan(position, position.clock, work=batch)

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return []

    def apply(self, plan: Plan, state: State) -> Changes:
        self.applied += 1
        batch, lease, refused = plan.work, Lease(state.grants, state.spent), 0
        for value in batch.values:
            costs = [Cost(POT, orjson.loads(value), self.campaigns.limit(POT))]
            if lease.lacking(costs):
                refused += 1
            else:
                lease.spend(costs)
        position = plan.position.moved(batch.last, plan.clock, {"refused": refused})
        return Changes(position, spent=lease.spent, short=lease.short)


class Clock:
    at_s = 100.0

    def __call__(self) -> float:
        return self.at_s


class Process:
    """A process of a flow with one budget; `spend` is a batch of one partition."""

    def __init__(self, server: RedisServer, prefix: str, budget: int | None = 1_000, file: str = "") -> None:
        self.clock = Clock()
        self.campaigns = _campaigns(budget, file)
        client = redis_py.Redis("127.0.0.1", server.port, socket_timeout=5)
        self.store = PartitionStore(client, prefix, "f")
        self.leases = Leases(self.store, self.campaigns, PARTITIONS, self.clock)
        self.job = Spender(self.campaigns)
        self.step = PartitionStep(self.job, self.store, "dead-letters", Pulse(60), Any, None, self.leases)  # type: ignore[arg-type]

    def claim(self, *partitions: int) -> Process:
        for partition in partitions or range(PARTITIONS):
            self.step.claim("events", partition)
        return self

    def spend(self, partition: int, *amounts: int) -> None:
        at = self.step.positions[partition].offset
        offsets = [*range(at + 1, at + 1 + len(amounts))]
        values = [b"%d" % amount for amount in amounts]
        self.step(Batch("events", partition, at, offsets, values, [0] * len(amounts)))

    def follow(self, campaigns: Campaigns) -> None:
        """As when the campaign's file has changed."""
        self.leases.follow(campaigns)
        self.job.campaigns = campaigns

    def beat(self, partition: int, pass_s: float = 0.0) -> None:
        self.clock.at_s += pass_s
        self.step(Batch("events", partition, self.step.positions[partition].offset))

    def spent(self, partition: int) -> int:
        return self.store.stored_spent(partition).get(POT, 0)

    def granted(self, partition: int) -> int:
        key = f"{self.store.prefix}:{{campaign.c}}:lease:{partition}"
        return int(self.store.redis.hget(key, POT) or 0)  # type: ignore[arg-type]

    @property
    def reserved(self) -> int:
        return read_reserved(self.store.redis, self.store.prefix, "c").get(POT, 0)

    def refused(self) -> int:
        return sum(self.store.position(p).counts.get("refused", 0) for p in range(PARTITIONS))


def _campaigns(budget: int | None, file: str = "") -> Campaigns:
    return campaigns_of(f'id = "c"\n{file}\n' + (f"budget_cents = {budget}" if budget is not None else ""))


@pytest.fixture
def prefix() -> str:
    return f"l{uuid4().hex[:8]}"


requests = st.lists(
    st.tuples(st.integers(0, 1), st.integers(RETURN, 90), st.integers(0, 30), st.sampled_from([1, 7]), st.just(100)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests)
def test_redis_settles_as_the_pure_function_does(
    redis: RedisServer, made: list[tuple[int, int, int, int, int]]
) -> None:
    process = Process(redis, f"l{uuid4().hex[:8]}").claim()
    granted, spent = [0, 0], [0, 0]
    for partition, need, pay, unit, limit in made:
        request = Request(POT, limit, spent[partition], need, unit)
        granted[partition] = settled(request, sum(granted), granted[partition], SHARES)
        token = process.leases.held[partition].token
        assert process.leases._ask(partition, "c", token, [request]) == [granted[partition]]
        assert (process.granted(partition), process.reserved) == (granted[partition], sum(granted))
        spent[partition] = min(granted[partition], spent[partition] + pay)


def test_two_processes_spend_one_budget_to_the_unit(redis: RedisServer, prefix: str) -> None:
    one, two = Process(redis, prefix).claim(0), Process(redis, prefix).claim(1)
    for _ in range(60):
        one.spend(0, *[5] * 3)
        two.spend(1, *[5] * 2)
        assert one.reserved <= 1_000
    assert one.spent(0) <= one.granted(0)
    assert two.spent(1) <= two.granted(1)
    assert one.spent(0) + two.spent(1) == one.reserved == 1_000
    assert one.refused() == 300 - 200


def test_a_batch_that_finds_its_lease_too_small_is_decided_anew_with_more(redis: RedisServer, prefix: str) -> None:
    process = Process(redis, prefix).claim()
    process.spend(0, *[100] * 10)
    assert (process.spent(0), process.refused(), process.job.applied) == (1_000, 0, 2)
    process.spend(0, 1)
    assert (process.spent(0), process.refused(), process.job.applied) == (1_000, 1, 3)


def test_events_that_spend_nothing_ask_redis_nothing(redis: RedisServer, prefix: str) -> None:
    process = Process(redis, prefix).claim()
    process.spend(0, 1)
    asked = process.store.redis.info("commandstats")["cmdstat_eval"]["calls"]
    for _ in range(20):
        process.spend(0, 0)
    assert process.store.redis.info("commandstats")["cmdstat_eval"]["calls"] == asked


def test_a_successor_has_the_lease_of_the_partition_and_the_former_process_is_not_heard(
    redis: RedisServer, prefix: str
) -> None:
    former = Process(redis, prefix).claim(0)
    former.spend(0, 100)
    granted = former.granted(0)
    assert granted > 100
    successor = Process(redis, prefix).claim(0)
    assert successor.granted(0) == granted
    with pytest.raises(Moved):
        former.leases.give_back(0)
    with pytest.raises(Moved):
        former.leases.more(0, {POT: 50})
    with pytest.raises(Fenced):
        former.spend(0, 1)
    former.step.release("events", 0)
    assert successor.granted(0) == granted
    successor.spend(0, granted - 100)
    assert successor.spent(0) == granted


def test_who_claimed_in_vain_lowers_nothing(redis: RedisServer, prefix: str) -> None:
    """It takes the lease late, when another has the partition, and ends before it gives anything back."""
    late, owner = Process(redis, prefix).claim(0), Process(redis, prefix).claim(0)
    owner.spend(0, 100)
    late.leases.take(0)
    late.clock.at_s += IDLE_S
    with pytest.raises(Fenced):
        late.beat(0)
    late.step.release("events", 0)
    owner.spend(0, 300)
    assert owner.spent(0) == 400 <= owner.granted(0)


def test_what_is_not_spent_returns_when_the_flow_ends_in_order(redis: RedisServer, prefix: str) -> None:
    process = Process(redis, prefix).claim()
    process.spend(0, 100)
    process.spend(1, 30)
    assert process.reserved > 130
    for partition in range(PARTITIONS):
        process.step.release("events", partition)
    assert process.reserved == 130


def test_what_is_not_spent_returns_when_the_lease_was_idle(redis: RedisServer, prefix: str) -> None:
    process = Process(redis, prefix).claim()
    process.spend(0, 100)
    process.beat(0, pass_s=RENEW_S)
    assert process.reserved > 100
    process.beat(0, pass_s=IDLE_S)
    assert process.reserved == 100


def test_what_is_not_spent_returns_when_the_campaign_is_over(redis: RedisServer, prefix: str) -> None:
    process = Process(redis, prefix, file="until = 2026-05-01T00:00:00Z").claim()
    process.spend(0, 100)
    assert process.reserved > 100
    position = process.step.positions[0]
    process.leases.held[0].renew_s = 0.0
    process.store.check(0, position)
    process.leases.ready(0, 1_777_593_600_000)
    assert process.reserved == 100


def test_a_budget_lowered_below_what_is_reserved_makes_nothing_grow_and_a_raised_one_counts(
    redis: RedisServer, prefix: str
) -> None:
    former = Process(redis, prefix).claim()
    former.spend(0, 500)
    former.spend(1, 100)
    reserved = former.reserved
    low = Process(redis, prefix, budget=300).claim()
    for partition in range(PARTITIONS):
        low.spend(partition, 50)
        low.beat(partition, pass_s=RENEW_S)
        assert low.reserved <= reserved
    reserved = low.reserved
    assert low.spent(0) + low.spent(1) == reserved
    low.spend(0, 50)
    assert low.reserved == reserved
    high = Process(redis, prefix, budget=2_000).claim()
    high.spend(0, 2_000 - reserved)
    assert high.spent(0) + high.spent(1) == 2_000


def test_what_was_spent_before_there_was_a_budget_counts(redis: RedisServer, prefix: str) -> None:
    free = Process(redis, prefix, budget=None).claim()
    free.spend(0, 600)
    free.spend(1, 300)
    assert free.reserved == 0
    limited = Process(redis, prefix, budget=1_000).claim()
    assert limited.reserved == 900
    limited.spend(0, 200, 100)
    assert limited.spent(0) == 700
    Process(redis, prefix, budget=1_000)
    assert limited.reserved == 1_000, "to count it again changes nothing"


def test_a_budget_that_changes_under_a_running_flow_counts_from_the_next_batch(redis: RedisServer, prefix: str) -> None:
    process = Process(redis, prefix, budget=100).claim()
    process.spend(0, 60, 60)
    assert (process.spent(0), process.refused()) == (60, 1)
    process.follow(_campaigns(200))
    process.spend(0, 60, 60)
    process.spend(1, 60)
    process.beat(0)
    process.beat(1)
    assert (process.spent(0), process.spent(1)) == (180, 0)
    assert process.reserved == process.granted(0) + process.granted(1) <= 200
    process.follow(_campaigns(150))
    for partition in range(PARTITIONS):
        process.beat(partition)
        process.spend(partition, 10)
        process.beat(partition)
    assert (process.spent(0), process.spent(1), process.reserved) == (180, 0, 180)


def test_what_is_under_way_when_a_budget_begins_counts_against_it(redis: RedisServer, prefix: str) -> None:
    process = Process(redis, prefix, budget=None).claim()
    process.store.redis.execute_command("CLIENT", "PAUSE", 300, "WRITE")
    process.spend(0, *[10] * LARGE)
    assert process.step.awaits("events", 0)
    process.follow(_campaigns(10 * LARGE))
    process.beat(0)
    process.spend(1, 20)
    process.beat(1)
    assert (process.spent(0), process.spent(1), process.reserved) == (10 * LARGE, 0, 10 * LARGE)


def test_a_campaign_that_loses_its_file_has_no_limit_and_one_that_gets_it_back_goes_on(
    redis: RedisServer, prefix: str
) -> None:
    process = Process(redis, prefix, budget=100).claim()
    process.spend(0, 80)
    process.follow(campaigns_of())
    process.spend(0, 80)
    process.beat(0, pass_s=RENEW_S)
    process.follow(_campaigns(200))
    process.spend(0, 30, 30)
    process.beat(0)
    assert (process.spent(0), process.refused()) == (190, 1)
    assert process.reserved <= 200


def test_a_repeated_request_reserves_nothing_more(redis: RedisServer, prefix: str) -> None:
    process = Process(redis, prefix).claim()
    request = Request(POT, 1_000, 0, 400, 1)
    token = process.leases.held[0].token
    assert [process.leases._ask(0, "c", token, [request]) for _ in range(3)] == [[400]] * 3
    assert process.reserved == 400


def test_a_commit_that_comes_late_on_a_former_connection_is_refused(redis: RedisServer, prefix: str) -> None:
    """Else it would spend of a lease that was lowered to what had been spent without it."""
    process = Process(redis, prefix).claim(0)
    process.spend(0, 10)
    process.store.check(0, process.step.positions[0])
    former = process.store.lines[0].connection
    process.store.lines[0].connection = None
    process.store.reopen(0)
    former.send_command("MULTI")
    former.send_command("HSET", process.store.key(0, "spent"), POT, 999)
    former.send_command("EXEC")
    assert [former.read_response() for _ in range(3)][-1] is None
    assert process.spent(0) == 10
