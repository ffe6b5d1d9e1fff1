"""Timers: rules that look again after a while, and rows whose labels have settled."""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import (
    A_WHILE,
    AT_DATED,
    AT_HELD,
    AT_KIND,
    AT_YEARLY,
    BIRTHDAY,
    DATED,
    EVENT,
    FIRES,
    FIRST,
    HELD,
    HOME,
    KINDS,
    LAST,
    LATER,
    LIFE,
    LOCAL,
    N_TIMERS,
    NAMED,
    OF_KIND,
    OF_WAIT,
    ORDER,
    ORDERS,
    QUIET_FROM,
    QUIET_MS,
    ROW_DUE,
    RULE,
    SPEND_AT,
    SPEND_DUE,
    TIMER,
    TIMERS,
    WAIT,
    WAKE,
    WHO,
    YEARLY,
    Floats,
    Ints,
    Labels,
)
from features.kernel.clocks import moment_at, year_ms, zone_offset_ms
from features.kernel.compiled import compiled
from features.kernel.labelling import tell_rows
from features.kernel.rows import ask_row
from features.times import DAY_MS


@compiled
def arm(s: Ints, rule: int, due_ms: int, clock_ms: int) -> None:
    """Sets a rule's timer anew. One that is due already fires when the clock moves next, not before."""
    end = TIMER + 3 * s[N_TIMERS]
    place, latest = end, TIMER
    for t in range(TIMER, end, 3):
        if s[t] == rule:
            place = t
        if s[t + 1] > s[latest + 1]:
            latest = t
    if place == end and s[N_TIMERS] == TIMERS:
        place = latest
    elif place == end:
        s[N_TIMERS] += 1
    s[place], s[place + 1], s[place + 2] = rule, due_ms, max(0, clock_ms + 1 - due_ms)
    _wake_by(s, due_ms + s[place + 2])


@compiled
def arm_waits(s: Ints, g: Ints, waits: int, count: int, at_ms: int, until_ms: int, clock_ms: int) -> None:
    """Sets the timers of the rules that wait from this event on; one that does not know until when is left alone."""
    for k in range(waits, waits + OF_WAIT * count, OF_WAIT):
        due_ms = _due_after(s, g, k, at_ms, until_ms)
        if due_ms > 0:
            arm(s, g[k], due_ms, clock_ms)


@compiled
def arm_lacking(s: Ints, g: Ints, z: Ints, before_ms: int) -> None:
    """Sets the timers that a customer lacks, for what has happened before; none for a time that had passed by then.

    Of moments that events name, birthdays are remembered: in the timer of the rule that nobody asks.
    """
    for kind in range(g[KINDS]):
        of_kind = g[AT_KIND] + OF_KIND * kind
        for k in range(g[of_kind + 4], g[of_kind + 4] + OF_WAIT * g[of_kind + 5], OF_WAIT):
            if s[LAST + kind] > 0 and due_of(s, g[k]) == 0:
                named_ms = due_of(s, BIRTHDAY) if _among(g, AT_YEARLY, YEARLY, g[k]) else np.int64(0)
                due_ms = _due_after(s, g, k, s[LAST + kind], named_ms)
                if due_ms > before_ms:
                    arm(s, g[k], due_ms, before_ms)
    arm_dates(s, g, z, before_ms, before_ms, False)


@compiled
def _due_after(s: Ints, g: Ints, k: int, at_ms: int, named_ms: int) -> int:
    """When a wait ends that begins with an event; 0: nobody knows until when, or there is no rhythm."""
    length, how = g[k + 1], g[k + 2]
    if how == A_WHILE:
        return at_ms + length
    if how == NAMED:
        return named_ms + length if named_ms > 0 else np.int64(0)
    gaps = s[g[LIFE] + g[ORDERS]] - 1
    return at_ms + length * (s[LAST + g[ORDER]] - s[FIRST]) // (1000 * gaps) if gaps > 0 else np.int64(0)


@compiled
def arm_dates(s: Ints, g: Ints, z: Ints, at_ms: int, clock_ms: int, anew: bool) -> None:
    """Sets the timers of rules that look at dates, where they have none, or all; never for what has passed."""
    after_ms = max(at_ms, clock_ms)
    for k in range(g[AT_DATED], g[AT_DATED] + 3 * g[DATED], 3):
        due_ms = np.int64(0) if not anew and due_of(s, g[k]) > 0 else next_date(s, g, z, k, after_ms)
        if due_ms > 0:
            arm(s, g[k], due_ms, clock_ms)


@compiled
def next_date(s: Ints, g: Ints, z: Ints, k: int, after_ms: int) -> int:
    """The first of a rule's dates after a moment, where the customer is; 0 if there is none."""
    for d in range(g[k + 1], g[k + 1] + g[k + 2]):
        if g[d] > after_ms - DAY_MS:  # no clock is a day off
            due_ms = moment_at(z, max(0, s[HOME]), g[d])
            if due_ms > after_ms:
                return due_ms
    return np.int64(0)


