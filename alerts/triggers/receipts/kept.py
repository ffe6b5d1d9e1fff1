"""Decisions as they are kept with their customer: packed, and without what the rule's own file says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter

from msgspec import Struct, msgpack

from features.outgoing import Braked, Drawn, Points, Receipt
from features.refusals import Refusals, rows_of

NEAR, FALSE = "near_miss", "condition_false"  # outcomes of moments at which a condition did not hold


class Keeping(Struct, frozen=True):
    """How much is kept: the latest `receipts` of a customer, `near_misses` of a batch at most, and this share (0 to 1)
    of all other moments at which a condition did not hold."""

    receipts: int = 0
    near_misses: int = 0
    false_share: float = 0.0


NOTHING = Keeping()


class Kept(Struct, array_like=True, gc=False):
    """Of a receipt, what explains it. New fields are added at the end, with a default: older ones are still read."""

    decision: str
    rule: str
    rule_version: str
    outcome: str
    at_ms: int
    clock_ms: int
    cause: str
    values: dict[str, float | bool | str | None]
    terms: dict[str, dict[str, float]]
    coupons_in_cap_window: int
    cap: int
    cooldown_until_ms: int
    holdout: bool
    ran_out: str = ""
    until_ms: int = 0
    because: str = ""
    send_ms: int = 0
    send_why: str = ""
    arm: Drawn | None = None
    models: dict[str, int] = {}
    brake: Braked | None = None
    on_channel: int = 0
    channel_cap: int = 0
    points: Points | None = None


LAST = ("on_channel", "channel_cap", "points")  # kept only where there is a cap, or somebody has asked for points
_fields = attrgetter(*Kept.__struct_fields__)
_without = attrgetter(*Kept.__struct_fields__[: -len(LAST)])
_encode = msgpack.Encoder().encode
decode_kept = msgpack.Decoder(Kept).decode


def encode_kept(receipt: Receipt) -> bytes:
    return next(encode_all_kept([receipt]))


def encode_all_kept(receipts: Iterable[Receipt]) -> Iterator[bytes]:
    return (_encode(_fields(one) if one.channel_cap or one.points else _without(one)) for one in receipts)


def encode_refused(told: Refusals) -> Iterator[bytes]:
    """Each as `encode_kept` keeps it: in the order of Kept."""
    of, many = (told.rule, told.rule_version, told.outcome), len(told.decision)
    last = (0, told.channel_cap, None) if told.channel_cap else ()
    rest = ("", 0, "", 0, "", None, told.models, None, *last)
    explained = (rows_of(told.values, many), rows_of(told.terms, many))
    each = zip(told.decision, told.at_ms, told.clock_ms, told.cause, *explained, told.holdout, strict=True)
    return (_encode((id, *of, *when, 0, told.cap, 0, holdout, *rest)) for id, *when, holdout in each)
