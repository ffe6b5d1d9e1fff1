"""Keys come from the environment or from files, and one that is too short is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import Coupons, Settings, WrongSettings
from flows.keys import load_codes

NEW, OLD = "a new key of sixteen and more", "an old key of sixteen and more"


@pytest.fixture(autouse=True)
def without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BREWLINE_COUPON_KEY", "BREWLINE_FORMER_COUPON_KEY"):
        monkeypatch.delenv(name, raising=False)


def settings(folder: Path, **keys: object) -> Settings:
    return Settings(coupons=Coupons(**keys), folder=str(folder))  # type: ignore[arg-type]


def test_without_a_key_there_are_no_codes(tmp_path: Path) -> None:
    assert load_codes(settings(tmp_path)) is None


def test_the_key_of_the_environment_comes_before_that_of_the_file_and_former_ones_still_verify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old.key").write_text(f"{OLD}\n")
    first = load_codes(settings(tmp_path, key_file="old.key"))
    monkeypatch.setenv("BREWLINE_COUPON_KEY", NEW)
    renewed = load_codes(settings(tmp_path, key_file="old.key", former_key_files=["old.key"]))
    assert first is not None
    assert renewed is not None
    code = first.code("d", 1_777_000_000_000)
    assert renewed.read(code) == first.read(code)
    assert renewed.code("d", 1_777_000_000_000) != code


@pytest.mark.parametrize(("variable", "key"), [("BREWLINE_COUPON_KEY", "tiny"), ("BREWLINE_FORMER_COUPON_KEY", OLD)])
def test_a_short_key_or_a_former_one_alone_is_refused(
    variable: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, key)
    with pytest.raises(WrongSettings, match="BREWLINE_COUPON_KEY, or \\[coupons\\] key_file") as refused:
        load_codes(settings(tmp_path))
    assert key not in str(refused.value)
