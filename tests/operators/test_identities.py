"""The identity table: whoever meets a customer first names it, for all processes and for good."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from pathlib import Path
from threading import Barrier

import pytest
import redis as redis_py
from confluent_kafka import Producer

from features.identity import Table
from features.job import Batch
from operators.identities import IdentityTable
from operators.kafka import Unreachable, ensure_topics, producer
from operators.servers import KafkaServer, MockKafka, RedisServer, redis_server

pytestmark = pytest.mark.servers
WAIT_S = 20.0
Tables = Callable[[], IdentityTable]


@pytest.fixture
def topic(kafka: KafkaServer | MockKafka, topic_prefix: str) -> str:
    ensure_topics({"bootstrap.servers": kafka.brokers}, [topic_prefix + "identities"], 4, 1, {})
    return topic_prefix + "identities"


@pytest.fixture
def tables(kafka: KafkaServer | MockKafka, redis: RedisServer, topic: str) -> Tables:
    """Makes tables over the same keys and topic, each as a process of its own has it."""
    return lambda: table_on(redis, kafka, topic)


def table_on(redis: RedisServer, kafka: KafkaServer | MockKafka, topic: str) -> IdentityTable:
    client = {"bootstrap.servers": kafka.brokers}
    return IdentityTable(redis_py.Redis.from_url(redis.url), topic, client, topic)


def publish(table: IdentityTable, links: dict[str, str]) -> None:
    """What ingest's transaction does."""
    plain = producer(table.client)
    for pseudonym, customer in links.items():
        plain.produce(table.topic, customer.encode() or None, pseudonym)
    assert plain.flush(WAIT_S) == 0


def new(links: dict[str, str], **groups: set[str]) -> Table:
    """What a batch adds to the table."""
    return Table(new=links, groups=groups, grown=set(groups))


def known(table: IdentityTable, names: Iterable[str]) -> dict[str, str]:
    return table.known(names).links


def test_only_named_pseudonyms_are_known(tables: Tables) -> None:
    table = tables()
    assert known(table, []) == {}
    assert table.add(new({"card:1": "c1", "phone:2": "c1"}))
    assert known(table, ["card:1", "card:9", "phone:2", "card:1"]) == {"card:1": "c1", "phone:2": "c1"}


def test_the_first_name_stays_and_who_comes_second_leaves_nothing(tables: Tables) -> None:
    table = tables()
    assert table.add(new({"card:1": "c1"}))
    for more in (new({"phone:2": "c2", "card:1": "c2"}), new({"phone:2": "c2", "card:1": "c2"}, c2={"phone:2"})):
        assert not table.add(more)
    assert known(table, ["phone:2", "card:1", "card:2"]) == {"card:1": "c1"}
    table.load_groups(left := Table(), ["c2"])
    assert left.groups == {"c2": set()}


def test_to_add_nothing_always_works(tables: Tables) -> None:
    assert tables().add(Table())


def test_of_processes_that_name_a_customer_at_once_one_wins_and_the_others_learn_it(tables: Tables) -> None:
    start = Barrier(6)

    def name(process: int) -> tuple[bool, dict[str, str]]:
        own = tables()
        start.wait()
        return own.add(new({"card:1": f"c{process}"})), known(own, ["card:1"])

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(name, range(6)))
    (winner,) = [process for process, (won, _) in enumerate(outcomes) if won]
    assert all(found == {"card:1": f"c{winner}"} for _, found in outcomes)


def test_a_customer_who_was_merged_away_leads_to_whom_he_was_merged_into(tables: Tables) -> None:
    table = tables()
    assert table.add(new({"card:1": "c3", "phone:2": "c2", "customer:c3": "c2", "customer:c2": "c1"}, c1={"card:1"}))
    found = table.known(["card:1", "phone:2"])
    assert (found.root("c3"), found.root("c2"), found.root("c1")) == ("c1", "c1", "c1")
    assert list(found.way("c3")) == [("c3", "c2"), ("c2", "c1")]


def test_of_processes_that_merge_a_customer_into_different_ones_at_once_one_must_look_again(tables: Tables) -> None:
    start = Barrier(6)

    def merge(process: int) -> bool:
        own = tables()
        start.wait()
        return own.add(new({"customer:c9": f"c{process}"}, **{f"c{process}": {"c9"}}))

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(merge, range(6))) == 1


