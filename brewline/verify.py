"""Compares what the engine knows of customers with a brute-force count over the history's own files."""

from __future__ import annotations

from random import Random

from msgspec import Struct
from redis import Redis
from rich.console import Console
from rich.progress import track

from brewline.histories import History, WrongHistory
from brewline.histories.recount import expected, households
from config.settings import Settings
from features.customer import Core
from flows.files import load_catalog
from flows.keys import load_pseudonyms
from operators.customers import find_customer, read_record

TOLERANCE = 1e-9


class Difference(Struct):
    customer: str
    feature: str
    found: float
    expected: float


def compare(settings: Settings, redis: Redis, history: History, count: int, out: Console) -> list[Difference]:
    """Every feature that differs, of `count` households drawn with a fixed seed, as of a day after its end."""
    if history.name != "completejourney":
        raise WrongHistory(f"--verify knows how to recount completejourney only, not {history.name}")
    core, pseudonyms = Core(load_catalog(settings)), load_pseudonyms(settings)
    known, at_ms = households()
    differences: list[Difference] = []
    for household in track(Random(1).sample(known, min(count, len(known))), "comparing", console=out):
        customer = find_customer(redis, settings.redis.prefix, pseudonyms, f"card:cj-{household}")
        record = read_record(redis, settings.redis.prefix, customer)
        row = dict(zip(core.catalog.names, core.row(record, at_ms), strict=True))
        differences += [
            Difference(f"household {household}", name, row[name], value)
            for name, value in expected(household, at_ms).items()
            if not _same(row[name], value)
        ]
    return differences


def _same(found: float, wanted: float) -> bool:
    return abs(found - wanted) <= TOLERANCE * max(1.0, abs(wanted)) or (found != found and wanted != wanted)
