"""`brewline training-set`: the rows a model would have learned from, out of a history, with their labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
from rich.console import Console

from brewline.backtests.choice import span_of
from brewline.backtests.command import bar, opened, require_inside
from brewline.histories.archives import Archive
from brewline.histories.history import WrongHistory
from brewline.paths import writing
from brewline.trail import NotedRows
from config.settings import Settings
from features.archived import archived_columns, columns_read
from features.catalog import Catalog
from features.customer import Applied, Core
from features.kernel.arrays import KNOWN, SCORED, WHO
from features.labels import Taught, labels_of
from features.times import rfc3339
from features.written import hint
from flows.files import load_catalog

TOLD = "brewline.task"  # in the file's metadata


class WrongModel(ValueError):
    """A name that no model has."""


def write_training_set(
    settings: Settings,
    model: str,
    history: str,
    file: Path,
    from_text: str | None,
    to_text: str | None,
    out: Console,
    noted: NotedRows | None = None,
) -> None:
    """Rows scored at or after --from and before --to; what came before fills the windows all the same.

    Raises WrongModel, WrongHistory, Unreachable.
    """
    catalog, span = load_catalog(settings).narrowed(()), span_of(from_text, to_text)
    if model in catalog.tasks and not catalog.tasks[model].waits:
        raise WrongModel(f"{model} learns from what came of coupons that were given: no history has these rows")
    if model not in (known := labels_of(catalog).taught):
        raise WrongModel(f"there is no model {model!r}{hint(model, known)}")
    if file.suffix != ".parquet":
        raise WrongHistory(f"--out: found {file}, expected a file that ends in .parquet")
    with bar(out) as progress:
        archive = opened(settings, history, progress)
        require_inside(archive, span)
        task = progress.add_task("labelling", total=archive.events)
        parts = []
        for events, rows in labelled(catalog, model, archive):
            parts.append(rows.filter((pl.col("at_ms") >= span.from_ms) & (pl.col("at_ms") < span.to_ms)))
            progress.advance(task, events)
    rows = pl.concat(parts).sort("known_ms", "at_ms", "customer")
    if not rows.height:
        raise WrongHistory(f"{history}: no label of {model} is known yet for what lies between --from and --to")
    if noted:
        noted(rows["customer"].n_unique(), rows.columns)
    declared = catalog.tasks[model]
    with writing(file, "--out"):
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(file.name + ".new")
        rows.write_parquet(new, metadata={TOLD: f"{model}: {declared.target}, {declared.horizon}; {history}"})
        new.replace(file)
    out.print(_told(rows, declared.link == "logit", file), highlight=False, soft_wrap=True)


def labelled(catalog: Catalog, model: str, archive: Archive) -> Iterator[tuple[int, pl.DataFrame]]:
    """Share by share: how many events, and the rows of the model with their labels, as the flow would tell them."""
    labels = labels_of(catalog)
    core = Core(catalog, wanted=set(), label=labels.label)
    read = columns_read(catalog, (), ids=False)
    moves = {partition: archive.moves(partition) for partition in {share.partition for share in archive.shares}}
    for share in archive.shares:
        columns = archived_columns(core.decoder, archive.read(share, read), moves[share.partition])
        applied = core.apply(columns, [], {})
        yield share.length, _rows(applied, labels.taught[model], catalog.tasks[model].features)


def _rows(applied: Applied, taught: Taught, features: list[str]) -> pl.DataFrame:
    """One row is one label; a feature without a value is null."""
    mine, labels = taught.of(applied.labelled)
    told = applied.labelled[mine]
    inputs = applied.inputs[mine][:, taught.inputs]
    return pl.DataFrame(
        {
            "customer": [applied.customers[who] for who in told[:, WHO].tolist()],
            "at_ms": told[:, SCORED],
            "known_ms": told[:, KNOWN],
            "label": labels,
            **{name: inputs[:, k] for k, name in enumerate(features)},
        },
        schema_overrides={"customer": pl.String},
    ).with_columns(pl.col(features).fill_nan(None))


def _told(rows: pl.DataFrame, binary: bool, file: Path) -> str:
    label, known = rows["label"], rows["known_ms"].cast(pl.Int64)
    mean = f"{label.mean():.1%} of them 1" if binary else f"{label.mean():,.1f} on average"
    return f"{file}: {rows.height:,} rows, {mean}; known {rfc3339(known[0])} to {rfc3339(known[-1])}"
