"""A few SVG shapes as text."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#8c6d31", "#7f7f7f", "#b3b300", "#3b3b98")
INK, FAINT = "#222222", "#d5d5d5"


def colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def text(x: float, y: float, words: str, size: int = 12, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}"'
        f' fill="{INK}">{escape(words)}</text>'
    )


def rect(x: float, y: float, width: float, height: float, fill: str, told: str = "") -> str:
    """`told` shows under the pointer."""
    title = f"<title>{escape(told)}</title>" if told else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}">{title}</rect>'


def line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{FAINT}" stroke-width="1"/>'


def picture(width: float, height: float, shapes: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
        f' height="{height:.0f}" font-family="system-ui, DejaVu Sans, Arial, sans-serif">'
        f"{rect(0, 0, width, height, '#ffffff')}{''.join(shapes)}</svg>"
    )


def steps(most: float, about: int = 4) -> list[float]:
    """Round numbers from 0 to beyond the greatest, for an axis."""
    rough, unit = most / about or 1.0, 1.0
    while unit * 10 <= rough:
        unit *= 10
    while unit > rough:
        unit /= 10
    step = next(unit * n for n in (1, 2, 5, 10) if unit * n >= rough)
    found = [0.0]
    while found[-1] < most:
        found.append(found[-1] + step)
    return found