@compiled
def due_of(s: Ints, rule: int) -> int:
    """When a rule's timer is due; 0 if it has none."""
    for t in range(TIMER, TIMER + 3 * s[N_TIMERS], 3):
        if s[t] == rule:
            return s[t + 1]
    return np.int64(0)


@compiled
def _wake_by(s: Ints, at_ms: int) -> None:
    """The customer is looked at no later than then; a timer that is put off leaves the earlier look where it is."""
    if s[WAKE] == 0 or at_ms < s[WAKE]:
        s[WAKE] = at_ms


@compiled
def wake_for_rows(s: Ints) -> None:
    """The customer is looked at when a row that waits has settled."""
    for w in (WAIT, LATER):
        if s[w] > 0:
            _wake_by(s, s[w + ROW_DUE])
    if s[SPEND_AT] > 0:
        _wake_by(s, s[SPEND_DUE])


@compiled
def _next_timer(s: Ints, clock_ms: int) -> int:
    """Of the timers that the clock has reached, the one due first; -1 for none."""
    found, due_ms = -1, np.int64(0)
    for t in range(TIMER, TIMER + 3 * s[N_TIMERS], 3):
        if s[t + 1] + s[t + 2] <= clock_ms:
            sooner = found < 0 or s[t + 1] < due_ms
            if sooner or (s[t + 1] == due_ms and s[t] < s[found]):
                found, due_ms = t, s[t + 1]
    return found


@compiled
def rest(s: Ints) -> None:
    """After the timers have fired: the next look, if any."""
    s[WAKE] = 0
    wake_for_rows(s)
    for t in range(TIMER, TIMER + 3 * s[N_TIMERS], 3):
        _wake_by(s, s[t + 1] + s[t + 2])


@compiled
def fire(
    s: Ints, g: Ints, z: Ints, clock_ms: int, who: int, rows: Floats, asked: Ints, r: int, out: Labels, n: int
) -> tuple[int, int]:
    """Fires what the clock has reached; how many rows are asked and labelled then, -1 when there is no room."""
    if r == len(asked):
        return -1, n
    n = tell_rows(s, g, z, who, clock_ms, rows, r, out, n)
    while True:
        t = _next_timer(s, clock_ms)
        if t < 0:
            break
        left_ms = quiet_ms(s, g, z, s[t + 1]) if _among(g, AT_HELD, HELD, s[t]) else 0
        if left_ms > 0:
            s[t + 1], s[t + 2] = s[t + 1] + left_ms, max(0, s[t + 2] - left_ms)
            continue
        if r == len(asked):
            return -1, n
        asked[r, WHO], asked[r, EVENT], asked[r, RULE], asked[r, FIRES] = who, -1, s[t], s[t + 1] + s[t + 2]
        ask_row(s, g, z, s[t + 1], rows, asked, r)
        r += 1
        again_ms = _date_after(s, g, z, t)
        if _among(g, AT_YEARLY, YEARLY, s[t]):
            again_ms = moment_at(z, max(0, s[HOME]), asked[r - 1, LOCAL] + year_ms(asked[r - 1, LOCAL]))
        if again_ms > 0:  # and not before this time, if that was late
            s[t + 1], s[t + 2] = again_ms, max(0, asked[r - 1, FIRES] - again_ms)
            continue
        s[N_TIMERS] -= 1
        for k in range(t, TIMER + 3 * s[N_TIMERS]):
            s[k] = s[k + 3]
    rest(s)
    return r, n


@compiled
def _date_after(s: Ints, g: Ints, z: Ints, t: int) -> int:
    """The date that follows the one for which a timer has fired; 0 if there is none, or its rule looks at none."""
    found = np.int64(0)
    for k in range(g[AT_DATED], g[AT_DATED] + 3 * g[DATED], 3):
        if g[k] == s[t]:
            found = next_date(s, g, z, k, s[t + 1])
    return found


@compiled
def _among(g: Ints, at: int, count: int, rule: int) -> bool:
    """Whether a rule is in a list of the program."""
    found = False
    for k in range(g[at], g[at] + g[count]):
        found = found or g[k] == rule
    return found


@compiled
def quiet_ms(s: Ints, g: Ints, z: Ints, at_ms: int) -> int:
    """How long the quiet hours where the customer is last at a time; 0 outside of them."""
    local_ms = at_ms + zone_offset_ms(z, max(0, s[HOME]), at_ms)
    passed = (local_ms - g[QUIET_FROM]) % DAY_MS
    return max(0, g[QUIET_MS] - passed)
