"""A model that learns from rows that customers' records keep foretells more churn the longer a customer is silent."""

from __future__ import annotations

import numpy as np
import pytest

from features import events as e
from features.customer import Core, Label
from features.job import Batch, Clock
from features.kernel.arrays import A_WHILE, KNOWN, LABEL, SCORED, WHO
from features.models import Learned, Learner, score
from features.times import DAY_MS, parse_time
from tests.alerts.triggers.jobs import CATALOG, encoded

START_MS = parse_time("2026-05-04T12:00:00Z")
INPUTS = ["days_since_order", "orders_lifetime"]
HORIZON, DAYS, LEAVE = 20, 200, 0.1  # days; days; the chance that a visit is the last one
COLUMNS = [CATALOG.index(name) for name in INPUTS]


def lives(people: int, seed: int = 5) -> list[e.Event]:
    """Each comes every week or so, until a visit is the last one; the clock moves daily."""
    rng, orders = np.random.default_rng(seed), list[tuple[float, int]]()
    for who in range(people):
        day, stays = rng.uniform(0, 60), True
        while day < DAYS and stays:
            orders.append((day, who))
            day, stays = day + 1 + rng.exponential(6), rng.random() > LEAVE
    common = {"day": 1, "tz": "UTC", "lines": [e.Line("tea")], "total_cents": 500}
    log: list[tuple[float, e.Event]] = [
        (day, e.Order(id=f"{day}-{who}", customer=f"c{who}", at_ms=START_MS + int(day * DAY_MS), **common))
        for day, who in orders
    ]
    for day in range(DAYS + 2 * HORIZON):
        log.append((day, e.Tick(id=f"t{day}", at_ms=START_MS + day * DAY_MS, source="pos/0", of=1)))
    return [event for _, event in sorted(log, key=lambda one: one[0])]


@pytest.fixture(scope="module")
def told() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows in the order in which they were told, their labels, and which are of orders."""
    core, log = Core(CATALOG, label=Label(COLUMNS, [(HORIZON * DAY_MS, A_WHILE)])), lives(300)
    batch = Batch("events", 0, -1, [*range(len(log))], encoded(log), [0] * len(log))
    applied = core.apply(core.columns(batch, Clock()), [], {})
    ordered = {(event.customer, event.at_ms) for event in log if isinstance(event, e.Order)}
    order = np.argsort(applied.labelled[:, KNOWN], kind="stable")
    rows = applied.labelled[order]
    of_order = np.array([(applied.customers[row[WHO]], int(row[SCORED])) in ordered for row in rows])
    return applied.inputs[order], (rows[:, LABEL] >= HORIZON * DAY_MS).astype(np.float64), of_order


def risks(rows: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> list[float]:
    learner = Learner("churn", INPUTS, "", Learned())
    for start in range(0, len(labels), 100):
        learner.learn(rows[start : start + 100], labels[start : start + 100])
    return score(learner.publish(), asked).tolist()


def test_the_longer_the_silence_the_higher_the_risk_as_the_law_of_the_customers_says(told) -> None:
    rows, labels, _ = told
    asked = np.array([[days, 8.0] for days in (0.0, 7.0, 14.0, 21.0)])
    found = risks(rows, labels, asked)
    stays = [(1 - LEAVE) * np.exp(-max(days - 1, 0) / 6) for days in asked[:, 0]]
    came = [1 - np.exp(-(HORIZON - max(1 - days, 0)) / 6) for days in asked[:, 0]]
    law = [1 - some / (some + LEAVE) * soon for some, soon in zip(stays, came, strict=True)]
    assert found == sorted(found)
    assert np.abs(np.subtract(found, law)).max() < 0.2
    assert found[3] - found[0] > 0.4


def test_rows_of_orders_alone_teach_nothing_of_silence(told) -> None:
    rows, labels, of_order = told
    assert 0.2 < of_order.mean() < 0.8
    assert (rows[of_order, 0] == 0).all()
    assert len(set(risks(rows[of_order], labels[of_order], np.array([[0.0, 8], [21.0, 8]])))) == 1
