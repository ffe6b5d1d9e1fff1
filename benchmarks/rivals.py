"""Real processes that share one small budget in a real Redis, killed with -9 at random and started again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from threading import Event

import structlog
from msgspec import Struct

from alerts.triggers.campaign import Campaigns, read_campaign
from alerts.triggers.policy import Policy
from alerts.triggers.rule import Rule, Then
from benchmarks.recount import receipts
from benchmarks.streams import START_MS, ZONE, Bench, Case
from features import events as e
from features.job import Batch
from features.times import DAY_MS
from operators.health import Pulse
from operators.leases import Leases, read_reserved
from operators.partition import PartitionStep
from operators.redis_link import connect_redis
from operators.servers import redis_server
from operators.store import Fenced, PartitionStore

PARTITIONS, PROCESSES = 4, 4
BUDGET_CENTS, COUPONS = 150_000, 400
FACES_CENTS = {"a": 300, "b": 500, "free": 100}  # campaign a has a budget, b a stock, the last no file
fork = multiprocessing.get_context("fork")


class Outcome(Struct):
    kills: int
    passed_by: int  # processes that ended since another had their partition
    coupons: int
    spent_cents: int
    reserved_cents: int  # in the end
    refused: int
    violations: list[str]


def case() -> Case:
    thens = [Then(f"c{number}", cents, campaign=id) for number, (id, cents) in enumerate(FACES_CENTS.items())]
    rules = [Rule(id=f"r{n}", on=["view"], when="views_1h >= 1", then=t, cooldown="0s") for n, t in enumerate(thens)]
    files = (f'id = "a"\nbudget_cents = {BUDGET_CENTS}', f'id = "b"\ncoupons = {COUPONS}')
    campaigns = Campaigns([read_campaign(text, "") for text in files], FACES_CENTS)
    return Case(Policy(10**6, DAY_MS, 0.0, "salt", ""), rules, campaigns, [], [])


def view(partition: int, offset: int) -> bytes:
    customer = f"c{partition}.{offset % 97}"
    return e.encode(e.View(id=f"{partition}.{offset}", customer=customer, at_ms=START_MS + offset * 1000, tz=ZONE))


def rival(url: str, partitions: list[int], events: int, seed: int) -> None:
    """A process: works off its partitions until it is told to end, or is passed by, or all is done."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    stop, rng, this = Event(), Random(seed), case()
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
        for partition in partitions:
            step.release("events", partition)
        os._exit(0)
    os._exit(1)


def run_rivals(
    folder: Path, events: int, strike_s: float, seed: int, struck: Callable[[float], None] = lambda _: None
) -> Outcome:
    """They fight for `strike_s`; then each has its own partition, works it off and ends in order."""
    rng, kills, passed_by = Random(seed), 0, 0
    with redis_server(folder) as server:
        running: list[multiprocessing.process.BaseProcess] = []
        until_s = time.monotonic() + strike_s
        while time.monotonic() < until_s:
            passed_by += sum(process.exitcode == 1 for process in running)
            running = [process for process in running if process.is_alive()]
            while len(running) < PROCESSES:
                mine = rng.sample(range(PARTITIONS), rng.randint(1, 2))
                running.append(_start(server.url, mine, events, rng.randrange(10**9)))
            time.sleep(rng.uniform(0.05, 0.6))
            victim = rng.choice(running)
            victim.kill()
            victim.join()
            kills += 1
            struck(min(strike_s, strike_s + time.monotonic() - until_s))
        for process in running:
            process.terminate()
        last = [_start(server.url, [partition], events, partition) for partition in range(PARTITIONS)]
        for process in [*running, *last]:
            process.join(120)
        return _judge(server.url, events, kills, passed_by)


def _start(url: str, partitions: list[int], events: int, seed: int) -> multiprocessing.process.BaseProcess:
    process = fork.Process(target=rival, args=(url, partitions, events, seed), daemon=True)
    process.start()
    return process


def _judge(url: str, events: int, kills: int, passed_by: int) -> Outcome:
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
    limits = {"a/budget": BUDGET_CENTS, "b/coupons": COUPONS}
    found += [f"{pot}: {spent[pot]} spent of {limit}" for pot, limit in limits.items() if spent[pot] > limit]
    found += [
        f"{pot}: {reserved.get(pot)} reserved, {spent[pot]} spent" for pot in limits if reserved[pot] != spent[pot]
    ]
    found += [f"coupon {id} issued {number} times" for id, number in ids.items() if number > 1]
    return Outcome(kills, passed_by, ids.total(), spent["a/budget"], reserved["a/budget"], refused, found)
