"""Sinks that take a notice in one request: webhooks, PagerDuty, Alertmanager."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Lock
from typing import Any

import msgspec
import orjson

from alerts.delivery.answer import Answer
from alerts.delivery.signature import headers
from alerts.formats.alertmanager import postable_alerts
from alerts.formats.ecs import ecs_event
from alerts.formats.ocsf import detection_finding
from alerts.formats.pagerduty import pagerduty_event
from alerts.notices.errand import Envelope, read_notice
from features.outgoing import Notice
from operators.web import Web

OVER_AFTER = 4  # times the pause between two sendings: as Prometheus has it
SETUP = (401, 403, 404, 405, 407, 410)  # whoever set it up will mend that; nothing is lost until then
JSON = {"content-type": "application/json", "user-agent": "brewline"}
Post = Callable[[str, bytes], Answer]


def patient(answer: Answer) -> Answer:
    """Of a receiver that is set up wrongly, or redirects, what is sent is no less good."""
    answer.retry = answer.status in SETUP or 300 <= answer.status < 400
    return answer


def encoded(format: str, envelope: Envelope, body: bytes) -> bytes:
    """A notice in one of the formats of JSON; `body` is as it stands in Kafka."""
    if format == "ocsf":
        return orjson.dumps(detection_finding(envelope.data, envelope.id))
    if format == "ecs":
        return orjson.dumps(ecs_event(envelope.data, envelope.id))
    return body


def webhook(url: str, format: str, secrets: Sequence[bytes], web: Web) -> Post:
    def post(id: str, body: bytes) -> Answer:
        sent = encoded(format, read_notice(body), body)
        told = headers(secrets, id, int(time.time()), sent)
        if format != "cloudevent":
            told |= {"content-type": "application/json"}
        return patient(web.post(url, told, sent)[0])

    return post


def pagerduty(url: str, routing_key: str, web: Web) -> Post:
    def post(id: str, body: bytes) -> Answer:
        event = pagerduty_event(read_notice(body).data, routing_key)
        if event is None:
            return Answer(204)
        return patient(web.post(url, JSON, orjson.dumps(event))[0])

    return post


class Alertmanager:
    """Tells of every notice at once, and again and again of what fires: Alertmanager forgets what is not repeated."""

    def __init__(self, url: str, token: str, resend_s: float, web: Web) -> None:
        self.url = url.rstrip("/") + "/api/v2/alerts"
        self.headers: Mapping[str, str] = JSON | ({"authorization": f"Bearer {token}"} if token else {})
        self.resend_s = resend_s
        self.web = web
        self.lock = Lock()  # what is sent again must not overtake its end

    def post(self, id: str, body: bytes) -> Answer:
        with self.lock:
            return self._send([read_notice(body).data])

    def _send(self, notices: list[Notice]) -> Answer:
        now_ms = round(time.time() * 1000)
        until_ms = now_ms + round(OVER_AFTER * self.resend_s * 1000)
        alerts = [alert for one in notices for alert in postable_alerts(one, now_ms, until_ms)]
        return patient(self.web.post(self.url, self.headers, orjson.dumps(alerts))[0])

    def repeat(self, standing: Callable[[], list[Notice]], stop: Event) -> None:
        """Tells of all that fires, until `stop`."""
        while not stop.wait(self.resend_s):
            with self.lock:
                if notices := standing():
                    self._send(notices)


def as_json(found: Any) -> Any:
    """What a receiver answered, if that is JSON; else None."""
    try:
        return msgspec.json.decode(found)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
