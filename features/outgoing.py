"""Outgoing messages as their receivers see them; the alerts package fills them, and tests hold the two together."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct


class CloudEvent(Struct, gc=False):
    """The envelope of all that leaves, in the JSON format of CloudEvents 1.0."""

    specversion: Literal["1.0"]
    id: str
    type: str
    source: str
    time: str
    subject: str
    datacontenttype: Literal["application/json"]
    data: dict[str, Any]


class Drawn(Struct, gc=False):
    """The arm that a customer was given, and how likely that was."""

    name: str
    propensity: float
    context: str = ""
    weights_version: int = 0


class Braked(Struct, gc=False):
    """Why a campaign was paused where a decision was taken: who said so, when, and what for."""

    campaign: str
    place: str
    revision: int
    by: str
    at_ms: int
    reason: str
    incident: str = ""


class Points(Struct, gc=False):
    """What a customer has asked to give for a coupon, and what there was then."""

    asked: int
    balance: int
    promised: int


class Receipt(Struct, gc=False):
    """All that explains a decision; a coupon carries the receipt of the decision that issued it."""

    decision: str
    rule: str
    rule_version: str
    customer: str
    outcome: str
    coupon: str
    face_value_cents: int
    percent: int
    at_most_cents: int
    message: str
    channel: str
    campaign: str
    at_ms: int
    expires_ms: int
    cause: str
    trigger_stamp_ms: int
    values: dict[str, float | bool | str | None]
    terms: dict[str, dict[str, float]]
    coupons_in_cap_window: int
    cap: int
    ran_out: str
    clock_ms: int
    cooldown_until_ms: int
    holdout: bool
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


class IssuedCoupon(Receipt, kw_only=True):
    """A coupon with its code, and where it is good; beside that, the receipt of the decision that issued it."""

    code: str
    min_spend_cents: int
    stores: list[str]
    regions: list[str]


class CouponVerdict(Struct, gc=False):
    """What became of a coupon: how a redemption was judged, or that it was opened, taken back or given back.

    Where a redemption names no coupon of the customer's, nothing is told of one: fields that are empty or 0.
    """

    decision: str
    rule: str
    customer: str
    reason: str
    coupon: str
    campaign: str
    face_value_cents: int
    percent: int
    at_most_cents: int
    event: str
    order: str
    store: str
    total_cents: int
    expires_ms: int
    at_ms: int


class Delivery(Struct, gc=False):
    """How a gateway's delivery of a coupon has ended. After a crash it may be told again under the same id."""

    decision: str
    gateway: str
    reason: str
    attempts: int
    status: int
    at_ms: int


class KpiMinute(Struct):
    """One minute of one dimension, or an hour of one that is kept by hours, sent when it closes and again whenever
    late events change it. It holds all counters and ratios of kpis.toml: beside these, those that you add."""

    dim: str
    minute_ms: int
    revision: int
    orders: int
    revenue_cents: int
    items: int
    discount_cents: int
    refunds: int
    refund_cents: int
    visits: int
    redemptions: int
    coupons_issued: int
    new_members: int
    ratings: int
    stars_x10: int
    complaints: int
    aov_cents: float | None
    conversion: float | None
    redemption_rate: float | None
    rating_mean: float | None
    minutes: int
    footfall: int
    eligible_orders: int
    rung_orders: int
    mixed_orders: int
    promoters: int
    detractors: int
    promised: int
    late_deliveries: int
    sold_items: int
    sold_cents: int
    heartbeats: int
    redemption_share: float | None
    attach_rate: float | None
    nps: float | None
    complaint_rate: float | None
    late_delivery_rate: float | None
    wet_orders: int


class StoreSilence(Struct):
    """A store's till no longer says that it is there, or does again: what is missing of it meanwhile is not zero."""

    store: str
    state: Literal["offline", "online"]
    since_ms: int
    until_ms: int


class StoreLoad(Struct, frozen=True, gc=False):
    """How full a store was in a quarter of an hour, against what it usually has at that hour of the week."""

    store: str
    at_ms: int
    orders: int
    usual_orders: float
    load: float


class Contribution(Struct, frozen=True, gc=False):
    """What of a deviation lies in a part of its dimension."""

    dim: str
    observed: float
    expected: float


