"""Where an address is."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.security.networks import COLUMNS, WrongNetworks, distance_km, read_networks

HEAD = ",".join(COLUMNS)
NESTED = [("10.0.0.0/8", "house"), ("10.20.0.0/16", "office"), ("10.20.3.0/24", "vault"), ("2001:db8::/32", "six")]
TABLE = [HEAD, *(f"{cidr},{name},,," for cidr, name in NESTED)]


@settings(deadline=None)
@given(st.one_of(st.ip_addresses(), st.integers(0, 2**24 - 1).map(lambda n: ip_address(10 * 2**24 + n))))
def test_the_smallest_network_that_holds_an_address_counts(address: object) -> None:
    holding = [(ip_network(cidr).prefixlen, name) for cidr, name in NESTED if address in ip_network(cidr)]
    found = read_networks(TABLE, "n.csv").find(str(address)).network
    if holding:
        assert found == max(holding)[1]
    else:
        assert address in ip_network(found)


def test_neighbours_of_an_unknown_network_are_one_and_others_are_not() -> None:
    networks = read_networks([HEAD], "n.csv")
    assert networks.find("203.0.113.9") == networks.find("203.0.113.200") != networks.find("203.0.114.9")
    assert networks.find("::ffff:203.0.113.9") == networks.find("203.0.113.9")
    assert networks.find("till-7.local").network == networks.find("").network == ""


def test_shanghai_is_a_thousand_kilometres_from_beijing() -> None:
    assert distance_km((31.23, 121.47), (39.90, 116.40)) == pytest.approx(1_067, abs=5)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("10.0.0.1/8,x,,,", "n.csv: line 2: cidr: found '10.0.0.1/8', expected such as '10.20.0.0/16'"),
        ("10.0.0.0/8,,,,", "n.csv: line 2: network: found nothing"),
        ("10.0.0.0/8,x,,1,", "n.csv: line 2: latitude, longitude: found '1', '', expected degrees, or both empty"),
        ("10.0.0.0/8,x,,91,0", "n.csv: line 2: latitude, longitude: found '91', '0'"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(line: str, told: str) -> None:
    with pytest.raises(WrongNetworks, match=told.replace("(", r"\(")):
        read_networks([HEAD, line], "n.csv")
    with pytest.raises(WrongNetworks, match="line 1: found columns"):
        read_networks(["cidr,name"], "n.csv")
