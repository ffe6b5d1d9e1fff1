"""What the abuse signals find in the simulated chain, held against who abuses in it; and what an event costs.

python -m benchmarks.abuse --days 10 --json out/abuse.json
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from alerts.abuse.case import STANDING
from alerts.abuse.desk import Topics
from alerts.abuse.judge import ReviewJob
from alerts.abuse.sift import SiftJob
from alerts.abuse.signals import DEVICE, LOOP, RING
from brewline.results import circumstances, write_json
from config.settings import load
from features import identity
from features.check import Limits
from features.clean import Cleaner
from features.identity import Pseudonyms
from features.job import Batch, Message
from features.loop import Store, run
from features.outgoing import CloudEvent
from features.stores import read_stores
from features.times import DAY_MS
from flows.abuse import load_signals
from sim.chain import Chain
from sim.truth import Abuse

BATCH = 4_000
TOPICS = Topics("sightings", "reviews", "events", "dead-letters")
SECRET = Pseudonyms(b"of a benchmark only", "CN")


class Bench:
    """One chain, cleaned, sifted and judged in one partition."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        stores = read_stores(chain.stores_csv().splitlines(), "Asia/Shanghai", "stores.csv")
        self.cleaner = Cleaner(
            Limits(1_000_000, 0, DAY_MS), SECRET, stores, TOPICS.events, TOPICS.dead_letters, "identities", ["p0"], 2
        )
        self.table = identity.Table()
        signals = load_signals(load())
        self.sift = SiftJob(TOPICS.sightings, ["p0"], 1, signals)
        self.judge = ReviewJob(TOPICS, signals)
        self.reviews: dict[str, dict[str, Any]] = {}
        self.events = 0
        self.took_s = {"sift": 0.0, "judge": 0.0}

    def run(self) -> None:
        clean: list[bytes] = []
        sifted: dict[int, Store] = {}
        judged: dict[int, Store] = {}
        for values in self._clean():
            clean += values
            if len(clean) >= BATCH:
                self._apply(clean[:BATCH], sifted, judged)
                clean = clean[BATCH:]
        self._apply(clean, sifted, judged)

    def _clean(self) -> Iterator[list[bytes]]:
        for record in self.chain.records():
            if record.topic in ("pos.events", "app.events"):
                batch = Batch(record.topic, 0, -1, [0], [record.value], [record.at_ms])
                messages, _, _ = self.cleaner.finish(self.cleaner.check(batch), self.table)
                yield [message.value for message in messages if message.topic == TOPICS.events]

    def _apply(self, values: list[bytes], sifted: dict[int, Store], judged: dict[int, Store]) -> None:
        self.events += len(values)
        facts = self._stage("sift", self.sift, values, sifted)
        while facts:
            told = self._stage("judge", self.judge, [fact.value for fact in facts], judged)
            facts = [message for message in told if message.topic == TOPICS.sightings]
            for message in told:
                if message.topic == TOPICS.reviews:
                    self.reviews[message.key] = msgspec.json.decode(message.value, type=CloudEvent).data

    def _stage(self, name: str, job: Any, values: list[bytes], stores: dict[int, Store]) -> list[Message]:
        store = stores.setdefault(0, Store())
        after, store.sent = store.position.offset, []
        offsets = [*range(after + 1, after + 1 + len(values))]
        batch = Batch(name, 0, after, offsets, values, [0] * len(values))
        started = time.process_time()
        run(job, [batch], stores)
        self.took_s[name] += time.process_time() - started
        return store.sent

    def figures(self) -> dict[str, Any]:
        cases = [case for case in self.reviews.values() if case["state"] in STANDING]
        found: dict[str, Any] = {signal: self._judge(signal, cases) for signal in (DEVICE, RING, LOOP)}
        cost_us = {f"{name}_us_per_event": round(s / self.events * 1e6, 3) for name, s in self.took_s.items()}
        total_us = round(sum(self.took_s.values()) / self.events * 1e6, 3)
        return {"days": self.chain.days, "events": self.events, **found, **cost_us, "us_per_event": total_us}

    def _judge(self, signal: str, cases: list[dict[str, Any]]) -> dict[str, float | int | None]:
        """A case is right when it is about somebody who abuses in just this way."""
        truth = {self._subject(abuse) for abuse in self.chain.truth.abuses if abuse.kind == signal}
        told = {case["subject"] for case in cases if case["signal"] == signal}
        right = len(truth & told)
        return {
            "precision": right / len(told) if told else None,
            "recall": right / len(truth) if truth else None,
            "cases": len(told),
            "abuses": len(truth),
        }

    def _subject(self, abuse: Abuse) -> str:
        if abuse.kind == LOOP:
            [name] = abuse.app_ids
            return self.table.root(self.table.links[SECRET.one("app_id", name)])
        return SECRET.one("device", abuse.device)


def measure(days: float, customers: int, seed: int) -> dict[str, Any]:
    bench = Bench(Chain(seed, customers=customers, days=days))
    bench.run()
    return bench.figures()


def show(figures: dict[str, Any], out: Console) -> None:
    table = Table("signal", "precision", "recall", "cases", "abuses")
    for signal in (DEVICE, RING, LOOP):
        found = figures[signal]
        shares = ("–" if found[name] is None else f"{found[name]:.2f}" for name in ("precision", "recall"))
        table.add_row(signal, *shares, str(found["cases"]), str(found["abuses"]))
    out.print(table)
    told = ", ".join(f"{name} {figures[f'{name}_us_per_event']:.2f}" for name in ("sift", "judge"))
    out.print(f"{figures['events']:,} events, µs of CPU each: {told}")
    machine = circumstances()
    out.print(f"{machine['machine']}; commit {machine['commit']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=10.0)
    parser.add_argument("--customers", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    figures = measure(asked.days, asked.customers, asked.seed)
    show(figures, Console())
    write_json(asked.json, figures)


if __name__ == "__main__":
    main()
