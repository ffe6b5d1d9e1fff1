"""Files that a flow follows: read anew once they have changed and stand still."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.followed import EVERY_S, Followed


class Reader:
    """Looks at two places; `read` is what was read so far."""

    def __init__(self, folder: Path) -> None:
        self.at_s, self.read, self.fails = 0.0, 0, False
        self.followed = Followed([folder / "rules", folder / "one.toml"], lambda: self.at_s)

    def look(self, pass_s: float = EVERY_S) -> int:
        self.at_s += pass_s
        self.followed.follow(self._read)
        return self.read

    def _read(self) -> None:
        self.read += 1
        if self.fails:
            raise ConnectionError


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
    reader.fails = True
    reader.look()
    for _ in range(2):
        with pytest.raises(ConnectionError):
            reader.look()
    reader.fails = False
    assert [reader.look(), reader.look()] == [3, 3]
