"""The store: a commit is whole or nothing, only the owner writes, and only what is confirmed is forgotten."""

from __future__ import annotations

import pytest
import redis as redis_py
from msgspec.structs import replace
from redis.crc import key_slot

from features.job import Changes, Clock, Message, Plan, Position, State
from features.loop import Store
from operators.layout import RECORDS, WrongLayout, check_layout, stored_partitions
from operators.servers import RedisServer
from operators.snapshot import clear
from operators.store import Fenced, Moved, PartitionStore, Sent
from tests.tally import Tally, stored

pytestmark = pytest.mark.servers
PARTITION = 3
FIRST = Changes(
    position=Position(9, Clock(1_000, {"s": 1_000}), {"applied": 2}),
    puts={"ann": b"1", "bob": b"2"},
    timers={"ann": 5_000, "bob": 6_000},
    seen={"day": [b"x", b"y"], "old": [b"z"]},
    messages=[Message("out", "ann", b"hello", {"reason": "none"}), Message("out", "bob", b"\x00\xff")],
    receipts={"ann": [b"r1", b"r2"], "bob": [b"r3"]},
    receipts_kept=3,
    misses={"ann": {"rule": b"m1", "other": b"m2"}, "bob": {"rule": b"m3"}},
)
SECOND = Changes(
    position=Position(12, Clock(2_000, {"s": 2_000}), {"applied": 3}),
    puts={"ann": b"3"},
    deletes=["bob"],
    timers={"ann": None, "bob": 7_000},
    seen={"day": [b"w"]},
    drops=["old"],
    messages=[Message("out", "ann", b"again")],
    receipts={"ann": [b"r4", b"r5"]},
    receipts_kept=3,
    misses={"ann": {"rule": b"m4"}},
)


@pytest.fixture
def client(redis: RedisServer) -> redis_py.Redis:
    return redis_py.Redis.from_url(redis.url)


@pytest.fixture
def store(client: redis_py.Redis, topic_prefix: str) -> PartitionStore:
    return owner(client, topic_prefix)


def owner(client: redis_py.Redis, prefix: str) -> PartitionStore:
    """A process that has just claimed the partition."""
    store = PartitionStore(client, prefix, "customers", 2**20)
    store.claim(PARTITION)
    return store


def open_at(store: PartitionStore, position: Position) -> State:
    """What a batch that starts at `position` loads; its guard stands."""
    return store.load(PARTITION, Plan(position, position.clock), lambda due: [])


def commit(store: PartitionStore, before: Position, changes: Changes) -> list[Sent]:
    open_at(store, before)
    return store.commit(PARTITION, changes)


def trim(store: PartitionStore, id: str) -> None:
    store.trim({PARTITION: id})
    store.trimmed()


def loaded_due(store: PartitionStore, now_ms: int) -> list[list[tuple[int, str]]]:
    """The timers that are due when the clock moves to `now_ms`: as Redis finds them, and as the plain loop does."""
    plan, job, plain = Plan(FIRST.position, Clock(now_ms, {"s": now_ms})), Tally(), Store()
    changes = replace(FIRST, timers={**FIRST.timers, "late": 500})
    commit(store, Position(), changes)
    plain.commit(changes)
    state = store.load(PARTITION, plan, job.timer_records)
    return [state.due, plain.load(job, plan).due]


@pytest.mark.parametrize("now_ms", [4_999, 5_000, 6_500])
def test_redis_and_the_plain_loop_find_the_same_timers_due(store: PartitionStore, now_ms: int) -> None:
    due = [(due_ms, timer) for due_ms, timer in [(500, "late"), (5_000, "ann"), (6_000, "bob")] if due_ms <= now_ms]
    assert loaded_due(store, now_ms) == [due, due]


def test_while_the_clock_stands_still_no_timer_is_due_not_even_one_set_late(store: PartitionStore) -> None:
    assert loaded_due(store, FIRST.position.clock.now_ms) == [[], []]


def everything(store: PartitionStore) -> dict[bytes, bytes | None]:
    """Every key of this test with its value as Redis dumps it."""
    return {key: store.redis.dump(key) for key in store.redis.keys(f"{store.prefix}*")}  # type: ignore


def test_a_commit_writes_records_fence_timers_id_sets_and_outbox(store: PartitionStore) -> None:
    commit(store, Position(), FIRST)
    found = stored(store, PARTITION)
    assert found.position == FIRST.position
    assert found.records == {"ann": b"1", "bob": b"2"}
    assert found.timers == {"ann": 5_000, "bob": 6_000}
    assert found.seen == {"day": {b"x", b"y"}, "old": {b"z"}}
    assert found.sent == FIRST.messages
    assert (found.receipts, found.misses) == (FIRST.receipts, FIRST.misses)


def test_a_receipt_that_is_there_already_is_kept_once(store: PartitionStore) -> None:
    commit(store, Position(), FIRST)
    store.redis.zadd(store.key(PARTITION, "d:ann"), {b"r4": 3})  # as when Redis has run a part of what follows before
    commit(store, FIRST.position, SECOND)
    assert stored(store, PARTITION).receipts == {"ann": [b"r2", b"r4", b"r5"]}


