"""A producer's bytes in, a checked event out, or `Refused` with one of these reasons.

    too_large     more bytes than `max_event_bytes`
    malformed     not UTF-8, not JSON, or nested too deeply
    unknown_type  no event type of this topic
    unmerge       asks to take apart what was made one customer, which cannot be done
    wrong_type    a field of another type, a field missing, a time that is none
    out_of_range  a number, text or list beyond its bounds or its pattern
    missing_id    no event id, no actor, no identifier where one is needed
    missing_time  no time
    absurd_time   before `earliest_ms`, or too far ahead of the record's Kafka timestamp
    identity      an identifier that is none (found by features.identity)

Details name types and paths, never values, so no personal data leaves in a header.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

import msgspec
from msgspec import Struct

from features.events import Event
from features.messages import Refused
from features.times import parse_time

_keys = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_BOUND = re.compile(r"`(?: of length)? (?:>|<|matching)|out of range")
_UNMERGE = re.compile(r"Invalid value '(?:unbind|unmerge)' - at `\$\.type`$")
_MISSING_ID = re.compile(r"missing required field `(?:id|actor)`$")


class Limits(Struct, frozen=True):
    max_event_bytes: int
    earliest_ms: int
    max_future_ms: int  # ahead of the record's Kafka timestamp


def check(
    raw: bytes,
    decode: Callable[[bytes], Event],
    known_types: Mapping[str, type[Event]],
    limits: Limits,
    stamp_ms: int,
) -> tuple[Event, int]:
    """The event with `at_ms` set, and how many unknown top-level fields it carried. Raises Refused."""
    if len(raw) > limits.max_event_bytes:
        raise Refused("too_large", f"{len(raw)} bytes, {limits.max_event_bytes} are allowed")
    try:
        raw.decode()
        event, keys = decode(raw), _keys(raw)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), known_types) from None
    except UnicodeDecodeError:
        raise Refused("malformed", "not UTF-8") from None
    except msgspec.DecodeError as error:
        raise Refused("malformed", str(error)) from None
    except RecursionError:
        raise Refused("malformed", "nested too deeply") from None
    event.at_ms = _at_ms(event, limits, stamp_ms)
    return event, _unknown(keys, type(event))


def _refusal(message: str, known_types: Mapping[str, type[Event]]) -> Refused:
    """Reason and detail of a decoder's message; these quote no value but that of `type`, which is left out."""
    if _UNMERGE.search(message):
        return Refused("unmerge", "two customers who were made one stay one: what each did is counted together")
    if message.endswith(("`$.type`", "field `type`")):
        return Refused("unknown_type", f"`type` is none of {', '.join(known_types)}")
    if _MISSING_ID.search(message):
        return Refused("missing_id", message)
    return Refused("out_of_range" if _BOUND.search(message) else "wrong_type", message)


def _at_ms(event: Event, limits: Limits, stamp_ms: int) -> int:
    if not event.time:
        raise Refused("missing_time", "`time` is missing")
    try:
        at_ms = parse_time(event.time)
    except (ValueError, OverflowError):
        raise Refused("wrong_type", "`time` is neither epoch ms nor RFC 3339 with offset") from None
    if at_ms < limits.earliest_ms:
        raise Refused("absurd_time", f"`time` is before the earliest allowed, {limits.earliest_ms}")
    if at_ms > stamp_ms + limits.max_future_ms:
        raise Refused("absurd_time", f"`time` is more than {limits.max_future_ms} ms ahead of its record")
    return at_ms


@lru_cache
def _known_fields(kind: type[Event]) -> frozenset[str]:
    return frozenset(kind.__struct_fields__) | {"type"}


def _unknown(keys: dict[str, msgspec.Raw], kind: type[Event]) -> int:
    known = _known_fields(kind)
    return 0 if known.issuperset(keys) else len(keys.keys() - known)
