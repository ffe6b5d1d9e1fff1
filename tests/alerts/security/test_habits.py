"""What is unusual for an actor: by their own habits, or by their peers' as long as they are new."""

from __future__ import annotations

from math import log1p
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.security.fields import flat_fields
from alerts.security.habits import (
    HOURS_DAYS,
    LEARN_DAYS,
    LONGEST_FIELD,
    MOST_CUSTOMERS,
    MOST_FIELDS,
    MOST_TERMS,
    PEER_DAYS,
    Habit,
    Peers,
    decode_habit,
    encode_habit,
    observe,
    peer_records,
)
from alerts.security.moments import Moments
from alerts.security.networks import read_networks
from features.events import Audit, AuditAccess, AuditExport
from features.times import DAY_MS, HOUR_MS, parse_time

MONDAY_MS = parse_time("2026-05-04T00:00:00+08:00")
TABLE = """\
cidr,network,place,latitude,longitude
10.1.0.0/16,shanghai office,Shanghai,31.23,121.47
10.2.0.0/16,beijing office,Beijing,39.90,116.40
10.3.0.0/16,suzhou office,Suzhou,31.30,120.60
"""
NETWORKS = read_networks(TABLE.splitlines(), "networks.csv")


def export(day: float, hour: float = 10, rows: int = 100, **more: Any) -> AuditExport:
    at_ms = MONDAY_MS + round(day * DAY_MS + hour * HOUR_MS)
    more = {"actor": "ann", "role": "analyst", "tz": "Asia/Shanghai", "client_ip": "10.1.0.7", **more}
    return AuditExport(id=f"{at_ms}", at_ms=at_ms, rows=rows, **more)


def view(day: float, hour: float, object: str, **more: Any) -> AuditAccess:
    at_ms = MONDAY_MS + round(day * DAY_MS + hour * HOUR_MS)
    more = {"actor": "ann", "role": "analyst", "tz": "Asia/Shanghai", "client_ip": "10.1.0.7", **more}
    return AuditAccess(id=f"{at_ms}", at_ms=at_ms, action="view", object=object, rows=1, **more)


def signals(habit: Habit, *events: Audit, circles: list[Peers] | None = None) -> list[str]:
    found = []
    for event in events:
        address = NETWORKS.find(event.client_ip)
        found += observe(habit, circles or [], event, flat_fields(event, NETWORKS), address)
    return [signal.name for signal in found]


def known(days: int = 21) -> Habit:
    """Somebody who exports 100 rows at ten every working day."""
    habit = Habit()
    assert signals(habit, *(export(day) for day in range(days) if day % 7 < 5)) == []
    return habit


def test_a_day_like_every_other_says_nothing_and_one_with_far_more_rows_does() -> None:
    assert signals(known(), export(21)) == []
    assert signals(known(), export(21, rows=1_000)) == ["volume"]


def test_rows_of_a_day_add_up_and_the_day_is_told_once() -> None:
    pieces = [export(21, 9 + n / 2, rows=90) for n in range(12)]
    assert signals(known(), *pieces) == ["volume"]
    assert signals(known(), *(export(21 + n, rows=90) for n in range(4))) == []


def test_who_repeats_a_theft_stays_unusual() -> None:
    assert signals(known(), *(export(day, rows=5_000) for day in (21, 22, 23, 24, 25))) == ["volume"] * 5


def test_what_was_refused_adds_nothing() -> None:
    assert signals(known(), export(21, rows=90_000, result="denied")) == []


def test_many_different_customers_are_unusual_and_one_many_times_is_not() -> None:
    assert signals(known_viewer(), *(view(28, 10 + n / 100, "c1") for n in range(150))) == []
    assert signals(known_viewer(), *(view(28, 10 + n / 100, f"c{n}") for n in range(60))) == ["customers"]


def known_viewer() -> Habit:
    habit = Habit()
    signals(habit, *(view(day, 10 + n / 10, f"c{day}-{n}") for day in range(21) if day % 7 < 5 for n in range(8)))
    return habit


@pytest.mark.parametrize(
    ("more", "signal"),
    [
        ({"client_ip": "203.0.113.9"}, "new_network"),
        ({"device": "pc-9"}, "new_device"),
        ({"purpose": "curiosity"}, "new_purpose"),
        ({"fields": ["passport"]}, "new_field"),
        ({"key": "k9"}, "new_key"),
    ],
)
def test_what_a_known_actor_meets_for_the_first_time_is_told_once(more: dict[str, Any], signal: str) -> None:
    habit = known()
    assert signals(habit, export(21, **more)) == [signal]
    assert signals(habit, export(22, **more)) == []


@settings(deadline=None)
@given(
    st.sampled_from(["purpose", "key", "device"]),
    st.from_regex(r"(?:\+86)?1[3-9]\d{9}|sk-[a-z0-9]{24}", fullmatch=True),
)
def test_free_text_keys_and_devices_are_told_to_be_new_and_never_repeated(name: str, secret: str) -> None:
    event = export(21, **{name: secret})
    (signal,) = observe(known(), [], event, flat_fields(event, NETWORKS), NETWORKS.find(event.client_ip))
    assert signal.why == f"a {name}, for the first time of this actor"


def test_an_action_a_field_and_a_network_are_named() -> None:
    event = export(21, fields=["passport"])
    (signal,) = observe(known(), [], event, flat_fields(event, NETWORKS), NETWORKS.find(event.client_ip))
    assert signal.why == "field passport, for the first time of this actor"


