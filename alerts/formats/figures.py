"""Figures of a notice as text, without loss."""

from __future__ import annotations

from collections.abc import Mapping

from features.times import LATEST_MS, rfc3339

EXACT = 2**53  # integers up to here are the same as a float


def figure_text(value: float) -> str:
    """An integer without a point; else the shortest text that is read as the same number."""
    return str(int(value)) if value == value and abs(value) <= EXACT and value == int(value) else repr(value)


def figure_texts(figures: Mapping[str, float]) -> dict[str, str]:
    """By name; `due_ms` becomes `due`, as RFC 3339."""
    return {
        name.removesuffix("_ms"): _moment(value) if name.endswith("_ms") else figure_text(value)
        for name, value in figures.items()
    }


def _moment(at_ms: float) -> str:
    return rfc3339(int(at_ms)) if 0 <= at_ms <= LATEST_MS else figure_text(at_ms)
