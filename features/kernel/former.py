"""What records of earlier versions had in another form; features/record.py documents the bytes."""

from __future__ import annotations

from features.kernel.arrays import AT_TABLE, PAIRS, ROOM_OF, TABLE, TABLE_AT, Bytes, Ints
from features.kernel.compiled import compiled
from features.kernel.intrinsics import copy_bytes
from features.kernel.packing import read_varint


@compiled
def skip_row_of_before(blob: Bytes, at: int, end: int) -> int:
    at_ms, at = read_varint(blob, at, end)
    if at_ms == 0:
        return at
    for _ in range(2):
        _, at = read_varint(blob, at, end)
    count, at = read_varint(blob, at, end)
    return _behind(at, count, 8, end)


@compiled
def _behind(at: int, count: int, size: int, end: int) -> int:
    return at + size * count if 0 <= count <= (end - at) // size else end + 1


@compiled
def unpack_tables_of_before(blob: Bytes, at: int, end: int, s: Ints, g: Ints, places: int, tables: int) -> int:
    known, at = read_varint(blob, at, end)
    for _ in range(known):
        old, at = read_varint(blob, at, end)
        weighed_ms, at = read_varint(blob, at, end)
        count, at = read_varint(blob, at, end)
        if not 0 <= old < tables or not 0 <= count <= (end - at) // 16:
            return end + 1
        t = g[places + old]
        if t >= 0:
            if count > ROOM_OF[g[g[AT_TABLE] + 2 * t]]:
                return end + 1
            table = g[TABLE_AT] + TABLE * t
            s[table], s[table + 1] = count, weighed_ms
            copy_bytes(s, 8 * (table + PAIRS), blob, at, 16 * count)
        at += 16 * count
    return at