class KpiAlert(Struct):
    """KPIs that are unusual begin to fire, there is more to say of them, or they have come to rest: one incident."""

    state: Literal["firing", "resolved"]
    dim: str
    series: str
    direction: Literal["low", "high"]
    observed: float
    expected: float
    p: float
    started_ms: int
    fingerprint: str
    incident: str
    why: str
    expected_low: float
    expected_high: float
    window_minutes: int
    kpis: list[str]
    stores: list[str]
    stores_affected: int
    severity: Literal["notice", "warning", "critical"]
    money_cents: int
    contributors: list[Contribution]
    revision: int
    high: dict[str, list[str]] = {}


class BrakeTurn(Braked, kw_only=True, gc=False):
    """A campaign was paused at a place, or goes on there. A higher revision replaces a lower one."""

    state: Literal["paused", "resumed"]


class Ticket(Struct):
    """A moment of a ticket. A higher revision replaces a lower one of the same clock, round and kind."""

    ticket: str
    kind: Literal["complaint", "rating", "lead"]
    customer: str
    store: str
    region: str
    topic: str
    order: str
    stars: float | None
    priority: str
    opened_ms: int
    round: int
    clock: Literal["", "first_answer", "resolution"]
    at_ms: int
    due_ms: int
    to: str
    revision: int
    withdrawn: bool
    trigger_stamp_ms: int


class ServiceAlert(Struct):
    """A guest waits for longer than was promised; resolved: what came late shows that nobody did."""

    severity: Literal["informational", "low", "medium", "high", "critical"]
    state: Literal["firing", "resolved"]
    ticket: str
    priority: str
    store: str
    region: str
    clock: Literal["first_answer", "resolution"]
    due_ms: int
    to: str
    incident: str


class Review(Struct):
    """A case of possible abuse, for a human to release or confirm. The latest word on a case is all of it."""

    case: str
    signal: Literal["device", "ring", "loop"]
    state: Literal["opened", "grown", "withdrawn", "released", "confirmed"]
    subject: str
    revision: int
    customers: list[str]
    held: list[str]
    figures: dict[str, int]
    first_ms: int
    last_ms: int
    opened_ms: int
    hold_until_ms: int
    decided_by: str
    decided_ms: int
    why: str


class ModelAlert(Struct):
    """A model is worse than a baseline, errs more than it did, or sees other inputs than it did; or that is over."""

    state: Literal["firing", "resolved"]
    model: str
    what: str
    observed: float | None
    expected: float | None
    labels: int
    started_ms: int
    incident: str
    why: str


class ExperimentAlert(Struct):
    """Customers are not divided among the arms of a rule as its file says; or the file divides them anew."""

    state: Literal["firing", "resolved"]
    rule: str
    what: Literal["sample_ratio"]
    customers: dict[str, int]
    expected: dict[str, float]
    p: float
    started_ms: int
    incident: str
    why: str


class Finding(Struct):
    """What somebody did with customer data that a security rule forbids. It names staff, never customers."""

    rule: str
    rule_id: str
    title: str
    level: str
    tags: list[str]
    actor: str
    store: str
    client_ip: str
    device: str
    group: dict[str, str]
    observed: float
    threshold: float
    why: str
    evidence: list[str]
    started_ms: int
    event_at_ms: int
    trigger_stamp_ms: int
    case: str
    score: float


class Notice(Struct):
    """What receivers are told of an alert; `key` is the same from its opening to its end.

    `former`: the title and the severity that it was told under before, where one of them has changed since; `peak`: the
    worst severity that it was ever told under. `url`: its page on the board, where `[board] url` says how people reach
    that.
    """

    action: Literal["opened", "updated", "acknowledged", "resolved", "closed", "held"]
    key: str
    alert: str
    kind: str
    severity: Literal["informational", "low", "medium", "high", "critical"]
    entity: str
    title: str
    why: str
    labels: dict[str, str]
    started_ms: int
    opened_ms: int
    at_ms: int
    count: int = 1
    held: int = 0
    by: str = ""
    reason: str = ""
    tags: list[str] = []
    evidence: list[str] = []
    figures: dict[str, float] = {}
    former: dict[str, str] = {}
    url: str = ""
    peak: Literal["", "informational", "low", "medium", "high", "critical"] = ""


class AlertWord(Struct):
    """What a named person says of an alert, or of all that some matchers cover."""

    word: Literal["acknowledged", "closed", "silenced", "unsilenced"]
    about: str
    by: str
    at_ms: int
    reason: str = ""
    matchers: dict[str, str] = {}
    until_ms: int = 0
