"""What is done to the customers flow and its servers: each fault strikes, lasts a moment, and is over."""

from __future__ import annotations

import resource
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from redis.exceptions import RedisError

from benchmarks.fleet import Fleet, Flow
from benchmarks.house import House
from operators.servers import KafkaServer

WAIT_S = 60.0
LULL_S = 2.0
IGNORING_FULL_FILES = ["sh", "-c", 'trap "" XFSZ; exec "$@"', "sh"]  # to a full disk, writes fail; nothing is killed


class Scene:
    """Whom faults strike. `noted` counts what they met."""

    def __init__(self, house: House, fleet: Fleet, rng: Random) -> None:
        self.house = house
        self.fleet = fleet
        self.rng = rng
        self.noted: Counter[str] = Counter()
        self.partitions = range(house.partitions)

    def victim(self) -> Flow:
        return self.rng.choice([flow for _, flow in sorted(self.fleet.flows.items())])

    def lull(self) -> None:
        self.fleet.until(lambda: False, self.rng.uniform(0, LULL_S))

    def outage(self) -> None:
        """A server's, and sometimes a flow dies in it."""
        self.lull()
        if self.rng.random() < 0.3:
            self.noted["flows killed during an outage"] += 1
            self.victim().kill()
            self.lull()

    def fences(self) -> list[int] | None:
        """How far each partition has come; None when Redis does not say."""
        with suppress(RedisError):
            return [self.house.store.position(partition).offset for partition in self.partitions]
        return None

    def owners(self) -> list[Any]:
        return self.house.redis.mget([self.house.store.key(p, "owner") for p in self.partitions])  # type: ignore[return-value]

    def outboxes(self) -> list[int]:
        """By partition, commits whose messages Kafka has not confirmed, as far as Redis has been told."""
        pipeline = self.house.redis.pipeline(transaction=False)
        for partition in self.partitions:
            pipeline.xlen(self.house.store.key(partition, "outbox"))
        return pipeline.execute()

    def next_commit(self) -> None:
        """Waits for one with messages."""
        before = self.outboxes()

        def committed() -> bool:
            nonlocal before
            earlier, before = before, self.outboxes()
            return any(then < at for then, at in zip(earlier, before, strict=True))

        self.at_once(committed)

    def at_once(self, what: Callable[[], bool]) -> None:
        """Waits without a pause between two looks: what is aimed at lasts milliseconds."""
        end = time.monotonic() + WAIT_S
        while not what() and time.monotonic() < end:
            pass

    def shared(self, flow: Flow) -> list[int]:
        """The partitions of a flow's share."""
        mine, of = map(int, flow.share.split("/"))
        return [partition for partition in self.partitions if partition % of == mine]

    def moves(self) -> bool:
        """Waits until every partition has moved; whether they did."""
        before: list[int] | None = None

        def moved() -> bool:
            nonlocal before
            now = self.fences()
            if before is None or now is None:
                before = before or now
                return False
            return all(then < at for then, at in zip(before, now, strict=True))

        return self.fleet.until(moved, WAIT_S)

    def refusals(self, code: str) -> int:
        """Commands that Redis has refused for this reason since its start."""
        told: Any = self.house.redis.info("errorstats")
        return int(told.get(f"errorstat_{code}", {"count": 0})["count"])

    def refuses(self, code: str, before: int) -> None:
        """Waits until a commit was refused."""
        if self.fleet.until(lambda: self.refusals(code) > before, WAIT_S):
            self.noted[f"outages in which Redis said {code}"] += 1


def kill_flow(scene: Scene) -> None:
    scene.lull()
    scene.victim().kill()


def kill_flow_with_full_outbox(scene: Scene) -> None:
    """Right behind EXEC, as a rule before the relay has sent, sometimes between sending and trim."""
    victim = scene.victim()
    scene.next_commit()
    victim.kill()
    scene.noted["flows killed between EXEC and trim"] += any(scene.outboxes())


def kill_redis(scene: Scene) -> None:
    scene.house.redis_server.kill()
    scene.outage()
    scene.house.redis_server.start()


def kill_redis_under_a_start(scene: Scene) -> None:
    """A flow has just claimed its partitions, and has read nothing else yet."""
    victim = scene.victim()
    victim.kill()
    before, mine = scene.owners(), scene.shared(victim)
    scene.fleet.mend()
    scene.at_once(lambda: all(scene.owners()[p] != before[p] for p in mine))
    kill_redis(scene)


