"""A model's course: its labels in steps, each scored before it is learned from; its versions published and compared.

Of a new version it is not known how good it is. It is the challenger until it has scored `window` labels beside the
champion, and replaces the one that is not better. While the champion is worse than a baseline, it is held back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from copy import copy
from typing import Any

import numpy as np
from msgspec import Struct, msgpack
from msgspec.structs import replace

from features.catalog import Catalog
from features.drift import Series
from features.job import Message
from features.labels import Examples
from features.messages import Refused
from features.models import (
    Learned,
    Learner,
    LinearModel,
    Matrix,
    decode_learned,
    encode_learned,
    input_layouts,
    score,
)
from features.offers import inputs_of
from features.quality import LOGIT, RECENCY, Baselines, Floats, loss_of, losses
from features.versions import (
    Appointment,
    Comparison,
    Unusable,
    Version,
    Versions,
    decode_versions,
    encode_versions,
    seal,
    unseal,
    version_key,
    versions_key,
)
from features.watch import SCORERS, Alerts, Watch, decode_watch, encode_watch

STEP = 100  # labels that are scored, then learned from, at a time


class Publishing(Struct, frozen=True):
    """When versions are published and put first."""

    every: int  # labels from one version to the next, at least
    window: int  # labels on which a challenger is compared, and all is watched
    kept: int  # versions
    automatic: bool = True

    @property
    def step(self) -> int:
        return min(STEP, self.every, self.window)


class Lesson(Struct, array_like=True):
    """A row with its label."""

    known_ms: int
    label: float
    row: list[float]


class Subject(Struct, frozen=True):
    """What is to be learned: `layout` stands for the inputs; `link` "logit" for a probability, else it is a number."""

    name: str
    inputs: list[str]
    layout: str
    link: str = LOGIT


def subjects(catalog: Catalog) -> dict[str, Subject]:
    """What is learned, by model."""
    layouts, tasks = input_layouts(catalog), catalog.tasks
    return {
        model: Subject(model, seen, layouts[model], tasks[model].link) for model, seen in inputs_of(catalog).items()
    }


_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(list[Lesson]).decode


def records_of(model: str, appointed: list[int]) -> list[str]:
    """What must be known of a model; `led_to` names what else."""
    own = [f"learner|{model}", f"watch|{model}", versions_key(model)]
    return own + [version_key(model, number) for number in appointed]


def led_to(records: Mapping[str, bytes]) -> list[str]:
    """Versions that what is known of models names."""
    names = [name.partition("|")[2] for name in records if name.startswith(versions_key(""))]
    found = [(name, decode_versions(records[versions_key(name)])) for name in names]
    return [version_key(name, v) for name, known in found for v in (known.champion, known.challenger) if v]


class Course:
    """Takes up a model where its records have left it; `puts` and `deletes` are what has become of them."""

    def __init__(self, subject: Subject, publishing: Publishing, alerts: Alerts, records: Mapping[str, bytes]) -> None:
        self.subject, self.publishing, self.alerts, self.records = subject, publishing, alerts, records
        name = subject.name
        watch, versions, learned = (
            records.get(key) for key in (f"watch|{name}", versions_key(name), f"learner|{name}")
        )
        self.watch = decode_watch(watch) if watch else Watch()
        self.versions = decode_versions(versions) if versions else Versions()
        known = decode_learned(learned) if learned else Learned()
        self.learner = Learner(name, subject.inputs, subject.layout, known, subject.link)
        self.waiting: list[Lesson] = _decode(self.watch.waiting) if self.watch.waiting else []
        self.models: dict[int, LinearModel | None] = {}
        self.written: dict[str, bytes] = {}
        self.deletes: list[str] = []
        self.messages: list[Message] = []
        self.counts: Counter[str] = Counter()
        self._follow_layout()

    def _follow_layout(self) -> None:
        """Rows of other inputs, and labels of another task, are of no use any more."""
        watch = self.watch
        if watch.layout not in ("", self.subject.layout):
            self.counts["labels_of_former_inputs"] += len(self.waiting)
            self.waiting, watch.inputs, watch.window, watch.baselines = [], Series(), b"", Baselines()
            watch.published_labels = watch.labels
            self._compare_anew()
        watch.layout = self.subject.layout

    @property
    def levels(self) -> dict[str, float]:
        return self.watch.levels(self.subject.name, self.subject.link, self.publishing.window)

    @property
    def puts(self) -> dict[str, bytes]:
        self.watch.waiting = _encode(self.waiting) if self.waiting else b""
        name, learned = self.subject.name, encode_learned(self.learner.learned)
        own = {f"learner|{name}": learned, f"watch|{name}": encode_watch(self.watch)}
        return {**self.written, **own, versions_key(name): encode_versions(self.versions)}

    def hear(self, examples: Examples) -> None:
        """Takes labelled rows; those that do not fill a step wait for more."""
        self.waiting += map(Lesson, examples.known_ms, map(float, examples.labels), examples.matrix().tolist())
        step = self.publishing.step
        while len(self.waiting) >= step:
            self._step(self.waiting[:step])
            self.waiting = self.waiting[step:]

    def appoint(self, word: Appointment) -> None:
        """A human's word. Raises Refused for a version that cannot score."""
        at_ms, before = max(word.at_ms, self.watch.at_ms), self._versions
        if not word.version:
            self.versions.turn(at_ms, self.versions.champion, "unpinned", word.by)
            self.versions.pinned = False
            return
        if self.versions.find(word.version) is None or self._model(word.version) is None:
            raise Refused("unknown_version", f"{word.model} has no version {word.version} that can score")
        self.versions.turn(at_ms, word.version, word.why, word.by)
        self.versions.pinned, self.versions.held = True, False
        self.watch.follow(before, self._versions)
        self._compare_anew()

    def _step(self, lessons: list[Lesson]) -> None:
        rows = np.array([lesson.row for lesson in lessons], dtype=np.float64)
        labels = self.learner.winsorised(np.array([lesson.label for lesson in lessons], dtype=np.float64))
        self.watch.at_ms = max(self.watch.at_ms, *(lesson.known_ms for lesson in lessons))
        self._score(rows, labels)
        self.messages += self.alerts.take(self.subject.name, self.watch, self.subject.inputs, rows, self.subject.link)
        self.watch.note(self.subject.link)
        self._learn(rows, labels)
        before = self._versions
        self._judge()
        self._publish()
        self.watch.follow(before, self._versions)
        self.versions.held = self._is_held

    def _learn(self, rows: Matrix, labels: Floats) -> None:
        """What would leave the learner without finite numbers is not learned."""
        subject, before = self.subject, copy(self.learner.learned)
        told: Any = labels > 0 if subject.link == LOGIT else labels
        with suppress(np.linalg.LinAlgError):
            self.learner.learn(rows, told)
            if self.learner.is_finite:
                return
        self.learner = Learner(subject.name, subject.inputs, subject.layout, before, subject.link)
        self.counts["labels_not_learned"] += len(labels)

    def _score(self, rows: Matrix, labels: Floats) -> None:
        """Before anything is learned from these rows."""
        champion, challenger = (self._scores(v, rows) for v in (self.versions.champion, self.versions.challenger))
        recency = rows[:, [i for i, name in enumerate(self.subject.inputs) if name in RECENCY]]
        usual = self.watch.baselines.score(recency)
        self.watch.baselines.learn(recency, labels)
        self.watch.take(labels, np.column_stack([champion, challenger, usual]), self.publishing.window)
        self.watch.compared += len(labels)
        self.watch.loss += float(losses(challenger, labels, self.subject.link).sum())
        self.watch.champion_loss += float(losses(champion, labels, self.subject.link).sum())

    def _scores(self, number: int, rows: Matrix) -> Floats:
        model = self._model(number)
        return score(model, rows) if model else np.full(len(rows), np.nan)

    def _model(self, number: int) -> LinearModel | None:
        """None where it cannot score, or there is none."""
        if number and number not in self.models:
            key, name = version_key(self.subject.name, number), self.subject.name
            try:
                found = unseal(self.written.get(key, self.records.get(key)), name, number, self.subject.layout)
            except Unusable:
                found = None
            self.models[number] = found
        return self.models.get(number)

    @property
    def _versions(self) -> tuple[int, int]:
        return self.versions.champion, self.versions.challenger

    @property
    def _is_held(self) -> bool:
        return not self.versions.pinned and self.watch.is_surely_worse(self.subject.link, self.publishing.window)

    @property
    def _compares(self) -> bool:
        return self._model(self.versions.champion) is not None and self._model(self.versions.challenger) is not None

    def _judge(self) -> None:
        """Ends a comparison over a window of labels."""
        watch, versions = self.watch, self.versions
        if watch.compared < self.publishing.window or not self._compares:
            return
        means = (watch.loss / watch.compared, watch.champion_loss / watch.compared)
        if not np.isfinite(means).all():  # one of them could not score for a while
            self._compare_anew()
            return
        compared = Comparison(versions.champion, watch.compared, *means)
        challenger, versions.challenger = versions.challenger, 0
        if found := versions.find(challenger):
            found.compared = compared
        if compared.won and self.publishing.automatic and not versions.pinned:
            versions.turn(watch.at_ms, challenger, "better")
            self.counts["models_promoted"] += 1
        self._compare_anew()

    def _compare_anew(self) -> None:
        self.watch.compared, self.watch.loss, self.watch.champion_loss = 0, 0.0, 0.0

    def _publish(self) -> None:
        """The next version, when it is time and none is being compared: one that nobody compares helps nobody."""
        watch, versions = self.watch, self.versions
        scores = self._model(versions.champion) is not None
        if self._compares or watch.labels - watch.published_labels < self.publishing.every:
            return
        versions.challenger = 0
        watch.version, watch.published_labels = watch.version + 1, watch.labels
        model = replace(self.learner.publish(), version=watch.version)
        figures = self._progressive()
        self.written[version_key(self.subject.name, model.version)] = seal(model, watch.at_ms, figures)
        versions.kept.append(Version(model.version, model.layout, model.labels, watch.at_ms, figures))
        self.counts["models_published"] += 1
        if scores:
            versions.challenger = model.version
        else:
            versions.pinned = False
            versions.turn(watch.at_ms, model.version, "unusable" if versions.champion else "first")
        self._compare_anew()
        self._forget()

    def _progressive(self) -> dict[str, float | None]:
        """Figures of the version before, on labels of the window that came after it was published."""
        found = self.watch.figures(self.subject.link)
        challenger, champion = (found[name] for name in SCORERS[:2])
        return challenger if challenger.get(loss_of(self.subject.link)) is not None else champion

    def _forget(self) -> None:
        for number in self.versions.trim(self.publishing.kept):
            key = version_key(self.subject.name, number)
            self.written.pop(key, None)
            self.deletes.append(key)
