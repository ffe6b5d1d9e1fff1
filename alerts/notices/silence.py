"""A silence: what somebody does not want to be told for a while. What it covers is still listed."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from string import ascii_lowercase, digits
from typing import get_args

from msgspec import Struct

from alerts.notices.alert import SEVERITIES, Alert, Kind

NAMES = tuple(24 * letter for letter in ascii_lowercase + digits)  # a key or entity may begin with any of these
VALUES: dict[str, tuple[str, ...]] = {  # of what every alert has; whatever else there is, some have not
    "kind": get_args(Kind),
    "severity": SEVERITIES,
    "entity": NAMES,
    "key": NAMES,
}


class Silence(Struct):
    """Covers an alert whose labels match all of `matchers`, which are globs."""

    id: str
    matchers: dict[str, str]
    by: str
    reason: str
    at_ms: int
    until_ms: int
    ended_by: str = ""

    def covers(self, labels: Mapping[str, str]) -> bool:
        """A label that an alert does not have is matched as if it were empty."""
        return all(fnmatchcase(labels.get(name, ""), glob) for name, glob in self.matchers.items())


def covers_everything(matchers: Mapping[str, str]) -> bool:
    """Whether no alert is known that these globs do not cover."""
    return all(fnmatchcase(value, glob) for name, glob in matchers.items() for value in VALUES.get(name, ("",)))


def labels_of(alert: Alert) -> dict[str, str]:
    """All that matchers can name."""
    own = {"kind": alert.kind, "severity": alert.severity, "entity": alert.entity, "key": alert.key}
    return {**alert.labels, **own}
