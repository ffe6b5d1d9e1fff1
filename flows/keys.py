"""Keys of the pseudonyms and of the coupons' codes: from the environment or from files, never from the settings."""

from __future__ import annotations

import os

from alerts.coupons.code import Codes
from config.settings import Settings, WrongSettings
from features.identity import Pseudonyms
from flows.files import text

SHORTEST = 16


def load_pseudonyms(settings: Settings) -> Pseudonyms:
    """The pseudonym key, from BREWLINE_IDENTITY_KEY or [identity] key_file, and the former ones."""
    identity = settings.identity
    [key] = _keys(settings, "BREWLINE_IDENTITY_KEY", [identity.key_file])
    former = _keys(settings, "BREWLINE_FORMER_IDENTITY_KEY", identity.former_key_files)
    if any(len(one) < SHORTEST for one in [key, *former]):
        raise WrongSettings(
            "the key of the pseudonyms, or a former one, is missing or shorter than 16 characters: set"
            " BREWLINE_IDENTITY_KEY, or [identity] key_file to a file that holds it (make one with `openssl rand -hex"
            " 32`), and keep it: with another key every customer is a stranger"
        )
    others = tuple(one.encode() for one in dict.fromkeys(former) if one != key)
    return Pseudonyms(key.encode(), identity.phone_region, others)


def load_codes(settings: Settings) -> Codes | None:
    """The code key, from BREWLINE_COUPON_KEY or [coupons] key_file, and the former ones; None where there is none."""
    coupons = settings.coupons
    [key] = _keys(settings, "BREWLINE_COUPON_KEY", [coupons.key_file])
    former = _keys(settings, "BREWLINE_FORMER_COUPON_KEY", coupons.former_key_files)
    if not key and not former:
        return None
    if any(len(one) < SHORTEST for one in [key, *former]):
        raise WrongSettings(
            "the key of the coupons' codes, or a former one, is missing or shorter than 16 characters: set"
            " BREWLINE_COUPON_KEY, or [coupons] key_file to a file that holds it (make one with `openssl rand -hex"
            " 32`), and keep it: codes that another key has signed are forged"
        )
    return Codes(key.encode(), (one.encode() for one in former))


def _keys(settings: Settings, variable: str, files: list[str]) -> list[str]:
    one = os.environ.get(variable, "")
    return [one] if one else [text(settings.path(file)).strip() if file else "" for file in files]
