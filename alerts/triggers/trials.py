"""What comes of the arms that customers were given: they order, they redeem; and what that has brought."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from alerts.triggers.arms import Given, design_of
from alerts.triggers.rule import Rule
from features.columns import KINDS, Columns
from features.customer import Applied
from features.offers import Scored
from features.outgoing import Drawn
from features.record import Choice, Ledger
from features.trials import HOLDOUT, LATE_MS, Trial

ORDER, REDEEMED, VOID, REFUND = (KINDS[kind] for kind in ("order", "coupon_redeemed", "void", "refund"))
DEEDS = np.isin(np.arange(len(KINDS)), [ORDER, REDEEMED, VOID, REFUND])  # by kind
FIELDS = {"coupon", "order", "total_cents", "amount_cents"}  # of these events
KEPT = 16  # choices of a customer that are followed, the latest
# how MessagePack begins a map of up to KEPT decisions: a ledger without it holds no choice
MARK = re.compile(rb"(?:[\x81-\x8f]|\xde\x00.)\xb8", re.DOTALL)
ANY = "*"
PLAIN = Drawn("", 1.0)  # of a rule without arms
UNSCORED: Mapping[str, Scored] = {}


class Deed(Struct, gc=False):
    """An order, a redeemed coupon, or what is taken back of an order; `place` is where in the batch it stands."""

    place: int
    who: int
    kind: int
    at_ms: int
    id: str
    coupon: str
    order: str
    paid_cents: int
    back_cents: int = 0  # of a refund
    ordered_ms: int = 0  # of a refund or void: when its order was


def deeds(columns: Columns, applied: Applied, also: Collection[int]) -> Iterator[Deed]:
    """In log order, those of customers who have an open choice, or get one in this batch (`also`)."""
    fresh = np.flatnonzero(DEEDS[columns.kind] & (applied.repeated == 0))
    who = columns.who[fresh]
    open = applied.has_ledger.copy()
    open[list(also)] = True
    some = [w for w in np.unique(who[open[who]]).tolist() if w in also or MARK.search(applied.ledger(w))]
    rows = fresh[np.isin(who, some)]
    texts = (columns.texts(name, rows) for name in ("id", "coupon", "order"))
    named = ("at_ms", "total_cents", "amount_cents", "ordered_ms")
    ids, coupons, orders = texts
    at_ms, *amounts = (columns.numbers(name, rows).tolist() for name in named)
    where = (columns.index[rows].tolist(), columns.who[rows].tolist(), columns.kind[rows].tolist())
    return map(Deed, *where, at_ms, ids, coupons, orders, *amounts)


def chosen(
    rule: Rule, given: Given, decision: str, at_ms: int, ledger: Ledger, scored: Mapping[str, Scored] = UNSCORED
) -> list[Trial]:
    """Notes in the ledger which arm it was, for what may come of it; `scored`: what models saw."""
    arm, then = given.arm or PLAIN, given.then
    worth = (0, 0, 0) if given.nothing else (then.face_value_cents, then.percent, then.at_most_cents)
    choice = Choice(
        rule.id,
        arm.name,
        arm.context,
        arm.propensity,
        at_ms,
        at_ms + then.valid_ms,
        *worth,
        nothing=given.nothing,
        exposed_ms=ledger.exposed_ms.get(rule.id, at_ms),
    )
    first = rule.id not in ledger.exposed_ms
    ledger.exposed_ms[rule.id] = choice.exposed_ms
    ledger.choices.pop(decision, None)
    ledger.choices[decision] = choice
    told = _told(decision, choice, at_ms, scored)
    told.first, told.design = first, design_of(rule.then) if first and arm.name != HOLDOUT else ""
    return [*crowded_out(ledger, at_ms), told]


def crowded_out(ledger: Ledger, now_ms: int) -> Iterator[Trial]:
    """Those that are over are dropped; of more than KEPT the oldest are withdrawn, whatever has come of them so far: to
    learn from those alone that were redeemed in time would be to learn that all are."""
    _drop(ledger, now_ms)
    for decision in list(ledger.choices)[:-KEPT]:
        yield from withdraw(ledger, decision, now_ms)


def _drop(ledger: Ledger, now_ms: int) -> None:
    """The choices of which nothing more can come."""
    ledger.choices = {id: one for id, one in ledger.choices.items() if one.expires_ms + LATE_MS > now_ms}


def follow(deed: Deed, ledger: Ledger, margin_percent: int) -> Iterable[Trial]:
    """What a deed has changed of a customer's choices, as it notes in the ledger; those that are over are dropped."""
    _drop(ledger, deed.at_ms)
    for decision, choice in FOLLOWED[deed.kind](deed, ledger):
        choice.reward_cents = reward_cents(choice, margin_percent)
        choice.revision += 1
        yield _told(decision, choice, deed.at_ms)


