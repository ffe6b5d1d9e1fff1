"""The compiled screen against a slow twin, and the p-values that follow from it."""

from __future__ import annotations

from math import isnan, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nbinom

from alerts.kpis.expectation import Rates
from alerts.kpis.learning import spread
from alerts.kpis.panel import Panel
from alerts.kpis.screen import (
    CALM,
    LEAST_CHANGE,
    LEAST_UNITS,
    MOST,
    SCREEN,
    SURE,
    expect,
    screen,
    shares_of,
    window_sums,
)
from alerts.kpis.series import (
    ALIVE_MINUTES,
    CONVERSION,
    KPIS,
    ORDERS,
    PLACE,
    SERIES,
    SHARES,
    TABLE,
    UNDER,
    WEIGHTS,
    WIDTH,
)
from alerts.kpis.verdict import Around, Rain, judge, miss

WINDOW = 30
WIDTHS = np.array([2, 10, WINDOW])


def twin(ring: np.ndarray, minute: int, rates: list[np.ndarray], blur: float, stray: float, w: int, k: int, d: int):
    """Seen, of, expected a unit, and whether that is far out, minute by minute in plain words."""
    minutes = range(minute - w + 1, minute + 1)
    counts = sum(ring[m % WINDOW, :, d] for m in minutes)
    kpi, this = KPIS[k], minute // 60
    mid = low = high = 0.0
    for m in minutes:
        before, now, after = (float(rate[k, d]) for rate in rates)
        if m // 60 < this:
            beside = own = before
            beside = now
        else:
            own, beside = now, before if m % 60 < 30 else after
        known = [r for r in (own, beside) if not isnan(r)] or [own]
        mid += (now if isnan(own) else own) / w
        low, high = low + min(known) / w, high + max(known) / w
    low, high = min(mid, low), max(mid, high)
    seen, of = float(max(0, counts[kpi.over])), float(w)
    if kpi.kind == "share":
        of = max(float(counts[kpi.under]), seen)
    elif kpi.kind == "amount":
        of = float(counts[kpi.under]) if seen > 0 and counts[kpi.under] > 0 else 0.0
        seen = of * log(seen / of) if of else 0.0
    if isnan(mid):
        return seen, of, mid, False
    side = -1 if seen < of * low else 1 if seen > of * high else 0
    at = {-1: low, 0: mid, 1: high}[side]
    if kpi.kind == "amount":
        sd = sqrt(of * stray + of * of * blur + 1e-12)
        matters = abs(seen - of * mid) >= LEAST_CHANGE[2] * of and of >= LEAST_UNITS
        enough = w == WINDOW or of >= SURE
    else:
        chance = of * at * (1 - at) if kpi.kind == "share" else of * at
        sd = sqrt(chance + (of * at) ** 2 * (stray + blur) + 1e-12)
        change = LEAST_CHANGE[1 if kpi.kind == "share" else 0]
        matters = abs(seen - of * mid) >= max(LEAST_UNITS, change * of * mid)
        enough = w == WINDOW or of * mid >= SURE
    if kpi.kind == "share" and UNDER[k - SHARES.start] >= 0:
        parent = UNDER[k - SHARES.start]
        former = 1 if isnan(float(rates[0][parent, d])) else 0
        rows = [float(rates[former if m // 60 < this else 1][parent, d]) for m in minutes]
        enough &= counts[kpi.under] >= max(seen, MOST * sum(rows))
    far = abs(seen - of * at) / sd >= SCREEN and side != 0 and matters and enough and w >= kpi.shortest
    far &= side != -kpi.harm and not (kpi.lasting and side > 0 and w < WINDOW)
    return seen, of, mid, far


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 59))
def test_the_screen_is_as_by_looking_at_each_minute(seed: int, place: int) -> None:
    random, minute, dims = np.random.default_rng(seed), 6_000 + place, 3
    ring = random.poisson(random.choice([0.1, 2, 30]), (WINDOW, WIDTH, dims))
    rates = [random.gamma(1, [[[0.3, 2, 20]]] * SERIES)[:, 0] for _ in range(3)]
    for rate in rates:
        rate[SHARES] = random.random((5, dims)) * 0.9 + 0.01
        rate[random.random(rate.shape) < 0.02] = np.nan if rate is not rates[1] else 0.5
    strays = random.random((3, SERIES, dims)) * 0.05
    blur = random.random((SERIES, dims)) * 0.02
    none, rest = np.zeros(strays.shape), np.full((SERIES, dims), 10_000)
    sums = window_sums(ring, minute, WIDTHS)
    still = np.zeros((2, *blur.shape))
    args = (blur, strays, none, rest, still, 60)
    seen, of, mid, _, _, _, far, _ = screen(sums, minute, WIDTHS, TABLE, rates[0], *rates, *args)
    for w, k, d in np.ndindex(strays.shape):
        expected = twin(ring, minute, rates, blur[k, d], strays[w, k, d], int(WIDTHS[w]), k, d)
        found = (seen[w, k, d], of[w, k, d], mid[w, k, d])
        assert found == pytest.approx(expected[:3], nan_ok=True), (w, KPIS[k].name)
        assert far[w, k, d] == expected[3], (w, KPIS[k].name)


@given(st.lists(st.floats(0.1, 10), min_size=4, max_size=4), st.integers(0, 14), st.integers(1, 30))
def test_a_window_over_three_quarters_expects_what_each_of_its_minutes_does(
    rates: list[float], place: int, width: int
) -> None:
    """Minutes of the quarters -2, -1, 0; a quarter's edge may lie in it or in the one it is next to."""
    quarters = [(place - back) // 15 for back in range(width)]
    own, beside = [rates[2 + q] for q in quarters], []
    for back, quarter in enumerate(quarters):
        late = quarter == 0 and place - back >= 7
        beside.append(rates[3] if late else rates[1] if quarter == 0 else rates[3 + quarter])
    mid, low, high = expect(*rates, shares_of(place, width, 15))
    assert mid == pytest.approx(sum(own) / width)
    assert low == pytest.approx(min(mid, sum(map(min, own, beside)) / width))
    assert high == pytest.approx(max(mid, sum(map(max, own, beside)) / width))


def quiet(orders: float, seen: list[int]) -> tuple[Panel, Around]:
    """A store with the last orders `seen`, where a rate of so many a minute is usual in all hours."""
    panel = Panel("stores", WINDOW, {})
    panel.add(["store:a"], [0], 0)
    for back, count in enumerate(reversed(seen)):
        panel.minute(6_059 - back)[0] = count
    rates = np.full((SERIES, 1), 0.5)
    rates[ORDERS] = orders
    one = Rates(rates, np.full((SERIES, 1), 0.001), rates, rates, rates)
    return panel, Around(one, one, one)


def judged(panel: Panel, around: Around, stray: float = 0.01):
    strays = np.full((3, SERIES, 1), stray)
    none = Rain(np.zeros(strays.shape), np.zeros(strays.shape))
    return judge(panel, 6_059, around, strays, window_sums(panel.ring, 6_059, WIDTHS), none).found


def test_the_p_value_is_that_of_the_rarest_window_times_the_number_of_tries() -> None:
    panel, around = quiet(20, [20] * 20 + [2] * 10)
    panel.course["ordered"][:] = panel.course["spoke"][:] = 6_059
    found, shape = judged(panel, around), 1 / 0.011
    tails = [2 * nbinom.cdf(seen, shape, shape / (shape + mean)) for seen, mean in ((4, 40), (20, 200), (420, 600))]
    assert found.window[ORDERS, 0] == 10
    assert found.p[ORDERS, 0] == pytest.approx(4 * min(tails), rel=1e-6)
    assert (found.side[ORDERS, 0], found.seen[ORDERS, 0], found.mean[ORDERS, 0]) == (-1, 20, 20)


def test_what_is_near_has_p_one_and_is_told_by_the_longest_window() -> None:
    panel, around = quiet(20, [19] * 30)
    panel.course["ordered"][:] = panel.course["spoke"][:] = 6_059
    found = judged(panel, around)
    assert (found.p[ORDERS, 0], found.window[ORDERS, 0]) == (1, WINDOW)
    assert found.recovers[ORDERS, 0] == (abs(190 - 200) / sqrt(200 + 200**2 * 0.011) < CALM)


@pytest.mark.parametrize(("before", "ended"), [([1] * 20, False), ([2] * 20, True)])
def test_few_orders_as_usual_end_nothing_where_as_many_might_come_if_it_went_on(before: list[int], ended: bool) -> None:
    panel, around = quiet(0.5, [*before, *[0, 1] * 5])
    panel.course["ordered"][:] = panel.course["spoke"][:] = 6_059
    found = judged(panel, around)
    assert bool(found.recovers[ORDERS, 0]) == ended


def silent(panel: Panel, around: Around, minutes: int) -> None:
    """Nothing came in the last minutes, something before."""
    panel.course["ordered"][:] = panel.course["spoke"][:] = 6_059 - minutes
    for minute in range(6_059 - minutes, 6_060):
        miss(panel, minute, around)


@pytest.mark.parametrize("minutes", [40, 130])
def test_how_rare_it_is_that_no_order_came_is_the_chance_of_none_among_all_that_were_missed(minutes: int) -> None:
    panel, around = quiet(0.4, [])
    silent(panel, around, minutes)
    shape = 1 / 0.011
    tail = nbinom.pmf(0, shape, shape / (shape + 0.4 * minutes))
    found = judged(panel, around)
    assert found.p[ORDERS, 0] == pytest.approx(4 * tail, rel=1e-6)
    assert (found.side[ORDERS, 0], found.seen[ORDERS, 0], found.window[ORDERS, 0]) == (-1, 0, minutes)


def test_hours_that_are_usual_without_orders_add_nothing_to_what_was_missed_and_take_it_away_in_the_end() -> None:
    panel, around = quiet(0.4, [])
    silent(panel, around, 100)
    assert panel.course["missed"][0, 0] == pytest.approx(40)
    _, nothing = quiet(0.0, [])
    miss(panel, 6_060, nothing)
    assert panel.course["missed"][0, 0] == 0


def test_silence_is_the_rarer_the_longer_it_lasts() -> None:
    panel, around = quiet(0.2, [])
    p = []
    for run in (10, 20, 40):
        silent(panel, around, run)
        p.append(judged(panel, around).p[ALIVE_MINUTES, 0])
    assert p[0] > p[1] > p[2]
    assert p[1] < 1e-4


def test_minutes_before_a_silence_ended_are_not_looked_at() -> None:
    panel, around = quiet(20, [0] * 25 + [20] * 5)
    panel.course["ordered"][:] = panel.course["spoke"][:] = 6_059
    assert judged(panel, around).p[ORDERS, 0] < 1e-6
    panel.course["back"][:] = 6_055
    assert judged(panel, around).p[ORDERS, 0] == 1


def converting(orders: int) -> float:
    """p of a conversion of so many orders among 20 visits a minute, where half of them are usual."""
    panel, around = quiet(0.5, [orders] * WINDOW)
    for minute in range(6_060 - WINDOW, 6_060):
        panel.minute(minute)[PLACE["visits"]] = 20
    panel.course["ordered"][:] = panel.course["spoke"][:] = 6_059
    return float(judged(panel, around).p[CONVERSION, 0])


def test_a_conversion_is_unusual_when_it_is_low_and_never_when_it_is_high() -> None:
    assert converting(1) < 1e-6
    assert converting(20) == 1


def test_more_orders_than_usual_count_in_the_longest_window_alone() -> None:
    panel, around = quiet(20, [20] * 26 + [60] * 4)
    panel.course["ordered"][:] = panel.course["spoke"][:] = 6_059
    assert judged(panel, around).p[ORDERS, 0] == 1
    panel, around = quiet(20, [40] * 30)
    panel.course["ordered"][:] = panel.course["spoke"][:] = 6_059
    assert judged(panel, around).p[ORDERS, 0] < 1e-6


def test_a_dimension_is_held_to_stray_as_those_of_its_kind_do() -> None:
    panel = Panel("roots", WINDOW, {})
    panel.add(["region:a", "region:b", "channel:c"], [-1] * 3, 0)
    former = spread(panel)[:, ORDERS]
    panel.learned["over"][:, ORDERS, 0] += 10
    panel.learned["under"][:, ORDERS, 0] += 50
    found = spread(panel)[:, ORDERS]
    assert (found[:, 0] > found[:, 1]).all()
    assert (found[:, 1] > former[:, 1]).all()
    assert found[:, 2] == pytest.approx(former[:, 2])


def test_weights_share_out_the_false_alerts_and_no_more() -> None:
    assert pytest.approx(1) == WEIGHTS.mean()
