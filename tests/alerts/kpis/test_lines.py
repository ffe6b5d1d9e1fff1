"""Lines of products: when one is not sold, where, and what incidents elsewhere say of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from alerts.kpis.book import MOST_TOLD, Book, Judging, Layer
from alerts.kpis.catalog import dim_of, values_of
from alerts.kpis.course import Steps
from alerts.kpis.expectation import Rates
from alerts.kpis.incident import Incident
from alerts.kpis.panel import FIRING, ROOTS
from alerts.kpis.seasons import Seasons
from alerts.kpis.series import AOV, CONVERSION, ORDERS, PLACE, SERIES, SHARES
from alerts.kpis.telling import Teller
from alerts.kpis.verdict import Around
from alerts.kpis.view import View
from features.loop import batches, run
from features.times import DAY_MS, HOUR_MS
from sim.outages import CHAIN, SHORTAGE, Outage
from tests.alerts.kpis.smalltown import START_MS, Alert, alerts_of, closings, firing, judge

MINUTE = 6_059
EAST, WEST = "region+category:east+tea", "region+category:west+tea"
USUAL = {  # orders a minute; half of them have tea, a fifth cake
    "chain:*": 200,
    "region:east": 100,
    "region:west": 100,
    "category:tea": 100,
    "category:cake": 40,
    "region+category:east+tea": 50,
    "region+category:west+tea": 50,
    "region+category:east+cake": 20,
    "region+category:west+cake": 20,
}
NO_TEA = {"category:tea": 0, "region+category:east+tea": 0, "region+category:west+tea": 0}
NO_TEA_IN_EAST = {"category:tea": 50, "region+category:east+tea": 0}
THIRD_MS = START_MS + 2 * DAY_MS
FAULTS = [
    Outage(SHORTAGE, THIRD_MS + 4 * HOUR_MS, THIRD_MS + 5 * HOUR_MS, "category:coffee", category="coffee"),
    Outage(
        SHORTAGE, THIRD_MS + 7 * HOUR_MS, THIRD_MS + 8 * HOUR_MS, "region+category:east+milk_tea", category="milk_tea"
    ),
    Outage(CHAIN, THIRD_MS + 10 * HOUR_MS, THIRD_MS + 11 * HOUR_MS, "region:east"),
]


def view(seen: dict[str, int], usual: dict[str, int] = USUAL) -> View:
    """Of a chain where so many orders came in each minute of the last hour, all else being as usual."""
    one = Book({}, Judging(), {}, Seasons())
    one.welcome([*usual], 0)
    places = [one.roots.place[dim] for dim in usual]
    mean = np.zeros((SERIES, len(one.roots.dims)))
    mean[:, places] = [*usual.values()]
    mean[SHARES], mean[AOV] = 0.05, 7.0
    rates = Rates(mean, np.full(mean.shape, 1e-4), mean, mean, mean)
    one.known.update({(ROOTS, hour): rates for hour in range(98, 104)})
    for minute in range(MINUTE - 59, MINUTE + 1):
        one.roots.minute(minute)[PLACE["orders"], places] = [*(usual | seen).values()]
    none = np.zeros(mean.shape, bool)
    layer = Layer(one.roots, Around(rates, rates, rates), one.look(one.roots, MINUTE), Steps(none, none))
    return View(one, [layer], MINUTE)


@pytest.mark.parametrize("dim", ["category:tea", "region+category:east+tea", "chain:*"])
def test_what_is_not_sold_anywhere_is_told_as_that_category_whatever_tells_of_it(dim: str) -> None:
    seen = view({"chain:*": 150, "region:east": 75, "region:west": 75, **NO_TEA})
    assert seen.look_down(dim, ORDERS, 60) == "category:tea"


@pytest.mark.parametrize("dim", ["category:tea", "region+category:east+tea"])
def test_what_is_not_sold_in_one_region_is_told_as_that_line_of_that_region(dim: str) -> None:
    seen = view({"chain:*": 175, "region:east": 75, **NO_TEA_IN_EAST})
    assert seen.look_down(dim, ORDERS, 60) == "region+category:east+tea"
    assert seen.lies_in["region+category:east+tea"] == "region:east"


def test_a_line_that_falls_with_all_else_is_told_as_the_place_that_falls() -> None:
    half = {dim: count // 2 for dim, count in USUAL.items()}
    assert {view(half).look_down(dim, ORDERS, 60) for dim in ("category:tea", "category:cake")} == {"chain:*"}
    assert view(half).look_down("region+category:west+cake", ORDERS, 60) == "region:west"
    east = {dim: count // 2 for dim, count in USUAL.items() if "east" in dim}
    falls = view({"chain:*": 150, "category:tea": 75, "category:cake": 30, **east})
    for dim in ("region+category:east+tea", "category:tea", "category:cake", "chain:*"):
        assert falls.look_down(dim, ORDERS, 60) == "region:east"


def test_where_nearly_all_orders_have_it_a_line_cannot_be_told_from_the_place() -> None:
    usual = {"chain:*": 2.0, "category:tea": 1.99}
    assert view({"chain:*": 1, "category:tea": 1}, usual).look_down("category:tea", ORDERS, 60) == "chain:*"  # type: ignore[arg-type]


def test_more_orders_of_a_line_are_no_incident_of_it() -> None:
    seen = view({"chain:*": 400, "region:east": 200, "region:west": 200, "category:tea": 300})
    assert seen.look_down("chain:*", ORDERS, 60) == "chain:*"
    assert seen.line_of("chain:*", ORDERS, 60) == "category:tea"


def test_a_region_that_lacks_orders_is_part_of_the_incident_of_the_category_that_explains_them() -> None:
    seen = view({"chain:*": 150, "region:east": 75, "region:west": 75, **NO_TEA})
    assert seen.look_down("region:east", ORDERS, 60) == "region:east"
    seen.open.append(Incident("mark", "category:tea", ORDERS, -1, MINUTE, [("category:tea", ORDERS)], [ORDERS]))
    assert seen.look_down("region:east", ORDERS, 60) == "category:tea"
    other = view({"chain:*": 150, "region:east": 50, "category:tea": 75, "region+category:east+tea": 25})
    other.open.append(seen.open[0])
    assert other.look_down("region:east", ORDERS, 60) == "region:east"


@pytest.mark.parametrize(
    ("dim", "seen", "named", "part"),
    [
        ("region:east", {"chain:*": 160, "region:east": 60, **NO_TEA_IN_EAST}, "category:tea", EAST),
        ("chain:*", {"chain:*": 120, **NO_TEA}, "category:tea", "category:tea"),
        ("region:east", {"chain:*": 150, "region:east": 50, "category:tea": 75, EAST: 25}, "", ""),
    ],
)
@pytest.mark.parametrize("series", [ORDERS, CONVERSION])
def test_an_incident_of_a_place_names_the_line_that_explains_most_of_it(
    dim: str, seen: dict[str, int], named: str, part: str, series: int
) -> None:
    one = view(seen)
    data = Teller("alerts", one.book)._described(one, Incident("m", dim, series, -1, 1, [], [series]), "firing", "")
    assert data["why"].endswith(f"; most of it {named}") == bool(named)
    assert ("most of it" in data["why"]) == bool(named)
    lines = [each["dim"] for each in data["contributors"] if "category" in each["dim"]]
    assert lines == [part] * bool(part)


def told(seen: dict[str, int], begins: bool, *others: Incident) -> list[str]:
    """Dimensions of what is said in a minute in which orders with tea in the east fire, and have begun to or not."""
    one = view(seen)
    layer, place = one.layers[ROOTS], one.book.roots.place[EAST]
    for name, value in (("state", FIRING), ("side", -1), ("start", MINUTE - 3)):
        one.book.roots.course[name][ORDERS, place] = value
    for other in others:
        one.book.roots.course["state"][other.series, one.book.roots.place[other.dim]] = FIRING
    one.open.extend(others)
    layer.steps.fired[ORDERS, place] = begins
    teller = Teller("alerts", one.book)
    teller.tell([layer], MINUTE, 0)
    return [json.loads(message.value)["data"]["dim"] for message in teller.messages]


def test_a_line_that_falls_with_its_place_is_left_to_that_and_told_once_it_stands_out() -> None:
    with_all = {dim: count // 2 for dim, count in USUAL.items() if "east" in dim}
    alone = {"chain:*": 175, "region:east": 75, **NO_TEA_IN_EAST}
    assert [told(with_all, begins) for begins in (True, False)] == [[], []]
    assert [told(alone, begins) for begins in (True, False)] == [[EAST], [EAST]]


@pytest.mark.parametrize(("sold", "unusual"), [(20, True), (30, False), (90, False)])
def test_a_line_is_unusual_where_half_of_it_is_gone_and_never_on_the_other_side(sold: int, unusual: bool) -> None:
    one = view({EAST: sold, "region:east": 2 * sold})
    layer, roots = one.layers[ROOTS], one.book.roots
    layer.found.p[ORDERS] = 1e-12
    found, _ = one.book._unusual(roots, layer.found, np.ones(len(roots.dims), bool))
    assert bool(found[ORDERS, roots.place[EAST]]) == unusual
    assert found[ORDERS, roots.place["region:east"]]


def test_a_line_that_is_part_of_an_incident_is_not_told_again() -> None:
    alone = {"chain:*": 175, "region:east": 75, **NO_TEA_IN_EAST}
    mine = Incident("m", EAST, ORDERS, -1, MINUTE - 3, [(EAST, ORDERS)], [ORDERS], revision=1, told=MINUTE, news=False)
    assert told(alone, False, mine) == []


def test_a_line_that_is_not_sold_tells_which_regions_lack_it_and_what_its_orders_are_worth() -> None:
    one = view({"chain:*": 150, **NO_TEA})
    tea = Incident("m", "category:tea", ORDERS, -1, 1, [("category:tea", ORDERS)], [ORDERS])
    data = Teller("alerts", one.book)._described(one, tea, "firing", "")
    assert [part["dim"] for part in data["contributors"]] == [EAST, WEST]
    assert one.sight(tea).money_cents == pytest.approx(100 * 60 * np.exp(7.0), rel=0.01)
    assert (data["stores"], data["stores_affected"]) == ([], 0)


@pytest.mark.parametrize("kind", ["category", "campaign", "channel"])
def test_of_what_tills_name_more_than_can_be_kept_are_left_out_and_counted_and_places_are_not(kind: str) -> None:
    one = Book({}, Judging(), {}, Seasons())
    dims = [*(f"{kind}:{number}" for number in range(MOST_TOLD + 5)), "region:east", "store:a", "category:tea"]
    rows = np.ones((len(dims), len(PLACE)), np.int64)
    left_out = 6 if kind == "category" else 5
    assert one.take(dims, rows, 7) == one.take(dims, rows, 8) == left_out
    assert {f"{kind}:0", "region:east"} <= {*one.roots.dims}
    assert f"{kind}:1004" not in one.roots.place
    assert one.stores.dims == ["store:a"]


@pytest.mark.parametrize("values", [("east", "tea"), ("a+b", "50%+"), ("%2B", "%25"), ("", "x")])
def test_values_of_a_cross_are_read_as_they_were_written(values: tuple[str, str]) -> None:
    assert values_of(dim_of(("region", "category"), values)) == [*values]
    assert values_of(dim_of(("category",), values[:1])) == [values[0]]


@pytest.fixture(scope="module")
def alerts() -> list[Alert]:
    lived = batches("kpi.closings", 0, [*closings(3 * 24, FAULTS)], [*range(60, 3 * 1440, 60)])
    return alerts_of(run(judge(), lived)[0])


@pytest.mark.parametrize("fault", FAULTS[:2], ids=lambda fault: fault.dim)
def test_a_line_of_which_nothing_is_sold_is_one_incident_of_it_within_a_quarter_of_an_hour(
    alerts: list[Alert], fault: Outage
) -> None:
    first, *others = firing(alerts, fault)
    assert {alert["incident"] for alert in others} <= {first["incident"]}
    assert (first["dim"], first["kpis"], first["direction"]) == (fault.dim, ["orders"], "low")
    assert first["started_ms"] < fault.from_ms + HOUR_MS // 4
    assert first["observed"] < first["expected_low"]
    assert first["money_cents"] > 0


def test_lines_that_fall_with_a_whole_region_are_told_as_that_region(alerts: list[Alert]) -> None:
    found = firing(alerts, FAULTS[2])
    assert {alert["dim"] for alert in found} == {"region:east"}
    assert not any("most of it" in alert["why"] for alert in found)


def test_on_a_quiet_day_nothing_is_told_of_lines(alerts: list[Alert]) -> None:
    hours = [(fault.from_ms, fault.to_ms + HOUR_MS) for fault in FAULTS]
    assert not [
        alert
        for alert in alerts
        if "category" in alert["dim"] and not any(a <= alert["started_ms"] < b for a, b in hours)
    ]
