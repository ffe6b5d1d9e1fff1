"""What the judge makes of a small simulated chain: incidents of faults, silence where there are none, and replays."""

from __future__ import annotations

import json
from copy import deepcopy

import numpy as np
import pytest
from msgspec import msgpack
from msgspec.structs import replace

from alerts.kpis.book import FORGETS_AT, GONE_DAYS, Judging, decode_header, encode_header
from alerts.kpis.closing import Closing, decode_closing, encode_closing
from alerts.kpis.judge import Judge
from alerts.kpis.panel import WEEK_HOURS, pack, unpack
from alerts.kpis.seasons import Seasons
from alerts.kpis.series import ALIVE, COUNTED, LAYOUT, PLACE, SERIES
from alerts.triggers.braking import AlarmWatch, BrakeDesk, BrakeTopics
from features.job import Batch, Plan, Position
from features.loop import Store, batches, run
from features.outgoing import KpiAlert
from features.times import DAY_MS, HOUR_MS, MINUTE_MS, parse_time
from sim.minutes import COUNTERS
from sim.outages import CHAIN, COUPON, TILL, Outage
from tests.alerts.kpis.smalltown import START_MS, STORES, Alert, alerts_of, closings, firing, judge

DAYS = 4
NOON_MS = START_MS + (DAYS - 1) * DAY_MS + 4 * HOUR_MS  # of the last day, in China
FAULTS = [
    Outage(TILL, NOON_MS - 90 * MINUTE_MS, NOON_MS - 30 * MINUTE_MS, "store:S004"),
    Outage(COUPON, NOON_MS + HOUR_MS, NOON_MS + 2 * HOUR_MS, "region:east", "winback"),
    Outage(CHAIN, NOON_MS + 5 * HOUR_MS, NOON_MS + 6 * HOUR_MS, "chain:*"),
    Outage(COUPON, NOON_MS + 7 * HOUR_MS, NOON_MS + 8 * HOUR_MS, "chain:*", "season"),
]
CROWD = Outage("crowd", NOON_MS + 130 * MINUTE_MS, NOON_MS + 215 * MINUTE_MS, "store:S007")
TWICE_MS, EBBS_MS = CROWD.from_ms + 50 * MINUTE_MS, CROWD.from_ms + 52 * MINUTE_MS


def crowded(counts: np.ndarray, at_ms: int) -> np.ndarray:
    """Orders of one store, soon over; meanwhile its till has begun to take coupons again and again."""
    found, place = counts.copy(), [f"store:{store.id}" for store in STORES].index(CROWD.dim)
    if CROWD.from_ms <= at_ms < EBBS_MS:
        found[place, [COUNTERS.index(name) for name in ("orders", "visits", "revenue_cents")]] *= 4
    if TWICE_MS <= at_ms < CROWD.to_ms:
        found[place, COUNTERS.index("redemptions")] += 5
    return found


STRUCK = (FAULTS[2].from_ms - START_MS) // MINUTE_MS + 30  # minutes until the midst of the chain's fault


@pytest.fixture(scope="module")
def both() -> tuple[Store, Store]:
    """As it was in the midst of the last fault, and in the end."""
    told = batches(
        "kpi.closings", 0, [*closings(DAYS * 24, FAULTS, change=crowded)], [*range(60, DAYS * 1440, 60), STRUCK]
    )
    first = run(judge(), [batch for batch in told if batch.last < STRUCK])[0]
    struck = deepcopy(first)
    return struck, run(judge(), told, {0: first})[0]


@pytest.fixture
def struck(both: tuple[Store, Store]) -> Store:
    return deepcopy(both[0])


@pytest.fixture(scope="module")
def lived(both: tuple[Store, Store]) -> Store:
    return both[1]


@pytest.fixture(scope="module")
def alerts(lived: Store) -> list[Alert]:
    return alerts_of(lived)


def test_a_till_that_says_nothing_is_offline_and_its_other_kpis_are_not_told(alerts: list[Alert]) -> None:
    [told] = firing(alerts, FAULTS[0])
    assert (told["dim"], told["series"], told["kpis"], told["stores"]) == (
        "store:S004",
        "offline",
        ["offline"],
        ["S004"],
    )
    assert told["money_cents"] > 0
    assert "nothing heard" in told["why"]


