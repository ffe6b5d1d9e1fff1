"""How many different values there are, within 2 or 3 %, in 2 kB: HyperLogLog.

Source: Flajolet and others, HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm, 2007.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

BITS = 11
REGISTERS = 1 << BITS
ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)
REST = 64 - BITS


def empty() -> bytearray:
    return bytearray(REGISTERS)


def add(registers: bytearray, hashed: int) -> None:
    """`hashed`: 64 even bits of the value."""
    place, rest = hashed >> REST, hashed & ((1 << REST) - 1)
    rank = REST - rest.bit_length() + 1
    if rank > registers[place]:
        registers[place] = rank


def estimate(sketches: Iterable[bytearray]) -> int:
    """Different values in all of them together."""
    merged = np.maximum.reduce([np.frombuffer(each, np.uint8) for each in sketches])
    counts = np.bincount(merged, minlength=REST + 2)
    raw = ALPHA * REGISTERS * REGISTERS / float(counts @ np.ldexp(1.0, -np.arange(len(counts))))
    if raw <= 2.5 * REGISTERS and counts[0]:
        return round(REGISTERS * float(np.log(REGISTERS / counts[0])))
    return round(raw)
