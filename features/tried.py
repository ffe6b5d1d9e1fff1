"""What comes of trials: each is kept until nothing more can come of it, then counted once; weights follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from msgspec import Struct, field

from features import mismatch
from features.arms import Totals, decode_totals, encode_totals, encode_weights, weights_key
from features.bandit import publish
from features.job import State
from features.labels import ROWS, Examples
from features.mismatch import Divided
from features.seen import id_hash
from features.trials import (
    Pending,
    Trial,
    decode_pending,
    encode_pending,
    pending,
    rule_of,
    trials_key,
)


class Tried(Struct):
    """What a batch of trials changes."""

    puts: dict[str, bytes] = field(default_factory=dict)
    deletes: list[str] = field(default_factory=list)
    timers: dict[str, int | None] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    examples: list[Examples] = field(default_factory=list)
    alarms: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # (time, alert), in order


def records_of(trials: Iterable[Trial]) -> list[str]:
    """What must be known before `learn`."""
    return list(dict.fromkeys(name for trial in trials for name in (trial.name, trials_key(trial.rule))))


def learn(trials: Iterable[tuple[int, Trial]], state: State, now_ms: int) -> Tried:
    """Takes in trials, each with the time at which it was told, and counts those that are over at `now_ms`.

    One that comes when its time is over changes nothing: it was learned from as it was then.
    """
    known = {n: decode_pending(raw) for n, raw in state.records.items() if n.startswith("trial|")}
    totals = {n: decode_totals(raw) for n, raw in state.records.items() if n.startswith("arms|")}
    tried, touched = Tried(), {name for _, name in state.due if name.startswith("trial|")}
    for told_ms, trial in trials:
        before = known.get(trial.name)
        if trial.due_ms <= told_ms:
            tried.counts["trials_late"] += 1
        elif before is None or trial.revision > before.revision:
            known[trial.name] = pending(trial)
            known[trial.name].scored = trial.scored or (before.scored if before else {})
            if trial.withdrawn:  # nothing is learned from it: what was seen of the customer goes at once
                known[trial.name].scored = {}
            touched.add(trial.name)
            arm = totals.setdefault(trials_key(trial.rule), Totals()).arm(known[trial.name])
            if before is None:
                arm.open += 1
                tried.counts["trials"] += 1
                if trial.first and trial.design:
                    _divide(trial, totals[trials_key(trial.rule)], tried)
            if trial.withdrawn:
                arm.withdraw()
                tried.counts["trials_withdrawn"] += 1
        elif trial.scored and not before.scored and not before.withdrawn:
            before.scored = trial.scored
            touched.add(trial.name)
    changed = {trials_key(rule_of(name)) for name in touched}
    for name in sorted(touched):
        _settle(name, known.get(name), totals, now_ms, tried)
    for name in sorted(changed & totals.keys()):
        if totals[name].ripe:
            rule = name.partition("|")[2]
            tried.puts[weights_key(rule)] = encode_weights(publish(rule, totals[name]))
        tried.puts[name] = encode_totals(totals[name])
    return tried


def _divide(trial: Trial, totals: Totals, tried: Tried) -> None:
    """Counts one more customer of the arms, and tells when that was one too many, and when it is over."""
    if trial.design not in totals.designs:
        for design, former in totals.designs.items():
            if former.alarm_ms and not former.over:
                former.over = True
                tried.alarms.append((trial.at_ms, mismatch.alert(trial.rule, design, former)))
    divided = totals.designs.setdefault(trial.design, Divided())
    divided.count(trial.arm, trial.propensity)
    if not divided.alarm_ms and not divided.over and mismatch.is_mismatch(divided):
        divided.alarm_ms = trial.at_ms
        tried.alarms.append((trial.at_ms, mismatch.alert(trial.rule, trial.design, divided)))
        tried.counts["sample_ratio_alerts"] += 1


def _settle(name: str, trial: Pending | None, totals: dict[str, Totals], now_ms: int, tried: Tried) -> None:
    """Counts a trial that is over, and keeps another, also one that was withdrawn: a repeat is not to open it."""
    if trial is None or trial.due_ms <= now_ms:
        tried.timers[name] = None
        tried.deletes.append(name)
    if trial is not None and trial.due_ms <= now_ms and not trial.withdrawn:
        totals[trials_key(rule_of(name))].arm(trial).learn(trial)
        _label(name, trial, tried)
        tried.counts["trials_learned"] += 1
    elif trial is not None and trial.due_ms > now_ms:
        tried.puts[name], tried.timers[name] = encode_pending(trial), trial.due_ms


def _label(name: str, trial: Pending, tried: Tried) -> None:
    """What the models that saw it learn from it."""
    id = id_hash(name).hex()
    for model, scored in trial.scored.items():
        told = _open(model, scored.layout, tried.examples)
        told.ids.append(id)
        told.at_ms.append(trial.at_ms)
        told.known_ms.append(trial.due_ms)
        told.labels.append(float(trial.redeemed if scored.target == "redeemed" else trial.ordered))
        told.rows.append(scored.row)


def _open(model: str, layout: str, examples: list[Examples]) -> Examples:
    """The message that has room for one more."""
    for told in examples:
        if (told.model, told.layout) == (model, layout) and len(told.labels) < ROWS:
            return told
    examples.append(Examples(model, layout, [], [], [], [], []))
    return examples[-1]