def test_a_coupon_of_a_region_is_one_incident_of_that_region_which_names_its_stores(alerts: list[Alert]) -> None:
    told = firing(alerts, FAULTS[1])
    assert {alert["incident"] for alert in told} == {told[0]["incident"]}
    assert (told[0]["dim"], told[0]["direction"]) == ("region:east", "high")
    assert "redemption_share" in told[-1]["kpis"]
    east = {store.id for store in STORES if store.region == "east"}
    assert {*told[-1]["stores"]} <= east
    assert told[-1]["stores"]
    assert told[0]["observed"] > told[0]["expected_high"] > told[0]["expected"] > told[0]["expected_low"]
    assert told[-1]["contributors"][0]["dim"] == "campaign:winback"
    assert told[-1]["why"].endswith("; most of it campaign:winback")


def test_a_coupon_that_goes_round_everywhere_is_one_incident_of_its_campaign_and_pauses_that_alone(
    lived: Store, alerts: list[Alert]
) -> None:
    told = firing(alerts, FAULTS[3])
    assert {alert["incident"] for alert in told} == {told[0]["incident"]}
    assert (told[0]["dim"], told[0]["series"], told[0]["direction"]) == ("campaign:season", "redemptions", "high")
    assert told[0]["observed"] > told[0]["expected_high"] > told[0]["expected"] > told[0]["expected_low"]
    assert told[0]["money_cents"] > 0
    assert {part["dim"].split(":")[0] for part in told[0]["contributors"]} == {"region"}
    values = [message.value for message in lived.sent if told[0]["incident"].encode() in message.value]
    asked = run(AlarmWatch("asked", "dead", ["spring", "season"]), batches("alerts", 0, values))[0].sent
    assert {(each["campaign"], each["place"]) for each in (json.loads(message.value) for message in asked)} == {
        ("season", "")
    }


def test_a_fault_of_the_whole_chain_is_one_incident_soon_and_critical(alerts: list[Alert]) -> None:
    told = firing(alerts, FAULTS[2])
    assert {alert["incident"] for alert in told} == {told[0]["incident"]}
    assert (told[0]["dim"], told[0]["direction"], told[0]["severity"]) == ("chain:*", "low", "critical")
    assert told[0]["started_ms"] <= FAULTS[2].from_ms + 3 * MINUTE_MS
    assert {part["dim"].split(":")[0] for part in told[0]["contributors"]} == {"region"}


def test_an_incident_that_begins_with_orders_pauses_campaigns_when_redemptions_join_it_though_orders_have_ebbed(
    lived: Store, alerts: list[Alert]
) -> None:
    told = firing(alerts, CROWD)
    assert {(alert["dim"], alert["series"], alert["direction"]) for alert in told} == {(CROWD.dim, "orders", "high")}
    assert told[0]["high"] == {"orders": [CROWD.dim]}
    watch, desk = AlarmWatch("asked", "dead", ["spring"]), BrakeDesk(BrakeTopics("events", "brakes", "dead"), ["0"])
    values = [message.value for message in lived.sent]
    asked = [message.value for message in run(watch, batches("alerts", 0, values))[0].sent]
    turned = run(desk, batches("asked", 0, asked))[0].sent
    pauses = [json.loads(message.value) for message in turned if message.topic == "brakes"]
    [pause] = [one for one in pauses if one["data"]["incident"] == told[0]["incident"]]
    assert (pause["data"]["state"], pause["data"]["place"]) == ("paused", CROWD.dim)
    assert TWICE_MS < parse_time(pause["time"]) < CROWD.to_ms


def test_nothing_else_is_told_and_all_is_resolved_under_the_same_incident(alerts: list[Alert]) -> None:
    known = [alert for fault in (*FAULTS, CROWD) for alert in firing(alerts, fault)]
    assert [alert for alert in alerts if alert["state"] == "firing" and alert not in known] == []
    assert {alert["incident"] for alert in alerts if alert["state"] == "resolved"} == {a["incident"] for a in known}
    for id in {alert["incident"] for alert in known}:
        mine = [alert for alert in alerts if alert["incident"] == id]
        assert [alert["revision"] for alert in mine] == [*range(1, len(mine) + 1)]
        assert len({alert["fingerprint"] for alert in mine}) == 1


