"""A picture of a few series: values, score, alerts, and the windows in which something was wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerts.metric.detector import SETTINGS
from benchmarks.nab_score import Floats, Series, probation
from brewline.backtests.svg import COLOURS, picture, rect, text

SHOWN = (
    "artificialWithAnomaly/art_daily_flatmiddle.csv",
    "realKnownCause/machine_temperature_system_failure.csv",
    "realTweets/Twitter_volume_AMZN.csv",
    "realTraffic/speed_t4013.csv",
    "realAWSCloudwatch/ec2_cpu_utilization_fe7f93.csv",
    "realAdExchange/exchange-4_cpc_results.csv",
)
WIDTH, LEFT, HEIGHT, SCORE, GAP = 1200, 20, 110, 40, 46
WINDOW, EARLY, ALERT = "#fbe3c4", "#eeeeee", "#d0021b"


def check_plot(file: Path | None) -> None:
    """Before the work begins."""
    if file is None:
        return
    if file.suffix not in (".svg", ".png"):
        raise SystemExit(f"--plot: found {file}, expected a file that ends in .svg or .png")
    if file.suffix == ".png":
        _resvg(file)


def _resvg(file: Path) -> Any:
    try:
        import resvg_py
    except ImportError as error:
        raise SystemExit(f"--plot {file}: a PNG needs resvg-py: pip install -e '.[plot]'; an SVG does not") from error
    return resvg_py


class Shown(NamedTuple):
    series: Series
    told: Floats
    fires: NDArray[np.bool_]


def write_plot(file: Path | None, shown: list[Shown]) -> None:
    if file is None:
        return
    drawn = draw(shown)
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".png":
        file.write_bytes(bytes(_resvg(file).svg_to_bytes(svg_string=drawn, zoom=2)))
    else:
        file.write_text(drawn, "utf-8")


def draw(shown: list[Shown]) -> str:
    shapes, y = [text(LEFT, 24, "Values, score, alerts (red), true windows (orange), not scored (grey)", 14)], 44.0
    for one in shown:
        shapes += _panel(one, y)
        y += HEIGHT + SCORE + GAP
    return picture(WIDTH, y, shapes)


def _panel(shown: Shown, y: float) -> list[str]:
    series, told, fires = shown.series, shown.told, np.flatnonzero(shown.fires)
    rows, low, high = len(told), float(series.values.min()), float(series.values.max())
    top, height, width = y + 16, HEIGHT + SCORE, (WIDTH - 2 * LEFT) / rows
    shapes = [
        text(LEFT, y + 10, f"{series.name}: {len(fires)} alerts, {len(series.windows)} windows"),
        rect(LEFT, top, width * probation(rows), height, EARLY),
    ]
    for first, last in series.windows:
        shapes.append(rect(LEFT + width * first, top, width * (last - first + 1), height, WINDOW))
    shapes.append(_curve((series.values - low) / ((high - low) or 1.0), top, HEIGHT, COLOURS[0]))
    shapes.append(_curve(np.nan_to_num(told) / SETTINGS.cap, top + HEIGHT + 2, SCORE - 4, COLOURS[9]))
    shapes += [rect(LEFT + width * row - 0.75, top, 1.5, height, ALERT, f"row {row}") for row in fires]
    return shapes


def _curve(shares: Floats, y: float, height: float, stroke: str) -> str:
    """Of values from 0 to 1: the least and greatest of each column of pixels."""
    count = min(len(shares), WIDTH - 2 * LEFT)
    starts = np.arange(count) * len(shares) // count  # array_split would make the first columns longer
    low, high = np.minimum.reduceat(shares, starts), np.maximum.reduceat(shares, starts)
    points = " ".join(
        f"{LEFT + i * (WIDTH - 2 * LEFT) / count:.1f},{y + height * (1 - share):.1f}"
        for i in range(count)
        for share in (low[i], high[i])
    )
    return f'<polyline points="{points}" fill="none" stroke="{stroke}" stroke-width="1"/>'