def test_a_commit_that_did_not_go_through_adds_no_receipts(store: PartitionStore) -> None:
    commit(store, Position(), FIRST)
    open_at(store, FIRST.position)
    commit(owner_of_same_token(store), FIRST.position, Changes(Position(11)))
    with pytest.raises(Moved):
        store.commit(PARTITION, SECOND)
    assert stored(store, PARTITION).receipts == FIRST.receipts


def test_a_commit_takes_back_records_timers_and_id_sets(store: PartitionStore) -> None:
    commit(store, Position(), FIRST)
    commit(store, FIRST.position, SECOND)
    found = stored(store, PARTITION)
    assert found.position == SECOND.position
    assert found.records == {"ann": b"3"}
    assert found.timers == {"bob": 7_000}
    assert found.seen == {"day": {b"w", b"x", b"y"}}
    assert found.sent == [*FIRST.messages, *SECOND.messages]


def test_the_latest_receipts_are_kept_and_of_each_rule_the_latest_miss(store: PartitionStore) -> None:
    commit(store, Position(), FIRST)
    commit(store, FIRST.position, SECOND)
    found = stored(store, PARTITION)
    assert found.receipts == {"ann": [b"r2", b"r4", b"r5"]}
    assert found.misses == {"ann": {"rule": b"m4", "other": b"m2"}}


def test_what_a_commit_deletes_and_puts_at_once_is_there_afterwards(store: PartitionStore) -> None:
    commit(store, Position(), FIRST)
    both = Changes(Position(12), puts={"bob": b"new"}, deletes=["bob"], seen={"old": [b"new"]}, drops=["old"])
    commit(store, FIRST.position, both)
    assert stored(store, PARTITION).records == {"ann": b"1", "bob": b"new"}
    assert stored(store, PARTITION).seen["old"] == {b"new"}


def test_a_load_finds_what_was_asked_for_what_is_due_and_the_records_the_timers_need(store: PartitionStore) -> None:
    commit(store, Position(), FIRST)
    plan = Plan(FIRST.position, Clock(5_500), ["bob", "stranger"], {"day": [b"y", b"unseen"], "never": [b"x"]})
    state = store.load(PARTITION, plan, lambda due: [timer for _, timer in due])
    assert state.records == {"ann": b"1", "bob": b"2"}
    assert state.due == [(5_000, "ann")]
    assert state.seen == {("day", b"y")}


def test_all_timers_that_are_due_are_loaded_at_once_earliest_first(store: PartitionStore) -> None:
    due_ms = {f"t{i}": 100_000 - i for i in range(12_000)}
    commit(store, Position(), Changes(Position(1), timers=due_ms))
    state = store.load(PARTITION, Plan(Position(1), Clock(100_000)), lambda due: [])
    assert state.due == sorted((at_ms, timer) for timer, at_ms in due_ms.items())


@pytest.mark.parametrize("taken", ["before the load", "between load and commit"])
def test_who_claims_a_partition_fences_its_owner_which_then_writes_nothing(store: PartitionStore, taken: str) -> None:
    commit(store, Position(), FIRST)
    if taken == "before the load":
        store.reopen(PARTITION)
    else:
        open_at(store, FIRST.position)
    successor = owner(store.redis, store.prefix)
    before = everything(store)
    with pytest.raises(Fenced, match="partition 3 is owned by another process"):
        commit(store, FIRST.position, SECOND)
    assert everything(store) == before
    commit(successor, FIRST.position, SECOND)
    assert stored(successor, PARTITION).position == SECOND.position


def test_a_claim_tells_where_the_last_owner_ended_and_what_it_left_to_send(store: PartitionStore) -> None:
    commit(store, Position(), FIRST)
    commit(store, FIRST.position, SECOND)
    successor = PartitionStore(store.redis, store.prefix, "customers")
    assert successor.claim(PARTITION) == SECOND.position
    assert [sent.messages for sent in successor.unsent(PARTITION)] == [FIRST.messages, SECOND.messages]


@pytest.mark.parametrize("stored_offset", [4, 20], ids=["rolled back", "moved on"])
def test_a_fence_moved_behind_ones_back_is_noticed_and_nothing_is_written(
    store: PartitionStore, stored_offset: int
) -> None:
    commit(store, Position(), FIRST)
    commit(owner_of_same_token(store), FIRST.position, Changes(Position(stored_offset)))
    before = everything(store)
    with pytest.raises(Moved):
        commit(store, FIRST.position, SECOND)
    assert everything(store) == before


def test_a_fence_moved_between_load_and_commit_is_noticed_and_nothing_is_written(store: PartitionStore) -> None:
    commit(store, Position(), FIRST)
    open_at(store, FIRST.position)
    commit(owner_of_same_token(store), FIRST.position, Changes(Position(11)))
    before = everything(store)
    with pytest.raises(Moved):
        store.commit(PARTITION, SECOND)
    assert everything(store) == before


