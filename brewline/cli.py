"""The command line: demo, run, replay, history, customer, why, forget, rules, campaigns, doctor."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from redis.exceptions import RedisError
from rich.console import Console

from config.settings import load
from features.times import parse_time
from operators.kafka import Unreachable

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Brewline: the real-time engine of a tea or restaurant chain's customer work.\n\nExample: `brewline demo`",
)
rules_app = typer.Typer(
    no_args_is_help=True, help="Check and test the trigger rules.\n\nExample: `brewline rules test`"
)
app.add_typer(rules_app, name="rules")
history_app = typer.Typer(
    no_args_is_help=True, help="Keep what has happened.\n\nExample: `brewline history export --out may.parquet`"
)
app.add_typer(history_app, name="history")
out = Console()

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")]


class Flow(str, Enum):
    ingest = "ingest"
    customers = "customers"
    kpis = "kpis"
    security = "security"
    learning = "learning"
    dispatch = "dispatch"


@app.command()
def demo(
    duration: Annotated[float, typer.Option(help="Seconds the simulated chain runs.", min=5)] = 60,
    speed: Annotated[float, typer.Option(help="Stream seconds per second.", min=1)] = 7200,
    seed: Annotated[int, typer.Option(help="The same seed is the same chain.")] = 1,
    json: JsonFile = None,
) -> None:
    """A simulated chain through every flow, on servers the demo starts and stops itself.

    Example: `brewline demo --duration 60`
    """
    from brewline.demo import run_demo

    sys.exit(run_demo(duration, speed, seed, json, out))


@app.command()
def run(
    flows: Annotated[list[Flow], typer.Argument(help="One flow, or several to share this process.")],
    share: Annotated[str, typer.Option(help="0/2 and 1/2: two processes, each with every other partition.")] = "",
) -> None:
    """Runs flows until told to stop (Ctrl-C or SIGTERM): what is in flight is committed first.

    Example: `brewline run ingest customers`; a flow in two processes: `brewline run customers --share 0/2` and
    `brewline run customers --share 1/2`, wherever they run
    """
    names = tuple(flow.value for flow in flows)
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(f"run: found {', '.join(twice)} more than once, expected each flow once")
    if "dispatch" in names and len(names) > 1:
        raise ValueError("run: found dispatch beside other flows, expected it alone: it needs a process of its own")
    environ = {**os.environ, "BREWLINE_KAFKA__SHARE": share} if share else dict(os.environ)
    load(environ=environ)
    os.execve(sys.executable, [sys.executable, "-m", *module(names)], environ)


def module(flows: tuple[str, ...]) -> list[str]:
    """What Python runs; dispatch is no dataflow."""
    if flows == ("dispatch",):
        return ["flows.dispatch"]
    return ["bytewax.run", f"flows.{flows[0]}:flow" if len(flows) == 1 else f"flows.together:flow{flows!r}"]


@app.command()
def customer(
    id: Annotated[str, typer.Argument(help="A customer id, or an identifier: card:123, phone:+8613800138000, ...")],
    at: Annotated[str | None, typer.Option(help="RFC 3339 time or epoch ms; default: now.")] = None,
) -> None:
    """Shows what is known of a customer, with all features as of a time.

    Example: `brewline customer card:123 --at 2026-05-01T12:00:00+08:00`
    """
    from brewline.profile import show_customer

    show_customer(load(), id, _moment(at), out)


@app.command()
def why(
    id: Annotated[str, typer.Argument(help="A customer id, or an identifier: card:123, phone:+8613800138000, ...")],
    rule: Annotated[str, typer.Option(help="Also why this rule would fire now, or would not.")] = "",
    at: Annotated[str | None, typer.Option(help="RFC 3339 time or epoch ms instead of now, with --rule.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Explains what was decided for a customer: what each rule saw, and what stood in the way.

    Example: `brewline why card:123 --rule winback-14d`
    """
    from brewline.why import show_why

    show_why(load(), id, rule, _moment(at), json, out)


