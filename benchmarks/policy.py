"""Whether caps, cooldowns, exits, suppression, budgets, stock, customers' limits and holdout hold, whatever happens.

python -m benchmarks.policy [--cases 10000] [--seed 1] [--quick] [--json FILE]

Cases are random streams over random rules, limits and campaigns, decided by the job that runs live, on partitions in
memory that are killed between any two steps, misunderstood, repeated, passed by and set back. Then four real processes
share a small budget in a real Redis and are killed with -9. What was issued is counted anew by the letter.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from math import sqrt
from multiprocessing import get_context
from pathlib import Path
from random import Random

from msgspec import Struct, to_builtins

from benchmarks.house import out, progress
from benchmarks.recount import ASKED_BEFORE, overspent_cents, receipts, violations
from benchmarks.rivals import Outcome, run_rivals
from benchmarks.streams import Bench, random_case
from benchmarks.under_fire import play
from brewline.results import circumstances, write_json

CHUNK = 20
WORKERS = 2
bench: list[Bench] = []  # one for each worker process


class Found(Struct):
    cases: int = 0
    violations: list[str] = []
    overspent_cents: int = 0
    outcomes: Counter[str] = Counter()
    judged: int = 0  # customers who had a decision after consent
    held_out: int = 0  # of them
    expected: float = 0.0  # of them, by the share that each case holds out
    variance: float = 0.0

    def add(self, other: Found) -> None:
        self.cases += other.cases
        self.violations = self.violations + other.violations
        self.overspent_cents += other.overspent_cents
        self.outcomes = self.outcomes + other.outcomes
        self.judged += other.judged
        self.held_out += other.held_out
        self.expected += other.expected
        self.variance += other.variance

    def share_told(self) -> list[str]:
        """A line when the holdout's share is off by more than four deviations."""
        off = abs(self.held_out - self.expected) > 4 * sqrt(self.variance)
        return [f"{self.held_out} customers held out, expected {self.expected:.0f}"] if off else []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="random streams in memory")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="400 cases and a short fight")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    cases, events, kills = (min(asked.cases, 400), 1_000, 8) if asked.quick else (asked.cases, 5_000, 100)
    found = judge_cases(asked.seed, cases)
    fight = fight_over_one_budget(events, kills, asked.seed)
    told = [*found.violations, *found.share_told(), *fight.violations]
    figures = {
        "cases": found.cases,
        "violations": len(told),
        "budget_overspent": found.overspent_cents + max(0, fight.spent_cents - fight.budget_cents),
        "held_out": f"{found.held_out} of {found.judged} customers, {found.expected:.0f} expected",
        "outcomes": dict(found.outcomes.most_common()),
        "processes": {**to_builtins(fight), "violations": len(fight.violations)},
    }
    for name, value in {**figures, **circumstances()}.items():
        out.print(f"{name:>18}  {value}", highlight=False)
    for line in told[:20]:
        out.print(line, highlight=False, soft_wrap=True)
    write_json(asked.json, figures)
    return 1 if told else 0


def fight_over_one_budget(events: int, kills: int, seed: int) -> Outcome:
    bar = progress()
    bar.live.auto_refresh = False  # its thread would be forked with whatever lock it holds
    with tempfile.TemporaryDirectory() as folder, bar:
        task = bar.add_task("kill -9", total=kills)
        return run_rivals(Path(folder), events, kills, seed, lambda: bar.update(task, advance=1, refresh=True))


def judge_cases(seed: int, cases: int) -> Found:
    found = Found()
    parts = [(seed, start, min(start + CHUNK, cases)) for start in range(0, cases, CHUNK)]
    with get_context("fork").Pool(WORKERS) as pool, progress() as bar:
        task = bar.add_task("random streams", total=cases)
        for part in pool.imap_unordered(judge_part, parts):
            found.add(part)
            bar.update(task, advance=part.cases)
    return found


def judge_part(part: tuple[int, int, int]) -> Found:
    seed, start, stop = part
    if not bench:
        bench.append(Bench())
    found = Found()
    for number in range(start, stop):
        found.add(judge_case(Random(f"{seed}.{number}"), str(number)))
    return found


def judge_case(rng: Random, name: str) -> Found:
    case = random_case(rng, name)
    world = play(case, bench[0].set_up(case), rng)
    stores = [partition.store for partition in world.partitions]
    decisions = [receipt for store in stores for receipt in receipts(store.sent, "decisions")]
    told = [f"case {name}: {what}" for what in [*violations(case, stores), *world.broken]]
    outcomes = Counter(decision["outcome"] for decision in decisions)
    judged = {decision["customer"] for decision in decisions if decision["outcome"] not in ASKED_BEFORE}
    held_out = {decision["customer"] for decision in decisions if decision["outcome"] == "holdout"}
    share, number = case.policy.holdout, len(judged)
    expected = (number * share, number * share * (1 - share))
    return Found(1, told, overspent_cents(case, stores), outcomes, number, len(held_out), *expected)


if __name__ == "__main__":
    sys.exit(main())
