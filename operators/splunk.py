"""Splunk's HTTP Event Collector with acknowledgement: an event counts when the indexer has said that it has it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson

from alerts.delivery.answer import Answer
from alerts.notices.errand import read_notice
from operators.posting import JSON, as_json, encoded, patient
from operators.web import Web

FIRST_S, MOST_S = 0.2, 5.0  # between two questions whether it is there
DATA_ERRORS = (5, 6, 12, 13, 15)  # codes of an answer 400 that are the event's own fault


class Splunk:
    """`url` without /services. An event without acknowledgement in time is sent again: it bears the same id."""

    def __init__(self, url: str, token: str, name: str, shape: dict[str, str], acknowledge_s: float, web: Web) -> None:
        """`shape`: format, and index if one is named."""
        self.url = url.rstrip("/") + "/services/collector"
        self.shape = shape
        self.acknowledge_s = acknowledge_s
        self.web = web
        self.channel = str(uuid5(NAMESPACE_URL, f"brewline:{name}:{url}"))
        self.headers = JSON | {"authorization": f"Splunk {token}", "x-splunk-request-channel": self.channel}
        self.wait: Callable[[float], None] = time.sleep

    def post(self, id: str, body: bytes) -> Answer:
        started_s = time.monotonic()
        answer, said = self.web.post(f"{self.url}/event", self.headers, self._event(body))
        if answer.verdict == "delivered":
            answer = self._acknowledged(as_json(said), started_s + self.acknowledge_s)
        elif answer.status == 400 and _field(as_json(said), "code") not in DATA_ERRORS:
            answer.retry = True  # the token has no acknowledgement, or no such index
        answer.seconds = time.monotonic() - started_s
        return patient(answer) if not answer.retry else answer

    def _event(self, body: bytes) -> bytes:
        envelope = read_notice(body)
        event = {
            "time": envelope.data.at_ms / 1000,
            "source": "brewline",
            "sourcetype": f"brewline:{self.shape['format']}",
            "event": orjson.Fragment(encoded(self.shape["format"], envelope, body)),
            "fields": {"notice_id": envelope.id, "key": envelope.data.key},
        }
        if index := self.shape.get("index"):
            event["index"] = index
        return orjson.dumps(event)

    def _acknowledged(self, said: Any, until_s: float) -> Answer:
        """Asks until the indexer has it; a collector that does not acknowledge is one that is set up wrongly."""
        number = _field(said, "ackId")
        if not isinstance(number, int):
            return Answer(200, retry=True)
        pause_s = FIRST_S
        while time.monotonic() < until_s:
            self.wait(pause_s)
            pause_s = min(MOST_S, 2 * pause_s)
            answer, heard = self.web.post(f"{self.url}/ack", self.headers, orjson.dumps({"acks": [number]}))
            if answer.verdict != "delivered":
                continue
            if _field(_field(as_json(heard), "acks"), str(number)) is True:
                return answer
        return Answer(failure="timeout")


def _field(said: Any, name: str) -> Any:
    """None where it is not there, or what was said is no object."""
    return said.get(name) if isinstance(said, dict) else None
