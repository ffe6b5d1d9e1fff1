"""Suppresses customers, or lifts that: a word in the clean topic for each. Raw identifiers are never printed."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

from msgspec import Struct
from redis import Redis
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from brewline.forget import FLOW
from config.settings import Settings
from features.events import Suppress, encode
from features.identity import KINDS, Pseudonyms
from features.messages import Refused
from features.times import rfc3339
from flows.keys import load_pseudonyms
from operators.customers import UnknownCustomer, find_customers, laid_out, read_stored
from operators.kafka import require_kafka
from operators.redis_link import connect_redis
from operators.store import PartitionStore
from operators.writing import write

CHUNK = 5_000
NAMED = 20  # bad lines that are named


class Word(Struct, frozen=True):
    """What is said of all that are named."""

    reason: str
    until_ms: int
    lift: bool

    def check(self, at_ms: int) -> None:
        """Raises ValueError."""
        if not (self.lift or self.reason):
            raise ValueError("--reason is missing: say why in a word, such as --reason complaint")
        if self.lift and self.until_ms:
            raise ValueError("found --until beside --lift, expected one of them: what is lifted has no end")
        if self.until_ms and self.until_ms <= at_ms:
            raise ValueError(f"--until: found {rfc3339(self.until_ms)}, expected a time after {rfc3339(at_ms)}")

    def about(self, customer: str, at_ms: int) -> Suppress:
        id = f"suppress|{customer}|{self.reason}|{at_ms}|{self.until_ms or ('lift' if self.lift else '')}"
        return Suppress(
            id=id, customer=customer, at_ms=at_ms, reason=self.reason, until_ms=self.until_ms, lift=self.lift
        )


class Result(Struct):
    """How many words were written, and what is wrong with which lines."""

    written: int = 0
    bad: list[tuple[int, str]] = []


def suppress_customers(settings: Settings, ids: list[str], file: Path | None, word: Word, out: Console) -> int:
    """The exit code: 0 when all could be done. Raises ValueError, UnknownCustomer, Unreachable, NoState."""
    if bool(ids) == (file is not None):
        raise ValueError("expected a customer, or --file with one on each line")
    asked = _lines(file) if file else [(0, id) for id in ids]
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    require_kafka(settings.kafka.librdkafka(), settings.kafka.start_timeout_s)
    result = Suppressing(settings, redis, out).tell(asked, word)
    if ids and result.bad:
        raise UnknownCustomer(result.bad[0][1])
    what = "lifted for" if word.lift else "suppressed:"
    _say(
        out, f"{what} {result.written:,} customer{'s' if result.written != 1 else ''}, once the customers flow reads it"
    )
    for line, why in result.bad[:NAMED]:
        _say(out, f"[red]line {line}:[/] {why}")
    if more := len(result.bad) - NAMED if len(result.bad) > NAMED else 0:
        _say(out, f"and {more:,} more bad lines")
    return 1 if result.bad else 0


class Suppressing:
    """One run of the command."""

    def __init__(self, settings: Settings, redis: Redis, out: Console) -> None:
        self.settings, self.redis, self.out = settings, redis, out
        self.prefix = settings.redis.prefix
        self.partitions = laid_out(redis, self.prefix)
        self.pseudonyms: Pseudonyms | None = None

    def tell(self, asked: list[tuple[int, str]], word: Word) -> Result:
        """`asked`: (line, identifier). Who is named twice is told of once."""
        at_ms, result, told = self._now_ms(), Result(), set[str]()
        word.check(at_ms)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self.out, transient=True, disable=not self.out.is_terminal) as bar:
            task, rest = bar.add_task("customers", total=len(asked)), iter(asked)
            while chunk := list(islice(rest, CHUNK)):
                customers = [one for one in self._known(chunk, result) if one not in told]
                told.update(customers)
                words = ((self.settings.topic("events"), c, encode(word.about(c, at_ms))) for c in customers)
                result.written += len(write(self.settings.kafka.librdkafka(), words))
                bar.update(task, advance=len(chunk))
        result.bad.sort()
        return result

    def _known(self, chunk: list[tuple[int, str]], result: Result) -> list[str]:
        """The customers behind these lines; notes the lines behind which there is nobody."""
        good: list[tuple[int, str]] = []
        for line, id in chunk:
            if why := self._wrong(id):
                result.bad.append((line, why))
            else:
                good.append((line, id))
        found = find_customers(self.redis, self.prefix, self.pseudonyms, [id for _, id in good])
        stored = read_stored(self.redis, self.prefix, self.partitions, list(dict.fromkeys(found.values())))
        for line, id in good:
            if found.get(id) not in stored:
                kind = id.partition(":")[0] if ":" in id else "customer id"
                result.bad.append((line, f"nobody is known by this {kind}"))
        return [customer for customer in dict.fromkeys(found.values()) if customer in stored]

    def _wrong(self, id: str) -> str:
        """Why an identifier cannot be looked up; it is not quoted."""
        kind, colon, raw = id.partition(":")
        if not colon:
            return ""
        if kind not in KINDS:
            return f"no kind of identifier; expected a customer id, or one of {', '.join(f'{k}:…' for k in KINDS)}"
        self.pseudonyms = self.pseudonyms or load_pseudonyms(self.settings)
        try:
            self.pseudonyms.every(kind, raw)
        except Refused as refused:
            return refused.detail.removeprefix("who.")
        return ""

    def _now_ms(self) -> int:
        """Now; in replays, as far as time has come there."""
        store = PartitionStore(self.redis, self.prefix, FLOW)
        clocks = [store.position(partition).clock.now_ms for partition in range(self.partitions)]
        return max(clocks) if self.settings.time.clock == "event" and max(clocks) > 0 else round(time.time() * 1000)


def _lines(file: Path) -> list[tuple[int, str]]:
    """(line, first column) of a file of one customer a line; a headline that says `customer` is none."""
    try:
        texts = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--file: {file} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from error
    found = ((number, text.partition(",")[0].strip().strip('"').strip()) for number, text in enumerate(texts, start=1))
    return [(number, id) for number, id in found if id and not (number == 1 and id.lower() == "customer")]


def _say(out: Console, text: str) -> None:
    out.print(text, highlight=False, soft_wrap=True)
