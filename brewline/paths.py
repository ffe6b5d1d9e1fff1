"""Files as they are named from where the command was given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polars.exceptions import ComputeError


def from_here(text: str) -> str:
    """A text whose files below the working directory are named from there."""
    return text.replace(f"{Path.cwd()}{os.sep}", "")


@contextmanager
def writing(file: Path, option: str) -> Iterator[None]:
    """Raises ValueError with the option where a file or folder of the user's cannot be written."""
    try:
        yield
    except (OSError, ComputeError) as error:  # Polars has an error of its own for a full disk
        said = getattr(error, "strerror", None) or f"{error}".splitlines()[0]
        raise ValueError(f"{option}: {file} cannot be written: {said}: name another, or make room") from None
