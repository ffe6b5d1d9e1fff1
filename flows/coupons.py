"""What the settings say of coupons: the same for the flow that decides and for the command that explains."""

from __future__ import annotations

from alerts.triggers.kept import Keeping
from alerts.triggers.policy import Policy
from alerts.triggers.referrals import Settling
from alerts.triggers.schedule import read_quiet_hours
from config.settings import Settings
from features.times import parse_duration


def policy(settings: Settings) -> Policy:
    c = settings.coupons
    cap = (c.cap, parse_duration(c.cap_window))
    return Policy(*cap, c.holdout_percent / 100, c.holdout_salt, c.require_consent, read_quiet_hours(c.quiet_hours))


def settling(settings: Settings) -> Settling:
    return Settling(settings.topic("events"), parse_duration(settings.coupons.referral_settling))


def keeping(settings: Settings) -> Keeping:
    c = settings.coupons
    return Keeping(c.receipts_kept, c.near_misses_kept, c.false_share_kept)
