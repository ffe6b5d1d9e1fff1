"""Level, trend and covariates are learned from the hours, and a fault moves them little."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.kpis import structure
from alerts.kpis.expectation import _differs
from alerts.kpis.panel import Panel
from alerts.kpis.series import KPIS
from alerts.kpis.structure import CAMPAIGN, HOLIDAY, LEVEL, PARTS, RAIN, TREND

ORDERS, NOISE = 0, 0.01


def lived(logs: list[float], zs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the first series after hours with these logarithms."""
    mean, cov = structure.begin(1)
    shape = (len(KPIS), 1)
    for log, z in zip(logs, zs, strict=True):
        structure.step(mean, cov)
        expected, _ = structure.multiplier(mean, cov, z)
        strayed = np.exp(log - expected) - 1
        structure.learn(mean, cov, z, strayed, np.full(shape, NOISE), np.ones(shape, bool))
    return mean[ORDERS, 0], cov[ORDERS, 0]


def z(wet: float = 0.0, holiday: float = 0.0, campaign: float = 0.0) -> np.ndarray:
    return structure.covariates(np.array([wet]), holiday, campaign)


def noise(hours: int) -> np.ndarray:
    return np.random.default_rng(1).normal(0, NOISE**0.5, hours)


def test_a_steady_growth_is_expected_to_go_on() -> None:
    hours = 24 * 14
    logs = 0.05 / 24 * np.arange(hours) + noise(hours)
    mean, _ = lived(logs.tolist(), [z()] * hours)
    assert mean[LEVEL] == pytest.approx(logs[-48:].mean() + 0.05, abs=0.08)
    assert 0.01 < mean[TREND] < 0.06, "damped, so it lags"


@pytest.mark.parametrize("part", [RAIN, HOLIDAY, CAMPAIGN])
def test_what_a_covariate_does_is_learned_and_known_ever_better(part: int) -> None:
    hours = 24 * 14
    on = np.arange(hours) % 30 < 8
    zs = [z(*(float(flag) if part == each else 0.0 for each in (RAIN, HOLIDAY, CAMPAIGN))) for flag in on]
    mean, cov = lived((np.where(on, -0.5, 0.0) + noise(hours)).tolist(), zs)
    assert mean[part] == pytest.approx(-0.5, abs=0.08)
    assert cov[part, part] < structure.START[part] / 20


def test_an_unknown_campaign_widens_what_is_expected_and_does_not_move_it() -> None:
    mean, cov = structure.begin(1)
    log, variance = structure.multiplier(mean, cov, z())
    more, wider = structure.multiplier(mean, cov, z(campaign=1.0))
    assert log[ORDERS, 0] == more[ORDERS, 0] == 0
    assert wider[ORDERS, 0] == pytest.approx(variance[ORDERS, 0] + structure.START[CAMPAIGN])


def test_a_fault_of_two_hours_moves_the_level_little_and_a_lasting_change_moves_it_all() -> None:
    calm, hours = 24 * 10, 24 * 10
    before = noise(calm).tolist()
    fault, _ = lived([*before, -2.0, -2.0], [z()] * (calm + 2))
    assert abs(fault[LEVEL]) < 0.15
    lasting, _ = lived([*before, *(noise(hours) - 0.7)], [z()] * (calm + hours))
    assert lasting[LEVEL] == pytest.approx(-0.7, abs=0.1)


def test_the_covariance_stays_one() -> None:
    random = np.random.default_rng(3)
    zs = [z(*random.random(3).round().tolist()) for _ in range(500)]
    _, cov = lived(random.normal(0, 0.3, 500).tolist(), zs)
    assert cov == pytest.approx(cov.T)
    assert np.linalg.eigvalsh(cov).min() > -1e-9
    assert cov.shape == (PARTS, PARTS)


def test_a_store_that_is_closed_at_an_hour_when_all_others_are_open_is_not_held_to_be_open() -> None:
    panel = Panel("stores", 60, {})
    panel.add([f"store:{number}" for number in range(50)], [0] * 50, 0)
    panel.cell(3)[:, ORDERS] = 40
    panel.cell(3)[0, ORDERS, 0] = 0
    ratio, blur = _differs(panel, 3)
    assert ratio[ORDERS, 0] < 0.05
    assert ratio[ORDERS, 1:] == pytest.approx(1, abs=0.1)
    assert blur[ORDERS, 0] > 10 * blur[ORDERS, 1]
