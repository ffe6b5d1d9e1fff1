"""Histories as archives (features/archive.py): from a Parquet file or a folder of them, a history by name, or Kafka."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import polars as pl
from msgspec import Struct

from brewline.histories import PACKAGED, open_history
from brewline.histories.cleaned import cleaned
from brewline.histories.history import WrongHistory
from config.settings import Settings
from features.archive import Archiver, Told, in_shares
from features.archived import WrongArchive, require_archive
from operators.kafka import require_kafka
from operators.topic import bounds_of, read_to_end

GROUP = "brewline-history"
TIMEZONE = "brewline.timezone"  # in a file's metadata
Advance = Callable[[int, int], None]  # so many of so many records are read


class Share(Struct):
    partition: int
    start: int
    length: int


class Archive:
    """A history as an archive, in memory or in a file; its days are those of `timezone`."""

    def __init__(self, name: str, timezone: str, rows: pl.LazyFrame, refused: Mapping[str, int] | None = None) -> None:
        """`refused`: records that ingest would have refused, by reason. Raises WrongHistory when nothing is left."""
        self.name, self.timezone, self.rows, self.refused = name, timezone, rows, dict(refused or {})
        self.columns = rows.collect_schema().names()
        try:
            require_archive(self.columns)
        except WrongArchive as error:
            raise WrongHistory(f"{name}: {error}") from error
        heads = rows.select("partition", "share").collect().with_row_index("row")
        spans = heads.group_by("partition", "share", maintain_order=True).agg(pl.col("row").first(), pl.len())
        found = [(share, Share(partition, start, n)) for partition, share, start, n in spans.iter_rows()]
        self.shares = [one for share, one in found if share >= 0]
        self.ticks = {one.partition: one for share, one in found if share < 0}
        self.events = sum(one.length for one in self.shares)
        if not self.events:
            told = ", ".join(f"{count} {reason}" for reason, count in self.refused.items())
            raise WrongHistory(f"{name}: there are no events in it{f' but those refused: {told}' if told else ''}")
        times = rows.filter(pl.col("share") >= 0).select(first=pl.col("at_ms").min(), last=pl.col("at_ms").max())
        [(self.first_ms, self.last_ms)] = times.collect().rows()

    def read(self, share: Share, columns: list[str]) -> pl.DataFrame:
        known = [name for name in columns if name in self.columns]
        return self.rows.slice(share.start, share.length).select(known).collect()

    def moves(self, partition: int) -> pl.DataFrame:
        """When the clock of a partition moved."""
        return self.read(self.ticks.get(partition, Share(partition, 0, 0)), ["place", "at_ms"])


def open_archive(settings: Settings, name: str, advance: Advance) -> Archive:
    """The archive of that name: a file or folder, a history to be cleaned first, or Kafka. Raises WrongHistory."""
    timezone, path = settings.stores.timezone, Path(name)
    if name == "kafka":
        return Archive(name, timezone, from_kafka(settings, advance).lazy())
    if path.is_dir():
        return Archive(name, *_folder(path, timezone))
    if path.suffix == ".parquet" and path.is_file() and "share" in _schema(path):
        return Archive(name, _timezone(path, timezone), pl.scan_parquet(path))
    return from_history(settings, name, advance)


def _schema(path: Path) -> list[str]:
    try:
        return list(pl.read_parquet_schema(path))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise WrongHistory(f"{path}: cannot be read: {error}") from error


def _timezone(path: Path, otherwise: str) -> str:
    return pl.read_parquet_metadata(path).get(TIMEZONE, otherwise)


def _folder(path: Path, timezone: str) -> tuple[str, pl.LazyFrame]:
    """The archives in a folder as one, on the clock of the first; what stands in several of them counts once."""
    files = sorted(path.glob("*.parquet"))
    if not files:
        raise WrongHistory(f"{path}: there is no *.parquet in this folder")
    for file in files:
        try:
            require_archive(_schema(file))
        except WrongArchive as error:
            raise WrongHistory(f"{file}: {error}") from error
    rows = pl.concat([pl.read_parquet(file) for file in files], how="diagonal").drop("share", "who")
    rows = rows.unique(["partition", "place", "type", "id_hash"], keep="first", maintain_order=True)
    return _timezone(files[0], timezone), in_shares([rows]).lazy()


def from_history(settings: Settings, name: str, advance: Advance) -> Archive:
    """A history that `brewline replay` knows, cleaned as ingest would. Raises WrongHistory."""
    if name not in PACKAGED and not Path(name).suffix:
        raise WrongHistory(
            f"found history {name!r}, expected {', '.join(PACKAGED)}, kafka, FILE.parquet, FILE.ndjson or a folder"
        )
    history, done = open_history(name, settings.stores.timezone), 0

    def walk(events: int) -> None:
        nonlocal done
        done += events
        advance(done, history.total)

    refused: Counter[str] = Counter()
    rows = archived(cleaned(settings, history.records(), walk, refused), name)
    return Archive(name, history.timezone, rows.lazy(), refused)


def archived(chunks: Iterator[list[bytes]], name: str) -> pl.DataFrame:
    """Clean events and ticks of one partition as an archive. Raises WrongHistory when there is nothing."""
    archiver, told, parts = Archiver(), Told(), []
    for values in chunks:
        parts.append(archiver.rows(values))
        told.hear(values)
    if not parts:
        raise WrongHistory(f"{name}: there is nothing in it")
    return in_shares(parts, told)


def from_kafka(settings: Settings, advance: Advance) -> pl.DataFrame:
    """The clean topic from its beginning to where it ends now. Raises Unreachable, WrongHistory."""
    client, topic = settings.kafka.librdkafka(), settings.topic("events")
    require_kafka(client, settings.kafka.start_timeout_s)
    bounds, done = bounds_of(client, topic, GROUP), 0
    total = sum(end - first for first, end in bounds.values())
    if not total:
        raise WrongHistory(f"Kafka topic {topic} is empty: run `brewline run ingest` first")
    archivers = {partition: Archiver(partition) for partition in bounds}
    parts, told = [], Told()
    for records in read_to_end(client, topic, GROUP, bounds):
        for partition in {record.partition() or 0 for record in records}:
            mine = [record for record in records if record.partition() == partition]
            values = [record.value() or b"" for record in mine]
            parts.append(archivers[partition].rows(values, [record.offset() or 0 for record in mine]))
            told.hear(values)
        done += len(records)
        advance(done, total)
    return in_shares(parts, told)
