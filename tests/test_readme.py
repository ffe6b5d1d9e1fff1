"""What the README shows is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alerts.triggers.gifts import WrongRule
from alerts.triggers.rule import read_rule
from alerts.triggers.timeline import failures
from config.settings import load
from flows.files import load_catalog
from tests.commandline import COMMAND

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_rule_in_the_readme_is_a_shipped_one() -> None:
    (shown,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    rule = read_rule(shown, "README.md")
    assert shown == (ROOT / f"config/rules/coupons/{rule.id}.toml").read_text()


def test_the_walk_shows_what_a_wrong_rule_is_told() -> None:
    (shown,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    file, catalog = f"config/rules/coupons/{read_rule(shown, '').id}.toml", load_catalog(load(environ={}))
    misspelt, misjudged = shown.replace("views_24h", "view_24h"), shown.replace('["+2d 11h 2m"]', '["+2d 11h"]')
    with pytest.raises(WrongRule) as refused:
        failures(read_rule(misspelt, file), file, misspelt, catalog)
    told = [str(refused.value), *failures(read_rule(misjudged, file), file, misjudged, catalog)]
    assert re.findall(rf"^(?:brewline: )?({file}:.*)$", README, re.MULTILINE) == told


def test_every_folder_in_the_readme_exists() -> None:
    for folder in re.findall(r"^\| `(\w+)/` \|", README, re.MULTILINE):
        assert (ROOT / folder).is_dir(), folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_file_named_exists(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    for file in re.findall(r"`((?:config|features|flows|operators|alerts|docs|brewline)/[\w./-]+\.\w+)`", text):
        assert (ROOT / file).exists(), f"{page.name} names {file}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_is_one(page: Path) -> None:
    for line in re.findall(r"(?:^|`|/)brewline ([a-z][\w-]*)", page.read_text(), re.MULTILINE):
        assert line in COMMAND.commands, f"{page.name} shows `brewline {line}`"


def test_make_targets_shown_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make (\w+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
