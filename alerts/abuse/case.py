"""A case for review: what was found, whom it holds, and what a human has said of it.

A case follows what is known: it opens when something is found, grows, and is withdrawn when a merge or an erasure has
left nothing of it; its last state is the same whatever came first. A human ends it. What is found afterwards, beyond
what that human saw, is the next case, of the next episode.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from msgspec import Struct

from alerts.abuse.signals import LOOP
from features.times import rfc3339

OPEN, GROWN, WITHDRAWN, RELEASED, CONFIRMED = STATES = ("opened", "grown", "withdrawn", "released", "confirmed")
STANDING = (OPEN, GROWN)  # a human is waited for
DECIDED = (RELEASED, CONFIRMED)
NOTHING_LEFT = "nothing is left of it"
WHY = {
    "device": "{count} accounts on one device within {within_days} days, the limit is {limit}",
    "ring": "{count} friends whom one customer brought within {within_days} days share a device with it, the limit is"
    " {limit}",
    "loop": "{count} of {of} orders paid with coupons within {within_days} days were given back",
}


class Found(Struct):
    """What a signal sees: who takes part, whom to hold, and the figures that say why."""

    members: list[str]
    held: list[str]
    figures: dict[str, int]
    first_ms: int
    last_ms: int


class Case(Struct, array_like=True):
    id: str
    signal: str
    episode: int
    opened_ms: int
    state: str = OPEN
    revision: int = 0  # of its latest word
    members: list[str] = []
    held: list[str] = []
    figures: dict[str, int] = {}
    first_ms: int = 0
    last_ms: int = 0
    until_ms: int = 0  # of its latest holds
    decided_by: str = ""
    decided_ms: int = 0

    @property
    def stands(self) -> bool:
        return self.state in STANDING

    def take(self, found: Found) -> bool:
        """What is found now; whether the case says anything new by it."""
        news = (sorted(found.members), sorted(found.held)) != (self.members, self.held) or not self.stands
        self.members, self.held = sorted(found.members), sorted(found.held)
        self.figures, self.first_ms, self.last_ms = found.figures, found.first_ms, found.last_ms
        return news

    def review(self, subject: str) -> dict[str, Any]:
        """The data of its message: no raw identifiers, only customer ids and pseudonyms."""
        return {
            "case": self.id,
            "signal": self.signal,
            "state": self.state,
            "subject": subject,
            "revision": self.revision,
            "customers": self.members,
            "held": self.held,
            "figures": self.figures,
            "first_ms": self.first_ms,
            "last_ms": self.last_ms,
            "opened_ms": self.opened_ms,
            "hold_until_ms": self.until_ms,
            "decided_by": self.decided_by,
            "decided_ms": self.decided_ms,
            "why": self.why,
        }

    @property
    def why(self) -> str:
        if not self.members:
            return NOTHING_LEFT
        said = WHY[self.signal].format_map(self.figures)
        span = f"{rfc3339(self.first_ms)[:10]} to {rfc3339(self.last_ms)[:10]}"
        return f"{said} ({span})" if self.signal == LOOP else f"{said} (seen {span})"


def case_id(signal: str, subject: str, about: str, episode: int) -> str:
    """The same in every replay."""
    parts = (signal, subject, about, str(episode))
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return blake2b(text.encode(), digest_size=8).hexdigest()