@app.command()
def forget(
    id: Annotated[str, typer.Argument(help="A customer id, or an identifier: card:123, phone:+8613800138000, ...")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erases a customer for good, and proves it by a scan of all that Redis holds. The customers flow must be running.

    Example: `brewline forget card:123 --yes`
    """
    from brewline.forget import forget_customer

    sys.exit(forget_customer(load(), id, out, (lambda question: True) if yes else typer.confirm))


@app.command()
def campaigns(json: JsonFile = None) -> None:
    """Shows what each campaign with a file may still spend, and how fast it does.

    Example: `brewline campaigns --json out/campaigns.json`
    """
    from brewline.campaigns import show_campaigns
    from brewline.results import write_json

    write_json(json, {"campaigns": show_campaigns(load(), out)})


@app.command()
def doctor() -> None:
    """Checks settings, rules, Kafka, Redis and gateways, and says how to mend what is wrong.

    Example: `BREWLINE_KAFKA__BROKERS=host:9092 brewline doctor`
    """
    from brewline.doctor import examine

    sys.exit(examine(load(), out))


@rules_app.command("check")
def rules_check() -> None:
    """Loads every rule and says what is wrong with it, with file and line.

    Example: `brewline rules check`
    """
    from brewline.rules import check_rules

    sys.exit(check_rules(load(), out))


@rules_app.command("test")
def rules_test(json: JsonFile = None) -> None:
    """Runs the timelines of every rule.

    Example: `brewline rules test --json out/rules.json`
    """
    from brewline.results import write_json
    from brewline.rules import run_rule_tests

    figures, failed = run_rule_tests(load(), out)
    write_json(json, figures)
    sys.exit(1 if failed else 0)


From = Annotated[str | None, typer.Option("--from", help="RFC 3339 time or epoch ms; default: the beginning.")]
To = Annotated[str | None, typer.Option("--to", help="RFC 3339 time or epoch ms, excluded; default: the end.")]
HISTORIES = "completejourney, cdnow, kafka, FILE.parquet, FILE.ndjson, or a folder of exported files."


@rules_app.command("backtest")
def rules_backtest(
    rules: Annotated[list[str] | None, typer.Argument(help="Ids of rules, or files of drafts.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All rules of the configured folder.")] = False,
    from_: From = None,
    to: To = None,
    against: Annotated[list[str] | None, typer.Option(help="Another rule to run beside; may be repeated.")] = None,
    history: Annotated[str, typer.Option(help=HISTORIES)] = "kafka",
    assume_consent: Annotated[bool, typer.Option("--assume-consent", help="As if all had consented.")] = False,
    scores: Annotated[
        Literal["none", "now"], typer.Option(help="`now`: by the models that Redis has published now.")
    ] = "none",
    json: JsonFile = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the figures: F.html, F.svg, or F.png.")] = None,
) -> None:
    """Says what rules would have done with a past: whom they reach, what they cost, where they overlap. Sends nothing.

    Example: `brewline rules backtest winback-14d --history completejourney`; a draft beside the rule it may replace:
    `brewline rules backtest draft.toml --against winback-14d --history may.parquet --plot draft.html`; all of them:
    `brewline rules backtest --all --from 2026-05-01T00:00:00+08:00 --json out/rules.json`
    """
    from brewline.backtests.choice import choose, span_of
    from brewline.backtests.command import Asked, backtest
    from brewline.backtests.plot import check_plot

    settings = load()
    tried = choose(settings, rules or [], against or [], every, span_of(from_, to))
    check_plot(plot)
    backtest(settings, tried, Asked(history, assume_consent, json, plot, scores), out)


@history_app.command("export")
def history_export(
    to_file: Annotated[Path, typer.Option("--out", help="The file to write: F.parquet.")],
    from_: From = None,
    to: To = None,
    history: Annotated[str, typer.Option(help=HISTORIES)] = "kafka",
) -> None:
    """Writes clean events as columns, from the topic `events` or another history, for back-tests that parse no JSON.

    Example: `brewline history export --out may.parquet --from 2026-05-01T00:00:00+08:00`;
    `brewline history export --history completejourney --out year.parquet`
    """
    from brewline.histories.export import export_history

    export_history(load(), history, to_file, from_, to, out)


@app.command()
def replay(
    history: Annotated[str, typer.Argument(help="completejourney, cdnow, or a .parquet or .ndjson file of events.")],
    speed: Annotated[str, typer.Option(help="`1000x`, or `max`.")] = "max",
    verify: Annotated[int, typer.Option(help="Compare this many customers with a brute-force count.", min=0)] = 0,
    restart: Annotated[
        bool, typer.Option(help="Send from the beginning, not from where a former run stopped.")
    ] = False,
    json: JsonFile = None,
) -> None:
    """Sends a real history through Kafka, as live events, and waits until the flows have applied it.

    Example: `brewline replay completejourney --speed max --verify 200`
    """
    from brewline.catch_up import replay_history

    sys.exit(replay_history(load(), history, _speed(speed), verify, restart, json, out))


def _speed(text: str) -> float | None:
    """Stream seconds per second; None is as fast as possible."""
    if text == "max":
        return None
    try:
        value = float(text.removesuffix("x"))
    except ValueError:
        value = 0.0
    if value <= 0:
        raise ValueError(f"--speed: found {text!r}, expected `max` or a factor such as `1000x`")
    return value


def _moment(text: str | None) -> int:
    """Epoch ms of what was typed; now when nothing was."""
    if text is None:
        return round(datetime.now(timezone.utc).timestamp() * 1000)
    return parse_time(int(text) if text.isdigit() else text)


def main() -> Any:
    """Runs the command; a foreseen error is one plain line, not a traceback."""
    try:
        app()
    except (ValueError, Unreachable, RedisError) as error:
        sys.exit(f"brewline: {error}")