def cut_redis(scene: Scene) -> None:
    """A power cut: what Redis wrote last never reached the disk. From one byte to all since the last rewrite."""
    scene.house.redis_server.kill()
    log = redis_log(scene.house.folder / "redis")
    size = log.stat().st_size
    cut = min(size, round(2 ** scene.rng.uniform(0, 21)))
    with log.open("r+b") as file:
        file.truncate(size - cut)
    scene.noted["bytes cut off Redis' log"] += cut
    scene.outage()
    scene.house.redis_server.start()


def redis_log(folder: Path) -> Path:
    """The append-only file that is written now: the last of several from Redis 7 on, the only one before."""
    several = sorted(folder.rglob("*.incr.aof"), key=lambda path: int(path.name.split(".")[-3]))
    return several[-1] if several else folder / "appendonly.aof"


def kill_kafka(scene: Scene) -> None:
    server = scene.house.kafka_server
    assert isinstance(server, KafkaServer)
    server.kill()
    scene.outage()
    server.start()


def pause_flow(scene: Scene) -> None:
    """A zombie: it stands still while a successor takes over, then it goes on."""
    zombie = scene.victim()
    zombie.process.send_signal(signal.SIGSTOP)
    before = scene.owners()
    scene.fleet.start(zombie.share)
    mine = scene.shared(zombie)
    scene.fleet.until(lambda: all(scene.owners()[p] != before[p] for p in mine), WAIT_S)
    scene.lull()
    zombie.process.send_signal(signal.SIGCONT)
    scene.fleet.retire(zombie, WAIT_S)


def claim_twice(scene: Scene) -> None:
    """Two start at once for the same share, in place of one that was killed or still runs."""
    share = scene.victim().share
    former = [scene.fleet.start(share), scene.fleet.start(share)]
    if scene.rng.random() < 0.5 and former[0] is not None:
        former.pop(0).kill()
    for flow in former:
        scene.fleet.retire(flow, WAIT_S)


def rescale(scene: Scene) -> None:
    """From one process to two or back; the former are told to end, killed, or left to find out."""
    former = scene.fleet.scale(3 - len(scene.fleet.flows))
    scene.lull()
    number = scene.rng.choice([None, signal.SIGTERM, signal.SIGKILL])
    for flow in former:
        if number is not None:
            flow.process.send_signal(number)
        scene.fleet.retire(flow, WAIT_S)


def fill_memory(scene: Scene) -> None:
    before = scene.refusals("OOM")
    scene.house.redis.config_set("maxmemory", 1)
    scene.refuses("OOM", before)
    scene.outage()
    scene.house.redis.config_set("maxmemory", 0)


def fill_disk(scene: Scene) -> None:
    """Redis' log may not grow any more: its writes end short, as on a full disk."""
    server, before = scene.house.redis_server, scene.refusals("MISCONF")
    full = redis_log(scene.house.folder / "redis").stat().st_size + scene.rng.randrange(20_000)
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (full, hard))
    scene.refuses("MISCONF", before)
    scene.outage()
    if scene.rng.random() < 0.3:
        scene.noted["Redis killed with a full disk"] += 1
        server.kill()
        server.start()
    else:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard))


class Fault(NamedTuple):
    weight: int  # how often, of some fifty
    strike: Callable[[Scene], None]
    steady: bool = False  # it strikes only when all partitions move


FAULTS = {
    "flow killed": Fault(8, kill_flow),
    "flow killed with a full outbox": Fault(8, kill_flow_with_full_outbox, steady=True),
    "Redis killed": Fault(5, kill_redis),
    "Redis killed while a flow opens": Fault(4, kill_redis_under_a_start, steady=True),
    "Redis killed, tail of its log cut off": Fault(7, cut_redis),
    "Kafka killed": Fault(5, kill_kafka),
    "flow paused until succeeded": Fault(4, pause_flow, steady=True),
    "partitions claimed twice": Fault(3, claim_twice),
    "rescaled": Fault(4, rescale, steady=True),
    "Redis out of memory": Fault(3, fill_memory),
    "Redis' disk full": Fault(3, fill_disk),
}


def schedule(count: int, rng: Random, kinds: list[str]) -> list[str]:
    """So many faults in random order: each kind once, if there is room, and there and back for the scale."""
    chosen = [*kinds, *(kind for kind in kinds if kind == "rescaled")]
    if count < len(chosen):
        return rng.sample(kinds, k=min(count, len(kinds)))
    chosen += rng.choices(kinds, [FAULTS[kind].weight for kind in kinds], k=count - len(chosen))
    rng.shuffle(chosen)
    return chosen
