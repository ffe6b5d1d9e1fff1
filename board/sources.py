"""What the board reads: settings, Redis, and what the flows' files declare."""

from __future__ import annotations

from functools import cached_property

from alerts.kpis.catalog import KpiCatalog
from alerts.kpis.seasons import Seasons
from board.access.notes import Notes
from board.usual import StoresNow
from brewline.reading import Features
from config.settings import Settings
from flows.files import load_kpis, load_regions
from flows.seasons import load_seasons
from operators.redis_link import connect_redis


class Sources:
    """Shared by all requests; its clients are safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        """Raises Unreachable."""
        self.settings, self.prefix = settings, settings.redis.prefix
        self.redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
        self.notes = Notes(settings)

    @cached_property
    def kpis(self) -> KpiCatalog:
        return load_kpis(self.settings)

    @cached_property
    def seasons(self) -> Seasons:
        return load_seasons(self.settings)

    @cached_property
    def regions(self) -> dict[str, str]:
        """Of each store that the table of stores names."""
        return load_regions(self.settings)

    @cached_property
    def stores_now(self) -> StoresNow:
        return StoresNow(self)

    @cached_property
    def features(self) -> Features:
        """Raises NoState until a customers flow has run once."""
        return Features(self.settings, self.redis)

    def close(self) -> None:
        self.notes.close()
        self.redis.close()
