"""What really happened: the ground truth that detections and counts are judged by."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct, field, json

REASONS = (  # why a record cannot be used; each malformed record has exactly one
    "too_large",
    "malformed",
    "unknown_type",
    "wrong_type",
    "missing_id",
    "missing_time",
    "absurd_time",
    "identity",
    "out_of_range",
)
DUPLICATE, LATE, SOUND = "duplicate", "late", ""


class Incident(Struct, omit_defaults=True, frozen=True):
    """Something an alert should find: till_outage, coupon_surge, bulk_export or slow_export."""

    kind: str
    from_ms: int
    to_ms: int
    store: str = ""
    region: str = ""
    actor: str = ""


class AbandonedCart(Struct):
    """A session that ended with a full cart; its customer orders nothing for the next two hours."""

    app_id: str
    at_ms: int  # event time of the last cart_add


class Lapse(Struct):
    """A customer who neither comes nor opens the app from then on."""

    app_id: str
    from_ms: int


class Disappointment(Struct):
    """A rating below three stars."""

    app_id: str
    at_ms: int


class Round(Struct):
    """From a complaint, or from a guest's word that it is not settled, to the answers; None: never came."""

    from_ms: int
    answered_ms: int | None = None
    settled_ms: int | None = None
    closed_ms: int | None = None


class Case(Struct):
    """A complaint, a low rating or an enquiry, by the number of its ticket."""

    ticket: str
    topic: str
    tz: str
    rounds: list[Round]


class Offer(Struct):
    """A coupon of Brewline's in a member's hands: how likely they come for it, and when they do; None: never."""

    decision: str
    rule: str
    arm: str
    app_id: str
    chance: float
    comes_ms: int | None


class Abuse(Struct):
    """Accounts of one person, or of few who act as one; `kind` is the signal that should find them."""

    kind: str
    device: str
    app_ids: list[str]


class Truth(Struct):
    """Counts of what was sent so far, ticks left out. `late` counts no duplicates."""

    sent: dict[str, int] = {}  # by topic, with duplicates and malformed records
    duplicates: int = 0
    duplicates_by_topic: dict[str, int] = {}
    malformed: dict[str, int] = {}  # by reason
    malformed_by_topic: dict[str, dict[str, int]] = {}
    late: int = 0
    incidents: list[Incident] = field(default_factory=list)
    abandoned: list[AbandonedCart] = field(default_factory=list)
    lapsed: list[Lapse] = field(default_factory=list)
    disappointed: list[Disappointment] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    abuses: list[Abuse] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)

    def count(self, topic: str, mark: str) -> None:
        """Counts one record sent; `mark` is SOUND, LATE, DUPLICATE or one of REASONS."""
        _add(self.sent, topic)
        if mark == SOUND:
            return
        if mark == LATE:
            self.late += 1
        elif mark == DUPLICATE:
            self.duplicates += 1
            _add(self.duplicates_by_topic, topic)
        else:
            _add(self.malformed, mark)
            _add(self.malformed_by_topic.setdefault(topic, {}), mark)

    def write(self, path: str | Path) -> None:
        """Writes this truth as indented JSON."""
        Path(path).write_bytes(json.format(json.encode(self), indent=2) + b"\n")


def _add(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1
