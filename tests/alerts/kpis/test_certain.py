"""What is told at once, and of which dimension, once something is known to be wrong."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.kpis import discovery
from alerts.kpis.book import CERTAIN, Book, Judging, Layer
from alerts.kpis.course import Steps
from alerts.kpis.expectation import Rates
from alerts.kpis.incident import EXPLAINS, Contribution, Incident
from alerts.kpis.panel import ROOTS, STORES
from alerts.kpis.seasons import Seasons
from alerts.kpis.series import ALIVE_MINUTES, AOV, CONVERSION, KINDS, ORDERS, PLACE, SERIES, SHARES, VISITS, WEIGHTS
from alerts.kpis.telling import Teller
from alerts.kpis.verdict import Around, Verdicts
from alerts.kpis.view import View, all_around

MINUTE = 6_059
DIMS = ["chain:*", "region:east", "region:west"]


CHANNELS = ["chain:*", "channel:pos", "channel:app"]


def book(dims: list[str] = DIMS) -> Book:
    found = Book({}, Judging(), {"a": "east"}, Seasons())
    found.welcome([*dims, "store:a"], 0)
    return found


def verdicts(dims: int, p: float, seen: float) -> Verdicts:
    shape = (SERIES, dims)
    low, minutes = np.full(shape, -1, np.int8), np.zeros(shape, np.int16)
    values = [np.full(shape, each) for each in (seen, 60.0, 1.0, 1.0)]
    return Verdicts(np.full(shape, p), low, *values, minutes, np.zeros(shape, bool))


def certain(layer: str, times: float, seen: float = 5.0) -> np.ndarray:
    """Of series that are so many times as rare as a certain one is of orders."""
    one = book()
    panel = one.roots if layer == ROOTS else one.stores
    alpha, tests = discovery.level(len(KINDS)), SERIES * (2 if layer == ROOTS else 1)
    p = CERTAIN * alpha / tests * float(WEIGHTS[ORDERS, 0]) / times
    found = verdicts(len(panel.dims), p, seen)
    unusual, sure = one._unusual(panel, found, np.ones(len(panel.dims), bool))
    assert unusual[ORDERS].all()
    return sure


@pytest.mark.parametrize(("times", "held"), [(1.01, False), (0.5, True)])
def test_what_is_a_thousand_times_rarer_than_a_discovery_must_be_is_not_held(times: float, held: bool) -> None:
    east = book().roots.place["region:east"]
    assert bool(certain(ROOTS, times)[ORDERS, east]) != held


def test_what_is_counted_by_five_minutes_is_held_for_one_minute_of_it_may_fall_out_of_step() -> None:
    sure = certain(ROOTS, 1e9)
    assert not sure[[VISITS, CONVERSION]].any()
    assert sure[[ORDERS, AOV]].any()


def test_a_store_is_held_for_its_region_may_be_what_fails_but_a_silence_has_lasted_by_itself() -> None:
    assert not certain(STORES, 1e9).any()
    silent = certain(STORES, 1e9, seen=0.0)
    assert silent[[ORDERS, ALIVE_MINUTES]].all()
    assert not silent[VISITS].any()


def view(east: int, west: int, dims: list[str] = DIMS) -> View:
    """Of a chain where 100 orders a minute are usual in each part, and so many came in the last hour."""
    one = book(dims)
    places = [one.roots.place[dim] for dim in dims]
    mean = np.zeros((SERIES, len(one.roots.dims)))
    mean[:, places] = [200.0, 100.0, 100.0]
    mean[SHARES], mean[AOV] = 0.05, 7.0
    rates = Rates(mean, np.full(mean.shape, 1e-4), mean, mean, mean)
    one.known.update({(ROOTS, hour): rates for hour in range(98, 104)})
    for minute in range(MINUTE - 59, MINUTE + 1):
        one.roots.minute(minute)[PLACE["orders"], places] = [east + west, east, west]
    none = np.zeros(mean.shape, bool)
    layer = Layer(one.roots, Around(rates, rates, rates), one.look(one.roots, MINUTE), Steps(none, none))
    return View(one, [layer], MINUTE)


@pytest.mark.parametrize(("east", "west", "meant"), [(50, 80, "region:east"), (50, 40, "chain:*")])
def test_a_region_that_was_told_stays_what_is_meant_while_it_has_most_of_what_the_chain_is_off_by(
    east: int, west: int, meant: str
) -> None:
    seen = view(east, 90)
    assert seen.look_down("chain:*", ORDERS, 60) == "region:east"
    seen = view(east, west + 8)
    seen.open.append(Incident("mark", "region:east", ORDERS, -1, MINUTE, [("region:east", ORDERS)], [ORDERS]))
    assert seen.look_down("chain:*", ORDERS, 60) == meant
    seen.open.clear()
    assert view(50, 70).look_down("chain:*", ORDERS, 60) == "chain:*"


@pytest.mark.parametrize(("east", "chain", "meant"), [(400, 450, "chain:*"), (400, 498, "region:east")])
def test_a_part_that_is_most_of_the_whole_is_meant_only_where_the_rest_does_not_stray_as_it_does(
    east: int, chain: int, meant: str
) -> None:
    part, whole = Contribution("region:east", east, 900), Contribution("chain:*", chain, 1_000)
    assert (part.observed - part.expected) / (whole.observed - whole.expected) > EXPLAINS
    assert ("chain:*" if all_around(part, whole) else "region:east") == meant


@pytest.mark.parametrize(("app", "dims"), [(98, ["channel:pos", "channel:app"]), (40, ["chain:*"])])
def test_an_incident_of_a_channel_becomes_the_chains_once_all_else_strays_as_well(app: int, dims: list[str]) -> None:
    seen = view(50, app, CHANNELS)
    for number, dim in enumerate(CHANNELS[1:]):
        members = [(dim, ORDERS)] if number else [("chain:*", ORDERS), (dim, ORDERS)]
        seen.open.append(Incident(dim, dim, ORDERS, -1, MINUTE - 5, members, [ORDERS]))
    first = seen.open[0].id
    ended = Teller("alerts", seen.book)._widened(seen, seen.open[0])
    assert ([one.dim for one in seen.open], seen.open[0].id) == (dims, first)
    assert [one.dim for one in ended] == ["channel:app"][: 2 - len(dims)]
