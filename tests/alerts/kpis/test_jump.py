"""The latest minutes of the chain against those before them, and against what is usual."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.kpis.book import Book, Judging
from alerts.kpis.expectation import Rates
from alerts.kpis.jump import EVEN, learn_quarters, quarter_rates
from alerts.kpis.panel import FIRING, JUMPS, QUARTER, ROOTS, SHORT, Panel, pack, unpack
from alerts.kpis.seasons import Seasons
from alerts.kpis.series import AOV, ORDERS, PLACE, REDEMPTIONS, SERIES, SHARES
from alerts.kpis.verdict import Look

MINUTE, RATE = 6_059, 100  # the last of an hour
LATE = SERIES - 2
Minutes = list[int]


def usual() -> Rates:
    mean = np.full((SERIES, 1), float(RATE))
    mean[SHARES], mean[AOV] = 0.05, 7.0
    return Rates(mean, np.full((SERIES, 1), 1e-4), mean, mean, mean)


def book(**counts: Minutes) -> Book:
    """Of a chain where so much a minute is usual in all hours, with what it counted in the last one."""
    found = Book({}, Judging(), {}, Seasons())
    found.welcome(["chain:*"], 0)
    found.known.update({(ROOTS, hour): usual() for hour in range(98, 104)})
    panel = found.roots
    panel.learned["quarters"][...] = 10_000.0
    panel.learned["jumped"][0], panel.learned["jumped"][1] = 0.25, 100.0  # so far chains stray, after many windows
    for name, minutes in counts.items():
        for back, count in enumerate(reversed(minutes)):
            panel.minute(MINUTE - back)[PLACE[name]] = count
    panel.course["ordered"][:] = panel.course["spoke"][:] = MINUTE
    return found


def looked(of: Book) -> Look:
    return of.look(of.roots, MINUTE)


def test_what_falls_within_minutes_is_unusual_though_the_day_is_a_good_one() -> None:
    fallen = [130] * 57 + [55] * 3
    found = looked(book(orders=fallen)).found
    assert found.p[ORDERS, 0] < 1e-6
    assert found.window[ORDERS, 0] in JUMPS
    blind = book(orders=fallen)
    blind.roots.jumps = ()
    assert looked(blind).found.p[ORDERS, 0] > 1e-3


@pytest.mark.parametrize("level", [65, 100, 150])
def test_a_day_that_is_good_or_bad_from_one_minute_to_the_next_alike_is_not(level: int) -> None:
    look = looked(book(orders=[level] * 60))
    assert look.jumped is not None
    assert not look.jumped.far[:, ORDERS].any()


def test_what_comes_back_to_usual_is_not_more_than_usual() -> None:
    look = looked(book(redemptions=[30] * 57 + [100] * 3))
    assert look.jumped is not None
    assert look.ran is not None
    assert look.ran.log[REDEMPTIONS, 0] < -0.5
    assert not look.jumped.far[:, REDEMPTIONS].any()
    assert looked(book(redemptions=[100] * 57 + [300] * 3)).found.p[REDEMPTIONS, 0] < 1e-6


@pytest.mark.parametrize(
    ("latest", "unusual"), [([200] * 15, False), ([100] * 15, False), ([200] * 12 + [40] * 3, True)]
)
def test_neither_what_rates_foresee_nor_what_goes_on_as_it_was_is_unusual(latest: Minutes, unusual: bool) -> None:
    """The rates foresee twice as many in this quarter as in the one before."""
    one = book(orders=[100] * 45 + latest)
    one.roots.learned["quarters"][0, :, MINUTE // QUARTER % 96] *= 2
    look = looked(one)
    assert look.jumped is not None
    assert look.jumped.far[:, ORDERS].any() == unusual


@pytest.mark.parametrize(("latest", "unusual"), [(110, False), (70, True)])
def test_what_falls_when_a_rise_is_due_is_unusual_and_a_rise_that_does_not_come_is_not(
    latest: int, unusual: bool
) -> None:
    """The rates foresee a third more in this hour than in the one before."""
    one = book(orders=[100] * 55 + [latest] * 5)
    risen = usual()
    one.known.update({(ROOTS, hour): risen._replace(mean=risen.mean * 1.35) for hour in (101, 102)})
    one.known[ROOTS, 100] = risen._replace(mean=risen.mean * 1.35)
    one.roots.learned["quarters"][0, :, [MINUTE // QUARTER % 96 - back for back in (1, 2, 3)]] /= 1.35
    look = looked(one)
    assert look.jumped is not None
    assert look.jumped.far[:, ORDERS].any() == unusual


def test_many_late_deliveries_are_enough_though_few_were_expected() -> None:
    found = looked(book(promised=[20] * 60, late_deliveries=[1] * 58 + [12] * 2)).found
    assert found.p[LATE, 0] < 1e-6
    assert found.window[LATE, 0] <= SHORT[0]


def test_ten_that_are_seen_of_a_share_are_enough_in_a_chain_that_sells_little() -> None:
    found = looked(book(promised=[2] * 60, late_deliveries=[0] * 54 + [2] * 6)).found
    assert found.p[LATE, 0] < 1e-6
    assert looked(book(promised=[2] * 60, late_deliveries=[0] * 56 + [2] * 4)).found.window[LATE, 0] == 60


def test_where_none_came_before_none_is_what_goes_on_though_many_were_foreseen() -> None:
    look = looked(book(orders=[0] * 60))
    assert look.jumped is not None
    assert not look.jumped.far[:, ORDERS].any()


def test_a_fall_by_half_of_what_is_rare_is_seen_in_half_an_hour() -> None:
    def fallen(minutes: int) -> float:
        one = book(orders=[4] * (60 - minutes) + [1] * minutes)
        one.known.update({key: rates._replace(mean=rates.mean * 0.04) for key, rates in one.known.items()})
        return float(looked(one).found.p[ORDERS, 0])

    assert fallen(8) > 1e-6 > fallen(30)


def test_what_was_learned_of_other_windows_begins_anew_and_all_else_is_kept() -> None:
    known = book(orders=[100] * 60).roots
    known.touch("learned")
    former = unpack(known.write()[f"learned|{ROOTS}"])
    former["jumped"], former["days"][...] = former["jumped"][:, :4], 7
    read = Panel(ROOTS, 60, {**known.write(), f"learned|{ROOTS}": pack(former)})
    assert read.learned["jumped"].shape == known.learned["jumped"].shape
    assert (read.learned["days"] == 7).all()


def test_what_a_series_ran_at_before_it_was_unusual_stays() -> None:
    one = book(orders=[50] * 60)
    one.roots.course["state"][ORDERS] = FIRING
    one.roots.course["ran"][:, ORDERS] = [[0.1], [110.0]]
    look = looked(one)
    assert look.ran is not None
    assert look.ran.log[ORDERS, 0] == 0.1
    assert look.jumped is not None
    assert look.jumped.far[:, ORDERS].all()


def test_until_a_quarter_of_an_hour_is_known_anything_is_usual_in_it() -> None:
    one = book(orders=[100] * 50 + [10] * 10)
    one.roots.learned["quarters"][:, :, MINUTE // QUARTER % 96] = 10.0
    look = looked(one)
    assert look.jumped is not None
    assert not look.jumped.far[:, ORDERS].any()


def test_quarters_are_known_by_how_they_differ_from_their_hour() -> None:
    panel = Panel(ROOTS, 60, {})
    panel.add(["chain:*"], [-1], 0)
    for place, count in enumerate((600, 200, 200, 200)):
        panel.course["quarters"][place, PLACE["orders"]] = count
    panel.course["hour"][PLACE["orders"]] = 1_200
    learn_quarters(panel, 100, np.ones((SERIES, 1), bool))
    found = [quarter_rates(panel, 400 + place, lambda _: usual()).mean[ORDERS, 0] for place in range(4)]
    few = (200 + EVEN) / (300 + EVEN) * RATE
    assert found == pytest.approx([(600 + EVEN) / (300 + EVEN) * RATE, few, few, few])
