"""The gateways of the settings with their secrets, which stand in the environment or in files."""

from __future__ import annotations

import os

from msgspec import Struct

from alerts.delivery.lane import Terms
from alerts.delivery.signature import read_secrets
from config.gateways import Gateway, variable
from config.settings import Settings, WrongSettings
from flows.files import text

TERMS = Terms.__struct_fields__


class Target(Struct):
    """A gateway, ready to be asked. `secrets`: the new one first while one replaces the other."""

    name: str
    gateway: Gateway
    terms: Terms
    secrets: tuple[bytes, ...]


def load_gateways(settings: Settings) -> list[Target]:
    """Raises WrongSettings, which names where a secret is looked for and quotes nothing of it."""
    return [_target(settings, name, gateway) for name, gateway in settings.dispatch.gateways.items()]


def _target(settings: Settings, name: str, gateway: Gateway) -> Target:
    terms = Terms(**{field: getattr(gateway, field) for field in TERMS})
    return Target(name, gateway, terms, _secrets(settings, name, gateway))


def _secrets(settings: Settings, name: str, gateway: Gateway) -> tuple[bytes, ...]:
    named = os.environ.get(variable(name), "")
    if not named and not gateway.secret_file:
        raise WrongSettings(
            f"[dispatch.gateways.{name}]: there is no secret to sign with: set {variable(name)}, or secret_file to a"
            " file that holds it (make one with `echo whsec_$(openssl rand -base64 32)`), and give it to the gateway"
        )
    place = f"environment variable {variable(name)}" if named else f"[dispatch.gateways.{name}] secret_file"
    try:
        return read_secrets(named or text(settings.path(gateway.secret_file)))
    except ValueError as error:
        raise WrongSettings(f"{place}: {error}") from None
