"""A customer on one screen: features as of a time, consent, recent coupons."""

from __future__ import annotations

from zlib import crc32

from msgspec import Struct, json
from rich.console import Console
from rich.table import Table

from brewline.reading import Features, Row
from config.settings import Settings
from features.catalog import Catalog
from features.suppression import suppression
from features.times import rfc3339
from flows.keys import load_pseudonyms
from operators.customers import find_customer, read_record
from operators.redis_link import connect_redis


class Word(Struct):
    """The latest on consent to a purpose."""

    granted: bool
    since_ms: int


class Profile(Struct):
    """What is known of a customer; times are epoch ms. `since_ms`: of features that came later, when they began to
    count; `suppressed`: why, and until when, 0 until it is lifted; `last_coupons`: by rule, the time of the latest."""

    customer: str
    at_ms: int
    features: Row
    since_ms: dict[str, int]
    consent: dict[str, Word]
    suppressed: tuple[str, int] | None
    last_coupons: dict[str, int]


def show_customer(settings: Settings, id: str, at_ms: int, as_json: bool, out: Console) -> None:
    """Prints the profile. Raises UnknownCustomer, Unreachable, NoState, WrongLayout."""
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    features = Features(settings, redis)
    pseudonyms = load_pseudonyms(settings) if ":" in id else None
    customer = find_customer(redis, settings.redis.prefix, pseudonyms, id)
    raw = read_record(redis, settings.redis.prefix, customer)
    profile = _profile(settings, features, customer, raw, at_ms)
    if as_json:
        out.print(json.format(json.encode(profile), indent=2).decode(), markup=False, highlight=False, soft_wrap=True)
    else:
        _show(profile, features.catalog, out)


def _profile(settings: Settings, features: Features, customer: str, raw: bytes, at_ms: int) -> Profile:
    record = features.unpacked(raw)
    purposes = {crc32(name.encode()): name for name in (settings.coupons.require_consent, "marketing", "profiling")}
    return Profile(
        customer=customer,
        at_ms=at_ms,
        features=features.rows([customer], features.core.rows({customer: raw}, at_ms))[customer],
        since_ms={name: since_ms for name in features.names if (since_ms := features.since_ms(name))},
        consent={
            purposes.get(purpose, f"purpose {purpose:08x}"): Word(granted, since_ms)
            for purpose, (since_ms, granted) in record.consent.items()
        },
        suppressed=suppression(record.ledger, at_ms),
        last_coupons=dict(sorted(record.ledger.fired_ms.items())),
    )


def _show(profile: Profile, catalog: Catalog, out: Console) -> None:
    row = profile.features
    since = {name: rfc3339(since_ms)[:16] for name, since_ms in profile.since_ms.items()}
    table = Table("measure", *catalog.windows, "since", title=f"{profile.customer} as of {rfc3339(profile.at_ms)}")
    for measure in (measure for measure in catalog.measures if measure.windows):
        cells = [_plain(row.get(f"{measure.name}_{window}", ""), 0) for window in catalog.windows]
        table.add_row(measure.name, *cells, since.get(f"{measure.name}_{measure.windows[0]}", ""))
    out.print(table)
    others = Table("feature", "value", "since")
    for name in catalog.names[len(catalog.columns) :]:
        others.add_row(name, _plain(row[name], 3), since.get(name, ""))
    out.print(others)
    for purpose, word in profile.consent.items():
        out.print(f"consent to {purpose}: {'yes' if word.granted else 'no'}, since {rfc3339(word.since_ms)}")
    if profile.suppressed:
        reason, until_ms = profile.suppressed
        until = f"until {rfc3339(until_ms)}" if until_ms else "until it is lifted"
        out.print(f"suppressed for {reason}, {until}", markup=False)
    for rule, fired_ms in profile.last_coupons.items():
        out.print(f"last coupon of {rule}: {rfc3339(fired_ms)}", markup=False)


def _plain(value: float | str | None, digits: int) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:,.{digits}f}"
