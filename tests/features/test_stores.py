"""The store table is read whole or refused with its line."""

from __future__ import annotations

import pytest

from features.stores import WrongStores, read_stores

HEAD = "store,region,timezone"


def test_a_store_has_a_region_and_a_time_zone() -> None:
    stores = read_stores([HEAD, "s1,south,Asia/Shanghai", "s2,,America/New_York"], "UTC", "stores.csv")
    assert stores.place("s1") == ("south", "Asia/Shanghai")
    assert stores.place("s2") == ("", "America/New_York")
    assert stores.place("s3") == ("", "UTC")


def test_a_store_may_say_in_which_country_its_customers_phones_are() -> None:
    stores = read_stores([HEAD + ",country", "s1,south,Asia/Shanghai,CN", "s2,,Asia/Tokyo,"], "UTC", "stores.csv")
    assert stores.countries == {"s1": "CN"}


def test_a_country_that_is_none_is_refused_with_its_line() -> None:
    with pytest.raises(WrongStores, match="line 2: country: found 'China'"):
        read_stores([HEAD + ",country", "s1,south,Asia/Shanghai,China"], "UTC", "stores.csv")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["store,tz", "s1,UTC"], "stores.csv: line 1: found columns ['store', 'tz'], expected ['store',"),
        ([], "stores.csv: line 1: found columns None"),
        (
            [HEAD, "s1,south,UTC", "s2,south,China"],
            "stores.csv: line 3: timezone: found 'China', expected an IANA name",
        ),
        ([HEAD, "s1,south,"], "stores.csv: line 2: timezone: found ''"),
        ([HEAD, "s1,south"], "stores.csv: line 2: timezone: found None"),
    ],
)
def test_a_table_that_cannot_be_used_names_line_and_what_was_found(lines: list[str], message: str) -> None:
    with pytest.raises(WrongStores) as wrong:
        read_stores(lines, "UTC", "stores.csv")
    assert str(wrong.value).startswith(message)


def test_a_store_may_be_of_a_brand() -> None:
    lines = [HEAD + ",brand,country", "s1,south,Asia/Shanghai,Leaf,CN", "s2,,Asia/Tokyo,,"]
    stores = read_stores(lines, "UTC", "stores.csv")
    assert (stores.brands, stores.countries) == ({"s1": "Leaf"}, {"s1": "CN"})


@pytest.mark.parametrize("head", [HEAD + ",brnd", HEAD + ",brand,brand", "region,store,timezone"])
def test_columns_that_nobody_knows_are_refused(head: str) -> None:
    with pytest.raises(WrongStores, match="line 1: found columns"):
        read_stores([head], "UTC", "stores.csv")
