"""`brewline models`: its commands, their options and examples."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from config.settings import load

models_app = typer.Typer(
    no_args_is_help=True,
    help="Which version of a model scores, how good it is, and which one shall.\n\nExample: `brewline models list`",
)
out = Console()
Model = Annotated[str, typer.Argument(help="Name of the model, as `brewline models list` shows it.")]
By = Annotated[str, typer.Option(help="Who decides; default: whoever is logged in.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@models_app.command("list")
def models_list(json: AsJson = False) -> None:
    """Lists the versions that are kept of each model: who scores, who is compared with it, and how they did.

    Example: `brewline models list`; `brewline models list --json`
    """
    from brewline.models.shown import list_models

    list_models(load(), json, out)


@models_app.command("show")
def models_show(model: Model, json: AsJson = False) -> None:
    """Shows how good a model is on its latest labels, beside two baselines; its reliability, drift and history.

    Example: `brewline models show churn_risk`
    """
    from brewline.models.shown import show_model

    show_model(load(), model, json, out)


@models_app.command("promote")
def models_promote(
    model: Model,
    version: Annotated[int, typer.Argument(help="Which one scores from now on, until you say otherwise.", min=0)] = 0,
    auto: Annotated[bool, typer.Option("--auto", help="Whichever learning finds best, from now on.")] = False,
    by: By = "",
) -> None:
    """Lets a version score, and pins it: learning replaces it only after `--auto`. Needs the learning flow.

    Example: `brewline models promote churn_risk 7`; `brewline models promote churn_risk --auto`
    """
    from brewline.models.appointing import promote

    sys.exit(promote(load(), model, version, auto, by, out))


@models_app.command("rollback")
def models_rollback(
    model: Model,
    version: Annotated[int, typer.Argument(help="Default: the champion before the present one.", min=0)] = 0,
    by: By = "",
) -> None:
    """Lets an earlier version score again, and pins it, as `promote` does. The learning flow must be running.

    Example: `brewline models rollback churn_risk`; `brewline models rollback churn_risk 5 --by anna`
    """
    from brewline.models.appointing import roll_back

    sys.exit(roll_back(load(), model, version, by, out))
