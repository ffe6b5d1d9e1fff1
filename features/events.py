"""Event contracts: every message the flows read, as msgspec types.

One set of types serves both sides of ingest. A till or an app sends `time` and `who`; ingest
checks them, drops them, and fills the fields named under "set by ingest" before the event goes to
the clean topic. Money is integer cents, `at_ms` epoch milliseconds UTC, `day` the store's own
calendar date as a proleptic ordinal (`datetime.date.toordinal`).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeAlias, Union, get_args

from msgspec import Meta, Struct, json

from features.audited import Audit, AuditAccess, AuditExport, AuditTold
from features.contract import Cents, Count, Currency, Event, Id, Name, Stars, Time, Who, kind_of
from features.control import Brake, Forget, History, Merge, Moved, Unname

# of other modules: every event goes by the name that it has here
__all__ = [
    "Audit",
    "AuditAccess",
    "AuditExport",
    "AuditTold",
    "Brake",
    "Event",
    "Forget",
    "History",
    "Merge",
    "Moved",
    "Unname",
    "Who",
]
__all__ += ["Cents", "Count", "Currency", "Id", "Name", "Stars", "Time", "kind_of"]


class Line(Struct, omit_defaults=True, gc=False):
    """One order line; `price_cents` is the price of one piece."""

    sku: Id
    qty: Annotated[int, Meta(ge=1, le=10_000)] = 1
    price_cents: Cents = 0
    category: Name = ""
    options: dict[str, str] = {}


WEATHER = {"temp_c", "rain_mm", "weather_ms"}
LOAD = {"store_load", "load_ms"}
OF_INGEST = {"ordered_ms", "ordered_day", "promised_ms", "birthday_ms", "until_ms", *WEATHER, *LOAD}  # of some events
OF_INGEST |= {"issued_ms"}  # which dispatch fills in


class Placed(Event, kw_only=True):
    """An event that is told what it was like at its store, or in its region, when it happened."""

    # set by ingest
    temp_c: float = 0.0
    rain_mm: float = 0.0
    weather_ms: int = 0  # when that was measured; 0: it is not known
    store_load: float = 0.0  # orders in the last minutes before, as a share of what is usual
    load_ms: int = 0  # when these ended; 0: it is not known


class Order(Placed, tag="order"):
    anonymous: ClassVar[bool] = True
    lines: Annotated[list[Line], Meta(min_length=1, max_length=2_000)]
    total_cents: Cents
    currency: Currency = "CNY"
    discount_cents: Cents = 0
    coupon: Name = ""
    campaign: Name = ""
    coupons_used: Count = 0


class Refund(Event, tag="refund"):
    """Takes back money of an order; `ordered_time` says which pane it leaves."""

    anonymous: ClassVar[bool] = True
    order: Id
    ordered_time: Time
    amount_cents: Cents
    items: Count = 0
    currency: Currency = "CNY"
    ordered_ms: int = 0  # set by ingest
    ordered_day: int = 0  # set by ingest


class Void(Refund, tag="void"):
    """Takes back a whole order, once: its count, its items and its money. Where measures count one channel or one store
    alone (`where`), they take back only what names it: a void names those of its order."""


class AppOpen(Placed, tag="app_open"):
    anonymous: ClassVar[bool] = True


class View(Placed, tag="view"):
    anonymous: ClassVar[bool] = True
    sku: Name = ""
    category: Name = ""


class CartAdd(Placed, tag="cart_add"):
    sku: Id
    qty: Annotated[int, Meta(ge=1, le=10_000)] = 1
    price_cents: Cents = 0


class Login(Event, tag="login"):
    """Links the identifiers in `who`."""


class Bind(Event, tag="bind"):
    """Links the identifiers in `who`, on the customer's own request."""


class CouponIssued(Event, tag="coupon_issued"):
    coupon: Id
    campaign: Name = ""
    face_value_cents: Cents = 0


class CouponRedeemed(Event, tag="coupon_redeemed"):
    coupon: Id
    campaign: Name = ""
    order: Name = ""
    total_cents: Cents = 0  # of that order


class CouponExpired(Event, tag="coupon_expired"):
    coupon: Id
    campaign: Name = ""


class Rating(Event, tag="rating"):
    stars: Stars
    order: Name = ""


class Complaint(Event, tag="complaint"):
    case: Id
    topic: Name = ""


class ComplaintAnswered(Event, tag="complaint_answered"):
    case: Id
    closed: bool = False


class DeliveryPromised(Event, tag="delivery_promised"):
    order: Id
    promised_time: Time
    promised_ms: int = 0  # set by ingest


class DeliveryDelivered(Event, tag="delivery_delivered"):
    order: Id


class Share(Event, tag="share"):
    what: Name = ""


class Referral(Event, tag="referral"):
    friend: Id


class Consent(Event, tag="consent"):
    """The customer's word on a purpose, e.g. marketing by push; the latest event time wins."""

    purpose: Id
    granted: bool


class PointsSpent(Event, tag="points_spent"):
    """Loyalty points given for a reward. The customers flow says so of those that it has exchanged for a coupon."""

    points: Count
    what: Name = ""


class PointsExchange(Event, tag="points_exchange"):
    """The customer asks to have points turned into a coupon; by itself it takes none."""

    points: Annotated[int, Meta(ge=1, le=1_000_000)]
    what: Name = ""


