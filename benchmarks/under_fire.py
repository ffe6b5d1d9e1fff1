"""Processes that share pots take turns by chance: between any two steps one may be killed, paused or passed by.

Another claims its partition while it goes on, or the store falls back to where it was before.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from random import Random

from alerts.triggers.job import CustomersJob
from benchmarks.shared_pots import Partition, Process, World
from benchmarks.streams import PARTITIONS, Case


def arrive(world: World, rng: Random) -> None:
    """A commit that was still on its way is carried out, unless what it watches was touched."""
    partition, watched, changes = world.late.pop(rng.randrange(len(world.late)))
    if partition.touched == watched:
        partition.commit(changes)


def play(case: Case, job: CustomersJob, rng: Random) -> World:
    """All partitions to their end, under fire for a while; then in peace."""
    world = World([Partition() for _ in range(PARTITIONS)])
    names, alive, kept = iter(range(10**9)), list[tuple[Process, Iterator[None]]](), deepcopy(world)
    paces = dict[str, float]()  # some processes are as good as paused

    def start(number: int) -> None:
        process = Process(f"p{next(names)}", world, number, case, job, rng)
        alive.append((process, process.run()))
        paces[process.name] = rng.choice((0.03, 1.0))

    for _ in range(rng.choice((0, 60, 250))):
        chance = rng.random()
        if chance < 0.1 or not alive:
            start(rng.randrange(PARTITIONS))
        elif chance < 0.14:
            alive.remove(rng.choice(alive))
        elif chance < 0.15:
            kept = deepcopy(world)
        elif chance < 0.155:  # all connections break with the store: what was under way is not carried out
            world.partitions, world.reserved = deepcopy(kept.partitions), dict(kept.reserved)
            alive.clear()
            world.late.clear()
        elif chance < 0.2 and world.late:
            arrive(world, rng)
            world.check(case)
        else:
            [one] = rng.choices(alive, [paces[process.name] for process, _ in alive])
            if next(one[1], alive) is alive:
                alive.remove(one)
            world.check(case)
    for number in rng.sample(range(PARTITIONS), PARTITIONS):
        for _ in Process(f"p{next(names)}", world, number, case, job, rng).run():
            world.check(case)
    world.check_end(case)
    return world
