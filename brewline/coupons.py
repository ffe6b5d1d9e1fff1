"""A customer's coupons: their states as of a time, whether a till would take one, and taking one back."""

from __future__ import annotations

import time
from typing import Any

import orjson
from confluent_kafka import KafkaException
from msgspec.structs import replace
from redis import Redis
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from alerts.coupons.check import Attempt, judge, state
from alerts.coupons.code import Codes, Forged, serial_of
from alerts.coupons.lifecycle import under_review
from brewline.reading import Features
from config.settings import Settings
from features import events as e
from features.record import Coupon, Ledger
from features.times import DAY_MS, rfc3339
from flows.files import load_stores
from flows.keys import load_codes, load_pseudonyms
from operators.customers import find_customer, read_current
from operators.kafka import Unreachable, producer, require_kafka
from operators.redis_link import connect_redis
from operators.store import PartitionStore

TIMES = ("delivered", "opened", "redeemed", "revoked")
WAIT_S = 10.0
LOOK_S = 0.05


class Wallet:
    """The coupons of one customer, as they are stored. Raises UnknownCustomer, Unreachable, NoState, WrongLayout."""

    def __init__(self, settings: Settings, id: str) -> None:
        self.settings, self.prefix = settings, settings.redis.prefix
        self.redis: Redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
        self.features = Features(settings, self.redis)
        pseudonyms = load_pseudonyms(settings) if ":" in id else None
        self.customer = find_customer(self.redis, self.prefix, pseudonyms, id)

    def ledger(self) -> Ledger:
        self.customer, raw = read_current(self.redis, self.prefix, self.customer)
        return self.features.unpacked(raw).ledger

    def now_ms(self) -> int:
        """In replays, as far as time has come there."""
        store = PartitionStore(self.redis, self.prefix, "customers")
        clocks = [store.position(partition).clock.now_ms for partition in range(self.features.partitions)]
        replayed = self.settings.time.clock == "event" and max(clocks) > 0
        return max(clocks) if replayed else round(time.time() * 1000)


def show_coupons(settings: Settings, id: str, at_ms: int, as_json: bool, out: Console) -> None:
    """Prints those issued until then, the latest first."""
    wallet = Wallet(settings, id)
    coupons = [coupon for coupon in wallet.ledger().coupons.values() if coupon.issued_ms <= at_ms]
    coupons.sort(key=lambda coupon: coupon.issued_ms, reverse=True)
    if as_json:
        told = [{"state": state(coupon, at_ms), **_plain(coupon)} for coupon in coupons]
        _print({"customer": wallet.customer, "coupons": told}, out)
        return
    names = ("coupon", "rule", "worth", "state", "issued", "expires", "since", Column("decision", overflow="fold"))
    table = Table(*names, box=SIMPLE_HEAD, title=f"{wallet.customer} as of {rfc3339(at_ms)}")
    for coupon in coupons:
        times = (_minute(coupon.issued_ms), _minute(coupon.expires_ms), _since(coupon, at_ms))
        told = (coupon.name, coupon.rule, _worth(coupon), state(coupon, at_ms), *times, coupon.decision)
        table.add_row(*map(escape, told))
    nothing = f"{wallet.customer} has no coupons as of {rfc3339(at_ms)}"
    out.print(table if coupons else nothing, highlight=False)


def check_coupon(settings: Settings, id: str, asked: Attempt, as_json: bool, out: Console) -> int:
    """The exit code: 0 where a till may take it. Without a customer, only signature and last day are looked at."""
    codes = load_codes(settings)
    if codes is None:
        raise ValueError("there is no key to check codes with: set BREWLINE_COUPON_KEY, or [coupons] key_file")
    if id:
        ledger = Wallet(settings, id).ledger()
        region, _ = load_stores(settings).place(asked.store)
        held = under_review(ledger, asked.at_ms)
        reason, coupon = judge(codes, ledger, replace(asked, region=region, held=held))
    else:
        reason, coupon = _alone(codes, asked.code, asked.at_ms), None
    if as_json:
        _print({"ok": not reason, "reason": reason, "coupon": _plain(coupon) if coupon else None}, out)
    else:
        said = f"no: {reason}" if reason else _yes(codes, asked.code, coupon)
        out.print(said, highlight=False, soft_wrap=True, markup=False)
    return 1 if reason else 0


