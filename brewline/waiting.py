"""Waits until the flows have done all that a replay asks of them, or says what is missing."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from msgspec import Struct
from redis import Redis
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from brewline.account import ACCOUNTING, CLOCKED, Account, Before, balance, clocks_ms, last_ms, totals
from brewline.watch import Watch
from config.secured import shown_url
from config.settings import Settings
from features.times import rfc3339
from flows.topics import SOURCES
from operators.kafka import consumer, partition_count
from operators.redis_link import AWAY, reason
from operators.store import PartitionStore

FLOWS = (*CLOCKED, "security")
LEAVING = {  # count → its flow
    "coupons": "customers",
    "kpi_alerts": "kpis-judge",
    "security_alerts": "security",
    "service_alerts": "service-desk",
    "tickets": "service-desk",
}
STALLED_S = 60.0  # nothing has moved for so long: it will not
AWAY_S = 120.0  # how long Redis or Kafka may be away
SUSPECT_S = 5.0  # nothing has moved for so long: is Kafka there?
LOOK_S = 0.3


class Sending(Struct):
    """What the flows were sent since `before`. `resumed`: some of it perhaps twice, by a run that was killed."""

    events: int
    end_ms: int  # time of the last tick; 0 when it was not sent
    before: Before
    resumed: bool = False


class Stand(Struct):
    """How far the flows have come with it."""

    account: Account
    counts: dict[str, Counter[str]]  # by flow, of what was sent
    clocks_ms: dict[str, int]  # by flow, the latest of its partitions
    missing: list[str] = []  # what they still have to do, in words


def started(redis: Redis, settings: Settings) -> list[str]:
    """The flows that have run under this prefix."""
    stores = [PartitionStore(redis, settings.redis.prefix, flow) for flow in FLOWS]
    return [store.flow for store in stores if redis.exists(store.key(0, "owner"))]


class Waiting:
    """One wait for the flows; `stand` is what was seen last."""

    def __init__(self, settings: Settings, redis: Redis, partitions: int, watch: Watch, sending: Sending) -> None:
        self.settings, self.redis, self.partitions, self.watch = settings, redis, partitions, watch
        self.sending = sending
        self.stand = Stand(Account(sending.events, 0, 0, 0, 0), {}, {}, ["nothing is known of the flows"])

    def wait(self, out: Console) -> Stand:
        """Until all is done, or nothing has moved for a minute; a server that is away is waited for two."""
        moved_s, last, away = time.monotonic(), None, Away(out)
        with Progress(TextColumn("applied"), BarColumn(), MofNCompleteColumn(), console=out) as progress:
            task = progress.add_task("applied", total=self.sending.events)
            while True:
                found = self._look(suspicious=time.monotonic() > moved_s + SUSPECT_S)
                if not away.check(found):
                    progress.update(task, completed=self.stand.account.done)
                    moved = self._moved()
                    if moved != last or away.came_back:
                        moved_s, last = time.monotonic(), moved
                    if not self.stand.missing or time.monotonic() > moved_s + STALLED_S:
                        return self._judged()
                elif away.too_long:
                    self.stand.missing = [f"{found}; the place is kept: the same command goes on waiting"]
                    return self.stand
                else:
                    time.sleep(LOOK_S)

    def _look(self, suspicious: bool) -> str:
        """Looks where the flows stand; says who is away, if one is."""
        try:
            self._drain()
            self.stand = self._read()
        except AWAY as error:
            return f"Redis at {shown_url(self.settings.redis.url)} is away: {reason(error)}"
        try:
            if suspicious:
                self.watch.consumer.list_topics(timeout=2)
        except KafkaException as error:
            return f"Kafka at {self.settings.kafka.brokers} is away: {error.args[0].str()}"
        return ""

    def _drain(self) -> None:
        until = time.monotonic() + 2
        while any([True for _ in self.watch.poll(LOOK_S)]) and time.monotonic() < until:  # noqa: C419 - all of them
            pass

    def _read(self) -> Stand:
        flows = started(self.redis, self.settings)
        before, sent = self.sending.before, self.sending.events
        account = balance(self.redis, self.settings, self.partitions, self.watch, before.of(*ACCOUNTING), sent)
        again = account.done - account.events_in
        if self.sending.resumed and 0 < again <= account.duplicates:
            account.events_in += again
        counts = {flow: Counter(totals(self.redis, self.settings, flow, self.partitions)) for flow in flows}
        for flow, found in counts.items():
            found.subtract(before.of(flow))
        clocked = [flow for flow in flows if flow in CLOCKED]
        stand = Stand(account, counts, clocks_ms(self.redis, self.settings, self.partitions, clocked))
        stand.missing = self._missing(stand)
        return stand

    def _missing(self, stand: Stand) -> list[str]:
        missing, left = [], stand.account.events_in - stand.account.done
        if left > 0:
            missing.append(f"what became of {left:,} events")
        elif left < 0:
            missing.append(f"who else sent: {-left:,} events more than this replay's were applied")
        for flow, now_ms in stand.clocks_ms.items():
            if now_ms < last_ms(flow, self.sending.end_ms):
                stands = f"stands at {rfc3339(now_ms)}" if now_ms else "has not begun"
                missing.append(f"{flow} {stands}, and what was sent ends at {rfc3339(self.sending.end_ms)}")
        if left := _uncounted(stand.counts):
            missing.append(f"{left:,} events of customers that kpis has not counted")
        seen = {"coupons": self.watch.coupons.total(), "tickets": self.watch.tickets.total()}
        seen |= {f"{kind}_alerts": self.watch.alerts[kind] for kind in ("kpi", "security", "service")}
        for name, flow in LEAVING.items():
            if (left := stand.counts.get(flow, Counter())[name] - seen[name]) > 0:  # others were decided before
                missing.append(f"{left:,} {name.replace('_', ' ')} that {flow} decided have not come out")
        return missing

    def _moved(self) -> Any:
        return self.stand.account.done, self.stand.clocks_ms, len(self.watch.seen)

    def _judged(self) -> Stand:
        """With what ingest has not read, where something is missing: then it is perhaps not running."""
        if self.stand.missing and (unread := unread_by_ingest(self.settings)):
            self.stand.missing.insert(0, f"ingest has not read {unread:,} records: is it running?")
        return self.stand


def _uncounted(counts: dict[str, Counter[str]]) -> int:
    """Events that customers has had and kpis, where it runs, has not."""
    if not {"customers", "kpis"} <= counts.keys():
        return 0
    had = sum(counts["customers"][name] for name in ("applied", "duplicates"))
    return max(0, had - sum(counts["kpis"][name] for name in ("kpi_events", "kpi_duplicates", "kpi_too_late")))


class Away:
    """Says once that a server is away, and that it is back."""

    def __init__(self, out: Console) -> None:
        self.out = out
        self.since_s: float | None = None
        self.came_back = False

    def check(self, found: str) -> bool:
        self.came_back = self.since_s is not None and not found
        if found and self.since_s is None:
            self.since_s = time.monotonic()
            self.out.print(f"[yellow]{found}; waiting for it up to {AWAY_S:.0f} s[/]", highlight=False, soft_wrap=True)
        if self.came_back:
            self.since_s = None
            self.out.print("it is back")
        return bool(found)

    @property
    def too_long(self) -> bool:
        return self.since_s is not None and time.monotonic() > self.since_s + AWAY_S


def unread_by_ingest(settings: Settings) -> int:
    """Source records behind ingest's committed offsets; 0 too when Kafka does not say."""
    reader = consumer(settings.kafka.librdkafka(), f"{settings.kafka.topic_prefix}brewline-ingest")
    try:
        topics = [settings.topic(topic) for topic in SOURCES]
        places = [TopicPartition(t, p) for t in topics for p in range(partition_count(reader, t))]
        ends = [reader.get_watermark_offsets(place, timeout=5) for place in places]
        committed = reader.committed(places, timeout=5)
    except KafkaException:
        return 0
    finally:
        reader.close()
    return sum(max(0, high - max(low, at.offset)) for (low, high), at in zip(ends, committed, strict=True))
