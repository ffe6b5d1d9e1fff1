"""abuse: clean events → facts on accounts and devices → cases for review, and customers held until one is reviewed."""

from __future__ import annotations

from bytewax.dataflow import Dataflow

from alerts.abuse.desk import Topics
from alerts.abuse.judge import ReviewJob
from alerts.abuse.sift import SiftJob
from alerts.abuse.signals import Signals, read_signals
from config.settings import Settings
from features.forgotten import Forgotten
from features.partitions import partition_keys
from flows.files import text
from flows.house import House
from flows.opening import open_house
from operators.tombstones import withhold

SIFT, JUDGE = "abuse", "abuse-judge"


def add(flow: Dataflow, house: House) -> None:
    signals, forgotten = load_signals(house.settings), Forgotten(house.tombstones.told())
    keys, sources = partition_keys(house.partitions["sightings"]), house.partitions["events"]
    topics = Topics(*(house.topic(name) for name in ("sightings", "reviews", "events", "dead-letters")))
    sift = SiftJob(topics.sightings, keys, sources, signals, forgotten)
    house.stage(flow, SIFT, "events", sift)  # nothing is withheld: what says that somebody is erased has their key
    house.stage(flow, JUDGE, "sightings", ReviewJob(topics, signals, forgotten), only=withhold(forgotten))


def load_signals(settings: Settings) -> Signals:
    """What counts as a sign of abuse. Raises WrongRule, WrongSettings."""
    path = settings.path(settings.abuse)
    return read_signals(text(path), str(path))


def flow() -> Dataflow:
    return open_house("abuse", add)
