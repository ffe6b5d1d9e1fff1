"""The command line of Brewline: `brewline --help` lists the commands."""

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

from brewline.models.command import models_app
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
coupons_app = typer.Typer(
    no_args_is_help=True, help="What became of coupons.\n\nExample: `brewline coupons list card:123`"
)
app.add_typer(coupons_app, name="coupons")
reviews_app = typer.Typer(
    invoke_without_command=True,
    help="Cases of possible abuse: show them, release or confirm one.\n\nExample: `brewline reviews --open`",
)
app.add_typer(reviews_app, name="reviews")
app.add_typer(models_app, name="models")
out = Console()

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")]


class Flow(str, Enum):
    ingest = "ingest"
    customers = "customers"
    kpis = "kpis"
    security = "security"
    learning = "learning"
    service = "service"
    abuse = "abuse"
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
def suppress(
    id: Annotated[
        str, typer.Argument(help="A customer id, or an identifier: card:123, phone:+8613800138000, ...")
    ] = "",
    reason: Annotated[str, typer.Option(help="Why, in a word; with --lift, for that reason only.")] = "",
    until: Annotated[str | None, typer.Option(help="RFC 3339 time or epoch ms; default: until it is lifted.")] = None,
    lift: Annotated[bool, typer.Option("--lift", help="The customer gets again what there is.")] = False,
    file: Annotated[
        Path | None, typer.Option(help="One customer a line, as above; what follows a comma is left.")
    ] = None,
) -> None:
    """Keeps all coupons and messages from a customer, or from all of a file, from now on.

    Example: `brewline suppress card:123 --reason complaint --until 2026-06-01T00:00:00+08:00`;
    `brewline suppress card:123 --lift`; `brewline suppress --file list.csv --reason vip`
    """
    from brewline.suppress import Word, suppress_customers

    word = Word(reason, _moment(until) if until else 0, lift)
    sys.exit(suppress_customers(load(), [id] if id else [], file, word, out))


@app.command()
def campaigns(json: JsonFile = None) -> None:
    """Shows what each campaign with a file may still spend, and how fast it does.

    Example: `brewline campaigns --json out/campaigns.json`
    """
    from brewline.campaigns import show_campaigns
    from brewline.results import write_json

    write_json(json, {"campaigns": show_campaigns(load(), out)})


@reviews_app.callback()
def reviews(
    context: typer.Context,
    waiting: Annotated[bool, typer.Option("--open", help="Only cases that wait for a human.")] = False,
    json: JsonFile = None,
) -> None:
    """Shows cases of possible abuse, those that wait for a human first.

    Example: `brewline reviews --open --json out/reviews.json`; then `brewline reviews release CASE` or
    `brewline reviews confirm CASE`
    """
    from brewline.results import write_json
    from brewline.reviews import show_cases

    if context.invoked_subcommand is None:
        write_json(json, {"reviews": show_cases(load(), waiting, out)})


Case = Annotated[str, typer.Argument(help="Id of the case, as `brewline reviews` shows it.")]
By = Annotated[str, typer.Option(help="Who decides; default: whoever is logged in.")]


@reviews_app.command("release")
def reviews_release(case: Case, by: By = "") -> None:
    """Lets the customers of a case go: nothing was wrong.

    Example: `brewline reviews release 0f3a5c7d9e1b2a4c`
    """
    from brewline.reviews import decide_case

    decide_case(load(), case, "released", by, out)


@reviews_app.command("confirm")
def reviews_confirm(case: Case, by: By = "") -> None:
    """Confirms a case: its customers stay suppressed without end.

    Example: `brewline reviews confirm 0f3a5c7d9e1b2a4c --by anna`
    """
    from brewline.reviews import decide_case

    decide_case(load(), case, "confirmed", by, out)


@app.command()
def arms(
    rule: Annotated[str, typer.Argument(help="Only this rule.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Shows what the arms of rules have brought, how sure that is, and how likely each is drawn now.

    Example: `brewline arms winback-14d`
    """
    from brewline.arms import show_arms

    show_arms(load(), rule, json, out)


@app.command()
def tickets(
    only_open: Annotated[bool, typer.Option("--open", help="Only those that are not closed.")] = False,
    customer: Annotated[str, typer.Option(help="Only those of a customer: an id, or card:123, ...")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """Lists complaints, low ratings and enquiries, with the time that is left of what was promised.

    Example: `brewline tickets --open`; `brewline tickets --customer card:123 --json`
    """
    from brewline.tickets import show_tickets

    show_tickets(load(), only_open, customer, json, out)


@app.command()
def doctor() -> None:
    """Checks settings, rules, Kafka, Redis and gateways, and says how to mend what is wrong.

    Example: `BREWLINE_KAFKA__BROKERS=host:9092 brewline doctor`
    """
    from brewline.doctor import examine

    sys.exit(examine(load(), out))


CUSTOMER = "A customer id, or an identifier: card:123, phone:+8613800138000, ..."
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
At = Annotated[str | None, typer.Option(help="RFC 3339 time or epoch ms; default: now.")]


@coupons_app.command("list")
def coupons_list(id: Annotated[str, typer.Argument(help=CUSTOMER)], at: At = None, json: AsJson = False) -> None:
    """Lists a customer's coupons with the state they are in as of a time.

    Example: `brewline coupons list card:123 --at 2026-05-01T12:00:00+08:00`
    """
    from brewline.coupons import show_coupons

    show_coupons(load(), id, _moment(at), json, out)


@coupons_app.command("check")
def coupons_check(
    code: Annotated[str, typer.Argument(help="As the customer shows it.")],
    customer: Annotated[str, typer.Option(help=f"{CUSTOMER} Without it, no Redis is asked.")] = "",
    store: Annotated[str, typer.Option(help="Where.")] = "",
    total_cents: Annotated[int, typer.Option(help="Of the order, before the coupon.", min=0)] = 0,
    at: At = None,
    json: AsJson = False,
) -> None:
    """Says whether a till would take a coupon, and why not. Uses nothing up; exit code 1 is no.

    Example: `brewline coupons check 7Q2M-X0KD-R4TB-9WZC-M3HA --customer card:123 --store sh-0001`
    """
    from alerts.coupons.check import Attempt
    from brewline.coupons import check_coupon

    asked = Attempt(code, _moment(at), store, total_cents=total_cents)
    sys.exit(check_coupon(load(), customer, asked, json, out))


@coupons_app.command("revoke")
def coupons_revoke(
    id: Annotated[str, typer.Argument(help=CUSTOMER)],
    coupon: Annotated[str, typer.Argument(help="Its code, or the id of its decision.")],
    reason: Annotated[str, typer.Option(help="Told with the verdict.")] = "",
) -> None:
    """Takes back a coupon that was not used yet. The customers flow must be running.

    Example: `brewline coupons revoke card:123 5f0c83f0a7d14f0c9b6e2d41 --reason "sent by mistake"`
    """
    from brewline.coupons import revoke_coupon

    sys.exit(revoke_coupon(load(), id, coupon, reason, out))


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
