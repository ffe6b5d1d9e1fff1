"""The detector for any single metric: exact, causal, the same after a restart, and it finds what is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from alerts.metric import detector
from alerts.metric.detector import Settings, State, alerts, begin, decode, encode, rarities, scores, step
from alerts.metric.kernel import VIEWS
from tests.oracle_metric import rarities as slow_rarities

Floats = NDArray[np.float64]
SMALL = Settings(
    history=40,
    lags=(2, 4, 7),
    apart=5,
    short=3,
    long=8,
    residuals=5,
    slots_of_day=6,
    half_life=30.0,
    least_seen=10,
    hold=5,
)
STEP_MS, DAY = 300_000, 288  # points
DAYS = 14


def times(count: int, step_ms: int = STEP_MS) -> NDArray[np.int64]:
    return np.arange(count) * step_ms + 1_700_000_000_000


def told(values: Floats, shape: Settings = SMALL, step_ms: int = 7_200_000) -> Floats:
    return rarities(begin(shape), times(len(values), step_ms), values)


def wandering(seed: int, count: int) -> Floats:
    """Whole numbers, so that rounding to units is exact."""
    rng = np.random.default_rng(seed)
    jumps = rng.choice([-40, 0, 0, 0, 3, 500], count) * (rng.random(count) < 0.05)
    return np.round(np.cumsum(jumps + rng.normal(0, 2, count))) + rng.integers(-9, 9, count)


def teashop(seed: int = 1) -> Floats:
    """Orders every five minutes: a day's rhythm and noise."""
    rng, hour = np.random.default_rng(seed), np.arange(DAYS * DAY) % DAY / 12
    return 100 + 60 * np.sin((hour - 6) / 24 * 2 * np.pi) + rng.normal(0, 6, DAYS * DAY)


@pytest.mark.parametrize("seed", range(2))
def test_each_view_is_what_its_slow_definition_says(seed: int) -> None:
    values = wandering(seed, 170)
    expected = slow_rarities(SMALL, times(170, 7_200_000).tolist(), values.tolist())
    assert told(values)[:, :VIEWS] == pytest.approx(np.array(expected), abs=1e-7)


def test_the_second_scale_is_the_arcsinh_of_ten_times_the_value_over_the_first() -> None:
    values = wandering(9, 1500) + 700
    assert np.array_equal(told(values)[:, VIEWS:], told(np.arcsinh(10 * (values / values[0])))[:, :VIEWS])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_restart_anywhere_changes_nothing(data: st.DataObject) -> None:
    kinds = st.floats(-1e6, 1e6) | st.just(math.nan) | st.sampled_from([0.0, 1e-9, 1e12, -3e15])
    values = np.array(data.draw(st.lists(kinds, min_size=2, max_size=120)))
    cut = data.draw(st.integers(0, len(values)))
    whole, before = begin(SMALL), begin(SMALL)
    expected = rarities(whole, times(len(values)), values)
    first = rarities(before, times(cut), values[:cut])
    fired = alerts(before, first)
    after = decode(encode(before), SMALL)
    rest = rarities(after, times(len(values))[cut:], values[cut:])
    assert np.array_equal(np.concatenate([first, rest]), expected, equal_nan=True)
    assert np.array_equal(np.concatenate([fired, alerts(after, rest)]), alerts(whole, expected))
    assert encode(after) == encode(whole)


@pytest.mark.parametrize("cut", [1, 1023, 1025, 2100])
def test_a_restart_changes_nothing_where_the_ring_has_moved(cut: int) -> None:
    values = wandering(3, 2400) * 1.37
    before = begin(SMALL)
    rarities(before, times(cut), values[:cut])
    rest = rarities(decode(encode(before), SMALL), times(2400)[cut:], values[cut:])
    assert np.array_equal(rest, rarities(begin(SMALL), times(2400), values)[cut:])


def test_a_state_as_shipped_goes_on_after_a_restart_and_is_small() -> None:
    values, at_ms = teashop()[:3000], times(3000)
    before = begin()
    rarities(before, at_ms[:2500], values[:2500])
    stored = encode(before)
    assert len(stored) < 100_000
    rest = rarities(decode(stored), at_ms[2500:], values[2500:])
    assert np.array_equal(rest, rarities(begin(), at_ms, values)[2500:])


def test_a_state_of_another_version_or_size_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    known = begin(SMALL)
    rarities(known, times(50), wandering(1, 50))
    assert encode(decode(encode(known), SMALL)) != encode(begin(SMALL))
    assert encode(decode(encode(known))) == encode(begin())
    stored = encode(known)
    monkeypatch.setattr(detector, "VERSION", detector.VERSION + 1)
    assert encode(decode(stored, SMALL)) == encode(begin(SMALL))


@given(st.integers(0, 2**32 - 1), st.integers(1, 199))
@settings(max_examples=30, deadline=None)
def test_what_comes_later_changes_no_score(seed: int, cut: int) -> None:
    values = wandering(seed, 200)
    other = np.concatenate([values[:cut], wandering(seed + 1, 200 - cut) * 1e6])
    assert np.array_equal(told(values)[:cut], told(other)[:cut])


def test_one_by_one_is_as_all_at_once() -> None:
    values, whole, single = wandering(5, 150), begin(SMALL), begin(SMALL)
    rare = rarities(whole, times(150), values)
    at_once = list(zip(scores(whole, rare).tolist(), alerts(whole, rare).tolist(), strict=True))
    found = [step(single, at_ms, value) for at_ms, value in zip(times(150).tolist(), values.tolist(), strict=True)]
    assert [(one.value, one.alert) for one in found] == at_once
    assert any(fired for _, fired in at_once)


