"""The store table: region and time zone of every store."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from zoneinfo import ZoneInfo

from msgspec import Struct

COLUMNS = ["store", "region", "timezone"]


class WrongStores(ValueError):
    """A store table that cannot be used; the message names file, line, found and expected."""


class Stores(Struct, frozen=True):
    """Stores the table does not name have no region and the default time zone."""

    default_tz: str
    places: dict[str, tuple[str, str]] = {}  # store → (region, time zone)

    def place(self, store: str, sent_tz: str = "") -> tuple[str, str]:
        """Region and time zone. Raises KeyError, ValueError when the zone that was sent is none."""
        known = self.places.get(store)
        if known is not None:
            return known
        if sent_tz:
            ZoneInfo(sent_tz)
        return "", sent_tz or self.default_tz


def read_stores(lines: Iterable[str], default_tz: str, file: str) -> Stores:
    """Stores of a CSV with the columns store, region, timezone. Raises WrongStores."""
    rows = csv.DictReader(lines)
    if rows.fieldnames != COLUMNS:
        raise WrongStores(f"{file}: line 1: found columns {rows.fieldnames}, expected {COLUMNS}")
    places: dict[str, tuple[str, str]] = {}
    for row in rows:
        try:
            ZoneInfo(row["timezone"])
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise WrongStores(
                f"{file}: line {rows.line_num}: timezone: found {row['timezone']!r}, expected an IANA name"
            ) from error
        places[row["store"]] = (row["region"], row["timezone"])
    return Stores(default_tz, places)
