"""Models: which version scores, how good it is and was, and what its score is made of."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Any

from msgspec import Struct

from board.access.person import Person, Role
from board.endpoint import Nothing, get, post
from board.live import Feed, every
from board.problems import Problem
from board.sources import Sources
from brewline.models.appointing import Appointed, put_back, put_first
from brewline.models.reading import Known
from brewline.models.shown import role_of
from features.models import Curve, LinearModel
from features.quality import LOGIT, Bin, loss_of, reliability
from features.versions import Comparison, Version
from features.watch import SCORERS

SEE: frozenset[Role] = frozenset({"marketing", "engineer", "auditor"})
DECIDE: frozenset[Role] = frozenset({"engineer"})
EVERY_S = 1.0

Figures = dict[str, float | None]


class Summary(Struct):
    """`loss`: the figure by which models are compared, less is better; `losses`: by who scored, over the latest labels.

    `wrong`: worse (than a baseline), loss (it errs more than earlier), inputs (they have drifted).
    """

    name: str
    is_probability: bool
    champion: int
    challenger: int
    pinned: bool
    labels: int
    at_ms: int
    loss: str
    losses: Figures
    roc_auc: float | None
    wrong: list[str]


class Beside(Struct):
    """A challenger and the champion on the same labels: mean losses so far."""

    labels: int
    needed: int
    loss: float | None
    champion_loss: float | None


class VersionRow(Struct):
    """`figures`: of the version before it, on labels that came after that one; `fault`: why it cannot score."""

    number: int
    role: str
    labels: int
    at_ms: int
    fault: str
    figures: Figures
    compared_with: int
    compared_labels: int
    compared_loss: float | None
    champion_loss: float | None
    won: bool | None


class Wrong(Struct):
    what: str
    since_ms: int
    since_labels: int
    inputs: list[str]


class TurnRow(Struct):
    at_ms: int
    version: int
    before: int
    why: str
    by: str


class Input(Struct):
    """`span`: between the most and the least that its values can add to the score; `curve`: what each value adds."""

    name: str
    span: float
    other_span: float | None
    knots: list[float]
    heights: list[float]
    missing: float


class Moment(Struct):
    """`losses` by champion, challenger, base_rate, recency, over the latest labels as they were then."""

    labels: int
    at_ms: int
    losses: list[float | None]
    roc_auc: float | None


class Detail(Struct):
    """`figures`: by who scored, over the latest `window` labels. `inputs`: the champion's, those that can move the
    score most come first; `other_span`: the challenger's."""

    summary: Summary
    figures: dict[str, Figures]
    window: int
    scorers: list[str]
    points: list[Moment]
    reliability: list[Bin]
    wrong: list[Wrong]
    beside: Beside | None
    versions: list[VersionRow]
    turns: list[TurnRow]
    inputs: list[Input]
    former: int
    may: list[str]


class Models(Struct):
    items: list[Summary]


class Name(Struct, forbid_unknown_fields=True):
    name: str


class First(Struct, forbid_unknown_fields=True):
    """`version` from now on; 0: whichever learning finds best."""

    version: int = 0


@get("/models", SEE)
def models(sources: Sources, person: Person, asked: Nothing) -> Models:
    """Each model with the version that scores, and how it does beside two baselines."""
    return Models([_summary(known) for known in sources.models().values()])


@get("/models/{name}", SEE)
def model(sources: Sources, person: Person, asked: Name) -> Detail:
    """Quality over time, calibration, drift, versions, and what moves the score."""
    known = _find(sources, asked.name)
    watch, versions, link = known.watch, known.versions, known.subject.link
    seen = watch.seen
    scored = seen[seen[:, 1] == seen[:, 1]]
    return Detail(
        summary=_summary(known),
        figures=watch.figures(link),
        window=len(seen),
        scorers=[*SCORERS],
        points=[Moment(point.labels, point.at_ms, point.losses, point.roc_auc) for point in watch.points],
        reliability=reliability(scored[:, 1], scored[:, 0]) if link == LOGIT else [],
        wrong=[Wrong(what, one.started_ms, one.started_labels, one.inputs) for what, one in watch.incidents.items()],
        beside=_beside(known, sources.settings.learning.window_labels),
        versions=[_version(known, one) for one in reversed(versions.kept)],
        turns=[TurnRow(turn.at_ms, turn.version, turn.before, turn.why, turn.by) for turn in reversed(versions.turns)],
        inputs=_inputs(known.fit.get(versions.champion), known.fit.get(versions.challenger)),
        former=versions.former,
        may=_may(known) if person.roles & DECIDE else [],
    )


