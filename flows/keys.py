"""The key of the pseudonyms: from the environment or from a file, never from the settings themselves."""

from __future__ import annotations

import os

from config.settings import Settings, WrongSettings
from features.identity import Pseudonyms
from flows.files import text


def load_pseudonyms(settings: Settings) -> Pseudonyms:
    """The pseudonym key, from BREWLINE_IDENTITY_KEY or [identity] key_file, and the former ones."""
    identity = settings.identity
    [key] = _keys(settings, "BREWLINE_IDENTITY_KEY", [identity.key_file])
    former = _keys(settings, "BREWLINE_FORMER_IDENTITY_KEY", identity.former_key_files)
    others = tuple(one.encode() for one in dict.fromkeys(former) if one != key)
    return Pseudonyms(key.encode(), identity.phone_region, others)


def _keys(settings: Settings, variable: str, files: list[str]) -> list[str]:
    one = os.environ.get(variable, "")
    keys = [one] if one else [text(settings.path(file)).strip() if file else "" for file in files]
    if any(len(key) < 16 for key in keys):
        raise WrongSettings(
            "the key of the pseudonyms, or a former one, is missing or shorter than 16 characters: set"
            " BREWLINE_IDENTITY_KEY, or [identity] key_file to a file that holds it (make one with `openssl rand -hex"
            " 32`), and keep it: with another key every customer is a stranger"
        )
    return keys
