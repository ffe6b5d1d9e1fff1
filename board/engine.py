"""How the flows run: what each process tells of itself, looked at once a second for all who watch."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from msgspec import Struct
from msgspec.structs import asdict

from config.settings import Settings
from operators.scrape import Key, Scraped, Silent, scrape

RATE_S, LATENCY_S = 5, 30  # looks over which rates and latencies are taken
KEPT = 600  # looks that are kept for the charts: ten minutes
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
BATCHES, STAGES, LATENCIES = "brewline_batch_events", "brewline_stage_seconds", "brewline_event_to_decision_seconds"
RUNS = (f"{BATCHES}_count", "brewline_fence_timestamp_seconds")  # who has one of these runs
Place = tuple[str, int]
Looked = dict[tuple[Place, Key], float]


class Partition(Struct):
    """`lag`: records not yet read; -1: not told. `commit_age_s`: since the last commit; -1: there was none."""

    partition: str
    lag: int
    commit_age_s: float


class FlowNow(Struct):
    """Rates over the last seconds; `p50_ms`, `p99_ms`: from an event to the decision it caused, -1 where none was made.

    `stages_ms`: what a batch takes in each.
    """

    name: str
    up: bool
    seen_ms: int
    records_per_s: float
    batches_per_s: float
    batch_records: float
    dead_per_s: float
    lag: int
    commit_age_s: float
    p50_ms: float
    p99_ms: float
    outbox: int
    stages_ms: dict[str, float]
    partitions: list[Partition]


class ProcessNow(Struct):
    """`named`: the flow whose port it is; `since_ms`: since when it is up or down, 0: it was never up."""

    address: str
    named: str
    up: bool
    since_ms: int
    started_ms: int
    why: str
    complaints: list[str]
    flows: list[str]
    memory_bytes: int
    cpu_share: float


class Now(Struct):
    at_ms: int
    flows: list[FlowNow]
    processes: list[ProcessNow]


class Curves(Struct):
    """Columns of equal length; null where a flow did not run."""

    at_ms: list[int]
    flows: dict[str, dict[str, list[float | None]]]


SHOWN = ("records_per_s", "lag", "p50_ms", "p99_ms")  # of a flow over time


class Engine:
    """Bounded: of the past it keeps the latest looks, and of each the few figures that charts show."""

    def __init__(self, settings: Settings) -> None:
        self.places = places(settings)
        self.looks: deque[tuple[float, Looked]] = deque(maxlen=LATENCY_S + 1)
        self.past: deque[tuple[int, dict[str, tuple[float | None, ...]]]] = deque(maxlen=KEPT)
        self.turned: dict[Place, tuple[bool, int]] = {}  # up or down, and since when
        self.flows: dict[str, FlowNow] = {}  # all that were ever seen, as they were then
        self.pool = ThreadPoolExecutor(max(1, len(self.places)), "scrape")
        self.lock = Lock()

    def look(self) -> Now:
        """For one thread."""
        at_ms, found = round(time.time() * 1000), list(self.pool.map(_asked, self.places))
        told = {place: one for place, one in zip(self.places, found, strict=True) if isinstance(one, Scraped)}
        looked = {(place, key): value for place, one in told.items() for key, value in one.values.items()}
        self.looks.append((time.monotonic(), looked))
        self.flows |= {name: self._flow(name, looked, at_ms) for name in _flows(looked)}
        for flow in self.flows.values():
            flow.up = flow.seen_ms == at_ms
        processes = [self._process(place, one, at_ms) for place, one in zip(self.places, found, strict=True)]
        with self.lock:
            self.past.append((at_ms, {flow.name: _figures(flow) for flow in self.flows.values() if flow.up}))
        return Now(at_ms, sorted(self.flows.values(), key=lambda flow: flow.name), processes)

    def curves(self) -> Curves:
        with self.lock:
            past = list(self.past)
        names = sorted({name for _, flows in past for name in flows})
        columns = {
            name: {
                shown: [flows[name][i] if name in flows else None for _, flows in past] for i, shown in enumerate(SHOWN)
            }
            for name in names
        }
        return Curves([at_ms for at_ms, _ in past], columns)

    def close(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _process(self, place: Place, found: Scraped | Silent, at_ms: int) -> ProcessNow:
        up = isinstance(found, Scraped)
        before, since_ms = self.turned.get(place, (False, 0))
        if up != before:
            since_ms = at_ms
        self.turned[place] = (up, since_ms)
        values = {name: value for (name, _), value in found.values.items()} if isinstance(found, Scraped) else {}
        return ProcessNow(
            address=f"{place[0]}:{place[1]}",
            named=self.places[place],
            up=up,
            since_ms=since_ms,
            started_ms=round(1000 * values.get("process_start_time_seconds", 0.0)),
            why="" if isinstance(found, Scraped) else f"{found}",
            complaints=found.complaints if isinstance(found, Scraped) else [],
            flows=sorted(_flows({(place, key): 0.0 for key in found.values})) if isinstance(found, Scraped) else [],
            memory_bytes=round(values.get("process_resident_memory_bytes", 0.0)),
            cpu_share=self._rate([(place, ("process_cpu_seconds_total", ()))], RATE_S),
        )

    def _flow(self, name: str, looked: Looked, at_ms: int) -> FlowNow:
        mine = [key for key in looked if ("flow", name) in key[1][1]]
        by_metric: defaultdict[str, list[tuple[Place, Key]]] = defaultdict(list)
        for key in mine:
            by_metric[key[1][0]].append(key)
        records, batches = (self._rate(by_metric[f"{BATCHES}_{of}"], RATE_S) for of in ("sum", "count"))
        partitions = _partitions(looked, mine, at_ms)
        p50_ms, p99_ms = (self._quantile(by_metric[f"{LATENCIES}_bucket"], share) for share in (0.5, 0.99))
        return FlowNow(
            name=name,
            up=True,
            seen_ms=at_ms,
            records_per_s=round(records, 1),
            batches_per_s=round(batches, 2),
            batch_records=round(records / batches, 1) if batches else 0.0,
            dead_per_s=round(self._rate(by_metric["brewline_dead_letters_total"], RATE_S), 2),
            lag=sum(max(0, one.lag) for one in partitions),
            commit_age_s=min((one.commit_age_s for one in partitions if one.commit_age_s >= 0), default=-1.0),
            p50_ms=p50_ms,
            p99_ms=p99_ms,
            outbox=round(sum(looked[key] for key in by_metric["brewline_outbox_depth"])),
            stages_ms=self._stages(by_metric[f"{STAGES}_sum"], by_metric[f"{STAGES}_count"]),
            partitions=partitions,
        )

    def _stages(self, sums: list[tuple[Place, Key]], counts: list[tuple[Place, Key]]) -> dict[str, float]:
        found: dict[str, list[float]] = {}
        for place, keys in ((0, sums), (1, counts)):
            for key in keys:
                found.setdefault(dict(key[1][1])["stage"], [0.0, 0.0])[place] += self._rise(key, LATENCY_S)
        return {stage: round(1000 * took_s / times, 2) for stage, (took_s, times) in found.items() if times}

    def _quantile(self, buckets: list[tuple[Place, Key]], share: float) -> float:
        """In ms, as Prometheus' histogram_quantile has it; -1 of nothing."""
        rises: defaultdict[float, float] = defaultdict(float)
        for key in buckets:
            rises[float(dict(key[1][1])["le"])] += self._rise(key, LATENCY_S)
        return quantile(sorted(rises.items()), share)

    def _rate(self, keys: Iterable[tuple[Place, Key]], looks: int) -> float:
        """Of counters, a second."""
        took_s = self.looks[-1][0] - self.looks[max(0, len(self.looks) - 1 - looks)][0]
        return sum(self._rise(key, looks) for key in keys) / took_s if took_s else 0.0

    def _rise(self, key: tuple[Place, Key], looks: int) -> float:
        """Of a counter over so many looks; what began anew meanwhile has risen from 0."""
        now = self.looks[-1][1].get(key, 0.0)
        before = self.looks[max(0, len(self.looks) - 1 - looks)][1].get(key, now if len(self.looks) == 1 else 0.0)
        return now - before if now >= before else now


