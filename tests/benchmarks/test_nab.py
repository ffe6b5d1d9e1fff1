"""The scoring is the published one, by hand; thresholds come from `tune` alone; nobody sees what is still to come."""

from __future__ import annotations

import csv
import json
import sys
from math import exp
from pathlib import Path

import numpy as np
import pytest

from benchmarks import nab
from benchmarks.nab_others import OTHERS
from benchmarks.nab_score import PROFILES, Series, mark, normalised, parts, probation, read, scaled_sigmoid, total

START = np.datetime64("2024-01-01T00:00:00", "ms")


def sigmoid(position: float) -> float:
    return 2 / (1 + exp(5 * position)) - 1


def alerts(*rows: int, count: int = 200) -> np.ndarray:
    return np.isin(np.arange(count), rows)


def test_the_sigmoid_has_the_published_values() -> None:
    assert scaled_sigmoid(-1.0) == pytest.approx(0.98661, abs=1e-5)
    assert scaled_sigmoid(-0.5) == pytest.approx(0.84828, abs=1e-5)
    assert scaled_sigmoid(0.0) == 0
    assert scaled_sigmoid(1.0) == pytest.approx(-0.98661, abs=1e-5)
    assert scaled_sigmoid(3.01) == -1


def test_the_first_rows_are_on_probation() -> None:
    assert [probation(rows) for rows in (10, 999, 5000, 22_000)] == [1, 149, 750, 750]


@pytest.mark.parametrize(
    ("rows", "hits", "missed", "false"),
    [
        ((), 0.0, 1, 0.0),
        ((100,), 1.0, 0, 0.0),  # the first of a window of twenty
        ((110,), 0.84828 / 0.98661, 0, 0.0),  # ten of twenty are left
        ((119, 115, 110), 0.84828 / 0.98661, 0, 0.0),  # only the best counts
        ((99,), 0.0, 1, -1.0),  # nothing before it: as far off as can be
        ((29,), 0.0, 1, 0.0),  # on probation
        ((129,), 0.0, 1, sigmoid(10 / 19)),
        ((120, 199), 0.0, 1, sigmoid(1 / 19) - 1.0),
    ],
)
def test_alerts_come_to_what_is_counted_by_hand(rows: tuple[int, ...], hits: float, missed: int, false: float) -> None:
    found = parts(mark(200, [(100, 119)]), alerts(*rows))
    assert found.hits == pytest.approx(hits, abs=1e-5)
    assert (found.missed, found.false) == (missed, pytest.approx(false))


def test_profiles_weigh_false_alerts_and_missed_windows() -> None:
    marks = mark(200, [(50, 59), (100, 119)])
    found = parts(marks, alerts(99, 100))
    past = sigmoid((99 - 59) / 9) if (99 - 59) / 9 <= 3 else -1.0
    assert found.score(PROFILES["standard"]) == pytest.approx(1 - 1 + 0.11 * past)
    assert found.score(PROFILES["low_fp"]) == pytest.approx(1 - 1 + 0.22 * past)
    assert found.score(PROFILES["low_fn"]) == pytest.approx(1 - 2 + 0.11 * past)
    assert normalised(1 - 2 - 0.11, PROFILES["low_fn"], [marks]) == pytest.approx(100 * (-1.11 + 4) / (2 + 4))


@pytest.mark.parametrize("name", PROFILES)
def test_nothing_said_is_0_and_the_first_row_of_each_window_is_100(name: str) -> None:
    several = [mark(200, [(50, 59), (100, 119)]), mark(300, []), mark(400, [(390, 399)])]
    perfect = [alerts(50, 100), alerts(count=300), alerts(390, count=400)]
    silent = [alerts(), alerts(count=300), alerts(count=400)]
    for said, expected in ((perfect, 100), (silent, 0)):
        found = total(parts(marks, one) for marks, one in zip(several, said, strict=True))
        assert normalised(found.score(PROFILES[name]), PROFILES[name], several) == pytest.approx(expected)


