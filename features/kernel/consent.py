"""What customers have said: open complaints, and words on consent."""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import (
    ANSWERED,
    AT,
    CASE,
    CASES,
    COMPLAINT,
    CONFIRMED,
    CONSENT,
    FLAG,
    KIND,
    N_CASES,
    N_PURPOSES,
    PURPOSE_OF,
    PURPOSES,
    WORD,
    Ints,
)
from features.kernel.compiled import compiled


@compiled
def note(s: Ints, g: Ints, e: Ints, i: int) -> None:
    """Complaints and consent."""
    kind, word = e[i, KIND], e[i, WORD]
    if kind == g[CONSENT]:
        set_consent(s, word, e[i, AT], e[i, FLAG])
    elif (kind == g[ANSWERED] or kind == g[CONFIRMED]) and e[i, FLAG]:
        _close_case(s, word)
    elif kind == g[COMPLAINT] or kind == g[CONFIRMED]:
        open_case(s, word)


@compiled
def open_case(s: Ints, case: int) -> None:
    """Once; of more than a record holds, the oldest falls out."""
    for c in range(CASE, CASE + s[N_CASES]):
        if s[c] == case:
            return
    if s[N_CASES] == CASES:
        _close_case(s, s[CASE])
    s[CASE + s[N_CASES]] = case
    s[N_CASES] += 1


@compiled
def _close_case(s: Ints, case: int) -> None:
    left = CASE
    for c in range(CASE, CASE + s[N_CASES]):
        if s[c] != case:
            s[left] = s[c]
            left += 1
    s[N_CASES] = left - CASE


@compiled
def set_consent(s: Ints, purpose: int, at_ms: int, granted: int) -> None:
    """The latest word wins; of two at the same instant, the refusal."""
    count = s[N_PURPOSES]
    place, oldest = PURPOSE_OF + 3 * count, PURPOSE_OF
    for p in range(PURPOSE_OF, PURPOSE_OF + 3 * count, 3):
        if s[p] == purpose:
            if at_ms > s[p + 1] or (at_ms == s[p + 1] and not granted):
                s[p + 1], s[p + 2] = at_ms, granted
            return
        if s[p + 1] < s[oldest + 1]:
            oldest = p
    if count == PURPOSES:  # the one that was spoken of longest ago falls out
        place = oldest
    else:
        s[N_PURPOSES] += 1
    s[place], s[place + 1], s[place + 2] = purpose, at_ms, granted


@compiled
def consent_of(s: Ints, purpose: int) -> int:
    for p in range(PURPOSE_OF, PURPOSE_OF + 3 * s[N_PURPOSES], 3):
        if s[p] == purpose:
            return s[p + 2]
    return np.int64(0)
