"""Prints why a customer got a coupon or did not."""

from __future__ import annotations

from msgspec import Struct
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alerts.triggers.receipts import spoken
from alerts.triggers.receipts.clauses import Truth
from alerts.triggers.receipts.explain import Line, Outlook, Score, Told
from alerts.triggers.receipts.spoken import arm, moment

HELD = {True: "[green]yes[/]", False: "[red]no[/]", None: "[yellow]unknown[/]"}


class Why(Struct):
    """All that can be said; `rule` if one was asked for."""

    customer: str
    zone: str
    at_ms: int
    decisions: list[Told]
    rule: Outlook | None = None


def show(why: Why, out: Console) -> None:
    say(out, f"[bold]{why.customer}[/]; times are those of {why.zone}")
    if why.rule:
        _show_outlook(why.rule, why.zone, out)
    say(out, f"\n[bold]decisions, the newest first: {len(why.decisions) or 'none is kept'}[/]")
    for told in why.decisions:
        _show_decision(told, why.zone, out)


def say(out: Console, text: str) -> None:
    out.print(text, highlight=False, soft_wrap=True)


def _show_outlook(rule: Outlook, zone: str, out: Console) -> None:
    say(out, f"\n[bold]{rule.rule}[/] as of {moment(rule.at_ms, zone)}: [bold]{rule.reason}[/]")
    say(out, f"  {escape(rule.name or rule.rule)}; gives {escape(rule.gift)}")
    say(out, f"  looks {rule.looks}{_next_look(rule, zone)}")
    out.print(_clauses(rule.clauses, "now"))
    table = Table("open", "on the way to the coupon", box=box.SIMPLE_HEAD)
    for barrier in rule.barriers:
        table.add_row(HELD[barrier.is_open], barrier.words)
    out.print(table)
    _show_scores(rule.scores, out)
    for change in rule.to_change:
        say(out, f"  [bold]would have to change:[/] {escape(change)}")


def _next_look(rule: Outlook, zone: str) -> str:
    if rule.due_ms:
        return f"; the next time {moment(rule.due_ms, zone)}, unless another one starts the wait anew"
    return "; what that event itself adds is not counted below" if "at each" in rule.looks else "; no wait runs now"


def _show_decision(told: Told, zone: str, out: Console) -> None:
    gift = f" {escape(told.gift)}" if told.gift else ""
    say(out, f"\n[bold]{moment(told.at_ms, zone)}  {told.rule}[/]{gift}: [bold]{escape(told.reason)}[/]")
    if told.brake:
        say(out, f"  {escape(spoken.brake(told.brake, zone))}")
    if until := told.until_ms:
        say(out, f"  until {moment(until, zone)}")
    if sent := spoken.sent(told.send_ms, told.send_why, zone):
        say(out, f"  {sent}")
    clock = f"stood at {moment(told.clock_ms, zone)}" if told.clock_ms else "did not run yet"
    say(out, f"  by {escape(told.cause)}; the partition's clock {clock}")
    say(out, f"  rule file {told.rule_file} (version {told.rule_version})")
    if told.arm:
        say(out, f"  {arm(told.arm)}")
    if told.clauses:
        out.print(_clauses(told.clauses, "then"))
    else:
        say(out, "  what the rule saw then cannot be told any more")
    _show_scores(told.scores, out)
    group = "of the holdout group" if told.holdout else "not of the holdout group"
    quiet = f"; the rule was quiet until {moment(told.cooldown_until_ms, zone)}" if told.cooldown_until_ms else ""
    say(out, f"  {told.coupons_in_cap_window} of {told.cap} coupons within the cap's window; {group}{quiet}")
    if told.channel_cap:
        say(out, f"  {told.on_channel} of {told.channel_cap} messages within the window of its channel's cap")


def _clauses(lines: list[Line], when: str) -> Table:
    table = Table("holds", "clause", when, "needs", box=box.SIMPLE_HEAD)
    for line in lines:
        table.add_row(_held(line.holds), escape(line.clause), escape(line.found), escape(line.needs))
    return table


def _held(holds: Truth) -> str:
    return HELD[holds]


def _show_scores(scores: dict[str, Score], out: Console) -> None:
    for name, score in scores.items():
        moved = ", ".join(f"{feature} {added:+.2f}" for feature, added in score.terms.items())
        value = "without a value" if score.value is None else f"{score.value:.2f}"
        by = f" (version {score.version})" if score.version else ""
        say(out, f"  {name} {value}{by}{f'; moved most by {moved}' if moved else ''}")
