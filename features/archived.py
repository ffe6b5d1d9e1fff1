"""A share of an archive as the columns that the core reads: what a decoder makes of the same records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from features.archive import OF_LINE, PLACES, fields
from features.catalog import Catalog
from features.columns import FIELDS, KINDS, NAMES, TICK, Columns, Decoder, written
from features.declared import HOUR, of_lines
from features.fields import Scanned
from features.job import Clock
from features.kernel.arrays import Ints
from features.kernel.scan import DECIMAL, TEXT
from features.names import Names

UNREAD = {"id", "source", "of", "store", "region", "brand", "channel", "stars"}  # unless somebody looks at them
ALWAYS = ("place", "who", "id_hash", *(name for names in FIELDS.values() for name in names if name not in UNREAD))


class WrongArchive(ValueError):
    """A table that is no archive; the message says what is missing."""


class Archived(Scanned):
    """Columns without the bytes of ids: hashes stand for them; their texts are there where somebody asked for them."""

    id_field: int
    id_hashes: Ints
    ids: Any

    def hashes(self, field: int, rows: Any) -> Ints:
        return self.id_hashes[rows] if field == self.id_field else super().hashes(field, rows)

    def texts(self, field: int, rows: Any) -> list[str]:
        if field != self.id_field:
            return super().texts(field, rows)
        return self.ids[rows].tolist()  # type: ignore[no-any-return]


def require_archive(columns: Iterable[str]) -> None:
    """Raises WrongArchive."""
    missing = [name for name in (*PLACES, *fields()) if name not in set(columns)]
    if missing:
        raise WrongArchive(
            f"misses the column{'s' if len(missing) > 1 else ''} {', '.join(missing[:5])}: an archive is written by"
            " `brewline history export`; export anew what another version has written"
        )


def columns_read(catalog: Catalog, names: Iterable[str], ids: bool) -> list[str]:
    """The columns that a core over this catalog needs, and whoever looks at these `names`; `ids`: and their texts."""
    each = [x for table in (catalog.effects, catalog.touches) for xs in table.values() for x in xs]
    looked = {"stars" if x.value.field == "star_tenths" else x.value.field for x in each} - {HOUR}
    looked |= {field for x in each for field, _ in x.where.texts} | set(map(written, names))
    lines = any(of_lines(name) for name in looked) or "items" in looked or any(x.where.texts for x in each)
    of_line = [OF_LINE + "qty", *(OF_LINE + name for name in sorted(looked) if of_lines(name))] if lines else []
    plain = [name for name in fields() if name in looked and name not in ALWAYS]
    return [*ALWAYS, *plain, *of_line, *(["id"] if ids else [])]


class _Texts:
    """The bytes of texts, one behind the other."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.end = 0

    def places(self, column: pl.Series) -> tuple[Ints, Ints]:
        """Where each text of a column starts and ends; both 0 where there is none."""
        if column.dtype != pl.Categorical:
            return self._spans(column)
        known = column.drop_nulls().unique()
        codes, none = known.to_physical().to_numpy(), int(known.to_physical().max() or 0) + 1  # type: ignore[arg-type]
        bounds = np.zeros((2, none + 1), dtype=np.int64)
        bounds[:, codes] = self._spans(known.cast(pl.String))
        of_row = column.to_physical().fill_null(none).to_numpy()
        return bounds[0, of_row], bounds[1, of_row]

    def _spans(self, texts: pl.Series) -> tuple[Ints, Ints]:
        ends = self.end + np.cumsum(texts.str.len_bytes().fill_null(0).to_numpy().astype(np.int64))
        starts = np.concatenate(([self.end], ends[:-1])) if len(ends) else ends
        self.parts.append((texts.str.join("")[0] or "").encode() if len(texts) else b"")
        self.end = int(ends[-1]) if len(ends) else self.end
        return starts, ends


