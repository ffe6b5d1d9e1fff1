"""Every topic: what is on it, who writes and who reads it, and which message comes of which flow."""

from __future__ import annotations

from msgspec import Struct

from features import events as e
from features import outgoing as out
from features.refusals import Refusals

TURNS = ("opened", "warned", "breached", "escalated", "answered", "reopened", "closed")  # of a ticket
NOTICES = tuple(f"notice.{what}" for what in ("opened", "updated", "acknowledged", "resolved", "closed", "held"))
WORDS = tuple(f"alert.{what}" for what in ("acknowledged", "closed", "silenced", "unsilenced"))
CLOUDEVENTS: dict[str, tuple[str, type[Struct]]] = {  # message: flow, data
    "coupon.issued": ("coupons", out.IssuedCoupon),
    "message.due": ("coupons", out.Receipt),
    "decision": ("decisions", out.Receipt),
    "refusals": ("decisions", Refusals),
    "coupon.redeemed": ("redemptions", out.CouponVerdict),
    "coupon.refused": ("redemptions", out.CouponVerdict),
    "coupon.revoked": ("redemptions", out.CouponVerdict),
    "coupon.restored": ("redemptions", out.CouponVerdict),
    "coupon.opened": ("redemptions", out.CouponVerdict),
    "coupon.delivered": ("dispatch", out.Delivery),
    "coupon.undeliverable": ("dispatch", out.Delivery),
    "kpi.minute": ("kpis", out.KpiMinute),
    "kpi.silence": ("kpis", out.StoreSilence),
    "store.load": ("kpis", out.StoreLoad),
    "alert.kpi": ("kpis", out.KpiAlert),
    "brake.paused": ("kpis", out.BrakeTurn),
    "brake.resumed": ("kpis", out.BrakeTurn),
    "alert.security": ("security", out.Finding),
    "alert.service": ("service", out.ServiceAlert),
    "alert.model": ("learning", out.ModelAlert),
    **dict.fromkeys(NOTICES, ("notify", out.Notice)),
    **dict.fromkeys(WORDS, ("people", out.AlertWord)),
    "alert.experiment": ("learning", out.ExperimentAlert),
    **{f"ticket.{what}": ("service", out.Ticket) for what in TURNS},
    "review.opened": ("abuse", out.Review),
    "review.grown": ("abuse", out.Review),
    "review.withdrawn": ("abuse", out.Review),
    "review.released": ("abuse", out.Review),
    "review.confirmed": ("abuse", out.Review),
}


class Topic(Struct, frozen=True):
    """`received` by Brewline, `sent` by it, or both."""

    name: str
    about: str
    key: str
    writers: str
    readers: str
    messages: tuple[str, ...]
    received: bool = False
    sent: bool = False


