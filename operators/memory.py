"""How a flow's process holds memory."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST, KEPT = 2**25, 2**28  # bytes; glibc takes no more than the first


def keep_memory() -> bool:
    """Has the C library keep what is freed for the next batch, up to `KEPT`; whether it can.

    Each batch takes blocks of megabytes and gives them back. glibc would return them to the system every time, which
    fills the same pages with zeros again for the next batch.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(M_MMAP_THRESHOLD, LARGEST) and mallopt(M_TRIM_THRESHOLD, KEPT))