def test_alerts_are_as_their_contract_says(lived: Store, alerts: list[Alert]) -> None:
    assert all(alert.keys() == {*KpiAlert.__struct_fields__} for alert in alerts)
    assert lived.position.counts["kpi_alerts"] == sum(alert["state"] == "firing" for alert in alerts)
    ids = [json.loads(message.value)["id"] for message in lived.sent]
    assert len({*ids}) == len(ids)


def test_it_does_not_matter_where_batches_end_nor_that_messages_come_again() -> None:
    values = [*closings(30, [])]
    values[651:651] = [corrected(values[650], 3), corrected(values[640], 5, "store:new")]
    values[1_300:1_300] = [corrected(values[1_290], 5, "store:new")]
    values = [numbered(value, place) for place, value in enumerate(values)]
    whole = run(judge(), batches("kpi.closings", 0, values, range(100, len(values), 100)))[0]
    again = [*values[:700], *values[600:]]
    cut = run(judge(), batches("kpi.closings", 0, again, [1, 2, 500, 651, 652, 653, 690, 710, 1_400, 1_401]))[0]
    assert whole.sent == cut.sent
    assert whole.records.keys() == cut.records.keys()
    assert all(whole.records[name] == cut.records[name] for name in whole.records)
    assert cut.position.counts["repeats"] == 100


def numbered(value: bytes, number: int) -> bytes:
    return encode_closing(replace(decode_closing(value), number=number))


