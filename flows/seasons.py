"""The holidays and campaigns that raise or lower what is expected of KPIs, from the files that rules are made of."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from alerts.kpis.seasons import Seasons, Span, joined
from alerts.triggers.campaign import Bound, read_campaign
from config.settings import Settings
from features.times import DAY_MS, EPOCH_DAY
from flows.files import texts
from flows.rules import load_calendars

LAST_MS = (date.max.toordinal() - EPOCH_DAY) * DAY_MS  # until 9999-12-31 means for ever; there is no day after it


def load_seasons(settings: Settings) -> Seasons:
    """All days of all calendars, and the campaigns that both begin and end; wall clocks are the settings' zone's."""
    zone = ZoneInfo(settings.stores.timezone)
    holidays = [
        (_epoch_ms((first - EPOCH_DAY) * DAY_MS, zone), _epoch_ms((last + 1 - EPOCH_DAY) * DAY_MS, zone))
        for days in load_calendars(settings).days.values()
        for first, last in days
    ]
    return Seasons(joined(holidays), joined(_campaigns(settings, zone)))


def _campaigns(settings: Settings, zone: ZoneInfo) -> list[Span]:
    folder = settings.coupons.campaigns
    campaigns = [read_campaign(text, file) for file, text in (texts(settings.path(folder), "*.toml") if folder else ())]
    return [(_bound_ms(c.begins, zone), _bound_ms(c.ends, zone)) for c in campaigns if c.begins and c.ends]


def _bound_ms(bound: Bound, zone: ZoneInfo) -> int:
    return _epoch_ms(bound.ms, zone) if bound.local else bound.ms


def _epoch_ms(wall_ms: int, zone: ZoneInfo) -> int:
    """Of what a wall clock shows, as if it were UTC."""
    shown = datetime(1970, 1, 1) + timedelta(milliseconds=min(wall_ms, LAST_MS))  # noqa: DTZ001 - the zone is given next
    return round(shown.replace(tzinfo=zone).timestamp() * 1000)
