"""What the events, fields and headers of all messages mean, in the words of docs/events.md.

What a class says of itself stands in its docstring, and is not said again here.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Word(NamedTuple):
    """What a field means, and a value as a till or an app might send it."""

    meaning: str
    sample: Any = None


EVENTS = {  # those whose class has no docstring
    "order": "A paid order.",
    "app_open": "Somebody opened the app.",
    "view": "Somebody looked at a product, or at a category of products, in the app.",
    "cart_add": "A product was put into the cart.",
    "coupon_issued": "The coupon service has given a customer a coupon.",
    "coupon_redeemed": "A customer has used a coupon.",
    "coupon_expired": "A coupon has run out unused.",
    "rating": "A customer's stars for an order.",
    "complaint": "A customer has complained.",
    "complaint_answered": "Somebody has answered a complaint.",
    "delivery_promised": "The customer was told when the delivery would come.",
    "delivery_delivered": "The delivery has come.",
    "share": "A customer has shared something from the app.",
    "referral": "A customer has brought a friend.",
    "footfall": "People counted at a store's door since its last count.",
}

# A field means the same in every event; `event.field` where it does not.
FIELDS = {
    "type": Word("the event type"),
    "id": Word("unique among all events of the sender; one that is sent again keeps it and counts once", "e-70021"),
    "time": Word("when it happened", "2026-05-01T08:30:00+08:00"),
    "who": Word(
        "the customer's raw identifiers, at least one; they never leave ingest",
        {"phone": "+86 138 0013 8000", "card": "8801 2345"},
    ),
    "store": Word("store id, as in the stores file", "sh-0001"),
    "channel": Word("how it came about: counter, app, delivery, ...", "counter"),
    "staff": Word("who served, by staff id", "s-17"),
    "customer": Word("customer id, a keyed hash; empty where nobody is known"),
    "at_ms": Word("`time` in epoch ms"),
    "day": Word("the store's calendar date, counted in days; 1 January of the year 1 is 1"),
    "tz": Word("the store's time zone"),
    "region": Word("the store's region, from the stores file"),
    "phone": Word(
        "in any spelling; without +, of the store's country, or of that in [identity] phone_region", "+86 138 0013 8000"
    ),
    "card": Word("member card; capitals and outer spaces do not matter", "8801 2345"),
    "app_id": Word("account in the app", "a-5521"),
    "openid": Word("account in the mini program", "oX-81f0"),
    "marketplace_id": Word("account with a delivery marketplace", "m-90"),
    "sku": Word("product", "oolong-l"),
    "qty": Word("pieces", 2),
    "price_cents": Word("price of one piece", 1800),
    "category": Word("product category", "tea"),
    "options": Word("choices such as sugar and ice", {"sugar": "half"}),
    "lines": Word("what was ordered", [{"sku": "oolong-l", "qty": 2, "price_cents": 1800, "category": "tea"}]),
    "total_cents": Word("what the customer paid, after discounts", 3100),
    "currency": Word("ISO 4217; amounts of different currencies are not told apart", "CNY"),
    "discount_cents": Word("what the customer did not have to pay", 500),
    "coupon": Word("the single coupon, by its code, or by its number in another system", "cp-20411"),
    "campaign": Word("campaign the coupon or the discount belongs to", "summer"),
    "order": Word("`id` of the order", "e-70020"),
    "ordered_time": Word("when that order was placed", "2026-05-01T08:10:00+08:00"),
    "amount_cents": Word("money given back", 3100),
    "items": Word("pieces given back", 2),
    "promised_ms": Word("`promised_time` in epoch ms"),
    "birthday": Word("day of the year, MM-DD: never the year", "05-14"),
    "birthday_ms": Word("when the next birthday begins in the customer's time zone, in epoch ms"),
    "ordered_ms": Word("`ordered_time` in epoch ms"),
    "ordered_day": Word("the store's calendar date at `ordered_time`, counted as in `day`"),
    "face_value_cents": Word("what the coupon is worth", 500),
    "stars": Word("stars, halves and tenths allowed", 4.5),
    "case": Word("number of the complaint", "k-310"),
    "topic": Word("what it is about", "waiting time"),
    "closed": Word("true: the complaint is settled", True),
    "promised_time": Word("when the delivery should come", "2026-05-01T09:00:00+08:00"),
    "what": Word("what was shared", "menu"),
    "points": Word("loyalty points", 300),
    "PointsSpent.what": Word("what they were given for", "free-topping"),
    "friend": Word("the friend's referral code: never a phone number or a name, for it is kept as it is", "r-7781"),
    "purpose": Word("what the data are used for", "marketing"),
    "granted": Word("true: consent given; false: taken back", True),
    "visitors": Word("people", 12),
    "place": Word("a store's id, or a region as in the stores file", "east"),
    "temp_c": Word(
        "the air's temperature where it happened, in °C, by the latest reading; counts if `weather_ms` is set"
    ),
    "Weather.temp_c": Word("the air's temperature, in °C", 31.5),
    "rain_mm": Word("the rain that had fallen there within an hour, in mm; counts if `weather_ms` is set"),
    "Weather.rain_mm": Word("the rain of the last hour, in mm", 0.4),
    "weather_ms": Word("when that weather was measured, epoch ms: at most three hours before; 0: it is not known"),
    "Suppress.reason": Word(
        "in a word, such as `complaint` or `review`; with `lift`, empty: whatever the reasons", "complaint"
    ),
    "until_time": Word("when it ends by itself; empty: when it is lifted", "2026-06-01T00:00:00+08:00"),
    "until_ms": Word("`until_time` in epoch ms; 0: when it is lifted"),
    "lift": Word("true: from now on the customer gets again what there is", False),
    "source": Word("source partition, as topic/partition"),
    "of": Word("number of source partitions"),
    # merges
    "into": Word("whose it is now: the smaller id of the two"),
    "History.of": Word("who was merged into `customer`"),
    "Moved.of": Word("who was merged into `customer`, sooner or later"),
    "offset": Word("where in its partition of `events` the word on the merge stood, or the event that has moved"),
    "History.layout": Word("version and measures of the records of whoever said so; under others it does not count"),
    "Moved.layout": Word("as in a history"),
    "record": Word("the record, packed as in features/record.py, in base64; empty where nothing was known"),
    "words": Word("code in the record, in decimal: the text it stands for"),
    "event": Word("the clean event as it stood there"),
    # audit
    "actor": Word("the staff member or the account that did it; also the key", "analyst-03"),
    "role": Word("the actor's role", "analyst"),
    "object": Word("what was touched: a table, a screen, a customer", "customers"),
    "rows": Word("customers touched", 120),
    "fields": Word("fields seen or taken out", ["name", "phone"]),
    "client_ip": Word("address it was done from", "10.20.4.7"),
    "device": Word("device it was done from", "pc-11"),
    "result": Word("`ok`, or why not, such as `denied`", "ok"),
    "action": Word("such as `login`, `view`, `search`, `permission_change`", "view"),
    # examples
    "model": Word("model that learns from them"),
    "layout": Word("hash of the names of the model's inputs: the order of the values in a row"),
    "Examples.at_ms": Word("by row: when it was scored, epoch ms"),
    "known_ms": Word("by row: when its label could be known, epoch ms"),
    "labels": Word("by row: true when it came true, for churn_risk no order within the horizon"),
    "Examples.rows": Word("inputs as they were then; null where one had no value"),
    # CloudEvents
    "specversion": Word("CloudEvents version"),
    "CloudEvent.id": Word("the same after every replay and unique within its topic: your idempotency key"),
    "CloudEvent.type": Word("what kind of message it is"),
    "CloudEvent.source": Word("the flow it comes from"),
    "CloudEvent.time": Word("event time of what it reports, RFC 3339"),
    "subject": Word("whom or what it is about; also the key"),
    "datacontenttype": Word("of `data`"),
    "data": Word("the message itself"),
    # coupons and decisions
    "decision": Word("id of the decision"),
    "rule": Word("id of the rule"),
    "rule_version": Word("hash of the rule's file"),
    "Receipt.customer": Word("customer id"),
    "outcome": Word(
        "`issued`, or why not: `control` (the customer was drawn for the arm that gives nothing),"
        " `stale` (the event came too late), `excluded` (another rule of the group was first),"
        " `no_consent`, `suppressed`, `holdout`, `cooldown`, `inside` (the rule has fired, and its exit was not true"
        " since), `capped`, `channel_capped`, `quiet_hours`, `campaign_not_begun`, `campaign_over`, `customer_limit`,"
        " `stock`, `budget`; `withheld`: it was issued, and is not sent after all"
    ),
    "Receipt.channel": Word("how the customer is told: push, sms, wechat, email", "push"),
    "percent": Word("what the coupon takes off the order, in percent; 0: it takes off `face_value_cents`", 10),
    "at_most_cents": Word("the most that a percentage takes off", 800),
    "message": Word("name of the channel's template; empty: none", "we-miss-you"),
    "Receipt.coupon": Word("coupon that the rule gives"),
    "Receipt.campaign": Word("campaign of the rule; may be empty"),
    "Receipt.at_ms": Word("event time of the decision, epoch ms"),
    "expires_ms": Word("when the coupon runs out, epoch ms"),
    "cause": Word("id of the event behind it; for a timer, its name and the time it was due"),
    "trigger_stamp_ms": Word("Kafka timestamp of the record behind it, epoch ms"),
    "values": Word("what the rule looks at, as it was: features, scores, event and clock; null where one had no value"),
    "terms": Word("for each score, the inputs that moved it most, in logits"),
    "coupons_in_cap_window": Word("coupons that count against the cap, before this one"),
    "cap": Word("coupons a customer may get within the cap's window"),
    "ran_out": Word("what the campaign had no more of: `coupons`, `budget`, or the budget of `region:`, `store:`, ..."),
    "clock_ms": Word("what time it was for the partition that decided: its watermark, epoch ms"),
    "cooldown_until_ms": Word("until when the rule had to be quiet, as it stood before, epoch ms; 0: it had not fired"),
    "holdout": Word("true: the customer is of the group that gets no coupons"),
    # what becomes of coupons
    "code": Word("what the customer shows at the till; empty where there is no key for codes"),
    "min_spend_cents": Word("what the order must come to before the coupon; 0: anything"),
    "stores": Word("where it is good: in these stores and `regions`; everywhere, if both are empty"),
    "regions": Word("where it is good, as `stores`"),
    "CouponRedeemed.total_cents": Word("what the order comes to before the coupon, for coupons that ask for it", 3600),
    "CouponDelivered.coupon": Word("its code, or the id of its decision", "5f0c83f0a7d14f0c9b6e2d41"),
    "CouponOpened.coupon": Word("its code, or the id of its decision", "5f0c83f0a7d14f0c9b6e2d41"),
    "CouponRevoked.coupon": Word("its code, or the id of its decision", "5f0c83f0a7d14f0c9b6e2d41"),
    "CouponRevoked.reason": Word("why; `withdrawn`, if it is left out", "sent by mistake"),
    "CouponVerdict.decision": Word("id of the decision that issued it"),
    "CouponVerdict.rule": Word("id of the rule that gave it"),
    "CouponVerdict.customer": Word("customer id"),
    "CouponVerdict.reason": Word(
        "why it was refused: `forged`, `not_yours`, `already_redeemed`, `revoked`, `expired`, `held` (the customer is"
        " under review), `wrong_store`, `below_minimum`; why it was revoked: `refund` or `void` of the order that"
        " earned it, or what whoever revoked it said"
    ),
    "CouponVerdict.coupon": Word("what the rule calls it"),
    "CouponVerdict.campaign": Word("campaign of the rule; may be empty"),
    "CouponVerdict.event": Word("id of the event that is answered"),
    "CouponVerdict.order": Word("order that the event names; may be empty"),
    "CouponVerdict.store": Word("store that the event names; may be empty"),
    "CouponVerdict.total_cents": Word("of a redemption, what the order comes to before the coupon"),
    "CouponVerdict.at_ms": Word("event time, epoch ms"),
    "Receipt.until_ms": Word("until when what stood in the way lasts, epoch ms; 0: not known, or nothing did"),
    "because": Word("what stood in the way: the reason of a suppression, the channel that is capped; or empty"),
    "send_ms": Word("when the message is sent, epoch ms; 0: it is not"),
    "send_why": Word(
        "why then, where the rule sends at the customer's hour: `usual_hour`, `quiet_hours` (which that hour is in),"
        " `no_history` (none is known), `expires` (the coupon would have run out); else empty"
    ),
    "arm": Word("of a rule with arms, the one that was drawn; null for others"),
    # arms and trials
    "Drawn.name": Word("name of the arm; the control's is the outcome `control`"),
    "propensity": Word("how likely this arm was for this customer's context, 0 to 1"),
    "context": Word("value of the feature by which the rule learns apart; empty: none"),
    "weights_version": Word("version of what had been learned; 0: the weights of the rule's file"),
    "Trial.arm": Word("name of the arm"),
    "nothing": Word("true: the arm is the control"),
    "Trial.at_ms": Word("event time of the decision, epoch ms"),
    "now_ms": Word("event time of what it tells, epoch ms"),
    "Trial.revision": Word("0 when the arm is chosen, one more with each change"),
    "ordered": Word("whether the customer has ordered since, before the coupon ran out"),
    "redeemed": Word("whether the coupon was redeemed"),
    "reward_cents": Word("of a redeemed coupon: the margin of its order at full price, less what the coupon took off"),
    # deliveries
    "gateway": Word("name of the gateway in the settings", "push"),
    "reason": Word("why it was given up, as in its dead letter; empty when it was delivered", "sent by mistake"),
    "attempts": Word("requests that were made since the flow has started"),
    "status": Word("HTTP status of the latest answer; 0 when none came"),
    "Delivery.at_ms": Word("when that was known, epoch ms"),
    # minutes and alerts of KPIs
    "dim": Word("`chain:*`, or `store:`, `region:`, `channel:` or `campaign:` with its name"),
    "minute_ms": Word("start of the minute, epoch ms"),
    "revision": Word("a higher one replaces a lower one; the same always means the same counts"),
    "orders": Word("orders less voids"),
    "revenue_cents": Word("totals of orders less voids; refunds are not taken off"),
    "KpiMinute.items": Word("pieces sold less voids"),
    "KpiMinute.discount_cents": Word("discounts of orders"),
    "refunds": Word("refunds"),
    "refund_cents": Word("money refunded"),
    "visits": Word("visitors at the door and app openings"),
    "redemptions": Word("coupons used"),
    "coupons_issued": Word("coupons given"),
    "new_members": Word("bindings"),
    "ratings": Word("ratings"),
    "stars_x10": Word("sum of the stars, times ten"),
    "complaints": Word("complaints"),
    "aov_cents": Word("average order value: `revenue_cents` / `orders`"),
    "conversion": Word("`orders` / `visits`"),
    "redemption_rate": Word("`redemptions` / `coupons_issued`"),
    "rating_mean": Word("mean stars"),
    "state": Word("whether it begins or is over"),
    "series": Word("the KPI that is unusual"),
    "direction": Word("less or more than usual"),
    "KpiAlert.observed": Word("sum over the window"),
    "expected": Word("what is usual at this hour"),
    "p": Word("probability of a window as rare as this"),
    "KpiAlert.started_ms": Word("when it began to be unusual, epoch ms"),
    "fingerprint": Word("the same for every incident of this dimension, series and direction"),
    "incident": Word("the same for firing and resolved"),
    "why": Word("all of it in one sentence"),
    # findings
    "Finding.rule": Word("name of the Sigma rule, or `unusual_export_volume` of the baseline"),
    "rule_id": Word("id of that rule"),
    "title": Word("title of the rule"),
    "level": Word("informational, low, medium, high or critical"),
    "tags": Word("such as attack.t1048"),
    "group": Word("the fields by which the rule counts, with their values"),
    "Finding.observed": Word("what was measured"),
    "threshold": Word("the limit it is measured against"),
    "evidence": Word("ids of the events that count, the deciding one last; at most 20"),
    "started_ms": Word("time of the first event that counts, epoch ms"),
    "event_at_ms": Word("time of the deciding event, epoch ms"),
}

HEADERS = {  # of dead letters
    "ce_specversion": "CloudEvents version",
    "ce_id": "where the record stands: topic/partition/offset, for a coupon with the gateway behind; also the key",
    "ce_type": "brewline.dead_letter",
    "ce_source": "the topic it was read from",
    "ce_time": "Kafka timestamp of the record",
    "reason": "one of the reasons below",
    "detail": "what exactly was wrong; names types and paths, never what a field held",
    "source_topic": "topic",
    "source_partition": "partition",
    "source_offset": "offset",
}

REASONS = {  # those that features/check.py does not give
    "identity_limit": "would give one customer more identifiers, or merge more customers, than `[identity]` allows",
    "too_late": "an audit event so late that its duplicates are forgotten",
    "layout": "an example learned on other features than those declared now",
    "gateway_refused": "a gateway has answered a coupon with a status that another attempt would not change",
    "gateway_unreachable": "a gateway could not be asked, or failed, as often or as long as its settings allow",
    "expired": "a coupon ran out before its gateway took it",
    "internal_error": "the program raised on it: a bug, whose traceback is in the log",
}