def revoke_coupon(settings: Settings, id: str, named: str, reason: str, out: Console) -> int:
    """Sends the word, and waits until the customers flow has done so; the exit code."""
    wallet, codes = Wallet(settings, id), load_codes(settings)
    coupon = _find(wallet.ledger(), codes, named)
    now_ms = wallet.now_ms()
    found = state(coupon, now_ms)
    if found in ("redeemed", "expired", "revoked"):
        out.print(f"nothing to take back: it is {found}", highlight=False)
        return 1
    require_kafka(settings.kafka.librdkafka(), settings.kafka.start_timeout_s)
    word = e.CouponRevoked(
        id=f"{coupon.decision}/revoked/{now_ms}",
        customer=wallet.customer,
        at_ms=now_ms,
        coupon=coupon.decision,
        reason=reason,
    )
    _send(settings, word)
    end_s = time.monotonic() + WAIT_S
    while time.monotonic() < end_s:
        if _find(wallet.ledger(), codes, coupon.decision).revoked_ms:
            said = f"revoked: {coupon.name} of {coupon.rule}, decision {coupon.decision}"
            out.print(said, highlight=False, markup=False)
            return 0
        time.sleep(LOOK_S)
    out.print("the word is in Kafka and will be heard; start the flow with `brewline run customers`", highlight=False)
    return 1


def _send(settings: Settings, event: e.CouponRevoked) -> None:
    """To the clean topic. Raises Unreachable."""
    failed: list[Any] = []
    sender = producer(settings.kafka.librdkafka())
    try:
        sender.produce(
            settings.topic("events"),
            e.encode(event),
            event.customer,
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )
    except (BufferError, KafkaException) as error:
        failed.append(error)
    if sender.flush(WAIT_S) or failed:
        raise Unreachable("Kafka did not take the word that revokes the coupon; the same command may be given again")


def _find(ledger: Ledger, codes: Codes | None, named: str) -> Coupon:
    """By code or by decision. Raises ValueError."""
    signed = codes.read(named) if codes else None
    coupon = ledger.coupons.get(signed.serial if signed else serial_of(named))
    if coupon is None or not (signed or coupon.decision == named):
        raise ValueError(
            "the customer has no such coupon: give its code, or the decision as `brewline coupons list` does"
        )
    return coupon


def _alone(codes: Codes, code: str, at_ms: int) -> str:
    """What a till without a network can say against a code."""
    try:
        signed = codes.read(code)
    except Forged:
        return "forged"
    return "unknown" if signed is None else "expired" if signed.over(at_ms) else ""


def _yes(codes: Codes, code: str, coupon: Coupon | None) -> str:
    if coupon is not None:
        return f"yes: {coupon.name}, {_worth(coupon)}, until {_minute(coupon.expires_ms)}"
    signed = codes.read(code)
    last = rfc3339(signed.last_day * DAY_MS)[:10] if signed else ""
    return f"genuine, until {last} at the latest; whether it is unused and whose, tell with --customer"


def _print(told: dict[str, Any], out: Console) -> None:
    shown = orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()
    out.print(shown, soft_wrap=True, highlight=False, markup=False)


def _plain(coupon: Coupon) -> dict[str, Any]:
    return {name: getattr(coupon, name) for name in coupon.__struct_fields__}


def _worth(coupon: Coupon) -> str:
    if coupon.percent:
        return f"{coupon.percent} %, at most {coupon.at_most_cents / 100:.2f}"
    return f"{coupon.face_value_cents / 100:.2f}"


def _since(coupon: Coupon, at_ms: int) -> str:
    """When it came to the state that it is in."""
    name = state(coupon, at_ms)
    return _minute(getattr(coupon, f"{name}_ms")) if name in TIMES else ""


def _minute(at_ms: int) -> str:
    return rfc3339(at_ms)[:16]
