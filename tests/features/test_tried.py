"""Trials are learned from exactly once, whatever the order in which they come and wherever a process dies."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import msgpack
from msgspec.structs import replace

from features import events as e
from features.arms import ArmTotals, Totals, decode_totals, decode_weights
from features.course import Publishing
from features.labels import ROWS, decode_examples
from features.learning import LearningJob
from features.loop import Store, batches, run
from features.offers import Scored
from features.times import DAY_MS
from features.trials import HOLDOUT, LATE_MS, Pending, Trial, decode_pending, encode_trial
from tests.features.streams import cuts

TARGETS = ("redeemed", "uplift")
JOB = LearningJob({}, Publishing(1, 1, 1), "alerts", "dead-letters")
RULES, ARMS, CONTEXTS = ("r", "q"), ("a", "b"), ("", "loyal")
END_MS = 400 * DAY_MS


def trial(number: int, rule: str = "r", arm: str = "a", at_day: int = 0, **fields: object) -> Trial:
    at_ms = at_day * DAY_MS
    base = Trial(f"d{number}", rule, arm, "", 0.5, False, at_ms, at_ms + 7 * DAY_MS, at_ms, 0, False, False, 0)
    return replace(base, **fields)


def end(rule: str) -> Trial:
    """Comes when the time of all others is over."""
    return trial(10**6, rule, "end", now_ms=END_MS, at_ms=END_MS, expires_ms=END_MS + DAY_MS)


@st.composite
def histories(draw: st.DrawFn) -> list[list[Trial]]:
    """Of each trial, all that is told of it."""
    found = []
    for number in range(draw(st.integers(0, 12))):
        first = trial(
            number, draw(st.sampled_from(RULES)), draw(st.sampled_from(ARMS)), draw(st.integers(0, 3)),
            context=draw(st.sampled_from(CONTEXTS)),
            scored={target: Scored(target, "l", [number, None]) for target in draw(st.sets(st.sampled_from(TARGETS)))},
        )  # fmt: skip
        told = [first]
        for revision in range(1, draw(st.integers(1, 4))):
            more = {"revision": revision, "ordered": draw(st.booleans()), "redeemed": draw(st.booleans())}
            told.append(replace(told[-1], reward_cents=draw(st.integers(-500, 3_000)), scored={}, **more))
        found.append(told)
    return found


def hour(at_ms: int, source: str = "0", of: int = 1) -> bytes:
    return e.encode(e.Tick(id=f"{source}/{at_ms}", at_ms=at_ms, source=source, of=of))


def learned(trials: list[Trial], cuts: list[int] = [], store: Store | None = None) -> Store:  # noqa: B006
    """The hour at which each was told comes before it."""
    values = [value for t in trials for value in (hour(t.now_ms), encode_trial(t))]
    return run(JOB, batches("examples", 0, values, cuts), {0: store or Store()})[0]


def totals(store: Store, rule: str) -> Totals:
    raw = store.records.get(f"arms|{rule}")
    return decode_totals(raw) if raw else Totals()


def counted(last: list[Trial]) -> dict[tuple[str, str, str], ArmTotals]:
    """One after the other: by rule, context and arm."""
    found: dict[tuple[str, str, str], ArmTotals] = {}
    for one in last:
        arm = found.setdefault((one.rule, one.context, one.arm), ArmTotals())
        if one.withdrawn:
            arm.withdrawn += 1
            continue
        arm.learned += 1
        arm.ordered += one.ordered
        arm.redeemed += one.redeemed
        arm.reward_cents += one.reward_cents
        arm.reward_squares += one.reward_cents * one.reward_cents
    return found


def found_in(store: Store) -> dict[tuple[str, str, str], ArmTotals]:
    return {
        (rule, context, arm): of
        for rule in RULES
        for context, arms in totals(store, rule).contexts.items()
        for arm, of in arms.items()
        if arm != "end"
    }


def shuffled(data: st.DataObject, history: list[list[Trial]]) -> list[Trial]:
    """In any order, some of it twice."""
    told = [one for each in history for one in each]
    again = data.draw(st.lists(st.sampled_from(told), max_size=5)) if told else []
    return data.draw(st.permutations(told + again))


@settings(max_examples=100, deadline=None)
@given(histories(), st.data(), cuts)
def test_each_trial_counts_once_as_its_last_revision_in_any_order(
    history: list[list[Trial]], data: st.DataObject, cuts: list[int]
) -> None:
    store = learned([*shuffled(data, history), *map(end, RULES)], cuts)
    assert found_in(store) == counted([told[-1] for told in history])


@settings(max_examples=60, deadline=None)
@given(histories(), st.data(), cuts, cuts, st.integers(0, 30), st.integers(0, 30))
def test_a_process_that_dies_and_reads_again_counts_the_same(
    history: list[list[Trial]], data: st.DataObject, cuts: list[int], others: list[int], first: int, second: int
) -> None:
    log = [*shuffled(data, history), *map(end, RULES)]
    kept, lost = sorted((first, second))
    store = learned(log[:kept], cuts)
    learned(log[:lost], others, deepcopy(store))
    replayed = learned(log, others, store)
    assert found_in(replayed) == found_in(learned(log))
    assert replayed.timers == learned(log).timers


@settings(max_examples=60, deadline=None)
@given(histories(), st.data(), cuts, st.lists(st.integers(0, 12), min_size=8, max_size=8))
def test_where_the_log_is_cut_does_not_change_what_was_too_late(
    history: list[list[Trial]], data: st.DataObject, cuts: list[int], days: list[int]
) -> None:
    log = [replace(one, now_ms=days[i % len(days)] * DAY_MS) for i, one in enumerate(shuffled(data, history))]
    stores = [learned(log, c) for c in ([], cuts, list(range(2 * len(log))))]
    assert found_in(stores[0]) == found_in(stores[1]) == found_in(stores[2])
    assert stores[0].timers == stores[1].timers == stores[2].timers
    late = [store.position.counts.get("trials_late", 0) for store in stores]
    assert late[0] == late[1] == late[2]


@settings(max_examples=100, deadline=None)
@given(histories(), st.data(), cuts)
def test_what_a_model_saw_comes_back_once_with_what_came_of_it_in_any_order(
    history: list[list[Trial]], data: st.DataObject, cuts: list[int]
) -> None:
    store = learned([*shuffled(data, history), *map(end, RULES)], cuts)
    wanted = {
        (model, one.at_ms, one.due_ms, one.redeemed if model == "redeemed" else one.ordered, tuple(scored.row))
        for one in (replace(told[-1], scored=told[0].scored) for told in history)
        for model, scored in one.scored.items()
    }
    assert sorted(labelled(store)) == sorted(wanted)


@settings(max_examples=60, deadline=None)
@given(histories(), st.data(), cuts, st.integers(0, 30))
def test_whatever_comes_later_changes_nothing_that_was_told_before(
    history: list[list[Trial]], data: st.DataObject, cuts: list[int], now: int
) -> None:
    """Two futures from the same past on."""
    log = [*shuffled(data, history), *map(end, RULES)]
    past, futures = log[:now], [data.draw(st.permutations(log[now:])) for _ in range(2)]
    told = [learned(past).sent if past else []] + [learned([*past, *future], [2 * now]).sent for future in futures]
    assert told[1][: len(told[0])] == told[2][: len(told[0])] == told[0]


def labelled(store: Store) -> list[tuple[str, int, int, bool, tuple[float | None, ...]]]:
    sent = [decode_examples(message.value) for message in store.sent]
    assert all(message.key == told.model for message, told in zip(store.sent, sent, strict=True))
    return [
        (told.model, *one[:3], tuple(one[3]))
        for told in sent
        for one in zip(told.at_ms, told.known_ms, told.labels, told.rows, strict=True)
    ]


def test_many_that_end_at_once_go_in_several_messages() -> None:
    seen = {"redeemed": Scored("redeemed", "l", [1.0])}
    store = learned([*(trial(n, scored=seen) for n in range(ROWS + 1)), end("r")])
    told = [decode_examples(message.value) for message in store.sent]
    assert [len(examples.labels) for examples in told] == [ROWS, 1]
    assert len({id for examples in told for id in examples.ids}) == ROWS + 1


def test_a_trial_of_before_models_saw_any_is_learned_from_as_it_was_kept() -> None:
    kept = msgpack.encode(["a", "", False, 8 * DAY_MS, 0, True, True, 70])
    assert decode_pending(kept) == Pending("a", "", False, 8 * DAY_MS, 0, True, True, 70, at_ms=0, scored={})


def test_a_rule_with_nothing_to_choose_has_no_weights() -> None:
    given, held = (trial(n, arm="") for n in range(30)), (trial(n, arm=HOLDOUT, nothing=True) for n in range(30, 60))
    store = learned([*given, *held, replace(end("r"), arm="")])
    assert "weights|r" not in store.records
    assert totals(store, "r").contexts[""][HOLDOUT].learned == 30


def test_a_redemption_corrects_what_was_told_until_it_was_learned_and_not_afterwards() -> None:
    first, due_ms = trial(1), 7 * DAY_MS + LATE_MS
    for now_ms, redeemed in ((due_ms - 1, 1), (due_ms, 0)):
        late = replace(first, revision=1, redeemed=True, reward_cents=780, now_ms=now_ms)
        store = learned([first, late, end("r")], [2, 4])
        assert totals(store, "r").contexts[""]["a"].redeemed == redeemed
        assert totals(store, "r").contexts[""]["a"].learned == 1
        assert store.position.counts.get("trials_late", 0) == 1 - redeemed


def test_what_is_over_leaves_nothing_but_its_totals() -> None:
    store = learned([*(trial(n) for n in range(30)), end("r")], [7, 11])
    assert set(store.records) == {"arms|r", "weights|r", f"trial|r|{end('r').decision}"}
    assert set(store.timers) == {f"trial|r|{end('r').decision}"}
    assert [one.open for one in totals(store, "r").contexts[""].values()] == [0, 1]


def test_versions_are_published_as_more_is_known_and_ever_more_seldom() -> None:
    log = [trial(n, arm=ARMS[n % 2], at_day=n, reward_cents=100 * (n % 2)) for n in range(300)]
    store = learned(log, list(range(300)))
    weights = decode_weights(store.records["weights|r"])
    assert weights.version < 40
    assert weights.learned <= totals(store, "r").learned < weights.learned * 1.2
    assert weights.shares[""]["b"] > 0.95


def test_a_message_that_is_no_trial_is_a_dead_letter_and_the_others_count() -> None:
    broken = b'{"type":"arm","decision":1}'
    store = run(JOB, batches("examples", 0, [broken, encode_trial(trial(1))]), {0: Store()})[0]
    assert [message.headers["reason"] for message in store.sent] == ["malformed"]
    assert totals(store, "r").contexts[""]["a"].open == 1


def test_a_trial_that_is_withdrawn_is_open_no_more_and_never_learned_from() -> None:
    gone = trial(1, revision=1, withdrawn=True, now_ms=DAY_MS)
    store = learned([trial(1), trial(2), gone, trial(1)])
    [arm] = totals(store, "r").contexts[""].values()
    assert (arm.open, arm.withdrawn, arm.learned) == (1, 1, 0)
    store = learned([trial(1), trial(2), gone, trial(1), end("r")])
    assert found_in(store) == {("r", "", "a"): ArmTotals(learned=1, withdrawn=1)}
    assert "trial|r|d1" not in store.records


def test_the_clock_is_that_of_the_slowest_partition_though_no_trial_comes_from_it() -> None:
    seen = {"redeemed": Scored("redeemed", "l", [1.0])}
    log = [encode_trial(trial(1, scored=seen)), hour(30 * DAY_MS, "0", 2)]
    late = encode_trial(trial(1, revision=1, redeemed=True, now_ms=6 * DAY_MS))
    store = run(JOB, batches("examples", 0, [*log, hour(6 * DAY_MS, "1", 2), late]))[0]
    assert "trial|r|d1" in store.records, "the partition that lags may still tell of it"
    ended = [hour(5 * DAY_MS, "1", 2), hour(9 * DAY_MS, "1", 2)]
    store = run(JOB, batches("examples", 0, [*log, hour(6 * DAY_MS, "1", 2), late, *ended]))[0]
    assert "trial|r|d1" not in store.records
    assert [one[3] for one in labelled(store)] == [True]


def test_a_trial_that_is_learned_from_again_after_a_replay_has_the_same_ids() -> None:
    seen = {"redeemed": Scored("redeemed", "l", [1.0])}
    log = [*(trial(n, scored=seen) for n in range(20)), end("r")]
    whole, cut = (learned(log, cuts) for cuts in ([], [7, 40]))
    ids = [[id for m in store.sent for id in decode_examples(m.value).ids] for store in (whole, cut)]
    assert sorted(ids[0]) == sorted(ids[1])
