"""What measurements of the customers flow share: real servers, a configuration of usual size, the flow as a process."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.load import clean_events
from config.settings import HERE, Settings, load
from features.models import Curve, LinearModel, input_layouts
from features.offers import inputs_of
from features.partitions import partition_of
from features.versions import sole
from flows.files import load_catalog
from flows.topics import TOPICS
from operators.kafka import ensure_topics, producer
from operators.layout import RECORDS
from operators.servers import (
    KafkaServer,
    MockKafka,
    NoKafka,
    RedisServer,
    ServerFailed,
    free_port,
    kafka_server,
    mock_kafka,
    redis_server,
)
from operators.servers.process import Server
from operators.store import PartitionStore

out = Console()
CORES = len(os.sched_getaffinity(0))
SHIPPED = (  # rules that are measured; more are shipped, and figures stay comparable all the same
    "afternoon-tea",
    "bad-rating",
    "cart-left",
    "second-order",
    "third-in-a-week",
    "winback-14d",
)
WHENS = (  # of further rules: what they look at is usual, and few customers fulfil it
    ("orders_30d >= 12 AND churn_risk > 0.5", "order"),
    ("orders_7d >= 6 AND aov_cents_30d < 900", "order"),
    ("spend_cents_90d > 60000 AND discount_share_90d < 0.02", "order"),
    ("propensity > 0.97 AND cart_adds_24h >= 3", "view"),
    ("views_1h >= 5 AND orders_24h = 0", "view"),
    ("app_opens_7d >= 9 AND orders_30d = 0", "app_open"),
    ("hour BETWEEN 21 AND 23 AND orders_lifetime >= 8", "app_open"),
    ("weekday = 3 AND orders_90d >= 9 AND store LIKE 's19%'", "order"),
    ("cart_adds_1h >= 4 AND minutes_since_order > 600", "cart_add"),
    ("rating_tenths_90d < 15 AND ratings_90d >= 3", "rating"),
    ("gap_over_rhythm > 3 AND orders_lifetime >= 5", "app_open"),
    ("orders_trend_7d_30d > 0.9 AND orders_30d >= 9", "order"),
    ("items_per_order_90d > 3.8 AND orders_90d >= 5", "order"),
    ("complaints_open >= 1 AND churn_risk > 0.9", "app_open"),
)
KNOTS = [0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 20.0, 90.0, 1_000.0, 5_000.0, 50_000.0]  # as many as a learner draws
WHEN = re.compile(r'^when = "(.*)"$', re.MULTILINE)
RULE = """
id = "usual-{number}"
on = ["{on}"]
when = "{when}"
then = {{ coupon = "U{number}", face_value_cents = 100 }}
cooldown = "7d"
[[test]]
name = "not run here"
events = [{{ type = "app_open" }}]
fires_at = ["+0s"]
[[test]]
name = "nor this one"
events = [{{ type = "login" }}]
"""


def progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=out)


class House:
    """Servers and settings of one measurement; every child process finds them in the environment."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.folder = folder
        for name in ("kafka", "redis"):
            (folder / name).mkdir()
        redis = stack.enter_context(redis_server(folder / "redis"))
        kafka: Any
        try:
            kafka = stack.enter_context(kafka_server(folder / "kafka"))
        except (NoKafka, ServerFailed) as reason:
            out.print(f"[yellow]no Apache Kafka ({reason}): the mock cluster serves, and holds few messages[/]")
            kafka = stack.enter_context(mock_kafka())
        self.port = free_port()
        os.environ |= {
            "BREWLINE_SETTINGS": str(_configuration(folder / "config")),
            "BREWLINE_KAFKA__BROKERS": kafka.brokers,
            "BREWLINE_REDIS__URL": redis.url,
            "BREWLINE_METRICS__CUSTOMERS": str(self.port),
            "BREWLINE_LOG__LEVEL": "warning",
        }
        self.settings: Settings = load()
        self.names = {"kafka": kafka.name, "redis": redis.name}
        self.servers = [server.pid for server in (kafka, redis) if isinstance(server, Server)]
        self.kafka_server: KafkaServer | MockKafka = kafka
        self.redis_server: RedisServer = redis
        self.redis = Redis.from_url(redis.url)
        self.store = PartitionStore(self.redis, self.settings.redis.prefix, "customers")
        self.catalog = load_catalog(self.settings)
        self.topic = self.settings.topic("events")
        topics = [self.settings.topic(name) for name in TOPICS]
        kafka = self.settings.kafka
        size = {"max.message.bytes": str(kafka.max_message_bytes)}
        self.partitions = ensure_topics(kafka.librdkafka(), topics, kafka.partitions, 1, size)[self.topic]
        self._publish_models()

    @property
    def size(self) -> dict[str, int]:
        """What the flow has to do for an event."""
        rules = len(SHIPPED) + len(WHENS)
        return {"features": len(self.catalog.names), "rules": rules, "models": len(self.catalog.models)}

    def made_models(self) -> Iterator[LinearModel]:
        """As large as learned ones."""
        layouts = input_layouts(self.catalog)
        for name, inputs in inputs_of(self.catalog).items():
            curves = [Curve(KNOTS, [(-1) ** i * 0.05 * k for k in range(len(KNOTS))], 0.01) for i in range(len(inputs))]
            yield LinearModel(name, 1, layouts[name], 1, inputs, curves, -2.0)

    def _publish_models(self) -> None:
        learning = PartitionStore(self.redis, self.settings.redis.prefix, "learning")
        for model in self.made_models():
            for record, raw in sole(model).items():
                self.redis.hset(learning.key(partition_of(model.name, self.partitions), RECORDS), record, raw)

    def fill(self, events: int, customers: int, bar: Progress) -> None:
        """Writes the load into the clean topic; a tick goes to every partition."""
        sender = producer(self.settings.kafka.librdkafka(), linger_ms=50)
        for key, value, tick in bar.track(clean_events(events, customers), events, description="filling Kafka"):
            for partition in range(self.partitions) if tick else (-1,):
                while True:
                    try:
                        sender.produce(self.topic, value, key or None, partition=partition)
                        break
                    except BufferError:
                        sender.poll(0.1)
        sender.flush()

    @contextmanager
    def flow(self, *command: str, share: str = "0/1", port: int = 0) -> Iterator[psutil.Process]:
        """The customers flow as an operator starts it; told to end at the end. `command` may stand before it."""
        full = [*command, sys.executable, "-m", "bytewax.run", "flows.customers:flow"]
        own = {"BREWLINE_KAFKA__SHARE": share, "BREWLINE_METRICS__CUSTOMERS": str(port or self.port)}
        with (
            (self.folder / "flow.log").open("ab") as log,
            subprocess.Popen(full, stderr=log, env=os.environ | own) as flow,
        ):
            try:
                yield psutil.Process(flow.pid)
            finally:
                flow.terminate()

    def forget(self, models: bool = True) -> None:
        """All that flows have made of the events; the next flow begins with the first, with or without `models`."""
        self.redis.flushall()
        if models:
            self._publish_models()

    def hush(self) -> None:
        """No rule ever holds from now on, and each looks at all that it looked at, but for scores."""
        for file in (self.folder / "config/rules/coupons").iterdir():
            file.write_text(WHEN.sub(r'when = "(\1) AND orders_lifetime < 0"', file.read_text()))

    def hold_to(self, cores: set[int]) -> None:
        """The servers, and what is started from now on, run on these cores only."""
        os.sched_setaffinity(0, cores)
        for server in self.servers:
            for thread in psutil.Process(server).threads():
                with suppress(ProcessLookupError):  # a thread that has just ended
                    os.sched_setaffinity(thread.id, cores)

    def applied(self, parts: Iterable[int] | None = None) -> int:
        counts = [self.store.position(p).counts for p in (range(self.partitions) if parts is None else parts)]
        return sum(c.get("applied", 0) + c.get("duplicates", 0) for c in counts)

    def decided(self) -> int:
        """How many decisions rules have come to so far."""
        counts = [self.store.position(p).counts for p in range(self.partitions)]
        return sum(number for one in counts for name, number in one.items() if name.startswith("decision:"))

    def redis_cpu_s(self) -> float:
        used: Any = self.redis.info("cpu")
        return float(used["used_cpu_user"] + used["used_cpu_sys"])

    def until(self, what: Callable[[], bool], *processes: psutil.Process) -> None:
        """Waits until it is so; ends the measurement when a flow ends."""
        while not what():
            if any(not p.is_running() or p.status() == psutil.STATUS_ZOMBIE for p in processes):
                sys.exit(f"the customers flow ended early:\n{(self.folder / 'flow.log').read_text()[-3000:]}")
            time.sleep(0.05)

    def stage_seconds(self, port: int = 0) -> dict[str, float]:
        """Seconds that each stage has taken so far, by the flow's own metrics."""
        text = urlopen(f"http://127.0.0.1:{port or self.port}/metrics", timeout=5).read().decode()
        return {
            sample.labels["stage"]: sample.value
            for family in text_string_to_metric_families(text)
            if family.name == "brewline_stage_seconds"
            for sample in family.samples
            if sample.name.endswith("_sum")
        }


def _configuration(folder: Path) -> Path:
    """The shipped one, with twenty rules and two models."""
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for file in (folder / "rules/coupons").iterdir():
        if file.stem not in SHIPPED:
            file.unlink()
    for number, (when, on) in enumerate(WHENS):
        (folder / f"rules/coupons/usual-{number}.toml").write_text(RULE.format(number=number, when=when, on=on))
    models = folder / "models.toml"
    churn, propensity = (_table(models.read_text(), name) for name in ("churn_risk", "propensity"))
    models.write_text(churn + propensity)
    return folder / "brewline.toml"


def _table(text: str, name: str) -> str:
    head = f"[{name}]"
    return head + text.partition(head)[2].partition("\n[")[0] + "\n"


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
