"""Real processes that share one small budget in a real Redis, killed with -9 at random and started again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from threading import Event

import structlog
from msgspec import Struct

from alerts.triggers.campaign import Campaigns, read_campaign
from alerts.triggers.gifts import Then
from alerts.triggers.policy import Policy
from alerts.triggers.rule import Rule
from benchmarks.recount import receipts
from benchmarks.streams import START_MS, ZONE, Bench, Case
from features import events as e
from features.customer import compile_kernel
from features.job import Batch
from features.times import DAY_MS
from operators.health import Pulse
from operators.leases import Leases, read_reserved
from operators.partition import PartitionStep
from operators.redis_link import connect_redis
from operators.servers import redis_server
from operators.store import Fenced, PartitionStore

PARTITIONS, PROCESSES = 4, 4
PAUSE_S = 0.01  # between two batches, so that the fight outlasts the first seconds
PATIENCE_S, JOIN_S = 10.0, 120.0
FACES_CENTS = {"a": 300, "b": 500, "free": 100}  # campaign a has a budget, b a stock, the last no file
fork = multiprocessing.get_context("fork")


class Outcome(Struct):
    kills: int
    passed_by: int  # processes that ended since another had their partition
    applied_under_fire: int  # events
    coupons: int
    budget_cents: int
    spent_cents: int
    reserved_cents: int  # in the end
    refused: int
    violations: list[str]


def limits_of(events: int) -> dict[str, int]:
    """Half of what the events ask for, and a third."""
    return {"a/budget": events * PARTITIONS * FACES_CENTS["a"] // 2, "b/coupons": events * PARTITIONS // 3}


def case(limits: Mapping[str, int]) -> Case:
    thens = [Then(f"c{number}", cents, campaign=id) for number, (id, cents) in enumerate(FACES_CENTS.items())]
    rules = [Rule(id=f"r{n}", on=["view"], when="views_1h >= 1", then=t, cooldown="0s") for n, t in enumerate(thens)]
    files = (f'id = "a"\nbudget_cents = {limits["a/budget"]}', f'id = "b"\ncoupons = {limits["b/coupons"]}')
    campaigns = Campaigns([read_campaign(text, "") for text in files], FACES_CENTS)
    return Case(Policy(10**6, DAY_MS, 0.0, "salt", ""), rules, campaigns, [], [])


def view(partition: int, offset: int) -> bytes:
    customer = f"c{partition}.{offset % 97}"
    return e.encode(e.View(id=f"{partition}.{offset}", customer=customer, at_ms=START_MS + offset * 1000, tz=ZONE))


def rival(url: str, partitions: list[int], events: int, seed: int) -> None:
    """A process: works off its partitions until it is told to end, or is passed by, or all is done."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    stop, rng, this = Event(), Random(seed), case(limits_of(events))
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    job = Bench().set_up(this)
    store = PartitionStore(connect_redis(url, 5.0), "rivals", "customers", 2**20)
    step = PartitionStep(job, store, "dead-letters", Pulse(60), stop, None, Leases(store, this.campaigns, PARTITIONS))
    with suppress(Fenced):
        reached = {partition: step.claim("events", partition) for partition in partitions}
        while not stop.is_set() and min(reached.values()) < events - 1:
            for partition, after in reached.items():
                stop_at = min(events, after + 1 + rng.randint(0, 20))
                offsets = [*range(after + 1, stop_at)]
                values = [view(partition, offset) for offset in offsets]
                step(Batch("events", partition, after, offsets, values, [0] * len(offsets)))
                back = step.rewind("events", partition)
                reached[partition] = stop_at - 1 if back is None else back
                stop.wait(PAUSE_S)
        for partition in partitions:
            step.release("events", partition)
        os._exit(0)
    os._exit(1)


