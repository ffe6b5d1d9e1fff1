"""What the settings say of coupons, and the inputs of models: the same for flows and for commands that explain them."""

from __future__ import annotations

from hashlib import blake2b

from alerts.triggers.kept import Keeping
from alerts.triggers.policy import Policy
from config.settings import Settings
from features.catalog import Catalog
from features.times import parse_duration


def policy(settings: Settings) -> Policy:
    c = settings.coupons
    return Policy(c.cap, parse_duration(c.cap_window), c.holdout_percent / 100, c.holdout_salt, c.require_consent)


def keeping(settings: Settings) -> Keeping:
    c = settings.coupons
    return Keeping(c.receipts_kept, c.near_misses_kept, c.false_share_kept)


def input_layouts(catalog: Catalog) -> dict[str, str]:
    """A hash of each model's input names: a model learned on other inputs is refused."""
    return {
        model: blake2b("|".join(catalog.names[i] for i in columns).encode(), digest_size=6).hexdigest()
        for model, columns in catalog.models.items()
    }
