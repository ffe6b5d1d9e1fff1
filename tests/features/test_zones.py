"""Every zone's clock changes are known, and a zone that is not stops nobody."""

from __future__ import annotations

from zoneinfo import available_timezones

import numpy as np
import pytest

from features import events as e
from features.building import build_catalog
from features.customer import Core
from features.times import DAY_MS, MINUTE_MS, offset_ms, parse_time
from features.zones import ZoneTable, check_zone, zone_name
from tests.features.known import Known

NOON_MS = parse_time("2026-05-04T12:00:00Z")


def test_every_zone_changes_its_clocks_when_it_does() -> None:
    table = ZoneTable()
    for name in sorted(available_timezones()):
        for at_ms, offset in table.steps[table.add(name)][1:]:
            found = offset_ms(name, at_ms), offset_ms(name, at_ms - MINUTE_MS)
            assert found[0] == offset != found[1], (name, at_ms)


@pytest.mark.parametrize(
    ("name", "days"),
    [("America/Recife", ("2000-10-08", "2000-10-15")), ("America/Argentina/Tucuman", ("2004-06-01", "2004-06-13"))],
)
def test_clocks_that_went_back_after_days_did_so(name: str, days: tuple[str, str]) -> None:
    table = ZoneTable()
    steps, (first_ms, second_ms) = table.steps[table.add(name)], (parse_time(f"{day}T03:00:00Z") for day in days)
    changed = [at_ms for at_ms, _ in steps if first_ms - DAY_MS < at_ms < second_ms + DAY_MS]
    assert [round((at_ms - first_ms) / DAY_MS) for at_ms in changed] == [0, round((second_ms - first_ms) / DAY_MS)]


def test_a_change_on_the_edge_of_what_is_searched_at_once_is_found() -> None:
    riga = ZoneTable()
    riga.add("Europe/Riga")
    spring_ms = parse_time("2026-03-29T01:00:00Z")
    assert (spring_ms, 3 * 3_600_000) in riga.steps[1]


def test_a_name_that_is_no_zone_leaves_the_table_as_it_was() -> None:
    table = ZoneTable()
    before = table.packed
    with pytest.raises((KeyError, ValueError)):
        table.add("Europe/Nowhere")
    assert list(table.index) == ["UTC"]
    assert np.array_equal(table.packed, before)


@pytest.mark.parametrize("name", ["posix/Asia/Shanghai", "right/UTC", "posixrules", "localtime", "China", "", "../UTC"])
def test_what_is_no_iana_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected an IANA name"):
        check_zone(name)


def test_a_record_whose_zone_is_not_known_here_is_read_and_goes_on() -> None:
    catalog = build_catalog({"windows": ["7d"], "measures": {"orders": {"order": 1}}})
    known = Known(catalog)
    known.take(order(0, NOON_MS))
    known.raw = known.raw[:5] + b"\1\2\3\4" + known.raw[9:]
    with pytest.raises(KeyError):
        zone_name(known.record.zone)
    known.core = Core(catalog)
    assert known.row(NOON_MS)["orders_7d"] == 1
    assert known.core.zones.looked() == 1
    known.take(order(1, NOON_MS + DAY_MS))
    assert (known.row(NOON_MS + DAY_MS)["orders_7d"], known.core.zones.looked()) == (2, 0)
    assert zone_name(known.record.zone) == "Asia/Shanghai"


def order(number: int, at_ms: int) -> e.Order:
    return e.Order(id=f"o{number}", at_ms=at_ms, tz="Asia/Shanghai", lines=[e.Line("tea")], total_cents=1800)
