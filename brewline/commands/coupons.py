"""`brewline coupons`: what became of coupons."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from brewline.commands.shared import CUSTOMER, AsJson, At, moment, out
from brewline.trail import about, note
from config.settings import load

app = typer.Typer(
    name="coupons", no_args_is_help=True, help="What became of coupons.\n\nExample: `brewline coupons list card:123`"
)


@app.command("list")
def coupons_list(id: Annotated[str, typer.Argument(help=CUSTOMER)], at: At = None, json: AsJson = False) -> None:
    """Lists a customer's coupons with the state they are in as of a time.

    Example: `brewline coupons list card:123 --at 2026-05-01T12:00:00+08:00`
    """
    from brewline.coupons import show_coupons

    at_ms, settings = moment(at), load()
    note(settings, "view", about(settings, id), 1)
    show_coupons(settings, id, at_ms, json, out)


@app.command("check")
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

    asked = Attempt(code, moment(at), store, total_cents=total_cents)
    settings = load()
    if customer:
        note(settings, "view", about(settings, customer), 1)
    sys.exit(check_coupon(settings, customer, asked, json, out))


@app.command("revoke")
def coupons_revoke(
    id: Annotated[str, typer.Argument(help=CUSTOMER)],
    coupon: Annotated[str, typer.Argument(help="Its code, or the id of its decision.")],
    reason: Annotated[str, typer.Option(help="Told with the verdict.")] = "",
) -> None:
    """Takes back a coupon that was not used yet. The customers flow must be running.

    Example: `brewline coupons revoke card:123 5f0c83f0a7d14f0c9b6e2d41 --reason "sent by mistake"`
    """
    from brewline.coupons import revoke_coupon

    settings = load()
    note(settings, "coupon_revoke", about(settings, id), 1)
    sys.exit(revoke_coupon(settings, id, coupon, reason, out))
