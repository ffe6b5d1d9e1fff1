"""One customer out of many identifiers: normalise, pseudonymise, resolve.

Raw identifiers never leave this module: what is stored is a keyed hash (HMAC-SHA256, 128 bits).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b

import phonenumbers
from msgspec import Struct

from features.events import Bind, Event, Login, Who
from features.messages import Refused

KINDS = ("phone", "card", "app_id", "openid", "marketplace_id")  # strongest first


class Pseudonyms(Struct, frozen=True):
    """The secret and the country that identifiers are read under."""

    key: bytes
    phone_region: str

    def of(self, who: Who) -> list[str]:
        """`kind:hash` of every identifier given, strongest kind first. Raises Refused."""
        found = [(kind, getattr(who, kind).strip()) for kind in KINDS]
        return [self.one(kind, raw) for kind, raw in found if raw]

    @property
    def fingerprint(self) -> str:
        """Tells one key from another without telling the key."""
        return hmac.digest(self.key, b"fingerprint", "sha256")[:6].hex()

    def one(self, kind: str, raw: str) -> str:
        return _pseudonym(self.key, self.phone_region, kind, raw)


@lru_cache(maxsize=200_000)
def _pseudonym(key: bytes, phone_region: str, kind: str, raw: str) -> str:
    digest = hmac.digest(key, f"{kind}:{_plain(kind, raw, phone_region)}".encode(), "sha256")
    return f"{kind}:{digest[:16].hex()}"


def _plain(kind: str, raw: str, phone_region: str) -> str:
    """Cards are typed by hand; the ids of apps and platforms are opaque, and their case counts."""
    if kind == "phone":
        return _phone(raw, phone_region)
    return raw.strip().lower() if kind == "card" else raw.strip()


def _phone(raw: str, region: str) -> str:
    """E.164, so that every way of writing a number is one identifier."""
    try:
        number = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException as error:
        raise Refused("identity", "who.phone is no phone number") from error
    if not phonenumbers.is_possible_number(number):
        raise Refused("identity", "who.phone is not a possible phone number")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def first_name(pseudonym: str) -> str:
    """The id of a customer who is first met under this pseudonym: the same wherever that happens."""
    return "c" + pseudonym.rpartition(":")[2]


def next_name(name: str) -> str:
    """The id that somebody who was forgotten under `name` gets if he ever comes back: again the same everywhere."""
    return "c" + blake2b(f"again|{name}".encode(), digest_size=16).hexdigest()


def resolve(event: Event, pseudonyms: list[str], known: dict[str, str], names: Mapping[str, str] = {}) -> str:
    """The customer these pseudonyms belong to; new ones are added to `known`.

    A new customer's id derives from its strongest identifier, so that two processes that meet it
    first agree; `names` gives it where an earlier one was forgotten. Identifiers of two customers at once are
    refused where the event is meant to link them.
    """
    customers = {known[p] for p in pseudonyms if p in known}
    if len(customers) > 1 and isinstance(event, Bind | Login):
        raise Refused("identity", "these identifiers belong to two customers already; joining two is not supported")
    first = next((known[p] for p in pseudonyms if p in known), None)
    customer = first or names.get(pseudonyms[0]) or first_name(pseudonyms[0])
    if len(customers) <= 1:
        for pseudonym in pseudonyms:
            known.setdefault(pseudonym, customer)
    return customer
