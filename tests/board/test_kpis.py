"""KPIs, stores, campaigns and incidents over the API, against what a small town's KPI flow has stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from starlette.testclient import TestClient

from board.access.person import EVERYONE, Person, Role
from board.access.sessions import Sessions
from board.app import API, create_app
from config import settings as conf
from features.times import DAY_MS, HOUR_MS, MINUTE_MS, parse_time
from operators.servers import RedisServer
from sim.minutes import COUNTERS
from sim.outages import COUPON, TILL, Outage
from tests.board.conftest import HERE
from tests.board.kpitown import CAMPAIGN, KpiTown

pytestmark = pytest.mark.servers

START_MS = parse_time("2026-05-01T00:00:00+08:00")
NOW_MS = START_MS + 3 * DAY_MS + 14 * HOUR_MS
SILENT, STORES = "S004", 6
FAULTS = [
    Outage(COUPON, NOW_MS - 2 * HOUR_MS, NOW_MS + DAY_MS, "region:east", "winback"),
    Outage(TILL, NOW_MS - 20 * MINUTE_MS, NOW_MS + DAY_MS, f"store:{SILENT}"),
]


class Board:
    """People at the board of a town."""

    def __init__(self, town: KpiTown, door: TestClient) -> None:
        self.town, self.door = town, door

    def client(self, *roles: Role, stores: tuple[str, ...] = ()) -> TestClient:
        one = TestClient(self.door.app, HERE, follow_redirects=False)
        person = Person("-".join(roles), frozenset(roles), frozenset(stores))
        one.get(f"/enter/{Sessions(self.town.redis, self.town.prefix, 1.0).link(person)}")
        return one

    def get(self, path: str, **asked: Any) -> Any:
        answer = self.client(*EVERYONE).get(API + path, params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def board(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """Three days of six stores, and a fourth until two o'clock: a coupon is misconfigured, and a till is silent."""
    file = tmp_path_factory.mktemp("town") / "stores.csv"
    settings = conf.Settings(
        redis=conf.Redis(url=redis.url, prefix=f"t{uuid4().hex[:8]}"),
        stores=conf.Stores(file=str(file)),
        folder=str(conf.HERE),
    )
    town = KpiTown(settings, STORES, 600, START_MS)
    Path(file).write_text(town.stores_csv())
    town.live(3 * 24)
    town.live(14, FAULTS)
    with TestClient(create_app(settings), HERE, follow_redirects=False) as door:
        yield Board(town, door)