def places(settings: Settings) -> dict[Place, str]:
    """Where processes of flows serve their metrics, and the flow whose port it is; port 0 serves nothing."""
    metrics = settings.metrics
    if settings.board.flows:
        named = {name: where.rpartition(":") for name, where in settings.board.flows.items()}
        return {(host, int(port)): name for name, (host, _, port) in named.items()}
    host = EVERYWHERE.get(metrics.host, metrics.host)
    ports = {name: value for name, value in asdict(metrics).items() if name not in ("host", "stall_s")}
    return {(host, port): name for name, port in ports.items() if port}


def quantile(buckets: list[tuple[float, float]], share: float) -> float:
    """Of (upper bound in s, events up to it): in ms, straight within a bucket; -1 of none."""
    total = buckets[-1][1] if buckets else 0.0
    if not total:
        return -1.0
    low, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= share * total:
            within = (share * total - below) / (count - below) if count > below else 0.0
            return round(1000 * (low if bound == float("inf") else low + within * (bound - low)), 2)
        low, below = bound, count
    return -1.0


def _asked(place: Place) -> Scraped | Silent:
    try:
        return scrape(*place)
    except Silent as silent:
        return silent


def _flows(looked: Looked) -> set[str]:
    """Those that a process runs: of others it only has a label."""
    found = (dict(labels) for _, (name, labels) in looked if name.startswith(RUNS))
    return {labels["flow"] for labels in found}


def _partitions(looked: Looked, mine: list[tuple[Place, Key]], at_ms: int) -> list[Partition]:
    lags: dict[str, int] = {}
    commits: dict[str, float] = {}
    for key in mine:
        name, labels = key[1][0], dict(key[1][1])
        if name == "brewline_consumer_lag":
            place = f"{labels['topic']}/{labels['partition']}"
            lags[place] = lags.get(place, 0) + round(looked[key])
        elif name == "brewline_fence_timestamp_seconds":
            commits[labels["partition"]] = max(0.0, round(at_ms / 1000 - looked[key], 1))
    known = [
        Partition(place, lag, commits.get(place, commits.get(_number(place), -1.0))) for place, lag in lags.items()
    ]
    told = {one.partition for one in known} | {_number(one.partition) for one in known}
    known += [Partition(place, -1, age_s) for place, age_s in commits.items() if place not in told]
    return sorted(known, key=lambda one: (one.partition.rpartition("/")[0], int(_number(one.partition) or 0)))


def _number(place: str) -> str:
    return place.rpartition("/")[2]


def _figures(flow: FlowNow) -> tuple[float | None, ...]:
    values = (getattr(flow, name) for name in SHOWN)
    return tuple(None if value < 0 else value for value in values)
