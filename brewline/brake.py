"""The brakes of campaigns: shows what is paused, and takes a person's word on one."""

from __future__ import annotations

import time

import msgspec
import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alerts.triggers.brake import brake_key
from alerts.triggers.braking import Asked, Pause, Resume, encode_asked
from config.settings import Settings
from features.outgoing import BrakeTurn
from features.times import rfc3339
from features.written import hint
from flows.files import load_stores
from flows.rules import load_rules
from operators.compacted import latest
from operators.kafka import require_kafka
from operators.writing import write


class Told(msgspec.Struct):
    data: BrakeTurn


_decode = msgspec.json.Decoder(Told).decode
NOWHERE = "nothing is paused"


def read_turns(settings: Settings) -> list[BrakeTurn]:
    """Every pause and every end of one, the latest first. Raises Unreachable."""
    client = settings.kafka.librdkafka()
    require_kafka(client, settings.kafka.start_timeout_s)
    found: dict[str, BrakeTurn] = {}
    for part in latest(client, settings.topic("brakes")):
        found |= {key: _decode(value.encode()).data for key, value in part.items() if value}
    return sorted(found.values(), key=lambda turn: (-turn.at_ms, turn.campaign, turn.place, -turn.revision))


def standing(turns: list[BrakeTurn]) -> dict[str, BrakeTurn]:
    """By campaign and place, what is paused now."""
    last: dict[str, BrakeTurn] = {}
    for turn in turns:
        key = brake_key(turn.campaign, turn.place)
        if key not in last or turn.revision > last[key].revision:
            last[key] = turn
    return {key: turn for key, turn in last.items() if turn.state == "paused"}


def show_brakes(settings: Settings, every: bool, as_json: bool, out: Console) -> None:
    """Prints what is paused now; `every`: all pauses that ever were, and their ends. Raises Unreachable."""
    turns = read_turns(settings)
    shown = turns if every else list(standing(turns).values())
    if as_json:
        text = orjson.dumps({"brakes": [msgspec.to_builtins(turn) for turn in shown]}, option=orjson.OPT_INDENT_2)
        out.print(text.decode(), soft_wrap=True, highlight=False, markup=False)
    else:
        out.print(_table(shown) if shown else NOWHERE)


def _table(turns: list[BrakeTurn]) -> Table:
    table = Table("campaign", "where", "state", "since", "by", "reason", box=SIMPLE_HEAD)
    for turn in turns:
        by = f"alert {turn.incident}" if turn.incident else turn.by
        since = rfc3339(turn.at_ms)[:16].replace("T", " ")
        table.add_row(*map(escape, (turn.campaign, _where(turn.place), turn.state, since, by, turn.reason)))
    return table


def _where(place: str) -> str:
    return place.replace(":", " ") or "everywhere"


def place_of(store: str, region: str) -> str:
    """As brakes spell it. Raises ValueError for both."""
    if store and region:
        raise ValueError("found --store and --region, expected one of them, or neither: everywhere")
    return f"store:{store}" if store else f"region:{region}" if region else ""


def require_known(settings: Settings, place: str) -> None:
    """Raises ValueError for a store or a region that the stores file does not name."""
    places = load_stores(settings).places
    known = {"store": set(places), "region": {region for region, _ in places.values()}}
    kind, _, name = place.partition(":")
    if name and places and name not in known[kind]:
        raise ValueError(f"--{kind}: the stores file names no {kind} {name!r}{hint(name, known[kind])}")


def pause(settings: Settings, campaign: str, place: str, by: str, reason: str) -> str:
    """Asks that a campaign be paused; what comes of it. Raises ValueError where nothing names it or the place,
    Unreachable."""
    require_known(settings, place)
    campaigns = {gift.campaign for rule, _, _ in load_rules(settings) for gift in rule.then.gifts.values()} - {""}
    if campaign not in campaigns:
        raise ValueError(f"no rule names the campaign {campaign!r}{hint(campaign, campaigns)}")
    turns = standing(read_turns(settings))
    if turn := turns.get(brake_key(campaign, place)):
        raise ValueError(f"{campaign} is paused there already, by {turn.by} since {rfc3339(turn.at_ms)}")
    _ask(settings, Pause(campaign, place, by, reason, _now_ms()))
    return f"{campaign} gives nothing {_spoken(place)}, as soon as the customers flow hears of it"


def resume(settings: Settings, campaign: str, place: str, by: str, reason: str) -> str:
    """Asks that it go on; what comes of it: also in a store that is no more, or never was in the file. Raises
    ValueError where it is not paused, Unreachable."""
    turns = standing(read_turns(settings))
    if brake_key(campaign, place) not in turns:
        paused = ", ".join(f"{turn.campaign} {_spoken(turn.place)}" for turn in turns.values())
        raise ValueError(f"{campaign} is not paused {_spoken(place)}; what is paused: {paused or 'nothing'}")
    _ask(settings, Resume(campaign, place, by, reason, _now_ms()))
    return f"{campaign} goes on {_spoken(place)}, as soon as the customers flow hears of it"


def _spoken(place: str) -> str:
    return f"at {_where(place)}" if place else "everywhere"


def _now_ms() -> int:
    return round(time.time() * 1000)


def _ask(settings: Settings, asked: Asked) -> None:
    key = brake_key(asked.campaign, asked.place)
    write(settings.kafka.librdkafka(), [(settings.topic("brake.asked"), key, encode_asked(asked))])
