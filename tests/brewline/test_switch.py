"""A rule is switched in its file: that word alone changes, and only where it can be meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from alerts.triggers.rule import read_rule
from brewline.switch import CannotSwitch, switch, switched
from config import settings as conf
from features.catalog import Catalog
from flows.files import load_catalog

RULE = """# why we thank
id = "thanks"  # do not rename
name = "Thanks"
on = ["order"]
when = "orders_7d >= 1"
then = { coupon = "G", face_value_cents = 100 }
cooldown = "7d"

[[test]]
name = "fires"  # enabled = true
events = [{ type = "order" }]
fires_at = ["+0s"]

[[test]]
name = "is quiet"
events = [{ type = "login" }]
"""
FAILING = RULE.replace('fires_at = ["+0s"]', 'fires_at = ["+1d"]')
OFF = "enabled = false   # until June\n"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(conf.Settings(folder=str(conf.HERE)))


def house(folder: Path, **files: str) -> conf.Settings:
    """With these rules alone."""
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    return conf.Settings(folder=str(conf.HERE), coupons=conf.Coupons(rules=str(folder), campaigns=""))


@given(
    st.sampled_from(["", OFF, "enabled=true\n", "enabled = true # x\n"]),
    st.lists(st.booleans(), min_size=1, max_size=4),
)
def test_what_a_file_says_otherwise_stays_whatever_is_switched(said: str, turns: list[bool]) -> None:
    text = RULE.replace("on = [", f"{said}on = [")
    before = read_rule(text, "f")
    for on in turns:
        text = switched(text, on)
        after = read_rule(text, "f")
        assert after == replace(before, enabled=on, version=after.version)
    comments = [line.partition("#")[2] for line in text.splitlines() if "#" in line]
    assert comments == [
        line.partition("#")[2] for line in RULE.replace("on = [", f"{said}on = [").splitlines() if "#" in line
    ]


def test_a_rule_is_off_and_on_again_in_its_file_and_nothing_else_lies_there(tmp_path: Path, catalog: Catalog) -> None:
    settings, file = house(tmp_path, thanks=RULE), tmp_path / "thanks.toml"
    file.chmod(0o640)
    assert switch(settings, "thanks", False, catalog).enabled is False
    assert "enabled = false" in file.read_text()
    assert switch(settings, "thanks", True, catalog).enabled is True
    assert file.read_text() == RULE.replace("# do not rename\n", "# do not rename\nenabled = true\n")
    assert (list(tmp_path.iterdir()), file.stat().st_mode & 0o777) == ([file], 0o640)


def test_a_rule_whose_tests_fail_cannot_be_switched_on(tmp_path: Path, catalog: Catalog) -> None:
    text = OFF + FAILING
    settings = house(tmp_path, thanks=text)
    with pytest.raises(
        CannotSwitch, match=r"its tests fail, so it stays off: .*test 'fires': fired at \+0s, expected \+1d"
    ):
        switch(settings, "thanks", True, catalog)
    assert (tmp_path / "thanks.toml").read_text() == text


def test_what_cannot_be_written_or_comes_with_brewline_says_so(tmp_path: Path, catalog: Catalog) -> None:
    with pytest.raises(CannotSwitch, match="copy them to a folder of your own"):
        switch(conf.Settings(folder=str(conf.HERE)), "welcome", False, catalog)
    settings = house(tmp_path, thanks=RULE.replace("id =", '"id" ='))
    with pytest.raises(CannotSwitch, match="does not say enabled = true on a line of its own"):
        switch(settings, "thanks", False, catalog)
    with pytest.raises(CannotSwitch, match="there is no rule 'thank'"):
        switch(settings, "thank", False, catalog)


def test_a_file_on_a_volume_that_is_read_only_is_left_alone(
    tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = house(tmp_path, thanks=RULE)

    def refuse(*told: object, **more: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(CannotSwitch, match="Read-only file system"):
        switch(settings, "thanks", False, catalog)
    monkeypatch.undo()
    assert [file.read_text() for file in tmp_path.iterdir()] == [RULE]
