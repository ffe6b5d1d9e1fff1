"""Histories in files: NDJSON with one event a line, or Parquet with one event a row (docs/data.md)."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import Any

import polars as pl
from msgspec import DecodeError, Struct, json
from polars import selectors

from brewline.histories.history import History, Record, WrongHistory, topic_of
from features.events import Time, Who
from features.times import parse_time


class Head(Struct):
    """As much of an event as a replay must know; ingest checks the rest."""

    type: str
    time: Time
    who: Who | None = None
    store: str = ""
    actor: str = ""

    @property
    def key(self) -> str:
        who = self.who or Who()
        return who.card or who.phone or who.app_id or who.openid or who.marketplace_id or self.actor or self.store


decode_head = json.Decoder(Head).decode


def read_file(path: Path, timezone: str) -> History:
    """The events of a file, sorted by time, on the clock of `timezone`. Raises WrongHistory."""
    try:
        values = _read_parquet(path) if path.suffix == ".parquet" else path.read_bytes().splitlines()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise WrongHistory(f"{path}: cannot be read: {error}") from error
    records = [_record(value, f"{path}: row {number}") for number, value in enumerate(values, 1) if value.strip()]
    events = sorted((record for record in records if record.kind != "tick"), key=attrgetter("at_ms"))
    orders = sum(event.kind == "order" for event in events)
    return History(path.name, timezone, len(events), orders, lambda: events)


def _record(value: bytes, where: str) -> Record:
    try:
        head = decode_head(value)
        at_ms = parse_time(head.time)
    except (DecodeError, ValueError) as error:
        raise WrongHistory(f"{where}: not an event with `type` and `time`: {error}") from error
    return Record(at_ms, topic_of(head.type), head.key, value, head.type)


def _read_parquet(path: Path) -> list[bytes]:
    """The column `value`, or one event of all columns; a null is a field left out, a timestamp epoch ms."""
    rows = pl.read_parquet(path)
    if "value" in rows.columns:
        return rows["value"].cast(pl.Binary).to_list()
    rows = rows.with_columns(selectors.datetime().dt.epoch("ms"))
    return [json.encode(_without_nulls(row)) for row in rows.iter_rows(named=True)]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(part) for name, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_without_nulls(part) for part in value]
    return value
