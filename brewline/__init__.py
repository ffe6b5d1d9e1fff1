"""The `brewline` command, and what programs import: `from brewline import Features`."""

from __future__ import annotations

from typing import Any

__all__ = ["Features"]


def __getattr__(name: str) -> Any:
    """Loaded when it is first asked for: most commands need no compiled core."""
    if name == "Features":
        from brewline.reading import Features

        return Features
    raise AttributeError(f"module 'brewline' has no attribute {name!r}")
