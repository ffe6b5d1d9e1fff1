"""A version is what was sealed, or it is refused; what is kept of versions knows where to go back to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from features.models import Curve, LinearModel
from features.versions import (
    ROLLED_BACK,
    TURNS_KEPT,
    Comparison,
    Unusable,
    Version,
    Versions,
    open_sealed,
    seal,
    sole,
    unseal,
    version_key,
)

MODEL = LinearModel("m", 3, "l", 500, ["x"], [Curve([0.0, 1.0], [0.0, 0.5])], 0.1)
RAW = seal(MODEL, 7, {"log_loss": 0.3, "roc_auc": None})


def test_what_was_sealed_comes_back_with_all_that_is_told_of_it() -> None:
    sealed = open_sealed(RAW)
    assert (sealed.labels, sealed.at_ms, sealed.figures) == (500, 7, {"log_loss": 0.3, "roc_auc": None})
    assert unseal(RAW, "m", 3, "l") == MODEL
    assert unseal(sole(MODEL)[version_key("m", 3)], "m", 3, "l") == MODEL


@given(st.integers(0, 8 * len(RAW) - 1))
def test_any_bit_that_flips_is_noticed(bit: int) -> None:
    spoilt = bytearray(RAW)
    spoilt[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Unusable, match="corrupt"):
        unseal(bytes(spoilt), "m", 3, "l")


@given(st.integers(0, len(RAW) - 1))
def test_whatever_was_cut_off_is_noticed(length: int) -> None:
    with pytest.raises(Unusable, match="corrupt"):
        unseal(RAW[:length], "m", 3, "l")


@pytest.mark.parametrize(
    ("asked", "reason"), [(("m", 3, "other"), "layout"), (("m", 2, "l"), "corrupt"), (("n", 3, "l"), "corrupt")]
)
def test_another_model_than_was_asked_for_is_refused(asked: tuple[str, int, str], reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        unseal(RAW, *asked)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_model_whose_learning_has_gone_astray_cannot_score(number: float) -> None:
    with pytest.raises(Unusable, match="undecodable"):
        unseal(seal(replace(MODEL, bias=number), 0, {}), "m", 3, "l")


def test_a_loss_that_is_no_number_never_wins() -> None:
    assert Comparison(1, 10, 0.3, 0.3).won
    assert not Comparison(1, 10, float("nan"), 0.3).won
    assert not Comparison(1, 10, float("inf"), float("inf")).won
    assert not Comparison(1, 10, 0.3, float("nan")).won, "nor does one that was compared with nothing"


def test_going_back_again_and_again_ends_with_the_oldest_that_is_kept() -> None:
    versions = Versions(kept=[Version(n, "l", 0, 0) for n in (2, 3, 5, 8)])
    for number in (1, 2, 5, 8):
        versions.turn(0, number, "better")
    went = []
    while back := versions.former:
        versions.turn(0, back, "rolled back")
        went.append(back)
    assert went == [5, 2]


def test_going_back_leads_to_the_champion_before_also_where_that_is_the_newer_one() -> None:
    versions = Versions(kept=[Version(n, "l", 0, 0) for n in (1, 2, 5, 7)])
    for number, why in ((1, "first"), (2, "better"), (5, "better"), (7, "better"), (5, ROLLED_BACK), (2, "promoted")):
        versions.turn(0, number, why)
    assert versions.former == 5, "7 was rolled back"
    versions.turn(0, 7, "promoted")
    versions.turn(0, 5, "promoted")
    assert versions.former == 7
    versions.turn(0, 1, ROLLED_BACK)
    assert versions.former == 0, "it was the first"


def test_pins_and_unpins_do_not_make_one_forget_who_was_champion_before() -> None:
    versions = Versions(kept=[Version(n, "l", 0, 0) for n in (1, 2, 3)])
    versions.turn(0, 1, "first")
    versions.turn(0, 2, "better")
    for number in range(2 * TURNS_KEPT):
        versions.turn(0, 2, ("promoted", "unpinned")[number % 2])
    assert versions.former == 1
    assert versions.trim(1) == []
