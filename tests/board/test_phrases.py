"""Sentences that the core writes are told in Chinese, all of them and whole; the phrasebook holds nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from typing import Any, NamedTuple

import pytest

from board.app import STATIC
from tests.board.sentences import alerts, refusals, rules
from tests.board.sentences.sentence import Sentence

NODE = shutil.which("node")
SOURCES = {"alerts": alerts.sentences, "rules": rules.sentences, "refusals": refusals.sentences}
BOOK = {name: f"board/static/phrases/{name}.zh.js" for name in SOURCES}
WORD = re.compile(r"[A-Za-z]{2,}")
CODE = re.compile(r"`[^`]*`|'[^']*'|\$[.\w]+")  # stays as it is
SCRIPT = """
globalThis.localStorage = { getItem: () => process.argv[1] };
const { said, told } = await import(%s);
const { groups } = await import(%s);
let text = "";
for await (const part of process.stdin) text += part;
const asked = JSON.parse(text);
const each = (tell) => asked.map(([text, kind]) => tell(text, kind));
console.log(JSON.stringify({ groups, told: each(told), said: each(said) }));
"""
pytestmark = pytest.mark.skipif(NODE is None, reason="there is no node here")


class Told(NamedTuple):
    """`by`: the phrases that told it; empty where none fits."""

    text: str
    by: list[str]


def asked(sentences: list[Sentence], tongue: str = "zh") -> dict[str, Any]:
    script = SCRIPT % tuple(json.dumps((STATIC / file).as_uri()) for file in ("phrases.js", "phrases/zh.js"))
    said = json.dumps([[one.text, one.kind] for one in sentences]).encode()
    told = subprocess.run(
        [NODE or "node", "--input-type=module", "-e", script, tongue], input=said, capture_output=True
    )
    assert not told.returncode, told.stderr.decode()
    return json.loads(told.stdout)  # type: ignore[no-any-return]


@cache
def sentences(source: str) -> list[Sentence]:
    return list(dict.fromkeys(one for one in SOURCES[source]() if one.text))


@cache
def tellings(source: str) -> list[Told]:
    found = asked(sentences(source))["told"]
    return [Told(one["text"], one["by"]) if one else Told("", []) for one in found]


@cache
def book() -> dict[str, str]:
    """By group and template, what it becomes."""
    groups = asked([])["groups"]
    return {f"{group}: {said}": told for group, phrases in groups.items() for said, told in phrases}


@pytest.mark.parametrize("source", SOURCES)
def test_every_sentence_of_the_core_is_told_in_chinese(source: str) -> None:
    wrong = []
    for one, told in zip(sentences(source), tellings(source), strict=True):
        if not told.text:
            wrong.append(f"{one.where}\n  writes {one.text!r}\n  no phrase of the group `{one.kind}` fits: add one")
        elif left := english(told, one.names):
            wrong.append(
                f"{one.where}\n  writes {one.text!r}\n  told as {told.text!r}\n  still English: {left}; by {told.by}"
            )
    assert not wrong, f"{len(wrong)} sentences stay English; their phrases stand in {BOOK[source]}:\n" + "\n".join(
        wrong[:20]
    )


def english(told: Told, names: tuple[str, ...]) -> list[str]:
    """Words that are neither names nor of the phrases' own."""
    own = set(WORD.findall(" ".join(re.sub(r"\{\w+\}", "", book()[key]) for key in told.by)))
    text = CODE.sub(" ", told.text)
    for name in sorted(filter(None, names), key=len, reverse=True):
        text = text.replace(name, " ")
    return [word for word in WORD.findall(text) if word not in own]


def test_every_phrase_tells_a_sentence() -> None:
    used = {key for source in SOURCES for told in tellings(source) for key in told.by}
    assert sorted(book().keys() - used) == [], "nothing that the tests collect uses these: take them out, or collect it"


def test_a_phrase_has_the_same_blanks_in_both_languages() -> None:
    def blanks(template: str) -> set[str]:
        return {re.split("[:?]", blank)[0] for blank in re.findall(r"\{([\w:?]+)\}", template)}

    differing = [key for key, told in book().items() if blanks(key.partition(": ")[2]) != blanks(told)]
    assert differing == ["sight: weekday is {n:number} ({weekday})"], "the weekday alone is enough"


def test_what_nobody_has_foreseen_stays_as_it_is_but_for_its_times() -> None:
    unknown = Sentence("the moon was full at 2026-05-04T12:30:00.000Z", "why", "")
    assert asked([unknown])["said"] == ["the moon was full at 5月4日 20:30"]


def test_in_english_sentences_are_told_as_the_core_writes_them() -> None:
    some = [one for one in sentences("alerts") if "2026" not in one.text and "2025" not in one.text][:50]
    assert asked(some, "en")["said"] == [one.text for one in some]
