"""Suppression: from when until when a customer gets nothing, and why, by what was said of it, in whatever order.

A word on a reason is (at_ms, until_ms): it holds from its own time on, until the next one. `until_ms` 0 means until it
is lifted; a word that lifts ends where it begins.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from features.record import EVERY_REASON, Ledger, latest_words

REVIEW, ABUSE = "review", "abuse"  # reasons: what looks like abuse, and what a human has confirmed
Word = tuple[int, int]


def suppression(ledger: Ledger, at_ms: int, reason: str = "") -> tuple[str, int] | None:
    """(reason, until_ms) of what keeps everything from the customer at a time; until nothing does any more, by what is
    known, 0 where it must be lifted. For this `reason` alone, if one is named; else the one that lasts longest."""
    if not ledger.suppressed:
        return None
    asked = {reason} if reason else {*ledger.suppressed} - {EVERY_REASON}
    lasting = {name: _ends_ms(_words(ledger, name), at_ms) for name in asked}
    why = max(asked, key=lambda name: (lasting[name], name), default="")
    if not why or not lasting[why]:
        return None
    changes = sorted({ms for name in asked for word in _words(ledger, name) for ms in word if ms > at_ms})
    until_ms = (ms for ms in changes if not any(_ends_ms(_words(ledger, name), ms) for name in asked))
    return why, next(until_ms, 0)


def suppress(ledger: Ledger, reason: str, at_ms: int, until_ms: int = 0, lift: bool = False) -> bool:
    """Notes what was said; whether it was not known yet."""
    known = ledger.suppressed.get(reason, [])
    words = latest_words([*known, (at_ms, at_ms if lift else until_ms)])
    ledger.suppressed[reason] = words
    return words != known


def since(ledger: Ledger, at_ms: int, reason: str) -> int:
    """The time of the word on a reason that holds at a time; 0 if none does."""
    since_ms, ends_ms = _latest(_words(ledger, reason), at_ms)
    return since_ms if at_ms < ends_ms else 0


def _words(ledger: Ledger, reason: str) -> list[Word]:
    return [*ledger.suppressed.get(reason, ()), *ledger.suppressed.get(EVERY_REASON, ())]


def _ends_ms(words: Iterable[Word], at_ms: int) -> float:
    """When the latest word by then ends, if it holds at that time, else 0."""
    _, ends_ms = _latest(words, at_ms)
    return ends_ms if at_ms < ends_ms else 0


def _latest(words: Iterable[Word], at_ms: int) -> tuple[int, float]:
    """(since_ms, until_ms) of the latest word by then; of two at once, the stricter counts."""
    by_then = [(since_ms, until_ms or inf) for since_ms, until_ms in words if since_ms <= at_ms]
    return max(by_then, default=(0, 0))
