"""The floor that flows are measured against: consume and decode a topic, nothing else.

Prints one JSON line: events, seconds, cpu_seconds.
"""

from __future__ import annotations

import sys
import time

import orjson
from confluent_kafka import TopicPartition

from config.settings import load
from features.events import decode_event
from operators.kafka import consumer, partition_count


def consume(topic: str) -> dict[str, float]:
    settings = load()
    reader = consumer(settings.kafka.librdkafka(), "brewline-floor")
    places = [TopicPartition(topic, p, 0) for p in range(partition_count(reader, topic))]
    left = sum(reader.get_watermark_offsets(place, timeout=10)[1] for place in places)
    events = left
    reader.assign(places)
    started = started_cpu = 0.0
    while left:
        messages = reader.consume(settings.kafka.batch_events, timeout=1)
        if not started:  # clients and connections are up: what follows is the work
            started, started_cpu, events = time.perf_counter(), time.process_time(), left - len(messages)
        else:
            for message in messages:
                decode_event(message.value())
        left -= len(messages)
    figures = {
        "events": events,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - started_cpu,
    }
    reader.close()
    return figures


if __name__ == "__main__":
    print(orjson.dumps(consume(sys.argv[1])).decode())
