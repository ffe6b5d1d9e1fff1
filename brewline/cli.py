"""The command line of Brewline: `brewline --help` lists the commands."""

from __future__ import annotations

import os
import sys
from enum import Enum
from typing import Annotated, Any

import typer

from brewline.commands import (
    alerts,
    audit,
    board,
    brake,
    coupons,
    customers,
    history,
    kpis,
    letters,
    models,
    past,
    reviews,
    rules,
    sigma,
    state,
)
from brewline.commands.shared import AsJson, JsonFile, JsonOut, WithJson, beside, out
from brewline.foreseen import FORESEEN, line_of
from brewline.paths import from_here
from brewline.trail import AS, PURPOSE, about, note
from config.settings import load

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Brewline: the real-time engine of a tea or restaurant chain's customer work.\n\nExample: `brewline demo`",
)
for group in (rules, history, coupons, reviews, models, letters, sigma, alerts, brake, audit):
    app.add_typer(group.app)
app.add_typer(board.users)
THREADED = ("dispatch", "notify")  # no dataflows


@app.callback()
def whoever(
    as_: Annotated[str, typer.Option("--as", help="Who gives the command; default: BREWLINE_AS, or the login.")] = "",
    purpose: Annotated[str, typer.Option(help="What it is for; default: BREWLINE_PURPOSE.")] = "",
) -> None:
    """Tells the audit trail who reads or takes what, and why."""
    os.environ.update({name: value for name, value in ((AS, as_), (PURPOSE, purpose)) if value})


class Flow(str, Enum):
    ingest = "ingest"
    customers = "customers"
    kpis = "kpis"
    security = "security"
    learning = "learning"
    service = "service"
    abuse = "abuse"
    dispatch = "dispatch"
    notify = "notify"


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

    sys.exit(run_demo(duration, speed, seed, json, beside(json)))


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
    if len(names) > 1 and (alone := [name for name in names if name in THREADED]):
        raise ValueError(f"run: found {alone[0]} beside other flows, expected it alone: it needs a process of its own")
    environ = {**os.environ, "BREWLINE_KAFKA__SHARE": share} if share else dict(os.environ)
    load(environ=environ)
    os.execve(sys.executable, [sys.executable, "-m", *module(names)], environ)


def module(flows: tuple[str, ...]) -> list[str]:
    """What Python runs; dispatch and notify are no dataflows."""
    if flows[0] in THREADED:
        return [f"flows.{flows[0]}"]
    return ["bytewax.run", f"flows.{flows[0]}:flow" if len(flows) == 1 else f"flows.together:flow{flows!r}"]


for command in (customers.customer, customers.why, customers.forget, customers.suppress):
    app.command()(command)
app.command()(board.board)
app.command("training-set")(models.training_set)
for command in (past.cohorts, past.attribution, kpis.kpis, kpis.demand):
    app.command()(command)


@app.command(cls=WithJson)
def campaigns(json: JsonOut = None) -> None:
    """Shows what each campaign with a file may still spend, and how fast it does.

    Example: `brewline campaigns --json out/campaigns.json`
    """
    from brewline.campaigns import show_campaigns
    from brewline.results import write_json

    write_json(json, {"campaigns": show_campaigns(load(), beside(json))})


@app.command()
def arms(
    rule: Annotated[str, typer.Argument(help="Only this rule.")] = "",
    json: AsJson = False,
) -> None:
    """Shows what coupons and the arms of rules have brought, over who got nothing, and how sure that is.

    Example: `brewline arms winback-14d`
    """
    from brewline.arms import show_arms

    show_arms(load(), rule, json, out)


@app.command()
def tickets(
    only_open: Annotated[bool, typer.Option("--open", help="Only those on which something is owed.")] = False,
    customer: Annotated[str, typer.Option(help="Only those of a customer: an id, or card:123, ...")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """Lists complaints, low ratings and enquiries, with the time that is left of what was promised.

    Example: `brewline tickets --open`; `brewline tickets --customer card:123 --json`
    """
    from brewline.tickets import show_tickets

    settings = load()
    note(settings, "view", about(settings, customer) if customer else "tickets")
    show_tickets(settings, only_open, customer, json, out)


@app.command()
def doctor() -> None:
    """Checks settings, rules, Kafka, Redis, gateways and sinks, and says how to mend what is wrong.

    Example: `BREWLINE_KAFKA__BROKERS=host:9092 brewline doctor`
    """
    from brewline.doctor import examine

    sys.exit(examine(load(), out))


for command in (state.status, state.backup, state.restore):
    app.command()(command)


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

    sys.exit(replay_history(load(), history, _speed(speed), verify, restart, json, beside(json)))


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


def main() -> Any:
    """Runs the command; a foreseen error is one plain line, not a traceback."""
    try:
        app()
    except FORESEEN as error:
        sys.exit(from_here(f"brewline: {line_of(error)}"))
