"""A topic of coupons, the dispatch flow as a process of its own, and what it leaves in Kafka."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

from confluent_kafka import Message, TopicPartition
from confluent_kafka.admin import AdminClient

from config.gateways import variable
from config.settings import Settings
from features.messages import cloudevent
from flows.dispatch import USED
from operators.kafka import consumer, producer
from tests.flowprocess import WAIT_S, Flow, committed, make_topics, read_all
from tests.receiver import SECRET

HOUR_MS = 3_600_000


class Post:
    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder, self.numbers = settings, folder, count()
        self.flows: list[Flow] = []
        self.sent: dict[str, bytes] = {}  # by id
        make_topics(settings, USED)
        self.sender = producer(settings.kafka.librdkafka())

    def coupons(self, ids: Iterable[str], valid_ms: int = HOUR_MS, **data: Any) -> None:
        """As the customers flow issues them, as far as delivery is concerned."""
        topic, now_ms = self.settings.topic("coupons"), round(time.time() * 1000)
        for id in ids:
            told = {"decision": id, "customer": f"c-{id}", "expires_ms": now_ms + valid_ms, **data}
            message = cloudevent(topic, f"c-{id}", id, "coupon.issued", "coupons", now_ms, f"c-{id}", told)
            self.sent[id] = message.value
            self.sender.produce(message.topic, message.value, message.key)
        assert self.sender.flush(WAIT_S) == 0

    def put(self, value: bytes) -> None:
        self.sender.produce(self.settings.topic("coupons"), value)
        assert self.sender.flush(WAIT_S) == 0

    def start(self, gateways: dict[str, dict[str, Any]], **environ: str) -> Flow:
        """Fast at first and patient at last, unless a gateway's terms say otherwise."""
        fast = {"backoff_s": 0.02, "backoff_most_s": 0.2, "breaker_failures": 1_000, "max_attempts": 1_000}
        tables = {name: {"rate_per_s": 2_000, **fast, **table} for name, table in gateways.items()}
        told = {"BREWLINE_DISPATCH__GATEWAYS": json.dumps(tables)} | {variable(name): SECRET for name in tables}
        log = self.folder / f"dispatch-{next(self.numbers)}.log"
        self.flows.append(Flow("dispatch", self.settings, log, **(told | environ)))
        return self.flows[-1]

    def outcomes(self) -> list[dict[str, Any]]:
        """The data of all that is on `deliveries`, with its type."""
        told = [json.loads(message.value() or b"") for message in read_all(self.settings, "deliveries")]
        return [{"type": event["type"], **event["data"]} for event in told]

    def outcome(self, id: str, gateway: str = "push") -> dict[str, Any]:
        """Empty when nothing has been told of it yet."""
        found = [told for told in self.outcomes() if (told["decision"], told["gateway"]) == (id, gateway)]
        return found[0] if found else {}

    def letters(self) -> list[tuple[dict[str, str], bytes | None]]:
        """(headers, value)"""
        return [(_headers(message), message.value()) for message in read_all(self.settings, "dead-letters")]

    def committed(self, gateway: str = "push") -> int:
        """Records behind the offsets that the gateway's group has committed."""
        kafka = self.settings.kafka
        reader = consumer(kafka.librdkafka(), self.settings.topic(f"dispatch-{gateway}"))
        places = [TopicPartition(self.settings.topic("coupons"), part) for part in range(kafka.partitions)]
        return sum(committed(reader, places))

    def delete_all(self) -> list[TopicPartition]:
        """As retention does; where the partitions end."""
        client, topic = self.settings.kafka.librdkafka(), self.settings.topic("coupons")
        places = [TopicPartition(topic, part) for part in range(self.settings.kafka.partitions)]
        reader, admin = consumer(client, "tests"), AdminClient(client)
        for place in places:
            _, place.offset = reader.get_watermark_offsets(place, timeout=WAIT_S)
        for deleted in admin.delete_records(places).values():
            deleted.result(WAIT_S)
        return places

    def commit(self, places: list[TopicPartition], gateway: str = "push") -> None:
        group = self.settings.topic(f"dispatch-{gateway}")
        consumer(self.settings.kafka.librdkafka(), group).commit(offsets=places, asynchronous=False)

    def close(self) -> None:
        for flow in self.flows:
            flow.kill()


def _headers(message: Message) -> dict[str, str]:
    return {name: str(value, "utf-8") for name, value in message.headers() or []}


def ids(number: int, start: int = 0) -> list[str]:
    return [f"d{i}" for i in range(start, start + number)]
