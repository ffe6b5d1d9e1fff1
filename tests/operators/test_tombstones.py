"""Links to the forgotten lead nowhere: in Redis, after a restore, while ingest is at work; outboxes hold them back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis as redis_py

from features.events import Forget, decode_clean
from features.forgotten import Forgotten, name_hash, tombstone_key
from features.identity import Table, group_key, merged_key
from features.job import Batch, Message
from operators.erasing import Eraser, Person, Topics
from operators.identities import IdentityTable
from operators.kafka import ensure_topics, producer
from operators.layout import RECORDS
from operators.servers import KafkaServer, MockKafka, RedisServer
from operators.store import Sent
from operators.tombstones import Tombstones, withhold
from operators.topic import bounds_of, read_to_end

pytestmark = pytest.mark.servers
NOW_MS = 1_800_000_000_000
GONE, LIVING = "c" + "0" * 32, "c" + "1" * 32
CARD, PHONE = "card:" + "a" * 32, "phone:" + "b" * 32


class House:
    """Identity tables as processes of ingest have them, and the hand that erases."""

    def __init__(self, kafka: KafkaServer | MockKafka, redis: RedisServer, prefix: str) -> None:
        self.client = {"bootstrap.servers": kafka.brokers}
        self.redis, self.prefix = redis_py.Redis.from_url(redis.url), prefix
        self.topics = Topics(*(f"{prefix}{name}" for name in ("events", "identities", "forgotten")))
        names = [self.topics.events, self.topics.identities, self.topics.forgotten]
        ensure_topics(self.client, names, 2, 1, {})

    def table(self) -> IdentityTable:
        tombstones = Tombstones(self.redis, self.prefix, self.client, self.topics.forgotten)
        return IdentityTable(self.redis, self.prefix, self.client, self.topics.identities, tombstones)

    def eraser(self) -> Eraser:
        return Eraser(self.redis, self.prefix, self.client, self.topics)

    def find(self, customer: str) -> Person:
        return self.eraser().find([customer], lambda customers: set())

    def publish(self, links: dict[str, str]) -> None:
        """What ingest's transaction does."""
        sender = producer(self.client)
        for pseudonym, customer in links.items():
            sender.produce(self.topics.identities, customer.encode(), pseudonym)
        assert sender.flush(20) == 0


@pytest.fixture
def house(kafka: KafkaServer | MockKafka, redis: RedisServer, topic_prefix: str) -> House:
    return House(kafka, redis, topic_prefix)


def test_a_customer_is_found_in_redis_and_on_the_topic(house: House) -> None:
    house.table().add(Table(new={CARD: GONE, "card:other": LIVING}))
    house.publish({PHONE: GONE, "phone:other": LIVING})
    assert house.find(GONE) == Person({GONE}, {CARD, PHONE})


def test_everybody_who_became_one_is_found_by_whoever_is_asked_for(house: House) -> None:
    links = {CARD: GONE, PHONE: "c2", "app_id:x": "c3", "card:y": "c4", "card:other": LIVING}
    house.table().add(Table(new={**links, merged_key("c2"): GONE, merged_key("c7"): LIVING}))
    house.publish({merged_key("c3"): "c2", group_key("c2"): f"{PHONE} app_id:x c3 {LIVING}"})
    stored = {"c3": {"c4"}, "c4": {"c3"}, LIVING: {"c7"}}  # what only a note or a ledger tells

    def kin(customers: set[str]) -> set[str]:
        return {other for customer in customers for other in stored.get(customer, ())}

    person = Person({GONE, "c2", "c3", "c4"}, {CARD, PHONE, "app_id:x", "card:y"})
    for customer in person.customers:
        assert house.eraser().find([customer], kin) == person
    assert person.customer == GONE


def test_of_those_who_became_one_no_link_and_no_group_is_left(house: House) -> None:
    table, loser = house.table(), "c2"
    mine = Table(new={CARD: GONE, PHONE: loser, merged_key(loser): GONE}, groups={GONE: {CARD, PHONE, loser}})
    mine.grown = {GONE}
    other = Table(new={"card:other": LIVING}, groups={LIVING: {"card:other", "app_id:other"}}, grown={LIVING})
    assert table.add(mine)
    assert table.add(other)
    told = {**mine.new, group_key(GONE): f"{CARD} {PHONE} {loser}", "card:other": LIVING}
    house.publish({**told, group_key(LIVING): "card:other app_id:other"})
    eraser = house.eraser()
    eraser.mark([GONE, loser], NOW_MS)
    table.restore()
    assert table.known([CARD, PHONE, "card:other"]).links == {"card:other": LIVING}
    eraser.unlink([GONE, loser], [CARD, PHONE])
    for _ in ("as it is", "restored"):
        keys = [key.decode() for key in house.redis.keys(f"{house.prefix}:id:*")]
        assert {key.removeprefix(f"{house.prefix}:id:") for key in keys} == {"card:other", group_key(LIVING)}
        house.redis.delete(*house.redis.keys(f"{house.prefix}:*"))
        table.restore()
    assert house.find(loser) == Person({loser}, set())


def test_links_that_wait_for_kafka_are_not_written_once_their_customer_is_forgotten(house: House) -> None:
    table, batch = house.table(), Batch("pos.events", 0, -1, [0], [b""], [NOW_MS])
    table.restore()
    table.hold(batch, {}, Table(moved={CARD: GONE, PHONE: LIVING}))
    house.eraser().mark([GONE], NOW_MS)
    table.restore()
    table.committed(batch)
    assert table.known([CARD, PHONE]).links == {PHONE: LIVING}
    assert house.redis.get(f"{house.prefix}:id:{CARD}") is None