@post("/models/{name}/promote", DECIDE)
def promote(sources: Sources, person: Person, asked: Name, said: First) -> Appointed:
    """Lets a version score, and pins it; or lets learning decide again."""
    _find(sources, asked.name)
    done = put_first(sources.settings, asked.name, said.version, not said.version, person.name)
    sources.models.forget()
    return done


@post("/models/{name}/rollback", DECIDE)
def roll_back(sources: Sources, person: Person, asked: Name, said: First) -> Appointed:
    """Lets an earlier version score again, by default the champion before the present one; and pins it."""
    _find(sources, asked.name)
    done = put_back(sources.settings, asked.name, said.version, person.name)
    sources.models.forget()
    return done


def _find(sources: Sources, name: str) -> Known:
    found = sources.models().get(name)
    if found is None:
        raise Problem(404, f"there is no model {name!r}")
    return found


def _may(known: Known) -> list[str]:
    versions = known.versions
    can = {"promote": bool(versions.kept), "rollback": bool(versions.former), "unpin": versions.pinned}
    return [what for what, is_so in can.items() if is_so]


def _summary(known: Known) -> Summary:
    watch, versions, link = known.watch, known.versions, known.subject.link
    figures, loss = watch.figures(link), loss_of(link)
    return Summary(
        name=known.subject.name,
        is_probability=link == LOGIT,
        champion=versions.champion,
        challenger=versions.challenger,
        pinned=versions.pinned,
        labels=watch.labels,
        at_ms=watch.at_ms,
        loss=loss,
        losses={name: found.get(loss) for name, found in figures.items()},
        roc_auc=figures[SCORERS[0]].get("roc_auc"),
        wrong=[*watch.incidents],
    )


def _beside(known: Known, needed: int) -> Beside | None:
    watch = known.watch
    if not known.versions.challenger:
        return None
    if not watch.compared:
        return Beside(0, needed, None, None)
    return Beside(watch.compared, needed, watch.loss / watch.compared, watch.champion_loss / watch.compared)


def _version(known: Known, one: Version) -> VersionRow:
    beside: Comparison | None = one.compared
    return VersionRow(
        number=one.number,
        role=role_of(known, one.number),
        labels=one.labels,
        at_ms=one.at_ms,
        fault=known.faults[one.number],
        figures=one.figures,
        compared_with=beside.champion if beside else 0,
        compared_labels=beside.labels if beside else 0,
        compared_loss=beside.loss if beside else None,
        champion_loss=beside.champion_loss if beside else None,
        won=beside.won if beside else None,
    )


def _inputs(champion: LinearModel | None, challenger: LinearModel | None) -> list[Input]:
    if champion is None:
        return []
    others = dict(zip(challenger.features, challenger.curves, strict=True)) if challenger else {}
    found = [
        Input(
            name, span(curve), span(others[name]) if name in others else None, curve.knots, curve.heights, curve.missing
        )
        for name, curve in zip(champion.features, champion.curves, strict=True)
    ]
    return sorted(found, key=lambda one: -one.span)


def span(curve: Curve) -> float:
    """What lies between the most and the least that values of an input add; that it is missing counts as one."""
    heights = [*curve.heights, curve.missing]
    return max(heights) - min(heights)


def _span_of(curve: Curve | None) -> float | None:
    return span(curve) if curve else None


def _told(sources: Sources, stop: Event) -> Iterator[Any]:
    """Each model's figures, each time one changes."""
    return every(EVERY_S, lambda: Models([_summary(known) for known in sources.models().values()]), stop)


ENDPOINTS = (models, model, promote, roll_back)
FEEDS = (Feed("models", SEE, _told),)
