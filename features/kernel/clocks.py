"""Wall clocks: the offset of a zone at a time, and the days and months of moments there.

The zones `z`: their number, then pairs (crc, where its steps start), the end, and steps (from when on, offset in ms).
"""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import Ints
from features.kernel.compiled import compiled, making_arrays
from features.times import DAY_MS, EPOCH_DAY


@compiled
def zone_offset_ms(z: Ints, zone: int, at_ms: int) -> int:
    low, high = z[2 + 2 * zone], z[4 + 2 * zone]
    if z[high - 2] <= at_ms:
        return z[high - 1]
    while high - low > 2:
        middle = low + (high - low) // 4 * 2
        if z[middle] <= at_ms:
            low = middle
        else:
            high = middle
    return z[low + 1]


@compiled
def moment_at(z: Ints, zone: int, wall_ms: int) -> int:
    """When the wall clock of a zone shows this; what it skips in spring comes an hour later."""
    guess_ms = wall_ms - zone_offset_ms(z, zone, wall_ms)
    return wall_ms - zone_offset_ms(z, zone, guess_ms)


@making_arrays
def local_times(z: Ints, zones: Ints, at_ms: Ints) -> Ints:
    """The wall's clock of each moment in its zone (UTC for -1), as if it were UTC, in ms."""
    local_ms = np.empty(len(at_ms), np.int64)
    for i in range(len(at_ms)):
        local_ms[i] = at_ms[i] + zone_offset_ms(z, max(0, zones[i]), at_ms[i])
    return local_ms


@compiled
def day_of(z: Ints, zone: int, at_ms: int) -> int:
    return (at_ms + zone_offset_ms(z, zone, at_ms)) // DAY_MS + EPOCH_DAY


@compiled
def month_of(day: int) -> int:
    """Months since year 0 of a proleptic ordinal; http://howardhinnant.github.io/date_algorithms.html"""
    z = day + 305  # from 1 March of the year 0
    era = z // 146097
    of_era = z - era * 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    return 12 * (year + 400 * era) + 2 + (5 * of_year + 2) // 153


@compiled
def year_ms(local_ms: int) -> int:
    """From a local time to the same date a year later; from 29 February, to 1 March."""
    month = month_of(local_ms // DAY_MS + EPOCH_DAY)
    year = month // 12 + (month % 12 >= 2)  # whose 29 February would lie between
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return (366 if leap else 365) * DAY_MS
