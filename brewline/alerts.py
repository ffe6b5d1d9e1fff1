"""What fires, as the notify flow keeps it in Redis."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alerts.formats.figures import figure_texts
from alerts.notices.alert import SEVERITIES
from alerts.notices.desk import State
from alerts.notices.silence import Silence
from alerts.notices.standing import Standing
from config.settings import Settings
from features.times import rfc3339
from operators.redis_link import connect_redis
from operators.standings import Standings


def read_state(settings: Settings) -> State:
    """Raises Unreachable."""
    redis = settings.redis
    return Standings(connect_redis(redis.url, redis.start_timeout_s), redis.prefix).load()


def list_alerts(settings: Settings, every: bool, as_json: bool, out: Console) -> None:
    """Prints what fires, the worst and latest first; `every`: also what is over."""
    state, now_ms = read_state(settings), wall_ms()
    listed = sorted((one for one in state.book.values() if every or one.firing), key=rank)
    lasting = [one for one in state.silences.values() if every or now_ms < one.until_ms]
    if as_json:
        out.print_json(_as_json({"alerts": listed, "silences": lasting}))
        return
    table = Table("key", "severity", "state", "since", "about", "what", "times", "by", box=SIMPLE_HEAD)
    for one in listed:
        alert = one.alert
        by = one.ended_by or one.acknowledged_by
        table.add_row(
            *(escape(alert.key), alert.severity, word_of(one), minute(one.opened_ms)),
            *(escape(alert.entity), escape(alert.title), str(one.count), escape(by)),
        )
    out.print(table)
    if lasting:
        out.print(_silences(lasting))


def rank(one: Standing) -> tuple[bool, int, int]:
    return not one.firing, -SEVERITIES.index(one.alert.severity), -one.heard_ms


def word_of(one: Standing) -> str:
    """In a word; an alert that nobody was told of says why."""
    if not one.firing:
        return one.state
    if one.silenced:
        return "silenced"
    if one.acknowledged_by:
        return "acknowledged"
    return "firing" if one.told else "held" if one.held else "not sent"


def _silences(silences: list[Silence]) -> Table:
    table = Table("silence", "covers", "until", "by", "reason", box=SIMPLE_HEAD)
    for one in silences:
        covers = " ".join(f"{name}={glob}" for name, glob in one.matchers.items())
        ended = f"{minute(one.until_ms)}" + (f" (ended by {one.ended_by})" if one.ended_by else "")
        table.add_row(one.id, *map(escape, (covers, ended, one.by, one.reason)))
    return table


def show_alert(settings: Settings, key: str, as_json: bool, out: Console) -> None:
    """Prints all of one alert. Raises ValueError where there is no such alert."""
    state = read_state(settings)
    one = state.book[named(key, state.book, "alert")]
    if as_json:
        out.print_json(_as_json(one))
        return
    alert, table = one.alert, Table(box=None, show_header=False)
    rows = [
        *(("key", alert.key), ("title", alert.title), ("why", alert.why), ("severity", alert.severity)),
        *(("state", word_of(one)), ("times", str(one.count)), ("held", str(one.held))),
        *(("began", rfc3339(alert.started_ms)), ("told since", rfc3339(one.opened_ms))),
        *alert.labels.items(),
        *figure_texts(alert.figures).items(),
        *(("tags", " ".join(alert.tags)), ("events", " ".join(alert.evidence))),
        *(("acknowledged by", one.acknowledged_by), ("ended by", one.ended_by), ("reason", one.reason)),
        *(("silenced by", one.silenced), ("over since", rfc3339(one.ended_ms) if one.ended_ms else "")),
    ]
    for name, text in rows:
        if text:
            table.add_row(name, escape(text))
    out.print(table)


def named(start: str, known: Collection[str], what: str) -> str:
    """The one key that begins so. Raises ValueError."""
    found = [start] if start in known else [key for key in known if start and key.startswith(start)]
    if not found:
        raise ValueError(f"alerts: there is no {what} that begins with {start!r}: see `brewline alerts list --all`")
    if len(found) > 1:
        raise ValueError(f"alerts: {', '.join(sorted(found)[:3])} begin with {start!r}: write more of it")
    return found[0]


def _as_json(told: Any) -> str:
    return msgspec.json.encode(told).decode()


def minute(at_ms: int) -> str:
    return rfc3339(at_ms)[:16].replace("T", " ")


def wall_ms() -> int:
    return round(time.time() * 1000)
