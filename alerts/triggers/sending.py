"""When a message leaves: at once, or at the hour at which its customer usually orders."""

from __future__ import annotations

from alerts.triggers.gifts import Then
from features.quiet import QuietHours
from features.times import DAY_MS, HOUR_MS

USUAL_HOUR = "usual_hour"  # the feature that says so


def sending(then: Then, at_ms: int, local_ms: int, hour: float, quiet: QuietHours) -> tuple[int, str]:
    """(when, why) within a day, outside of quiet hours and before the coupon runs out; why is empty where the rule
    sends at once. `local_ms`: `at_ms` on the clock where the customer is; `hour`: their usual one, NaN for none."""
    if then.send == "now":
        return at_ms, ""
    quiet_ms = quiet.left_ms(local_ms)
    if hour != hour:
        wait_ms, why = quiet_ms, "no_history"
    else:
        wait_ms, why = _until(int(hour), local_ms, quiet)
    if wait_ms >= then.valid_ms:
        return at_ms + (quiet_ms if quiet_ms < then.valid_ms else 0), "expires"
    return at_ms + wait_ms, why


def _until(hour: int, local_ms: int, quiet: QuietHours) -> tuple[int, str]:
    """How long until that hour, or until quiet hours end that it begins in; 0 while it lasts."""
    quiet_then_ms = quiet.left_ms(hour * HOUR_MS)
    since_ms = (local_ms - hour * HOUR_MS - quiet_then_ms) % DAY_MS
    lasts = since_ms < HOUR_MS and not quiet.left_ms(local_ms)
    return 0 if lasts else DAY_MS - since_ms, "quiet_hours" if quiet_then_ms else "usual_hour"
