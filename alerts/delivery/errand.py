"""What is carried to a receiver: how a record is read, and what is told of it when its delivery has ended."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from alerts.delivery.lane import Outcome
from alerts.delivery.outcome import Topics, buried, told
from alerts.delivery.parcel import Parcel, read_parcel
from features.job import Batch, Message
from features.messages import Refused


class Errand(Protocol):
    """One receiver's: a gateway or a sink. `noun`: what its parcels are called in the log."""

    receiver: str
    noun: str

    def read(self, record: Batch, now_s: float) -> Parcel | None:
        """None: it is for others. Raises Refused when it cannot be read."""

    def told(self, parcel: Parcel, outcome: Outcome, at_ms: int) -> list[Message]:
        """What must be in Kafka before the record's offset may be committed."""

    def buried(self, record: Batch, refused: Refused) -> Message:
        """The dead letter of a record that could not be read."""


class Coupons:
    """Coupons for a gateway. `channels`: of those that it takes, none is all."""

    receiver, noun = "gateway", "coupon"

    def __init__(self, gateway: str, channels: Collection[str], topics: Topics) -> None:
        self.gateway = gateway
        self.channels = channels
        self.topics = topics

    def read(self, record: Batch, now_s: float) -> Parcel | None:
        parcel = read_parcel(record, now_s)
        return parcel if not self.channels or parcel.channel in self.channels else None

    def told(self, parcel: Parcel, outcome: Outcome, at_ms: int) -> list[Message]:
        return told(self.topics, self.gateway, parcel, outcome, at_ms)

    def buried(self, record: Batch, refused: Refused) -> Message:
        return buried(self.topics, self.gateway, record, refused)
