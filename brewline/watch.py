"""Watches what leaves the flows: coupons, verdicts, alerts, tickets, KPI minutes, dead letters; each once, by id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import orjson
from confluent_kafka import Message, TopicPartition
from msgspec import Struct

from config.settings import Settings
from features.audited import AuditTold
from operators.health import warn_seldom
from operators.kafka import consumer, partition_count

OWN = AuditTold.__struct_config__.tag
TOPICS = ("coupons", "redemptions", "alerts", "tickets", "kpi.minutes", "reviews", "dead-letters")


class Typed(Struct):
    """As much of a record as tells what it is."""

    type: str = ""


decode_typed = msgspec.json.Decoder(Typed).decode


class Watch:
    """Reads outgoing topics from where they end now, or from `starts`: topic/partition → offset."""

    def __init__(
        self,
        settings: Settings,
        group: str = "brewline-watch",
        topics: tuple[str, ...] = TOPICS,
        starts: Mapping[str, int] | None = None,
    ) -> None:
        self.settings = settings
        self.consumer = consumer(settings.kafka.librdkafka(), group)
        self.seen: set[str] = set()
        self.coupons: Counter[str] = Counter()  # by rule
        self.redemptions: Counter[str] = Counter()  # by verdict; of refusals, also by reason
        self.alerts: Counter[str] = Counter()  # by kind: kpi, security, service; firing ones only
        self.tickets: Counter[str] = Counter()  # by what became of them
        self.dead_letters: Counter[str] = Counter()  # by reason, of what others have sent
        self.reviews: Counter[str] = Counter()  # by signal: cases that were opened
        self.kpi_minutes = 0
        self.latencies_ms: list[int] = []
        places = [place for topic in topics for place in self._places(settings.topic(topic), starts or {})]
        self.starts = {f"{place.topic}/{place.partition}": place.offset for place in places}
        self.consumer.assign(places)

    def _places(self, topic: str, starts: Mapping[str, int]) -> list[TopicPartition]:
        places = [TopicPartition(topic, p) for p in range(partition_count(self.consumer, topic))]
        for place in places:
            low, high = self.consumer.get_watermark_offsets(place, timeout=10)
            place.offset = max(low, starts.get(f"{topic}/{place.partition}", high))
        return places

    def poll(self, timeout_s: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """(topic, CloudEvent) of what is new; dead letters are only counted."""
        for message in self.consumer.consume(1000, timeout=timeout_s):
            if message.error() is None:
                yield from self._ours(message)

    def _ours(self, message: Message) -> list[tuple[str, dict[str, Any]]]:
        """Nothing of what others write to the same topic, which is said."""
        try:
            return [*self._take(message)]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            place = f"{message.topic()}/{message.partition()}/{message.offset()}"
            warn_seldom("a record that is none of ours is passed over", "watch", place=place, error=repr(error))
            return []

    def _take(self, message: Message) -> Iterator[tuple[str, dict[str, Any]]]:
        topic = (message.topic() or "").removeprefix(self.settings.kafka.topic_prefix)
        if topic == "dead-letters":
            headers = {name: str(value, "utf-8") for name, value in message.headers() or []}
            if self._new(headers["ce_id"]) and not _is_own(message.value() or b""):
                self.dead_letters[headers["reason"]] += 1
            return
        event = orjson.loads(message.value() or b"")
        if not self._new(event["id"]):
            return
        if topic == "coupons":
            self.coupons[event["data"]["rule"]] += 1
            self.latencies_ms.append(message.timestamp()[1] - event["data"]["trigger_stamp_ms"])
        elif topic == "redemptions":
            turn, reason = event["type"].rpartition(".")[2], event["data"]["reason"]
            self.redemptions[f"refused: {reason}" if turn == "refused" else turn] += 1
        elif topic == "tickets":
            self.tickets["withdrawn" if event["data"]["withdrawn"] else event["type"].rpartition(".")[2]] += 1
        elif topic == "kpi.minutes" and event["type"] == "brewline.kpi.minute":
            self.kpi_minutes += 1
        elif topic == "reviews":
            self.reviews[event["data"]["signal"]] += event["data"]["state"] == "opened"
        elif event["data"].get("state", "firing") == "firing":
            self.alerts[event["type"].rpartition(".")[2]] += 1
        yield topic, event

    def _new(self, id: str) -> bool:
        if id in self.seen:
            return False
        self.seen.add(id)
        return True

    def close(self) -> None:
        self.consumer.close()


def _is_own(raw: bytes) -> bool:
    """Is it what the security flow tells itself, which a flow that is far behind may tell too late?"""
    try:
        return decode_typed(raw).type == OWN
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
