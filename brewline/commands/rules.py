"""`brewline rules`: check them, test them, ask the past about them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from brewline.commands.shared import HISTORIES, From, JsonOut, To, WithJson, beside, out, writable
from brewline.trail import note
from config.settings import load

app = typer.Typer(
    name="rules", no_args_is_help=True, help="Check and test the trigger rules.\n\nExample: `brewline rules test`"
)


@app.command("check")
def rules_check() -> None:
    """Loads every rule and says what is wrong with it, with file and line.

    Example: `brewline rules check`
    """
    from brewline.rules import check_rules

    sys.exit(check_rules(load(), out))


@app.command("test", cls=WithJson)
def rules_test(
    rules: Annotated[list[str] | None, typer.Argument(help="Coupon rules, by file or id; default: all rules.")] = None,
    json: JsonOut = None,
) -> None:
    """Runs the timelines of every rule, or of some coupon rules; a file may lie anywhere.

    Example: `brewline rules test`; of one: `brewline rules test draft.toml`; for programs:
    `brewline rules test --json`, or `--json out/rules.json`
    """
    from brewline.results import write_json
    from brewline.rules import run_rule_tests

    figures, failed = run_rule_tests(load(), rules or [], beside(json))
    write_json(json, figures)
    sys.exit(1 if failed else 0)


@app.command("backtest", cls=WithJson)
def rules_backtest(
    rules: Annotated[list[str] | None, typer.Argument(help="Ids of rules, or files of drafts.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All rules of the configured folder.")] = False,
    from_: From = None,
    to: To = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="A rule to hold it against, each as if the other did not exist."),
    ] = None,
    history: Annotated[str, typer.Option(help=HISTORIES)] = "kafka",
    assume_consent: Annotated[bool, typer.Option("--assume-consent", help="As if all had consented.")] = False,
    scores: Annotated[
        Literal["none", "now"], typer.Option(help="`now`: by the models that Redis has published now.")
    ] = "none",
    json: JsonOut = None,
    plot: Annotated[
        Path | None, typer.Option(callback=writable, help="Draw the figures: F.html, F.svg, or F.png.")
    ] = None,
) -> None:
    """Says what rules would have done with a past: whom they reach, what they cost, where they overlap. Sends nothing.

    Example: `brewline rules backtest winback-14d --history completejourney`; a draft against the rule it may replace:
    `brewline rules backtest draft.toml --against winback-14d --history may.parquet --plot draft.html`; all of them:
    `brewline rules backtest --all --from 2026-05-01T00:00:00+08:00 --json out/rules.json`
    """
    from brewline.backtests.choice import choose, span_of
    from brewline.backtests.command import Asked, backtest
    from brewline.backtests.plot import check_plot

    settings = load()
    tried = choose(settings, rules or [], against or [], every, span_of(from_, to))
    check_plot(plot)
    if history == "kafka":
        note(settings, "backtest", "history")
    backtest(settings, tried, Asked(history, assume_consent, json, plot, scores), beside(json))
