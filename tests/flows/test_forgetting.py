"""A customer is forgotten end to end: through running flows, a restart, and a replay into an empty Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_py

from brewline import forget
from brewline.reading import Features
from features import events as e
from features.forgotten import name_hash
from features.identity import first_name, group_key, merged_key, next_name
from features.record import forwarded
from features.times import MINUTE_MS
from flows.topics import TOPICS
from operators.customers import UnknownCustomer
from operators.erasing import Eraser, Topics
from operators.kafka import consumer, partition_count
from operators.layout import check_layout
from operators.servers import KafkaServer, MockKafka, RedisServer
from operators.store import PartitionStore
from operators.tombstones import Tombstones
from sim.agenda import Record
from tests.flowhouse import NOON_MS, SECRET, House, house_under, sent, until
from tests.flowprocess import IDENTITY_KEY, Flow, feed, make_topics, read_all, settings_for

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]
PHONE, CARD, OTHER_PHONE = "+8613700137999", "card-of-the-forgotten", "+8613700137001"
GONE, OTHER = first_name(SECRET.one("phone", PHONE)), first_name(SECRET.one("phone", OTHER_PHONE))
HASHES = [SECRET.one("phone", PHONE).partition(":")[2], SECRET.one("card", CARD).partition(":")[2]]
BACK = next_name(GONE)


def week(phone: str, card: str) -> list[Record]:
    """Consent, three orders that earn a coupon, and a cart that a rule looks at half an hour later."""
    return [
        sent(0, phone, NOON_MS, "consent", purpose="marketing", granted=True),
        *(sent(number, phone, NOON_MS + number * MINUTE_MS) for number in (1, 2, 3)),
        sent(4, phone, NOON_MS + 4 * MINUTE_MS, "login", who={"phone": phone, "card": card}),
        sent(5, phone, NOON_MS + 5 * MINUTE_MS, "cart_add", sku="tea"),
    ]


@pytest.fixture(scope="module")
def house(
    kafka: KafkaServer | MockKafka, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """After: two customers' week, one of them forgotten, an old event and a new one of that person."""
    with house_under(["third-in-a-week", "cart-left"], kafka, redis, tmp_path_factory.mktemp("house"), 2) as house:
        house.feed(*week(PHONE, CARD), *week(OTHER_PHONE, "8800"), until_ms=NOON_MS + 10 * MINUTE_MS)
        yield house


def test_a_customer_is_forgotten_comes_back_and_stays_forgotten_after_restart_and_replay(house: House) -> None:
    # the week: both have a coupon, its receipt and a timer
    before, coupons = house.of(OTHER), house.coupons(GONE)
    assert len(coupons) == 1
    assert house.receipts(GONE) == house.receipts(OTHER) == 1
    assert all(house.of(GONE))
    assert all(before)
    assert house.holding(*HASHES)

    # nobody says yes
    assert house.forget(f"phone:{PHONE}", agreed=False)[0] == 1
    assert all(house.of(GONE))

    # forgotten
    code, told = house.forget(f"phone:{PHONE}")
    assert (code, told.splitlines()[-1]) == (0, f"nothing of {GONE} is left"), told
    assert "2 ids and 2 pseudonyms" in told
    assert PHONE not in told
    assert f"{house.settings.topic('events')}: 240000 h" in told
    assert f"{house.settings.topic('identities')}: until it is compacted, about 48 h" in told
    assert house.holding(*HASHES, GONE, CARD) == []
    assert house.of(OTHER) == before
    assert (house.receipts(GONE), house.receipts(OTHER)) == (0, 1)
    latest = {m.key(): m.value() for m in read_all(house.settings, "identities")}
    assert {latest[SECRET.one("phone", PHONE).encode()], latest[SECRET.one("card", CARD).encode()]} == {None}
    assert latest[SECRET.one("phone", OTHER_PHONE).encode()] == OTHER.encode()

    # what comes late is dropped, by ingest and by customers; what comes new is somebody new
    clean = Record(NOON_MS, "events", GONE, e.encode(e.View(id="v", customer=GONE, at_ms=NOON_MS, tz="UTC")))
    late, new = sent(6, PHONE, NOON_MS + 6 * MINUTE_MS), sent(7, PHONE, NOON_MS + 11 * MINUTE_MS)
    feed(house.settings, [clean])
    house.feed(late, new, until_ms=NOON_MS + 12 * MINUTE_MS)
    until(lambda: house.counts("forgotten") == 1)
    assert house.of(GONE) == (None, None)
    rows = Features(house.settings, house.redis).read_many([GONE, BACK, f"phone:{PHONE}"], NOON_MS + 12 * MINUTE_MS)
    assert list(rows) == [BACK, f"phone:{PHONE}"]
    assert rows[BACK]["orders_lifetime"] == 1

    # a restart changes nothing of that
    house.stop("customers")
    feed(house.settings, [clean])
    house.start("customers")
    until(lambda: house.counts("forgotten") == 2)
    assert house.holding(GONE) == []

    # nor does a replay into an empty Redis, in which the customer's events come before the word to forget
    back, other = house.of(BACK), house.of(OTHER)
    house.stop("ingest", "customers")
    house.redis.delete(*house.redis.keys(f"{house.settings.redis.prefix}:*"))
    house.start("ingest", "customers")
    house.feed(late, until_ms=NOON_MS + 13 * MINUTE_MS)
    until(lambda: house.counts("forgotten") == 8, because=house.said)  # six of the week, two that came late
    assert house.holding(GONE, HASHES[1]) == []
    assert house.coupons(GONE) == coupons  # not even once more under the same id
    assert len(house.coupons(OTHER)) == 2  # which is what a replay does to others
    assert house.of(BACK) == back
    assert house.of(OTHER) == other

    # half an hour after the carts, that of the other is spoken of, that of the forgotten is not
    house.feed(until_ms=NOON_MS + 60 * MINUTE_MS)
    assert len(set(house.coupons(OTHER))) == 2
    assert house.coupons(GONE) == coupons

    # forgotten again, in the second life
    code, told = house.forget(f"phone:{PHONE}")
    assert code == 0, told
    assert f"nothing of {BACK} is left" in told
    assert house.holding(GONE, BACK, *HASHES) == []


