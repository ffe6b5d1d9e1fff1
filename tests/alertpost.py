"""Alerts on their topic, the notify flow as a process of its own, and what it leaves in Kafka and Redis."""

from __future__ import annotations

import json
import time
from itertools import count
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from redis import Redis

from alerts.notices.sink import variable
from config.settings import Settings
from features.job import Message
from features.messages import cloudevent
from flows.notify import USED
from operators.kafka import consumer, producer
from operators.standings import Standings
from tests.flowprocess import WAIT_S, Flow, committed, make_topics, read_all
from tests.receiver import SECRET

FAST = {"rate_per_s": 2_000, "wait_most_s": 0.1, "pause_s": 0.2}


def finding(id: str, actor: str = "anna", rule: str = "bulk-export", **data: Any) -> dict[str, Any]:
    """As the security flow tells it."""
    about = {"rule": rule, "rule_id": f"id-of-{rule}", "title": f"Title of {rule}", "level": "high"}
    seen = {"tags": ["attack.t1213.004", "attack.exfiltration"], "observed": 20_000.0, "threshold": 5_000.0}
    whom = {"actor": actor, "store": "s1", "group": {"actor": actor}, "evidence": [f"event-of-{id}"]}
    told = {"why": f"{actor} did export with rows 20000", "started_ms": 1_777_000_000_000}
    return {"id": id, "kind": "security", "subject": actor, **about, **seen, **whom, **told, **data}


def incident(id: str, state: str = "firing", dim: str = "store:s1", **data: Any) -> dict[str, Any]:
    """As the kpis flow tells it."""
    named = f"{dim}-orders-7"
    seen = {"direction": "low", "observed": 3, "expected": 40.5, "p": 1e-9, "started_ms": 1_777_000_000_000}
    told = {"fingerprint": "f", "incident": named, "why": f"{dim}: orders down to 3"}
    return {
        "id": id,
        "kind": "kpi",
        "subject": dim,
        "state": state,
        "dim": dim,
        "series": "orders",
        **seen,
        **told,
        **data,
    }


def sent(alert: dict[str, Any], topic: str = "alerts") -> Message:
    """As it stands on the topic; `id`, `kind` and `subject` are the envelope's."""
    data = {name: value for name, value in alert.items() if name not in ("id", "kind", "subject")}
    kind, subject, now_ms = f"alert.{alert['kind']}", alert["subject"], round(time.time() * 1000)
    return cloudevent(topic, subject, alert["id"], kind, alert["kind"], now_ms, subject, data)


class AlertPost:
    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder, self.numbers = settings, folder, count()
        self.flows: list[Flow] = []
        make_topics(settings, USED)
        self.sender = producer(settings.kafka.librdkafka())
        self.redis = Redis.from_url(settings.redis.url)
        self.standings().begin(0)  # nothing is history

    def alerts(self, *alerts: dict[str, Any]) -> None:
        for alert in alerts:
            message = sent(alert, self.settings.topic("alerts"))
            self.sender.produce(message.topic, message.value, message.key)
        assert self.sender.flush(WAIT_S) == 0

    def put(self, topic: str, value: bytes, key: str = "k") -> None:
        self.sender.produce(self.settings.topic(topic), value, key)
        assert self.sender.flush(WAIT_S) == 0

    def start(self, sinks: dict[str, dict[str, Any]], head: str = "", **environ: str) -> Flow:
        """`sinks` are tables; `head`: what stands before them in the file."""
        number = next(self.numbers)
        file = self.folder / f"sinks-{number}.toml"
        lines = [head]
        for name, table in sinks.items():
            lines.append(f"[sinks.{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in {**FAST, **table}.items()]
        file.write_text("\n".join(lines), "utf-8")
        settings = self.folder / f"brewline-{number}.toml"
        settings.write_text(f"sinks = {json.dumps(str(file))}\n", "utf-8")
        secrets = {variable(name): SECRET for name, table in sinks.items() if table["kind"] == "webhook"}
        told = {"BREWLINE_SETTINGS": str(settings), **secrets, **environ}
        self.flows.append(Flow("notify", self.settings, self.folder / f"notify-{number}.log", **told))
        return self.flows[-1]

    def notices(self) -> list[dict[str, Any]]:
        """The data of all that is on `notices`, with its id."""
        told = [json.loads(message.value() or b"") for message in read_all(self.settings, "notices")]
        return [{"id": event["id"], **event["data"]} for event in told]

    def letters(self) -> list[tuple[str, bytes]]:
        """(reason, value)"""
        found = [(dict(m.headers() or []), m.value() or b"") for m in read_all(self.settings, "dead-letters")]
        return [(str(headers["reason"], "utf-8"), value) for headers, value in found]  # type: ignore[arg-type]

    def committed(self, sink: str) -> int:
        """Records behind the offsets that the sink's group has committed."""
        kafka = self.settings.kafka
        reader: Consumer = consumer(kafka.librdkafka(), self.settings.topic(f"notify-{sink}"))
        places = [TopicPartition(self.settings.topic("notices"), part) for part in range(kafka.partitions)]
        return sum(committed(reader, places))

    def standings(self) -> Standings:
        return Standings(self.redis, self.settings.redis.prefix)

    def close(self) -> None:
        for flow in self.flows:
            flow.kill()
