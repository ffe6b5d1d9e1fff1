"""Erases a customer: see docs/privacy.md. What it says of the customer is the id, never an identifier."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, TypeVar

from confluent_kafka import KafkaException, TopicPartition
from msgspec.json import encode
from redis import Redis
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from alerts.abuse.fact import encode_fact
from brewline.reading import Features
from brewline.reviews import erasures, naming, without
from config.settings import Settings
from features.customer import Damaged
from features.identity import about
from features.messages import HEADERS
from features.record import Ledger, WrongLayout, decode_ledger, forwarded
from flows.keys import load_pseudonyms
from flows.topics import SOURCES
from operators.customers import find_customer, read_stored, unknown
from operators.erasing import Eraser, Person, Topics
from operators.kafka import consumer, partition_count, require_kafka, retention
from operators.layout import RECORDS, stored_partitions
from operators.redis_link import connect_redis
from operators.scan import CHUNK, NAMED, look_through
from operators.store import PartitionStore
from operators.topic import bounds_of
from operators.writing import write

FLOW = "customers"
IN_TWO = {
    "service": ("service-desk", "service.cases"),
    "abuse": ("abuse-judge", "sightings"),
}  # flow → 2nd step, its topic
K = TypeVar("K")
STALLED_S = 20.0  # nothing has moved for so long: nobody is at work
LOOK_S = 0.1
HELD = (
    "pos.events",
    "app.events",
    "audit.lines",
    "audit.events",
    "exposures",
    "audit.matches",
    "events",
    "identities",
    "coupons",
    "redemptions",
    "decisions",
    "service.cases",
    "tickets",
    "sightings",
    "reviews",
    "dead-letters",
)


class Stalled(Exception):
    """Somebody has to be started first; the message says who."""


def forget_customer(settings: Settings, id: str, out: Console, agreed: Callable[[str], bool]) -> int:
    """The exit code: 0 when nothing of the customer is left in Redis. Raises UnknownCustomer, Unreachable."""
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    require_kafka(settings.kafka.librdkafka(), settings.kafka.start_timeout_s)
    work = Forgetting(settings, redis, out)
    asked = find_customer(redis, settings.redis.prefix, load_pseudonyms(settings) if ":" in id else None, id)
    person = work.known(asked)
    customer, more = person.customer, len(person.customers) - 1
    work.say(
        f"{customer}{f' and {more} who became one with it' if more else ''}: {len(person.pseudonyms)} identifiers and"
        " all that is known under them will be erased for good"
    )
    if not agreed("erase this customer?"):
        work.say("nothing was erased")
        return 1
    try:
        names = work.erase(person)
        work.wait_for_outboxes(names)
    except Stalled as reason:
        out.print(f"[red]{reason}[/]; the same command goes on: `brewline forget {customer}`", soft_wrap=True)
        return 1
    work.tell_what_kafka_holds()
    return work.prove(customer, names)


def topics_of(settings: Settings) -> Topics:
    return Topics(*(settings.topic(name) for name in ("events", "identities", "forgotten")))


class Forgetting:
    """One run of the command."""

    def __init__(self, settings: Settings, redis: Redis, out: Console) -> None:
        self.settings, self.redis, self.out = settings, redis, out
        self.client = settings.kafka.librdkafka()
        features = Features(settings, redis)
        self.partitions, self.core = features.partitions, features.core
        self.store = PartitionStore(redis, settings.redis.prefix, FLOW)
        self.eraser = Eraser(redis, settings.redis.prefix, self.client, topics_of(settings))
        self.pseudonyms: set[str] = set()
        self.quiet = not out.is_terminal  # bars are for eyes

    def say(self, text: str) -> None:
        self.out.print(text, highlight=False, soft_wrap=True)

    def known(self, customer: str) -> Person:
        """All of the person. Raises UnknownCustomer for one of whom there is nothing, and never was."""
        person = self.eraser.find([customer], self._kin)
        stored = self._stored(person.customers)
        if not (person.pseudonyms or stored or self.eraser.forgotten.among(person.customers)):
            raise unknown(customer)
        return person

    def _stored(self, customers: set[str]) -> dict[str, bytes]:
        return read_stored(self.redis, self.settings.redis.prefix, self.partitions, sorted(customers))

    def _kin(self, customers: set[str]) -> set[str]:
        """Into whom these were merged, and whom they have taken in, by what is stored of them."""
        stored = self._stored(customers)
        into = {customer: forwarded(raw) for customer, raw in stored.items()}
        taken = {who for customer, raw in stored.items() if not into[customer] for who in self._ledger(raw).taken}
        return taken.union(filter(None, into.values()))

    def _ledger(self, raw: bytes) -> Ledger:
        try:
            return decode_ledger(raw[self.core.merge(raw, b"", 0).ledger :])
        except (Damaged, WrongLayout):
            self.say("a record cannot be read; who became one with the customer is told by the links alone")
            return Ledger()

    def erase(self, person: Person) -> list[str]:
        """Everything but the proof; all ids under which anything may have been kept."""
        at_ms = self._now_ms()
        names = self.eraser.forgotten.names(person.customers, person.pseudonyms)
        self.eraser.mark(names, at_ms)
        self._wait_for_ingest()
        late = self.eraser.find(person.customers, self._kin)  # what was under way has linked more, or merged
        self.pseudonyms = person.pseudonyms | late.pseudonyms
        names = sorted({*names, *self.eraser.forgotten.names(late.customers, self.pseudonyms)})
        self.eraser.mark(names, at_ms)
        told = self.eraser.tell(names, self.partitions)
        for flow in (FLOW, *self._others()):
            self._wait_for_flow(flow, told)
        self._wait_for_flow(FLOW, self.eraser.unname(self._brought(names), at_ms))
        self.eraser.unlink(names, self.pseudonyms)
        return names

    def _brought(self, names: list[str]) -> dict[str, str]:
        """Whom these have brought, by what is kept of those: customer → by whom. Others than these."""
        wanted, found = [(name.encode(), name) for name in names], dict[str, str]()
        for partition in range(self.partitions):
            for customer, raw in self.redis.hscan_iter(self.store.key(partition, RECORDS), count=CHUNK):
                by = next((name for needle, name in wanted if needle in raw), "")
                if by:
                    found[customer.decode()] = by
        return {customer: by for customer, by in found.items() if customer not in names}

    def _now_ms(self) -> int:
        """Up to when events are the forgotten customer's: now; in replays, as far as time has come there."""
        clocks = [self.store.position(partition).clock.now_ms for partition in range(self.partitions)]
        replayed = self.settings.time.clock == "event" and max(clocks) > 0
        return max(clocks) if replayed else round(time.time() * 1000)

    def _wait_for_ingest(self) -> None:
        """Until what ingest was at work on when the tombstones were set is done; one that stands still knows them."""
        reader = consumer(self.client, f"{self.settings.kafka.topic_prefix}brewline-ingest")
        try:
            topics = [self.settings.topic(topic) for topic in SOURCES]
            places = [TopicPartition(t, p) for t in topics for p in range(partition_count(reader, t))]
            ends = [reader.get_watermark_offsets(place, timeout=10)[1] for place in places]

            def behind() -> dict[str, int]:
                found = reader.committed(places, timeout=10)
                stand = ((f"{at.topic}/{at.partition}", end, at.offset) for end, at in zip(ends, found, strict=True))
                return {name: end - offset for name, end, offset in stand if 0 <= offset < end}

            left = self._until_nothing(behind, "ingest finishes what it is at work on")
        except KafkaException as error:
            raise Stalled(f"Kafka does not tell how far ingest has come: {error.args[0].str()}") from error
        finally:
            reader.close()
        if left:
            self.say(
                f"ingest has not read {sum(left.values()):,} records and stands still: it will drop the customer's"
            )

    def _others(self) -> list[str]:
        """Flows in two steps that have run, be it before a restore."""
        stores = {flow: self._store(flow) for flow in IN_TWO}
        return [
            flow for flow, store in stores.items() if self.redis.exists(store.key(0, "owner"), store.key(0, "fence"))
        ]

    def _store(self, flow: str) -> PartitionStore:
        return PartitionStore(self.redis, self.settings.redis.prefix, flow)

    def _wait_for_flow(self, flow: str, told: Mapping[int, int]) -> None:
        """Until a flow, or a step of one, has read up to these offsets. Raises Stalled."""
        store, name = self._store(flow), flow.partition("-")[0]

        def behind() -> dict[int, int]:
            stand = {partition: store.position(partition).offset for partition in told}
            return {
                partition: told[partition] - offset for partition, offset in stand.items() if offset < told[partition]
            }

        if left := self._until_nothing(behind, f"the {name} flow hears of it"):
            where = ", ".join(f"{records:,} records in partition {partition}" for partition, records in left.items())
            raise Stalled(f"the {name} flow has not read {where}: start it with `brewline run {name}`")

    def wait_for_outboxes(self, names: list[str]) -> None:
        """Until Kafka has confirmed what was decided for the customer before, step by step. Raises Stalled."""
        self._wait_for_outbox(FLOW, "events", names)
        for flow in self._others():
            second, topic = IN_TWO[flow]
            self._wait_for_outbox(flow, "events", names)
            for _ in range(2):  # what the second step reads may make it tell itself more
                self._wait_for_second(second, topic, names)
            if flow == "abuse":
                self._leave_cases(second, topic, names)

    def _wait_for_second(self, step: str, topic: str, names: list[str]) -> None:
        ends = bounds_of(self.client, self.settings.topic(topic), "brewline-forget")
        self._wait_for_flow(step, {partition: end - 1 for partition, (_, end) in ends.items()})
        self._wait_for_outbox(step, topic, names)

    def _leave_cases(self, step: str, topic: str, names: list[str]) -> None:
        """Takes the customer out of cases decided long ago: those of devices, and those of which no record is left."""
        words = naming(self.settings, names)
        facts = [(self.settings.topic(topic), device, encode_fact(fact)) for device, fact in erasures(words, names)]
        write(self.client, facts)
        self._wait_for_second(step, topic, [*names, *(word.data["case"] for word in words)])
        reviews, left = self.settings.topic("reviews"), naming(self.settings, names)
        said = [(reviews, word.data["case"], encode(without(word, names))) for word in left]
        write(self.client, said, HEADERS)

    def _wait_for_outbox(self, flow: str, topic: str, names: list[str]) -> None:
        wanted, store = [name.encode() for name in names], self._store(flow)
        parts = range(stored_partitions(self.redis, self.settings.redis.prefix, topic))

        def held() -> dict[int, int]:
            found = {p: sum(any(n in raw for n in wanted) for raw in self._outbox(store, p)) for p in parts}
            return {partition: entries for partition, entries in found.items() if entries}

        if left := self._until_nothing(held, "Kafka confirms what was sent before"):
            where = ", ".join(f"{entries:,} entries of partition {partition}" for partition, entries in left.items())
            raise Stalled(
                f"Kafka has not confirmed {where} of the outbox: is it well, and `brewline run"
                f" {flow.partition('-')[0]}` up?"
            )

    def _outbox(self, store: PartitionStore, partition: int) -> list[bytes]:
        entries: Any = self.redis.xrange(store.key(partition, "outbox"))
        return [fields[b"m"] for _, fields in entries]

    def _until_nothing(self, look: Callable[[], dict[K, int]], what: str) -> dict[K, int]:
        """What is left when nothing has moved for a while; nothing when all is done."""
        left, moved_s = look(), time.monotonic()
        with Progress(
            SpinnerColumn(), TextColumn("{task.description}"), console=self.out, transient=True, disable=self.quiet
        ) as bar:
            bar.add_task(f"waiting until {what}")
            while left and time.monotonic() < moved_s + STALLED_S:
                time.sleep(LOOK_S)
                before, left = left, look()
                if left != before:
                    moved_s = time.monotonic()
        return left

    def tell_what_kafka_holds(self) -> None:
        """In Redis it is gone at once, in Kafka when a topic's retention has passed."""
        kept = retention(self.client, [self.settings.topic(topic) for topic in HELD])
        self.say(
            "what Kafka still holds goes by itself; it keeps:" if kept else "this Kafka does not tell its retention"
        )
        for topic, how_long in kept.items():
            self.say(f"  {topic}: {how_long}")

    def prove(self, customer: str, names: list[str]) -> int:
        """Looks through all of Redis; 1 when anything is left, which is named."""
        hashes = [pseudonym.rpartition(":")[2] for pseudonym in self.pseudonyms]
        needles = [text.encode() for text in dict.fromkeys(chain(names, hashes))]
        theirs, links = {name.encode() for name in names}, f"{self.settings.redis.prefix}:id:".encode()
        with Progress(
            TextColumn("looked at {task.completed:,} keys"), console=self.out, transient=True, disable=self.quiet
        ) as bar:
            task = bar.add_task("scan")

            def came_back(key: bytes, value: bytes) -> bool:
                name = key.removeprefix(links).decode("utf-8", "replace")
                return key.startswith(links) and value not in theirs and about(name).encode() not in theirs

            seen = look_through(self.redis, needles, came_back, lambda keys: bar.update(task, advance=keys))
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(seen.keys.items()))
        what = f"{len(names)} ids and {len(hashes)} pseudonyms"
        self.say(f"looked for {what} in {seen.keys.total():,} keys of Redis ({kinds}; {seen.size:,} bytes)")
        for key in seen.found[:NAMED]:
            self.out.print(f"[red]left[/] {key}", highlight=False, soft_wrap=True)
        if seen.found:
            self.say(
                f"{len(seen.found):,} keys still hold something of {customer}: give the command again, or delete them"
            )
            return 1
        self.say(f"nothing of {customer} is left")
        return 0
