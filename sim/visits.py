"""What members and walk-ins do: joining, coming by, browsing the app, filling carts, staying away."""

from __future__ import annotations

from datetime import date, timedelta

from features.events import AppOpen, Bind, CartAdd, Consent, Footfall, Login, Profile, View, Who
from features.times import DAY_MS, HOUR_MS, MINUTE_MS
from sim.members import NEVER_MS, Member
from sim.menu import DRINKS, fill_cart, pick
from sim.orders import place
from sim.stores import DAYS, Store, wall_ms, weekday
from sim.truth import AbandonedCart, Lapse
from sim.world import World

SLOT_MS = 5 * MINUTE_MS  # of walk-ins and of the visitor counter
REST_MS = 2 * HOUR_MS  # no member orders again within it, so an abandoned cart stays abandoned
_SETTLED_MS = 6 * HOUR_MS  # from joining to the first visit, so that every partition knows the binding by then
_BROWSES_A_DAY = 0.6  # half of them fall into the night and stay undone
_DELIVERED = 0.35  # of the orders in the app, on a dry day
_TELLS_BIRTHDAY = 0.5
_ABANDONS = 0.12  # of those who came to order; browsers fill a cart in 3 of 10 sessions and never order


def open_slot(at_ms: int, world: World, store: Store) -> None:
    """Walk-ins of the coming slot, and at its end the number of visitors."""
    world.plan(at_ms + SLOT_MS, open_slot, world, store)
    expected = store.walk_ins_a_day * store.demand(at_ms) * world.sky(store).walk_ins * SLOT_MS / HOUR_MS
    if not expected:
        return
    rng, end_ms = world.rng, at_ms + SLOT_MS
    for _ in range(_poisson(world, expected)):
        world.plan(at_ms + int(rng.random() * SLOT_MS), walk_in, world, store)
    visitors = _poisson(world, 4 * expected)
    time = world.stamp(end_ms, store.timezone)
    world.wire.from_door(store, Footfall(id=world.new_id("f"), time=time, store=store.id, visitors=visitors), end_ms)


def _poisson(world: World, mean: float) -> int:
    """Knuth's way: arrivals until the exponential gaps fill one unit of time."""
    gap, total, arrivals = world.rng.expovariate, 0.0, -1
    while total < 1.0:
        total += gap(mean)
        arrivals += 1
    return arrivals


def walk_in(at_ms: int, world: World, store: Store) -> None:
    if not store.is_down(at_ms):
        place(world, at_ms, store, fill_cart(world.rng), "pos", None, None)


def join(at_ms: int, world: World, member: Member) -> None:
    """Binds phone, card and app, then the marketplace account; asks for consent and birthday; plans the first visit."""
    rng = world.rng
    world.from_app(member, Bind, "b", at_ms, who=Who(phone=member.phone(rng), card=member.card, app_id=member.app_id))
    if member.marketplace_id:
        who = Who(app_id=member.app_id, marketplace_id=member.marketplace_id)
        world.from_app(member, Bind, "b", at_ms + 2 * MINUTE_MS, who=who)
    member.consents = rng.random() < world.rates.consent
    world.from_app(member, Consent, "cn", at_ms + 3 * MINUTE_MS, purpose="marketing", granted=member.consents)
    if rng.random() < _TELLS_BIRTHDAY:
        day = date(2024, 1, 1) + timedelta(days=int(rng.random() * 366))
        world.from_app(member, Profile, "pr", at_ms + 4 * MINUTE_MS, birthday=f"{day:%m-%d}")
    if member.lapses_ms < NEVER_MS:
        world.plan(max(at_ms, member.lapses_ms), lapse, world, member)
    first_ms = _like_to_come(world, member, at_ms, int(rng.random() * member.gap_days))
    world.plan(first_ms if first_ms > at_ms + _SETTLED_MS else first_ms + DAY_MS, visit, world, member, True)


def lapse(at_ms: int, world: World, member: Member) -> None:
    world.truth.lapsed.append(Lapse(member.app_id, at_ms))


