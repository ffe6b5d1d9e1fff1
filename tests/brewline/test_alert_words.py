"""A word on an alert that says nothing, or covers nothing, is refused by its option, before anything is sent."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from alerts.notices.silence import covers_everything
from brewline.alert_words import say_of_alert, silence_alerts
from config import settings as conf
from operators.servers import free_port

NOBODY = conf.Kafka(brokers=f"127.0.0.1:{free_port()}", start_timeout_s=0.1)
SETTINGS = conf.Settings(kafka=NOBODY, redis=conf.Redis(f"redis://127.0.0.1:{free_port()}/0", start_timeout_s=0.1))
OUT = Console(file=io.StringIO())


@pytest.mark.parametrize(
    ("matchers", "last", "reason", "said"),
    [
        (["dim=store:s1"], "0s", "r", "--for: found '0s', expected from 1s to 365d"),
        (["dim=store:s1"], "99999d", "r", "--for: found '99999d', expected from 1s to 365d"),
        (["dim=store:s1"], "soon", "r", "--for: expected a duration"),
        (["dim=store:s1"], "2h", " ", "--reason: found nothing, expected why"),
        (["dim=a", "dim=b"], "2h", "r", "found dim=a and dim=b, and an alert has one dim: silence each by itself"),
        (["severity=hgh"], "2h", "r", "severity: found 'hgh'; did you mean 'high'?"),
        (["severity=[a-z]*"], "2h", "r", "that would cover every alert"),
        (["kind=?*", "key=[a-z0-9]*", "entity=*?"], "2h", "r", "that would cover every alert"),
        (["kind=*", "actor=**"], "2h", "r", "that would cover every alert"),
        (["severity=urgent*"], "2h", "r", "severity: found 'urgent*'; known are critical, high"),
    ],
)
def test_a_silence_that_makes_no_sense_is_refused_by_its_option(
    matchers: list[str], last: str, reason: str, said: str
) -> None:
    with pytest.raises(ValueError, match="alerts silence: ") as refused:
        silence_alerts(SETTINGS, matchers, last, "anna", reason, OUT)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "matchers", [{"severity": "[l-m]*"}, {"kind": "?*", "actor": "?*"}, {"key": "[0-9a-f]*"}, {"kind": "*", "dim": "*"}]
)
def test_only_a_silence_that_leaves_nothing_out_covers_everything(matchers: dict[str, str]) -> None:
    assert covers_everything(matchers) == (matchers == {"kind": "*", "dim": "*"})


def test_an_alert_is_closed_with_a_reason_only() -> None:
    with pytest.raises(ValueError, match="alerts close: --reason: found nothing, expected why"):
        say_of_alert(SETTINGS, "closed", "3fa1", "anna", " ", OUT)