def archived_columns(decoder: Decoder, share: pl.DataFrame, moves: pl.DataFrame) -> Columns:
    """The events of a share with the moves of their partition's clock between them, as one batch."""
    scanner, texts = decoder.scanner, _Texts()
    at, moved = _interleaved(share["place"].to_numpy(), moves["place"].to_numpy())
    rows, type = len(at) + len(moved), scanner.fields["type"]
    values, ends = np.zeros((2, len(scanner.fields), rows), dtype=np.int64)
    for name, field in scanner.fields.items():
        if name in share.columns and name not in ("id", "customer", "type"):
            _fill(share[name], fields()[name], texts, values[field], ends[field], at)
    lines = _lines(scanner.of_line, share, texts)
    counts = np.zeros(rows, dtype=np.int64)
    counts[at] = lines[0]
    kind, who, hashes = _kinds(share["type"]), share["who"].to_numpy().astype(np.int64), np.zeros(rows, dtype=np.int64)
    hashes[at] = share["id_hash"].to_numpy()
    _name_types(texts, kind, values[type], ends[type], at)
    clocks = moves["at_ms"].to_list()
    return Columns(
        scanned=Archived(
            b"".join(texts.parts),
            values,
            ends,
            *lines[1:],
            first_line=np.cumsum(counts) - counts,
            line_count=counts,
            id_field=scanner.fields["id"],
            id_hashes=hashes,
            ids=_spread(share["id"], at, rows) if "id" in share.columns else np.full(rows, "", dtype=object),
        ),
        fields=scanner.fields,
        index=at,
        kind=kind,
        customers=Names(share["customer"].gather(_firsts(who)).to_list()),
        who=who,
        before_ms=0,
        moved=list(zip(moved.tolist(), clocks, strict=True)),
        clock=Clock(clocks[-1] if clocks else 0),
        malformed=[],
        last=rows - 1,
    )


def _interleaved(places: Ints, moves: Ints) -> tuple[Ints, Ints]:
    """Where events and moves stand when there is nothing else in the log."""
    at = np.arange(len(places)) + np.searchsorted(moves, places)
    return at, np.arange(len(moves)) + np.searchsorted(places, moves)


def _fill(column: pl.Series, how: int, texts: _Texts, values: Ints, ends: Ints, at: Ints) -> None:
    if how == TEXT:
        values[at], ends[at] = texts.places(column)
    elif how == DECIMAL:
        values[at] = column.fill_null(0.0).to_numpy().view(np.int64)
    else:
        values[at] = column.cast(pl.Int64).fill_null(0).to_numpy()


def _kinds(types: pl.Series) -> Ints:
    """Codes of the event types, whatever the file calls them by."""
    names = types.dtype.categories.to_list()  # type: ignore[attr-defined]
    codes = np.array([KINDS.get(name, TICK) for name in names], dtype=np.int64)
    of_row: Ints = codes[types.to_physical().to_numpy()]
    return of_row


def _name_types(texts: _Texts, kind: Ints, values: Ints, ends: Ints, at: Ints) -> None:
    starts, stops = texts.places(pl.Series(NAMES))
    values[at], ends[at] = starts[kind], stops[kind]


def _firsts(who: Ints) -> Ints:
    """By customer: the first event; customers are numbered as they come."""
    found: Ints = np.flatnonzero(np.diff(np.maximum.accumulate(who), prepend=-1) > 0)
    return found


def _spread(ids: pl.Series, at: Ints, rows: int) -> npt.NDArray[Any]:
    spread = np.full(rows, "", dtype=object)
    spread[at] = ids.to_list()
    return spread


def _lines(of_line: dict[str, int], share: pl.DataFrame, texts: _Texts) -> tuple[Ints, Ints, Ints]:
    """By event: how many lines; then values and ends of the fields of all lines."""
    if OF_LINE + "qty" not in share.columns:
        none = np.zeros((len(of_line), 0), dtype=np.int64)
        return np.zeros(share.height, dtype=np.int64), none, none
    counts = share[OF_LINE + "qty"].list.len().fill_null(0).to_numpy().astype(np.int64)
    values, ends = np.zeros((2, len(of_line), int(counts.sum())), dtype=np.int64)
    for name, field in of_line.items():
        if OF_LINE + name in share.columns:
            flat = share[OF_LINE + name].explode(empty_as_null=False, keep_nulls=False)
            how = TEXT if flat.dtype == pl.Categorical else -1
            _fill(flat, how, texts, values[field], ends[field], np.arange(len(flat)))
    return counts, values, ends
