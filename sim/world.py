"""What every part of the simulation shares: people, stores, time, chance and the wire."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from features.events import Event, Who
from sim.agenda import Agenda
from sim.members import Member, phone_of
from sim.stores import Store
from sim.truth import Incident, Truth
from sim.weather import Sky, open_skies
from sim.wire import Rates, Wire


class World:
    """One run. All chance comes from `rng`, all time from the agenda."""

    def __init__(
        self, rng: Random, rates: Rates, stores: list[Store], members: list[Member], truth: Truth, start_ms: int
    ) -> None:
        self.rng, self.rates, self.stores, self.members, self.truth = rng, rates, stores, members, truth
        self.agenda = Agenda(start_ms)
        self.plan = self.agenda.plan
        self.wire = Wire(self.agenda, truth, rng, rates)
        self.care = Random(f"care {rng.getstate()[1][0]}")  # chance of its own: what else happens does not depend on it
        self.care_wire = Wire(self.agenda, truth, self.care, replace(rates, malformed=0.0))
        self.surge = Incident("", 0, 0)  # of coupons; this one never happens
        self.skies = open_skies(stores)
        self._ids = count(1)

    def new_id(self, prefix: str) -> str:
        """An id no other event of this run has."""
        return f"{prefix}{next(self._ids):08d}"

    def sky(self, store: Store) -> Sky:
        return self.skies[store.region]

    def stamp(self, at_ms: int, tz: str) -> int | str:
        """An event time as devices write it: mostly epoch ms, else RFC 3339 with the local offset."""
        if self.rng.random() >= self.rates.text_time:
            return at_ms
        return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(tz)).isoformat(timespec="milliseconds")

    def from_app(
        self, member: Member, kind: type[Event], prefix: str, at_ms: int, store: Store | None = None, **fields: Any
    ) -> int:
        """Sends an event of a member's app, at their own store unless told; returns the moment of sending."""
        store = store or member.store
        event = kind(
            id=self.new_id(prefix),
            time=self.stamp(at_ms, store.timezone),
            who=fields.pop("who", None) or Who(app_id=member.app_id),
            store=store.id,
            channel=fields.pop("channel", "app"),
            device=phone_of(member.number),
            **fields,
        )
        return self.wire.from_app(member.app_id, event, at_ms)
