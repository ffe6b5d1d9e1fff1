"""A small world for the abuse flow: its two stages over partitions, with repeats, until nothing is left."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from random import Random

import msgspec

from alerts.abuse.desk import Topics
from alerts.abuse.fact import Decided, encode_fact
from alerts.abuse.judge import ReviewJob
from alerts.abuse.sift import SiftJob
from alerts.abuse.signals import DeviceSignal, LoopSignal, RingSignal, Signals, read_signals
from features import events as e
from features.forgotten import Forgotten
from features.job import Batch, Message
from features.loop import Store, run
from features.outgoing import CloudEvent
from features.partitions import partition_keys, partition_of
from tests.oracle_abuse import Verdict

SHIPPED = Path(__file__).parents[1] / "config/abuse.toml"
SIGNALS = read_signals(SHIPPED.read_text("utf-8"), str(SHIPPED))
SMALL = Signals(  # which few events set off
    DeviceSignal(accounts_over=2, within="3d"),
    RingSignal(friends=2, within="5d"),
    LoopSignal(refunds=2, share=0.5, within="5d"),
)
TOPICS = Topics("sightings", "reviews", "events", "dead-letters")
PARTITIONS = 2
NOON_MS = 1_777_867_200_000


class Town:
    """`rng` draws where batches end, whose turn it is, and what comes twice."""

    def __init__(self, rng: Random, signals: Signals = SIGNALS, repeats: float = 0.0) -> None:
        self.rng, self.signals, self.repeats = rng, signals, repeats
        self.forgotten = Forgotten()
        self.events: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        self.sightings: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        self.sifted: dict[int, Store] = {}
        self.judged: dict[int, Store] = {}
        self.reviews: dict[str, dict] = {}
        self.words: list[e.Suppress] = []
        self.sift = SiftJob("sightings", partition_keys(PARTITIONS), PARTITIONS, signals, self.forgotten)
        self.judge = ReviewJob(TOPICS, signals, self.forgotten)

    def live(self, events: Iterable[e.Event]) -> None:
        """What happens, through both stages, until everything has come to rest."""
        for event in events:
            if isinstance(event, e.Tick):
                for log in self.events:
                    log.append(e.encode(event))
            else:
                self.events[partition_of(event.customer, PARTITIONS)].append(e.encode(event))
        self.rest()

    def decide(self, case: str, outcome: str, at_ms: int, by: str = "anna") -> None:
        subject = self.reviews[case]["subject"]
        self._take(Message("sightings", subject, encode_fact(Decided(subject, case, outcome, by, at_ms))))
        self.rest()

    def rest(self) -> None:
        stages = [("sift", p) for p in range(PARTITIONS)] + [("judge", p) for p in range(PARTITIONS)]
        while waiting := [(name, p) for name, p in stages if self._left(name, p)]:
            self._turn(*self.rng.choice(waiting))

    def _parts(self, name: str):
        if name == "sift":
            return self.sift, self.events, self.sifted
        return self.judge, self.sightings, self.judged

    def _left(self, name: str, partition: int) -> bool:
        _, logs, stores = self._parts(name)
        return stores.setdefault(partition, Store()).position.offset + 1 < len(logs[partition])

    def _turn(self, name: str, partition: int) -> None:
        job, logs, stores = self._parts(name)
        store, log = stores[partition], logs[partition]
        after, sent = store.position.offset, len(store.sent)
        values = log[after + 1 : after + 1 + self.rng.randint(1, 6)]
        offsets = [*range(after + 1, after + 1 + len(values))]
        run(job, [Batch(name, partition, after, offsets, values, [0] * len(values))], stores)
        for message in store.sent[sent:]:
            self._take(message)

    def _take(self, message: Message) -> None:
        if message.topic == "sightings":
            again = 2 if self.rng.random() < self.repeats else 1
            self.sightings[partition_of(message.key, PARTITIONS)] += [message.value] * again
        elif message.topic == "reviews":
            told = msgspec.json.decode(message.value, type=CloudEvent)
            known = self.reviews.get(message.key)
            assert known is None or known["revision"] < told.data["revision"]
            self.reviews[message.key] = told.data
        elif message.topic == "events":
            self.words.append(msgspec.json.decode(message.value, type=e.Suppress))

    def standing(self) -> set[Verdict]:
        return {
            Verdict(case["signal"], case["subject"], frozenset(case["customers"]), frozenset(case["held"]))
            for case in self.reviews.values()
            if case["state"] in ("opened", "grown")
        }

    def suppressed(self, reason: str = "review") -> set[str]:
        """Who is held, by the latest word on each; of two at once the stricter counts."""
        words = [word for word in self.words if word.reason == reason]
        latest = {word.customer: word for word in sorted(words, key=lambda word: (word.at_ms, not word.lift))}
        return {customer for customer, word in latest.items() if not word.lift}

    def holding(self, text: str) -> list[str]:
        """Records that hold a text."""
        records = [one for store in self.judged.values() for one in store.records.items()]
        return [name for name, raw in records if text.encode() in raw + name.encode()]