def withdraw(ledger: Ledger, decision: str, now_ms: int) -> Iterator[Trial]:
    """Of a choice of which nothing can come, because its customer never gets it."""
    if choice := ledger.choices.pop(decision, None):
        choice.revision += 1
        yield replace(_told(decision, choice, now_ms), withdrawn=True)


def withdraw_all(ledger: Ledger) -> Iterator[Trial]:
    """Of all that a customer who is forgotten has not redeemed."""
    for decision in [decision for decision, choice in ledger.choices.items() if not choice.redeemed]:
        yield from withdraw(ledger, decision, ledger.choices[decision].at_ms)


def _ordered(deed: Deed, ledger: Ledger) -> list[tuple[str, Choice]]:
    """Of an order: the choices that it is the first after, and those whose redemption has waited for it."""
    changed = []
    for decision, choice in ledger.choices.items():
        waited = choice.awaited in (deed.id, ANY)
        inside = choice.at_ms <= deed.at_ms <= choice.expires_ms
        if not (waited or inside):
            continue
        if waited or not choice.redeemed:
            choice.order, choice.paid_cents = deed.id, deed.paid_cents
        if waited:
            choice.awaited = ""
        choice.orders += inside
        if waited or (inside and choice.orders == 1):
            changed.append((decision, choice))
    return changed


def _redeemed(deed: Deed, ledger: Ledger) -> list[tuple[str, Choice]]:
    decision = decision_of(deed)
    choice = ledger.choices.get(decision)
    if choice is None or choice.redeemed or choice.nothing:
        return []
    choice.redeemed = True
    if deed.paid_cents:  # of a redemption, what the order came to before the coupon
        choice.paid_cents = max(0, deed.paid_cents - off_cents(choice, deed.paid_cents))
        choice.order = deed.order or choice.order
    elif deed.order:
        choice.awaited = "" if deed.order == choice.order else deed.order
    elif not choice.order:
        choice.awaited = ANY
    return [(decision, choice)]


def _voided(deed: Deed, ledger: Ledger) -> list[tuple[str, Choice]]:
    """It is as if that order had not been; its coupon may be redeemed once more.

    A redemption may name an order that is not known as the choice's: one that came after the coupon's time.
    """
    changed = []
    for decision, choice in ledger.choices.items():
        gone, awaited = choice.order == deed.order, choice.awaited == deed.order
        inside = choice.at_ms < deed.ordered_ms + gone and deed.ordered_ms <= choice.expires_ms and choice.orders > 0
        choice.orders -= inside
        if gone:
            choice.order, choice.paid_cents = "", 0
        if awaited:
            choice.awaited = ""
        if ((gone or awaited) and choice.redeemed) or (inside and not choice.orders):
            changed.append((decision, choice))
        choice.redeemed = choice.redeemed and not (gone or awaited)
    return changed


def _refunded(deed: Deed, ledger: Ledger) -> list[tuple[str, Choice]]:
    """The order was, and has brought less."""
    mine = [(decision, choice) for decision, choice in ledger.choices.items() if choice.order == deed.order]
    for _, choice in mine:
        choice.paid_cents = max(0, choice.paid_cents - deed.back_cents)
    return [(decision, choice) for decision, choice in mine if choice.redeemed]


FOLLOWED = {ORDER: _ordered, REDEEMED: _redeemed, VOID: _voided, REFUND: _refunded}


def decision_of(deed: Deed) -> str:
    """The decision whose coupon was redeemed: coupons bear its id."""
    return deed.coupon


def reward_cents(choice: Choice, margin_percent: int) -> int:
    """The margin of the order at its full price, less what the coupon took off it; 0 if it was not redeemed."""
    if not choice.redeemed:
        return 0
    cost_cents = taken_off_cents(choice)
    return (choice.paid_cents + cost_cents) * margin_percent // 100 - cost_cents


def off_cents(choice: Choice, full_cents: int) -> int:
    """What the coupon takes off an order that comes to so much before it."""
    if not choice.percent:
        return choice.face_value_cents
    return min(choice.at_most_cents, full_cents * choice.percent // 100)


def taken_off_cents(choice: Choice) -> int:
    """By the coupon, of an order of which `paid_cents` were left."""
    if not choice.percent:
        return choice.face_value_cents
    left = 100 - choice.percent
    return min(choice.at_most_cents, choice.paid_cents * choice.percent // left) if left else choice.at_most_cents


def _told(decision: str, choice: Choice, now_ms: int, scored: Mapping[str, Scored] = UNSCORED) -> Trial:
    return Trial(
        decision=decision,
        rule=choice.rule,
        arm=choice.arm,
        context=choice.context,
        propensity=choice.propensity,
        nothing=choice.nothing,
        at_ms=choice.at_ms,
        expires_ms=choice.expires_ms,
        now_ms=now_ms,
        revision=choice.revision,
        ordered=choice.orders > 0,
        redeemed=choice.redeemed,
        reward_cents=choice.reward_cents,
        scored=dict(scored),
        exposed_ms=choice.exposed_ms,
    )
