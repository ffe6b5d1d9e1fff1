"""What `brewline` itself notes of every read, export and word of a human: who, what for, and how much.

It fails closed on Redis, which holds the chain: what cannot be noted is not done. It fails open on Kafka: the entry
is safe, waits in Redis, and goes out with the next one.
"""

from __future__ import annotations

import getpass
import os
import platform
import time
from collections.abc import Callable, Sequence

import typer
from rich.console import Console
from rich.markup import escape

from config.settings import Settings
from features.audited import AuditAccess, AuditExport
from features.identity import KINDS, is_customer_id
from features.messages import Refused
from features.times import rfc3339
from features.trail import Entry, Head, faults
from flows.keys import load_pseudonyms
from operators.kafka import Unreachable, ensure_topics, require_kafka
from operators.redis_link import connect_redis
from operators.trail import Trail

AS, PURPOSE = "BREWLINE_AS", "BREWLINE_PURPOSE"
OPTIONS = {"$.actor": f"--as, --by or {AS}", "$.purpose": f"--purpose or {PURPOSE}"}
ROLE = "brewline"
NotedRows = Callable[[int, Sequence[str]], None]  # customers and fields that are about to leave


def open_trail(settings: Settings) -> Trail:
    """Raises Unreachable."""
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    return Trail(redis, settings.redis.prefix, settings.kafka.librdkafka(), settings.topic("audit.events"))


def person() -> str:
    """Who gives the command: as they said, or as they are logged in. Raises ValueError where neither has a name."""
    try:
        return os.environ.get(AS) or getpass.getuser()
    except (KeyError, OSError):  # in a container, say, under a number that has no name
        raise ValueError(f"--as: the login has no name here: say who you are with --as or {AS}") from None


def note(settings: Settings, action: str, object: str, rows: int = 0, by: str = "") -> None:
    """Notes what is about to be done. Raises Unreachable, ValueError, and then it must not be done."""
    _note(settings, AuditAccess(id="trail", action=action, object=object[:128], rows=rows, **_common(by)))


def note_export(settings: Settings, object: str) -> NotedRows:
    """What an export calls when it knows how much it is about to write."""

    def noted(rows: int, fields: Sequence[str]) -> None:
        _note(settings, AuditExport(id="trail", object=object[:128], rows=rows, fields=[*fields][:200], **_common("")))

    return noted


def about(settings: Settings, id: str) -> str:
    """A customer as the trail names them: never by what was typed, if that is no customer id."""
    kind, colon, raw = id.partition(":")
    if not colon:
        return f"customer {id}" if is_customer_id(id) else "customer"
    try:
        return f"customer {load_pseudonyms(settings).one(kind, raw)}" if kind in KINDS else "customer"
    except Refused:  # it is no phone number, say: nobody will be found
        return "customer"


def _common(by: str) -> dict[str, str | int]:
    return {
        "time": round(time.time() * 1000),
        "actor": by or person(),
        "role": ROLE,
        "purpose": os.environ.get(PURPOSE, "")[:128],
        "device": platform.node()[:128],
    }


def _note(settings: Settings, entry: Entry) -> None:
    trail = open_trail(settings)
    try:
        trail.append(entry)
    except ValueError as error:
        option = next((option for field, option in OPTIONS.items() if field in f"{error}"), "--as, --purpose")
        raise ValueError(f"{option}: what was said cannot be noted: {error}") from None
    kafka, client = settings.kafka, settings.kafka.librdkafka()
    try:
        require_kafka(client, kafka.start_timeout_s)
        size = {"max.message.bytes": str(kafka.max_message_bytes)}
        ensure_topics(client, [trail.topic], kafka.partitions, kafka.replication, size)  # no flow may have run yet
        trail.send()
    except Unreachable as error:
        typer.echo(f"brewline: noted in the audit trail, and not yet sent: {error}", err=True)


def verify_trail(settings: Settings, noted: str, out: Console) -> int:
    """Exit code 1 when something is wrong with the trail. Raises ValueError, Unreachable."""
    kept, trail = _noted(noted), open_trail(settings)
    trail.send()
    head = trail.head()
    log, since_ms = trail.read(round(time.time() * 1000))
    wrong = faults(log, head, since_ms, kept)
    for fault in wrong:
        out.print(f"[red]{escape(fault)}[/]", highlight=False)
    numbers = sorted({written.entry.trail for written in log})
    held = f"entries {numbers[0]} to {numbers[-1]}" if numbers else "no entries"
    last = max((written.entry for written in log), key=lambda entry: entry.trail, default=None)
    when = f", the last of {rfc3339(int(last.time))} by {last.actor}" if last else ""
    out.print(f"{held}{when}: {f'{len(wrong)} faults' if wrong else 'whole'}", highlight=False, markup=False)
    out.print(f"note elsewhere: --noted {head.number}:{head.seal}", highlight=False, soft_wrap=True)
    return 1 if wrong else 0


def _noted(text: str) -> Head | None:
    number, colon, seal = text.partition(":")
    if not text:
        return None
    if not (colon and number.isdecimal() and seal):
        raise ValueError(f"--noted: found {text!r}, expected what a former `audit verify` has printed, such as 12:9f…")
    return Head(int(number), seal)
