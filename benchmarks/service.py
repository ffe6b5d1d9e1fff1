"""Precision and recall of broken promises against what the simulated chain knows of its complaints and enquiries.

python -m benchmarks.service [--days 14] [--members 3000] [--stores 24] [--seed 1] [--quick] [--json FILE]

The chain's records go through ingest's cleaning and both steps of the service flow, all in this process, under the
shipped promises. Found is a breach that was told and not withdrawn, by ticket, clock and round; there is one where the
simulation knows of no answer by then.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import orjson
from rich.table import Table as Shown

from alerts.service.cases import Cases
from alerts.service.desk import Desk
from alerts.service.promise import Promise, Promises
from alerts.service.telling import Topics
from alerts.service.working import reach
from benchmarks.house import out
from benchmarks.triggers import Log, Verdict, cleaned
from brewline.results import write_json
from config.settings import Settings, load
from features.identity import Pseudonyms, Table
from features.partitions import partition_keys
from flows.files import load_promises
from sim import Chain
from sim.truth import Case, Round

SENT_MS = 2_000  # what happens at the very end is sent after it


class Breach(NamedTuple):
    ticket: str
    clock: str
    round: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=14, help="length of the chain's life")
    parser.add_argument("--members", type=int, default=3_000)
    parser.add_argument("--stores", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1, help="the same seed is the same chain")
    parser.add_argument("--quick", action="store_true", help="3 days of 1,000 members")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    if asked.quick:
        asked.days, asked.members = 3, 1_000
    chain = Chain(asked.seed, asked.stores, asked.members, asked.days)
    settings = load(environ={})
    verdicts = judged(chain, settings)
    shown = Shown("promise", "found", "right", "there", "missed", "precision", "recall")
    for name, verdict in verdicts.items():
        numbers = (verdict.found, verdict.right, verdict.there, verdict.missed)
        shown.add_row(name, *(f"{number:,}" for number in numbers), *(f"{share}" for share in verdict.shares))
    out.print(shown)
    write_json(asked.json, {name: verdict.shares for name, verdict in verdicts.items()})


def judged(chain: Chain, settings: Settings) -> dict[str, Verdict]:
    """By promise."""
    promises = load_promises(settings)
    found, priorities = _found(chain, settings, promises)
    there = {breach: promise for case in chain.truth.cases for breach, promise in _there(case, promises, chain.end_ms)}
    verdicts = {}
    for promise in promises.promise:
        mine = {breach for breach in found if priorities[breach] == promise.id}
        known = {breach for breach, id in there.items() if id == promise.id}
        verdicts[promise.id] = Verdict(len(mine), len(mine & known), len(known), len(known - mine))
    return verdicts


def _found(chain: Chain, settings: Settings, promises: Promises) -> tuple[set[Breach], dict[Breach, str]]:
    cases = Log("events", Cases("service.cases", "dead-letters", partition_keys(1), 1, promises))
    desk = Log("service.cases", Desk(Topics("tickets", "alerts", "events", "dead-letters"), promises))
    told: Counter[Breach] = Counter()
    priorities: dict[Breach, str] = {}
    for values in cleaned(chain, settings, Pseudonyms(b"a benchmark's key", "CN"), Table()):
        for message in desk.append([message.value for message in cases.append(values)]):
            event = orjson.loads(message.value)
            if event["type"] == "brewline.ticket.breached":
                data = event["data"]
                breach = Breach(data["ticket"], data["clock"], data["round"])
                told[breach] = 0 if data["withdrawn"] else 1
                priorities[breach] = data["priority"]
    return {breach for breach, stands in told.items() if stands}, priorities


def _there(case: Case, promises: Promises, end_ms: int) -> Iterator[tuple[Breach, str]]:
    promise = _promise(case, promises)
    for number, each in enumerate(case.rounds, 1):
        for clock, limit_ms in promise.clocks.items():
            due_ms, stopped_ms = reach(each.from_ms, limit_ms, promise.working, case.tz), _stopped_ms(each, clock)
            if due_ms <= end_ms - SENT_MS and (stopped_ms is None or stopped_ms > due_ms):
                yield Breach(case.ticket, clock, number), promise.id


def _stopped_ms(each: Round, clock: str) -> int | None:
    known = (each.answered_ms if clock == "first_answer" else each.settled_ms, each.closed_ms)
    return min((at_ms for at_ms in known if at_ms is not None), default=None)


def _promise(case: Case, promises: Promises) -> Promise:
    kind = case.ticket.partition(":")[0]
    if kind == "lead":
        return promises.named(promises.leads)
    if kind == "rating" and promises.ratings:
        return promises.named(promises.ratings.promise)
    return promises.of_complaint(case.topic)


if __name__ == "__main__":
    main()