def _like_to_come(world: World, member: Member, now_ms: int, days: int) -> int:
    """A moment on a later day around the member's hour, while their store is open."""
    store = member.store
    minute = member.minute + int(world.rng.gauss(0, 40))
    minute = min(max(minute, store.opens_h * 60 + 5), store.closes_h * 60 - 20)
    return wall_ms(now_ms, store.timezone, days, minute) + int(world.rng.random() * MINUTE_MS)


def visit(at_ms: int, world: World, member: Member, regular: bool) -> None:
    """A member orders, at their store or nearby. A regular visit plans the next, and some browsing before it."""
    rng = world.rng
    if at_ms >= member.lapses_ms:
        return
    if regular:
        days = max(1, round(rng.gammavariate(4, member.gap_days / 4)))
        next_ms = _like_to_come(world, member, at_ms, days)
        world.plan(next_ms, visit, world, member, True)
        for day in range(days):
            if rng.random() < _BROWSES_A_DAY:
                world.plan(at_ms + REST_MS + day * DAY_MS + int(rng.random() * DAY_MS), browse, world, member)
    stays_home = regular and rng.random() > DAYS[weekday(at_ms, member.store.timezone)] / max(DAYS)
    if stays_home or at_ms < member.busy_until_ms or world.sky(member.store).stays_home(rng):
        return
    store = member.store if rng.random() < 0.9 else pick(rng, world.stores)
    if not store.is_open(at_ms) or store.is_down(at_ms):
        return
    member.busy_until_ms = at_ms + REST_MS
    if rng.random() < member.app_share:
        app_session(world, at_ms, member, store, hungry=True)
    elif member.marketplace_id and rng.random() < 0.5:
        cart = fill_cart(rng, member.usual)
        place(world, at_ms, store, cart, "marketplace", Who(marketplace_id=member.marketplace_id), member)
    else:
        place(world, at_ms, store, fill_cart(rng, member.usual), "pos", member.at_till(rng), member)


def browse(at_ms: int, world: World, member: Member) -> None:
    if member.busy_until_ms <= at_ms < member.lapses_ms and member.store.is_open(at_ms):
        app_session(world, at_ms, member, member.store, hungry=False)


def app_session(world: World, at_ms: int, member: Member, store: Store, hungry: bool) -> None:
    """app_open → view → cart_add → order or abandoned cart."""
    rng = world.rng
    world.from_app(member, AppOpen, "ao", at_ms, store)
    if rng.random() < 0.12:
        who = Who(phone=member.phone(rng), app_id=member.app_id)
        world.from_app(member, Login, "lo", at_ms + 3_000, store, who=who)
    now_ms = at_ms + 5_000
    for _ in range(1 + int(rng.random() * 3)):
        now_ms += 5_000 + int(rng.random() * 40_000)
        sku, category, _ = pick(rng, DRINKS)
        world.from_app(member, View, "vi", now_ms, store, sku=sku, category=category)
    if not hungry and rng.random() < 0.7:
        return
    cart, sent_ms = fill_cart(rng, member.usual), now_ms
    for line in cart:
        now_ms += 4_000 + int(rng.random() * 30_000)
        piece = {"sku": line.sku, "qty": line.qty, "price_cents": line.price_cents}
        sent_ms = world.from_app(member, CartAdd, "ad", now_ms, store, **piece)
    member.busy_until_ms = now_ms + REST_MS
    order_ms = now_ms + 10_000 + int(rng.random() * 90_000)
    if hungry and rng.random() >= _ABANDONS and store.is_open(order_ms) and not store.is_down(order_ms):
        channel = "delivery" if rng.random() < world.sky(store).delivery_share(_DELIVERED) else "app"
        place(world, order_ms, store, cart, channel, Who(app_id=member.app_id), member)
    else:
        world.plan(sent_ms, abandon, world, AbandonedCart(member.app_id, now_ms))


def abandon(at_ms: int, world: World, cart: AbandonedCart) -> None:
    world.truth.abandoned.append(cart)
