"""`brewline training-set`: what a model would have learned from a history is what it did learn, value by value."""

from __future__ import annotations

from collections import Counter
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from brewline.histories import WrongHistory
from brewline.histories.archives import Archive, archived
from brewline.histories.export import write_archive
from brewline.training import WrongModel, labelled, write_training_set
from config import settings as conf
from features import events as e
from features.archive import Archiver, in_shares
from features.labels import decode_examples, labels_of
from features.loop import Store, batches, run
from features.times import DAY_MS, rfc3339
from tests.alerts.triggers.jobs import CATALOG, customers_job, encoded
from tests.brewline.test_cli import brewline
from tests.features.streams import cuts, logs, with_ticks

HOUSE = conf.load(environ={})
NARROW = CATALOG.narrowed(())
TAUGHT = labels_of(CATALOG).taught
JOB = customers_job([], labels=labels_of(CATALOG))
NOON_MS = 1_777_867_200_000


def online(log: list[e.Event], at: list[int]) -> dict[str, Counter[Any]]:
    """By model: what the customers flow sends to be learned from."""
    store, found = run(JOB, batches("events", 0, encoded(log), at)).get(0, Store()), dict[str, Counter[Any]]()
    for message in store.sent:
        told = decode_examples(message.value)
        rows = zip(told.at_ms, told.known_ms, told.labels, map(repr, told.rows), strict=True)
        found.setdefault(told.model, Counter()).update(rows)
    return found


def offline(log: list[e.Event], model: str, size: int) -> Counter[Any]:
    archive = Archive("log", "UTC", in_shares([Archiver().rows(encoded(log))], size=size).lazy())
    rows = pl.concat(part for _, part in labelled(NARROW, model, archive))
    values = rows.select(CATALOG.tasks[model].features).rows()
    told = rows.select("at_ms", "known_ms", "label").rows()
    return Counter((*one, repr([*row])) for one, row in zip(told, values, strict=True))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(logs(("ca", "cb", "cc"), longest=60).flatmap(with_ticks), cuts, st.sampled_from((5, 65_536)))
def test_rows_out_of_a_history_are_those_that_the_flow_sent(log: list[e.Event], at: list[int], size: int) -> None:
    if all(isinstance(event, e.Tick) for event in log):
        return
    end_ms = max(event.at_ms for event in log) + 200 * DAY_MS
    log = [*log, *(e.Tick(id="t", at_ms=end_ms, source=source, of=2) for source in ("pos/0", "app/0"))]
    live = online(log, at)
    for model in TAUGHT:
        assert offline(log, model, size) == live.get(model, Counter()), model


def life(days: int) -> list[e.Event]:
    """One who orders every ten days, one who comes twice, and a clock that moves daily."""
    log: list[e.Event] = []
    for day in range(days):
        at_ms = NOON_MS + day * DAY_MS
        who = [name for name, ordered in (("anna", day % 10 == 0), ("ben", day in (0, 5))) if ordered]
        log += [
            e.Order(
                id=f"{name}{day}", customer=name, at_ms=at_ms, tz="UTC", lines=[e.Line("tea")], total_cents=100 * day
            )
            for name in who
        ]
        log.append(e.Tick(id=f"t{day}", at_ms=at_ms, source="pos/0", of=1))
    return log


@pytest.fixture
def history(tmp_path: Path) -> str:
    file = tmp_path / "life.parquet"
    write_archive(archived(iter([encoded(life(200))]), "life"), file, "UTC")
    return str(file)


def test_a_training_set_is_one_table_of_rows_with_their_labels(tmp_path: Path, history: str) -> None:
    file, words = tmp_path / "deep/churn.parquet", StringIO()
    write_training_set(HOUSE, "churn_risk", history, file, None, None, Console(file=words, width=200))
    rows = pl.read_parquet(file)
    assert rows.columns == ["customer", "at_ms", "known_ms", "label", *CATALOG.tasks["churn_risk"].features]
    later = rows.filter(pl.col("at_ms") % DAY_MS != NOON_MS % DAY_MS)
    assert (later["days_since_order"] > 0).all()
    assert dict(later["customer", "label"].rows()).items() >= {("anna", 0.0)}
    assert "of them 1; known 2026-07-04" in words.getvalue()
    rows = rows.filter(pl.col("at_ms") % DAY_MS == NOON_MS % DAY_MS)
    assert (rows["days_since_order"] == 0).all()
    day = [((at - NOON_MS) // DAY_MS, (known - NOON_MS) // DAY_MS) for at, known in rows["at_ms", "known_ms"].rows()]
    ben = [one for one, name in zip(day, rows["customer"], strict=True) if name == "ben"]
    assert ben == [(0, 61)], "the order that ended the wait of the first found its place taken"
    anna = [one for one, name in zip(day, rows["customer"], strict=True) if name == "anna"]
    assert anna == [(0, 61), (70, 131)]
    assert rows["orders_lifetime"].to_list() == [at // 10 + 1 if name == "anna" else 1 for (at, _), name in zip(
        day, rows["customer"], strict=True)]  # fmt: skip


def test_from_and_to_choose_rows_and_not_what_fills_the_windows(tmp_path: Path, history: str) -> None:
    file = tmp_path / "spend.parquet"
    span = [rfc3339(NOON_MS + day * DAY_MS) for day in (50, 160)]
    write_training_set(HOUSE, "spend_cents_next_90d", history, file, *span, Console(file=StringIO()))
    [row] = pl.read_parquet(file).rows(named=True)
    assert ((row["at_ms"] - NOON_MS) // DAY_MS, row["customer"]) == (100, "anna")
    assert row["label"] == sum(100 * day for day in range(110, 190, 10))
    assert row["orders_lifetime"] == 11
    assert row["spend_cents_30d"] == np.float32(100 * (100 + 90 + 80 + 70))


@pytest.mark.parametrize(
    ("model", "out", "words"),
    [
        ("churn", "x.parquet", "there is no model 'churn'; did you mean 'churn_risk'?"),
        ("churn_risk", "x.csv", "--out: found x.csv, expected a file that ends in .parquet"),
    ],
)
def test_what_cannot_be_written_is_refused_in_plain_words(history: str, model: str, out: str, words: str) -> None:
    with pytest.raises((WrongModel, WrongHistory)) as wrong:
        write_training_set(HOUSE, model, history, Path(out), None, None, Console(file=StringIO()))
    assert str(wrong.value) == words


def test_a_history_that_ends_before_any_label_is_known_says_so(tmp_path: Path, history: str) -> None:
    late = rfc3339(NOON_MS + 185 * DAY_MS)
    with pytest.raises(WrongHistory, match="no label of churn_risk is known yet"):
        write_training_set(HOUSE, "churn_risk", history, tmp_path / "x.parquet", late, None, Console(file=StringIO()))


def test_the_command_writes_the_file(tmp_path: Path, history: str) -> None:
    done = brewline("training-set", "lapse_risk", "--history", history, "--out", str(tmp_path / "lapse.parquet"))
    assert done.returncode == 0, done.stderr
    assert "of them 1; known 2026-" in done.stdout
    assert pl.read_parquet(tmp_path / "lapse.parquet").height > 3
