"""What the board reads: settings, Redis, and what the flows' files declare."""

from __future__ import annotations

from functools import cached_property

from alerts.kpis.catalog import KpiCatalog
from board.access.notes import Notes
from brewline.reading import Features
from config.settings import Settings
from flows.files import load_kpis
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
    def features(self) -> Features:
        """Raises NoState until a customers flow has run once."""
        return Features(self.settings, self.redis)

    def close(self) -> None:
        self.notes.close()
        self.redis.close()
