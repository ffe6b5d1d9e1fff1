"""Thirty insiders hidden in a month of honest work: each does one thing that the security rules should see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

from features.events import CouponRedeemed, Tick, encode
from features.times import DAY_MS, HOUR_MS, MINUTE_MS
from sim.agenda import Record
from sim.clerks import ADMIN, CRM, CRM_KEY, do, plan_clerks
from sim.offices import ANALYSTS, HEAD_OFFICE, open_office, open_shift
from sim.stores import open_stores, stores_csv, wall_ms
from sim.truth import Truth
from sim.wire import AUDIT, Rates
from sim.world import World

DAYS, STORES = 30, 24
FIRST_DAY = 12  # of a scheme: habits are known by then
ABROAD, ELSEWHERE = "203.0.113.7", "198.51.100.23"
CLEAN = "events"


class Scheme(NamedTuple):
    """What an insider does; `rules` are those that may find it, under the name of `actor`."""

    kind: str
    actor: str
    from_ms: int
    to_ms: int
    rules: tuple[str, ...]


class Insiders:
    """The month, as records in order of sending; the same for the same seed. All are of `audit.events`, save coupons
    that exported customers redeem: these are of `events`, as ingest sends them on."""

    def __init__(self, seed: int, start_ms: int, days: int = DAYS, stores: int = STORES) -> None:
        rng = Random(seed)
        self.start_ms, self.days = start_ms, days
        self.stores = open_stores(rng, stores)
        rates = Rates(malformed=0.001)
        self.world = World(rng, rates, self.stores, [], Truth(), start_ms)
        self.schemes: list[Scheme] = []

    def stores_csv(self) -> str:
        return stores_csv(self.stores)

    def records(self) -> Iterator[Record]:
        """With a tick after every minute."""
        world, start_ms = self.world, self.start_ms
        world.plan(start_ms, open_office, world)
        for store in self.stores:
            world.plan(start_ms, open_shift, world, store)
        plan_clerks(world, start_ms, self.days)
        for number, scheme in enumerate(SCHEMES):
            self.schemes.append(scheme(self, number))
        for minute_ms in range(start_ms + MINUTE_MS, start_ms + self.days * DAY_MS + 1, MINUTE_MS):
            yield from world.agenda.run(minute_ms)
            yield Record(minute_ms, AUDIT, "", encode(Tick(id=f"{AUDIT}/{minute_ms}", time=minute_ms)), tick=True)

    def day(self, number: int) -> int:
        """A working day; schemes lie at least half a day apart."""
        day = FIRST_DAY + number * (self.days - FIRST_DAY - 4) // len(SCHEMES)
        return day + (7 - day % 7 if day % 7 >= 5 else 0)

    def at(self, number: int, hour: float, tz: str = HEAD_OFFICE) -> int:
        return wall_ms(self.start_ms, tz, self.day(number), 0) + int(hour * HOUR_MS)

    def barista(self, number: int) -> tuple[str, dict[str, Any]]:
        """Somebody of a store's staff, with what stands in all that they do there."""
        store = self.stores[number * 7 % len(self.stores)]
        return store.staff[1 + number % (len(store.staff) - 1)], {"store": store.id, "tz": store.timezone}

    def manager(self, number: int) -> tuple[str, dict[str, Any]]:
        store = self.stores[(number * 5 + 3) % len(self.stores)]
        return store.staff[0], {"store": store.id, "tz": store.timezone}

    def redeem(self, at_ms: int, customer: str, device: str) -> None:
        def step(now_ms: int) -> Record:
            id = self.world.new_id("rd")
            event = CouponRedeemed(id=id, at_ms=now_ms, customer=customer, coupon=f"cp-{id}", device=device)
            return Record(now_ms, CLEAN, customer, encode(event))

        self.world.plan(at_ms, step)

    def many(self, at_ms: int, actor: str, role: str, action: str, count: int, every_ms: int, **fields: Any) -> None:
        """`{n}` in texts is the number of the repetition."""
        for n in range(count):
            told = {k: v.replace("{n}", f"{n}") if isinstance(v, str) else v for k, v in fields.items()}
            do(self.world, at_ms + n * every_ms, actor, role, action, **told)


