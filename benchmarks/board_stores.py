"""How long the board takes to tell how a chain's stores stand: a page of them, and the heat table of all.

python -m benchmarks.board_stores [--stores 40000] [--asks 30] [--quick] [--json FILE]

Redis holds what the judge keeps of so many stores. The first to ask waits for a whole hour to be read; the first after
a minute has closed for that minute; all others for what is in memory. The API's handlers are asked, without HTTP.
`cpu` is what this process itself spends on it, however busy the machine is.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from redis import Redis

from alerts.kpis.book import Header, encode_header
from alerts.kpis.panel import ROOTS, STORES, Panel
from alerts.kpis.series import ALIVE, PLACE
from benchmarks.house import out
from board.access.person import EVERYONE, Person
from board.api import stores as api
from board.sources import Sources
from brewline.results import circumstances, write_json
from config.settings import Settings, load
from features.times import parse_time
from operators.kpis import JUDGE
from operators.layout import RECORDS
from operators.redis_link import connect_redis
from operators.servers import redis_server
from operators.store import PartitionStore

WINDOW = 60
NEXT = parse_time("2026-05-04T14:30:00+08:00") // 60_000
REGIONS = 20
PERSON = Person("reader", EVERYONE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", type=int, default=40_000)
    parser.add_argument("--asks", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="2,000 stores, 5 asks")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    stores, asks = (2_000, 5) if asked.quick else (asked.stores, asked.asks)
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        names = [f"S{n:05d}" for n in range(stores)]
        table = "".join(f"{name},{region_of(n)},Asia/Shanghai\n" for n, name in enumerate(names))
        (Path(folder) / "stores.csv").write_text("store,region,timezone\n" + table)
        environ = {"BREWLINE_REDIS__URL": server.url, "BREWLINE_STORES__FILE": f"{folder}/stores.csv"}
        settings = load(environ=environ)
        chain = Chain(connect_redis(server.url, settings.redis.start_timeout_s), settings, names)
        figures: dict[str, Any] = {"stores": stores, "redis": server.name, **measure(chain, settings, asks)}
    for name, value in {**figures, **circumstances()}.items():
        out.print(f"{name:>26}  {value}", highlight=False)
    write_json(asked.json, figures)


def region_of(number: int) -> str:
    return f"R{number % REGIONS:02d}"


class Chain:
    """The judge's records of so many stores, a busy hour in them."""

    def __init__(self, redis: Redis, settings: Settings, names: list[str]) -> None:
        self.redis, self.store, self.random = redis, PartitionStore(redis, settings.redis.prefix, JUDGE), np.random
        self.next = NEXT
        roots, self.panel = Panel(ROOTS, WINDOW, {}), Panel(STORES, WINDOW, {})
        regions = [f"region:R{n:02d}" for n in range(REGIONS)]
        roots.add(["chain:*", *regions], [-1] * (REGIONS + 1), 0)
        roots.learned["day"][:] = 60.0
        self.panel.add([f"store:{name}" for name in names], [1 + n % REGIONS for n in range(len(names))], 0)
        self.panel.learned["level"][:] = 30.0
        for minute in range(NEXT - WINDOW, NEXT):
            self._come(minute)
        self._write(roots.write())

    def close_minute(self) -> None:
        self._come(self.next)
        self.next += 1
        self._write({})

    def _come(self, minute: int) -> None:
        counts = self.panel.minute(minute)
        counts[PLACE["orders"]] = self.random.poisson(0.5, counts.shape[1])
        counts[PLACE["revenue_cents"]] = counts[PLACE["orders"]] * 1_900
        counts[PLACE["visits"]] = counts[PLACE["orders"]] * 2
        counts[ALIVE] = 1
        self.panel.course["spoke"][:] = minute
        self.panel.touch(f"ring|{minute % WINDOW}")
        self.panel.touch("course")

    def _write(self, more: dict[str, bytes]) -> None:
        puts = {**more, **self.panel.write(), "judge": encode_header(Header(self.next, window=WINDOW))}
        self.panel.changed.clear()
        self.redis.hset(self.store.key(0, RECORDS), mapping=dict(puts))


def measure(chain: Chain, settings: Settings, asks: int) -> dict[str, Any]:
    sources = Sources(settings)

    def page(after: str = "") -> api.Stores:
        asked: Any = api.Asked(sort="orders", limit=50, after=after)
        found: api.Stores = api.stores.handle(sources, PERSON, asked)
        return found

    first = took_ms(page)
    assert page().of == len(chain.panel.dims)
    assert page().items[0].expected_orders
    minutes = []
    for _ in range(asks):
        chain.close_minute()
        minutes.append(took_ms(page))
    pages = [took_ms(partial(page, str(50 * n))) for n in range(asks)]
    heats = [took_ms(lambda: api.heat.handle(sources, PERSON, api.MapAsked())) for _ in range(asks)]
    sources.close()
    figures: dict[str, float] = {}
    for name, took in (("first", [first]), ("after_a_minute", minutes), ("page", pages), ("heat", heats)):
        wall, spent = zip(*took, strict=True)
        figures |= {f"{name}_p{share}_ms": float(np.percentile(wall, share)) for share in (50, 99)}
        figures[f"{name}_cpu_p50_ms"] = float(np.percentile(spent, 50))
    return {name: round(value, 1) for name, value in figures.items()}


def took_ms(ask: Callable[[], Any]) -> tuple[float, float]:
    """By the clock, and of this process's processor time."""
    began, spent = time.perf_counter(), time.process_time()
    ask()
    return (time.perf_counter() - began) * 1000, (time.process_time() - spent) * 1000


if __name__ == "__main__":
    main()
