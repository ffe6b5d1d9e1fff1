"""Whether what is learned of coupons is true: who redeems them, and whom they make order who would not have.

python -m benchmarks.coupon_models [--customers 3000] [--days 120] [--seed 1] [--quick] [--json FILE]

Customers of three kinds view the menu or fill a cart. Two rules answer with coupons of different worth; some customers
are held out of both. The benchmark knows how likely each kind orders within two days, by how much a coupon raises that,
and how many of those who order redeem it. Decisions, trials, examples, models and scores are made by the code that runs
live, day by day. Scores are those that decisions had, before anything was known of what came of them; the last half of
the days counts. Beside each figure stands what would be had by whoever knew the law.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from alerts.triggers.condition import over_catalog
from alerts.triggers.decide import Decider
from alerts.triggers.gifts import Then
from alerts.triggers.job import CustomersJob
from alerts.triggers.offered import first_of, offer_of
from alerts.triggers.policy import Policy
from alerts.triggers.rule import Rule
from benchmarks.decisions import decisions_in
from benchmarks.house import out, progress
from brewline.arms import arm_row
from brewline.results import circumstances, write_json
from config import settings as conf
from features import events as e
from features.arms import decode_totals
from features.course import Publishing, subjects
from features.intervals import Interval
from features.job import Batch, Job, Message
from features.labels import NO_LABELS
from features.learning import LearningJob
from features.loop import Store, run
from features.models import input_layouts
from features.scoring import scored
from features.times import DAY_MS, HOUR_MS
from features.trials import HOLDOUT, START, Trial, decode_trial, trials_key
from features.versions import champion
from flows.files import load_catalog

START_MS = 1_777_824_000_000
HELD_OUT = 0.2
PAST_DAYS = 60  # of orders before the first coupon
BATCH = 20  # messages that learning reads at once
Floats = npt.NDArray[np.float64]
RULES = [
    Rule("tea", "true", Then("TEA", 200, valid="2d"), "3d", on=["view"], group="one", capped=False),
    Rule("cake", "true", Then("CAKE", 900, valid="2d"), "3d", on=["cart_add"], group="one", capped=False),
]


class Kind(Struct, frozen=True):
    """How customers live: orders in sixty days before; how likely they order within two days, and by how much more with
    a coupon, by rule."""

    orders: int
    order: float
    raised: dict[str, float]

    def redeem(self, rule: str) -> float:
        """All whom the coupon brought, and most of those who would have come."""
        return self.raised[rule] + self.order * 0.8


KINDS = [
    Kind(2, 0.05, {"tea": 0.04, "cake": 0.35}),
    Kind(8, 0.20, {"tea": 0.03, "cake": 0.12}),
    Kind(24, 0.60, {"tea": 0.00, "cake": 0.02}),
]


class Seen(Struct):
    """A decision as it was scored, and what came of it."""

    rule: str
    kind: int
    nothing: bool
    propensity: float
    uplift: float
    redeemed: bool = False
    ordered: bool = False


OFFERS = {rule.id: offer_of(rule, first_of(rule)) for rule in RULES}


class Chain:
    """Customers, the customers job, the learning job, and what passes between them."""

    def __init__(self, customers: int, seed: int) -> None:
        settings = conf.load(environ={})
        self.catalog = load_catalog(settings)
        self.rng = Random(seed)
        conditions = over_catalog([(rule, f"{rule.id}.toml", "") for rule in RULES], self.catalog)
        policy = Policy(9, DAY_MS, HELD_OUT, f"seed {seed}", "")
        self.decider = Decider(self.catalog, conditions, policy, "coupons", "decisions")
        self.layouts = input_layouts(self.catalog)
        self.customers = CustomersJob(self.catalog, self.decider, NO_LABELS, "examples", "dead-letters")
        self.learning = LearningJob(subjects(self.catalog), Publishing(200, 200, 2), "alerts", "dead-letters")
        self.stores = {"customers": Store(), "learning": Store()}
        self.kinds = {f"c{n}": n % len(KINDS) for n in range(customers)}
        self.coming: defaultdict[int, list[e.Event]] = defaultdict(list)
        self.seen: dict[str, Seen] = {}
        for customer, kind in self.kinds.items():
            for number in range(KINDS[kind].orders):
                at_ms = START_MS - round(self.rng.uniform(0.1, PAST_DAYS) * DAY_MS)
                self.coming[-1].append(self.event(e.Order, f"{customer}-{number}", customer, at_ms))

    def event(self, kind: type[e.Event], id: str, customer: str, at_ms: int, **more: object) -> e.Event:
        if kind is e.Order:
            more |= {"lines": [e.Line("tea")], "total_cents": 1_800}
        elif kind is e.CartAdd:
            more["sku"] = "cake"
        return kind(id=id, customer=customer, at_ms=at_ms, tz="UTC", **more)  # type: ignore[arg-type]

    def live(self, day: int, share: float = 0.1) -> None:
        """A day: what customers do of themselves, and what was to come of coupons; then what is learned by its end."""
        for customer in self.kinds if day >= 0 else ():
            if self.rng.random() < share:
                kind = self.rng.choice((e.View, e.CartAdd))
                at_ms = START_MS + day * DAY_MS + self.rng.randrange(DAY_MS)
                self.coming[day].append(self.event(kind, f"{customer}-{day}", customer, at_ms))
        log = sorted(self.coming.pop(day, []), key=lambda event: (event.at_ms, event.id))
        told = self.through("customers", self.customers, [e.encode(event) for event in log])
        values = [message.value for message in told if message.topic == "examples"]
        who = {one["decision"]: one["customer"] for one in decisions_of(told)}
        for trial in (decode_trial(value) for value in values if value.startswith(START)):
            if trial.revision:
                self.seen[trial.decision].ordered, self.seen[trial.decision].redeemed = trial.ordered, trial.redeemed
            else:
                self.answer(trial, who[trial.decision], day + 1)
        values.append(e.encode(e.Tick(id=f"{day}", at_ms=START_MS + (day + 1) * DAY_MS, source="0", of=1)))
        for start in range(0, len(values), BATCH):
            back = self.through("learning", self.learning, values[start : start + BATCH])
            self.through("learning", self.learning, [message.value for message in back])
        self.refresh()

    def through(self, name: str, job: Job, values: list[bytes]) -> list[Message]:
        """What a flow sends on these records."""
        store = self.stores[name]
        first, before = store.position.offset + 1, len(store.sent)
        if values:
            offsets = list(range(first, first + len(values)))
            run(job, [Batch("examples", 0, first - 1, offsets, values, [0] * len(values))], {0: store})
        return store.sent[before:]

    def refresh(self) -> None:
        for name in ("propensity", "uplift"):
            if model := champion(name, self.layouts[name], self.stores["learning"].records):
                self.decider.models[name] = model

    def answer(self, trial: Trial, customer: str, next_day: int) -> None:
        """By the law; the same decision is always answered alike."""
        rng, kind, gets = Random(trial.decision), self.kinds[customer], not trial.nothing
        truth = KINDS[kind]
        chance = truth.order + (truth.raised[trial.rule] if gets else 0.0)
        self.seen[trial.decision] = Seen(trial.rule, kind, trial.nothing, *self.scores(trial))
        if rng.random() >= chance:
            return
        at_ms, order = trial.at_ms + round(rng.uniform(1, 47) * HOUR_MS), f"{trial.decision}-o"
        coming = self.coming[max(next_day, (at_ms - START_MS) // DAY_MS)]
        coming.append(self.event(e.Order, order, customer, at_ms))
        if gets and rng.random() < truth.redeem(trial.rule) / chance:
            used = {"coupon": trial.decision, "order": order}
            coming.append(self.event(e.CouponRedeemed, f"{trial.decision}-r", customer, at_ms, **used))

    def scores(self, trial: Trial) -> tuple[float, float]:
        """By the models that were there when it was decided; NaN before there were any."""
        offer, found = OFFERS[trial.rule], {}
        for name in ("propensity", "uplift"):
            model, known = self.decider.models.get(name), trial.scored.get(name)
            if model is None or known is None:
                found[name] = float("nan")
                continue
            rows = np.array([known.row[: len(self.catalog.models[name])]], dtype=np.float64)
            found[name] = float(scored(model, known.target, rows, offer)[0][0])
        return found["propensity"], found["uplift"]


def decisions_of(messages: list[Message]) -> list[dict[str, str]]:
    return [told for message in messages if message.topic == "decisions" for told in decisions_in(message.value)]


def play(customers: int, days: int, seed: int, told: Callable[[int], None] = lambda _: None) -> Chain:
    chain = Chain(customers, seed)
    for day in range(-1, days):
        chain.live(day)
        told(day + 1)
    return chain


def figures_of(chain: Chain) -> dict[str, float | int]:
    """Of the second half of the decisions."""
    seen = list(chain.seen.values())
    late = seen[len(seen) // 2 :]
    given = [one for one in late if one.propensity == one.propensity]
    law = np.array([KINDS[one.kind].redeem(one.rule) for one in given])
    found, labels = np.array([one.propensity for one in given]), np.array([one.redeemed for one in given])
    tried = [one for one in late if one.uplift == one.uplift]
    raised = np.array([KINDS[one.kind].raised[one.rule] for one in tried])
    foretold = np.array([one.uplift for one in tried])
    return {
        "decisions": len(seen),
        "redeemed_share": round(float(labels.mean()), 4),
        "propensity_auc": round(auc(found, labels), 4),
        "propensity_auc_of_the_law": round(auc(law, labels), 4),
        "propensity_log_loss": round(log_loss(found, labels), 4),
        "propensity_log_loss_of_the_law": round(log_loss(law, labels), 4),
        "propensity_log_loss_of_the_share": round(log_loss(np.full(len(labels), labels.mean()), labels), 4),
        "propensity_calibration_error": round(calibration_error(found, labels), 4),
        "uplift_mean": round(float(foretold.mean()), 4),
        "uplift_mean_of_the_law": round(float(raised.mean()), 4),
        "uplift_error": round(float(np.abs(foretold - raised).mean()), 4),
        "uplift_error_of_one_for_all": round(float(np.abs(raised.mean() - raised).mean()), 4),
        "uplift_correlation": round(float(np.corrcoef(foretold, raised)[0, 1]), 4) if raised.any() else 0.0,
    }


def auc(scores: Floats, labels: npt.NDArray[np.bool_]) -> float:
    """How often somebody who did is put before somebody who did not; half of the ties."""
    order = np.argsort(scores, kind="stable")
    _, place, counts = np.unique(scores[order], return_inverse=True, return_counts=True)
    ranks = np.empty(len(scores))
    ranks[order] = (np.cumsum(counts) - (counts - 1) / 2)[place]
    yes = int(labels.sum())
    return float((ranks[labels].sum() - yes * (yes + 1) / 2) / (yes * (len(labels) - yes)))


def log_loss(scores: Floats, labels: npt.NDArray[np.bool_]) -> float:
    right = np.clip(np.where(labels, scores, 1 - scores), 1e-6, 1)
    return float(-np.log(right).mean())


def calibration_error(scores: Floats, labels: npt.NDArray[np.bool_], tenths: int = 10) -> float:
    """By tenths of the scores: how far the mean score is from the share, on the mean."""
    parts = np.array_split(np.argsort(scores, kind="stable"), tenths)
    return float(np.mean([abs(scores[part].mean() - labels[part].mean()) for part in parts]))


def lifts(chain: Chain) -> dict[str, tuple[float, Interval, float]]:
    """By rule: the lift over those held out, its interval, and what the law says of those who were tried."""
    found = {}
    for rule in RULES:
        totals = decode_totals(chain.stores["learning"].records[trials_key(rule.id)])
        row = arm_row(totals.contexts[""][""], totals.contexts[""][HOLDOUT])
        given = [KINDS[one.kind].raised[rule.id] for one in chain.seen.values() if one.rule == rule.id]
        found[rule.id] = (row["lift"], row["lift_interval"], float(np.mean(given)))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=3_000)
    parser.add_argument("--days", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="900 customers for 60 days")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    customers, days = (900, 60) if asked.quick else (asked.customers, asked.days)
    with progress() as bar:
        task = bar.add_task("days", total=days)
        chain = play(customers, days, asked.seed, lambda done: bar.update(task, completed=done))
    figures: dict[str, float | int] = figures_of(chain)
    for rule, (lift, (low, high), law) in lifts(chain).items():
        figures |= {f"lift_{rule}": round(lift, 4), f"lift_{rule}_of_the_law": round(law, 4)}
        figures |= {f"lift_{rule}_low": round(low, 4), f"lift_{rule}_high": round(high, 4)}
    for name, value in figures.items():
        out.print(f"{name.replace('_', ' ')}: {value:,}", highlight=False)
    out.print(circumstances()["machine"], circumstances()["commit"], highlight=False)
    write_json(asked.json, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
