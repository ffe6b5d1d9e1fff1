"""Whether a rule that learns finds the best arm for each context, and what it costs to find it.

python -m benchmarks.bandit [--decisions 40000] [--days 180] [--seed 1] [--drift] [--quick] [--json FILE]

Customers of three segments answer coupons of three face values in a way that the benchmark knows. Arms are drawn,
noted, followed and learned from by the code that runs live, day by day, each coupon for a week. Regret is what the arms
chosen were expected to bring less than the best arm of each segment; beside it stands that of an even split and that
of the one arm that is best for all. `--drift`: halfway through, two segments change their tastes.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from pathlib import Path
from random import Random

from msgspec import Struct

from alerts.triggers.arms import Arms
from alerts.triggers.gifts import Arm, Then
from alerts.triggers.receipts.receipt import decision_id
from alerts.triggers.rule import Rule
from alerts.triggers.trials import REDEEMED, Deed, chosen, follow
from benchmarks.house import out, progress
from brewline.results import circumstances, write_json
from features import events as e
from features.arms import decode_weights, weights_key
from features.course import Publishing
from features.job import Batch
from features.learning import LearningJob
from features.loop import Store, run
from features.record import Ledger
from features.times import DAY_MS
from features.trials import encode_trial

MARGIN_PERCENT, LEAST_SHARE = 60, 0.05  # as shipped
START_MS = 1_777_824_000_000
FACES = {"three": 300, "five": 500, "eight": 800}
ARMS = [Arm(name, coupon=name, face_value_cents=cents) for name, cents in FACES.items()]
RULE = Rule(
    id="winback",
    on=["order"],
    when="true",
    then=Then(arms=ARMS, choose="learn", context="rfm_segment"),
    cooldown="0s",
)


class Segment(Struct, frozen=True):
    """How customers answer: by arm, how likely they redeem; what their order costs at full price, on the whole."""

    redeem: dict[str, float]
    order_cents: int

    def expected_cents(self, arm: str) -> float:
        return self.redeem[arm] * (self.order_cents * MARGIN_PERCENT / 100 - FACES[arm])

    @property
    def best(self) -> str:
        return max(FACES, key=self.expected_cents)


TRUTH = {
    "champion": Segment({"three": 0.30, "five": 0.32, "eight": 0.34}, 2_400),
    "at risk": Segment({"three": 0.05, "five": 0.14, "eight": 0.17}, 1_800),
    "lost": Segment({"three": 0.01, "five": 0.03, "eight": 0.14}, 1_700),
}
CHANGED = {**TRUTH, "champion": TRUTH["at risk"], "at risk": TRUTH["champion"]}


class Found(Struct):
    """Cents that were expected of what was chosen, by who might have chosen; and how often it was the best."""

    decisions: int = 0
    oracle: float = 0.0
    learned: float = 0.0
    uniform: float = 0.0
    fixed: Counter[str] = Counter()
    late: Counter[str] = Counter()  # of the last quarter: by segment and arm

    def figures(self) -> dict[str, float | int]:
        late = sum(self.late.values())
        best = sum(count for name, count in self.late.items() if name.endswith("*"))
        return {
            "decisions": self.decisions,
            "regret_cents": round(self.oracle - self.learned),
            "regret_uniform_cents": round(self.oracle - self.uniform),
            "regret_best_fixed_cents": round(self.oracle - max(self.fixed.values())),
            "best_arm_share": round(best / late, 4) if late else 0.0,
        }


class Chain:
    """Customers, what is noted of them, and the learning job."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.arms = Arms([RULE], f"seed {seed}", LEAST_SHARE)
        self.ledgers: defaultdict[str, Ledger] = defaultdict(Ledger)
        self.job = LearningJob({}, Publishing(1, 1, 1), "alerts", "dead-letters")
        self.store = Store()
        self.answers: defaultdict[int, list[tuple[str, str, int]]] = defaultdict(list)  # by day

    def decide(self, day: int, customer: str, segment: str, truth: Segment) -> str:
        """The arm; what the customer will do about it is put down for its day."""
        at_ms = START_MS + day * DAY_MS
        given = self.arms.given(RULE, customer, segment)
        assert given.arm is not None
        decision = decision_id(RULE.id, customer, f"{day}")
        self.tell(chosen(RULE, given, decision, at_ms, self.ledgers[customer]))
        if self.rng.random() < truth.redeem[given.arm.name]:
            full_cents = round(truth.order_cents * self.rng.uniform(0.7, 1.3))
            self.answers[day + self.rng.randrange(1, 7)].append((customer, decision, full_cents))
        return given.arm.name

    def answer(self, day: int) -> None:
        at_ms = START_MS + day * DAY_MS
        self.hear([e.encode(e.Tick(id=f"{day}", at_ms=at_ms, source="0", of=1))])
        for customer, decision, full_cents in self.answers.pop(day, []):
            deed = Deed(0, 0, REDEEMED, at_ms, f"{decision}-r", decision, "", full_cents)
            self.tell(follow(deed, self.ledgers[customer], MARGIN_PERCENT))

    def tell(self, trials: object) -> None:
        self.hear([encode_trial(trial) for trial in trials])  # type: ignore[attr-defined]

    def hear(self, values: list[bytes]) -> None:
        first = self.store.position.offset + 1
        offsets = list(range(first, first + len(values)))
        run(self.job, [Batch("examples", 0, first - 1, offsets, values, [0] * len(values))], {0: self.store})

    def learn(self) -> None:
        if raw := self.store.records.get(weights_key(RULE.id)):
            self.arms.weights[RULE.id] = decode_weights(raw)


def play(decisions: int, days: int, seed: int, drift: bool = False, told: object = None) -> Found:
    chain, found = Chain(seed), Found(fixed=Counter(), late=Counter())
    segments = list(TRUTH)
    for number in range(decisions):
        day = number * days // decisions
        if not number or day != (number - 1) * days // decisions:
            chain.answer(day)
            chain.learn()
            if callable(told):
                told(number)
        customer = f"c{chain.rng.randrange(decisions * 2)}"
        segment = segments[int(customer[1:]) % len(segments)]
        truth = (CHANGED if drift and number * 2 >= decisions else TRUTH)[segment]
        arm = chain.decide(day, customer, segment, truth)
        found.decisions += 1
        found.oracle += truth.expected_cents(truth.best)
        found.learned += truth.expected_cents(arm)
        found.uniform += sum(map(truth.expected_cents, FACES)) / len(FACES)
        for name in FACES:
            found.fixed[name] += truth.expected_cents(name)  # type: ignore[assignment]
        if number * 4 >= decisions * 3:
            found.late[f"{segment}: {arm}{'*' if arm == truth.best else ''}"] += 1
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=40_000)
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--drift", action="store_true", help="tastes change halfway through")
    parser.add_argument("--quick", action="store_true", help="6,000 decisions in 90 days")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    decisions, days = (6_000, 90) if asked.quick else (asked.decisions, asked.days)
    with progress() as bar:
        task = bar.add_task("decisions", total=decisions)
        found = play(decisions, days, asked.seed, asked.drift, lambda done: bar.update(task, completed=done))
        bar.update(task, completed=decisions)
    figures = found.figures()
    for name, value in figures.items():
        out.print(f"{name.replace('_', ' ')}: {value:,}", highlight=False)
    for name, count in sorted(found.late.items()):
        out.print(f"  in the last quarter, {name} {count:,}", highlight=False)
    out.print(circumstances()["machine"], circumstances()["commit"], highlight=False)
    write_json(asked.json, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
