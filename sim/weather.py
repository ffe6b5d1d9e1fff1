"""The weather of each region, measured every hour: warm afternoons, warm and cool spells, showers."""

from __future__ import annotations

from math import cos, pi
from random import Random
from typing import TYPE_CHECKING

from msgspec import Struct

from features.events import Weather
from features.times import DAY_MS, HOUR_MS, local_ms
from sim.stores import Store

if TYPE_CHECKING:
    from sim.world import World

MEAN_C = {"east": 23.0, "south": 27.0, "west": 19.0, "island": 29.0}
WET_MM = 1.0  # from then on people would rather have their tea brought
_SWING_C = 5.0  # from the mean to three in the afternoon
_BEGINS, _GOES_ON = 0.04, 0.75  # of an hour of rain, by whether it rained before
_STAYS_HOME, _BROUGHT = 0.3, 0.75  # of visits in the rain; of orders in the app


class Sky(Struct):
    """Over a region, as it was last measured."""

    region: str
    timezone: str
    spell_c: float = 0.0  # warmer than usual these days
    temp_c: float = 0.0
    rain_mm: float = 0.0

    @property
    def is_wet(self) -> bool:
        return self.rain_mm >= WET_MM

    @property
    def walk_ins(self) -> float:
        """How many come, as a share of those on a mild dry day: half in the rain, a fifth more in the heat."""
        return 0.5 if self.is_wet else min(1.2, max(0.8, 1 + (self.temp_c - 23) / 35))

    def stays_home(self, rng: Random) -> bool:
        return self.is_wet and rng.random() < _STAYS_HOME

    def delivery_share(self, usual: float) -> float:
        return _BROUGHT if self.is_wet else usual


def open_skies(stores: list[Store]) -> dict[str, Sky]:
    """By region."""
    return {store.region: Sky(store.region, store.timezone) for store in stores}


def measure(at_ms: int, world: World, sky: Sky, rng: Random) -> None:
    """Now, and every hour from now on. The weather has chance of its own: whatever people do, it stays the same."""
    world.plan(at_ms + HOUR_MS, measure, world, sky, rng)
    hour = local_ms(at_ms, sky.timezone) % DAY_MS / HOUR_MS
    sky.spell_c = 0.98 * sky.spell_c + rng.gauss(0, 0.6)
    wets = rng.random() < (_GOES_ON if sky.rain_mm else _BEGINS)
    sky.rain_mm = round(0.2 + rng.expovariate(0.4), 1) if wets else 0.0
    cooled_c = 3.0 if sky.is_wet else 0.0
    warmth_c = _SWING_C * cos((hour - 15) * pi / 12)
    sky.temp_c = round(MEAN_C[sky.region] + warmth_c + sky.spell_c - cooled_c, 1)
    event = Weather(
        id=world.new_id("w"),
        time=world.stamp(at_ms, sky.timezone),
        place=sky.region,
        temp_c=sky.temp_c,
        rain_mm=sky.rain_mm,
    )
    world.wire.from_app(sky.region, event, at_ms)
