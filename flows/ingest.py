"""ingest: raw POS and app records → clean events keyed by customer, or dead letters. Kafka to Kafka, exactly once."""

from __future__ import annotations

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from features.clean import Cleaner
from features.identity import Degree, Pseudonyms
from features.partitions import partition_keys
from flows.files import load_limits, load_stores
from flows.house import House
from flows.keys import load_pseudonyms
from flows.opening import open_house
from flows.topics import SOURCES
from operators.cleaning import CleanStep
from operators.identities import IdentityTable
from operators.layout import renew_layout
from operators.owners import Owners
from operators.told import ToldTopic
from operators.transactions import TransactionFence, Transactions


def add(flow: Dataflow, house: House) -> None:
    settings = house.settings
    pseudonyms = load_pseudonyms(settings)
    key, former, prefix = pseudonyms.fingerprint, pseudonyms.fingerprints, settings.redis.prefix
    house.answered(lambda: renew_layout(house.redis, prefix, "identity key", key, former))
    house.require_layout({"identity key": key})
    owners = Owners(house.redis, prefix, "ingest", house.stop)
    fence = TransactionFence("ingest", house.client, settings.kafka.topic_prefix, owners, house.pulse, house.stop)
    checking = cleaner(house, pseudonyms)
    step = CleanStep(
        cleaner=checking,
        identities=IdentityTable(
            house.redis, settings.redis.prefix, house.client, house.topic("identities"), house.tombstones
        ),
        told=[
            ToldTopic(note, house.client, house.topic(topic), f"brewline-{topic}")
            for topic, note in (("weather", checking.note_weather), ("store.load", checking.note_load))
        ],
        tick_ms=round(settings.time.tick_s * 1000) if settings.time.clock == "wall" else None,
        pulse=house.pulse,
        stop=house.stop,
    )
    batches = op.input("ingest-records", flow, house.batches("ingest", SOURCES, fence, raw=True))
    cleaned = op.map("ingest-clean", batches, step)
    op.output("ingest-transactions", cleaned, Transactions(fence, step.identities.committed))


def cleaner(house: House, pseudonyms: Pseudonyms) -> Cleaner:
    settings, limits = house.settings, house.settings.identity
    return Cleaner(
        limits=load_limits(settings),
        pseudonyms=pseudonyms,
        stores=load_stores(settings),
        events_topic=house.topic("events"),
        dead_letters_topic=house.topic("dead-letters"),
        identities_topic=house.topic("identities"),
        weather_topic=house.topic("weather"),
        tick_keys=partition_keys(house.partitions["events"]),
        sources=sum(house.partitions[topic] for topic in SOURCES),
        degree=Degree(limits.max_of_a_kind, limits.max_identifiers, limits.max_merged),
        live=settings.time.clock == "wall",
    )


def flow() -> Dataflow:
    return open_house("ingest", add)