def owner_of_same_token(store: PartitionStore) -> PartitionStore:
    """The same process on another connection: its own unsure commit, arriving late."""
    other = PartitionStore(store.redis, store.prefix, "customers")
    other.tokens = store.tokens
    return other


def test_an_emptied_redis_is_noticed_and_its_partition_owned_again(store: PartitionStore) -> None:
    commit(store, Position(), FIRST)
    store.redis.delete(*everything(store))
    with pytest.raises(Moved):
        commit(store, FIRST.position, SECOND)
    assert store.position(PARTITION) == Position()
    commit(store, Position(), FIRST)
    assert stored(store, PARTITION).position == FIRST.position


def test_nobody_claims_or_owns_again_what_is_being_restored(store: PartitionStore) -> None:
    commit(store, Position(), FIRST)
    clear(store.redis, store.prefix)
    store.redis.delete(store.key(PARTITION, "owner"))  # as in a Redis that was empty before
    with pytest.raises(Fenced, match="is being restored"):
        commit(store, FIRST.position, SECOND)
    with pytest.raises(Fenced, match="is being restored"):
        owner(store.redis, store.prefix)
    assert store.redis.keys(f"{store.prefix}:*") == [f"{store.prefix}:restore".encode()]


def test_a_trim_forgets_what_is_confirmed_and_nothing_behind_it_however_often(store: PartitionStore) -> None:
    commit(store, Position(), FIRST)
    commit(store, FIRST.position, SECOND)
    first, second = store.unsent(PARTITION)
    for _ in range(2):
        trim(store, first.id)
        assert store.unsent(PARTITION) == [second]
    trim(store, second.id)
    trim(store, first.id)
    assert store.unsent(PARTITION) == []


def test_a_commit_hands_back_its_messages_as_the_outbox_holds_them(store: PartitionStore) -> None:
    sent = commit(store, Position(), FIRST)
    assert sent == store.unsent(PARTITION)
    assert commit(store, FIRST.position, Changes(Position(10))) == []


def test_a_trim_of_what_was_sent_before_a_rollback_spares_what_was_committed_after_it(store: PartitionStore) -> None:
    (before,) = commit(store, Position(), FIRST)
    store.redis.delete(*everything(store))
    while store.redis.time() <= (int(before.id[:-5]), (int(before.id.split("-")[0]) % 1000 + 1) * 1000):
        pass  # a rollback takes longer than the millisecond that Redis names its entries by
    store.claim(PARTITION)
    commit(store, Position(), Changes(Position(4), messages=FIRST.messages[:1]))
    trim(store, before.id)
    assert [sent.messages for sent in store.unsent(PARTITION)] == [FIRST.messages[:1]]


def test_all_keys_of_a_partition_share_a_hash_slot_and_partitions_do_not(store: PartitionStore) -> None:
    commit(store, Position(), FIRST)
    keys = [key for key in everything(store) if b":outbox" not in key]
    slots = {key_slot(key) for key in [*keys, store.key(PARTITION, "outbox").encode()]}
    assert slots == {key_slot(f"customers.{PARTITION}".encode())}
    assert len({key_slot(store.key(p, "fence").encode()) for p in range(8)}) == 8


def test_flows_and_prefixes_keep_their_state_apart(store: PartitionStore) -> None:
    commit(store, Position(), FIRST)
    for prefix, flow in [(store.prefix, "kpis"), (f"{store.prefix}x", "customers")]:
        assert PartitionStore(store.redis, prefix, flow).claim(PARTITION) == Position()
    assert stored(store, PARTITION).position == FIRST.position


def test_state_laid_out_for_another_number_of_partitions_is_refused(client: redis_py.Redis, topic_prefix: str) -> None:
    assert stored_partitions(client, topic_prefix) == 0
    check_layout(client, topic_prefix, {"partitions of events": 4})
    check_layout(client, topic_prefix, {"partitions of events": 4, "measures": "abc"})
    with pytest.raises(WrongLayout, match=r"laid out for partitions of events = 4, and now it is 6: .*redis.prefix"):
        check_layout(client, topic_prefix, {"partitions of events": 6})
    assert stored_partitions(client, topic_prefix) == 4


def test_a_record_written_before_is_not_asked_of_redis_again(store: PartitionStore, client: redis_py.Redis) -> None:
    commit(store, Position(), FIRST)
    client.delete(store.key(PARTITION, RECORDS))
    plan = Plan(FIRST.position, FIRST.position.clock, records=["ann", "nobody"])
    state = store.load(PARTITION, plan, lambda due: [])
    assert state.records == {"ann": b"1"}


def test_what_is_remembered_is_forgotten_when_the_partition_is_opened_anew(
    store: PartitionStore, client: redis_py.Redis
) -> None:
    commit(store, Position(), FIRST)
    client.hset(store.key(PARTITION, RECORDS), "ann", b"after a rollback")
    store.reopen(PARTITION)
    plan = Plan(FIRST.position, FIRST.position.clock, records=["ann"])
    state = store.load(PARTITION, plan, lambda due: [])
    assert state.records == {"ann": b"after a rollback"}
