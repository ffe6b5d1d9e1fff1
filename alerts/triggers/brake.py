"""What is paused: campaigns at places, by the latest word of the log on each.

A place is spelt as a budget is: `store:0012`, `region:east`; empty means everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import json

from alerts.triggers.campaign import KEYS
from features.control import Brake
from features.outgoing import Braked

ALARM = "alert"  # who has paused, where it was no person
WHERE = ("store", "region")  # what a place can be
decode_brake = json.Decoder(Brake).decode


def brake_key(campaign: str, place: str) -> str:
    return f"{campaign}/{place}"


def newer(word: Brake, known: Mapping[str, bytes]) -> bool:
    """Whether nothing later is known."""
    raw = known.get(brake_key(word.campaign, word.place))
    return raw is None or word.revision > decode_brake(raw).revision


class Brakes:
    """`keys`: what decisions must know of where they are taken; nothing while nothing is paused."""

    def __init__(self, words: Iterable[Brake] = ()) -> None:
        self.paused = {brake_key(word.campaign, word.place): word for word in words if word.paused}
        self.keys = list(KEYS) if self.paused else []

    @classmethod
    def of(cls, words: Mapping[str, bytes]) -> Brakes:
        """Of the words as they are kept."""
        return cls(map(decode_brake, words.values())) if words else RELEASED

    def pulled(self, campaign: str, names: Mapping[str, str]) -> Braked | None:
        """What pauses a campaign where these stores and regions are; of a timer, which is nowhere, only everywhere."""
        if not self.paused:
            return None
        places = ["", *(f"{key}:{names[key]}" for key in WHERE if names.get(key))]
        found = (self.paused.get(brake_key(campaign, place)) for place in places)
        word = next((word for word in found if word), None)
        return braked(word) if word else None


RELEASED = Brakes()


def braked(word: Brake) -> Braked:
    return Braked(word.campaign, word.place, word.revision, word.by, word.at_ms, word.reason, word.incident)
