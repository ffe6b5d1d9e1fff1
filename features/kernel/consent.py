"""What customers have said: open complaints, and words on consent."""

from __future__ import annotations

import numpy as np

from features.kernel.arrays import (
    ANSWERED,
    AT,
    CASE,
    CASES,
    COMPLAINT,
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
    if kind == g[COMPLAINT]:
        if s[N_CASES] == CASES:
            for c in range(CASE, CASE + CASES - 1):
                s[c] = s[c + 1]
            s[N_CASES] -= 1
        s[CASE + s[N_CASES]] = word
        s[N_CASES] += 1
    elif kind == g[ANSWERED] and e[i, FLAG]:
        for c in range(CASE, CASE + s[N_CASES]):
            if s[c] == word:
                for d in range(c, CASE + s[N_CASES] - 1):
                    s[d] = s[d + 1]
                s[N_CASES] -= 1
                break
    elif kind == g[CONSENT]:
        set_consent(s, word, e[i, AT], e[i, FLAG])


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