class Fight:
    """The processes that are running; those that have gone are replaced, with other partitions."""

    def __init__(self, url: str, events: int, seed: int) -> None:
        self.url, self.events, self.rng = url, events, Random(seed)
        self.running: list[multiprocessing.process.BaseProcess] = []
        self.kills = self.passed_by = 0

    def fill_up(self) -> None:
        self.passed_by += sum(process.exitcode == 1 for process in self.running)
        self.running = [process for process in self.running if process.is_alive()]
        while len(self.running) < PROCESSES:
            mine = self.rng.sample(range(PARTITIONS), self.rng.randint(1, 2))
            self.running.append(_start(self.url, mine, self.events, self.rng.randrange(10**9)))

    def strike(self) -> None:
        """Kills one, as soon as some more events are applied, or nothing moves."""
        enough, patience_s = applied_events(self.url) + self.rng.randint(0, 150), time.monotonic() + PATIENCE_S
        while applied_events(self.url) < enough and time.monotonic() < patience_s:
            self.fill_up()
            time.sleep(0.01)
        victim = self.rng.choice(self.running)
        victim.kill()
        victim.join()
        self.kills += 1

    def end(self) -> None:
        for process in self.running:
            process.terminate()
            process.join(JOIN_S)
            self.passed_by += process.exitcode == 1


def run_rivals(folder: Path, events: int, kills: int, seed: int, struck: Callable[[], None] = lambda: None) -> Outcome:
    """They fight under so many kills; then each has its own partition, works it off and ends in order."""
    compile_kernel()
    with redis_server(folder) as server:
        fight = Fight(server.url, events, seed)
        for _ in range(kills):
            fight.fill_up()
            fight.strike()
            struck()
        fight.end()
        applied = applied_events(server.url)
        last = [_start(server.url, [partition], events, partition) for partition in range(PARTITIONS)]
        for process in last:
            process.join(JOIN_S)
        return _judge(server.url, events, (fight.kills, fight.passed_by, applied))


def _start(url: str, partitions: list[int], events: int, seed: int) -> multiprocessing.process.BaseProcess:
    process = fork.Process(target=rival, args=(url, partitions, events, seed), daemon=True)
    process.start()
    return process


def applied_events(url: str) -> int:
    store = PartitionStore(connect_redis(url, 5.0), "rivals", "customers")
    return sum(store.position(partition).offset + 1 for partition in range(PARTITIONS))


def _judge(url: str, events: int, fought: tuple[int, int, int]) -> Outcome:
    """By the coupons in the outboxes, which nobody has trimmed."""
    redis, found, ids = connect_redis(url, 5.0), list[str](), Counter[str]()
    store, spent, refused = PartitionStore(redis, "rivals", "customers"), Counter[str](), 0
    for partition in range(PARTITIONS):
        sent = [message for one in store.unsent(partition) for message in one.messages]
        coupons = receipts(sent, "coupons")
        refused += len(receipts(sent, "decisions")) - len(coupons)
        ids.update(coupon["decision"] for coupon in coupons)
        mine = Counter[str]()
        for coupon in (coupon for coupon in coupons if coupon["campaign"] != "free"):
            mine[f"{coupon['campaign']}/budget"] += coupon["face_value_cents"]
            mine[f"{coupon['campaign']}/coupons"] += 1
        noted = {pot: number for pot, number in store.stored_spent(partition).items() if not pot.endswith("/since")}
        if noted != mine:
            found.append(f"partition {partition} notes {noted}, its coupons cost {dict(mine)}")
        if store.position(partition).offset != events - 1:
            found.append(f"partition {partition} ends at {store.position(partition).offset} of {events - 1}")
        spent += mine
    reserved = {**read_reserved(redis, "rivals", "a"), **read_reserved(redis, "rivals", "b")}
    limits = limits_of(events)
    found += [f"{pot}: {spent[pot]} spent of {limit}" for pot, limit in limits.items() if spent[pot] > limit]
    found += [
        f"{pot}: {reserved.get(pot)} reserved, {spent[pot]} spent" for pot in limits if reserved[pot] != spent[pot]
    ]
    found += [f"coupon {id} issued {number} times" for id, number in ids.items() if number > 1]
    cents = (limits["a/budget"], spent["a/budget"], reserved["a/budget"])
    return Outcome(*fought, ids.total(), *cents, refused, found)
