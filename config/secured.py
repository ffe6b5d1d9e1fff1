"""How the servers are reached in secrecy: certificates, users, and passwords from the environment or from files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from msgspec import Struct

from config.reading import WrongSettings

HIDDEN = "…"
SERVERS = ("kafka", "redis")


class Discreet(Struct):
    """What it shows of itself holds no secret."""

    def __rich_repr__(self) -> Iterator[tuple[str, Any]]:
        for name in self.__struct_fields__:
            yield name, _shown(name, getattr(self, name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


def _shown(name: str, value: Any) -> Any:
    if name == "password":
        return HIDDEN if value else ""
    if name == "url":
        return shown_url(value)
    return dict.fromkeys(value, HIDDEN) if name == "client" else value


def shown_url(url: str) -> str:
    """Host, port and path alone: what stands before and behind may be a password."""
    return url.rpartition("@")[2].partition("?")[0]


def refuse_written(raw: Mapping[str, Any], where: str) -> None:
    """Raises WrongSettings for a password that the settings file itself holds."""
    for section in SERVERS:
        if isinstance(table := raw.get(section), dict) and "password" in table:
            raise WrongSettings(
                f"{where}: [{section}] password: secrets do not stand in settings: set"
                f" BREWLINE_{section.upper()}__PASSWORD, or password_file to a file that holds it"
            )


def resolve(section: str, server: Any, folder: Path, where: str) -> None:
    """Finds the password and the certificates. Raises WrongSettings."""
    if server.password_file and not server.password:
        server.password = _read(folder / server.password_file, f"{where}: [{section}] password_file").strip()
    if server.ca_file:
        path = folder / server.ca_file
        if "CERTIFICATE" not in _read(path, f"{where}: [{section}] ca_file"):
            raise WrongSettings(f"{where}: [{section}] ca_file: {path} holds no certificate, expected one as PEM")
        server.ca_file = str(path.resolve())
    if server.user and not server.password:
        raise WrongSettings(
            f"{where}: [{section}] user: found {server.user!r} and no password: set"
            f" BREWLINE_{section.upper()}__PASSWORD, or [{section}] password_file to a file that holds it"
        )


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise WrongSettings(f"{what}: {path} cannot be read: {reason}") from None


def whole_url(url: str, user: str, password: str, ca_file: str) -> str:
    """With all that a client of Redis needs to know."""
    if not (password or ca_file):
        return url
    parts = urlsplit(url)
    user = user or unquote(parts.username or "")
    place, options = parts.netloc.rpartition("@")[2], dict(parse_qsl(parts.query))
    who = f"{quote(user, safe='')}:{quote(password, safe='')}@" if password else parts.netloc.removesuffix(place)
    if ca_file:
        options["ssl_ca_certs"] = ca_file
    return urlunsplit(parts._replace(netloc=f"{who}{place}", query=urlencode(options)))


def check(kafka: Any, redis: Any, where: str) -> None:
    """What does not go together. Raises WrongSettings."""
    sasl = kafka.security_protocol.startswith("SASL_")
    if sasl and not kafka.user and not any(name.startswith("sasl.") for name in kafka.client):
        raise WrongSettings(
            f"{where}: [kafka] user: found none, and security_protocol is {kafka.security_protocol}: name the user"
        )
    if kafka.user and not sasl:
        raise WrongSettings(
            f"{where}: [kafka] security_protocol: found {kafka.security_protocol!r} with the user {kafka.user!r},"
            " expected SASL_SSL, or SASL_PLAINTEXT where nobody listens"
        )
    if kafka.ca_file and not kafka.security_protocol.endswith("SSL"):
        raise WrongSettings(
            f"{where}: [kafka] security_protocol: found {kafka.security_protocol!r} with a ca_file, expected SSL or"
            " SASL_SSL"
        )
    if redis.ca_file and not redis.url.startswith("rediss://"):
        raise WrongSettings(
            f"{where}: [redis] url: found {shown_url(redis.url)!r} with a ca_file, expected rediss://..."
        )
