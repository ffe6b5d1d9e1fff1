"""Loads the security rules; a wrong one is named and left out, the others run."""

from __future__ import annotations

import structlog

from alerts.security.rule_tests import load_tested
from alerts.sigma.reading import Rules
from config.settings import Settings
from flows.files import texts

log = structlog.get_logger()


def security_texts(settings: Settings) -> list[tuple[str, str]]:
    """(file, text) of the Sigma rules and the tests beside them; what is no UTF-8 is refused with the rule."""
    folder = settings.path(settings.security.rules)
    return [pair for pattern in ("*.yml", "*.yaml", "*.toml") for pair in texts(folder, pattern, "surrogateescape")]


def load_security_rules(settings: Settings, found: list[tuple[str, str]] | None = None) -> Rules:
    """`found`: the files, where they were read before."""
    rules, refused = load_tested(security_texts(settings) if found is None else found)
    for file, title, reason in refused:
        log.error("rule refused, the others run", file=file, rule=title, reason=reason)
    return rules
