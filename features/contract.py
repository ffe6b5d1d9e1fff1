"""What all events share: their fields, and the types that fields are made of."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

Id = Annotated[str, Meta(min_length=1, max_length=128)]
Name = Annotated[str, Meta(max_length=128)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Cents = Annotated[int, Meta(ge=0, le=10**12)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$")]
Stars = Annotated[float, Meta(ge=0, le=5)]
Time = int | str


class Who(Struct, omit_defaults=True, gc=False, forbid_unknown_fields=False):
    """Raw identifiers as the till or the app knows them; ingest turns them into one customer id."""

    phone: Name = ""
    card: Name = ""
    app_id: Name = ""
    openid: Name = ""
    marketplace_id: Name = ""


class Event(Struct, kw_only=True, omit_defaults=True):
    """What all events share."""

    id: Id
    time: Time = 0
    who: Who | None = None
    store: Name = ""
    channel: Name = ""
    staff: Name = ""
    # set by ingest
    customer: str = ""
    at_ms: int = 0
    day: int = 0
    tz: Name = ""  # may be sent; counts where the store table does not name the store
    region: str = ""
    brand: str = ""
    device: Name = ""  # it was done from; a pseudonym once clean

    anonymous: ClassVar[bool] = False  # True: may come without a customer


def kind_of(event: Event) -> str:
    """The event's type as it stands in its JSON."""
    return str(event.__struct_config__.tag)
