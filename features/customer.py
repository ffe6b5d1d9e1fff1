"""What an event does to a customer's record, and the feature row as of a time."""

from __future__ import annotations

from typing import Any

from features import events as e
from features.catalog import Catalog, Effect
from features.record import Record, remember
from features.seen import id_hash
from features.times import DAY_MS
from features.windows import add, forget_old_panes, window_sums

NAN = float("nan")
DEALS = {"order", "refund", "void", "coupon_issued", "coupon_redeemed", "coupon_expired"}


def apply_event(record: Record, event: e.Event, catalog: Catalog) -> bool:
    """Updates the record; False (and nothing changed) when this event was applied before."""
    kind = e.kind_of(event)
    if not remember(record, id_hash(event.id), deal=kind in DEALS):
        return False
    record.tz = event.tz or record.tz
    for effect in catalog.effects.get(kind, ()):
        at_ms, day = (event.ordered_ms, event.ordered_day) if effect.undo else (event.at_ms, event.day)  # type: ignore[attr-defined]
        add(record, effect.measure, effect.sign * _amount(event, effect), at_ms, day)
    newest_ms = max(event.at_ms, *record.last_ms.values()) if record.last_ms else event.at_ms
    record.last_ms[kind] = max(event.at_ms, record.last_ms.get(kind, 0))
    if kind == "order":
        record.first_order_ms = min(record.first_order_ms or event.at_ms, event.at_ms)
    elif isinstance(event, e.Complaint):
        record.complaints.append(event.case)
    elif isinstance(event, e.ComplaintAnswered) and event.closed and event.case in record.complaints:
        record.complaints.remove(event.case)
    elif isinstance(event, e.Consent):
        _consent(record, event)
    forget_old_panes(record, newest_ms, catalog.kept_days)
    return True


def _consent(record: Record, event: e.Consent) -> None:
    """The latest word wins; of two at the same instant, the refusal."""
    known = record.consent.get(event.purpose)
    if known is None or (event.at_ms, not event.granted) >= (known[0], not known[1]):
        record.consent[event.purpose] = (event.at_ms, event.granted)


def _amount(event: Any, effect: Effect) -> int:
    if not effect.field:
        return 1
    if effect.field == "items" and isinstance(event, e.Order):
        return sum(line.qty for line in event.lines)
    if effect.field == "star_tenths":
        return round(float(event.stars) * 10)
    value: int = getattr(event, effect.field)
    return value


def feature_row(record: Record, catalog: Catalog, at_ms: int) -> list[float]:
    """One value per name of the catalog as of `at_ms`; NaN where there is none."""
    row: list[float] = list(window_sums(record, catalog.windows, at_ms))
    row += [row[top] / row[bottom] if row[bottom] else NAN for top, bottom in catalog.ratios]
    row += [_since(record.last_ms.get(event), at_ms, unit_ms) for event, unit_ms in catalog.recencies]
    orders = record.lifetime[catalog.measures.index("orders")]
    last_ms, first_ms = record.last_ms.get("order"), record.first_order_ms
    rhythm = (last_ms - first_ms) / DAY_MS / (orders - 1) if last_ms and orders > 1 else NAN
    since = _since(last_ms, at_ms, DAY_MS)
    row += [rhythm, since / rhythm if rhythm > 0 else NAN, _since(first_ms or None, at_ms, DAY_MS)]
    row.append(len(record.complaints))
    return row


def _since(then_ms: int | None, at_ms: int, unit_ms: int) -> float:
    return NAN if then_ms is None else max(0, at_ms - then_ms) / unit_ms
