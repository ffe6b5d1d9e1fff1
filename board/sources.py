"""What the board reads: settings, Redis, and what the flows' files declare."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from threading import Lock
from typing import Any, TypeVar

from alerts.kpis.catalog import KpiCatalog
from alerts.kpis.seasons import Seasons
from alerts.notices.desk import State
from alerts.notices.standing import word_message
from board.access.notes import Notes
from board.access.person import Person
from board.decided import Decided
from board.engine import Engine
from board.reads import Reads
from board.recent import Recent
from board.rulebook import Rulebook
from board.usual import StoresNow
from brewline.alert_words import Talk, noted
from brewline.letters import Letter, latest_letters
from brewline.models.reading import Known, known_models
from brewline.reading import Features
from config.settings import Settings
from features.course import subjects
from features.outgoing import AlertWord
from flows.files import load_catalog, load_kpis, load_regions
from flows.seasons import load_seasons
from flows.stages import READ_BY
from operators.footprint import Footprint, measure
from operators.layout import stored_partitions
from operators.redis_link import connect_redis
from operators.standings import Standings
from operators.writing import Post

ALERTS_S, MODELS_S, LETTERS_S, FOOTPRINT_S = 0.25, 0.5, 2.0, 15.0  # so long what was read serves all who ask
MOST_LETTERS = 5_000

T = TypeVar("T")


class Sources:
    """Shared by all requests; its clients are safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        """Raises Unreachable."""
        self.settings, self.prefix = settings, settings.redis.prefix
        self.redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
        self.notes, self.reads = Notes(settings), Reads(settings)
        self.lock, self.kept = Lock(), dict[str, Recent[Any]]()

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

    @cached_property
    def rulebook(self) -> Rulebook:
        return Rulebook(self.settings)

    @cached_property
    def decided(self) -> Decided:
        return Decided(self.settings.stores.timezone)

    def lately(self, name: str, seconds: float, read: Callable[[], T]) -> T:
        """What `read` returns, not asked again for so long, however many want to know."""
        with self.lock:
            recent = self.kept.setdefault(name, Recent(read, seconds))
        found: T = recent()
        return found

    @cached_property
    def alerts(self) -> Recent[State]:
        """Where alerts stand, as of a moment ago."""
        return Recent(Standings(self.redis, self.prefix).load, ALERTS_S)

    @cached_property
    def post(self) -> Post:
        return Post(self.settings.kafka.librdkafka())

    def talk(self, person: Person) -> Talk:
        """This person's way to the desk of alerts; what they say is noted first."""

        def send(word: AlertWord) -> None:
            self.notes.note(person, *noted(word))
            self.post.write(word_message(self.settings.topic("alert.words"), word))

        return Talk(Standings(self.redis, self.prefix).load, send)

    @cached_property
    def models(self) -> Recent[dict[str, Known]]:
        declared = subjects(load_catalog(self.settings))
        return Recent(lambda: known_models(self.redis, self.prefix, declared), MODELS_S)

    @cached_property
    def engine(self) -> Engine:
        return Engine(self.settings)

    @cached_property
    def footprint(self) -> Recent[Footprint]:
        def read() -> Footprint:
            counts = {stage: stored_partitions(self.redis, self.prefix, topic) for stage, topic in READ_BY.items()}
            return measure(self.redis, self.prefix, counts)

        return Recent(read, FOOTPRINT_S)

    @cached_property
    def letters(self) -> Recent[tuple[list[Letter], int]]:
        """The latest dead letters, and how many are older. Raises Unreachable."""
        return Recent(lambda: latest_letters(self.settings, MOST_LETTERS), LETTERS_S)

    def close(self) -> None:
        self.notes.close()
        self.redis.close()
