"""Replays a history into Kafka, with a progress bar, and goes on where an interrupted replay stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Event
from zlib import crc32
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct, field
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from brewline.account import Before
from brewline.histories import History, Record
from brewline.sender import Sent, send
from config.settings import Settings
from features.kernel.arrays import RING
from operators.kafka import producer


class WrongProgress(ValueError):
    """A progress file that does not belong to this replay; the message says why and what to do."""


class Place(Struct, forbid_unknown_fields=True):
    """How far a replay has come: `records` of a history, ticks included, are in Kafka for good."""

    history: str
    kafka: str  # brokers and topic prefix
    records: int = 0
    fingerprint: int = 0  # CRC-32 of their values
    before: Before = field(default_factory=Before)


class Replayed(Struct):
    """What this run sent; `skipped` events had been sent by runs before it."""

    events_in: int
    orders: int
    coupon_issued: int
    coupon_redeemed: int
    skipped: int
    first_ms: int
    last_ms: int
    end_ms: int  # of the last record that is in Kafka, ticks included
    seconds: float
    complete: bool


def replay(
    settings: Settings,
    history: History,
    speed: float | None = None,
    progress_file: Path | None = None,
    restart: bool = False,
    stop: Event | None = None,
    console: Console | None = None,
    before: Before | None = None,
) -> Replayed:
    """Sends a history until it ends or `stop` is set; `restart` sends all of it again.

    A history of which all is sent is not sent again: its place stays in `progress_file`, with what was `before`.
    The place reached is saved to `progress_file` about once a second, and before a customer has more events
    since than a record remembers the ids of. So what is sent again after a crash, the flows drop by event id.
    Raises WrongProgress, NotDelivered.
    """
    target = beginning(settings, history, before or Before())
    reached = None if restart or progress_file is None else load_place(progress_file, target)
    walk = Walk(history, reached or target)
    if progress_file:
        save_place(progress_file, walk.place)
    with _bar(history, walk, console) as show:

        def confirmed(sent: Sent) -> None:
            if progress_file:
                save_place(progress_file, walk.place)
            show(sent)

        kafka = producer(settings.kafka.librdkafka())
        sent = send(walk.rest(), kafka, settings.kafka.topic_prefix, speed, stop, confirmed, per_key=RING)
    return _replayed(walk, sent)


def beginning(settings: Settings, history: History, before: Before) -> Place:
    """The place at which nothing is sent yet."""
    return Place(history.name, f"{settings.kafka.brokers}/{settings.kafka.topic_prefix}", before=before)


def _replayed(walk: Walk, sent: Sent) -> Replayed:
    kinds = walk.kinds
    return Replayed(
        events_in=sent.events,
        orders=kinds["order"],
        coupon_issued=kinds["coupon_issued"],
        coupon_redeemed=kinds["coupon_redeemed"],
        skipped=walk.skipped,
        first_ms=sent.first_ms,
        last_ms=sent.last_ms,
        end_ms=walk.at_ms,
        seconds=sent.seconds,
        complete=sent.complete,
    )


class Walk:
    """A way through a history from `start` on that knows its place and what it passed."""

    def __init__(self, history: History, start: Place) -> None:
        self.history = history
        self.place = Place(start.history, start.kafka, before=start.before)
        self.kinds: Counter[str] = Counter()  # of what was sent, by event type
        self.at_ms = 0
        self.records = history.records()
        self.skipped = self._skip(start)

    def _skip(self, start: Place) -> int:
        """Passes what has been sent; the number of events among it. Raises WrongProgress when it was something else."""
        while self.place.records < start.records and (record := next(self.records, None)):
            self._pass(record)
        if self.place != start:
            raise WrongProgress(
                f"the first {start.records} records of {start.history} are not those that were sent before:"
                " its data or their mapping have changed; send all of it again with --restart"
            )
        skipped = self.kinds.total() - self.kinds.pop("tick", 0)
        self.kinds.clear()
        return skipped

    def rest(self) -> Iterator[Record]:
        """The records still to send; each counts as sent once the next is asked for."""
        for record in self.records:
            yield record
            self._pass(record)

    def _pass(self, record: Record) -> None:
        self.place.records += 1
        self.place.fingerprint = crc32(record.value, self.place.fingerprint)
        self.kinds[record.kind] += 1
        self.at_ms = record.at_ms


def load_place(file: Path, target: Place) -> Place | None:
    """The place saved for this history and Kafka; None when there is no file. Raises WrongProgress."""
    try:
        place = msgspec.json.decode(file.read_bytes(), type=Place)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise WrongProgress(f"{file}: not a progress file: {error}; name another, or use --restart") from error
    if (place.history, place.kafka) != (target.history, target.kafka):
        raise WrongProgress(
            f"{file}: belongs to {place.history} into {place.kafka}, not to {target.history} into {target.kafka};"
            " name another, or use --restart"
        )
    return place


def save_place(file: Path, place: Place) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(file.name + ".new")
    new.write_bytes(msgspec.json.encode(place))
    new.replace(file)


@contextmanager
def _bar(history: History, walk: Walk, console: Console | None) -> Iterator[Callable[[Sent], None]]:
    """A progress bar over the history's events; hands out what moves it."""
    name, rate, date = (TextColumn("{task." + field + "}") for field in ("description", "fields[rate]", "fields[date]"))
    with Progress(name, BarColumn(), MofNCompleteColumn(), rate, date, console=console) as bar:
        task = bar.add_task(history.name, total=history.total, completed=walk.skipped, rate="", date="")

        def show(sent: Sent) -> None:
            bar.update(
                task,
                completed=walk.skipped + sent.events,
                rate=f"{sent.events / sent.seconds:,.0f} events/s",
                date=datetime.fromtimestamp(walk.at_ms / 1000, ZoneInfo(history.timezone)).date(),
            )

        yield show
