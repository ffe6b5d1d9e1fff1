"""An alert of every kind in the contract is read, with or without the fields that it may lack."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.formats.cef import cef_line
from alerts.formats.ecs import ecs_event
from alerts.notices.alert import SEVERITIES, read_alert
from alerts.notices.desk import Desk, State
from alerts.notices.sink import Kind
from features.channels import CLOUDEVENTS
from features.messages import Refused, cloudevent
from features.outgoing import Notice
from tests.alerts.notices.made import NOON_MS, TERMS, alert, finding, kpi

ALERTS = {
    name.removeprefix("alert."): shape
    for name, (flow, shape) in CLOUDEVENTS.items()
    if name.startswith("alert.") and flow != "people"
}


def test_a_sink_may_ask_for_every_kind_of_alert_there_is_and_each_has_a_title_of_its_own() -> None:
    assert {*get_args(Kind)} == {*ALERTS}
    for kind in {*ALERTS} - {"security"}:  # a rule of security has a title
        assert alert("id", kind, "subject", **{**sample(kind), "title": ""}).title != kind


def filled(name: str, kind: Any) -> Any:
    """Some value of that type."""
    origin = get_origin(kind)
    if origin is Literal:
        return get_args(kind)[0]
    if origin is UnionType:
        return filled(name, next(part for part in get_args(kind) if part is not NoneType))
    if origin in (list, dict):
        return origin()
    return {str: f"{name} of it", int: 7, float: 0.5, bool: True}.get(kind)


def sample(kind: str) -> dict[str, Any]:
    return {name: filled(name, hint) for name, hint in get_type_hints(ALERTS[kind]).items()}


@pytest.mark.parametrize("kind", ALERTS)
def test_what_the_contract_says_of_an_alert_is_enough_to_tell_of_it(kind: str) -> None:
    found = alert("id-1", kind, "subject-1", **sample(kind))
    assert (found.id, found.kind, found.state, found.at_ms) == ("id-1", kind, "firing", NOON_MS)
    assert found.ends == (kind not in ("security", "service"))
    assert found.severity in SEVERITIES
    assert all((found.key, found.entity, found.title, found.why, found.labels))


@pytest.mark.parametrize("kind", ALERTS)
def test_an_alert_of_which_nothing_is_known_but_its_kind_is_told_all_the_same(kind: str) -> None:
    found = alert("id-1", kind, "subject-1")
    assert (found.entity, found.severity in SEVERITIES, bool(found.title)) == ("subject-1", True, True)


values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.text())
names = st.sampled_from(sorted({name for kind in ALERTS for name in sample(kind)} | {"severity", "case", "stores"}))


@given(st.sampled_from(sorted(ALERTS)), st.dictionaries(names, values | st.dictionaries(st.text(), values)))
def test_whatever_stands_in_its_fields_an_alert_is_read(kind: str, data: dict[str, Any]) -> None:
    assert alert("id", kind, **data).kind == kind


@pytest.mark.parametrize("figure", ["1" + "0" * 400, "1" + "0" * 25, "1" + "0" * 18, "-1"])
@pytest.mark.parametrize("name", ["score", "due_ms", "started_ms", "observed"])
def test_a_number_beyond_all_bounds_is_passed_over_and_its_alert_told(name: str, figure: str) -> None:
    raw = cloudevent("alerts", "k", "i", "alert.service", "other", NOON_MS, "s", {name: 7}).value
    desk = Desk(TERMS, State())
    desk.take(read_alert(raw.replace(b":7", f":{figure}".encode())), NOON_MS)
    notice = desk.notices[0]
    assert (notice.started_ms, msgspec.json.decode(msgspec.json.encode(notice), type=Notice)) == (NOON_MS, notice)
    assert cef_line(notice, "id")
    assert ecs_event(notice, "id")


@pytest.mark.parametrize("value", [b"", b"\xff", b"{}", b'{"specversion": "1.0"}', b"[1]"])
def test_what_is_no_alert_is_refused(value: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_alert(value)
    assert refused.value.reason == "malformed"


def test_what_is_unusual_at_a_store_is_matched_by_the_store() -> None:
    assert (kpi("a").labels["store"], kpi("a").labels["dim"]) == ("s1", "store:s1")
    assert "store" not in kpi("b", dim="region:r").labels


def test_an_alert_under_another_time_is_refused_and_keys_follow_what_belongs_together() -> None:
    with pytest.raises(Refused):
        read_alert(cloudevent("a", "k", "i", "alert.kpi", "kpis", 0, "s", {}).value.replace(b"1970", b"when"))
    assert kpi("a").key == kpi("b", "resolved").key != kpi("c", start=8).key
    assert finding("a").key == finding("b").key != finding("c", rule="r2").key
    assert finding("a", group={"x": "1", "y": "2"}).key == finding("a", group={"y": "2", "x": "1"}).key


@pytest.mark.parametrize(
    ("data", "severity"),
    [
        ({"level": "critical"}, "critical"),
        ({"severity": "page"}, "high"),
        ({"severity": "notice"}, "low"),
        ({"severity": "WARNING", "level": "low"}, "medium"),
        ({"severity": "unheard of"}, "medium"),
        ({}, "medium"),
    ],
)
def test_severities_of_others_become_one_of_five(data: dict[str, str], severity: str) -> None:
    assert finding("a", **{"level": None, **data}).severity == severity  # type: ignore[arg-type]
