"""A models file is read into what each model is to foretell, or refused by file, line and key."""

from __future__ import annotations

import pytest

from features.building import build_catalog
from features.customer import Label
from features.declared import WrongFeatures
from features.kernel.arrays import A_WHILE, RHYTHM
from features.labels import labels_of
from features.models import input_layouts
from features.tasks import Task, read_tasks
from features.times import DAY_MS
from tests.alerts.triggers.jobs import CATALOG

GOOD = """
[risk]
target = "churn"
features = ["orders_7d"]

[lapse]
target = "churn"
horizon = "2.5 rhythm"
features = ["orders_7d", "spend_cents_7d"]

[spend]
target = "spend_ahead"
horizon = "30d"
features = [
  "spend_cents_7d",
]
"""
FEATURES = {"windows": ["7d"], "measures": {"orders": {"order": 1}, "spend_cents": {"order": "total_cents"}}}


def test_a_horizon_is_a_time_or_so_many_rhythms_and_has_a_default() -> None:
    tasks = read_tasks(GOOD, "m.toml")
    assert tasks["risk"] == Task("churn", ["orders_7d"], "60d")
    assert [(task.horizon_ms, task.rhythms) for task in tasks.values()] == [
        (60 * DAY_MS, 0), (0, 2500), (30 * DAY_MS, 0),
    ]  # fmt: skip
    assert [task.link for task in tasks.values()] == ["logit", "logit", "log1p"]


def test_rows_wait_once_for_all_models() -> None:
    labels = labels_of(build_catalog(FEATURES, tasks=read_tasks(GOOD, "m.toml")))
    assert labels.label == Label([0, 1], [(2500, RHYTHM), (60 * DAY_MS, A_WHILE)], 30 * DAY_MS)
    assert {name: (taught.inputs, taught.horizon) for name, taught in labels.taught.items()} == {
        "risk": ([0], 1), "lapse": ([0, 1], 0), "spend": ([1], -1),
    }  # fmt: skip


def test_a_model_that_was_learned_for_another_target_or_horizon_is_another_one() -> None:
    layouts = [
        input_layouts(build_catalog(FEATURES, tasks=read_tasks(text, "m.toml")))["risk"]
        for text in (GOOD, GOOD.replace('"churn"', '"next_order_days"', 1), GOOD.replace("[lapse]", "[other]"))
    ]
    assert layouts[0] != layouts[1]
    assert layouts[0] == layouts[2]


@pytest.mark.parametrize(
    ("found", "broken", "message"),
    [
        ('target = "churn"', 'target = "chrun"', "m.toml:3: risk.target: found 'chrun'; did you mean 'churn'?"),
        ('target = "churn"', "", "m.toml:2: risk: `target` is missing"),
        ("2.5 rhythm", "2.5 rhythms", "m.toml:8: lapse.horizon: found '2.5 rhythms', expected for example '60d' or"),
        ("2.5 rhythm", "0d", "m.toml:8: lapse.horizon: found '0d', expected for example '60d' or '3 rhythm'"),
        ('"30d"', '"3 rhythm"', "m.toml:13: spend.horizon: found '3 rhythm', expected for example '90d'"),
        ('horizon = "2', 'horizn = "2', "m.toml:8: lapse: unknown key 'horizn'; did you mean 'horizon'?"),
        ("[risk]", "risk = 3\n[other]", "m.toml:2: found risk = 3, expected a table [risk]"),
        ("features = [\n", "features = [\n3,", "m.toml:11: spend.features: found 3, expected `str`, got `int`"),
        ("[risk]", "[risk", "m.toml: not valid TOML"),
        (
            "[risk]",
            '[more]\ntarget = "spend_ahead"\nfeatures = []\n[risk]',
            "m.toml:16: spend.horizon: found '30d', expected '90d': all models of spend_ahead share one horizon",
        ),
    ],
)
def test_a_wrong_models_file_is_refused_by_place(found: str, broken: str, message: str) -> None:
    assert found in GOOD
    with pytest.raises(WrongFeatures) as wrong:
        read_tasks(GOOD.replace(found, broken, 1), "m.toml")
    assert str(wrong.value).startswith(message)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Task("churn", ["orders_8d"]), "models.toml: [m]: there is no feature 'orders_8d'; did you mean 'orders_7d'?"),
        (Task("spend_ahead", ["orders_7d"], "1d"), "models.toml: [m]: target: spend_ahead adds up the measure"),
        (Task("churn", ["last"], "1d"), "models.toml: [m]: 'last' is a text, expected a number"),
    ],
)
def test_a_model_over_features_that_there_are_not_is_refused(task: Task, message: str) -> None:
    last = {"order": "store", "aggregate": "last"}
    with pytest.raises(WrongFeatures) as wrong:
        build_catalog({"windows": ["7d"], "measures": {"orders": {"order": 1}, "last": last}}, tasks={"m": task})
    assert str(wrong.value).startswith(message)
    with pytest.raises(WrongFeatures, match="the name 'orders_7d' is taken by a feature"):
        build_catalog(FEATURES, tasks={"orders_7d": Task("churn", [])})


def test_the_shipped_models_say_what_they_foretell() -> None:
    assert {name: (task.target, task.horizon) for name, task in CATALOG.tasks.items()} == {
        "churn_risk": ("churn", "60d"),
        "lapse_risk": ("churn", "3 rhythm"),
        "next_order_days": ("next_order_days", "60d"),
        "spend_cents_next_90d": ("spend_ahead", "90d"),
        "propensity": ("redeemed", ""),
        "uplift": ("uplift", ""),
    }
