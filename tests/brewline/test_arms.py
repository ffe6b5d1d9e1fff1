"""From a choice to the next: customers are given arms, redeem, are learned from, and get what brings more."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from alerts.triggers.arms import design_of
from alerts.triggers.gifts import Arm, Then
from alerts.triggers.rule import Rule
from brewline.arms import arm_row, read_arms, rule_rows, show_arms
from brewline.why import Explaining
from brewline.why_shown import show
from config import settings as conf
from features import events as e
from features.arms import ArmTotals, Totals, decode_weights
from features.course import Publishing
from features.intervals import difference_interval
from features.job import Batch, Message
from features.learning import LearningJob
from features.mismatch import Divided
from features.times import DAY_MS
from features.trials import HOLDOUT, START, Trial, decode_trial, encode_trial
from flows.rules import load_rules
from operators import models
from operators.models import PublishedModels
from operators.servers import RedisServer
from operators.store import PartitionStore
from tests.alerts.triggers.jobs import CODES
from tests.brewline.town import NOON_MS, Town

RULE = """
id = "offer"
on = ["view"]
when = "orders_lifetime >= 0"
cooldown = "1s"
capped = false
[then]
valid = "1d"
choose = "learn"
context = "tier"
arms = [
  { name = "small", coupon = "S", face_value_cents = 100 },
  { name = "large", coupon = "L", face_value_cents = 900 },
  { name = "control", nothing = true, weight = 0.5 },
]
[[test]]
name = "fires"
events = [{ type = "view" }]
fires_at = ["+0s"]
[[test]]
name = "is quiet"
events = [{ type = "login" }]
"""
PEOPLE = 60


def at(kind: type[e.Event], id: str, customer: str, day: float, **fields: object) -> e.Event:
    at_ms = NOON_MS + round(day * DAY_MS)
    return kind(id=id, customer=customer, at_ms=at_ms, tz="Asia/Shanghai", **fields)  # type: ignore[arg-type]


class Learning:
    """The learning flow without Kafka."""

    def __init__(self, town: Town) -> None:
        self.job = LearningJob({}, Publishing(1, 1, 1), "alerts", "dead-letters")
        self.store = PartitionStore(town.client, town.settings.redis.prefix, "learning")
        self.store.claim(0)

    def learn(self, values: list[bytes]) -> None:
        """As a process that has just started would."""
        position = self.store.reopen(0) and self.store.position(0)
        first = position.offset + 1
        batch = Batch("examples", 0, first - 1, list(range(first, first + len(values))), values, [0] * len(values))
        plan = self.job.plan(batch, position)
        self.store.commit(0, self.job.apply(plan, self.store.load(0, plan, self.job.timer_records)))


class Watched(Town):
    """Remembers what was sent."""

    def __init__(self, settings: conf.Settings) -> None:
        self.sent: list[Message] = []
        super().__init__(settings)
        apply = self.job.apply
        self.job.apply = lambda *of: self._noted(apply(*of))  # type: ignore[method-assign]

    def _noted(self, changes):  # type: ignore[no-untyped-def]
        self.sent += changes.messages
        return changes

    def trials(self) -> list[Trial]:
        return [decode_trial(message.value) for message in self.sent if message.value.startswith(START)]

    def who(self, decision: str) -> str:
        told = (json.loads(message.value) for message in self.sent if message.topic == "decisions")
        return next(one["subject"] for one in told if one["id"] == decision)

    def look(self, day: float) -> Counter[str]:
        """Everybody looks; how often each arm was chosen."""
        before = len(self.trials())
        self.live(*(at(e.View, f"v{day}-{n}", f"c{n}", day) for n in range(PEOPLE)))
        return Counter(trial.arm for trial in self.trials()[before:] if not trial.revision)


@pytest.fixture
def settings(redis: RedisServer, topic_prefix: str, tmp_path: Path) -> conf.Settings:
    (tmp_path / "offer.toml").write_text(RULE)
    coupons = conf.Coupons(rules=str(tmp_path), campaigns="", holdout_percent=0.0, require_consent="")
    return conf.Settings(redis=conf.Redis(redis.url, topic_prefix.rstrip("-")), coupons=coupons, folder=str(conf.HERE))


@pytest.mark.servers
def test_the_arm_that_brings_more_is_given_more_and_the_command_tells_it(
    settings: conf.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "EVERY_S", 0.0)
    town = Watched(settings)
    learning = Learning(town)
    published = PublishedModels(learning.store, 1, {})
    published.learns = ["offer"]
    town.job.job.decider.arms.weights = published.weights
    first = town.look(0)
    assert min(first.values()) > 5
    for trial in town.trials():  # all redeem: 60 % of 1200 is 720, less what the coupon took off
        if not trial.nothing:
            id, used = trial.decision, {"coupon": CODES.code(trial.decision, trial.expires_ms), "total_cents": 1_200}
            town.live(at(e.CouponRedeemed, f"r{id}", town.who(id), 0.5, **used))
    nine_ms = NOON_MS + 9 * DAY_MS
    more = {"decision": "x", "arm": "small", "redeemed": False, "now_ms": nine_ms, "expires_ms": nine_ms}
    later = [replace(town.trials()[-1], **more)]
    values = [encode_trial(trial) for trial in town.trials()]
    values += [e.encode(e.Tick(id="h", at_ms=nine_ms, source="0", of=1)), *map(encode_trial, later)]
    for cut in range(0, len(values), 37):  # a process for each batch, and every message twice
        learning.learn(values[cut : cut + 37] * 2)
    published.refresh()
    assert published.weights["offer"] == decode_weights(learning.store.record(0, "weights|offer") or b"")
    second = town.look(20)
    assert second["small"] > 3 * second["large"] > 0 or second["large"] <= 3
    assert second["control"] == first["control"], "the control keeps its share, and its customers"
    _told_by_commands(settings, town, first)


def _told_by_commands(settings: conf.Settings, town: Watched, first: Counter[str]) -> None:
    shown = io.StringIO()
    show_arms(settings, "offer", True, Console(file=shown, width=200))
    rows = {row["arm"]: row for row in json.loads(shown.getvalue())["arms"]}
    assert {arm: (row["over"], row["redeemed"]) for arm, row in rows.items()} == {
        "small": (first["small"], first["small"]),
        "large": (first["large"], first["large"]),
        "control": (first["control"], 0),
    }
    assert (rows["small"]["reward_cents"], rows["large"]["reward_cents"]) == (620, -180)
    assert rows["small"]["chosen"] == first["small"] + 1
    assert rows["control"]["probability"] == pytest.approx(0.2)
    assert sum(row["probability"] for row in rows.values()) == pytest.approx(1)
    table = io.StringIO()
    show_arms(settings, "", False, Console(file=table, width=200))
    assert all(arm in table.getvalue() for arm in rows)
    with pytest.raises(ValueError, match="there is no rule 'ofer' with coupons; did you mean 'offer'"):
        show_arms(settings, "ofer", False, Console(file=table))
    chosen = next(trial for trial in town.trials() if trial.arm == "small" and not trial.revision)
    words = io.StringIO()
    show(Explaining(settings, town.who(chosen.decision)).why("", NOON_MS + 21 * DAY_MS), Console(file=words, width=200))
    assert "arm small, which 40.0% among those whose context is" in words.getvalue()
    assert "get by the weights of the file" in words.getvalue()
    assert "get by version " in words.getvalue()
    assert "S (1.00 off): given" in words.getvalue()


def test_the_lift_is_over_the_control_of_the_same_context_and_there_is_none_without(tmp_path: Path) -> None:
    control, arm = ArmTotals(True, 0, 80, 48, 0, 0, 0), ArmTotals(False, 2, 70, 56, 14, 700, 10_000)
    row = arm_row(arm, control)
    assert (row["chosen"], row["over"], row["rate"], row["reward_cents"]) == (72, 70, 0.2, 10.0)
    assert row["lift"] == pytest.approx(0.2)
    assert row["lift_interval"] == difference_interval(56, 70, 48, 80)
    for nobody in (arm_row(arm, None), arm_row(control, control), arm_row(ArmTotals(), control)):
        assert (nobody["lift"], nobody["lift_interval"]) == (None, None)


def test_without_a_control_the_lift_is_over_those_held_out(tmp_path: Path) -> None:
    held, control = ArmTotals(True, learned=80, ordered=48), ArmTotals(True, learned=50, ordered=45)
    given = ArmTotals(learned=70, ordered=56)
    plain = Rule(id="r", on=["view"], when="true", then=Then("T"), cooldown="1d")
    rows = rule_rows(plain, Totals(contexts={"": {"": given, HOLDOUT: held}}), None, 0.05)
    assert [(row["arm"], row["lift"], row["probability"]) for row in rows] == [
        ("", pytest.approx(0.2), None),
        (HOLDOUT, None, None),
    ]
    arms = [Arm("a", coupon="A"), Arm("b", nothing=True)]
    rows = rule_rows(
        replace(plain, then=Then(arms=arms)),
        Totals(contexts={"": {"a": given, "b": control, HOLDOUT: held}}),
        None,
        0.05,
    )
    assert [(row["arm"], row["lift"]) for row in rows] == [("a", pytest.approx(-0.1)), ("b", None), (HOLDOUT, None)]


def test_arms_that_the_file_no_longer_names_are_told_and_have_no_probability(tmp_path: Path) -> None:
    (tmp_path / "offer.toml").write_text(RULE)
    rule = load_rules(conf.Settings(coupons=conf.Coupons(rules=str(tmp_path)), folder=str(conf.HERE)))[0][0]
    rows = rule_rows(rule, Totals(contexts={"gold": {"gone": ArmTotals(learned=3)}}), None, 0.05)
    assert [(row["arm"], row["over"], row["probability"]) for row in rows] == [
        ("small", 0, 0.4),
        ("large", 0, 0.4),
        ("control", 0, 0.2),
        ("gone", 3, None),
    ]


@pytest.mark.servers
def test_before_anything_was_chosen_the_arms_stand_there_with_their_weights(settings: conf.Settings) -> None:
    town = Town(settings)
    assert read_arms(town.client, settings.redis.prefix, "offer") == (Totals(), None)
    shown = io.StringIO()
    show_arms(settings, "", True, Console(file=shown, width=200))
    rows = json.loads(shown.getvalue())["arms"]
    assert [(row["chosen"], row["rate"], row["reward_cents"]) for row in rows] == [(0, None, None)] * 3


def test_a_lift_is_told_for_customers_to_whom_the_rule_is_new_and_for_others_apart() -> None:
    arm = ArmTotals(learned=100, ordered=60, early=40, early_ordered=36)
    control = ArmTotals(nothing=True, learned=80, ordered=20, early=30, early_ordered=6)
    row = arm_row(arm, control)
    assert row["lift"] == pytest.approx(60 / 100 - 20 / 80)
    assert row["lift_while_new"] == pytest.approx(36 / 40 - 6 / 30)
    assert row["lift_later"] == pytest.approx(24 / 60 - 14 / 50)
    assert row["lift_later_interval"] == difference_interval(24, 60, 14, 50)
    assert arm_row(control, None)["lift_while_new"] is None


def test_customers_by_arm_stand_beside_what_the_file_says_and_a_mismatch_is_named() -> None:
    arms = [Arm("a", coupon="A"), Arm("b", coupon="B", weight=3.0)]
    rule = Rule(id="r", on=["view"], when="true", then=Then(arms=arms), cooldown="1d")
    divided = Divided({"a": 300, "b": 300}, {"a": 0.25, "b": 0.75}, alarm_ms=1)
    rows = rule_rows(
        rule, Totals(designs={"former": Divided({"a": 9}, {"a": 1.0}), design_of(rule.then): divided}), None, 0.05
    )
    assert [(row["customers"], row["customers_expected"], row["mismatch"]) for row in rows] == [
        (300, 150.0, True),
        (300, 450.0, True),
    ]
    assert rows[0]["mismatch_p"] < 1e-9
