"""Events a second of a back-test, from an exported Parquet file to the figures.

python -m benchmarks.backtest [--events 1000000] [--customers 50000] [--days 60] [--rule winback-14d ...]
                              [--threads 2] [--passes 3] [--file FILE.parquet] [--json FILE]

A seeded stream of clean events, an ordinary mix, is written as `brewline history export` would; `--file` names one that
is kept for the next time. Then each rule is tried by itself, and all shipped ones together: `events_per_s` is the best
of the passes on the wall clock, `cpu_us_per_event` the least processor time of one, `load` how many processes wanted a
core when it began. `stages` tells where the processor time goes, microseconds an event.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from rich.progress import Progress

from alerts.triggers.backtests.backtest import Span
from alerts.triggers.backtests.tally import count
from benchmarks.house import out, progress
from benchmarks.load import START_MS, ZONE, clean_event
from brewline.backtests.choice import Chosen, choose
from brewline.backtests.run import Run
from brewline.histories.archives import Archive, archived, open_archive
from brewline.histories.export import write_archive
from brewline.results import circumstances, write_json
from config.settings import Settings, load
from features import events as e
from features.times import DAY_MS

CHUNK = 50_000
ALL = "all shipped rules"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--customers", type=int, default=50_000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--rule", action="append", help="by default winback-14d and third-in-a-week")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--file", type=Path, help="the events; written if it is not there")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, progress() as bar:
        figures = measure(asked, asked.file or Path(folder) / "events.parquet", bar)
    for name, value in {**figures, **circumstances()}.items():
        for part in value.items() if name == "rules" else [(name, value)]:
            out.print(f"{part[0]:>18}  {part[1]}", highlight=False, soft_wrap=True)
    write_json(asked.json, figures)


def measure(asked: argparse.Namespace, file: Path, bar: Progress) -> dict[str, Any]:
    settings = load(environ={})
    if not file.exists():
        task = bar.add_task("making events", total=asked.events)
        chunks = _chunks(asked.events, asked.customers, asked.days)
        shown = (values for made, values in chunks if bar.update(task, completed=made) is None)
        rows = archived(shown, "the events")
        write_archive(rows, file, ZONE)
    archive = open_archive(settings, str(file), lambda done, total: None)
    names = asked.rule or ["winback-14d", "third-in-a-week"]
    tried = {name: choose(settings, [name], [], False, Span()) for name in names}
    tried[ALL] = choose(settings, [], [], True, Span())
    task = bar.add_task("trying", total=len(tried) * asked.passes)
    load_before = os.getloadavg()[0]
    rules = {}
    for name, one in tried.items():
        passes = [_pass(settings, archive, one, asked.threads, bar, task) for _ in range(asked.passes)]
        rules[name] = _best(archive, passes) | {"stages": _stages(settings, archive, one)}
    customers = archive.rows.select("customer").collect()["customer"].n_unique()
    size = {"events": archive.events, "customers": customers, "file_mb": round(file.stat().st_size / 1e6, 1)}
    return {**size, "threads": asked.threads, "load": round(load_before, 1), "rules": rules}


def _chunks(events: int, customers: int, days: int) -> Iterator[tuple[int, list[bytes]]]:
    """(how many were made, some of them); a tick of the clock after every thousandth of the days."""
    rng, step_ms, every, values = Random(7), days * DAY_MS / events, max(1, events // 1000), list[bytes]()
    for number in range(events):
        at_ms = START_MS + int(number * step_ms)
        values.append(e.encode(clean_event(rng, number, customers, at_ms)))
        if number % every == every - 1:
            values.append(e.encode(e.Tick(id=f"t{number}", at_ms=at_ms, source="load", of=1)))
        if len(values) >= CHUNK:
            yield number, values
            values = []
    yield events, values


def _pass(
    settings: Settings, archive: Archive, tried: Chosen, threads: int, bar: Progress, task: Any
) -> tuple[float, float, int]:
    """(seconds, processor seconds, coupons) of a back-test whose rules are loaded and compiled."""
    run = Run(settings, archive, tried, assume_consent=False)
    backtests = [run.backtest() for _ in range(threads)]
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    counted = run.figures(lambda events: None, backtests)
    took = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    bar.advance(task)
    return *took, sum(tally.outcomes["issued"] for tally in counted.rules.values())


def _best(archive: Archive, passes: list[tuple[float, float, int]]) -> dict[str, Any]:
    seconds, cpu_seconds, coupons = (list(each) for each in zip(*passes, strict=True))
    return {
        "events_per_s": round(archive.events / min(seconds)),
        "cpu_us_per_event": round(min(cpu_seconds) / archive.events * 1e6, 2),
        "coupons": coupons[0],
    }


def _stages(settings: Settings, archive: Archive, tried: Chosen) -> dict[str, float]:
    run, share = Run(settings, archive, tried, assume_consent=False), archive.shares[0]
    backtest, marks = run.backtest(), [time.process_time()]
    rows = archive.read(share, run.columns)
    marks.append(time.process_time())
    columns = run.columns_of(backtest, rows, share)
    marks.append(time.process_time())
    backtest.job.core.apply(columns, [], {})
    marks.append(time.process_time())
    judged = backtest.judge(columns)
    marks.append(time.process_time())
    count(judged, archive.timezone, archive.last_ms)
    marks.append(time.process_time())
    took = [(after - before) / share.length * 1e6 for before, after in pairwise(marks)]
    took[3] -= took[2]  # judging applies once more
    names = ("read", "columns", "windows and rows", "conditions and policy", "figures")
    return {name: round(us, 2) for name, us in zip(names, took, strict=True)}


if __name__ == "__main__":
    main()
