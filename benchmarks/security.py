"""Security: how many events a second the Sigma engine judges, by rules, and what a million actors cost in memory.

python -m benchmarks.security [--events 50000] [--actors 1000000] [--rules DIR] [--quick] [--json FILE]

Rules and events are made, the same for the same --seed; with --rules the events are judged by the Windows process rules
of that folder instead. Each figure is that of a process of its own, on one core: JSON events decoded, every rule asked;
for memory, one event of each actor within an hour in a value_count and an event_count, all groups held in the process.
Last comes `benchmarks.insiders`; with --quick in this process, without the time to alert.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import psutil
import re2
from ahocorasick_rs import AhoCorasick, MatchKind
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from alerts.sigma.engine import Engine
from alerts.sigma.logsource import LogSource
from alerts.sigma.reading import Rules, load
from alerts.sigma.stream import Stream, Told
from benchmarks.insiders import measured
from benchmarks.sigma_made import LOG, Made
from brewline.results import circumstances, write_json
from flows.guards import rule_texts

out = Console(stderr=True)
BATCH = 1_000
WARM = 2_000  # events that do not count
SOURCE = LogSource(**LOG)
ACTORS = """
title: Any export
name: any
logsource: {product: brewline, service: audit}
detection: {a: {action: export}, condition: a}
---
title: Many exports
correlation: {type: event_count, rules: [any], group-by: [actor], timespan: 1h, condition: {gte: 10}}
---
title: Many objects
correlation: {type: value_count, rules: [any], group-by: [actor], timespan: 1h, condition: {field: object, gte: 5}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--actors", type=int, default=1_000_000)
    parser.add_argument("--rules", type=Path, help="a folder of Sigma rules, instead of 3000 made ones")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="5000 events, 20,000 actors")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)  # what a process of its own measures
    asked = parser.parse_args()
    if asked.quick:
        asked.events, asked.actors = 5_000, 20_000
    if asked.part:
        print(orjson.dumps(PARTS[asked.part](asked)).decode())
        return
    figures: dict[str, Any] = {"events": asked.events, "actors": asked.actors}
    for part in PARTS:
        figures |= alone(part)
    for name, value in {**figures, **circumstances()}.items():
        print(f"{name:>26}  {value}")
    write_json(asked.json, figures)


def alone(part: str) -> dict[str, Any]:
    """What a process of its own measures: no part stands in the memory of another."""
    command = [sys.executable, "-m", "benchmarks.security", *sys.argv[1:], "--part", part]
    environ = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environ)
    figures: dict[str, Any] = orjson.loads(run.stdout)
    return figures


def few_rules(asked: argparse.Namespace) -> dict[str, Any]:
    made = Made(asked.seed, 100)
    rules, _ = load(made.rules)
    return {"events_per_s_100_rules": judged_per_s("100 rules", rules, made, asked.events)[0]}


def many_rules(asked: argparse.Namespace) -> dict[str, Any]:
    made = Made(asked.seed, 3_000)
    started = time.perf_counter()
    rules, _ = load(rule_texts(asked.rules) if asked.rules else made.rules)
    load_s = time.perf_counter() - started
    speed, met = judged_per_s("3000 rules", rules, made, asked.events)
    return {
        "events_per_s_3000_rules": speed,
        "rules": len(rules.detections),
        "rules_met_per_1000_events": round(1000 * met / asked.events, 1),
        "load_3000_rules_s": round(load_s, 1),
    }


def judged_per_s(name: str, rules: Rules, made: Made, events: int) -> tuple[int, int]:
    """Events a second of processor time, and how many rules were met."""
    engine, met, took_s = Engine(rules), 0, 0.0
    stream = made.events(events + WARM)
    engine.match(SOURCE, [orjson.loads(event) for event in islice(stream, WARM)])
    with progress() as bar:
        task = bar.add_task(name, total=events)
        while batch := list(islice(stream, BATCH)):
            started = time.process_time()
            found = engine.match(SOURCE, [orjson.loads(event) for event in batch])
            took_s += time.process_time() - started
            met += sum(map(len, found))
            bar.advance(task, len(batch))
    return round(events / took_s), met


def finders(asked: argparse.Namespace) -> dict[str, Any]:
    """What it takes to find which of some thousand literals stand in a command, by three ways."""
    made = Made(asked.seed, 3_000)
    words = sorted({word.casefold() for _, said in made.looked_for for word in said} | {*made.programs})
    texts = [orjson.loads(event)["CommandLine"].casefold() for event in made.events(asked.events // 25)]
    automaton, together = AhoCorasick(words, matchkind=MatchKind.Standard), re2.Set.SearchSet()
    for word in words:
        together.Add(re2.escape(word))
    together.Compile()
    ways: dict[str, Callable[[str], Any]] = {
        "automaton": lambda text: automaton.find_matches_as_indexes(text, overlapping=True),
        "re2_set": together.Match,
        "loop": lambda text: [word for word in words if word in text],
    }
    return {f"us_a_text_{name}": round(1e6 * spent_s(way, texts) / len(texts), 1) for name, way in ways.items()}


def spent_s(way: Callable[[str], Any], texts: list[str]) -> float:
    started = time.process_time()
    for text in texts:
        way(text)
    return time.process_time() - started


def actors(asked: argparse.Namespace) -> dict[str, Any]:
    rules, _ = load([("actors.yml", ACTORS)])
    stream = Stream(rules)
    with progress() as bar:
        task = bar.add_task("actors", total=asked.actors)
        told = exports(asked.actors)
        while batch := list(islice(told, BATCH)):
            stream.feed(batch)
            bar.advance(task, len(batch))
    rss = psutil.Process().memory_info().rss
    return {"groups_1m_actors": len(stream.records), "rss_mb_1m_actors": round(rss / 2**20)}


def exports(actors: int) -> Iterator[Told]:
    """One event of each actor, all within an hour."""
    source = LogSource("brewline", "audit", "audit")
    for n in range(actors):
        fields = {"action": "export", "actor": f"actor-{n:07}", "object": f"segment {n % 1000}", "rows": n % 50}
        yield Told(source, 1_000_000_000 + n * 3_599_000 // actors, f"e{n}", fields)


def progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=out)


def insiders(asked: argparse.Namespace) -> dict[str, Any]:
    return measured(asked.seed, None if asked.quick else 120)


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "few-rules": few_rules,
    "many-rules": many_rules,
    "finders": finders,
    "actors": actors,
    "insiders": insiders,
}

if __name__ == "__main__":
    main()
