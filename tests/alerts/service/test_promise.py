"""The file of promises: what it means, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerts.service.promise import WrongPromises, read_promises
from config import settings as conf

SHIPPED = read_promises((conf.HERE / "service.toml").read_text("utf-8"), "service.toml")
GOOD = """complaints = "other"
leads = "lead"

[[promise]]
id = "other"
first_answer = "4h"
escalate = [{ to = "boss", after = "1h" }]

[[promise]]
id = "lead"
first_answer = "15m"
"""


def test_food_safety_comes_before_delivery_and_delivery_before_all_else() -> None:
    assert [promise.id for promise in SHIPPED.promise][:3] == ["food-safety", "delivery", "other"]
    named = {
        "food_safety": "food-safety",
        "Foreign Object in my drink": "food-safety",
        "delivery was late and I got sick": "food-safety",
        "外卖超时了": "delivery",
        "奶茶里有异物": "food-safety",
        "waiting-time": "delivery",
        "billing": "other",
        "the plate": "other",
        "": "other",
    }
    assert {topic: SHIPPED.of_complaint(topic).id for topic in named} == named
    food = SHIPPED.named("food-safety")
    assert food.clocks == {"first_answer": 30 * 60_000, "resolution": 4 * 3_600_000}
    assert SHIPPED.named(SHIPPED.leads).clocks == {"first_answer": 15 * 60_000}


def test_whatever_is_settled_closes_some_day_as_shipped() -> None:
    settled = [promise for promise in SHIPPED.promise if promise.id != SHIPPED.leads]  # which a call closes
    assert all(promise.close_after_ms for promise in settled)


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ('leads = "lead"', 'leds = "lead"', "f.toml:2: unknown key 'leds'; did you mean 'leads'?"),
        ('leads = "lead"', 'leads = "led"', "f.toml:2: leads: there is no promise 'led'; did you mean 'lead'?"),
        ('complaints = "other"\n', "", "f.toml:1: `complaints` is missing"),
        ('complaints = "other"', 'complaints = "otter"', "f.toml:1: complaints: there is no promise 'otter'; did you"),
        ('leads = "lead"', 'keep = "a while"', "f.toml:2: keep: expected a duration such as '90s', '30m', '24h'"),
        ('leads = "lead"', "ratings = { promise = 'lead', stars = 9 }", "f.toml:2: ratings.stars: found 9, expected"),
        (
            'leads = "lead"',
            "ratings = { promise = 'lead', star = 2 }",
            "f.toml:2: ratings: unknown key 'star'; did you",
        ),
        (
            'first_answer = "15m"',
            'first_anwser = "15m"',
            "f.toml:11: unknown key 'first_anwser'; did you mean 'first_",
        ),
        ('first_answer = "15m"', "", "f.toml:10: promise 'lead': promises nothing: write first_answer = \"30m\""),
        (
            'first_answer = "15m"',
            'first_answer = "15min"',
            "f.toml:11: first_answer: expected a duration such as '90s'",
        ),
        (
            'first_answer = "15m"',
            'first_answer = "0m"',
            "f.toml:11: first_answer: found '0m', expected more than nothing",
        ),
        ('id = "lead"', 'id = "other"', "f.toml:10: the id 'other' is taken by another promise: choose another"),
        ('after = "1h"', 'after = "soon"', "f.toml:7: escalate.after: expected a duration such as '90s'"),
        ('to = "boss"', 'too = "boss"', "f.toml:7: escalate: unknown key 'too'; did you mean 'to'?"),
        ('"15m"', '"15m"\nwarn_at = 1.2', "f.toml:12: warn_at: found 1.2, expected `float` < 1"),
        ('"15m"', '"15m"\nhours = "22:00-02:00"', "f.toml:12: hours: found '22:00-02:00', expected hours of one day"),
        ('"15m"', '"15m"\nclose_after = 3', "f.toml:12: close_after: found 3, expected `str`, got `int`"),
        ("[[promise]]", "[promise", "f.toml: not valid TOML: "),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_what_to_write(good: str, bad: str, told: str) -> None:
    assert good in GOOD
    with pytest.raises(WrongPromises) as error:
        read_promises(GOOD.replace(good, bad, 1) if "first_answer" not in good else _last(good, bad), "f.toml")
    assert str(error.value).startswith(told)


def _last(good: str, bad: str) -> str:
    head, _, tail = GOOD.rpartition(good)
    return head + bad + tail


def test_the_flow_reads_the_file_that_the_settings_name(tmp_path: Path) -> None:
    from flows.files import load_promises

    path = tmp_path / "brewline.toml"
    path.write_text('[service]\npromises = "ours.toml"\n')
    (tmp_path / "ours.toml").write_text(GOOD)
    assert load_promises(conf.load(path, {})) == read_promises(GOOD, "")
    path.write_text("")
    assert load_promises(conf.load(path, {})) == SHIPPED


@pytest.mark.parametrize("text", ["", "# [[promise]]\n", 'leads = "lead"\n'])
def test_a_file_without_promises_is_told_what_it_lacks(text: str) -> None:
    with pytest.raises(WrongPromises, match="`complaints` is missing"):
        read_promises(text, "service.toml")
