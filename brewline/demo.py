"""The demo: a simulated chain through every flow, on servers started and stopped here."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from board.access.person import EVERYONE, Person
from brewline.account import Account, all_come_to, all_out, balance, clocks_ms, percentile
from brewline.entrance import entrance
from brewline.phones import Phones
from brewline.results import ROOT, write_json
from brewline.sender import Sent, send
from brewline.watch import Watch
from config.settings import HERE, Settings, load
from features.times import rfc3339
from flows.topics import TOPICS
from operators.kafka import ensure_topics, producer
from operators.redis_link import connect_redis
from operators.servers import die_with_parent, free_port, mock_kafka, redis_server
from operators.store import PartitionStore
from sim.chain import Chain, Record

Process = subprocess.Popen[bytes]
PROCESSES = (("ingest", "customers", "learning"), ("kpis", "security", "service", "abuse"))
QUIET = ("customers", "learning", "security", "service", "abuse", "dispatch")  # told of by the first of their process
READY_S = 120.0
SETTLE_S = 30.0
COUPON_LINE_S = 1.0
TICK_S = 0.1
VIEWERS = (
    (Person("demo", EVERYONE), "all of it; a link opens once"),
    (Person("manager", frozenset({"store"}), frozenset({"S001"})), "as the manager of store S001"),
)
KPI_LINE_MS = 4 * 3_600_000
LATE_S = 5.0
LEAD_MS = 24 * 3_600_000  # of the chain before the flows: half of what the mock cluster keeps of its events


class FlowsEnded(ValueError):
    """The flows' process ended although nobody asked it to; the message holds the end of its log."""


def run_demo(duration_s: float, speed: float, seed: int, json: Path | None, out: Console) -> int:
    """Runs the demo and prints its closing table; 0 when the account balances, all is out and the flows ended well."""
    asked: list[int] = []  # looked at between two steps: an exception raised in a handler is lost in a fork's hooks
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: asked.append(number))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="brewline-demo-")))
        kafka = stack.enter_context(mock_kafka())
        (folder / "redis").mkdir()
        server = stack.enter_context(redis_server(folder / "redis"))
        chain = Chain(seed=seed, days=duration_s * speed / 86_400)
        settings = _settings(folder, kafka.brokers, server.url, chain)
        out.print(f"servers: {kafka.name}; {server.name}")
        demo = Demo(settings, chain, speed, folder, asked, out)
        stack.callback(demo.watch.close)
        with demo.flows() as flows:
            demo.await_flows(flows)
            account = demo.live(flows)
        well = all(process.returncode == 0 for process in flows)
        figures = demo.figures(account, kafka.name, server.name)
        demo.closing_table(figures)
    write_json(json, figures)
    return 0 if demo.all_out and well else 1


def _settings(folder: Path, brokers: str, redis_url: str, chain: Chain) -> Settings:
    """The shipped settings on the demo's own servers; the flows' process reads them from the environment."""
    (folder / "stores.csv").write_text(chain.stores_csv())
    shutil.copytree(load().path(load().coupons.rules), folder / "rules")  # the board switches these
    os.environ |= {
        "BREWLINE_SETTINGS": str(_hurried(load(), folder)),
        "BREWLINE_KAFKA__BROKERS": brokers,
        "BREWLINE_REDIS__URL": redis_url,
        "BREWLINE_COUPONS__RULES": str(folder / "rules"),
        "BREWLINE_STORES__FILE": str(folder / "stores.csv"),
        "BREWLINE_TIME__CLOCK": "event",
        "BREWLINE_KAFKA__FETCH_WAIT_MS": "5",  # the mock cluster lets a fetch wait to the end, whatever comes in
        "BREWLINE_LEARNING__PUBLISH_EVERY": "200",
        "BREWLINE_METRICS__INGEST": str(free_port()),
        "BREWLINE_METRICS__KPIS": str(free_port()),
        "BREWLINE_METRICS__BOARD": str(free_port()),
        "BREWLINE_METRICS__NOTIFY": str(free_port()),
        **{f"BREWLINE_METRICS__{flow.upper()}": "0" for flow in QUIET},
        "BREWLINE_BOARD__PORT": str(free_port()),
        "BREWLINE_LOG__LEVEL": "warning",
        "BREWLINE_IDENTITY_KEY": secrets.token_hex(32),
        "BREWLINE_COUPON_KEY": secrets.token_hex(32),
    }
    return load()


