"""Checks what Brewline needs, and says how to mend what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from confluent_kafka.admin import AdminClient
from rich.console import Console
from rich.markup import escape

from alerts.security.rule_tests import load_tested
from config.settings import Settings
from flows.files import load_catalog, load_stores
from flows.keys import load_pseudonyms
from flows.rules import load_conditions, load_rules, security_texts
from flows.topics import TOPICS
from operators.kafka import Unreachable, require_kafka
from operators.redis_link import connect_redis
from operators.store import stored_partitions

OLDEST_REDIS = (6, 2)


class Ailing(Exception):
    """A check that failed; the message says how to mend it."""


def examine(settings: Settings, out: Console) -> int:
    """Runs every check and prints its finding; the exit code, 1 when any failed."""
    checks: dict[str, Callable[[Settings], str]] = {
        "features": lambda s: f"{len(load_catalog(s).names)} features",
        "coupon rules": _rules,
        "security rules": _security_rules,
        "stores": lambda s: f"{len(load_stores(s).places)} in the table, others are in {s.stores.timezone}",
        "pseudonym key": lambda s: "there" if load_pseudonyms(s) else "",
        "kafka": _kafka,
        "redis": _redis,
    }
    failed = 0
    with ThreadPoolExecutor() as pool:  # the servers are asked at once: each may keep us waiting
        found = {name: pool.submit(check, settings) for name, check in checks.items()}
    for name, finding in found.items():
        try:
            out.print(f"[green]ok  [/] {name}: {finding.result()}", highlight=False, soft_wrap=True)
        except (ValueError, Unreachable, Ailing) as error:
            failed += 1
            out.print(f"[red]FAIL[/] {name}: {escape(str(error))}", highlight=False, soft_wrap=True)
    return 1 if failed else 0


def _rules(settings: Settings) -> str:
    rules = load_rules(settings)
    load_conditions(load_catalog(settings), rules)
    return f"{len(rules)} rules"


def _security_rules(settings: Settings) -> str:
    loaded, refused = load_tested(security_texts(settings))
    if refused:
        raise Ailing("; ".join(f"{file}: {title}: {reason}" for file, title, reason in refused))
    return f"{len(loaded.heads)} rules"


def _kafka(settings: Settings) -> str:
    client = settings.kafka.librdkafka()
    require_kafka(client, settings.kafka.start_timeout_s)
    have = AdminClient({**client, "log_level": 0}).list_topics(timeout=settings.kafka.start_timeout_s).topics
    missing = [topic for topic in TOPICS if settings.topic(topic) not in have]
    what = f"missing topics, created at the first start: {', '.join(missing)}" if missing else "all topics are there"
    return f"{settings.kafka.brokers}, {what}"


def _redis(settings: Settings) -> str:
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    info: Any = redis.info()
    version = str(info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        raise Ailing(f"Redis {version} is too old: 6.2 or newer is needed")
    seconds: Any = redis.time()
    skew_s = abs(seconds[0] - time.time())
    if skew_s > 5:
        raise Ailing(f"its clock differs from this machine's by {skew_s:.0f} s: synchronise both with NTP")
    if info.get("maxmemory_policy", "noeviction") != "noeviction":
        raise Ailing(f"maxmemory-policy is {info['maxmemory_policy']}: it would drop state; set noeviction")
    persistence = "append-only file on" if info["aof_enabled"] else "no append-only file: a restart replays from Kafka"
    partitions = stored_partitions(redis, settings.redis.prefix) or "no"
    return f"Redis {version}, {persistence}, state of {partitions} partitions under prefix {settings.redis.prefix!r}"
