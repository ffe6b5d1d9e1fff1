"""Where an alert stands, and the notices that are told of it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from alerts.notices.alert import SEVERITIES, Alert, Severity
from features.job import Message
from features.messages import cloudevent, digest
from features.outgoing import AlertWord, Notice

KNOWN = 64  # ids of alerts that are recognised when they come again
Action = Literal["opened", "updated", "acknowledged", "resolved", "closed", "held"]


class Standing(Struct):
    """One matter from its first alert to its end. `told`: receivers know of it; `silenced`: id of the silence.

    `told_as`: the title and severity they know it under; `peak`: the worst severity of these; `missed`: alerts of it
    since then that a silence covered.
    """

    alert: Alert
    opened_ms: int
    heard_ms: int  # Kafka timestamp of the latest alert
    count: int = 1
    state: Literal["firing", "resolved", "closed"] = "firing"
    told: bool = False
    held: int = 0  # alerts of it that nobody was told of, for there were too many
    silenced: str = ""
    acknowledged_by: str = ""
    acknowledged_ms: int = 0
    ended_by: str = ""
    ended_ms: int = 0
    reason: str = ""  # what who acknowledged or closed it said
    known: list[str] = []
    told_as: dict[str, str] = {}
    peak: Severity | Literal[""] = ""
    missed: int = 0

    @property
    def firing(self) -> bool:
        return self.state == "firing"

    def reopens(self, stamp_ms: int) -> bool:
        """Whether an alert of this Kafka timestamp begins it anew; not one that was there when somebody closed it."""
        return not self.firing and not (self.state == "closed" and stamp_ms <= self.ended_ms)

    def again(self, alert: Alert, heard_ms: int) -> None:
        """Another alert of the same matter. What has contributed to it is still told when it is over."""
        alert.parts = alert.parts or self.alert.parts
        self.alert, self.heard_ms, self.count = alert, heard_ms, self.count + 1
        self.known = [*self.known[1 - KNOWN :], alert.id]

    def again_told(self) -> Notice:
        """How it stands, for who must be told again and again; as long as it fires, under what it was told as."""
        if self.state != "firing":
            return self.notice(self.state, self.ended_ms, self.ended_by, self.reason)
        notice = self.notice("updated", self.alert.at_ms, self.acknowledged_by, self.reason)
        return replace(notice, former={}, **notice.former)

    def tell(self, action: Action, at_ms: int, by: str = "", reason: str = "") -> Notice:
        """A notice, which receivers know it by from now on."""
        self.peak = max(self.peak or self.alert.severity, self.alert.severity, key=SEVERITIES.index)
        notice = self.notice(action, at_ms, by, reason)
        self.told, self.missed, self.told_as = True, 0, self._named()
        return notice

    def _named(self) -> dict[str, str]:
        return {"title": self.alert.title, "severity": self.alert.severity}

    def notice(self, action: Action, at_ms: int, by: str = "", reason: str = "") -> Notice:
        alert = self.alert
        return Notice(
            action=action,
            key=alert.key,
            alert=alert.id,
            kind=alert.kind,
            severity=alert.severity,
            entity=alert.entity,
            title=alert.title,
            why=alert.why,
            labels=alert.labels,
            started_ms=alert.started_ms,
            opened_ms=self.opened_ms,
            at_ms=at_ms,
            count=self.count,
            by=by,
            reason=reason,
            tags=alert.tags,
            evidence=alert.evidence,
            figures=alert.figures,
            former=self.told_as if self.told_as != self._named() else {},
            url=alert.url,
            peak=self.peak,
        )


def notice_message(topic: str, notice: Notice) -> Message:
    """A CloudEvent under an id that is the same after every replay."""
    id = digest(f"{notice.key}|{notice.action}|{notice.alert}|{notice.at_ms}")
    return cloudevent(topic, notice.key, id, f"notice.{notice.action}", "notify", notice.at_ms, notice.key, notice)


def word_message(topic: str, word: AlertWord) -> Message:
    """What a person says, as a CloudEvent keyed by what it is about."""
    id = digest(f"{word.word}|{word.about}|{word.by}|{word.at_ms}")
    return cloudevent(topic, word.about, id, f"alert.{word.word}", "people", word.at_ms, word.about, word)