def _hurried(settings: Settings, folder: Path) -> Path:
    """The settings file in use, with models whose horizons do not outlast the demo."""
    models = re.sub(r'"\d+d"', '"36h"', settings.path(settings.models).read_text()) if settings.models else ""
    (folder / "models.toml").write_text(models)
    used = Path(os.environ.get("BREWLINE_SETTINGS") or HERE / "brewline.toml").read_text()
    others = re.sub(r"(?m)^(models|folder) *=.*\n", "", used)
    file = folder / "brewline.toml"
    file.write_text(f'models = "{folder / "models.toml"}"\nfolder = "{settings.folder}"\n{others}')
    return file


class Demo:
    """One run: what is sent, what comes out, and the account of both."""

    def __init__(
        self, settings: Settings, chain: Chain, speed: float, folder: Path, asked: list[int], out: Console
    ) -> None:
        self.settings = settings
        self.chain = chain
        self.speed = speed
        self.folder = folder
        self.asked = asked  # the signals that ask it to stop
        self.out = out
        self.redis = connect_redis(settings.redis.url, READY_S)
        names = [settings.topic(topic) for topic in TOPICS]
        self.partitions = ensure_topics(settings.kafka.librdkafka(), names, settings.kafka.partitions, 1, {})[names[0]]
        self.watch = Watch(settings)
        self.phones = Phones(settings, self.redis, chain)
        self.may_ms = chain.start_ms + LEAD_MS  # how far the chain may live on
        self.late_s = 0.0
        self.all_out = False
        self.next_coupon_s = 0.0
        self.met: set[str] = set()  # rules of which a coupon was shown
        self.stretch: tuple[int, int, int] = (0, 0, 0)  # four hours of KPI minutes: which, orders, cents

    @contextmanager
    def flows(self) -> Iterator[list[Process]]:
        """The flows in three processes and the board in one, told to stop at the end."""
        commands = [["bytewax.run", f"flows.together:flow{names!r}"] for names in PROCESSES]
        with (self.folder / "flows.log").open("wb") as log:
            processes = [
                subprocess.Popen(
                    [sys.executable, "-m", *command],
                    cwd=ROOT,
                    stdout=log,
                    stderr=log,
                    preexec_fn=die_with_parent(),
                )
                for command in [*commands, ["flows.notify"], ["brewline", "board"]]
            ]
        try:
            yield processes
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                try:
                    process.wait(SETTLE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def await_flows(self, flows: list[Process]) -> None:
        """Returns when every partition has an owner."""
        owners = [
            PartitionStore(self.redis, self.settings.redis.prefix, flow).key(partition, "owner")
            for flow in (
                "customers",
                "learning",
                "kpis",
                "kpis-merge",
                "kpis-judge",
                "security",
                "service",
                "service-desk",
                "abuse",
                "abuse-judge",
            )
            for partition in range(self.partitions)
        ]
        until = time.monotonic() + READY_S
        while self.redis.exists(*owners) < len(owners):
            self._go_on(flows)
            if time.monotonic() > until:
                raise FlowsEnded(f"the flows were not ready within {READY_S:.0f} s:\n{self._log()}")
            time.sleep(0.1)
        self.out.print(
            f"a chain of {self.chain.stores} stores and {self.chain.customers:,} members lives"
            f" {self.chain.days:.1f} days; metrics at 127.0.0.1:{self.settings.metrics.ingest}/metrics",
            soft_wrap=True,
        )
        for person, whose in VIEWERS:
            self.out.print(f"board: {entrance(self.settings, person)} {whose}", soft_wrap=True, highlight=False)

    def _go_on(self, flows: list[Process]) -> None:
        """Raises SystemExit when it was asked to stop, FlowsEnded when a process of the flows is gone."""
        if self.asked:
            self.out.print("stopping")
            sys.exit(128 + self.asked[0])
        for process in flows:
            if process.poll() is not None:
                raise FlowsEnded(f"a process of flows ended with code {process.returncode}:\n{self._log()}")

    def _log(self) -> str:
        return (self.folder / "flows.log").read_text(errors="replace")[-3000:]

    def live(self, flows: list[Process]) -> Account:
        """Sends the chain's life and shows what comes of it, until all is accounted for."""
        sent: list[Sent] = []
        stop = threading.Event()
        thread = threading.Thread(target=lambda: sent.append(self._send(stop)), name="sender", daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                self._show()
                self._go_on(flows)
                self.may_ms = max(self.may_ms, LEAD_MS + min(self._clocks_ms().values()))
            if not sent:
                raise FlowsEnded("the simulated chain could not be sent; see the error above")
            self.late_s = sent[0].seconds - self.chain.days * 86_400 / self.speed
            return self._settle(sent[0].events, flows)
        finally:
            stop.set()

    def _clocks_ms(self) -> dict[str, int]:
        return clocks_ms(self.redis, self.settings, self.partitions)

    def _send(self, stop: threading.Event) -> Sent:
        sender = producer(self.settings.kafka.librdkafka())
        return send(self._records(stop), sender, self.settings.kafka.topic_prefix, self.speed, stop=stop)

    def _records(self, stop: threading.Event) -> Iterator[Record]:
        """The chain's records, with ticks thinned to what TICK_S of the audience's time is in stream time.

        Held back while the flows are too far behind: what the mock cluster no longer keeps would be lost to them.
        """
        ticked_ms: dict[str, int] = {}
        for record in self.chain.records():
            while record.at_ms > self.may_ms and not stop.wait(TICK_S):
                pass
            if not record.tick or record.at_ms == self.chain.end_ms:
                yield record
            elif record.at_ms >= ticked_ms.get(record.topic, 0) + TICK_S * 1000 * self.speed:
                ticked_ms[record.topic] = record.at_ms
                yield record

    def _settle(self, events_in: int, flows: list[Process]) -> Account:
        """Waits until nothing is on its way any more: all clocks are at the end, all that was decided has come out.

        On a slow machine that takes as long as it takes; not when nothing has moved for a while.
        """
        until, before = time.monotonic() + SETTLE_S, None
        while True:
            self._show()
            account = balance(self.redis, self.settings, self.partitions, self.watch, Counter(), events_in)
            clocks = self._clocks_ms()
            ended = account.settled and all_come_to(clocks, self.chain.end_ms)
            self.all_out = ended and all_out(self.redis, self.settings, self.partitions, self.watch)
            if self.all_out or time.monotonic() > until:
                return account
            if (now := (account.done, clocks, len(self.watch.seen))) != before:
                until, before = time.monotonic() + SETTLE_S, now
            self._go_on(flows)

    def _show(self) -> None:
        """Prints what is new: the first coupon of each rule, and others not more often than a person can read.

        All coupons go to their members.
        """
        came = list(self.watch.poll(0.2))
        self.phones.bring(event["data"] for topic, event in came if topic == "coupons")
        for topic, event in came:
            data, now_s = event["data"], time.monotonic()
            if topic == "alerts" and self._worth_a_line(event):
                self.out.print(f"[bold red]alert [/] {escape(str(data['why']))}", highlight=False, soft_wrap=True)
            elif topic == "reviews" and data["state"] == "opened":
                self.out.print(f"[magenta]review[/] {escape(data['why'])}", highlight=False, soft_wrap=True)
            elif topic == "coupons" and (now_s >= self.next_coupon_s or data["rule"] not in self.met):
                self.next_coupon_s = now_s + COUPON_LINE_S
                self.met.add(data["rule"])
                line = f"{data['rule']:<18} {_gift(data)} for {data['customer'][:9]}…"
                self.out.print(f"[green]coupon[/] {_clock(data['at_ms'])} {escape(line)}", highlight=False)
            elif topic == "kpi.minutes" and event["subject"] == "chain:*":
                self._add_minute(data)

    def _worth_a_line(self, event: dict[str, Any]) -> bool:
        """Of broken promises, the first of each priority."""
        if event["type"] != "brewline.alert.service":
            return True
        new = event["data"]["priority"] not in self.met
        self.met.add(event["data"]["priority"])
        return new

    def _add_minute(self, data: dict[str, Any]) -> None:
        """Adds a minute of the chain to its stretch of hours; prints the stretch when the next begins."""
        stretch, orders, cents = self.stretch
        now = data["minute_ms"] // KPI_LINE_MS
        if now > stretch:
            if orders:
                line = f"{_clock(stretch * KPI_LINE_MS)} + 4 h: {orders} orders, revenue {cents / 100:,.2f}"
                self.out.print(f"[blue]kpi   [/] {line}", highlight=False)
            stretch, orders, cents = now, 0, 0
        self.stretch = (stretch, orders + data["orders"], cents + data["revenue_cents"])

    def figures(self, account: Account, kafka: str, redis: str) -> dict[str, Any]:
        watch = self.watch
        return {
            "events_in": account.events_in,
            "applied": account.applied,
            "duplicates": account.duplicates,
            "too_late": account.too_late,
            "dead_lettered": account.dead_lettered,
            "own": account.own,
            "balanced": account.settled,
            "all_out": self.all_out,
            "coupons": watch.coupons.total(),
            "kpi_alerts": watch.alerts["kpi"],
            "security_alerts": watch.alerts["security"],
            "service_alerts": watch.alerts["service"],
            "tickets": dict(watch.tickets),
            "latency_p50_ms": percentile(watch.latencies_ms, 0.50),
            "latency_p99_ms": percentile(watch.latencies_ms, 0.99),
            "late_s": round(self.late_s, 1),
            "kafka": kafka,
            "redis": redis,
            "coupons_by_rule": dict(watch.coupons),
            "redemptions": dict(watch.redemptions),
            "dead_letters_by_reason": dict(watch.dead_letters),
            "kpi_minutes": watch.kpi_minutes,
            "reviews_by_signal": dict(watch.reviews),
            "truth": {"duplicates": self.chain.truth.duplicates, "malformed": sum(self.chain.truth.malformed.values())},
        }

    def closing_table(self, figures: dict[str, Any]) -> None:
        table = Table(show_header=False, title="the account")
        for name in ("events_in", "applied"):
            table.add_row(name.replace("_", " "), f"{figures[name]:,}")
        for name, truth in (("duplicates", "duplicates"), ("dead_lettered", "malformed")):
            told = f"{figures[name]:,}  (the chain sent {figures['truth'][truth]:,})"
            table.add_row(name.replace("_", " "), told)
        table.add_row("too late", f"{figures['too_late']:,}")
        table.add_row("in = the sum of these four", _yes(figures["balanced"]))
        table.add_row("and all that came of it is out", _yes(figures["all_out"]))
        table.add_row("beside: Brewline's own", f"{figures['own']:,}")
        table.add_section()
        for rule, count in sorted(self.watch.coupons.items()):
            table.add_row(f"coupons: {rule}", f"{count:,}")
        table.add_row("coupons and messages in all", f"{figures['coupons']:,}")
        for verdict, count in sorted(self.watch.redemptions.items()):
            table.add_row(f"coupons {verdict}", f"{count:,}")
        table.add_section()
        for what, number in sorted(self.watch.tickets.items()):
            table.add_row(f"tickets {what}", f"{number:,}")
        table.add_section()
        for kind in ("kpi", "security", "service"):
            table.add_row(f"{kind} alerts", f"{self.watch.alerts[kind]:,}")
        for kind, count in sorted(self.watch.reviews.items()):
            table.add_row(f"reviews: {kind}", f"{count:,}")
        for reason, count in sorted(self.watch.dead_letters.items()):
            table.add_row(f"dead letters: {reason}", f"{count:,}")
        table.add_section()
        for name in ("latency_p50_ms", "latency_p99_ms"):
            value = figures[name]
            table.add_row(f"event to coupon, {name[8:11]}", "–" if value is None else f"{value:,.0f} ms")
        self.out.print(table)
        if figures["late_s"] > LATE_S:
            self.out.print(
                f"[yellow]the chain waited for the flows and ended {figures['late_s']:.0f} s late[/]: {self.speed:,.0f}"
                f" times as fast as life is too fast for this machine now; SPEED={self.speed / 2:.0f} shows more of it",
                soft_wrap=True,
            )
        if not figures["all_out"]:
            self.out.print(f"the flows said last:\n{escape(self._log())}", highlight=False, soft_wrap=True)


def _gift(data: dict[str, Any]) -> str:
    """What a coupon takes off, or the message where there is no coupon."""
    if not data["coupon"]:
        return str(data["message"])
    return f"{data['percent']} %" if data["percent"] else f"{data['face_value_cents'] / 100:.2f}"


def _yes(is_so: bool) -> str:
    return "[green]yes[/]" if is_so else "[red]NO[/]"


def _clock(at_ms: int) -> str:
    return rfc3339(at_ms)[5:16].replace("T", " ")
