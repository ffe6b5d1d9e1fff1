"""What the settings say of coupons: the same for the flow that decides and for the command that explains."""

from __future__ import annotations

from alerts.coupons.lifecycle import Lifecycle
from alerts.triggers.policy import Cap, Policy
from alerts.triggers.receipts.kept import Keeping
from alerts.triggers.referrals import Settling
from alerts.triggers.schedule import read_quiet_hours
from config.settings import Settings
from features.times import parse_duration
from flows.keys import load_codes


def policy(settings: Settings) -> Policy:
    c, least_share = settings.coupons, settings.learning.least_share_percent / 100
    cap, quiet = (c.cap, parse_duration(c.cap_window)), read_quiet_hours(c.quiet_hours)
    who = (c.holdout_percent / 100, c.holdout_salt, c.require_consent)
    by_channel = {channel: Cap.read(text) for channel, text in c.channel_caps.items()}
    return Policy(*cap, *who, quiet, by_channel, c.margin_percent, least_share)


def settling(settings: Settings) -> Settling:
    return Settling(settings.topic("events"), parse_duration(settings.coupons.referral_settling))


def keeping(settings: Settings) -> Keeping:
    c = settings.coupons
    return Keeping(c.receipts_kept, c.near_misses_kept, c.false_share_kept)


def lifecycle(settings: Settings) -> Lifecycle:
    """Raises WrongSettings for a key that is too short."""
    kept_ms = parse_duration(settings.coupons.ended_kept)
    return Lifecycle(settings.topic("redemptions"), load_codes(settings), kept_ms)
