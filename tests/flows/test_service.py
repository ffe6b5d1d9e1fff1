"""The service flow as a process: a complaint becomes a ticket, is breached, listed, and forgotten with its guest."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from signal import SIGTERM
from typing import Any

import msgspec
import orjson
import pytest
import redis as redis_py
from rich.console import Console

from brewline import forget
from brewline.forget import forget_customer
from brewline.tickets import read_tickets, show_tickets
from config.settings import Settings
from features import events as e
from features.times import MINUTE_MS
from flows.topics import TOPICS
from operators.layout import RECORDS
from operators.store import PartitionStore
from sim.agenda import Record
from tests.flowprocess import IDENTITY_KEY, Flow, feed, make_topics, read_all, until

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(600)]
NOON_MS = 1_777_867_200_000
GONE, OTHER = "c-of-the-forgotten", "c-of-another"


def clean(event: e.Event) -> Record:
    return Record(NOON_MS, "events", event.customer, e.encode(event))


def said(minute: int, kind: type[e.Event], customer: str, **fields: Any) -> Record:
    at_ms = NOON_MS + minute * MINUTE_MS
    return clean(kind(id=f"{customer}-{minute}", customer=customer, at_ms=at_ms, tz="Asia/Shanghai", **fields))


def ticked(minute: int) -> Record:
    tick = e.Tick(id=f"t{minute}", at_ms=NOON_MS + minute * MINUTE_MS, source="pos.events/0", of=1)
    return Record(NOON_MS, "events", "", e.encode(tick), tick=True)


class Service:
    """Both flows, and what comes of them."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.redis = redis_py.Redis.from_url(settings.redis.url)
        make_topics(settings, TOPICS)
        self.flows = {name: Flow(name, settings, folder / f"{name}.log") for name in ("customers", "service")}

    def tickets(self) -> list[tuple[str, str, str]]:
        found = [orjson.loads(message.value() or b"") for message in read_all(self.settings, "tickets")]
        return [(one["type"][16:], one["data"]["customer"], one["data"]["clock"]) for one in found]

    def come_to(self, minute: int) -> None:
        parts = range(self.settings.kafka.partitions)
        stores = [
            PartitionStore(self.redis, self.settings.redis.prefix, flow) for flow in ("customers", "service-desk")
        ]
        clocks = lambda: [store.position(part).clock.now_ms for store in stores for part in parts]  # noqa: E731
        until(lambda: min(clocks()) >= NOON_MS + minute * MINUTE_MS, because=lambda: f"{clocks()} {self.said()}")

    def said(self) -> str:
        return "".join(flow.said[-1_500:] for flow in self.flows.values())

    def forget(self, who: str) -> tuple[int, str]:
        out = StringIO()
        code = forget_customer(self.settings, who, Console(file=out, width=200), lambda question: True)
        return code, out.getvalue()

    def records_with(self, text: str) -> list[bytes]:
        keys = self.redis.keys(f"{self.settings.redis.prefix}:*:{RECORDS}")
        records = [name + b" " + raw for key in keys for name, raw in self.redis.hgetall(key).items()]
        return [record for record in records if text.encode() in record]

    def close(self) -> None:
        for flow in self.flows.values():
            flow.kill()


def test_a_complaint_is_a_ticket_that_is_breached_listed_and_forgotten(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BREWLINE_IDENTITY_KEY", IDENTITY_KEY)
    service = Service(settings, tmp_path)
    try:
        feed(
            settings,
            [
                *(said(0, e.Complaint, who, case=f"k-{who}", topic="food_safety", store="s1") for who in (GONE, OTHER)),
                said(10, e.ComplaintAnswered, OTHER, case=f"k-{OTHER}"),
                ticked(31),
            ],
        )
        service.come_to(31)
        until(lambda: len(service.tickets()) == 6, because=lambda: f"{service.tickets()} {service.said()}")
        gone = [(what, clock) for what, customer, clock in service.tickets() if customer == GONE]
        assert gone == [
            ("opened", ""),
            ("warned", "first_answer"),
            ("breached", "first_answer"),
            ("escalated", "first_answer"),
        ]
        alerts = [orjson.loads(message.value() or b"")["data"] for message in read_all(settings, "alerts")]
        assert [alert["to"] for alert in alerts] == ["", "area-manager"]
        assert GONE not in str([alert["ticket"] for alert in alerts]).replace(f"k-{GONE}", "")

        # listed
        first, second = read_tickets(service.redis, settings.redis.prefix, only_open=True)
        assert (first["customer"], first["state"], first["clocks"]["first_answer"]["left_ms"]) == (
            GONE,
            "open",
            -60_000,
        )
        assert (second["customer"], second["state"], second["clocks"]["first_answer"]["left_ms"]) == (
            OTHER,
            "answered",
            None,
        )
        assert second["clocks"]["resolution"]["left_ms"] == (4 * 60 - 31) * MINUTE_MS
        assert read_tickets(service.redis, settings.redis.prefix, False, OTHER) == [second]
        show_tickets(settings, True, GONE, True, Console(file=StringIO()))
        assert orjson.loads(capsys.readouterr().out) == [first]
        shown = StringIO()
        show_tickets(settings, False, "", False, Console(file=shown, width=200))
        assert "1m over" in shown.getvalue()
        assert "kept" in shown.getvalue()

        # forgotten
        assert service.records_with(GONE)
        code, told = service.forget(GONE)
        assert (code, told.splitlines()[-1]) == (0, f"nothing of {GONE} is left"), told
        assert service.records_with(GONE) == []
        assert read_tickets(service.redis, settings.redis.prefix, only_open=False) == [second]
        feed(settings, [said(32, e.ComplaintAnswered, GONE, case=f"k-{GONE}"), ticked(40)])
        service.come_to(40)
        assert service.records_with(GONE) == []

        # nobody is forgotten while a flow that may hold something does not run
        monkeypatch.setattr(forget, "STALLED_S", 0.5)
        assert service.flows["service"].end(SIGTERM) == 0
        code, told = service.forget(OTHER)
        assert code == 1
        assert "start it with `brewline run service`" in told
    finally:
        service.close()


def test_promises_follow_their_file_and_a_wrong_one_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    promises = tmp_path / "service.toml"

    def promise(first_answer: str) -> None:
        promises.write_text(f'complaints = "c"\n[[promise]]\nid = "c"\nfirst_answer = {first_answer}\n', "utf-8")

    def limits() -> list[int]:
        found = read_tickets(service.redis, settings.redis.prefix, only_open=True)
        return sorted(one["clocks"]["first_answer"]["left_ms"] // MINUTE_MS for one in found)

    promise('"10m"')
    settings = msgspec.structs.replace(
        settings, service=msgspec.structs.replace(settings.service, promises=str(promises))
    )
    service = Service(settings, tmp_path)
    flow = service.flows["service"]
    try:
        flow.opened(2)
        feed(settings, [said(0, e.Complaint, GONE, case="before"), ticked(0)])
        until(lambda: limits() == [10], because=lambda: f"{limits()} {service.said()}")
        promise('"soon"')
        flow.until(lambda: "promises refused" in flow.said)
        assert "service.toml:4" in flow.said
        promise('"20m"')
        flow.until(lambda: "promises loaded" in flow.said)
        feed(settings, [said(0, e.Complaint, OTHER, case="after"), ticked(1)])
        until(lambda: limits() == [9, 19], because=lambda: f"{limits()} {service.said()}")
        assert flow.end(SIGTERM) == 0
        assert [what for what, *_ in service.tickets()] == ["opened", "opened"]
    finally:
        service.close()
