"""The program's commands as a tree, built once."""

from __future__ import annotations

from typing import Any

from typer.main import get_command

from brewline.cli import app

COMMAND: Any = get_command(app)
