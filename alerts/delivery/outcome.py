"""What is told of a delivery that has ended: an event, and a dead letter where it has failed."""

from __future__ import annotations

from msgspec import Struct

from alerts.delivery.lane import GivenUp, Outcome
from alerts.delivery.parcel import Parcel
from features.events import CouponDelivered, encode
from features.job import Batch, Message
from features.messages import Refused, cloudevent, dead_letter
from features.outgoing import Delivery


class Topics(Struct, frozen=True):
    deliveries: str
    dead_letters: str
    events: str


def told(topics: Topics, gateway: str, parcel: Parcel, outcome: Outcome, at_ms: int) -> list[Message]:
    """The messages that must be in Kafka before the coupon's offset may be committed."""
    if outcome == "delivered":
        return [_event(topics, gateway, parcel, "", at_ms), *_noted(topics, gateway, parcel, at_ms)]
    if outcome == "forgotten":  # a letter would keep the coupon
        return [_event(topics, gateway, parcel, outcome, at_ms)]
    letter = buried(topics, gateway, parcel.record, _refused(gateway, parcel, outcome))
    return [letter, _event(topics, gateway, parcel, outcome, at_ms)]


def _noted(topics: Topics, gateway: str, parcel: Parcel, at_ms: int) -> list[Message]:
    """For the customer's record; in event time, so that a replay of old events does not reach into the present."""
    if not (parcel.customer and parcel.is_coupon):
        return []
    took_ms = max(0, at_ms - parcel.record.stamps_ms[0])
    event = CouponDelivered(
        id=f"{parcel.id}/delivered",
        customer=parcel.customer,
        at_ms=parcel.decided_ms + took_ms,
        coupon=parcel.id,
        gateway=gateway,
        campaign=parcel.campaign,
        issued=1,
        issued_ms=parcel.decided_ms,
    )
    return [Message(topics.events, parcel.customer, encode(event))]


def buried(topics: Topics, gateway: str, record: Batch, refused: Refused) -> Message:
    """A dead letter of this gateway alone; others may have taken the same coupon."""
    return dead_letter(topics.dead_letters, record, 0, refused, gateway)


def _event(topics: Topics, gateway: str, parcel: Parcel, reason: str, at_ms: int) -> Message:
    kind = "coupon.undeliverable" if reason else "coupon.delivered"
    data = Delivery(parcel.id, gateway, reason, parcel.attempts, parcel.status, at_ms)
    id = f"{parcel.id}/{gateway}/{'undeliverable' if reason else 'delivered'}"
    return cloudevent(topics.deliveries, parcel.id, id, kind, "dispatch", at_ms, parcel.id, data)


def _refused(gateway: str, parcel: Parcel, reason: GivenUp) -> Refused:
    detail = f"gateway {gateway}, attempts {parcel.attempts}, latest status {parcel.status or 'none'}"
    return {
        "gateway_refused": Refused("gateway_refused", detail),
        "gateway_unreachable": Refused("gateway_unreachable", detail),
        "expired": Refused("expired", detail),
    }[reason]
