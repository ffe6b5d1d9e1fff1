"""The learning job: labelled examples in, versions of models out; trials of arms in, versions of weights out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from features import course, repeats, tried, versions
from features.course import Course, Publishing, Subject
from features.events import Tick
from features.job import Batch, Changes, Message, Plan, Position, State
from features.labels import Examples, decode_examples, encode_examples
from features.messages import Refused, cloudevent, dead_letter
from features.quality import LOGIT
from features.repeats import Repeats, is_set
from features.trials import START, Trial, decode_trial, rule_of, trials_key
from features.versions import Appointment, decode_appointment
from features.watch import Alerts
from features.zones import TO_MS

HOUR = b'{"type":"tick"'  # which a partition of the customers flow has reached, and told all that came before it
decode_hour = msgspec.json.Decoder(Tick).decode
LARGEST = 1e15  # an amount, in cents: of a thousand of the largest orders
Words = list[tuple[int, Examples | Appointment]]  # of one model, each with its index in the batch


class LearningJob:
    """One course per model, kept as `learner|<model>` and `watch|<model>`; published as features/versions.py says.

    Of each rule, what its arms have brought as `arms|<rule>`; published as `weights|<rule>`. A trial that is over goes
    back to the topic as an example of each model that saw it.
    """

    def __init__(self, subjects: dict[str, Subject], publishing: Publishing, alerts: str, dead_letters: str) -> None:
        self.subjects = subjects
        self.publishing = publishing
        self.alerts = Alerts(alerts, publishing.window)
        self.dead_letters = dead_letters

    def plan(self, batch: Batch, position: Position) -> Plan:
        words: dict[str, Words] = {}
        trials: list[tuple[int, Trial]] = []  # each with the clock as it was then
        clock = position.clock
        letters = []
        for index, raw in enumerate(batch.values):
            try:
                if raw.startswith(START):
                    trials.append((clock.now_ms, decode_trial(raw)))
                elif raw.startswith(HOUR):
                    tick = decode_hour(raw)
                    clock = clock.moved(tick.source, tick.of, tick.at_ms)
                else:
                    told = self._read(raw)
                    words.setdefault(told.model, []).append((index, told))
            except (msgspec.DecodeError, UnicodeDecodeError):
                letters.append(dead_letter(self.dead_letters, batch, index, Refused("malformed", "examples")))
            except Refused as refused:
                letters.append(dead_letter(self.dead_letters, batch, index, refused))
        records = tried.records_of(trial for _, trial in trials)
        for model, heard in words.items():
            records += course.records_of(model, [w.version for _, w in heard if isinstance(w, Appointment)])
        seen = repeats.asked(w for heard in words.values() for _, w in heard if isinstance(w, Examples))
        return Plan(position, clock, records, seen, (batch, words, trials, letters), follow=course.led_to)

    def _read(self, raw: bytes) -> Examples | Appointment:
        """Raises Refused, msgspec.DecodeError."""
        if raw.startswith(versions.START):
            word = decode_appointment(raw)
            if word.model not in self.subjects:
                raise Refused("unknown_version", f"there is no model {word.model}")
            return word
        told = decode_examples(raw)
        if told.model not in self.subjects or self.subjects[told.model].layout != told.layout:
            raise Refused("layout", "learned from other features than those declared now")
        if any(len(row) != len(self.subjects[told.model].inputs) for row in told.rows):
            raise Refused("malformed", "a row is not as long as the model has inputs")
        if self.subjects[told.model].link == LOGIT and not all(label in (0.0, 1.0) for label in told.labels):
            raise Refused("out_of_range", "labels: one of a probability is neither 0 nor 1")
        if not all(abs(label) <= LARGEST for label in told.labels):
            raise Refused("out_of_range", "labels: an amount is beyond all sense")
        if not all(0 <= known_ms < TO_MS for known_ms in told.known_ms):
            raise Refused("absurd_time", "known_ms: before 1970 or after 2099")
        return told

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        trials = [name for _, name in due if not is_set(name)]
        return list(dict.fromkeys(name for trial in trials for name in (trial, trials_key(rule_of(trial)))))

    def apply(self, plan: Plan, state: State) -> Changes:
        batch, words, trials, letters = plan.work
        found = tried.learn(trials, state, plan.clock.now_ms)
        over = [name for _, name in state.due if is_set(name)]
        fresh = Repeats(set(state.seen), plan.clock.now_ms)
        puts, deletes, messages, levels = found.puts, found.deletes, list[Message](), dict[str, float]()
        counts = Counter[str]()
        for model, heard in words.items():
            taken = Course(self.subjects[model], self.publishing, self.alerts, state.records)
            letters = letters + self._hear(taken, heard, fresh, batch)
            puts |= taken.puts
            deletes = deletes + taken.deletes
            levels |= taken.levels
            messages += taken.messages
            counts.update(taken.counts)
        counts.update(fresh.counts)
        counts.update(f"dead_lettered:{letter.headers['reason']}" for letter in letters)
        counts.update(found.counts, dead_lettered=len(letters))
        messages += [Message(batch.topic, told.model, encode_examples(told)) for told in found.examples]
        messages += [self._alarm(at_ms, data) for at_ms, data in found.alarms]
        position = plan.position.moved(batch.last, plan.clock, counts)
        return Changes(
            position,
            puts,
            deletes,
            timers={**dict.fromkeys(over), **fresh.timers, **found.timers},
            seen=fresh.seen,
            drops=[name for name in over if name not in fresh.seen],
            messages=[*messages, *letters],
            counts=counts,
            levels=levels,
        )

    def _alarm(self, at_ms: int, data: dict[str, Any]) -> Message:
        rule, id = data["rule"], f"{data['incident']}|{data['state']}"
        return cloudevent(self.alerts.topic, rule, id, "alert.experiment", "learning", at_ms, rule, data)

    def _hear(self, taken: Course, heard: Words, fresh: Repeats, batch: Batch) -> list[Message]:
        """Dead letters for what cannot be done."""
        letters = []
        for index, word in heard:
            try:
                if isinstance(word, Appointment):
                    taken.appoint(word)
                else:
                    taken.hear(fresh.fresh(word))
            except Refused as refused:
                letters.append(dead_letter(self.dead_letters, batch, index, refused))
        return letters
