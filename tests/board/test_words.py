"""Every word of the board is there in both languages, and no word is asked for that there is not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from board.app import STATIC
from board.pages import PAGES

NODE = shutil.which("node")
BOOKS = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.words.js"))
USED = re.compile(r"""\bt\(\s*["']([^"']+)["']""")


def words(book: str) -> dict[str, dict[str, str]]:
    script = f"import {{ words }} from {json.dumps((STATIC / book).as_uri())}; console.log(JSON.stringify(words))"
    told = subprocess.run([NODE or "node", "--input-type=module", "-e", script], capture_output=True, check=True)
    return json.loads(told.stdout)  # type: ignore[no-any-return]


@pytest.mark.skipif(NODE is None, reason="there is no node here")
@pytest.mark.parametrize("book", BOOKS)
def test_both_languages_have_the_same_words(book: str) -> None:
    told = words(book)
    assert told["en"].keys() == told["zh"].keys()
    blanks = {key: [re.findall(r"\{\w+\}", told[tongue][key]) for tongue in ("en", "zh")] for key in told["en"]}
    assert {key for key, (en, zh) in blanks.items() if sorted(en) != sorted(zh)} == set()
    assert [key for key, text in told["zh"].items() if not text] == []


@pytest.mark.skipif(NODE is None, reason="there is no node here")
@pytest.mark.parametrize("page", [page.name for page in PAGES])
def test_every_word_a_page_asks_for_is_there(page: str) -> None:
    shell = words("shell.words.js")["en"]
    asked = set(USED.findall((STATIC / f"pages/{page}.js").read_text()))
    assert asked - shell.keys() - words(f"pages/{page}.words.js")["en"].keys() == set()
    assert page in shell


def test_no_file_of_the_board_asks_another_host() -> None:
    found = [
        f"{path.name}: {url}"
        for path in [*STATIC.glob("*.*"), *(STATIC / "pages").glob("*.js")]
        for url in re.findall(r"https?://[^\s\"'`)<]+", Path(path).read_text())
        if "www.w3.org" not in url
    ]
    assert not found