def _analyst(number: int) -> str:
    return ANALYSTS[number % 5]  # the sixth makes reports


def bulk(house: Insiders, n: int) -> Scheme:
    actor, at_ms = _analyst(n), house.at(n, 14.2)
    do(house.world, at_ms, actor, "analyst", "export", rows=7_000 + 300 * n, purpose="reporting")
    return Scheme("bulk export", actor, at_ms, at_ms, ("bulk_export",))


def by_rate(house: Insiders, n: int) -> Scheme:
    actor, at_ms = _analyst(n), house.at(n, 15.1)
    house.many(at_ms, actor, "analyst", "export", 16, 3 * MINUTE_MS, rows=760, purpose="reporting")
    return Scheme("export by rate", actor, at_ms, at_ms + HOUR_MS, ("bulk_export_rate",))


def drip(house: Insiders, n: int) -> Scheme:
    actor, first_ms = _analyst(n), house.at(n, 9.7)
    for day in range(6):
        house.many(first_ms + day * DAY_MS, actor, "analyst", "export", 8, HOUR_MS, rows=430, purpose="reporting")
    return Scheme("slow drip", actor, first_ms, first_ms + 6 * DAY_MS, ("slow_drip_export",))


def night(house: Insiders, n: int) -> Scheme:
    actor, at_ms = _analyst(n), house.at(n, 2.6)
    do(house.world, at_ms, actor, "analyst", "export", rows=620, purpose="reporting")
    return Scheme("off hours", actor, at_ms, at_ms, ("off_hours_export",))


def wrong_role(house: Insiders, n: int) -> Scheme:
    (actor, there), at_ms = house.barista(n), house.at(n, 13.4)
    do(house.world, at_ms, actor, "barista", "export", rows=60, **there)
    return Scheme("role that never exports", actor, at_ms, at_ms, ("unexpected_role_export",))


def browse(house: Insiders, n: int) -> Scheme:
    (actor, there), at_ms = house.barista(n), house.at(n, 16.0)
    house.many(at_ms, actor, "barista", "view", 230, 13_000, object=f"c-{n}-{{n}}", rows=1, **there)
    return Scheme("many customers viewed", actor, at_ms, at_ms + HOUR_MS, ("many_customers_viewed",))


def snoop(house: Insiders, n: int) -> Scheme:
    (actor, there), at_ms = house.barista(n), house.at(n, 11.0)
    house.many(at_ms, actor, "barista", "view", 7, HOUR_MS, object="vip-{n}", marks=["vip"], rows=1, **there)
    return Scheme("VIP snooping", actor, at_ms, at_ms + 8 * HOUR_MS, ("vip_snooping",))


def prefix(house: Insiders, n: int) -> Scheme:
    (actor, there), at_ms = house.barista(n), house.at(n, 12.3)
    house.many(at_ms, actor, "barista", "search", 9, 3 * MINUTE_MS, query="phone_prefix", rows=40, **there)
    return Scheme("search by phone prefix", actor, at_ms, at_ms + HOUR_MS, ("phone_prefix_search",))


def granted(house: Insiders, n: int) -> Scheme:
    (actor, there), at_ms = house.manager(n), house.at(n, 11.2)
    do(house.world, at_ms, ADMIN, "it", "permission_change", account=actor, purpose="ticket")
    do(house.world, at_ms + 40 * MINUTE_MS, actor, "store_manager", "export", rows=80, **there)
    return Scheme("permission, then export", actor, at_ms, at_ms + HOUR_MS, ("permission_then_export",))