def test_a_first_export_ever_is_new_for_somebody_who_only_looks() -> None:
    assert signals(known_viewer(), export(28, rows=10)) == ["new_action"]


def test_nothing_is_new_for_somebody_who_is_not_known_yet() -> None:
    events = [export(day, rows=10 ** (day + 1), client_ip=f"203.0.{day}.9") for day in range(LEARN_DAYS)]
    assert signals(Habit(), *events) == []


def test_an_hour_of_the_night_is_unusual_and_one_beside_the_usual_is_not() -> None:
    assert signals(known(), export(21, hour=3)) == ["unusual_hour"]
    assert signals(known(), export(21, hour=11)) == []
    assert signals(known(), export(26)) == ["unusual_hour"]  # on a Saturday


def test_hours_are_not_judged_before_so_many_days() -> None:
    habit = Habit()
    assert signals(habit, *(export(day) for day in range(HOURS_DAYS - 1)), export(HOURS_DAYS - 1, hour=3)) == []


def test_nobody_is_in_beijing_half_an_hour_after_shanghai_and_anybody_may_be_after_three() -> None:
    def beijing(hour: float) -> AuditExport:
        return export(0, hour, client_ip="10.2.0.1")

    assert signals(Habit(), export(0, 10), beijing(10.5)) == ["impossible_travel"]
    assert signals(Habit(), export(0, 10), beijing(13)) == []
    assert signals(Habit(), export(0, 10), export(0, 10.01, client_ip="10.3.0.1")) == []  # next door
    assert signals(Habit(), export(0, 10), export(0, 10.01, client_ip="203.0.113.9")) == []  # who knows where
    late = [export(0, 10), export(0, 9.9, client_ip="10.2.0.1")]
    assert signals(Habit(), *late) == []


def peers() -> list[Peers]:
    """Colleagues who export 100 rows a day."""
    circles = [Peers(), Peers()]
    for number in range(PEER_DAYS // 5 + 1):
        signals(Habit(), *(export(day, actor=f"p{number}") for day in range(6)), circles=circles)
    return circles


def test_a_new_actor_is_judged_by_peers() -> None:
    assert signals(Habit(), export(30, rows=110), circles=peers()) == []
    assert signals(Habit(), export(30, rows=4_000), circles=peers()) == ["volume"]
    stranger = export(30, purpose="curiosity", device="pc-1", key="k1")
    assert signals(Habit(), stranger, circles=peers()) == ["new_purpose"]


def test_peers_that_are_not_known_yet_judge_nobody_and_the_wider_circle_does() -> None:
    narrow, wide = Peers(), peers()[1]
    assert signals(Habit(), export(30, rows=4_000), circles=[narrow]) == []
    assert signals(Habit(), export(30, rows=4_000), circles=[narrow, wide]) == ["volume"]


def test_peers_are_those_of_the_role_at_the_store_then_of_the_role() -> None:
    assert peer_records(export(0, store="s1")) == ["peers|analyst|s1", "peers|analyst"]
    assert peer_records(export(0)) == ["peers|analyst"]
    assert peer_records(export(0, role="")) == []


def test_a_signal_counts_once_a_day_also_where_one_event_gives_it_many_times() -> None:
    habit = known()
    assert signals(habit, export(22, fields=["phone", "birthday", "address"])) == ["new_field"]
    assert signals(habit, export(22, hour=11, fields=["points"])) == []


def test_an_event_of_any_number_of_fields_is_looked_at_in_bounds() -> None:
    event = export(22, fields=[f"{n}{'x' * 1_000}" for n in range(1_000)])
    habit = known()
    found = observe(habit, [], event, flat_fields(event, NETWORKS), NETWORKS.find(event.client_ip))
    assert MOST_FIELDS < len(habit.terms) < MOST_TERMS
    assert max(len(signal.why) for signal in found) < 2 * LONGEST_FIELD


def test_a_record_stays_small_whatever_an_actor_does() -> None:
    habit = Habit()
    events = [view(n / 2000, 0, f"c{n}", client_ip=f"10.{n % 250}.{n % 241}.1", device=f"d{n}") for n in range(4_000)]
    signals(habit, *events)
    assert len(habit.customers) <= MOST_CUSTOMERS
    assert len(habit.terms) <= MOST_TERMS
    assert decode_habit(encode_habit(habit)) == habit


@settings(deadline=None)
@given(st.lists(st.floats(0, 12), min_size=1, max_size=20))
def test_the_first_values_weigh_the_same(values: list[float]) -> None:
    moments = Moments()
    for value in values:
        moments.learn(value, far=1e9)
    assert moments.mean == pytest.approx(np.mean(values))
    assert moments.variance == pytest.approx(np.var(values), abs=1e-9)


def test_moments_are_rivers_once_the_newest_value_has_its_weight() -> None:
    from river.stats import EWMean

    moments, river = Moments(count=1_000, mean=3.0), EWMean(fading_factor=0.05)
    river.update(3.0)
    for value in (log1p(n % 7 * 100) for n in range(50)):
        moments.learn(value, far=1e9)
        river.update(value)
    assert moments.mean == pytest.approx(river.get())


def test_a_late_event_of_a_day_that_is_over_changes_no_other_day() -> None:
    habit = known()
    signals(habit, export(21, rows=50))
    before = habit.rows
    assert signals(habit, export(18, rows=100_000)) == []
    assert habit.rows == before