@pytest.mark.parametrize("factor", [2.0**-9, 2.0**20])
def test_a_unit_twice_as_large_gives_the_same_scores(factor: float) -> None:
    values = wandering(6, 1500)
    assert told(values) == pytest.approx(told(values * factor), abs=1e-9)


def test_any_other_unit_gives_the_same_alerts() -> None:
    values = broken(teashop(), "shift")
    state, other = begin(), begin()
    mine = alerts(state, rarities(state, times(len(values)), values))
    theirs = alerts(other, rarities(other, times(len(values)), values * 0.0137))
    assert np.array_equal(mine, theirs)
    assert mine.any()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(), max_size=60), st.lists(st.integers(-(2**53), 2**53), min_size=60, max_size=60))
def test_whatever_comes_a_score_is_between_0_and_1_or_missing(values: list[float], at_ms: list[int]) -> None:
    state = begin(Settings(history=20, lags=(1, 2, 3), long=4, least_seen=3))
    found = [step(state, at, value) for at, value in zip(at_ms, values, strict=False)]
    assert all(0 <= one.value <= 1 for one in found)
    assert [one.missing for one in found] == [not math.isfinite(value) for value in values]


def test_what_is_missing_is_not_learned_and_changes_no_other_score() -> None:
    values, at_ms = wandering(7, 200), times(200)
    holes = np.isin(np.arange(200), [0, 5, 77, 78, 79, 199])
    with_holes = rarities(begin(SMALL), at_ms, np.where(holes, np.nan, values))
    without = rarities(begin(SMALL), at_ms[~holes], values[~holes])
    assert np.isnan(with_holes[holes]).all()
    assert np.array_equal(with_holes[~holes], without)
    assert step(begin(), 0, None).missing


def test_repeated_and_turned_back_times_are_values_like_others() -> None:
    """As an hour that the clock has twice: no score but those of the time of day depends on it."""
    values, at_ms = wandering(8, 300), times(300, 7_200_000)
    back = np.where(np.arange(300) >= 150, at_ms - 3 * 7_200_000, at_ms)
    found, other = rarities(begin(SMALL), back, values), rarities(begin(SMALL), at_ms, values)
    shapes = [view for view in range(2 * VIEWS) if view % VIEWS < 6]
    assert np.array_equal(found[:, shapes], other[:, shapes])
    assert np.isfinite(found).all()


WRONG_FROM = 11 * DAY + 100


def broken(values: Floats, how: str) -> Floats:
    found = values.copy()
    there = slice(WRONG_FROM, WRONG_FROM + 90)
    if how == "spike":
        found[WRONG_FROM : WRONG_FROM + 3] += 150
    elif how == "shift":
        found[WRONG_FROM:] += 90
    elif how == "stuck":  # at what is usual at noon
        found[WRONG_FROM:] = 160
    elif how == "outage":
        found[there] = 0
    elif how == "rhythm":
        found[there] = 100 + 60 * np.sin(np.arange(90) / 3)
    return found


def fired(values: Floats, state: State | None = None) -> list[int]:
    state = state or begin()
    return np.flatnonzero(alerts(state, rarities(state, times(len(values)), values))).tolist()


@pytest.mark.parametrize(("how", "within"), [("spike", 3), ("shift", 6), ("outage", 6), ("stuck", 150), ("rhythm", 60)])
def test_what_goes_wrong_is_found(how: str, within: int) -> None:
    before = fired(teashop()[:WRONG_FROM])
    new = [row for row in fired(broken(teashop(), how)) if row not in before]
    assert new, "no alert"
    assert WRONG_FROM <= new[0] < WRONG_FROM + within


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_quiet(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for values in (rng.normal(50, 5, 4000), teashop(seed), rng.exponential(3, 4000)):
        assert len([row for row in fired(values) if row > 750]) <= 5


def test_what_never_moves_is_quiet_until_it_does() -> None:
    values = np.full(2000, 7.0)
    values[1500] = 7.5
    assert fired(values)[:1] == [1500]


def test_an_alert_names_the_views_in_which_it_is_rarest() -> None:
    state, values = begin(), broken(teashop(), "spike")
    rarities(state, times(WRONG_FROM), values[:WRONG_FROM])
    found = step(state, int(times(WRONG_FROM + 1)[-1]), float(values[WRONG_FROM]))
    assert found.alert
    assert {"level", "time of day"} <= set(found.why)
    assert "long mean" not in found.why


def test_alerts_keep_apart_and_ask_for_more_each_time() -> None:
    surprise = np.zeros(400)
    surprise[100:] = 1.15
    shape = Settings(threshold=1.0, hold=20, rise=0.1, boost=0.0)
    state = begin(shape)
    assert np.flatnonzero(alerts(state, surprise[:, None])).tolist() == [100, 121]  # a third asks for 1.2
    assert not alerts(begin(shape), np.full((50, 1), np.nan)).any()


def test_what_is_surprising_just_after_an_alert_must_surpass_it() -> None:
    surprise = np.zeros(200)
    surprise[[50, 75, 100]] = [3.0, 2.0, 3.9]
    shape = Settings(threshold=1.0, hold=20, rise=0.0, boost=1.0, fade=35.0)
    assert np.flatnonzero(alerts(begin(shape), surprise[:, None])).tolist() == [50, 100]
