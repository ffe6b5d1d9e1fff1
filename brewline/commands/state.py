"""What runs, and what it keeps: its back-up."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from brewline.commands.shared import AsJson, out
from config.settings import load


def status(json: AsJson = False) -> None:
    """Shows what runs on one screen: what waits, what is kept, what fires. Exit code 1 when something needs a look.

    Example: `brewline status`; `brewline status --json`
    """
    from brewline.status import show_status

    sys.exit(show_status(load(), json, out))


def backup(folder: Annotated[Path, typer.Argument(help="A new folder, on another machine than Redis.")]) -> None:
    """Backs up all state in Redis as of one moment, while the flows run.

    Example: `brewline backup /backups/2026-05-01`
    """
    from brewline.backups import back_up

    back_up(load(), folder, out)


def restore(
    folder: Annotated[Path, typer.Argument(help="What `brewline backup` has written.")],
    replace: Annotated[bool, typer.Option("--replace", help="Delete the state that is there.")] = False,
) -> None:
    """Restores the state of a back-up. All flows must be stopped; when they start, Kafka replays what came since.

    Example: `brewline restore /backups/2026-05-01 --replace`
    """
    from brewline.backups import restore as restore_state

    restore_state(load(), folder, replace, out)
