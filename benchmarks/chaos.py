"""Strikes the customers flow, its Redis and its Kafka again and again, and proves that nothing is lost or done twice.

python -m benchmarks.chaos [--faults 50] [--events 200000] [--customers 4000] [--seed 1] [--quick] [--json FILE]

Example: python -m benchmarks.chaos --faults 100 --seed 7 --json chaos.json

Late, repeated and taken-back events go to the clean topic while the flow's processes, Redis and Kafka are killed,
paused, filled up and started again. In the end, each customer's record and features, each decision and coupon is
compared with what the same job makes of the same log in a plain loop. `lost`: effects that are missing; `duplicated`:
effects that are not expected, or have another content; `wrong_features`: customers whose record, features, timer or
receipts differ; `stuck_partitions`: such as do not come to their end. Also counted: `unfenced` processes that did not
end though others had taken their partitions over; `wrong_fences`, partitions whose clock or counts differ; and
`cut_matters`, partitions of which the plain loop itself makes something else when it is given other batches. The exit
code is 1 when any of these is not 0. `repeated` messages came again under the same id, which is allowed. A seed gives
the same events and the same faults; when exactly they strike hangs on the machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from random import Random
from typing import Any

from confluent_kafka import Message as Record
from rich.progress import Progress

from benchmarks.disorder import Feed, disordered_events
from benchmarks.faults import FAULTS, IGNORING_FULL_FILES, schedule
from benchmarks.fleet import running_fleet
from benchmarks.house import House, out, progress
from benchmarks.judgement import Verdict, judge_messages, judge_state, same, stored
from benchmarks.scene import Scene
from benchmarks.twin import read_log, undisturbed
from brewline.results import circumstances, write_json
from features.customer import Core
from features.job import Message
from operators.kafka import producer
from operators.servers import KafkaServer

QUICK = {"faults": 12, "events": 20_000, "customers": 1_000}
MOCK_EVENTS = 20_000  # the mock cluster forgets what goes beyond
FEEDING_S = 4.0  # so long events come, of those that each fault gets
HASTE = 0.25  # share of the faults that do not wait until the one before is healed
SETTLE_S = 180.0
WRONG = ("lost", "duplicated", "wrong_features", "stuck_partitions", "unfenced", "wrong_fences", "cut_matters")
OUTPUTS = ("coupons", "redemptions", "decisions", "examples", "dead-letters")


def main() -> None:
    asked = _asked()
    started = time.monotonic()
    os.environ["BREWLINE_KAFKA__BATCH_EVENTS"] = "500"  # a backlog is many commits
    with ExitStack() as stack, progress() as bar:
        folder = asked.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        house = opened(stack, folder)
        kinds = possible(house)
        kinds = [asked.only] if asked.only else kinds
        if not isinstance(house.kafka_server, KafkaServer):
            asked.events = min(asked.events, MOCK_EVENTS)
        scene = Scene(house, stack.enter_context(running_fleet(folder / "flows", 1)), Random(asked.seed))
        struck = strike(scene, asked, schedule(asked.faults, scene.rng, kinds), bar)
        log, stuck = settle(scene, bar)
        scene.fleet.stop()
        verdict = judge(house, log, bar, asked.seed)
    report(
        asked.json,
        {
            **house.names,
            **house.size,
            "faults": sum(struck.values()),
            **{name: getattr(verdict, name) for name in ("lost", "duplicated", "wrong_features")},
            "stuck_partitions": stuck,
            "unfenced": scene.fleet.unfenced,
            **{name: getattr(verdict, name) for name in ("wrong_fences", "cut_matters", "effects", "repeated")},
            **{name: getattr(asked, name) for name in ("events", "customers", "seed")},
            "records": sum(map(len, log.values())),
            "processes": scene.fleet.started,
            "seconds": round(time.monotonic() - started),
            "by_kind": dict(struck),
            "noted": dict(scene.noted),
            "ended_by_themselves": dict(scene.fleet.ends),
        },
        verdict.told,
    )


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--customers", type=int, default=4_000)
    parser.add_argument(
        "--only", choices=FAULTS, metavar="KIND", help="faults of this kind alone, to look at one closely"
    )
    parser.add_argument("--seed", type=int, default=1, help="of events and faults")
    parser.add_argument("--quick", action="store_true", help="{faults} faults, {events:,} events".format(**QUICK))
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--folder", type=Path, help="keep logs and data here, instead of nowhere")
    asked = parser.parse_args()
    if asked.quick:
        parser.set_defaults(**QUICK)
        asked = parser.parse_args()
    return asked


def opened(stack: ExitStack, folder: Path) -> House:
    """The servers, ready for what they will suffer: what the models are is on Redis' disk for good."""
    house = House(stack, folder)
    os.environ |= {"BREWLINE_METRICS__CUSTOMERS": "0"}  # there may be several processes
    house.redis_server.command = [*IGNORING_FULL_FILES, *house.redis_server.command]
    house.redis_server.restart()
    house.redis.bgrewriteaof()
    while house.redis.info("persistence")["aof_rewrite_in_progress"]:  # type: ignore[index]
        time.sleep(0.05)
    return house


