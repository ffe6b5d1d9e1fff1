"""A back-test comes to the same figures from every source, and names what a source lacks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from alerts.triggers.backtests.backtest import Decision, Span
from alerts.triggers.gifts import WrongRule
from brewline.backtests.choice import choose, span_of
from brewline.backtests.plot import WrongPlot, check_plot
from brewline.backtests.run import Run
from brewline.histories import WrongHistory
from brewline.histories.archives import Archive, archived, open_archive
from brewline.histories.export import export_history, write_archive
from config import settings as conf
from features import events as e
from features.job import Message
from features.times import DAY_MS, MINUTE_MS
from operators.kafka import ensure_topics, produce, producer
from tests.brewline.small_life import HOUSE, NOON_MS, OUT, RULE, life, ndjson, order, tried


def test_an_export_gives_the_same_figures_whole_and_out_of_two_files(tmp_path: Path) -> None:
    history, folder = ndjson(tmp_path, life()), tmp_path / "months"
    export_history(HOUSE, history, tmp_path / "whole.parquet", None, None, OUT)
    middle = str(NOON_MS + 2 * DAY_MS)
    export_history(HOUSE, history, folder / "1.parquet", None, middle, OUT)
    export_history(HOUSE, history, folder / "2.parquet", middle, None, OUT)
    wanted = tried(history)["rules"]
    assert open_archive(HOUSE, str(folder), lambda done, total: None).timezone == HOUSE.stores.timezone
    assert tried(str(tmp_path / "whole.parquet"))["rules"] == wanted
    assert tried(str(folder))["rules"] == wanted


def test_rules_are_asked_between_from_and_to_with_windows_that_were_filled_before(tmp_path: Path) -> None:
    span = Span(NOON_MS + 3 * DAY_MS, NOON_MS + 4 * DAY_MS)
    rule = tried(ndjson(tmp_path, life()), span=span)["rules"][RULE]
    assert (rule["asked"], rule["outcomes"]) == (1, {"issued": 1})


def test_kafka_read_directly_and_exported_decides_the_same_whoever_was_merged(
    settings: conf.Settings, tmp_path: Path
) -> None:
    """Two partitions; what was known of the one merged away counts from the beginning."""
    log = [clean("ca", 0), clean("cb", 1), clean("cb", 2), clean("cz", 1), clean("cz", 2)]
    merge = e.Merge(id="m", customer="cz", into="ca", at_ms=log[-1].at_ms)
    fill(settings, [*log, merge, e.Tick(id="t", at_ms=log[-1].at_ms, source="pos.events/0", of=1)])
    export_history(settings, "kafka", tmp_path / "log.parquet", None, None, OUT)
    direct, exported = (decisions(settings, name) for name in ("kafka", str(tmp_path / "log.parquet")))
    assert direct == exported
    assert [(d.customer, d.at_ms) for d in direct] == [("ca", log[-1].at_ms)]


def clean(customer: str, day: int) -> e.Order:
    at_ms = NOON_MS + day * DAY_MS + MINUTE_MS
    known = {"customer": customer, "at_ms": at_ms, "tz": "Asia/Shanghai"}
    return e.Order(id=f"{customer}{day}", lines=[e.Line("tea")], total_cents=1800, **known)


def fill(settings: conf.Settings, events: list[e.Event]) -> None:
    client, topic = settings.kafka.librdkafka(), settings.topic("events")
    ensure_topics(client, [topic], 2, 1, {})
    writer = producer(client)
    for event in events:
        partitions = (0, 1) if isinstance(event, e.Tick) else (int(event.customer == "cz"),)
        for partition in partitions:
            produce(writer, Message(topic, event.customer, e.encode(event)), None, partition=partition)  # type: ignore[arg-type]
    writer.flush(30)


def decisions(settings: conf.Settings, history: str) -> list[Decision]:
    archive = open_archive(settings, history, lambda done, total: None)
    return [*Run(settings, archive, choose(settings, [RULE], [], False, Span()), True, ids=True).decisions()]


def test_a_rule_that_there_is_not_and_a_span_the_wrong_way_round_are_named() -> None:
    with pytest.raises(WrongRule, match=r"there is no rule .winbak-14d.; did you mean .winback-14d."):
        choose(HOUSE, ["winbak-14d"], [], False, Span())
    with pytest.raises(WrongRule, match="name a rule; known are"):
        choose(HOUSE, [], [], False, Span())
    with pytest.raises(ValueError, match="is not before --to"):
        span_of("2026-05-02T00:00:00Z", "2026-05-01T00:00:00Z")
    with pytest.raises(WrongPlot, match="expected a file that ends in"):
        check_plot(Path("f.pdf"))


def test_histories_without_events_or_columns_are_named(tmp_path: Path) -> None:
    def refused(history: str) -> str:
        with pytest.raises(WrongHistory) as told:
            open_archive(HOUSE, history, lambda done, total: None)
        return str(told.value)

    assert "there is nothing in it" in refused(ndjson(tmp_path, []))
    assert "there is no *.parquet in this folder" in refused(str(tmp_path))
    assert "expected completejourney, cdnow, kafka" in refused("completejourny")
    whole = archived(iter([[e.encode(clean("ca", 0))]]), "life")
    write_archive(whole.drop("at_ms", "tz"), tmp_path / "less.parquet", "UTC")
    assert "misses the columns tz, at_ms" in refused(str(tmp_path / "less.parquet"))
    with pytest.raises(WrongHistory, match="nothing of it lies between"):
        tried(ndjson(tmp_path, life()), span=Span(0, 1))


def test_what_ingest_would_refuse_is_left_out_and_told(tmp_path: Path) -> None:
    broken = order("anna", NOON_MS)
    broken.total_cents = -1
    figures = tried(ndjson(tmp_path, [*life(), broken]))
    assert sum(figures["refused"].values()) == 1
    assert figures["events"] == 13


def test_shares_hold_all_events_once() -> None:
    values = [e.encode(clean(f"c{n % 7}", n)) for n in range(50)]
    archive = Archive("life", "Asia/Shanghai", archived(iter([values]), "life").lazy())
    rows = pl.concat([archive.read(share, ["id"]) for share in archive.shares])
    assert Counter(rows["id"].to_list()) == Counter(f"c{n % 7}{n}" for n in range(50))
