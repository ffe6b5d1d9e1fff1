"""Where people may pause a campaign, and where they may let it go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerts.triggers.braking import Resume
from brewline import brake
from config.settings import Settings, load
from features.outgoing import BrakeTurn

PAUSED = BrakeTurn("winback", "store:gone", 1, "alert", 0, "why", "i-1", state="paused")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "stores.csv").write_text("store,region,timezone\ns1,east,Asia/Shanghai\n")
    found = load(environ={})
    found.stores.file = str(tmp_path / "stores.csv")
    return found


@pytest.mark.parametrize(("store", "region"), [("s2", ""), ("", "west")])
def test_nobody_pauses_where_no_store_is(settings: Settings, store: str, region: str) -> None:
    with pytest.raises(ValueError, match="the stores file names no"):
        brake.pause(settings, "winback", brake.place_of(store, region), "anna", "why")


def test_a_campaign_goes_on_in_a_store_that_the_file_does_not_name(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(brake, "read_turns", lambda _: [PAUSED])
    monkeypatch.setattr(brake, "_ask", lambda _, word: asked.append(word))
    brake.resume(settings, "winback", brake.place_of("gone", ""), "anna", "closed")
    [word] = asked
    assert isinstance(word, Resume)
    assert word.place == "store:gone"


def test_a_place_is_a_store_or_a_region() -> None:
    assert [brake.place_of(*names) for names in (("s1", ""), ("", "east"), ("", ""))] == ["store:s1", "region:east", ""]
    with pytest.raises(ValueError, match="expected one of them"):
        brake.place_of("s1", "east")