class Profile(Event, tag="profile"):
    """The customer has told their birthday."""

    birthday: Annotated[str, Meta(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")]
    birthday_ms: int = 0  # set by ingest


class CouponDelivered(Event, tag="coupon_delivered"):
    """A gateway has taken a coupon. `brewline run dispatch` writes it, and so a coupon of Brewline's counts as issued.
    A service of one's own may send it as well."""

    coupon: Id
    gateway: Name = ""
    campaign: Name = ""
    # set by dispatch
    issued: int = 0
    issued_ms: int = 0


class CouponOpened(Event, tag="coupon_opened"):
    """The customer has looked at a coupon."""

    coupon: Id


class CouponRevoked(Event, tag="coupon_revoked"):
    """Somebody takes back a coupon that was not used yet."""

    coupon: Id
    reason: Name = ""


class Suppress(Event, tag="suppress"):
    """The customer gets nothing from its time on, for this reason, or again what there is: `lift`."""

    reason: Name = ""  # with `lift`, empty: whatever the reasons
    until_time: Time = ""
    lift: bool = False
    until_ms: int = 0  # set by ingest; 0: until it is lifted


class ComplaintConfirmed(Event, tag="complaint_confirmed"):
    """The customer's own word on how a complaint was settled."""

    case: Id
    satisfied: bool


class Lead(Event, tag="lead"):
    """Somebody asks about a franchise, a group order and the like."""

    anonymous: ClassVar[bool] = True
    lead: Id
    topic: Name = ""


class LeadContacted(Event, tag="lead_contacted"):
    """Somebody of ours has spoken with whoever asked."""

    anonymous: ClassVar[bool] = True
    lead: Id


class DeliveryLate(Event, tag="delivery_late"):
    """A delivery has not come by when it was promised, and some time more: the service flow says so, once an order."""

    order: Id


class Referred(Event, tag="referred"):
    """The other side of a referral: `by` says to have brought this customer. Ingest alone says so."""

    by: Id


class FriendOrdered(Event, tag="friend_ordered"):
    """A friend whom this customer has brought has paid a first order, and kept it. The customers flow alone says so."""

    friend: Id


class Footfall(Event, tag="footfall"):
    anonymous: ClassVar[bool] = True
    visitors: Count


class Heartbeat(Event, tag="heartbeat"):
    """A till says that it is there, whether it sells or not: without that, silence and no sales look the same."""

    anonymous: ClassVar[bool] = True


class Weather(Event, tag="weather"):
    """What was measured at a place. Later events of its stores are told, for up to three hours."""

    anonymous: ClassVar[bool] = True
    place: Id
    temp_c: Annotated[float, Meta(ge=-90, le=60)]
    rain_mm: Annotated[float, Meta(ge=0, le=500)] = 0.0


class Tick(Event, tag="tick"):
    """Time passing on one source partition; the clock of a partition is the least of its ticks.

    A producer that replays history sends it (`source` empty) to say how far its partition has
    come; ingest fills `source` and `of`, the number of source partitions there are.
    """

    anonymous: ClassVar[bool] = True
    source: str = ""
    of: int = 0


CustomerEvent: TypeAlias = (
    Order
    | Refund
    | Void
    | AppOpen
    | View
    | CartAdd
    | Login
    | Bind
    | CouponIssued
    | CouponRedeemed
    | CouponExpired
    | Rating
    | Complaint
    | ComplaintAnswered
    | DeliveryPromised
    | DeliveryDelivered
    | Share
    | Referral
    | Consent
    | Footfall
    | Tick
    | PointsSpent
    | Profile
    | Weather
    | CouponDelivered
    | CouponOpened
    | CouponRevoked
    | Suppress
    | ComplaintConfirmed
    | Lead
    | LeadContacted
    | DeliveryLate
    | Referred
    | FriendOrdered
    | Heartbeat
    | PointsExchange
)
Control: TypeAlias = (
    Merge | History | Moved | Forget | Unname | Brake
)  # in the clean topic only: nobody who sends events may speak so
AuditEvent: TypeAlias = AuditAccess | AuditExport | Tick | AuditTold

CUSTOMER_EVENTS: dict[str, type[Event]] = {str(t.__struct_config__.tag): t for t in get_args(CustomerEvent)}
OWN: dict[str, type[Event]] = {  # nobody may send them
    str(t.__struct_config__.tag): t for t in (Referred, FriendOrdered, DeliveryLate)
}
OF_BOTH = ("suppress", "coupon_delivered", "coupon_revoked", "points_spent")  # may be sent, and Brewline writes them
SENT_EVENTS = {kind: t for kind, t in CUSTOMER_EVENTS.items() if kind not in OWN}
CONTROL: dict[str, type[Event]] = {str(t.__struct_config__.tag): t for t in get_args(Control)}
AUDIT_EVENTS: dict[str, type[Event]] = {str(t.__struct_config__.tag): t for t in get_args(AuditEvent)}


def is_own(kind: str, day: int) -> bool:
    """Whether Brewline itself has written such an event into the clean topic: ingest gives a day to what was sent."""
    return kind in OWN or (kind in OF_BOTH and not day)


decode_event = json.Decoder(CustomerEvent).decode
decode_sent = json.Decoder(Union[tuple(SENT_EVENTS.values())]).decode  # noqa: UP007 - there is no other way to say it
decode_control = json.Decoder(Control).decode
decode_clean = json.Decoder(CustomerEvent | Control).decode
decode_audit = json.Decoder(AuditEvent).decode
encode = json.Encoder().encode