def test_an_ingest_at_work_hears_of_a_tombstone_and_takes_the_link_back(house: House) -> None:
    table = house.table()
    before = table.restore()
    table.add(Table(new={CARD: GONE, PHONE: LIVING}))
    assert table.known([CARD, PHONE]).links == {CARD: GONE, PHONE: LIVING}
    house.eraser().mark([GONE], NOW_MS)
    assert table.restore() == before + 1  # so a batch that was resolved before is resolved again
    assert table.restore() == before + 1
    assert table.known([CARD, PHONE]).links == {PHONE: LIVING}
    assert house.redis.get(f"{house.prefix}:id:{CARD}") is None
    assert table.add(Table(new={CARD: LIVING}))


def test_a_restore_brings_neither_unlinked_nor_forgotten_back(house: House) -> None:
    house.publish({CARD: GONE, PHONE: GONE, "card:other": LIVING})
    eraser = house.eraser()
    eraser.mark([GONE], NOW_MS)
    eraser.unlink([GONE], [CARD])  # the phone's link came after it had been looked for
    house.redis.delete(*house.redis.keys(f"{house.prefix}:*"))
    table = house.table()
    table.restore()
    assert table.known([CARD, PHONE, "card:other"]).links == {"card:other": LIVING}
    assert table.forgotten.among([GONE, LIVING]) == {GONE}
    assert house.redis.hgetall(f"{house.prefix}:forgotten") == {
        tombstone_key(name_hash(GONE)).encode(): str(NOW_MS).encode()
    }


def test_an_older_redis_that_is_restored_keeps_neither_merge_nor_group_of_who_was_forgotten_since(house: House) -> None:
    links = {CARD: GONE, PHONE: "c2", merged_key("c2"): GONE, "card:other": LIVING}
    house.publish({**links, group_key(GONE): f"{CARD} {PHONE} c2"})
    house.table().restore()
    older = {key: house.redis.dump(key) for key in house.redis.keys(f"{house.prefix}:*")}
    eraser = house.eraser()
    eraser.mark([GONE, "c2"], NOW_MS)
    eraser.unlink([GONE, "c2"], [CARD, PHONE])
    house.redis.delete(*house.redis.keys(f"{house.prefix}:*"))
    for key, dump in older.items():
        house.redis.restore(key, 0, dump)
    house.redis.delete(f"{house.prefix}:id-whole")
    house.table().restore()
    assert house.redis.keys(f"{house.prefix}:id:*") == [f"{house.prefix}:id:card:other".encode()]


def test_links_come_out_of_an_older_redis_and_the_word_is_said_again_though_no_topic_tells_of_either(
    house: House,
) -> None:
    mine = Table(new={CARD: GONE, merged_key("c2"): GONE, "card:other": LIVING}, groups={GONE: {CARD, PHONE, "c2"}})
    mine.grown = {GONE}
    assert house.table().add(mine)
    for customer in (GONE, "c2", LIVING):
        house.redis.hset(f"{house.prefix}:{{customers.1}}:{RECORDS}", customer, b"record")
    house.eraser().mark([GONE, "c2", "c-unknown-here"], NOW_MS)
    assert house.eraser().repeat(2) == 2
    assert house.redis.keys(f"{house.prefix}:id:*") == [f"{house.prefix}:id:card:other".encode()]
    bounds = bounds_of(house.client, house.topics.events, "tests")
    words = [m for part in read_to_end(house.client, house.topics.events, "tests", bounds) for m in part]
    said = [(m.partition(), decode_clean(m.value() or b"")) for m in words]
    assert {(partition, type(word), word.customer, word.at_ms) for partition, word in said} == {
        (partition, Forget, customer, NOW_MS) for partition in (0, 1) for customer in (GONE, "c2")
    }
    assert house.eraser().repeat(2) == 2  # their records are the flow's to erase


def test_who_came_back_before_the_link_was_cut_keeps_it(house: House) -> None:
    house.publish({CARD: GONE})
    eraser, table = house.eraser(), house.table()
    eraser.mark([GONE], NOW_MS)
    table.restore()
    assert table.add(Table(new={PHONE: LIVING}))
    house.redis.set(f"{house.prefix}:id:{CARD}", LIVING)
    eraser.unlink([GONE], [CARD])
    assert table.known([CARD]).links == {CARD: LIVING}
    house.redis.delete(*house.redis.keys(f"{house.prefix}:*"))
    table.restore()
    assert table.known([CARD]).links == {CARD: LIVING}


def test_to_erase_twice_is_to_erase_once(house: House) -> None:
    house.publish({CARD: GONE})
    for at_ms in (NOW_MS, NOW_MS + 5):
        eraser = house.eraser()
        eraser.mark([GONE], at_ms)
        eraser.unlink([GONE], [CARD])
        assert len(eraser.tell([GONE], 1)) == 1
    assert house.eraser().tombstones.told() == {name_hash(GONE): NOW_MS}
    assert house.find(GONE) == Person({GONE}, set())


@pytest.fixture
def outbox() -> Callable[[], list[Sent]]:
    return lambda: [Sent(0, "1-1", [Message("coupons", GONE, b"g"), Message("coupons", LIVING, b"l")])]


def test_a_message_of_a_forgotten_customer_is_withheld_and_its_entry_may_go(outbox: Callable[[], list[Sent]]) -> None:
    forgotten = Forgotten()
    assert withhold(forgotten)(outbox()) == outbox()
    forgotten.add({name_hash(GONE): NOW_MS})
    [entry] = withhold(forgotten)(outbox())
    assert (entry.id, [message.key for message in entry.messages]) == ("1-1", [LIVING])
