"""What the documentation shows can be done as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from alerts.triggers.rule import read_rule
from alerts.triggers.timeline import failures
from brewline import reference
from config.settings import Settings, load
from features.events import Line, Order, decode_event
from flows.files import load_catalog
from flows.sinks import load_sinks
from tests.commandline import COMMAND

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *(page for page in sorted(DOCS.rglob("*.md")) if "decisions" not in page.parts)]
OURS = (".venv/bin/brewline", "brewline")


def blocks(page: Path, language: str) -> list[str]:
    """Fenced blocks, also those that are indented within a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def howto(name: str, language: str = "toml") -> str:
    [text] = blocks(DOCS / f"howto/{name}.md", language)
    return text


def settings_with(folder: Path, **files: str) -> Settings:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    return msgspec.structs.replace(load(environ={}), **{name: str(folder / f"{name}.toml") for name in files})


def commands() -> list[tuple[str, str]]:
    lines = [(page.name, line) for page in PAGES for block in blocks(page, "sh") for line in joined(block)]
    return [(page, line) for page, line in dict.fromkeys(lines) if line and not line.startswith("#")]


def joined(block: str) -> list[str]:
    """Its lines, without remarks; what ends in a backslash goes on."""
    return [line.strip() for line in re.sub(r"\\\n", " ", block).splitlines()]


@pytest.mark.parametrize(("page", "line"), commands(), ids=lambda text: str(text)[:60])
def test_a_command_that_is_shown_can_be_given(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    if words and words[0] in OURS:
        check_ours(words[1:])
    elif words[:1] == ["make"]:
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE), words[1]
    elif words[:1] and words[0].endswith("python") and "-m" in words:
        assert find_spec(words[words.index("-m") + 1])
    elif words[:3] == ["kubectl", "apply", "-k"]:
        assert (ROOT / words[3] / "kustomization.yaml").exists()


def check_ours(words: list[str]) -> None:
    """Each word is a command of the one before, each option one of its own."""
    command = COMMAND
    options = {option for one in command.params for option in one.opts}
    while words:
        word, *words = words
        if word.startswith("--"):
            assert word.partition("=")[0] in options, f"{command.name} has no {word}"
        elif hasattr(command, "commands") and not word.startswith("-") and word in command.commands:
            command = command.commands[word]
            options |= {option for one in command.params for option in one.opts}
        elif hasattr(command, "commands") and not command.invoke_without_command:
            raise AssertionError(f"{command.name} has no {word}")


def test_a_word_that_is_no_command_and_an_option_that_there_is_not_are_found() -> None:
    for wrong in (["rules", "chekc"], ["rules", "check", "--quick"], ["sttus"]):
        with pytest.raises(AssertionError):
            check_ours(wrong)


def test_the_rule_of_the_how_to_passes_its_own_tests() -> None:
    text, file = howto("write-a-rule"), "rainy-regular.toml"
    assert failures(read_rule(text, file), file, text, load_catalog(load(environ={}))) == []


def test_the_feature_of_the_how_to_is_one_beside_the_shipped_ones(tmp_path: Path) -> None:
    [measure] = [line for line in howto("add-a-feature").splitlines() if line.startswith("night_orders")]
    shipped = (ROOT / "config/features.toml").read_text("utf-8")
    features = shipped.replace("[measures]\n", f"[measures]\n{measure}\n", 1)
    names = load_catalog(settings_with(tmp_path, features=features)).names
    assert "night_orders_30d" in names


def test_the_event_of_the_how_to_is_read_as_an_order() -> None:
    shown = howto("add-an-event-source", "json").encode()
    event = decode_event(shown)
    assert isinstance(event, Order)
    assert event.total_cents == 1800
    asked = msgspec.json.decode(shown)
    assert {*asked} <= {*Order.__struct_fields__, "type"}
    assert {name for line in asked["lines"] for name in line} <= {*Line.__struct_fields__}


def test_the_sink_of_the_how_to_is_one(tmp_path: Path) -> None:
    sinks = load_sinks(settings_with(tmp_path, sinks=howto("connect-a-siem")))
    assert [*sinks.sinks] == ["siem"]


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text("utf-8")
    linked = {(DOCS / target).resolve() for target in re.findall(r"\]\(([^)#]+)", index)}
    assert {page for page in PAGES if page.parent != ROOT and page.name != "README.md"} <= linked


@pytest.mark.parametrize("name", ["cli.md", "settings.md"])
def test_the_reference_is_what_the_code_says(name: str) -> None:
    text = reference.pages()[name].rstrip() + "\n"
    found = (reference.FOLDER / name).read_text("utf-8")
    assert found == text, f"docs/reference/{name} is out of date: run python -m brewline.reference"


def test_every_setting_is_in_the_reference_with_the_variable_that_sets_it() -> None:
    page = reference.pages()["settings.md"]
    for section in msgspec.structs.fields(Settings):
        if isinstance(section.type, type) and issubclass(section.type, msgspec.Struct):
            for field in msgspec.structs.fields(section.type):
                assert f"`BREWLINE_{section.name}__{field.name}`".upper() in page or field.name in (
                    "gateways",
                    "company",
                )


def test_shell_blocks_are_shell() -> None:
    for page in PAGES:
        for block in blocks(page, "sh"):
            done = subprocess.run(["sh", "-n"], input=block, capture_output=True, text=True, timeout=10, check=False)
            assert done.returncode == 0, f"{page.name}: {done.stderr}"
