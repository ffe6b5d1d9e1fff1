"""The picture of a back-test: an HTML file that needs nothing else, an SVG, or a PNG."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from textwrap import wrap
from typing import Any

from brewline.backtests.figures import Figures
from brewline.backtests.svg import COLOURS, colour, line, picture, rect, steps, text
from brewline.backtests.tables import GROUPS, decided_apart, never
from brewline.paths import writing

WIDTH, LEFT, RIGHT = 1000, 170, 60
INNER = WIDTH - LEFT - RIGHT
BURN_HEIGHT, ROW, BAR = 220, 30, 16
LINE = 140  # characters
DAYS = 62  # up to so many are shown one by one; longer by week
KINDS = (".html", ".svg", ".png")
OUTCOMES = (
    "issued",
    "control",
    "cooldown",
    "inside",
    "capped",
    "channel_capped",
    "holdout",
    "excluded",
    "stale",
    "quiet_hours",
    "campaign_not_begun",
    "campaign_over",
    "customer_limit",
    "stock",
    "budget",
    "no_consent",
    "no_points",
    "suppressed",
)


class WrongPlot(ValueError):
    """A file that the picture cannot be written to."""


def check_plot(file: Path | None) -> None:
    """Before the work begins. Raises WrongPlot."""
    if file is None:
        return
    if file.suffix not in KINDS:
        raise WrongPlot(f"--plot: found {file}, expected a file that ends in {', '.join(KINDS)}")
    if file.suffix == ".png":
        _resvg(file)


def write_plot(file: Path | None, figures: Figures) -> None:
    """Raises WrongPlot."""
    if file is not None:
        write_picture(file, draw(figures), f"Back-test over {figures['history']}")


def write_picture(file: Path, drawn: str, title: str) -> None:
    """An SVG as it is, as a PNG, or in a page of its own. Raises WrongPlot."""
    check_plot(file)
    if file.suffix == ".png":
        picture = bytes(_resvg(file).svg_to_bytes(svg_string=drawn, zoom=2))
    else:
        picture = (drawn if file.suffix == ".svg" else _page(drawn, title)).encode()
    with writing(file, "--plot"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture)


def _resvg(file: Path) -> Any:
    try:
        import resvg_py
    except ImportError as error:
        raise WrongPlot(
            f"--plot {file}: a PNG needs resvg-py: pip install -e '.[plot]'; {file.with_suffix('.html')} needs nothing"
        ) from error
    return resvg_py


def _page(drawn: str, title: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>body{{margin:2em auto;max-width:{WIDTH}px}}svg{{max-width:100%;height:auto}}</style></head>"
        f"<body>{drawn}</body></html>\n"
    )


def draw(figures: Figures) -> str:
    """Panels one below the other: what is given out over time, outcomes, what customers did."""
    y, title = 76.0, f"Back-test over {Path(figures['history']).name}"
    shapes = [text(20, 34, title, 18, weight="bold"), _caption(figures)]
    held = {id: rule for id, rule in figures["rules"].items() if rule["held"]}
    said = [*filter(None, [decided_apart(figures)]), *never(figures)]
    for words in (words for one in said for words in wrap(one, LINE)):
        shapes.append(text(20, y, words, 13))
        y += 18
    y += 18
    for panel in (_burn, _outcomes, _lookalikes) if held else ():
        drawn, height = panel(held, y)
        shapes += drawn
        y += height + 45
    return picture(WIDTH, y - 15, shapes)


def _caption(figures: Figures) -> str:
    consent = "; consent assumed" if figures["consent_assumed"] else ""
    told = f"{figures['events']:,} events of {figures['customers']:,} customers"
    return text(20, 56, f"{told}, rules asked from {figures['from'][:10]} to {figures['to'][:10]}{consent}", 13)


def _burn(rules: Figures, y: float) -> tuple[list[str], float]:
    """Bars by week, or by day: the most that the coupons of each rule can cost, stacked."""
    by = "by_day" if max(len(rule["by_day"]) for rule in rules.values()) <= DAYS else "by_week"
    periods = sorted({day for rule in rules.values() for day in rule[by]})
    cents = _greatest({id: [rule[by].get(day, {"cents": 0})["cents"] for day in periods] for id, rule in rules.items()})
    totals = [sum(column) for column in zip(*cents.values(), strict=True)]
    ticks = steps(max(totals, default=0) / 100)
    legend, height = _legend({id: colour(i) for i, id in enumerate(cents)}, y + 18)
    bottom, scale = y + 20 + height + BURN_HEIGHT, BURN_HEIGHT / (ticks[-1] * 100)
    shapes = [text(20, y, f"Face value given out, at most, by {by.removeprefix('by_')}", 14, weight="bold"), *legend]
    for tick in ticks:
        at = bottom - tick * 100 * scale
        shapes += [line(LEFT, at, WIDTH - RIGHT, at), text(LEFT - 8, at + 4, f"{tick:,.10g}", 11, "end")]
    for i, day in enumerate(periods):
        x = LEFT + i * INNER / len(periods)
        shapes += _bar(day, {id: values[i] for id, values in cents.items()}, x, bottom, INNER / len(periods), scale)
        if i % max(1, len(periods) // 8) == 0:
            shapes.append(text(x, bottom + 16, day, 11))
    return shapes, 40 + height + BURN_HEIGHT


def _greatest(cents: dict[str, list[int]]) -> dict[str, list[int]]:
    """As many rules as there are colours; those that give least are shown together."""
    order = sorted((id for id in cents if any(cents[id])), key=lambda id: -sum(cents[id]))
    shown, rest = (order, []) if len(order) <= len(COLOURS) else (order[: len(COLOURS) - 1], order[len(COLOURS) - 1 :])
    together = {f"{len(rest)} others": [sum(column) for column in zip(*map(cents.get, rest), strict=True)]}  # type: ignore[arg-type]
    return {id: cents[id] for id in shown} | (together if rest else {})


def _bar(day: str, cents: dict[str, int], x: float, bottom: float, width: float, scale: float) -> Iterator[str]:
    for i, (id, value) in enumerate(cents.items()):
        bottom -= value * scale
        if value:
            yield rect(
                x + width * 0.1, bottom, width * 0.8, value * scale, colour(i), f"{day} {id}: {value / 100:,.2f}"
            )


def _legend(named: dict[str, str], y: float) -> tuple[list[str], float]:
    """Its shapes, and how much its lines take."""
    x, first, shapes = float(LEFT), y, list[str]()
    for name, fill in named.items():
        width = 28 + 6.6 * len(name)
        if x + width > WIDTH - 10:
            x, y = float(LEFT), y + 16
        shapes += [rect(x, y - 9, 10, 10, fill), text(x + 14, y, name, 11)]
        x += width
    return shapes, y - first + 18


def _outcomes(rules: Figures, y: float) -> tuple[list[str], float]:
    """By rule, a bar of all moments at which it held, in parts."""
    found = {outcome for rule in rules.values() for outcome in rule["outcomes"]}
    named = {o: colour(i) for i, o in enumerate([*OUTCOMES, *sorted(found - set(OUTCOMES))]) if o in found}
    legend, _ = _legend(named, y + 18)
    shapes = [text(20, y, "What came of the moments at which a rule held", 14, weight="bold"), *legend]
    for i, (id, rule) in enumerate(rules.items()):
        at, x = y + 34 + i * ROW, float(LEFT)
        shapes.append(text(LEFT - 8, at + 13, id, 12, "end"))
        for outcome in (o for o in named if o in rule["outcomes"]):
            count = rule["outcomes"][outcome]
            width = INNER * count / rule["held"]
            shapes.append(rect(x, at, width, BAR, named[outcome], f"{id}: {outcome} {count:,}"))
            x += width
        shapes.append(text(WIDTH - RIGHT + 6, at + 13, f"{rule['held']:,}", 11))
    return shapes, 34 + ROW * len(rules)


def _lookalikes(rules: Figures, y: float) -> tuple[list[str], float]:
    """By rule and group: how many ordered while the coupon was, or would have been, valid."""
    named = {told: colour(i) for i, told in enumerate(GROUPS.values())}
    legend, _ = _legend(named, y + 18)
    shapes = [text(20, y, "Who ordered while the coupon was, or would have been, valid", 14, weight="bold"), *legend]
    height = 14 * len(GROUPS) + 12
    for i, (id, rule) in enumerate(rules.items()):
        at = y + 34 + i * height
        shapes.append(text(LEFT - 8, at + 24, id, 12, "end"))
        for j, (group, told) in enumerate(GROUPS.items()):
            seen = rule["lookalikes"].get(group, {})
            share, row = seen.get("ordered_share"), at + 14 * j
            if share is None:
                shapes.append(text(LEFT + 4, row + 10, f"{told}: nobody", 10))
                continue
            words = f"{share:.1%} of {seen['moments']:,}"
            shapes += [rect(LEFT, row, (INNER - 130) * share, 11, named[told], f"{id}, {told}: {words}")]
            shapes.append(text(LEFT + (INNER - 130) * share + 6, row + 10, words, 10))
    return shapes, 34 + height * len(rules)
