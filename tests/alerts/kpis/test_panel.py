"""Arrays of a panel are packed as narrow as their numbers allow, and what was kept before that is read."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import msgpack

from alerts.kpis.panel import pack, unpack
from features.loop import batches, run
from tests.alerts.kpis.test_judge import judge, message, ring


@settings(deadline=None)
@given(rows=st.lists(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=3, max_size=3), max_size=4))
def test_what_is_packed_narrowly_is_read_as_it_was(rows: list[list[int]]) -> None:
    whole = {"many": np.array(rows, np.int64).reshape(-1, 3), "one": np.array(rows, np.int64).ravel()}
    whole |= {"deep": np.arange(24).reshape(2, 3, 4), "share": np.array([0.5, 2]), "till": np.array([True, False])}
    found = unpack(pack(whole))
    assert all(found[name].dtype == array.dtype and np.array_equal(found[name], array) for name, array in whole.items())
    assert len(pack({"zeros": np.zeros((13, 40_000), np.int64)})) < 200


def test_a_panel_kept_before_it_was_narrow_goes_on() -> None:
    store = run(judge(), batches("c", 0, [message(0, 1_000, a=5, b=6)]))[0]
    for name in ("course|stores", "ring|stores|40", "learned|roots"):
        plain = {n: (a.dtype.str, a.shape, a.tobytes()) for n, a in unpack(store.records[name]).items()}
        store.records[name] = msgpack.encode(plain)
    run(judge(), batches("c", 0, [message(1, 1_001, a=7), message(2, 1_000, clock=False, b=8)], first=1), {0: store})
    assert [ring(store, minute) for minute in (1_000, 1_001)] == [[5, 8], [7]]
