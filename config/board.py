"""Settings of the board: `[board]` and `[board.company]`."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

Port = Annotated[int, Meta(ge=0, le=65535)]
Rate = Annotated[float, Meta(gt=0, le=100_000)]
PLACE = re.compile(r"[^\s:]+:\d{1,5}")
ANYWHERE = {"0.0.0.0", "::", ""}


class Company(Struct, forbid_unknown_fields=True):
    """The company's OpenID Connect provider. Its secret: the environment variable BREWLINE_OIDC_SECRET, or a file."""

    issuer: str = ""  # https://login.example.com/realms/chain; "" for none
    client_id: str = ""
    secret_file: str = ""
    scope: str = "openid profile email"
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    stores_claim: str = "stores"
    roles: dict[str, list[str]] = {}  # { marketing = ["crm", "brand"], engineer = ["platform"] }: groups, by role


class Board(Struct, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: Port = 8080
    url: str = ""  # where people reach it, such as https://board.example.com: alerts and sign-in lead there
    certificate: str = ""  # PEM file: the board then speaks https itself
    certificate_key: str = ""  # PEM file
    session_hours: Annotated[float, Meta(gt=0, le=168)] = 12.0  # until who is signed in must sign in again
    flows: dict[str, str] = {}  # { ingest = "ingest:9101" }: where they serve metrics, if not on [metrics] host
    requests_per_s: Rate = 1_000.0  # of one person or token, on average
    proxies: list[str] = []  # who is believed that says in X-Forwarded-For who asks: addresses, networks (10.0.0.0/8)
    company: Company = field(default_factory=Company)

    @property
    def secure(self) -> bool:
        """Whether people reach it by https: cookies are sent over nothing else."""
        return bool(self.certificate) or self.url.startswith("https://")

    @property
    def address(self) -> str:
        scheme = "https" if self.certificate else "http"
        return self.url.rstrip("/") or f"{scheme}://{self.host}:{self.port}"

    @property
    def hosts(self) -> list[str]:
        """Names it answers to: another site cannot point its own at the board."""
        return [*dict.fromkeys(("127.0.0.1", "localhost", self.host, urlsplit(self.url).hostname or self.host))]


def complaint(board: Board) -> str:
    """What is wrong with these settings; empty when nothing is."""
    if board.host in ANYWHERE and not board.url:
        return (
            "[board] url: is missing, expected the address people type, such as https://board.example.com: the"
            f" board listens on every address (host {board.host!r}) and must know its own name"
        )
    if bool(board.certificate) != bool(board.certificate_key):
        return "[board] certificate, certificate_key: found one of the two, expected both or none"
    for proxy in board.proxies:
        try:
            ip_network(proxy)
        except ValueError as error:
            return f"[board] proxies: {error}; expected an address or a network such as 10.0.0.0/8"
    for name, where in board.flows.items():
        if not PLACE.fullmatch(where):
            return f"[board] flows: {name}: found {where!r}, expected host:port"
    company = board.company
    if company.issuer and not (company.client_id and company.roles):
        return "[board.company] client_id, roles: expected both with an issuer"
    if company.issuer and not company.issuer.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        return f"[board.company] issuer: found {company.issuer!r}, expected https://..."
    return ""