def test_what_moves_is_rewritten_when_kafka_has_it_and_not_before(tables: Tables) -> None:
    table, batch = tables(), Batch("app.events", 0, 6, [7])
    table.add(new({"card:1": "c3", "card:old": "c3", "customer:c3": "c2"}))
    table.hold(batch, {"card:1": "c2", "card:old": ""}, Table(moved={"card:1": "c2", "card:old": None}))
    assert known(table, ["card:1"])["card:1"] == "c3"
    assert table.uncommitted == {}, "a table that is restored before must hold the evidence still"
    table.committed(batch)
    assert known(table, ["card:1", "card:old"]) == {"card:1": "c2"}
    assert table.moved == {}


# A Redis that has lost links


def test_links_on_the_topic_are_known_to_a_process_that_finds_redis_empty(tables: Tables) -> None:
    table = tables()
    many = {f"card:{i}": f"c{i}" for i in range(300)}
    publish(table, many)
    assert table.restore() == 1
    assert known(table, many) == many


def test_merges_groups_and_what_is_not_needed_any_more_are_restored_as_well(tables: Tables) -> None:
    table = tables()
    publish(table, {"card:1": "c2", "card:old": "c2", "customer:c2": "c1", "group:c1": "card:1 card:9 c2"})
    publish(table, {"card:old": ""})
    table.restore()
    found = table.known(["card:1", "card:old"])
    assert (found.links, found.root("c2")) == ({"card:1": "c2", "customer:c2": "c1"}, "c1")
    table.load_groups(found, ["c1"])
    assert found.groups == {"c1": {"card:1", "card:9", "c2"}}


def test_links_that_redis_holds_whole_are_not_read_again(tables: Tables) -> None:
    tables().restore()
    table = tables()
    publish(table, {"card:1": "c1"})
    assert table.restore() == 0
    assert known(table, ["card:1"]) == {}


def test_what_the_topic_says_wins_over_a_name_given_while_the_link_was_lost(tables: Tables) -> None:
    table = tables()
    table.add(new({"card:1": "c-of-the-card"}))
    publish(table, {"card:1": "c-of-the-phone"})
    table.restore()
    assert known(table, ["card:1"]) == {"card:1": "c-of-the-phone"}


def test_an_emptied_redis_is_noticed_without_any_error(tables: Tables) -> None:
    table = tables()
    publish(table, {"card:1": "c1"})
    before = table.restore()
    table.redis.delete(*table.redis.keys(f"{table.prefix}*"))  # type: ignore[misc]
    assert table.restore() == before + 1
    assert known(table, ["card:1"]) == {"card:1": "c1"}


def test_a_restarted_redis_is_noticed_by_every_process_without_any_error(
    kafka: KafkaServer | MockKafka, topic: str, workdir: Path
) -> None:
    with redis_server(workdir, appendonly=None) as forgetful:
        first, second = table_on(forgetful, kafka, topic), table_on(forgetful, kafka, topic)
        first.restore()
        second.restore()
        forgetful.restart()
        assert first.restore() == 2
        publish(second, {"card:1": "c1"})  # its transaction was under way while the first one read the topic
        assert second.restore() == 1
        assert known(first, ["card:1"]) == {"card:1": "c1"}
        assert first.restore() == 2


@pytest.fixture
def opened(real_kafka: KafkaServer, topic: str) -> Iterator[Producer]:
    """A producer in the middle of a transaction on the topic."""
    other = producer({"bootstrap.servers": real_kafka.brokers}, transactional_id=topic)
    other.init_transactions(WAIT_S)
    other.begin_transaction()
    other.produce(topic, b"c2", "card:2", partition=0)
    assert other.flush(WAIT_S) == 0
    yield other
    other.abort_transaction(WAIT_S)


def publish_behind(table: IdentityTable, links: dict[str, str]) -> None:
    """Writes links into the partition of the open transaction."""
    plain = producer(table.client)
    for pseudonym, customer in links.items():
        plain.produce(table.topic, customer.encode(), pseudonym, partition=0)
    assert plain.flush(WAIT_S) == 0


def test_links_behind_an_open_transaction_are_waited_for(opened: Producer, tables: Tables) -> None:
    table = tables()
    publish_behind(table, {"card:1": "c1"})
    with ThreadPoolExecutor() as pool:
        restored = pool.submit(table.restore)
        with pytest.raises(TimeoutError):
            restored.result(2)
        opened.commit_transaction(WAIT_S)
        opened.begin_transaction()
        assert restored.result(WAIT_S) == 1
    assert known(table, ["card:1", "card:2"]) == {"card:1": "c1", "card:2": "c2"}


def test_a_table_that_cannot_be_read_to_its_end_is_not_taken_for_whole(
    opened: Producer, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operators.topic.PATIENCE_S", 1.0)
    for table in (tables(), tables()):
        with pytest.raises(Unreachable, match="could not be read to its end"):
            table.restore()
