"""An actor's risk and case: points of findings and signals add up and decay; all findings of a time are one case.

The score halves every HALF_LIFE_MS. When signals alone bring it to LIMIT, that is a finding of its own: once a day, or
when as much again has come. A case begins with a finding and holds all that follow within QUIET_MS of each other; its
id is the same after every replay.
"""

from __future__ import annotations

from msgspec import Struct, msgpack
from msgspec.structs import replace

from alerts.security.finding import EVIDENCE, Finding, Rule, digest
from alerts.security.habits import Signal
from features.events import Audit
from features.times import DAY_MS

RULE = Rule(
    name="actor_risk",
    id="0b6c1a52-5d0e-4b0c-9d53-7b1f0d6a9e13",
    title="Unusual behaviour adds up",
    level="high",
    tags=("attack.collection", "attack.t1213", "attack.t1078"),
)
LEVELS = {"informational": 0.0, "low": 10.0, "medium": 25.0, "high": 60.0, "critical": 100.0}
LIMIT = 60.0
HALF_LIFE_MS = 2 * DAY_MS
QUIET_MS = 7 * DAY_MS
WORTH = 0.5  # a score below this is none


class Reason(Struct, array_like=True):
    """One addition; kept are the latest EVIDENCE."""

    at_ms: int
    name: str
    points: float
    why: str
    event: str


class Case(Struct, array_like=True):
    """An actor's record; `id` is empty as long as there was no finding."""

    score: float = 0.0
    at_ms: int = 0  # of which the score is
    id: str = ""
    finding_ms: int = 0  # time of the latest finding
    findings: int = 0
    reasons: list[Reason] = []
    fired_ms: int = -DAY_MS  # when signals last made a finding
    page: int = 0  # where it is listed
    fired_score: float = 0.0  # as it was then

    @property
    def due_ms(self) -> int:
        """From this clock on the record means nothing: the case is over, and the score is."""
        return max(self.at_ms, self.finding_ms) + QUIET_MS + DAY_MS


encode_case = msgpack.Encoder().encode
decode_case = msgpack.Decoder(Case).decode


def record(actor: str) -> str:
    return f"case|{actor}"


def weigh(case: Case, event: Audit, findings: list[Finding], signals: list[Signal], stamp_ms: int) -> list[Finding]:
    """The findings of one event, each with case and score, and one more where signals have come to the limit."""
    _decay(case, event.at_ms)
    for finding in findings:
        _add(case, _reason(finding))
    for signal in signals:
        _add(case, Reason(event.at_ms, signal.name, signal.points, signal.why, event.id))
    if signals and not findings and _at_limit(case, event.at_ms):
        case.fired_ms, case.fired_score = event.at_ms, case.score
        findings = [_risky(case, event, stamp_ms)]
    return [_joined(case, finding) for finding in findings]


def _at_limit(case: Case, at_ms: int) -> bool:
    """Within a day of when it was told last, only if as much again has come since."""
    told = case.fired_score if at_ms < case.fired_ms + DAY_MS else 0.0
    return case.score >= told + LIMIT


def join(case: Case, finding: Finding) -> Finding:
    """A finding that no event has made, but the end of a window."""
    _decay(case, finding.event_at_ms)
    _add(case, _reason(finding))
    return _joined(case, finding)


def _reason(finding: Finding) -> Reason:
    return Reason(finding.event_at_ms, finding.rule.name, LEVELS[finding.rule.level], finding.why, finding.event_id)


def _decay(case: Case, at_ms: int) -> None:
    passed_ms = max(0, at_ms - case.at_ms)
    case.score = case.score * 0.5 ** (passed_ms / HALF_LIFE_MS)
    case.score = case.score if case.score >= WORTH else 0.0
    case.at_ms = max(case.at_ms, at_ms)
    case.reasons = [reason for reason in case.reasons if reason.at_ms > at_ms - QUIET_MS]


def _add(case: Case, reason: Reason) -> None:
    case.score += reason.points
    case.reasons = [*case.reasons, reason][-EVIDENCE:]


def _joined(case: Case, finding: Finding) -> Finding:
    if not case.id or finding.event_at_ms >= case.finding_ms + QUIET_MS:
        case.id, case.findings = digest(("case", finding.actor, finding.event_id), 12).hex(), 0
    case.finding_ms = max(case.finding_ms, finding.event_at_ms)
    case.findings += 1
    return replace(finding, case=case.id, score=round(case.score, 1))


def _risky(case: Case, event: Audit, stamp_ms: int) -> Finding:
    told = "; ".join(f"{reason.name.replace('_', ' ')}: {reason.why}" for reason in case.reasons[-5:])
    evidence = list(dict.fromkeys(reason.event for reason in case.reasons))
    return Finding(
        rule=RULE,
        actor=event.actor,
        store=event.store,
        group={"actor": event.actor},
        observed=round(case.score, 1),
        threshold=LIMIT,
        why=f"{event.actor} has a risk of {case.score:.0f}, the limit is {LIMIT:.0f}: {told}",
        evidence=[*(id for id in evidence if id != event.id), event.id][-EVIDENCE:],
        started_ms=min(reason.at_ms for reason in case.reasons),
        event_id=event.id,
        event_at_ms=event.at_ms,
        trigger_stamp_ms=stamp_ms,
        client_ip=event.client_ip,
        device=event.device,
    )