def corrected(value: bytes, orders: int, dim: str = "store:S004") -> bytes:
    """A dimension of a message's minute, said once more."""
    said, row = decode_closing(value), np.zeros((1, len(COUNTED)), "<i8")
    row[0, 0] = orders
    return encode_closing(
        replace(said, at_ms=0, dims=[dim], minutes=[said.at_ms // MINUTE_MS - 1], counters=row.tobytes())
    )


def message(number: int, minute: int, source: int = 0, of: int = 1, clock: bool = True, **orders: int) -> bytes:
    rows = np.zeros((len(orders), len(COUNTED)), "<i8")
    rows[:, 0] = [*orders.values()]
    at_ms = (minute + 1) * MINUTE_MS if clock else 0
    dims = [f"store:{name}" for name in orders]
    return encode_closing(Closing(source, of, number, at_ms, dims, [minute] * len(dims), rows.tobytes()))


def ring(store: Store, minute: int) -> list[int]:
    """Orders by store in a minute, as the window holds them."""
    found: list[int] = unpack(store.records[f"ring|stores|{minute % Judging().window_minutes}"])["counts"][0].tolist()
    return found


def test_a_minute_is_judged_when_every_merging_partition_has_closed_it() -> None:
    job, first = judge(), [message(0, 1_000, 0, 2, a=5), message(1, 1_001, 0, 2, a=6)]
    store = run(job, batches("c", 0, first))[0]
    assert {name for name in store.records if name.startswith("wait|")} == {"wait|1000", "wait|1001"}
    run(job, batches("c", 0, [message(0, 1_000, 1, 2, b=7)], first=2), {0: store})
    assert ring(store, 1_000) == [5, 7]
    assert {name for name in store.records if name.startswith("wait|")} == {"wait|1001"}
    assert {*store.timers} == {"wait|1001"}


def test_a_correction_counts_while_its_minute_is_in_the_window_and_is_counted_as_too_late_after() -> None:
    job, window = judge(), Judging().window_minutes
    store = run(job, batches("c", 0, [message(n, 1_000 + n, a=1) for n in range(window + 10)]))[0]
    late = [message(900, 1_060, clock=False, a=9), message(901, 1_002, clock=False, a=9)]
    run(job, batches("c", 0, late, first=window + 10), {0: store})
    assert ring(store, 1_060) == [9]
    assert (store.position.counts["corrections"], store.position.counts["too_late"]) == (1, 1)


def test_what_cannot_be_read_becomes_a_dead_letter_and_the_rest_is_judged() -> None:
    broken = [b"{", encode_closing(Closing(0, 1, 0, 0, ["store:a"], [1], b"short")), message(1, 1_000, a=3)]
    store = run(judge(), batches("c", 0, broken))[0]
    assert store.position.counts["dead_lettered"] == 2
    assert ring(store, 1_000) == [3]


def test_days_without_a_word_are_leapt_over_and_not_learned_as_zero() -> None:
    job = judge()
    store = run(job, batches("c", 0, [message(0, 1_000, a=1), message(1, 9_000, a=2)]))[0]
    assert ring(store, 9_000) == [2]
    assert ring(store, 8_999) == []
    assert not [name for name in store.records if name.startswith("cell|")]


def test_a_first_minute_without_a_store_is_judged() -> None:
    rows = np.ones((1, len(COUNTED)), "<i8").tobytes()
    first = encode_closing(Closing(0, 1, 0, 1_001 * MINUTE_MS, ["chain:*"], [1_000], rows))
    store = run(judge(), batches("c", 0, [first, message(1, 1_001, a=3)], [1]))[0]
    assert ring(store, 1_000) == []
    assert ring(store, 1_001) == [3]


@pytest.mark.parametrize("window", [7, 90])
def test_with_another_window_all_begins_anew_and_open_incidents_are_told_to_be_over(struck: Store, window: int) -> None:
    opened = {alert["incident"] for alert in alerts_of(struck)} - {
        alert["incident"] for alert in alerts_of(struck) if alert["state"] == "resolved"
    }
    said, first = len(struck.sent), struck.position.offset + 1
    minute = START_MS // MINUTE_MS + first
    few = [message(first + n, minute + n, S001=4, S002=5) for n in range(100)]
    told = batches("kpi.closings", 0, few, [1, 2, 50], first=first)
    for batch in told:  # each as after a restart
        run(Judge("alerts", "dead-letters", Judging(window_minutes=window), {}, Seasons()), [batch], {0: struck})
    ended = [json.loads(message.value)["data"] for message in struck.sent[said:]]
    assert len(opened) == 1
    assert [(alert["incident"], alert["state"]) for alert in ended] == [(*opened, "resolved")]
    assert ended[0].keys() == {*KpiAlert.__struct_fields__}
    assert ended[0]["revision"] == 1 + max(a["revision"] for a in alerts_of(struck)[:-1] if a["incident"] in opened)
    assert {name for name in struck.records if name.startswith("ring|stores|")} == {
        f"ring|stores|{place}" for place in range(window)
    }
    cells = [unpack(raw)["profile"] for name, raw in struck.records.items() if name.startswith("cell|stores|")]
    assert max((cell.shape[-1] for cell in cells), default=0) <= 2


def test_rows_of_other_counters_are_counted_and_what_was_learned_of_them_begins_anew() -> None:
    store = run(judge(), batches("c", 0, [message(0, 1_000, a=5), message(1, 1_001, clock=False, a=6)]))[0]
    header = decode_header(store.records["judge"])
    waits = msgpack.decode(store.records["wait|1001"])
    assert (header.layout, [told[2] for told in waits]) == (LAYOUT, [LAYOUT])
    header.layout = waits[0][2] = LAYOUT + 1  # as if there had been other counters before
    store.records |= {"judge": encode_header(header), "wait|1001": msgpack.encode(waits)}
    former = encode_closing(replace(decode_closing(message(2, 1_001, a=7)), counters=b"former", layout=LAYOUT + 1))
    run(judge(), batches("c", 0, [former, message(3, 1_002, a=8)], [1], first=2), {0: store})
    assert "ring|stores|40" not in store.records
    assert [ring(store, minute) for minute in (1_001, 1_002)] == [[], [8]]
    assert store.position.counts["other_layout"] == 2
    assert "dead_lettered" not in store.position.counts


def test_a_store_whose_till_sends_heartbeats_is_heard_by_these_alone() -> None:
    def told(number: int, till: int, app: int) -> bytes:
        rows = np.zeros((2, len(COUNTED)), "<i8")
        rows[:, PLACE["orders"]] = app
        rows[0, PLACE["heartbeats"]] = till
        dims, minutes = ["store:till", "store:mute"], [1_000 + number] * 2
        return encode_closing(Closing(0, 1, number, (1_001 + number) * MINUTE_MS, dims, minutes, rows.tobytes()))

    store = run(judge(), batches("c", 0, [told(0, 0, 3), told(1, 1, 3), told(2, 0, 3), told(3, 1, 0)], [2]))[0]
    heard = [unpack(store.records[f"ring|stores|{minute % 60}"])["counts"][ALIVE] for minute in range(1_000, 1_004)]
    assert [counts.tolist() for counts in heard] == [[1, 1], [1, 1], [0, 1], [1]]
    assert unpack(store.records["course|stores"])["spoke"].tolist() == [1_003, 1_002]


def test_a_course_kept_before_tills_were_known_is_read_and_goes_on() -> None:
    store = run(judge(), batches("c", 0, [message(0, 1_000, a=5, b=6)]))[0]
    course = unpack(store.records["course|stores"])
    del course["till"]
    store.records["course|stores"] = pack(course)
    run(judge(), batches("c", 0, [message(1, 1_001, a=7, c=8)], first=1), {0: store})
    assert ring(store, 1_001) == [7, 0, 8]
    assert unpack(store.records["course|stores"])["till"].tolist() == [False] * 3


def lived_with(gone_minutes: int, *others: str) -> Store:
    """Store b for some minutes over the time of forgetting; the others were last heard so long ago."""
    start = WEEK_HOURS * 60 * 3_000 + FORGETS_AT * 60 - 2
    orders = dict.fromkeys(("a", *others, "b"), 5)
    store = run(judge(), batches("c", 0, [message(0, start, **orders)]))[0]
    course, place = unpack(store.records["course|stores"]), len(others) + 1
    course["spoke"][:place] = start - gone_minutes
    store.records["course|stores"] = pack(course)
    profile = np.ones((2, SERIES, place + 1), np.float32)
    profile[..., -1] = 2
    store.records["cell|stores|7"] = pack({"profile": profile})
    told = [message(number, start + number, b=6) for number in range(1, 5)]
    return run(judge(), batches("c", 0, told, [2], first=1), {0: store})[0]


def test_a_store_of_which_nothing_was_heard_for_weeks_is_forgotten_and_the_others_are_as_if_it_had_never_been() -> None:
    start = WEEK_HOURS * 60 * 3_000 + FORGETS_AT * 60 - 2
    alone = run(judge(), batches("c", 0, [message(number, start + number, b=5 + (number > 0)) for number in range(5)]))[
        0
    ]
    alone.records["cell|stores|7"] = pack({"profile": np.full((2, SERIES, 1), 2, np.float32)})
    found = lived_with((GONE_DAYS + 1) * DAY_MS // MINUTE_MS, "c")
    assert msgpack.decode(found.records["names|stores"]) == ["store:b"]
    for name, raw in found.records.items():
        if name.startswith(("course|stores", "learned|stores", "ring|stores", "cell|stores|7")):
            kept, never = unpack(raw), unpack(alone.records[name]) if name in alone.records else {}
            assert kept.keys() >= never.keys()
            assert all(np.array_equal(kept[each], never[each]) for each in never), name
    assert unpack(found.records["cell|stores|8"])["profile"].shape == (2, SERIES, 0)


def test_a_store_that_was_silent_for_less_is_kept() -> None:
    found = lived_with((GONE_DAYS - 1) * DAY_MS // MINUTE_MS)
    assert msgpack.decode(found.records["names|stores"]) == ["store:a", "store:b"]
    assert unpack(found.records["cell|stores|7"])["profile"][0, 0].tolist() == [1, 2]


def test_another_partition_has_nothing_but_the_clock() -> None:
    batch = Batch("c", 1, -1, [0], [encode_closing(Closing(0, 1, -1, 9 * MINUTE_MS))], [0])
    plan: Plan = judge().plan(batch, Position())
    changes = judge().apply(plan, Store().load(judge(), plan))
    assert changes.position.clock.now_ms == 9 * MINUTE_MS
    assert changes.messages == []


def test_between_minutes_the_judge_asks_for_no_panel() -> None:
    store = run(judge(), batches("c", 0, [message(0, 1_000, a=5)]))[0]
    [waits] = batches("c", 0, [message(1, 1_001, clock=False, a=6)], first=1)
    [corrects] = batches("c", 0, [message(1, 1_000, clock=False, a=6)], first=1)
    assert judge().plan(waits, store.position).records == ["judge", "wait|1001"]
    assert {"names|stores", "ring|stores|40", "course|roots"} <= {*judge().plan(corrects, store.position).records}
