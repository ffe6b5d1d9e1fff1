"""What happens in a timeline: events as rule files write them, with `at` and without what ingest fills in."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from features import events as e
from features.times import CENTURY_MS, local_day, midnight_ms, next_day, parse_duration, parse_offset
from features.written import hint, plainly

START_MS = 1_777_824_000_000  # Monday, 4 May 2026, 00:00 in the test's time zone
ZONE = "Asia/Shanghai"
OF_TIME = 'when it happens is written as at = "+1d 9h"'
NOT_WRITTEN = {
    **dict.fromkeys(("time", "at_ms", "day"), OF_TIME),
    **dict.fromkeys(("who", "customer"), "a timeline is of one customer"),
    "tz": f"a timeline is in {ZONE}",
    **dict.fromkeys(e.OF_INGEST - {"temp_c", "rain_mm", "store_load"}, "ingest fills it in"),
}


class Times(Struct):
    """When a written event happens, and how often."""

    at: str = "+0s"
    repeat: Annotated[int, Meta(ge=1, le=1000)] = 1
    every: str = "1d"


TIMES = Times.__struct_fields__


def events_of(written: list[dict[str, Any]]) -> list[e.Event]:
    """In the order of the file. Raises ValueError, in which the event and its key are named."""
    events: list[e.Event] = []
    for one in written:
        try:
            times = msgspec.convert({key: one[key] for key in TIMES if key in one}, Times)
            at_ms, every_ms = _named("at", parse_offset, times.at), _named("every", parse_duration, times.every)
            if at_ms + every_ms * (times.repeat - 1) > CENTURY_MS:
                raise ValueError("the last time is more than a century after the start")
            raw = {key: value for key, value in one.items() if key not in TIMES}
            events += [_event(raw, at_ms + i * every_ms, len(events) + i) for i in range(times.repeat)]
        except ValueError as error:
            raise ValueError(f"event {_spelt(one)}: {_plain(error, one)}") from error
    return events


def moment_ms(event: e.Event) -> int:
    """What `until` of a wait means: the moment that the event names, else its own."""
    named = {e.DeliveryPromised: "promised_ms", e.Profile: "birthday_ms"}.get(type(event))
    return getattr(event, named) if named else event.at_ms


def _plain(error: ValueError, written: dict[str, Any]) -> str:
    return plainly(error, written) if isinstance(error, msgspec.ValidationError) else str(error)


def _spelt(written: dict[str, Any]) -> str:
    """As TOML writes it, or nearly so: long ones end early."""
    says = ", ".join(f"{key} = {value!r}".replace("'", '"') for key, value in written.items())
    return f"{{ {says if len(says) <= 120 else says[:117] + '...'} }}"


def _named(key: str, parse: Any, text: str) -> Any:
    """Raises ValueError, with the key before it."""
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _event(written: dict[str, Any], from_start_ms: int, number: int) -> e.Event:
    """Raises ValueError."""
    kind = _kind(written)
    _check_keys(written, kind)
    raw = {"id": f"e{number}", **written}
    if kind == "order":
        raw.setdefault("total_cents", 1800)
        raw.setdefault("lines", [{"sku": "milk-tea", "price_cents": raw["total_cents"]}])
    event: e.Event = msgspec.convert(raw, e.CustomerEvent)
    event.at_ms, event.customer, event.tz = START_MS + from_start_ms, "c-test", ZONE
    event.day = local_day(event.at_ms, ZONE)
    if isinstance(event, e.Placed) and e.WEATHER & raw.keys():
        event.weather_ms = event.at_ms
    if isinstance(event, e.Placed) and e.LOAD & raw.keys():
        event.load_ms = event.at_ms
    elif isinstance(event, e.Refund):
        event.ordered_ms, event.ordered_day = event.at_ms, event.day
    elif isinstance(event, e.DeliveryPromised):
        event.promised_ms = START_MS + _named("promised_time", parse_offset, str(event.promised_time))
    elif isinstance(event, e.Suppress) and event.until_time:
        event.until_ms = START_MS + _named("until_time", parse_offset, str(event.until_time))
    elif isinstance(event, e.Profile):
        event.birthday_ms = midnight_ms(_named("birthday", lambda day: next_day(day, event.day), event.birthday), ZONE)
    return event


def _kind(written: dict[str, Any]) -> str:
    known = sorted(e.CUSTOMER_EVENTS.keys() - {"tick", "weather"})
    if "type" not in written:
        close = [key for key in written if key not in TIMES and hint(key, ["type"]).startswith("; did")]
        raise ValueError(
            f'`type` is missing{f" (found {close[0]!r})" if close else ""}: write for example type = "order"'
        )
    kind = written["type"]
    if kind == "weather":
        raise ValueError("the weather is told by the events that it is asked of: write temp_c, rain_mm there")
    if kind not in known:
        raise ValueError(f"type: there is no event {kind!r}{hint(str(kind), known)}")
    return str(kind)


def _check_keys(written: dict[str, Any], kind: str) -> None:
    known = [*(key for key in e.CUSTOMER_EVENTS[kind].__struct_fields__ if key not in NOT_WRITTEN), "type"]
    for key in written:
        if key not in known:
            why = f": {NOT_WRITTEN[key]}" if key in NOT_WRITTEN else hint(key, [*known, *TIMES])
            raise ValueError(f"unknown key {key!r}{why}")
