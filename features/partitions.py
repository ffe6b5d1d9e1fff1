"""Which Kafka partition a key belongs to: murmur2 as in Kafka's Java client.

Source: org.apache.kafka.common.utils.Utils.murmur2; every producer here sets `murmur2_random`.
"""

from __future__ import annotations

from itertools import count
from struct import unpack_from

import numpy as np
import numpy.typing as npt

M, R, MASK = 0x5BD1E995, 24, 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    h = (0x9747B28C ^ len(data)) & MASK
    whole = len(data) & ~3
    for word in unpack_from(f"<{whole // 4}I", data):
        k = word * M & MASK
        k = (k ^ k >> R) * M & MASK
        h = (h * M & MASK) ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * M & MASK
    h = (h ^ h >> 13) * M & MASK
    return h ^ h >> 15


def partition_of(key: str, partitions: int) -> int:
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def partitions_of(keys: list[str], partitions: int) -> list[int]:
    """`partition_of` of many keys; those of one length, as customer ids are, at once."""
    raw, out = [key.encode() for key in keys], np.empty(len(keys), dtype=np.int64)
    lengths = np.fromiter(map(len, raw), dtype=np.int64, count=len(raw))
    for length in np.unique(lengths).tolist():
        places = np.flatnonzero(lengths == length)
        same = np.frombuffer(b"".join(raw[i] for i in places.tolist()), dtype=np.uint8).reshape(len(places), length)
        out[places] = (_murmur2_rows(same) & np.uint32(0x7FFFFFFF)) % partitions
    return out.tolist()


def _murmur2_rows(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """murmur2 of the rows of uint8[n, length]; uint32 wraps around as the masks in `murmur2` do."""
    length, m = rows.shape[1], np.uint32(M)
    whole = length & ~3
    h = np.full(len(rows), (0x9747B28C ^ length) & MASK, dtype=np.uint32)
    for word in np.ascontiguousarray(rows[:, :whole]).view("<u4").T:
        k = word * m
        h = (h * m) ^ ((k ^ (k >> np.uint32(R))) * m)
    if whole < length:
        rest = np.zeros((len(rows), 4), dtype=np.uint8)
        rest[:, : length - whole] = rows[:, whole:]
        h = (h ^ rest.view("<u4")[:, 0]) * m
    h = (h ^ (h >> np.uint32(13))) * m
    found: npt.NDArray[np.uint32] = h ^ (h >> np.uint32(15))
    return found


def partition_keys(partitions: int) -> list[str]:
    """One key for each partition, in partition order: how to speak to all of them."""
    found: dict[int, str] = {}
    for number in count():
        found.setdefault(partition_of(f"p{number}", partitions), f"p{number}")
        if len(found) == partitions:
            return [found[p] for p in range(partitions)]
    raise AssertionError("unreachable")
