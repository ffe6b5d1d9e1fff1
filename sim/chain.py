"""A bubble-tea chain's life as a stream of records, the same for the same seed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from math import isfinite
from random import Random

from features.events import AppOpen, Tick, Who, encode
from features.outgoing import IssuedCoupon
from features.times import DAY_MS, MINUTE_MS, parse_time
from sim.abuse import Abusers
from sim.agenda import Record
from sim.campaigns import open_morning
from sim.care import open_desk
from sim.holders import Holders
from sim.incidents import plan_incidents
from sim.members import app_id_of, sign_up
from sim.offices import HEAD_OFFICE, open_office, open_shift
from sim.savers import Savers
from sim.stores import open_stores, stores_csv, wall_ms
from sim.truth import Truth
from sim.visits import SLOT_MS, join, open_slot
from sim.weather import measure
from sim.wire import APP, TOPICS, Deed, Rates
from sim.world import World

__all__ = ["Chain", "Record"]


START_MS = parse_time("2026-05-04T00:00:00+08:00")  # a Monday, so that incidents fall on working days
ORDINARY = Rates()
MOST_STORES, MOST_CUSTOMERS = 1_000_000, 100_000_000  # they are held in memory


class Chain:
    """`stores` stores and `customers` members over `days` from `start_ms` (epoch ms)."""

    def __init__(
        self,
        seed: int,
        stores: int = 24,
        customers: int = 3_000,
        days: float = 5.0,
        start_ms: int = START_MS,
        rates: Rates = ORDINARY,
    ) -> None:
        """Raises ValueError for a chain without stores or customers, or one that no memory holds, or a run shorter than
        a minute."""
        minutes = round(days * DAY_MS / MINUTE_MS) if isfinite(days) else 0
        if stores < 1 or customers < 1 or minutes < 1:
            raise ValueError(
                f"expected at least one store, one customer and one minute, "
                f"found {stores} stores, {customers} customers and {days} days"
            )
        if stores > MOST_STORES or customers > MOST_CUSTOMERS:
            raise ValueError(
                f"expected {MOST_STORES:,} stores and {MOST_CUSTOMERS:,} customers at most,"
                f" found {stores:,} and {customers:,}"
            )
        self.seed, self.stores, self.customers, self.days, self.rates = seed, stores, customers, days, rates
        self.start_ms, self.end_ms = start_ms, start_ms + minutes * MINUTE_MS
        self.truth = Truth()
        self.given: deque[tuple[str, IssuedCoupon]] = deque()
        self.witness: list[Deed] | None = None  # a list notes all deeds there, as `records` comes to them

    def stores_csv(self) -> str:
        """`store,region,timezone`, one line a store."""
        return stores_csv(open_stores(self._rng(), self.stores))

    @property
    def app_ids(self) -> list[str]:
        """Of all members."""
        return [app_id_of(number) for number in range(1, self.customers + 1)]

    def give(self, app_id: str, coupon: IssuedCoupon) -> None:
        """A coupon of Brewline's comes to a member, perhaps from another thread; `records` tell what becomes of it."""
        self.given.append((app_id, coupon))

    def records(self) -> Iterator[Record]:
        """All records in order of sending, from the beginning; `truth` grows along with them.

        After each stream minute comes one tick a topic: all that was sent before it has been sent.
        """
        self.truth = Truth()
        world = self._open()
        agenda, holders = world.agenda, Holders(world, self.seed)
        for minute_ms in range(self.start_ms + MINUTE_MS, self.end_ms + 1, MINUTE_MS):
            while self.given:
                holders.take(*self.given.popleft())
            yield from agenda.run(minute_ms)
            for topic in TOPICS:
                tick = Tick(id=f"{topic}/{minute_ms}", time=minute_ms)
                yield Record(minute_ms, topic, "", encode(tick), tick=True)

    def _rng(self) -> Random:
        return Random(self.seed)

    def _open(self) -> World:
        """The world on its first day."""
        rng, start_ms = self._rng(), self.start_ms
        stores = open_stores(rng, self.stores)
        members = sign_up(rng, stores, self.customers, (start_ms, self.end_ms), self.rates.lapse)
        world = World(rng, self.rates, stores, members, self.truth, start_ms)
        abusers = Abusers(world, self.seed, (start_ms, self.end_ms))
        savers = Savers(world, self.seed)
        for wire in (world.wire, world.care_wire, abusers.wire, savers.wire):
            wire.witness = self.witness
        for member in members:
            world.plan(member.joins_ms, join, world, member)
        for region, sky in world.skies.items():
            world.plan(start_ms, measure, world, sky, Random(f"{self.seed} {region}"))
        for store in stores:
            world.plan(-(-start_ms // SLOT_MS) * SLOT_MS, open_slot, world, store)
            world.plan(start_ms, open_shift, world, store)
        world.plan(start_ms, open_office, world)
        world.plan(_next_ten(start_ms), open_morning, world)
        world.plan(start_ms, open_desk, world)
        world.plan(start_ms + int((self.end_ms - start_ms) * 0.37), _flood, world)
        plan_incidents(world, start_ms, self.days)
        abusers.plan()
        savers.plan()
        return world


def _next_ten(start_ms: int) -> int:
    ten_ms = wall_ms(start_ms, HEAD_OFFICE, 0, 10 * 60)
    return ten_ms if ten_ms >= start_ms else wall_ms(start_ms, HEAD_OFFICE, 1, 10 * 60)


def _flood(at_ms: int, world: World) -> None:
    """An app gone wild sends one message of 2 MB."""
    app_id = world.members[0].app_id
    event = AppOpen(id=world.new_id("ao"), time=at_ms, who=Who(app_id=app_id), channel="app")
    world.wire.spoilt(at_ms, APP, app_id, encode(event), "too_large")
