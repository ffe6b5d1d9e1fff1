"""Files as they are named from where the command was given."""

from __future__ import annotations

import os
from pathlib import Path


def from_here(text: str) -> str:
    """A text whose files below the working directory are named from there."""
    return text.replace(f"{Path.cwd()}{os.sep}", "")