def wipe(house: Insiders, n: int) -> Scheme:
    actor, at_ms = _analyst(n), house.at(n, 17.1)
    do(house.world, at_ms, actor, "analyst", "export", rows=380, purpose="reporting")
    do(house.world, at_ms + 20 * MINUTE_MS, actor, "analyst", "log_delete", object="audit_log", purpose="")
    rules = ("export_then_log_deletion", "log_deleted")
    return Scheme("export, then logs deleted", actor, at_ms, at_ms + HOUR_MS, rules)


def guess(house: Insiders, n: int) -> Scheme:
    actor, at_ms = _analyst(n), house.at(n, 12.5)
    usual = {"client_ip": ABROAD, "device": "laptop-x"}
    house.many(at_ms, actor, "analyst", "login", 7, 40_000, result="denied", purpose="", **usual)
    do(house.world, at_ms + 6 * MINUTE_MS, actor, "analyst", "login", purpose="", **usual)
    do(house.world, at_ms + 30 * MINUTE_MS, actor, "analyst", "export", rows=120, purpose="reporting", **usual)
    return Scheme("failed logins, then export", actor, at_ms, at_ms + HOUR_MS, ("failed_logins_then_export",))


def ghost(house: Insiders, n: int) -> Scheme:
    actor, at_ms = f"leaver-{n}", house.at(n, 10.0)
    do(house.world, at_ms, ADMIN, "it", "account_disable", account=actor, purpose="leaves")
    do(house.world, at_ms + 26 * HOUR_MS, actor, "store_manager", "search", rows=3)
    return Scheme("disabled account", actor, at_ms, at_ms + 27 * HOUR_MS, ("disabled_account_active",))


def shared(house: Insiders, n: int) -> Scheme:
    (actor, there), at_ms = house.manager(n), house.at(n, 13.0)
    other = house.stores[(n * 5 + 9) % len(house.stores)].id
    do(house.world, at_ms, actor, "store_manager", "search", rows=2, **there)
    do(house.world, at_ms + 5 * MINUTE_MS, actor, "store_manager", "search", rows=2, **{**there, "store": other})
    return Scheme("shared account", actor, at_ms, at_ms + HOUR_MS, ("account_in_two_places",))


def stolen_key(house: Insiders, n: int) -> Scheme:
    at_ms = house.at(n, 4.3)
    do(house.world, at_ms, CRM, "service", "key_use", key=CRM_KEY, client_ip=ABROAD, device="", rows=20)
    return Scheme("API key from a new network", CRM, at_ms, at_ms, ("key_from_new_network",))


def unwanted(house: Insiders, n: int) -> Scheme:
    actor, at_ms = _analyst(n), house.at(n, 11.6)
    do(house.world, at_ms, actor, "analyst", "export", rows=300, purpose="campaign planning", without_consent=60)
    return Scheme("use without consent", actor, at_ms, at_ms, ("consent_violation",))


def purpose(house: Insiders, n: int) -> Scheme:
    (actor, there), at_ms = house.barista(n), house.at(n, 14.9)
    do(house.world, at_ms, actor, "barista", "search", rows=15, **{"purpose": "campaign planning", **there})
    return Scheme("purpose not allowed", actor, at_ms, at_ms, ("purpose_not_allowed",))


def mint(house: Insiders, n: int) -> Scheme:
    (actor, there), at_ms = house.manager(n), house.at(n, 12.0)
    house.many(at_ms, actor, "store_manager", "coupon_issue", 18, 11 * MINUTE_MS, coupon=f"mint-{n}-{{n}}", **there)
    return Scheme("coupons minted", actor, at_ms, at_ms + 4 * HOUR_MS, ("coupon_minting",))


def self_service(house: Insiders, n: int) -> Scheme:
    (actor, there), at_ms = house.barista(n), house.at(n, 12.0)
    do(house.world, at_ms, actor, "barista", "coupon_issue", coupon=f"own-{n}", **there)
    do(house.world, at_ms + 25 * HOUR_MS, actor, "barista", "coupon_redeem", coupon=f"own-{n}", **there)
    return Scheme("issues and redeems", actor, at_ms, at_ms + 26 * HOUR_MS, ("self_redeemed_coupon",))


