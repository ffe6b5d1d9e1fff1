"""A customer on one screen: features as of a time, consent, recent coupons."""

from __future__ import annotations

from zlib import crc32

from rich.console import Console
from rich.table import Table

from brewline.reading import Features
from config.settings import Settings
from features.record import decode_record
from features.times import rfc3339
from flows.files import load_pseudonyms
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
    table = Table("measure", *catalog.windows, title=f"{customer} as of {rfc3339(at_ms)}")
    for measure in catalog.measures:
        table.add_row(measure, *(f"{row[f'{measure}_{window}']:,.0f}" for window in catalog.windows))
    out.print(table)
    others = Table("feature", "value")
    for name in catalog.names[len(catalog.measures) * len(catalog.windows) :]:
        others.add_row(name, "–" if row[name] is None else f"{row[name]:,.3f}")
    out.print(others)
    record = decode_record(raw, int(catalog.layout, 16), len(catalog.measures))
    purposes = {crc32(name.encode()): name for name in (settings.coupons.require_consent, "marketing", "profiling")}
    for purpose, (since_ms, granted) in record.consent.items():
        name = purposes.get(purpose, f"purpose {purpose:08x}")
        out.print(f"consent to {name}: {'yes' if granted else 'no'}, since {rfc3339(since_ms)}")
    for rule, fired_ms in sorted(record.ledger.fired_ms.items()):
        out.print(f"last coupon of {rule}: {rfc3339(fired_ms)}")