def test_slots_are_what_was_counted_and_their_sum_is_the_days(board: Board) -> None:
    minutes = board.get("/kpis/chain:*", step="minute", slots=60)
    fives = board.get("/kpis/chain:*", step="5m", from_ms=NOW_MS - HOUR_MS, to_ms=NOW_MS)
    assert minutes["clock_ms"] == NOW_MS
    whole = [at for at in minutes["at_ms"] if at < NOW_MS]
    orders = minutes["kpis"]["orders"][: len(whole)]
    summed = [
        sum(orders[i] for i, at in enumerate(whole) if at // (5 * MINUTE_MS) * 5 * MINUTE_MS == five)
        for five in fives["at_ms"]
    ]
    assert summed[1:] == fives["kpis"]["orders"][1:]
    assert fives["sum"]["orders"] == sum(fives["kpis"]["orders"])


def test_only_the_kpis_asked_for_are_told(board: Board) -> None:
    told = board.get("/kpis/chain:*", kpis="orders,conversion", usual=True)
    assert {*told["kpis"]} == {*told["usual"]} == {*told["sum"]} == {"orders", "conversion"}


@pytest.mark.parametrize("dim", ["chain:*", "region:east", "store:S002"])
def test_most_slots_of_a_quiet_day_lie_within_what_is_usual(board: Board, dim: str) -> None:
    """Three standard deviations: a few of a thousand lie outside, and the band is no barn door."""
    told = board.get(f"/kpis/{dim}", step="5m", from_ms=START_MS + 2 * DAY_MS, to_ms=START_MS + 3 * DAY_MS, usual=True)
    for name in ("orders", "revenue_cents", "aov_cents"):
        seen, low, mid, high = _columns(told, name)
        known = ~np.isnan(seen) & ~np.isnan(low)
        assert known.sum() > 100
        assert ((low <= seen) & (seen <= high))[known].mean() > 0.97, name
        assert abs(np.nansum(seen[known]) / np.nansum(mid[known]) - 1) < 0.3, name
    seen, low, mid, high = _columns(told, "orders")
    assert np.nanmedian(high[mid > 1] / mid[mid > 1]) < (8 if dim.startswith("store") else 4)


def _columns(told: dict[str, Any], name: str) -> list[np.ndarray]:
    usual = told["usual"][name]
    return [np.array(column, float) for column in (told["kpis"][name], usual["low"], usual["mid"], usual["high"])]


def test_a_share_that_is_not_judged_is_held_against_the_same_hours_of_the_days_before(board: Board) -> None:
    noon_ms = START_MS + 3 * DAY_MS + 10 * HOUR_MS
    told = board.get("/kpis/chain:*", step="hour", from_ms=noon_ms, to_ms=noon_ms + HOUR_MS, usual=True)
    days = [
        board.get("/kpis/chain:*", step="hour", from_ms=noon_ms - d * DAY_MS, to_ms=noon_ms - d * DAY_MS + 1)
        for d in (1, 2, 3)
    ]
    mixed, rung = (sum(day["sum"][name] for day in days) for name in ("mixed_orders", "rung_orders"))
    assert told["usual"]["attach_rate"]["mid"] == [pytest.approx(mixed / rung, abs=1e-4)]
    assert told["usual"]["attach_rate"]["low"][0] < mixed / rung < told["usual"]["attach_rate"]["high"][0]


def test_what_a_fault_does_lies_outside_of_what_is_usual(board: Board) -> None:
    told = board.get("/kpis/region:east", step="hour", from_ms=NOW_MS - HOUR_MS, to_ms=NOW_MS, usual=True)
    assert told["kpis"]["redemption_share"][0] > told["usual"]["redemption_share"]["high"][0]


def test_minutes_after_a_till_fell_silent_are_unknown_until_now(board: Board) -> None:
    told = board.get(f"/kpis/store:{SILENT}", slots=60)
    orders = dict(zip(told["at_ms"], told["kpis"]["orders"], strict=True))
    assert orders[NOW_MS - MINUTE_MS] is None
    assert orders[NOW_MS - 40 * MINUTE_MS] is not None


def test_stores_are_told_with_their_latest_hour(board: Board) -> None:
    told = board.get("/stores", sort="id")
    to_ms = NOW_MS - MINUTE_MS  # the last minute closes within twenty seconds after its end
    assert (told["from_ms"], told["to_ms"]) == (to_ms - HOUR_MS, to_ms)
    assert [store["id"] for store in told["items"]] == [f"S{n + 1:03d}" for n in range(STORES)]
    for store in told["items"]:
        hour = board.get(f"/kpis/store:{store['id']}", from_ms=to_ms - HOUR_MS, to_ms=to_ms)["sum"]
        assert (store["orders"], store["revenue_cents"], store["visits"]) == (
            hour["orders"],
            hour["revenue_cents"],
            hour["visits"],
        )
        assert sum(store["spark"]) == store["orders"]
        assert store["expected_orders"] > 0
    assert [store["id"] for store in told["items"] if store["state"] == "silent"] == [SILENT]


def test_a_new_minute_of_the_stores_is_that_of_one_who_reads_all_anew(board: Board) -> None:
    first = board.get("/stores", sort="id")
    hour = next(iter(board.town.town.hours(1, FAULTS)))
    counts = hour.counts.copy()
    counts[..., COUNTERS.index("orders")] += 5
    counts[..., COUNTERS.index("heartbeats")] = 1
    board.town.minutes(hour._replace(at_ms=board.town.next_ms, counts=counts), 0, 7)
    kept = board.get("/stores", sort="id")
    with TestClient(create_app(board.town.settings), HERE, follow_redirects=False) as door:
        anew = Board(board.town, door).get("/stores", sort="id")
    assert kept == anew
    assert (kept["from_ms"], kept["to_ms"]) == (first["from_ms"] + 7 * MINUTE_MS, first["to_ms"] + 7 * MINUTE_MS)


def test_stores_are_searched_sorted_and_turned_page_by_page(board: Board) -> None:
    every = [store["id"] for store in board.get("/stores", sort="orders")["items"]]
    pages, after = [], ""
    while True:
        page = board.get("/stores", sort="orders", limit=2, after=after)
        pages += [store["id"] for store in page["items"]]
        after = page["next"]
        if not after:
            break
    assert pages == every
    orders = [store["orders"] for store in board.get("/stores", sort="orders")["items"]]
    assert orders == sorted(orders, reverse=True)
    assert [store["id"] for store in board.get("/stores", q="s003")["items"]] == ["S003"]
    assert {store["region"] for store in board.get("/stores", region="east")["items"]} == {"east"}
    assert board.get("/stores")["items"][0]["id"] in {SILENT, *_alarmed(board)}, "what stands out comes first"


def _alarmed(board: Board) -> set[str]:
    return {store["id"] for store in board.get("/stores")["items"] if store["firing"]}


def test_the_heat_table_has_every_store_once_in_its_region(board: Board) -> None:
    told = board.get("/stores-heat", of="revenue")
    regions = {store.id: store.region for store in board.town.town.stores}
    assert {cell["id"]: region["id"] for region in told["regions"] for cell in region["cells"]} == regions
    for region in told["regions"]:
        assert region["value"] == sum(cell["value"] for cell in region["cells"])
    assert told["hidden"] == 0


def test_a_store_manager_sees_own_stores_only(board: Board) -> None:
    client = board.client("store", stores=("S001",))
    assert [store["id"] for store in client.get(f"{API}/stores").json()["items"]] == ["S001"]
    heat = client.get(f"{API}/stores-heat").json()
    assert [(region["stores"], [cell["id"] for cell in region["cells"]]) for region in heat["regions"]] == [
        (1, ["S001"])
    ]
    assert client.get(f"{API}/incidents").json()["items"] == []
    assert client.get(f"{API}/kpis/store:S001").status_code == 200
    for dim in ("store:S002", "region:east", "chain:*", "store:"):
        assert client.get(f"{API}/kpis/{dim}").status_code == 403
    assert client.get(f"{API}/campaigns").status_code == 403


def test_the_misconfigured_coupon_is_an_open_incident(board: Board) -> None:
    [one] = [each for each in board.get("/incidents")["items"] if each["dim"] == "region:east"]
    assert one["series"] in ("redemptions", "redemption_share")
    assert one["direction"] == "high"
    assert one["end_ms"] == 0
    assert FAULTS[0].from_ms - HOUR_MS <= one["start_ms"] <= NOW_MS


def test_campaigns_are_those_with_a_file_and_those_that_were_counted(board: Board) -> None:
    told = {each["id"]: each for each in board.get("/campaigns", days=1)["items"]}
    assert {id for id, each in told.items() if not each["declared"]} == {CAMPAIGN}
    assert told["afternoon"]["kpis"]["orders"] == 0
    clock_ms = board.get("/campaigns")["to_ms"]
    end_ms = -(-clock_ms // HOUR_MS) * HOUR_MS
    day = board.get(f"/kpis/campaign:{CAMPAIGN}", step="hour", from_ms=end_ms - DAY_MS, to_ms=end_ms)["sum"]
    assert told[CAMPAIGN]["kpis"] == {name: day[name] for name in told[CAMPAIGN]["kpis"]}
    before = board.get(f"/kpis/campaign:{CAMPAIGN}", step="hour", from_ms=end_ms - 2 * DAY_MS, to_ms=end_ms - DAY_MS)[
        "sum"
    ]
    assert told[CAMPAIGN]["before"]["orders"] == before["orders"] > 0


def test_campaigns_are_turned_page_by_page(board: Board) -> None:
    every = [each["id"] for each in board.get("/campaigns")["items"]]
    first = board.get("/campaigns", limit=3)
    second = board.get("/campaigns", limit=3, after=first["next"])
    assert [each["id"] for each in first["items"] + second["items"]] == every[:6]


def test_a_campaign_is_told_by_region(board: Board) -> None:
    told = board.get(f"/campaigns/{CAMPAIGN}/places")
    assert [(place["name"], place["dim"]) for place in told["regions"]] == [("east", "region+campaign:east+boba-week")]
    assert told["regions"][0]["kpis"]["orders"] > 0
    assert told["channels"] == []


@pytest.mark.parametrize(
    ("path", "asked", "says"),
    [
        ("/kpis/chain:*", {"kpis": "order"}, "did you mean 'orders'"),
        ("/kpis/chain:*", {"slots": 1_000_000}, "more than 3,000 slots"),
        ("/kpis/chain:*", {"slots": -1}, "slots"),
        ("/stores", {"limit": 0}, "expected 1 to 500"),
        ("/stores", {"after": "x"}, "expected `next`"),
        ("/stores", {"sort": "x"}, "Invalid enum value"),
        ("/campaigns", {"days": 0}, "days from 1 to 60"),
    ],
)
def test_what_cannot_be_answered_is_said(board: Board, path: str, asked: dict[str, Any], says: str) -> None:
    answer = board.client("engineer").get(API + path, params=asked)
    assert answer.status_code in (400, 422)
    assert says in answer.json()["detail"]


def test_before_any_flow_has_run_the_board_says_what_to_start(visitor: TestClient, signed_in: Any) -> None:
    client = signed_in("engineer")
    for path in ("/kpis/chain:*", "/stores", "/stores-heat", "/campaigns"):
        answer = client.get(API + path)
        assert (answer.status_code, "brewline run kpis" in answer.json()["detail"]) == (503, True), path
    assert client.get(f"{API}/incidents").json() == {"items": []}
