"""`brewline brake`: campaigns that are paused somewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from brewline.commands.shared import AsJson, out
from brewline.trail import note
from config.settings import load

app = typer.Typer(
    name="brake",
    no_args_is_help=True,
    help="Pause a campaign in a store, and let it go on.\n\nExample: `brewline brake list`",
)
Campaign = Annotated[str, typer.Argument(help="As rules name it.")]
Store = Annotated[str, typer.Option(help="Only in this store; without it and --region, everywhere.")]
Region = Annotated[str, typer.Option(help="Only in this region.")]
By = Annotated[str, typer.Option(help="Who says so: a person's name.")]
Reason = Annotated[str, typer.Option(help="Why; it stands in every receipt.")]


@app.command("list")
def brake_list(
    every: Annotated[bool, typer.Option("--all", help="Also what is over: who has said what, and when.")] = False,
    json: AsJson = False,
) -> None:
    """Lists what is paused, since when, by whom and why.

    Example: `brewline brake list --all --json`
    """
    from brewline.brake import show_brakes

    show_brakes(load(), every, json, out)


@app.command("pause")
def brake_pause(campaign: Campaign, by: By, reason: Reason, store: Store = "", region: Region = "") -> None:
    """Has the rules of a campaign give nothing in a store, in a region or everywhere. The kpis flow must be running.

    Example: `brewline brake pause winback --store sh-0001 --by anna --reason "a till takes coupons twice"`
    """
    from brewline.brake import pause

    _say(pause, "brake_pause", campaign, by, reason, store, region)


@app.command("resume")
def brake_resume(campaign: Campaign, by: By, reason: Reason, store: Store = "", region: Region = "") -> None:
    """Lets a campaign go on where it is paused. The kpis flow must be running.

    Example: `brewline brake resume winback --store sh-0001 --by anna --reason "the till is mended"`
    """
    from brewline.brake import resume

    _say(resume, "brake_resume", campaign, by, reason, store, region)


def _say(word: Callable[..., str], action: str, campaign: str, by: str, reason: str, store: str, region: str) -> None:
    from brewline.brake import place_of

    settings, by = load(), _named(by)
    place, why = place_of(store, region), _said(reason)
    note(settings, action, f"campaign {campaign}", by=by)
    out.print(word(settings, campaign, place, by, why), soft_wrap=True, markup=False)


def _named(by: str) -> str:
    from alerts.triggers.brake import ALARM

    if not by.strip() or by.strip() == ALARM:
        raise ValueError(f"--by: found {by!r}, expected the name of a person, such as --by anna")
    return by.strip()


def _said(reason: str) -> str:
    if not reason.strip():
        raise ValueError('--reason: found nothing, expected why, such as --reason "a till takes coupons twice"')
    return reason.strip()