def loop(house: Insiders, n: int) -> Scheme:
    (actor, there), at_ms = house.barista(n), house.at(n, 13.0)
    house.many(at_ms, actor, "barista", "refund", 7, 35 * MINUTE_MS, coupon=f"loop-{n}-{{n}}", **there)
    return Scheme("redeem and refund", actor, at_ms, at_ms + 5 * HOUR_MS, ("refund_redeem_loop",))


def one_device(house: Insiders, n: int) -> Scheme:
    device, at_ms = f"pc-meeting-{n}", house.at(n, 18.2)
    for k, actor in enumerate(ANALYSTS[:5]):
        do(house.world, at_ms + k * 9 * MINUTE_MS, actor, "analyst", "login", device=device, purpose="")
    rules = ("one_device_many_accounts",)
    return Scheme("one device, many accounts", f"device:{device}", at_ms, at_ms + HOUR_MS, rules)


def tries(house: Insiders, n: int) -> Scheme:
    (actor, there), at_ms = house.barista(n), house.at(n, 15.5)
    house.many(at_ms, actor, "barista", "view", 13, 25_000, object="c{n}", result="denied", **there)
    return Scheme("tries the doors", actor, at_ms, at_ms + HOUR_MS, ("many_accesses_denied",))


def rewrite(house: Insiders, n: int) -> Scheme:
    at_ms = house.at(n, 16.4)
    do(house.world, at_ms, ADMIN, "it", "bulk_update", object="tiers", rows=5_000, purpose="ticket")
    return Scheme("bulk update", ADMIN, at_ms, at_ms, ("bulk_update",))


def borrowed(house: Insiders, n: int) -> Scheme:
    """Nothing that a rule forbids: another network, hour, purpose and device, and far more rows."""
    actor, at_ms = _analyst(n), house.at(n, 5.2)
    strange = {"client_ip": ABROAD, "device": "laptop-y", "purpose": "analysis", "fields": ["passport"]}
    house.many(at_ms, actor, "analyst", "search", 30, MINUTE_MS, rows=400, **strange)
    return Scheme("behaviour adds up", actor, at_ms, at_ms + HOUR_MS, ("actor_risk",))


def leaked(house: Insiders, n: int) -> Scheme:
    """Of forty on a list, six redeem on one device within hours, and eight guests each on their own."""
    actor, at_ms, customers = _analyst(n), house.at(n, 10.4), [f"c-{n}-{k}" for k in range(40)]
    do(house.world, at_ms, actor, "analyst", "export", rows=40, purpose="reporting", customers=customers)
    for k in range(14):
        device = "device:reseller" if k % 7 in (0, 2, 5) else f"device:guest-{k}"
        house.redeem(at_ms + DAY_MS + k * 20 * MINUTE_MS, customers[k * 2], device)
    return Scheme("list in use", actor, at_ms, at_ms + 2 * DAY_MS, ("leaked_customers",))


def spray(house: Insiders, n: int) -> Scheme:
    """One password at many doors, twice at none."""
    at_ms = house.at(n, 3.4)
    for k, store in enumerate(house.stores[:12]):
        tried = {"result": "denied", "client_ip": ELSEWHERE, "device": "", "purpose": ""}
        do(house.world, at_ms + k * MINUTE_MS, store.staff[0], "store_manager", "login", **tried)
    who = f"client_ip:{ELSEWHERE}"
    return Scheme("one password, many accounts", who, at_ms, at_ms + HOUR_MS, ("password_spraying",))


SCHEMES: tuple[Callable[[Insiders, int], Scheme], ...] = (
    *(bulk, by_rate, drip, night, wrong_role, browse, snoop, prefix, granted, wipe),
    *(guess, ghost, shared, stolen_key, unwanted, purpose, mint, self_service, loop, one_device),
    *(tries, rewrite, borrowed, bulk, night, browse, spray, leaked, self_service, borrowed),
)