def test_a_leftover_is_found_and_named_and_the_command_can_be_given_again(house: House) -> None:
    planted = {
        "string": lambda key: house.redis.set(key, f"... {GONE} ..."),
        "hash": lambda key: house.redis.hset(key, "who", GONE),
        "set": lambda key: house.redis.sadd(key, GONE),
        "zset": lambda key: house.redis.zadd(key, {GONE: 1}),
        "list": lambda key: house.redis.rpush(key, "x", f"{{'customer': '{GONE}'}}"),
        "stream": lambda key: house.redis.xadd(key, {"m": b"\xff" + GONE.encode()}),
    }
    keys = [f"elsewhere-{house.settings.redis.prefix}:{kind}" for kind in planted]
    for key, plant in zip(keys, planted.values(), strict=True):
        plant(key)
    in_name = f"elsewhere-{house.settings.redis.prefix}:{GONE}"
    house.redis.set(in_name, "1")
    code, told = house.forget(GONE)
    assert code == 1
    assert {line.removeprefix("left ") for line in told.splitlines() if line.startswith("left ")} == {*keys, in_name}
    assert f"nothing of {GONE} is left" not in told
    house.redis.delete(*keys, in_name)
    code, told = house.forget(GONE)
    assert (code, told.splitlines()[-1]) == (0, f"nothing of {GONE} is left")


def test_without_a_running_flow_it_says_which_to_start_and_goes_on_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget, "STALLED_S", 1.0)
    house.stop("customers")
    code, told = house.forget(OTHER)
    assert code == 1
    assert "start it with `brewline run customers`" in told
    assert f"the same command goes on: `brewline forget {OTHER}`" in told
    monkeypatch.undo()
    monkeypatch.setenv("BREWLINE_IDENTITY_KEY", IDENTITY_KEY)
    house.start("customers")
    code, told = house.forget(OTHER)
    assert (code, told.splitlines()[-1]) == (0, f"nothing of {OTHER} is left")
    assert house.holding(OTHER) == []


def test_whoever_is_unknown_is_not_forgotten(house: House) -> None:
    with pytest.raises(UnknownCustomer, match=f"no customer 'c{'0' * 32}'"):
        house.forget(f"c{'0' * 32}")
    with pytest.raises(UnknownCustomer, match="no customer '…'"):
        house.forget("13700137222")
    with pytest.raises(UnknownCustomer, match="no customer is known by this card"):
        house.forget("card:nobody")


