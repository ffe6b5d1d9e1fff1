"""Where an address is: the network table, and for what it does not hold, the address's neighbourhood."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from math import asin, cos, radians, sin, sqrt
from typing import NamedTuple, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network
COLUMNS = ["cidr", "network", "place", "latitude", "longitude"]
NEIGHBOURS = {4: 24, 6: 48}  # bits that the addresses of one unknown network share
EARTH_KM = 6371.0


class WrongNetworks(ValueError):
    """A network table that cannot be used; the message names file, line, found and expected."""


class Address(NamedTuple):
    """`network` is its name, `place` where it is; `at` are latitude and longitude in degrees, if they are known."""

    network: str = ""
    place: str = ""
    at: tuple[float, float] | None = None


UNKNOWN = Address()


class Networks:
    """The table; of several networks that hold an address, the smallest counts."""

    def __init__(self, known: Iterable[tuple[Network, Address]] = ()) -> None:
        self.known = sorted(known, key=lambda pair: -pair[0].prefixlen)
        self.find = lru_cache(65_536)(self._find)

    def _find(self, text: str) -> Address:
        """Of what is no address, such as a host name, nothing is known."""
        try:
            address = _plain(ip_address(text))
        except ValueError:
            return UNKNOWN
        for network, found in self.known:
            if address in network:
                return found
        return Address(str(ip_network((address, NEIGHBOURS[address.version]), strict=False)))


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address that is written as IPv6 is one of IPv4."""
    return getattr(address, "ipv4_mapped", None) or address


def distance_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Along the surface (haversine)."""
    (a, b), (c, d) = ((radians(x), radians(y)) for x, y in (one, other))
    half = sin((c - a) / 2) ** 2 + cos(a) * cos(c) * sin((d - b) / 2) ** 2
    return 2 * EARTH_KM * asin(min(1.0, sqrt(half)))


def read_networks(lines: Iterable[str], file: str) -> Networks:
    """Networks of a CSV; latitude and longitude may both be empty. Raises WrongNetworks."""
    rows = csv.DictReader(lines)
    if rows.fieldnames != COLUMNS:
        raise WrongNetworks(f"{file}: line 1: found columns {rows.fieldnames}, expected {COLUMNS}")
    return Networks([_read(row, f"{file}: line {rows.line_num}") for row in rows])


def _read(row: dict[str, str], where: str) -> tuple[Network, Address]:
    try:
        network = ip_network(row["cidr"])
    except ValueError as error:
        raise WrongNetworks(f"{where}: cidr: found {row['cidr']!r}, expected such as '10.20.0.0/16'") from error
    if not row["network"]:
        raise WrongNetworks(f"{where}: network: found nothing, expected a name such as 'head office'")
    return network, Address(row["network"], row["place"] or "", _point(row, where))


def _point(row: dict[str, str], where: str) -> tuple[float, float] | None:
    if not row["latitude"] and not row["longitude"]:
        return None
    try:
        at = float(row["latitude"]), float(row["longitude"])
    except (TypeError, ValueError):
        at = (99.0, 0.0)
    if not (abs(at[0]) <= 90 and abs(at[1]) <= 180):
        found = f"{row['latitude']!r}, {row['longitude']!r}"
        raise WrongNetworks(f"{where}: latitude, longitude: found {found}, expected degrees, or both empty")
    return at
