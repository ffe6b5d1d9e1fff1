"""One screen of what runs: flows, what waits, what is kept, what fires; exit code 1 when something needs a look."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from confluent_kafka.admin import AdminClient
from msgspec import Struct, field, json, to_builtins
from redis import Redis
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alerts.notices.alert import SEVERITIES
from brewline.models.reading import read_models
from config.settings import Settings
from features.times import HOUR_MS
from flows.stages import STAGES
from flows.topics import SOURCES
from operators.kafka import require_kafka
from operators.redis_link import connect_redis
from operators.standings import Standings
from operators.store import PartitionStore
from operators.waits import Place, Wait, committed, waits, written_since

PATIENCE_S = 60.0  # what waits for longer needs a look
ANSWER_S = 2.0
HOSTS = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}


class Part(Struct):
    """One partition of a stage: the next offset that it reads, what waits, and its own clock, epoch ms; 0: none yet."""

    topic: str
    partition: int
    next: int
    records: int
    waits_s: float
    gone: int
    outbox: int = 0
    clock_ms: int = 0


class Stage(Struct):
    flow: str
    stage: str
    parts: list[Part] = []

    def sum(self, name: str) -> int:
        return sum(getattr(part, name) for part in self.parts)

    @property
    def waits_s(self) -> float:
        return max((part.waits_s for part in self.parts), default=0.0)

    @property
    def started(self) -> bool:
        return any(part.next for part in self.parts)


class Status(Struct):
    """`health`: by flow "ok", "" where nobody answers from here, or what it complains of."""

    at_ms: int
    health: dict[str, str]
    stages: list[Stage]
    state: dict[str, int]
    alerts: dict[str, int]
    dead_letters_1h: int
    models: dict[str, int]
    concerns: list[str] = field(default_factory=list)


def show_status(settings: Settings, as_json: bool, out: Console) -> int:
    """Raises Unreachable."""
    status = read_status(settings, round(time.time() * 1000))
    if as_json:
        out.print_json(json.encode(to_builtins(status)).decode())
    else:
        _print(status, out)
    return 1 if status.concerns else 0


def read_status(settings: Settings, now_ms: int) -> Status:
    """Raises Unreachable."""
    require_kafka(settings.kafka.librdkafka(), settings.kafka.start_timeout_s)
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    topics = _topics(settings)
    letters = topics.get("dead-letters", 0)
    client = settings.kafka.librdkafka()
    status = Status(
        now_ms,
        _health(settings),
        _stages(settings, redis, topics, now_ms),
        _state(redis),
        _alerts(redis, settings.redis.prefix),
        written_since(client, settings.topic("dead-letters"), letters, now_ms - HOUR_MS) if letters else 0,
        {name: known.versions.champion for name, known in read_models(settings).items()},
    )
    status.concerns = _concerns(status)
    return status


def _topics(settings: Settings) -> dict[str, int]:
    """Partitions by topic, of those that are there."""
    admin = AdminClient({**settings.kafka.librdkafka(), "log_level": 0})
    found = admin.list_topics(timeout=settings.kafka.start_timeout_s).topics
    prefix = settings.kafka.topic_prefix
    return {n.removeprefix(prefix): len(t.partitions) for n, t in found.items() if n.startswith(prefix)}


def _health(settings: Settings) -> dict[str, str]:
    metrics = to_builtins(settings.metrics)
    host = HOSTS.get(settings.metrics.host, settings.metrics.host)
    flows = {name: f"{host}:{port}" for name, port in metrics.items() if isinstance(port, int) and port}
    flows |= settings.board.flows
    with ThreadPoolExecutor(max_workers=max(1, len(flows))) as pool:
        asked = {name: pool.submit(_answer, f"http://{address}/healthz") for name, address in flows.items()}
        return {name: answer.result() for name, answer in asked.items()}


def _answer(url: str) -> str:
    try:
        with urlopen(url, timeout=ANSWER_S) as answer:
            return str(answer.read(200).decode("utf-8", "replace").strip())
    except HTTPError as error:
        return error.read(500).decode("utf-8", "replace").strip() or f"{error.code}"
    except (HTTPException, OSError, ValueError):  # nobody, somebody who speaks no HTTP, or a host that is none
        return ""


def _stages(settings: Settings, redis: Redis, topics: dict[str, int], now_ms: int) -> list[Stage]:
    client, prefix = settings.kafka.librdkafka(), settings.redis.prefix
    places = [(settings.topic(topic), part) for topic in SOURCES for part in range(topics.get(topic, 0))]
    ingest = Stage("ingest", "ingest")
    _add(ingest, settings, waits(client, committed(client, settings.topic("brewline-ingest"), places)), now_ms)
    found = [ingest]
    for flow, stages in STAGES.items():
        for name, topic in stages.items():
            stage, store = Stage(flow, name), PartitionStore(redis, prefix, name)
            positions = {(settings.topic(topic), part): store.position(part) for part in range(topics.get(topic, 0))}
            _add(stage, settings, waits(client, {place: at.offset + 1 for place, at in positions.items()}), now_ms)
            for part in stage.parts:
                part.clock_ms = positions[settings.topic(topic), part.partition].clock.now_ms
                part.outbox = int(redis.xlen(store.key(part.partition, "outbox")))
            found.append(stage)
    found += _carriers(settings, redis, topics, now_ms)
    return [stage for stage in found if stage.started or stage.sum("records")]


def _carriers(settings: Settings, redis: Redis, topics: dict[str, int], now_ms: int) -> list[Stage]:
    """Gateways, whose groups Kafka keeps, and the desk of alerts, whose fence Redis keeps."""
    client, coupons = settings.kafka.librdkafka(), settings.topic("coupons")
    places = [(coupons, part) for part in range(topics.get("coupons", 0))]
    found = []
    for name in settings.dispatch.gateways:
        stage = Stage("dispatch", name)
        _add(stage, settings, waits(client, committed(client, settings.topic(f"dispatch-{name}"), places)), now_ms)
        found.append(stage)
    fence = Standings(redis, settings.redis.prefix).fence()
    nexts: dict[Place, int] = {}
    for topic in ("alerts", "alert.words"):
        for part in range(topics.get(topic, 0)):
            if next_ := fence.get(f"{settings.topic(topic)}/{part}", 0):
                nexts[settings.topic(topic), part] = next_
    desk = Stage("notify", "notify")
    _add(desk, settings, waits(client, nexts), now_ms)
    return [*found, desk]


def _add(stage: Stage, settings: Settings, found: dict[Place, Wait], now_ms: int) -> None:
    for (topic, number), wait in found.items():
        waits_s = 0.0 if wait.since_ms is None else max(0.0, (now_ms - wait.since_ms) / 1000)
        name = topic.removeprefix(settings.kafka.topic_prefix)
        stage.parts.append(Part(name, number, wait.next, wait.records, waits_s, wait.gone))


def _state(redis: Redis) -> dict[str, int]:
    info: Any = redis.info()
    return {
        "bytes": int(info["used_memory"]),
        "keys": sum(int(db["keys"]) for name, db in info.items() if name.startswith("db") and isinstance(db, dict)),
        "saved_s_ago": max(0, round(time.time()) - int(info.get("rdb_last_save_time", 0))),
        "append_only": int(info["aof_enabled"]),
    }


def _alerts(redis: Redis, prefix: str) -> dict[str, int]:
    """How many fire, by severity; of these, the acknowledged and silenced ones."""
    firing = [one for one in Standings(redis, prefix).load().book.values() if one.firing]
    by_severity = {name: sum(one.alert.severity == name for one in firing) for name in SEVERITIES}
    return {
        **{name: number for name, number in by_severity.items() if number},
        "acknowledged": sum(bool(one.acknowledged_by) for one in firing),
        "silenced": sum(bool(one.silenced) for one in firing),
    }


def _concerns(status: Status) -> list[str]:
    found = [f"{flow}: {said}" for flow, said in status.health.items() if said not in ("", "ok")]
    for stage in status.stages:
        if stage.started and stage.waits_s > PATIENCE_S:
            down = "" if status.health.get(stage.flow) else "; does it run?"
            found.append(f"{stage.stage}: {stage.sum('records'):,} records wait for {_span(stage.waits_s)}{down}")
        if gone := stage.sum("gone"):
            found.append(f"{stage.stage}: {gone:,} records were let go by Kafka before they were read")
    return found


def _print(status: Status, out: Console) -> None:
    table = Table(
        "flow", "health", "stage", "reads", "partitions", "waiting", "for", "outbox", "clock", box=SIMPLE_HEAD
    )
    flow = ""
    for stage in status.stages:
        health = status.health.get(stage.flow, "") or "–"
        clock_ms = min((part.clock_ms for part in stage.parts if part.clock_ms), default=0)
        table.add_row(
            *(("", "") if stage.flow == flow else (stage.flow, escape(health.splitlines()[0]))),
            *(stage.stage, ", ".join(dict.fromkeys(part.topic for part in stage.parts)), str(len(stage.parts))),
            *(f"{stage.sum('records'):,}", _span(stage.waits_s) if stage.sum("records") else "–"),
            *(f"{stage.sum('outbox'):,}", f"{_span(max(0, status.at_ms - clock_ms) / 1000)} ago" if clock_ms else "–"),
        )
        flow = stage.flow
    out.print(table)
    state, alerts = status.state, status.alerts
    log = "append-only" if state["append_only"] else f"saved {_span(state['saved_s_ago'])} ago"
    out.print(
        f"state         {state['bytes'] / 2**20:,.1f} MB in {state['keys']:,} keys of Redis, {log}", highlight=False
    )
    firing = ", ".join(f"{number} {name}" for name, number in alerts.items() if number)
    out.print(f"alerts        {firing or 'none fires'}", highlight=False)
    out.print(f"dead letters  {status.dead_letters_1h:,} in the last hour", highlight=False)
    models = ", ".join(f"{name} {number or '–'}" for name, number in status.models.items())
    out.print(f"models        {models or 'none'}", highlight=False)
    for concern in status.concerns:
        out.print(f"[red]look[/] {escape(concern)}", highlight=False, soft_wrap=True)


def _span(seconds: float) -> str:
    """In the unit that fits."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
