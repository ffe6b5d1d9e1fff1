"""Files that a flow follows: read anew once they have changed and stand still."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from alerts.triggers.gifts import WrongRule
from flows.followed import EVERY_S, Followed


class Reader:
    """Looks at two places; `read` is what was read so far."""

    def __init__(self, folder: Path) -> None:
        self.at_s, self.read, self.fails = 0.0, 0, None
        self.followed = Followed("rules", [folder / "rules", folder / "one.toml"], lambda: self.at_s)

    def look(self, pass_s: float = EVERY_S) -> int:
        self.at_s += pass_s
        self.followed.follow(self._read)
        return self.read

    def _read(self) -> int:
        self.read += 1
        if self.fails:
            raise self.fails
        return 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules" / "deep").mkdir(parents=True)
    (tmp_path / "one.toml").write_text("a")
    return tmp_path


@pytest.mark.parametrize("name", ["one.toml", "rules/deep/new.toml"])
def test_a_change_is_read_once_when_it_has_stood_still_for_a_look(folder: Path, name: str) -> None:
    reader = Reader(folder)
    assert reader.look() == 0
    (folder / name).write_text("longer")
    assert [reader.look() for _ in range(3)] == [0, 1, 1]


def test_a_file_that_is_gone_for_a_moment_is_not_taken_for_removed(folder: Path) -> None:
    reader, text = Reader(folder), (folder / "one.toml").read_text()
    (folder / "one.toml").unlink()
    assert reader.look() == 0
    (folder / "one.toml").write_text(text)
    assert [reader.look(), reader.look()] == [0, 1]
    (folder / "one.toml").unlink()
    assert [reader.look(), reader.look()] == [1, 2]


def test_it_looks_no_more_than_once_a_second(folder: Path) -> None:
    reader = Reader(folder)
    (folder / "one.toml").write_text("longer")
    assert [reader.look(0.2) for _ in range(5)] == [0] * 5
    assert [reader.look(0.5), reader.look(0.6)] == [0, 1]


def test_what_could_not_be_read_is_read_again(folder: Path) -> None:
    reader = Reader(folder)
    (folder / "one.toml").write_text("longer")
    reader.fails = ConnectionError()
    reader.look()
    for _ in range(2):
        with pytest.raises(ConnectionError):
            reader.look()
    reader.fails = None
    assert [reader.look(), reader.look()] == [3, 3]


def test_what_is_wrong_is_told_once_and_not_read_again_until_it_has_changed(folder: Path) -> None:
    reader = Reader(folder)
    (folder / "one.toml").write_text("longer")
    reader.fails = WrongRule("one.toml:1: wrong")
    with capture_logs() as told:
        assert [reader.look() for _ in range(4)] == [0, 1, 1, 1]
    assert [(one["event"], one["error"]) for one in told] == [
        ("rules refused, the former ones stay", "one.toml:1: wrong")
    ]


def test_that_files_are_wrong_is_a_metric_until_they_are_mended(folder: Path) -> None:
    def refused() -> float | None:
        return REGISTRY.get_sample_value("brewline_files_refused", {"what": "rules"})

    reader = Reader(folder)
    assert refused() == 0
    (folder / "one.toml").write_text("longer")
    reader.fails = WrongRule("one.toml:1: wrong")
    for _ in range(3):
        reader.look()
    assert refused() == 1
    (folder / "one.toml").write_text("mended now")
    reader.fails = None
    for _ in range(2):
        reader.look()
    assert refused() == 0