def possible(house: House) -> list[str]:
    """The kinds of faults that this machine allows."""
    missing = set()
    if not isinstance(house.kafka_server, KafkaServer):
        missing.add("Kafka killed")
    if sys.platform != "linux":
        missing.add("Redis' disk full")
    for kind in missing:
        out.print(f"[yellow]left out on this machine: {kind}[/]")
    return [kind for kind in FAULTS if kind not in missing]


def strike(scene: Scene, asked: argparse.Namespace, kinds: list[str], bar: Progress) -> Counter[str]:
    """One fault after the other while events come; how many of each kind. Ends early when the flow stands still."""
    struck: Counter[str] = Counter()
    share = asked.events / len(kinds)
    sender = producer(scene.house.settings.kafka.librdkafka())
    events = disordered_events(asked.events, asked.customers, asked.seed)
    feed = Feed(sender, scene.house.topic, scene.house.partitions, events, share / FEEDING_S)
    feed.start()
    task = bar.add_task("faults", total=len(kinds))
    for kind in kinds:
        bar.update(task, description=kind)
        with (scene.house.folder / "faults.log").open("a") as log:
            log.write(f"{datetime.now(timezone.utc):%H:%M:%S.%f} {kind}\n")
        feed.allowed += share / 2
        if (FAULTS[kind].steady or scene.rng.random() > HASTE) and not scene.moves():
            out.print(f"[red]the flow stands still before: {kind}[/]")
            break
        feed.allowed += share / 2  # so that something is on its way when it strikes
        FAULTS[kind].strike(scene)
        struck[kind] += 1
        bar.advance(task)
    feed.allowed = float("inf")
    if not scene.fleet.until(lambda: feed.done, SETTLE_S):
        raise SystemExit("the events could not be sent")
    return struck


def settle(scene: Scene, bar: Progress) -> tuple[dict[int, list[Record]], int]:
    """The log of events, and how many partitions do not come to its end; also waits until nothing is left to send."""
    log = read_log(scene.house, "events")
    ends = [records[-1].offset() if records else -1 for records in log.values()]
    task = bar.add_task("settling", total=len(ends))

    def settled() -> bool:
        there = [at == end for at, end in zip(scene.fences() or [], ends, strict=False)]
        bar.update(task, completed=sum(there))
        return all(there) and len(there) == len(ends)

    scene.fleet.until(settled, SETTLE_S)
    scene.fleet.until(lambda: not any(scene.outboxes()), SETTLE_S / 4)
    fences = scene.fences() or [-2] * len(ends)
    return log, sum(at != end for at, end in zip(fences, ends, strict=True))


def judge(house: House, log: dict[int, list[Record]], bar: Progress, seed: int) -> Verdict:
    """What came of the log, against the undisturbed twin; and whether that one depends on how the log is cut."""
    verdict, task = Verdict(), bar.add_task("judging", total=3 + house.partitions)
    expected = undisturbed(house, log)
    bar.advance(task)
    cut = undisturbed(house, log, seed)
    bar.advance(task)
    found = [_message(record) for topic in OUTPUTS for records in read_log(house, topic).values() for record in records]
    judge_messages(verdict, (message for store in expected.values() for message in store.sent), found)
    bar.advance(task)
    core, now_ms = Core(house.catalog), max(store.position.clock.now_ms for store in expected.values())
    for partition, store in expected.items():
        judge_state(verdict, partition, store, stored(house.store, partition), lambda raw: core.row(raw, now_ms))
        bar.advance(task)
    verdict.cut_matters = sum(not same(store, cut[partition]) for partition, store in expected.items())
    return verdict


def _message(record: Record) -> Message:
    headers: Any = record.headers() or []
    return Message(
        record.topic() or "",
        (record.key() or b"").decode(),
        record.value() or b"",
        {name: value.decode() for name, value in headers},
    )


def report(file: Path | None, figures: dict[str, Any], told: list[str]) -> None:
    for name, value in {**figures, **circumstances()}.items():
        out.print(f"{name:>20}  {value}", highlight=False)
    for what in told:
        out.print(what, style="red", highlight=False, markup=False)
    write_json(file, figures)
    sys.exit(int(any(figures[name] for name in WRONG)))


if __name__ == "__main__":
    main()
