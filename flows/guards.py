"""Loads the security rules; a wrong one is named and left out, the others run."""

from __future__ import annotations

from pathlib import Path

import structlog

from alerts.security.rule_tests import RULE_SUFFIXES, TEST_SUFFIX, load_tested
from alerts.sigma.reading import Rules
from config.settings import Settings
from flows.changed import note_files
from flows.files import texts
from flows.house import House

log = structlog.get_logger()
Texts = list[tuple[str, str]]  # (file, text); what is no UTF-8 is refused with the rule


def rule_texts(folder: Path) -> Texts:
    """The YAML files under a folder. Raises WrongSettings."""
    return sorted(pair for suffix in RULE_SUFFIXES for pair in texts(folder, f"*{suffix}", "surrogateescape"))


def timeline_texts(folder: Path) -> Texts:
    """The tests beside rules. Raises WrongSettings."""
    return texts(folder, f"*{TEST_SUFFIX}", "surrogateescape")


def security_texts(settings: Settings) -> Texts:
    """The rules and the tests beside them. Raises WrongSettings."""
    folder = settings.path(settings.security.rules)
    return [*rule_texts(folder), *timeline_texts(folder)]


def load_security_rules(found: Texts) -> Rules:
    rules, refused = load_tested(found)
    for file, title, reason in refused:
        log.error("rule refused, the others run", file=file, rule=title, reason=reason)
    return rules


def take_up(house: House) -> Rules:
    """The rules as their files stand; the trail is told how these differ from those before."""
    found = security_texts(house.settings)
    note_files(house, "security rules", house.settings.path(house.settings.security.rules), found)
    return load_security_rules(found)
