"""Sign-in through the company's OpenID Connect provider: authorization code with PKCE, state and nonce.

What must be remembered between leaving and coming back waits in Redis under the hash of a cookie, and is taken once.
OpenID Connect Core 1.0, sections 3.1.2 and 3.1.3.7; RFC 7636.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import httpx2
import msgspec
from authlib.common.errors import AuthlibBaseError  # type: ignore[import-untyped]
from authlib.integrations.httpx_client import OAuth2Client  # type: ignore[import-untyped]
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]
from httpx2 import HTTPError
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from msgspec import Struct
from redis import Redis

from board.access.person import Person
from board.access.users import check
from config.board import Company
from operators.health import log

AWAY_S = 600
LEEWAY_S = 60
TIMEOUT_S = 10.0
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]


class Refused(Exception):
    """Why somebody who came back is not let in, for them to read."""


class Journey(Struct):
    """What is remembered of somebody while they are at the provider."""

    state: str
    nonce: str
    verifier: str


class Oidc:
    cookie = "brewline-company"

    def __init__(self, company: Company, secret: str, back: str, redis: Redis, prefix: str) -> None:
        """`back`: the address people come back to."""
        self.company, self.secret, self.back = company, secret, back
        self.redis, self.prefix = redis, f"{prefix}:{{board}}:journey"
        self.provider: dict[str, Any] = {}

    def depart(self) -> tuple[str, str]:
        """Where to send somebody, and the cookie they come back with. Raises Refused."""
        mark, journey = secrets.token_urlsafe(32), Journey(*(secrets.token_urlsafe(32) for _ in range(3)))
        self.redis.set(self._key(mark), msgspec.json.encode(journey), ex=AWAY_S)
        with self._client() as client:
            url, _ = client.create_authorization_url(
                self._provider()["authorization_endpoint"],
                state=journey.state,
                nonce=journey.nonce,
                code_challenge=create_s256_code_challenge(journey.verifier),
                code_challenge_method="S256",
            )
        return url, mark

    def arrive(self, mark: str, told: Mapping[str, str]) -> Person:
        """Who it is. Raises Refused."""
        raw: Any = self.redis.getdel(self._key(mark)) if mark else None
        if raw is None:
            raise Refused("this sign-in has been used, or took too long: begin again")
        journey = msgspec.json.decode(raw, type=Journey)
        if not secrets.compare_digest(journey.state.encode(), told.get("state", "").encode()):
            raise Refused("this answer belongs to another sign-in: begin again")
        if "code" not in told:
            raise Refused(f"the company's sign-in refused: {told.get('error', 'no reason was given')[:100]}")
        return self._person(self._claims(told["code"], journey))

    def _claims(self, code: str, journey: Journey) -> Mapping[str, Any]:
        provider = self._provider()
        try:
            with self._client() as client:
                answer = client.fetch_token(provider["token_endpoint"], code=code, code_verifier=journey.verifier)
            keys = KeySet.import_key_set(_asked(provider["jwks_uri"]))
            token = jwt.decode(answer["id_token"], keys, algorithms=ALGORITHMS)
            jwt.JWTClaimsRegistry(
                leeway=LEEWAY_S,
                iss={"essential": True, "value": self.company.issuer},
                aud={"essential": True, "value": self.company.client_id},
                exp={"essential": True},
                nonce={"essential": True, "value": journey.nonce},
            ).validate(token.claims)
        except (HTTPError, AuthlibBaseError, JoseError, KeyError, ValueError, TypeError) as error:
            log.warning("a company's sign-in failed", error=type(error).__name__)
            raise Refused("the company's sign-in could not be verified: begin again, or ask an engineer") from None
        return token.claims

    def _person(self, claims: Mapping[str, Any]) -> Person:
        company = self.company
        groups, stores = (_list(claims.get(name)) for name in (company.groups_claim, company.stores_claim))
        roles = frozenset(role for role, theirs in company.roles.items() if set(theirs) & set(groups))
        person = Person(str(claims.get(company.name_claim) or ""), roles, frozenset(stores))  # type: ignore[arg-type]
        try:
            check(person)
        except ValueError:
            raise Refused("none of your groups opens the board: ask an engineer for a role") from None
        return person

    def _provider(self) -> dict[str, Any]:
        """What the provider says of itself; asked once. Raises Refused."""
        if not self.provider:
            try:
                found = _asked(f"{self.company.issuer.rstrip('/')}/.well-known/openid-configuration")
            except (HTTPError, ValueError) as error:
                log.warning("the company's sign-in does not answer", error=type(error).__name__)
                raise Refused("the company's sign-in does not answer: try again soon") from None
            if found.get("issuer") != self.company.issuer:
                raise Refused(
                    f"the company's sign-in calls itself {found.get('issuer')!r}: check [board.company] issuer"
                )
            self.provider = found
        return self.provider

    def _client(self) -> OAuth2Client:
        return OAuth2Client(
            self.company.client_id, self.secret, scope=self.company.scope, redirect_uri=self.back, timeout=TIMEOUT_S
        )

    def _key(self, mark: str) -> str:
        return f"{self.prefix}:{sha256(mark.encode()).hexdigest()}"


def _asked(url: str) -> Any:
    """Raises HTTPError, ValueError."""
    return httpx2.get(url, timeout=TIMEOUT_S).raise_for_status().json()


def _list(found: Any) -> list[str]:
    return [found] if isinstance(found, str) else [str(one) for one in found] if isinstance(found, list) else []
