"""Who hears of what."""

from __future__ import annotations

from alerts.notices.sink import PagerDuty
from tests.alerts.notices.made import NOON_MS, desk, kpi, told


def test_who_heard_the_beginning_hears_the_end_whatever_the_severity_has_become() -> None:
    one, sink = desk(), PagerDuty(at_least="high")
    levels = [("a", "firing", "medium"), ("b", "firing", "critical"), ("c", "firing", "low"), ("d", "resolved", "low")]
    for id, state, severity in levels:
        one.take(kpi(id, state, severity=severity), NOON_MS)
    one.take(kpi("e", severity="low"), NOON_MS)
    assert [(notice.severity, sink.takes(notice)) for notice in told(one)] == [
        ("medium", False),
        ("critical", True),
        ("low", True),
        ("low", True),
        ("low", False),
    ]
