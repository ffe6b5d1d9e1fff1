"""What models learn from, and what has been published of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from brewline.commands.shared import AsJson, out, timed, writable
from brewline.trail import note_export
from config.settings import load

app = typer.Typer(
    name="models",
    no_args_is_help=True,
    help="Which version of a model scores, how good it is, and which one shall.\n\nExample: `brewline models list`",
)
Model = Annotated[str, typer.Argument(help="Name of the model, as `brewline models list` shows it.")]
By = Annotated[str, typer.Option(help="Who decides; default: whoever is logged in.")]


@app.command("list")
def models_list(json: AsJson = False) -> None:
    """Lists the versions that are kept of each model: who scores, who is compared with it, and how they did.

    Example: `brewline models list`; `brewline models list --json`
    """
    from brewline.models.shown import list_models

    list_models(load(), json, out)


@app.command("show")
def models_show(model: Model, json: AsJson = False) -> None:
    """Shows how good a model is on its latest labels, beside two baselines; its reliability, drift and history.

    Example: `brewline models show churn_risk`
    """
    from brewline.models.shown import show_model

    show_model(load(), model, json, out)


@app.command("promote")
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


@app.command("rollback")
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


def training_set(
    model: Annotated[str, typer.Argument(help="A model of config/models.toml.")],
    out_file: Annotated[Path, typer.Option("--out", callback=writable, help="The Parquet file to write.")],
    history: Annotated[
        str,
        typer.Option(help="kafka, an archive or folder of `history export`, FILE.ndjson, or a packaged history."),
    ] = "kafka",
    from_: Annotated[
        str | None, typer.Option("--from", callback=timed, help="First moment of scoring: RFC 3339, date or epoch ms.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(callback=timed, help="Moments before this one: RFC 3339, date or epoch ms.")
    ] = None,
) -> None:
    """Writes what a model would have learned from a history: rows as they were when scored, each with its label and
    the time from which that was known.

    Example: `brewline training-set churn_risk --out out/churn.parquet`; of a past that was kept,
    `brewline training-set churn_risk --history may.parquet --from 2026-05-01T00:00:00+08:00 --out out/may.parquet`
    """
    from brewline.training import write_training_set

    settings = load()
    noted = note_export(settings, f"training set of {model}") if history == "kafka" else None
    write_training_set(settings, model, history, out_file, from_, to, out, noted)
