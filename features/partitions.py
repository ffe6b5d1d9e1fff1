"""Which Kafka partition a key belongs to: murmur2 as in Kafka's Java client.

Source: org.apache.kafka.common.utils.Utils.murmur2; every producer here sets `murmur2_random`.
"""

from __future__ import annotations

from itertools import count
from struct import unpack_from

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


def partition_keys(partitions: int) -> list[str]:
    """One key for each partition, in partition order: how to speak to all of them."""
    found: dict[int, str] = {}
    for number in count():
        found.setdefault(partition_of(f"p{number}", partitions), f"p{number}")
        if len(found) == partitions:
            return [found[p] for p in range(partitions)]
    raise AssertionError("unreachable")