def test_two_who_became_one_are_forgotten_as_one_and_whoever_comes_back_is_new(house: House) -> None:
    phone, card = "+8613700137222", "card-of-two"
    pseudonyms = [SECRET.one("phone", phone), SECRET.one("card", card)]
    names = [first_name(pseudonym) for pseudonym in pseudonyms]
    winner, loser = sorted(names)
    texts = [winner, loser, card, *(pseudonym.partition(":")[2] for pseudonym in pseudonyms)]
    start_ms = NOON_MS + 61 * MINUTE_MS

    def week(first: int, at_ms: int) -> list[Record]:
        """Both order, turn out to be one, and order on."""
        by_card, both = {"card": card}, {"phone": phone, "card": card}
        return [
            sent(first, phone, at_ms),
            sent(first + 1, phone, at_ms + 1, who=by_card),
            sent(first + 2, phone, at_ms + 2, "bind", who=both),
            sent(first + 3, phone, at_ms + 3, who=by_card),
            sent(first + 4, phone, at_ms + 4),
        ]

    def orders(customer: str, at_ms: int) -> float:
        rows = Features(house.settings, house.redis).read_many([customer], at_ms)
        return rows[customer]["orders_lifetime"] if customer in rows else 0

    house.feed(*week(1, start_ms), until_ms=start_ms + MINUTE_MS)
    until(lambda: orders(winner, start_ms + MINUTE_MS) == 4, because=house.said)
    assert forwarded(house.of(loser)[0]) == winner
    assert house.redis.type(f"{house.settings.redis.prefix}:id:{group_key(winner)}") == b"set"

    # asked for under the id that is no more
    code, told = house.forget(loser)
    assert (code, told.splitlines()[-1]) == (0, f"nothing of {winner} is left"), told
    assert told.startswith(f"{winner} and 1 who became one with it: 2 identifiers")
    assert house.holding(*texts) == []
    latest = {m.key().decode(): m.value() for m in read_all(house.settings, "identities")}
    wanted = [*pseudonyms, merged_key(loser), group_key(winner)]
    assert [latest[key] for key in wanted] == [None] * 4

    # a replay of the log into an empty Redis, with the histories in it
    house.stop("ingest", "customers")
    house.redis.delete(*house.redis.keys(f"{house.settings.redis.prefix}:*"))
    house.start("ingest", "customers")
    house.feed(sent(9, phone, start_ms + 9), until_ms=start_ms + 2 * MINUTE_MS)
    assert house.holding(*texts) == []

    # who comes back is new, and becomes one again
    back, later_ms = sorted(next_name(name) for name in names), start_ms + 3 * MINUTE_MS
    house.feed(*week(10, later_ms), until_ms=later_ms + MINUTE_MS)
    until(lambda: orders(back[0], later_ms + MINUTE_MS) == 4, because=house.said)
    assert forwarded(house.of(back[1])[0]) == back[0]
    assert house.holding(winner, loser) == []

    # forgotten again, by an identifier of the one that was merged away
    code, told = house.forget(f"card:{card}")
    assert code == 0, told
    assert house.holding(*back, *texts) == []


# with the mock cluster as well


def test_what_waits_in_an_outbox_for_a_forgotten_customer_is_not_sent_and_goes(
    kafka: KafkaServer | MockKafka, redis: RedisServer, workdir: Path
) -> None:
    from features.job import Message, encode_messages

    settings = settings_for(kafka.brokers, redis.url, partitions=1)
    make_topics(settings, TOPICS)
    client = settings.kafka.librdkafka()
    partitions = partition_count(consumer(client, "tests"), settings.topic("events"))
    settings.kafka.partitions = partitions
    mine = redis_py.Redis.from_url(settings.redis.url)
    check_layout(mine, settings.redis.prefix, {"partitions of events": partitions})
    topics = Topics(*(settings.topic(name) for name in ("events", "identities", "forgotten")))
    eraser = Eraser(mine, settings.redis.prefix, client, topics)
    eraser.mark([GONE], NOON_MS)
    assert Tombstones(mine, settings.redis.prefix, client, topics.forgotten).told() == {name_hash(GONE): NOON_MS}
    store = PartitionStore(mine, settings.redis.prefix, "customers")
    waiting = [Message(settings.topic("coupons"), who, who.encode()) for who in (GONE, "c-other")]
    mine.xadd(store.key(0, "outbox"), {"m": encode_messages(waiting)})
    flow = Flow("customers", settings, workdir / "customers.log")
    try:
        eraser.tell([GONE], settings.kafka.partitions)
        until(lambda: not store.unsent(0), because=lambda: flow.said[-2_000:])
    finally:
        flow.kill()
    assert [m.value() for m in read_all(settings, "coupons")] == [b"c-other"]
