"""What the settings say of coupons: the same for the flow that decides and for the command that explains."""

from __future__ import annotations

from alerts.triggers.kept import Keeping
from alerts.triggers.policy import Policy
from alerts.triggers.schedule import read_quiet_hours
from config.settings import Settings
from features.times import parse_duration


def policy(settings: Settings) -> Policy:
    c, least_share = settings.coupons, settings.learning.least_share_percent / 100
    cap, quiet = (c.cap, parse_duration(c.cap_window)), read_quiet_hours(c.quiet_hours)
    who = (c.holdout_percent / 100, c.holdout_salt, c.require_consent)
    return Policy(*cap, *who, quiet, margin_percent=c.margin_percent, least_share=least_share)


def keeping(settings: Settings) -> Keeping:
    c = settings.coupons
    return Keeping(c.receipts_kept, c.near_misses_kept, c.false_share_kept)
