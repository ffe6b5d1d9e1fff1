"""The seam between the pure core and the world: a batch goes in, changes come out.

A job never reads a clock, a socket or a store. `plan` says what it must know of a batch, the
partition step loads that, `apply` decides, the partition step commits the changes as one
transaction. The same job runs under Bytewax, in a plain loop, in back-tests and in tests.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Protocol

from msgspec import Struct, field, msgpack


class Batch(Struct):
    """Records of one Kafka partition in log order; empty when only time has passed.

    `after` is the offset the source had delivered before these; offsets need not be contiguous.
    `at_ms` is the source's wall clock when it read them.
    """

    topic: str
    partition: int
    after: int
    offsets: list[int] = []
    values: list[bytes] = []
    stamps_ms: list[int] = []  # Kafka timestamps, epoch ms
    at_ms: int = 0
    traced: str = ""  # the trace context that its last record bears
    resent: dict[int, int] = {}  # offset → where a record stood before it was sent again

    @property
    def last(self) -> int:
        return self.offsets[-1] if self.offsets else self.after

    def halves(self) -> tuple[Batch, Batch]:
        return self.cut(0, len(self.offsets) // 2), self.cut(len(self.offsets) // 2, len(self.offsets))

    def cut(self, start: int, stop: int) -> Batch:
        after = self.offsets[start - 1] if start else self.after
        part = slice(start, stop)
        return Batch(
            self.topic,
            self.partition,
            after,
            self.offsets[part],
            self.values[part],
            self.stamps_ms[part],
            self.at_ms,
            self.traced,
            self.resent,
        )

    def place(self, index: int) -> str:
        """Where a record stands; the same for one that was sent again after it had been a dead letter."""
        offset = self.offsets[index]
        return f"{self.topic}/{self.partition}/{self.resent.get(offset, offset)}"

    def since(self, offset: int) -> Batch:
        """The part behind `offset`."""
        return self.cut(bisect_right(self.offsets, offset), len(self.offsets)) if self.after < offset else self


class Message(Struct, array_like=True):
    """One record to send to Kafka; `headers` hold what the value does not."""

    topic: str
    key: str
    value: bytes
    headers: dict[str, str] = {}


class Clock(Struct, array_like=True):
    """A partition's clock: the least of the latest ticks of all source partitions (a watermark)."""

    now_ms: int = 0
    ticks: dict[str, int] = {}

    def moved(self, source: str, of: int, at_ms: int) -> Clock:
        """This clock after a tick; it never runs backwards, and waits until all `of` sources ticked. Of more than `of`
        that ever did, those behind all others are gone, and hold up nobody."""
        ticks = {**self.ticks, source: max(at_ms, self.ticks.get(source, 0))}
        if len(ticks) > of:
            ticks = dict(sorted(ticks.items(), key=lambda tick: tick[1])[-of:])
        now_ms = max(self.now_ms, min(ticks.values())) if len(ticks) >= of else self.now_ms
        return Clock(now_ms, ticks)


class Position(Struct, array_like=True):
    """How far a partition has come: the fence, its clock, and exact counts since the beginning."""

    offset: int = -1
    clock: Clock = field(default_factory=Clock)
    counts: dict[str, int] = {}

    def moved(self, offset: int, clock: Clock, counts: dict[str, int]) -> Position:
        total = dict(self.counts)
        for name, count in counts.items():
            total[name] = total.get(name, 0) + count
        return Position(offset, clock, total)


class Plan(Struct):
    """What a job must know before it can apply a batch. `work` is the job's own decoded input."""

    position: Position
    clock: Clock  # at the end of the batch: timers due until then are loaded
    records: list[str] = []
    seen: dict[str, list[bytes]] = {}  # name of an id set → ids to look up in it
    work: Any = None
    follow: Callable[[Mapping[str, bytes]], Iterable[str]] | None = None  # further records that those found lead to
    meanwhile: Callable[[], object] | None = None  # what can be worked out while the store is asked


class State(Struct):
    """What the store held when the plan was made."""

    records: Mapping[str, bytes] = {}
    seen: set[tuple[str, bytes]] = set()
    due: list[tuple[int, str]] = []  # (due_ms, timer), earliest first
    words: dict[int, str] = {}  # the texts that codes in records stand for; read it only
    spent: dict[str, int] = {}  # by shared pot, by this partition since the beginning; read it only
    grants: dict[str, int] | None = None  # by shared pot, what it may have spent at most; None: it shares with nobody
    brakes: dict[str, bytes] = {}  # by campaign and place, the latest word on whether it is paused; read it only


class Changes(Struct):
    """What one batch changes; committed whole or not at all."""

    position: Position
    puts: MutableMapping[str, bytes] = {}
    deletes: list[str] = []  # with all receipts and misses
    words: dict[int, str] = {}  # texts whose codes were not known yet
    timers: dict[str, int | None] = {}  # due_ms, or None to take it back
    seen: dict[str, list[bytes]] = {}
    drops: list[str] = []  # id sets that have served
    spent: dict[str, int] = {}  # by shared pot, what is spent now
    short: dict[str, int] = {}  # by shared pot, what was refused since the grant ran out; not committed
    brakes: dict[str, bytes] = {}  # by campaign and place, words that are news
    messages: list[Message] = []
    counts: dict[str, int] = {}  # of this batch; `position` holds the totals
    receipts: dict[str, list[bytes]] = {}  # by record, of which the latest are kept
    receipts_kept: int = 0  # so many with each record
    misses: dict[str, dict[str, bytes]] = {}  # by record and rule: the latest of each is kept
    levels: dict[str, float] = {}  # what gauges show now; not committed
    causes_ms: list[int] = []  # Kafka timestamps of the events behind decisions and alerts, for latency


class Job(Protocol):
    def plan(self, batch: Batch, position: Position) -> Plan: ...

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        """The records that these timers need."""

    def apply(self, plan: Plan, state: State) -> Changes: ...


encode_position = msgpack.Encoder().encode
decode_position = msgpack.Decoder(Position).decode
encode_messages = msgpack.Encoder().encode
decode_messages = msgpack.Decoder(list[Message]).decode
