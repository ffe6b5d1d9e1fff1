"""The learning job: labelled examples in, versions of models out; trials of arms in, versions of weights out."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np

from features import tried
from features.job import Batch, Changes, Clock, Message, Plan, Position, State
from features.labels import Examples, decode_examples, encode_examples
from features.messages import Refused, dead_letter
from features.models import Learned, Learner, decode_learned, encode_learned, encode_model
from features.trials import START, Trial, decode_trial, rule_of, trials_key


class LearningJob:
    """One learner per model, kept as the record `learner|<model>`; published as `model|<model>`.

    Of each rule, what its arms have brought as `arms|<rule>`; published as `weights|<rule>`. A trial that is over goes
    back to the topic as an example of each model that saw it.
    """

    def __init__(
        self,
        inputs: dict[str, list[str]],
        layouts: dict[str, str],
        publish_every: int,
        dead_letters: str,
        links: dict[str, str] | None = None,
    ) -> None:
        """`links`: by model, where it is no probability."""
        self.inputs = inputs
        self.layouts = layouts
        self.publish_every = publish_every
        self.dead_letters = dead_letters
        self.links = links or {}

    def plan(self, batch: Batch, position: Position) -> Plan:
        examples: dict[str, list[Examples]] = {}
        trials: list[Trial] = []
        letters = []
        for index, raw in enumerate(batch.values):
            try:
                if raw.startswith(START):
                    trials.append(decode_trial(raw))
                    continue
                told = decode_examples(raw)
                if self.layouts.get(told.model) != told.layout:
                    raise Refused("layout", "learned from other features than those declared now")
                examples.setdefault(told.model, []).append(told)
            except (msgspec.DecodeError, UnicodeDecodeError):
                letters.append(dead_letter(self.dead_letters, batch, index, Refused("malformed", "examples")))
            except Refused as refused:
                letters.append(dead_letter(self.dead_letters, batch, index, refused))
        clock = Clock(max([position.clock.now_ms, *(trial.now_ms for trial in trials)]))
        records = [*(f"learner|{model}" for model in examples), *tried.records_of(trials)]
        return Plan(position, clock, records, work=(batch, examples, trials, letters))

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return list(dict.fromkeys(name for _, trial in due for name in (trial, trials_key(rule_of(trial)))))

    def apply(self, plan: Plan, state: State) -> Changes:
        batch, examples, trials, letters = plan.work
        found = tried.learn(trials, state, plan.position.clock.now_ms)
        puts = found.puts
        for model, learned_from in examples.items():
            puts |= self._learn(model, learned_from, state.records.get(f"learner|{model}"))
        counts = Counter(f"dead_lettered:{letter.headers['reason']}" for letter in letters)
        labels = sum(len(told.labels) for of_model in examples.values() for told in of_model)
        counts.update(found.counts, labels=labels, dead_lettered=len(letters))
        labelled = [Message(batch.topic, told.model, encode_examples(told)) for told in found.examples]
        position, sent = plan.position.moved(batch.last, plan.clock, counts), [*letters, *labelled]
        return Changes(position, puts, deletes=found.deletes, timers=found.timers, messages=sent, counts=counts)

    def _learn(self, model: str, examples: list[Examples], stored: bytes | None) -> dict[str, bytes]:
        learned = decode_learned(stored) if stored else Learned()
        learner = Learner(model, self.inputs[model], self.layouts[model], learned, self.links.get(model, "logit"))
        before = learned.labels // self.publish_every
        learner.learn(
            np.concatenate([told.matrix() for told in examples]), np.concatenate([told.labels for told in examples])
        )
        puts = {}
        if learner.learned.labels // self.publish_every > before:
            puts[f"model|{model}"] = encode_model(learner.publish())
        return {**puts, f"learner|{model}": encode_learned(learner.learned)}
