"""A coupon on its way to one gateway."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from features.job import Batch
from features.messages import Refused

PUSH = "push"


class _Data(Struct):
    expires_ms: int
    channel: str = PUSH
    coupon: str = ""
    campaign: str = ""
    at_ms: int = 0
    send_ms: int = 0  # later, where it was held


class _Coupon(Struct):
    id: Annotated[str, Meta(pattern=r"^[!-~]{1,200}$")]  # it becomes a header
    data: _Data
    subject: str = ""


class Parcel(Struct):
    """`record` is the coupon as it stands in Kafka, alone in its batch."""

    record: Batch
    id: str
    channel: str
    expires_ms: int
    taken_s: float  # monotonic, as is `due_s`
    due_s: float
    attempts: int = 0
    spared: int = 0  # attempts that failed for reasons that are not the coupon's
    probe: bool = False  # whether the latest attempt asks for all whether the gateway is back
    status: int = 0  # of the latest answer, 0 when none came
    customer: str = ""
    decided_ms: int = 0
    is_coupon: bool = False  # not a mere message
    campaign: str = ""

    @property
    def body(self) -> bytes:
        return self.record.values[0]

    @property
    def place(self) -> tuple[int, int]:
        """Partition and offset."""
        return self.record.partition, self.record.offsets[0]


_decode = msgspec.json.Decoder(_Coupon).decode


def read_parcel(record: Batch, now_s: float) -> Parcel:
    """Raises Refused when that is no coupon."""
    try:
        coupon = _decode(record.values[0])
    except msgspec.DecodeError:
        raise Refused("malformed", "no coupon") from None
    data = coupon.data
    return Parcel(
        record=record,
        id=coupon.id,
        channel=data.channel,
        expires_ms=data.expires_ms,
        taken_s=now_s,
        due_s=now_s,
        customer=coupon.subject,
        decided_ms=max(data.at_ms, data.send_ms),
        is_coupon=bool(data.coupon),
        campaign=data.campaign,
    )
