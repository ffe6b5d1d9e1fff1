"""A batch of events in log order: records and events in, new records, feature rows and labels out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from features.kernel.arrays import (
    AMOUNT,
    AMOUNTS,
    ASKED,
    AT,
    AT_KIND,
    AT_TABLE,
    CLOCK,
    CODE,
    DATED,
    DEALS,
    DONE,
    EVENT,
    FIRES,
    FIRST,
    FIVE_MS,
    HOME,
    HORIZONS,
    ID,
    INPUTS,
    KIND,
    LABELLED,
    LAST,
    LIFE,
    MOMENT,
    N_DEALS,
    N_SEEN,
    NEEDS_ROOM,
    NEEDS_ZONE,
    NEWEST,
    OF_KIND,
    ORDER,
    ORDERED,
    PLACES,
    REFERRED,
    RING,
    RULE,
    SEEN,
    SPEND,
    SPEND_MS,
    TABLE_AT,
    TABLE_OF,
    TOUCHED,
    TOUCHES,
    UNTIL,
    VOID,
    WAKE,
    WHO,
    ZONE,
    Bytes,
    Floats,
    Ints,
)
from features.kernel.clocks import day_of
from features.kernel.compiled import compiled, making_arrays
from features.kernel.consent import note
from features.kernel.intrinsics import copy_bytes
from features.kernel.labelling import hear_order, hear_spend, hear_void, is_later, keep_later, keep_rows
from features.kernel.panes import add_cell, coarsen, pane_at
from features.kernel.records import most_bytes, new_state, pack, unpack
from features.kernel.rows import ask_row
from features.kernel.tables import add_time, drop_time, touch
from features.kernel.timers import arm_dates, arm_lacking, arm_waits, fire, wake_for_rows


class Outcome(NamedTuple):
    status: int
    detail: int  # customer at which it ended, or the zone's crc
    blob: Bytes
    ends: Ints  # by customer
    ledgers: Ints  # by customer: where the ledger starts
    referred: Ints  # by customer: when somebody last said to have brought them; 0: nobody
    wakes: Ints  # [customers, 2]: before, after
    repeated: Bytes  # by event
    rows: Floats  # [asked, features]
    asked: Ints  # [asked, ASKED]
    inputs: Floats  # [labelled, inputs]
    labelled: Ints  # [labelled, LABELLED + horizons]


@making_arrays
def advance(
    g: Ints,
    z: Ints,
    e: Ints,
    touches: Ints,
    order: Ints,
    ends: Ints,
    clock_ms: int,
    before_ms: int,
    blob: Bytes,
    blob_starts: Ints,
    blob_ends: Ints,
    lacks: Bytes,
    features: int,
    room: int,
) -> Outcome:
    """Every customer's record after the batch, the rows that were asked for, the rows that got their label.

    `order` and `ends` group the events by customer; `before_ms` and `clock_ms` are the partition's clock
    before and after the batch. `blob` holds the customers' records, each from its start to its end, nothing for a new
    customer; `lacks`: by customer, whether timers may be missing of rules that have come. `room`: rows.
    """
    customers, events = len(blob_ends), len(e)
    s = new_state(g)
    out = np.empty(len(blob) + 256 * (customers + 1), np.uint8)
    out_ends, ledgers = np.zeros(customers, np.int64), np.zeros(customers, np.int64)
    referred = np.zeros(customers, np.int64)
    wakes, repeated = np.zeros((customers, 2), np.int64), np.zeros(events, np.uint8)
    rows, asked = np.empty((room, features), np.float64), np.empty((room, ASKED), np.int64)
    most = (events + customers) * (2 * g[HORIZONS] + 1)
    inputs = np.empty((most, g[INPUTS]), np.float64)
    labelled = np.empty((most, LABELLED + g[HORIZONS]), np.int64)
    labels = (inputs, labelled)
    r, n, at, status, detail = np.int64(0), np.int64(0), np.int64(0), DONE, np.int64(0)
    first = np.int64(0)
    for c in range(customers):
        status, detail, ledger = unpack(blob, blob_starts[c], blob_ends[c], s, g, z)
        if status != DONE:
            detail = detail if status == NEEDS_ZONE else np.int64(c)
            break
        wakes[c, 0] = s[WAKE]
        if lacks[c]:
            arm_lacking(s, g, z, before_ms)
        for k in range(first, ends[c]):
            i = order[k]
            if r >= 0 and 0 < s[WAKE] <= e[i, CLOCK]:
                r, n = fire(s, g, z, e[i, CLOCK], c, rows, asked, r, labels, n)
            if r >= 0:
                r, repeated[i] = _apply(s, g, z, e, touches, i, c, rows, asked, r)
        if r >= 0 and 0 < s[WAKE] <= clock_ms:
            r, n = fire(s, g, z, clock_ms, c, rows, asked, r, labels, n)
        if r < 0:
            status = NEEDS_ROOM
            break
        wakes[c, 1], referred[c] = s[WAKE], s[LAST + g[REFERRED]]
        tail = blob_ends[c] - ledger
        out = _grown(out, at, most_bytes(s, g) + tail)
        at = pack(out, at, s, g, z)
        ledgers[c] = at
        copy_bytes(out, at, blob, ledger, tail)
        at += tail
        out_ends[c] = at
        first = ends[c]
    r = max(r, 0)
    return Outcome(
        status,
        detail,
        out[:at],
        out_ends,
        ledgers,
        referred,
        wakes,
        repeated,
        rows[:r],
        asked[:r],
        inputs[:n],
        labelled[:n],
    )


@compiled
def _apply(
    s: Ints,
    g: Ints,
    z: Ints,
    e: Ints,
    touches: Ints,
    i: int,
    who: int,
    rows: Floats,
    asked: Ints,
    r: int,
) -> tuple[int, bool]:
    """Applies an event; how many rows are asked then (-1: no room), and whether it came before."""
    kind, at_ms, clock_ms = e[i, KIND], e[i, AT], e[i, CLOCK]
    of_kind = g[AT_KIND] + OF_KIND * kind
    deal = g[of_kind] != 0
    if not _remember(s, N_DEALS if deal else N_SEEN, DEALS if deal else SEEN, e[i, ID]):
        return r, True
    if is_later(s, max(at_ms, clock_ms)):
        if r == len(asked):
            return -1, False
        keep_later(s, g, z, rows, r)
    elsewhere = s[HOME] < 0 or (e[i, ZONE] >= 0 and e[i, ZONE] != s[HOME])
    if elsewhere:
        s[HOME] = max(0, e[i, ZONE])
    _count(s, g, z, e, touches, i)
    newest = at_ms > s[LAST + kind]
    s[LAST + kind] = max(s[LAST + kind], at_ms)
    if kind == g[ORDER]:
        s[FIRST] = min(s[FIRST], at_ms) if s[FIRST] > 0 else at_ms
        add_time(s, g[TABLE_AT], at_ms)
        hear_order(s, g, at_ms, clock_ms)
    elif kind == g[VOID]:
        drop_time(s, g[TABLE_AT], e[i, ORDERED])
        hear_void(s, g, e[i, ORDERED], clock_ms)
    else:
        note(s, g, e, i)
    if g[of_kind + 1]:
        if r == len(asked):
            return -1, False
        asked[r, WHO], asked[r, EVENT], asked[r, RULE], asked[r, FIRES] = who, i, 0, 0
        ask_row(s, g, z, at_ms, rows, asked, r)
        if kind == g[ORDER] and newest and g[HORIZONS] + g[SPEND_MS] > 0:
            keep_rows(s, g, at_ms, e[i, ID], clock_ms, rows, r)
        r += 1
    if kind == g[ORDER] or kind == g[VOID]:
        wake_for_rows(s)
    if newest:
        arm_waits(s, g, g[of_kind + 4], g[of_kind + 5], at_ms, e[i, UNTIL], clock_ms)
    if g[DATED] > 0:
        arm_dates(s, g, z, at_ms, clock_ms, elsewhere)
    return r, False


@compiled
def _remember(s: Ints, counter: int, ring: int, id_hash: int) -> bool:
    """Puts an event id into a ring, oldest first; False when the id was there already."""
    count = s[counter]
    for i in range(ring, ring + count):
        if s[i] == id_hash:
            return False
    if count == RING:
        for i in range(ring, ring + RING - 1):
            s[i] = s[i + 1]
        count -= 1
    s[ring + count] = id_hash
    s[counter] = count + 1
    return True


@compiled
def _count(s: Ints, g: Ints, z: Ints, e: Ints, touches: Ints, i: int) -> None:
    """Adds to the lifetime, to a pane and to tables; what is undone leaves the pane of the order it was in."""
    kind, life = g[AT_KIND] + OF_KIND * e[i, KIND], g[LIFE]
    newest_ms = max(s[NEWEST], e[i, AT])
    newest_day = day_of(z, s[HOME], newest_ms)
    known_ms, into = np.int64(-1), np.int64(-1)
    for k in range(g[kind + 2], g[kind + 2] + 2 * g[kind + 3], 2):
        cell = g[k]
        amount = e[i, AMOUNTS + cell]
        if amount == 0:
            continue
        moment_ms = e[i, ORDERED] if g[k + 1] else e[i, AT]
        if moment_ms != known_ms:
            known_ms, into = moment_ms, pane_at(s, g, z, moment_ms, newest_ms, newest_day)
        add_cell(s, g, life, cell, amount)
        if cell == g[SPEND]:
            hear_spend(s, moment_ms, amount)
        if into >= 0:
            add_cell(s, g, into, cell, amount)
    for k in range(e[i, TOUCHED], e[i, TOUCHED] + e[i, TOUCHES]):
        moment_ms = touches[k, MOMENT]
        spec = g[AT_TABLE] + 2 * touches[k, TABLE_OF]
        if g[spec] == PLACES and moment_ms != known_ms:
            known_ms, into = moment_ms, pane_at(s, g, z, moment_ms, newest_ms, newest_day)
        touch(s, g, z, spec, touches[k, TABLE_OF], touches[k, CODE], touches[k, AMOUNT], moment_ms, into)
    if newest_ms // FIVE_MS != s[NEWEST] // FIVE_MS:
        coarsen(s, g, newest_ms, newest_day)
    s[NEWEST] = newest_ms


@making_arrays
def _grown(out: Bytes, at: int, room: int) -> Bytes:
    if at + room <= len(out):
        return out
    bigger = np.empty(2 * len(out) + room, np.uint8)
    bigger[:at] = out[:at]
    return bigger
