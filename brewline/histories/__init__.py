"""Real histories as streams of events: from public data packages, or from a file of one's own."""

from __future__ import annotations

from pathlib import Path

from brewline.histories.cdnow import read_cdnow
from brewline.histories.complete_journey import read_complete_journey
from brewline.histories.files import read_file
from brewline.histories.history import History, Record, WrongHistory

__all__ = ["History", "Record", "WrongHistory", "open_history"]

PACKAGED = {"completejourney": read_complete_journey, "cdnow": read_cdnow}


def open_history(name: str, file_timezone: str) -> History:
    """A history by name or file; a file's days are those of `file_timezone`. Raises WrongHistory."""
    if name in PACKAGED:
        return PACKAGED[name]()
    if Path(name).suffix in (".parquet", ".ndjson"):
        return read_file(Path(name), file_timezone)
    raise WrongHistory(f"found history {name!r}, expected {', '.join(PACKAGED)}, FILE.parquet or FILE.ndjson")
