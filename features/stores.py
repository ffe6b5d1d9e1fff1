"""The store table: region, time zone and, if it says so, country and brand of every store."""

from __future__ import annotations

import csv
from collections.abc import Iterable

from msgspec import Struct
from phonenumbers import SUPPORTED_REGIONS

from features.zones import check_zone

COLUMNS = ["store", "region", "timezone"]
COUNTRY, BRAND = "country", "brand"  # further columns, which may be missing; a country is two capitals, as in CN


class WrongStores(ValueError):
    """A store table that cannot be used; the message names file, line, found and expected."""


class Stores(Struct, frozen=True):
    """Stores the table does not name have no region and the default time zone."""

    default_tz: str
    places: dict[str, tuple[str, str]] = {}  # store → (region, time zone)
    countries: dict[str, str] = {}  # store → where its customers' phone numbers are from
    brands: dict[str, str] = {}

    def place(self, store: str, sent_tz: str = "") -> tuple[str, str]:
        """Region and time zone. Raises ValueError when the zone that was sent is none."""
        known = self.places.get(store)
        if known is not None:
            return known
        if sent_tz:
            check_zone(sent_tz)
        return "", sent_tz or self.default_tz


def read_stores(lines: Iterable[str], default_tz: str, file: str) -> Stores:
    """Stores of a CSV with the columns store, region, timezone, perhaps country and brand. Raises WrongStores."""
    rows = csv.DictReader(lines)
    found = list(rows.fieldnames or ())
    if found[:3] != COLUMNS or len({*found}) < len(found) or not {*found[3:]} <= {COUNTRY, BRAND}:
        raise WrongStores(
            f"{file}: line 1: found columns {rows.fieldnames}, expected {COLUMNS}, then perhaps 'country', 'brand'"
        )
    places: dict[str, tuple[str, str]] = {}
    countries: dict[str, str] = {}
    brands: dict[str, str] = {}
    for row in rows:
        try:
            check_zone(row["timezone"] or "")
        except ValueError as error:
            raise WrongStores(
                f"{file}: line {rows.line_num}: timezone: found {row['timezone']!r}, expected an IANA name"
            ) from error
        places[row["store"]] = (row["region"], row["timezone"])
        country = row.get(COUNTRY) or ""
        if country and country not in SUPPORTED_REGIONS:
            raise WrongStores(
                f"{file}: line {rows.line_num}: {COUNTRY}: found {country!r}, expected two capitals such as 'CN'"
            )
        if country:
            countries[row["store"]] = country
        if brand := (row.get(BRAND) or "").strip():
            brands[row["store"]] = brand
    return Stores(default_tz, places, countries, brands)