TOPICS = (
    Topic(
        "pos.events",
        "What the shops' tills and counters report.",
        "store",
        "tills",
        "ingest",
        tuple(e.SENT_EVENTS),
        received=True,
    ),
    Topic(
        "app.events",
        "What the app, the mini program, marketplaces, delivery and the coupon service report.",
        "the sender's account id",
        "apps and back ends",
        "ingest",
        tuple(e.SENT_EVENTS),
        received=True,
    ),
    Topic(
        "audit.events",
        "Who touched customer data. Rules count per actor, so the key must be the actor.",
        "actor",
        "every system that shows customer data, `brewline`, security",
        "security",
        tuple(e.AUDIT_EVENTS),
        received=True,
        sent=True,
    ),
    Topic(
        "exposures",
        "Which customers were exported and which have redeemed a coupon, by a hash of theirs. Within one flow, and no"
        " contract.",
        "hash of the customer id",
        "security",
        "security",
        ("exposure",),
        received=True,
        sent=True,
    ),
    Topic(
        "audit.matches",
        "What audit events mean to correlations whose groups span actors. Within one flow, and no contract.",
        "hash of the group",
        "security",
        "security",
        ("match",),
        received=True,
        sent=True,
    ),
    Topic(
        "audit.lines",
        "Raw log lines of systems that send no audit events, as a log shipper has them:"
        ' `{"source": "nginx", "line": …}`; `source` is the name of a mapping file.',
        "anything",
        "log shippers",
        "security",
        ("line",),
        received=True,
    ),
    Topic(
        "events",
        "Clean events: checked, with one customer id, without raw identifiers. Ticks go to every partition.",
        "customer; store where nobody is known",
        "ingest, customers, kpis, service, abuse, dispatch, `brewline forget`, `suppress`, `coupons revoke`",
        "customers, kpis, service, abuse",
        (*(f"clean.{kind}" for kind in e.CUSTOMER_EVENTS), *e.CONTROL),
        received=True,
        sent=True,
    ),
    Topic(
        "identities",
        "Whose a pseudonym is, into whom a customer was merged (`customer:<id>`), and which identifiers belong together"
        " (`group:<id>`). Compacted: a link is kept until its customer is forgotten, for Redis takes what it has lost"
        " from here.",
        "pseudonym, or as said",
        "ingest, `brewline forget`",
        "ingest",
        ("identity",),
        received=True,
        sent=True,
    ),
    Topic(
        "forgotten",
        "Tombstones of customers who were forgotten: that somebody was, and not who. Compacted: kept for ever, so that"
        " no replay brings anybody back.",
        "hash of the customer id",
        "`brewline forget`",
        "ingest, customers, service, abuse, dispatch",
        ("tombstone",),
        received=True,
        sent=True,
    ),
    Topic(
        "weather",
        "The weather of the last day, for all ingest processes. Compacted.",
        "place/number of its ten minutes, modulo a day and three hours",
        "ingest",
        "ingest",
        ("clean.weather",),
        received=True,
        sent=True,
    ),
    Topic(
        "store.load",
        "How full each store was by the last quarter of an hour, every five minutes. Compacted: the last day of it.",
        "store/number of its quarter of an hour, modulo a day and twenty minutes",
        "kpis",
        "ingest, boards",
        ("store.load",),
        received=True,
        sent=True,
    ),
    Topic(
        "examples",
        "Feature rows with the labels they got since, those of a batch together; trials of coupons; the hours that have"
        " passed; and a human's word on which version of a model scores.",
        "model; of a trial, `arms|` and its rule; an hour goes to every partition",
        "customers, learning, `brewline models`",
        "learning",
        ("example", "trial", "clean.tick", "appointment"),
        received=True,
        sent=True,
    ),
    Topic(
        "kpi.partials",
        "Counts of one partition on their way to the merge. Between two steps of one flow, and no contract.",
        "number of a partition",
        "kpis",
        "kpis",
        ("partial",),
        received=True,
        sent=True,
    ),
    Topic(
        "kpi.closings",
        "Minutes that partitions have closed or corrected, many dimensions together, and how far their clocks are; all"
        " in the one partition whose reader judges them. Between two steps of one flow, and no contract.",
        "`p` and a number, for each partition one",
        "kpis",
        "kpis",
        ("closing",),
        received=True,
        sent=True,
    ),
    Topic(
        "kpi.minutes",
        "Closed minutes and hours of every dimension, their corrections, and tills that go offline.",
        "dim",
        "kpis",
        "boards, warehouse",
        ("kpi.minute", "kpi.silence"),
        sent=True,
    ),
    Topic(
        "service.cases",
        "Clean events by the ticket they are about. Between two steps of one flow, and no contract.",
        "ticket",
        "service",
        "service",
        ("case",),
        received=True,
        sent=True,
    ),
    Topic(
        "tickets",
        "What becomes of complaints, low ratings and enquiries, and of what was promised for them.",
        "customer; ticket where nobody is known",
        "service",
        "contact centre, boards, warehouse",
        tuple(f"ticket.{what}" for what in TURNS),
        sent=True,
    ),
    Topic(
        "coupons",
        "Coupons and messages to hand out.",
        "customer",
        "customers",
        "dispatch, coupon service",
        ("coupon.issued", "message.due"),
        received=True,
        sent=True,
    ),
    Topic(
        "redemptions",
        "Whether a coupon may be used, and what else became of it: opened, revoked, given back.",
        "customer",
        "customers",
        "tills, coupon service, analysts, warehouse",
        ("coupon.redeemed", "coupon.refused", "coupon.revoked", "coupon.restored", "coupon.opened"),
        sent=True,
    ),
    Topic(
        "deliveries",
        "What became of each coupon at each gateway.",
        "decision",
        "dispatch",
        "coupon service, analysts, warehouse",
        ("coupon.delivered", "coupon.undeliverable"),
        sent=True,
    ),
    Topic(
        "decisions",
        "Every decision of a rule whose condition held, also those not to fire. Those that want of consent has made"
        " alone share a message, by batch and rule.",
        "customer; of decisions that share a message, that of the first",
        "customers",
        "analysts, warehouse",
        ("decision", "refusals"),
        sent=True,
    ),
    Topic(
        "alerts",
        "KPIs that are unusual, findings about access to customer data, broken promises to guests, models that are no"
        " longer good, and experiments that cannot be trusted.",
        "fingerprint of a KPI; actor of a finding; ticket of a promise; model; rule of an experiment",
        "kpis, security, service, learning",
        "notify, analysts; kpis, for brakes",
        ("alert.kpi", "alert.security", "alert.service", "alert.model", "alert.experiment"),
        received=True,
        sent=True,
    ),
    Topic(
        "brake.asked",
        "Who asks that a campaign be paused at a place, or go on there: alerts and people. Within one flow, and no"
        " contract.",
        "campaign/place",
        "kpis, `brewline brake`",
        "kpis",
        ("brake.asked",),
        received=True,
        sent=True,
    ),
    Topic(
        "brakes",
        "Pauses of campaigns, and their ends, each with who said so and why. Compacted by its revision: kept for ever.",
        "campaign/place/revision",
        "kpis",
        "`brewline brake`, marketing, warehouse",
        ("brake.paused", "brake.resumed"),
        sent=True,
    ),
    Topic(
        "alert.words",
        "What named people say of alerts: that they look after one, close one, silence some for a while.",
        "alert or silence",
        "`brewline alerts`",
        "notify, auditors",
        WORDS,
        received=True,
        sent=True,
    ),
    Topic(
        "notices",
        "What receivers are told of alerts: de-duplicated, held to a pace, without what is silenced.",
        "alert, or the sum of those that were held",
        "notify",
        "notify, on-call staff, SIEM",
        NOTICES,
        received=True,
        sent=True,
    ),
    Topic(
        "sightings",
        "What is known of accounts and devices, on its way to who judges it; a human's decisions. Within one flow, and"
        " no contract.",
        "customer or device",
        "abuse, `brewline reviews`, `brewline forget`",
        "abuse",
        ("sighting",),
        received=True,
        sent=True,
    ),
    Topic(
        "reviews",
        "Cases of possible abuse that wait for a human, and what became of them. Compacted: the latest word on a case"
        " is all of it.",
        "case",
        "abuse, `brewline forget`",
        "reviewers, `brewline reviews`, `brewline forget`",
        ("review.opened", "review.grown", "review.withdrawn", "review.released", "review.confirmed"),
        sent=True,
    ),
    Topic(
        "dead-letters",
        "What could not be used or delivered, as it was. It holds the same personal data as the topics it came from,"
        " and needs their access rights and their retention.",
        "topic/partition/offset, of a coupon with its gateway behind",
        "every flow",
        "whoever mends it and sends it again",
        ("dead_letter",),
        sent=True,
    ),
)
