"""Which Kafka partition a key belongs to: murmur2 as in Kafka's Java client.

Source: org.apache.kafka.common.utils.Utils.murmur2; every producer here sets `murmur2_random`.
"""

from __future__ import annotations

from collections import defaultdict
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
    places = defaultdict[int, list[int]](list)
    raw, out = [key.encode() for key in keys], [0] * len(keys)
    for place, key in enumerate(raw):
        places[len(key)].append(place)
    for length, alike in places.items():
        same = np.frombuffer(b"".join([raw[place] for place in alike]), dtype=np.uint8).reshape(len(alike), length)
        found = ((_murmur2_rows(same) & np.uint32(0x7FFFFFFF)) % np.uint32(partitions)).tolist()
        if len(alike) == len(keys):
            return found  # type: ignore[no-any-return]
        for place, partition in zip(alike, found, strict=True):
            out[place] = partition
    return out


def _murmur2_rows(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """murmur2 of the rows of uint8[n, length]; uint32 wraps around as the masks in `murmur2` do."""
    length, m = rows.shape[1], np.uint32(M)
    whole = length & ~3
    h = np.full(len(rows), (0x9747B28C ^ length) & MASK, dtype=np.uint32)
    words = np.ascontiguousarray(rows[:, :whole]).view("<u4").T * m
    words ^= words >> np.uint32(R)
    words *= m
    for word in words:
        h = h * m ^ word
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
