"""What is done to the customers flow and its servers: each fault strikes, lasts a moment, and is over."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from benchmarks.scene import WAIT_S, Scene
from operators.servers import KafkaServer

LONGEST_CUT = 21  # bits
DEATHS = 0.3  # share of the full disks with which Redis is killed
IGNORING_FULL_FILES = ["sh", "-c", 'trap "" XFSZ; exec "$@"', "sh"]  # to a full disk, writes fail; nothing is killed


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
    """A power cut: what Redis wrote last never reached the disk; from one byte to two megabytes."""
    told: Any = scene.house.redis.info("persistence")
    log = redis_log(scene.house.folder / "redis")
    scene.house.redis_server.kill()
    size = log.stat().st_size
    whole = 0 if log.name.endswith(".incr.aof") else min(told["aof_base_size"], size)  # a snapshot, not to be cut
    cut = min(size - whole, round(2 ** scene.rng.uniform(0, LONGEST_CUT)))
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
    if scene.rng.random() < DEATHS:
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
