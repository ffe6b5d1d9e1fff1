"""`brewline sigma`: any folder of Sigma rules, checked and tested."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from brewline.commands.shared import AsJson, out

app = typer.Typer(
    name="sigma",
    no_args_is_help=True,
    help="Check and test folders of Sigma rules.\n\nExample: `brewline sigma check config/rules/security`",
)
Folder = Annotated[
    Path, typer.Argument(help="Rules, correlations, filters and pipelines are looked for in and under it.")
]


@app.command("check")
def sigma_check(folder: Folder, json: AsJson = False) -> None:
    """Loads every rule, and names those that cannot run with their reason.

    Example: `brewline sigma check config/rules/security`; `brewline sigma check sigma/rules --json`
    """
    from brewline.sigma import check

    sys.exit(check(folder, json, out))


@app.command("test")
def sigma_test(folder: Folder, json: AsJson = False) -> None:
    """Runs the tests beside the rules (NAME.test.toml), and the recorded cases that rules name.

    Example: `brewline sigma test config/rules/security`
    """
    from brewline.sigma import test

    sys.exit(test(folder, json, out))
