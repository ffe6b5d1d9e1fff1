"""A customer's record: everything the engine knows of one customer, packed into one Redis value."""

from __future__ import annotations

from msgspec import Struct, msgpack

from features.seen import ID_BYTES

VERSION = 1
RING = 64  # event ids a ring remembers


class Pending(Struct, array_like=True):
    """A feature row waiting for its label."""

    at_ms: int
    due_ms: int
    row: bytes  # float64 little-endian, one per input of the model


class Record(Struct, array_like=True):
    """Panes hold one integer per measure; days are store-local ordinals, hours and fives count from the epoch."""

    version: int = VERSION
    layout: str = ""
    tz: str = ""
    seen: bytes = b""  # ring of event ids
    deals: bytes = b""  # ring of its own for orders and coupons, which app chatter must not push out
    lifetime: list[int] = []
    days: dict[int, list[int]] = {}
    hours: dict[int, list[int]] = {}
    fives: dict[int, list[int]] = {}
    first_order_ms: int = 0
    last_ms: dict[str, int] = {}  # event type → latest event time
    complaints: list[str] = []  # open cases
    consent: dict[str, tuple[int, bool]] = {}  # purpose → (event time, granted)
    fired_ms: dict[str, int] = {}  # rule → latest coupon, for cooldowns
    issued_ms: list[int] = []  # coupons within the cap window
    pending: Pending | None = None


class WrongLayout(ValueError):
    """A record written under other measures than the ones declared now."""


encode_record = msgpack.Encoder().encode
_decode = msgpack.Decoder(Record).decode


def decode_record(raw: bytes | None, layout: str, measures: int) -> Record:
    """The stored record, or a new one. Raises WrongLayout."""
    if raw is None:
        return Record(layout=layout, lifetime=[0] * measures)
    record = _decode(raw)
    if record.layout != layout or record.version != VERSION:
        raise WrongLayout(
            f"record version {record.version}, measures {record.layout};"
            f" expected version {VERSION}, measures {layout}: rebuild the state by replay under a new redis.prefix"
        )
    return record


def remember(record: Record, event_hash: bytes, deal: bool = False) -> bool:
    """Puts an event id into its ring; False when it was there already (a duplicate)."""
    ring = record.deals if deal else record.seen
    at = ring.find(event_hash)
    while at >= 0:
        if at % ID_BYTES == 0:
            return False
        at = ring.find(event_hash, at + 1)
    ring = (ring + event_hash)[-RING * ID_BYTES :]
    if deal:
        record.deals = ring
    else:
        record.seen = ring
    return True