def test_a_window_on_probation_is_neither_hit_nor_missed_but_a_perfect_score_has_it() -> None:
    """As in the published code: so 100 is out of reach there."""
    marks = mark(200, [(5, 20), (100, 119)])
    assert parts(marks, alerts(5)).missed == 1
    assert normalised(1.0, PROFILES["standard"], [marks]) == pytest.approx(100 * 2 / 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three series of 600 rows, of which two go wrong at row 400."""
    (tmp_path / "data/shop").mkdir(parents=True)
    rng, windows = np.random.default_rng(1), {}
    times = START + np.arange(600) * np.timedelta64(5, "m")
    for name in ("a", "b", "quiet"):
        values = rng.normal(50, 3, 600)
        if name != "quiet":
            values[400:430] += 60
        windows[f"shop/{name}.csv"] = [] if name == "quiet" else [[written(times[395]), written(times[434])]]
        with (tmp_path / f"data/shop/{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("timestamp", "value"), *zip(map(written, times), values, strict=True)])
    (tmp_path / "windows.json").write_text(json.dumps(windows))
    return tmp_path


def written(moment: np.datetime64) -> str:
    return str(moment).replace("T", " ").removesuffix(".000")


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["nab", *words])
    nab.main()


def test_a_folder_without_splits_is_scored_once_at_the_shipped_threshold(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, plot = folder / "told.json", folder / "plot.svg"
    run(monkeypatch, "--data", str(folder), "--fixed", "--json", str(told), "--plot", str(plot))
    figures = json.loads(told.read_text())
    assert {"standard_mean", "standard_sd", "low_fp_mean", "low_fn_mean", "splits", "points_per_s"} <= figures.keys()
    assert figures["standard_mean"] > 80
    assert figures["points_per_s"] > 0
    drawn = plot.read_text()
    assert drawn.count("<polyline") == 6
    assert "1 alerts, 1 windows" in drawn
    with pytest.raises(SystemExit, match=r"no splits\.json"):
        run(monkeypatch, "--data", str(folder))
    with pytest.raises(SystemExit, match=r"found no windows\.json"):
        run(monkeypatch, "--data", str(folder / "data"), "--fixed")


def test_sensitivity_tells_of_each_number(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "splits.json").write_text(
        json.dumps([{"tune": ["shop/a.csv"], "test": ["shop/b.csv", "shop/quiet.csv"]}])
    )
    run(monkeypatch, "--data", str(folder), "--alone", "--sensitivity", "--json", str(folder / "told.json"))
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("each entity", "half_life", "lags", "rise", "level only"))
    assert json.loads((folder / "told.json").read_text())["splits"] == 1


def test_a_threshold_is_chosen_on_tune_alone_and_scored_on_test(folder: Path) -> None:
    (folder / "splits.json").write_text(
        json.dumps([{"tune": ["shop/a.csv"], "test": ["shop/b.csv", "shop/quiet.csv"]}])
    )
    bench = nab.Benchmark(folder)
    levels = np.array([0.5, 1.0, 9.0])
    told = {name: np.zeros(600) for name in bench.names}
    told["shop/a.csv"][395] = told["shop/b.csv"][300] = 2.0
    judged = bench.judge(told, levels)
    assert nab.chosen(judged, ["shop/a.csv"], PROFILES["standard"]) < 2
    figures = bench.figures(judged, bench.splits)
    assert figures["standard"].tolist() == pytest.approx([100 * -0.11 / 2])
    assert figures["low_fp"].tolist() == pytest.approx([100 * -0.22 / 2])


@pytest.mark.parametrize("name", [*OTHERS, nab.OURS])
def test_nobody_sees_what_is_still_to_come(folder: Path, name: str) -> None:
    one = read(folder)[0]["shop/a.csv"]
    early = Series(one.name, one.at_ms[:450], one.values[:450], one.windows)

    def told(series: Series) -> np.ndarray:
        if name == nab.OURS:
            return nab.columns(nab.ours({"": series}), list(range(16)))[""]
        return OTHERS[name](series)

    whole = told(one)
    assert np.isfinite(whole).all()
    assert whole.max() > 0
    assert np.array_equal(whole[:450], told(early))
