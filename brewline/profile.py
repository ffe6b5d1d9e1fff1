"""A customer on one screen: features as of a time, consent, recent coupons."""

from __future__ import annotations

from zlib import crc32

from rich.console import Console
from rich.table import Table

from brewline.reading import Features
from config.settings import Settings
from features.suppression import suppression
from features.times import rfc3339
from flows.keys import load_pseudonyms
from operators.customers import find_customer, read_record
from operators.redis_link import connect_redis


def show_customer(settings: Settings, id: str, at_ms: int, out: Console) -> None:
    """Prints the profile. Raises UnknownCustomer, Unreachable, NoState, WrongLayout."""
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    features = Features(settings, redis)
    catalog = features.catalog
    pseudonyms = load_pseudonyms(settings) if ":" in id else None
    customer = find_customer(redis, settings.redis.prefix, pseudonyms, id)
    raw = read_record(redis, settings.redis.prefix, customer)
    row = features.rows([customer], features.core.rows({customer: raw}, at_ms))[customer]
    table = Table("measure", *catalog.windows, "since", title=f"{customer} as of {rfc3339(at_ms)}")
    for measure in (measure for measure in catalog.measures if measure.windows):
        cells = [_plain(row.get(f"{measure.name}_{window}", ""), 0) for window in catalog.windows]
        table.add_row(measure.name, *cells, _since(features, f"{measure.name}_{measure.windows[0]}"))
    out.print(table)
    others = Table("feature", "value", "since")
    for name in catalog.names[len(catalog.columns) :]:
        others.add_row(name, _plain(row[name], 3), _since(features, name))
    out.print(others)
    record = features.unpacked(raw)
    purposes = {crc32(name.encode()): name for name in (settings.coupons.require_consent, "marketing", "profiling")}
    for purpose, (since_ms, granted) in record.consent.items():
        name = purposes.get(purpose, f"purpose {purpose:08x}")
        out.print(f"consent to {name}: {'yes' if granted else 'no'}, since {rfc3339(since_ms)}")
    if found := suppression(record.ledger, at_ms):
        until = f"until {rfc3339(found[1])}" if found[1] else "until it is lifted"
        out.print(f"suppressed for {found[0]}, {until}", markup=False)
    for rule, fired_ms in sorted(record.ledger.fired_ms.items()):
        out.print(f"last coupon of {rule}: {rfc3339(fired_ms)}", markup=False)


def _plain(value: float | str | None, digits: int) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:,.{digits}f}"


def _since(features: Features, name: str) -> str:
    """When a feature that was added later began to count."""
    since_ms = features.since_ms(name)
    return rfc3339(since_ms)[:16] if since_ms else ""
