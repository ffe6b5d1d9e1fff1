"""One customer out of many identifiers: normalise, pseudonymise, resolve.

Raw identifiers never leave this module: what is stored is a keyed hash (HMAC-SHA256, 128 bits).

The identity table is a forest: a pseudonym leads to a customer, a customer who was merged away to the one he was merged
into, whose id is always the smaller. So whoever merges whom first, and wherever, all end in the smallest id.
"""

from __future__ import annotations

import hmac
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b

import phonenumbers
from msgspec import Struct

from features.events import Bind, Event, Login, Who
from features.messages import Refused

KINDS = ("phone", "card", "app_id", "openid", "marketplace_id")  # strongest first
CUSTOMER_ID = re.compile("c[0-9a-f]{1,32}")


class Pseudonyms(Struct, frozen=True):
    """The secret and the country that identifiers are read under; pseudonyms of `former` keys are known still."""

    key: bytes
    phone_region: str
    former: tuple[bytes, ...] = ()

    def of(self, who: Who, country: str = "") -> list[str]:
        """`kind:hash` of every identifier given, strongest kind first; `country`: of the place. Raises Refused."""
        return [self.one(kind, raw, country) for kind, raw in _given(who)]

    def formerly(self, who: Who, country: str = "") -> dict[str, list[str]]:
        """The same under the former keys, by what each is now."""
        region = country or self.phone_region
        return {
            self.one(kind, raw, country): [_pseudonym(key, region, kind, raw) for key in self.former]
            for kind, raw in (_given(who) if self.former else ())
        }

    @property
    def fingerprint(self) -> str:
        """Tells one key from another without telling the key."""
        return _fingerprint(self.key)

    @property
    def fingerprints(self) -> list[str]:
        """Of all keys, the former ones too."""
        return [_fingerprint(key) for key in (self.key, *self.former)]

    def one(self, kind: str, raw: str, country: str = "") -> str:
        return _pseudonym(self.key, country or self.phone_region, kind, raw)

    def every(self, kind: str, raw: str) -> list[str]:
        """Under all keys, today's first."""
        return [_pseudonym(key, self.phone_region, kind, raw) for key in (self.key, *self.former)]


def _given(who: Who) -> list[tuple[str, str]]:
    found = [(kind, getattr(who, kind).strip()) for kind in KINDS]
    return [(kind, raw) for kind, raw in found if raw]


def _fingerprint(key: bytes) -> str:
    return hmac.digest(key, b"fingerprint", "sha256")[:6].hex()


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


def is_customer_id(text: str) -> bool:
    """Whether it looks like one that was given here: a phone or card number never does."""
    return CUSTOMER_ID.fullmatch(text) is not None


def merged_key(customer: str) -> str:
    """Under which key the table says into whom a customer was merged."""
    return f"customer:{customer}"


def group_key(customer: str) -> str:
    """Under which key Kafka is told of a customer's group."""
    return f"group:{customer}"


def is_group(key: str) -> bool:
    return key.startswith("group:")


def about(key: str) -> str:
    """The customer whose merge or group a key tells; nobody for a pseudonym."""
    kind, _, customer = key.partition(":")
    return customer if kind in ("customer", "group") else ""


class Degree(Struct, frozen=True):
    """How many identifiers one customer may have: more are a till's test card, or a phone that a family shares."""

    of_a_kind: int = 8
    in_all: int = 16
    customers: int = 8  # merged into one

    def allows(self, group: set[str]) -> bool:
        kinds = Counter(name.partition(":")[0] for name in group if ":" in name)
        merged = len(group) - kinds.total()
        return kinds.total() <= self.in_all and max(kinds.values()) <= self.of_a_kind and merged < self.customers


class Table(Struct):
    """The part of the identity table that a batch is about, and what the batch adds to it.

    `new` must be in the table before anybody else names the same; `moved` may follow once Kafka has it: until then the
    old word stands there, as the evidence from which a process that repeats the batch says the merge again.
    """

    links: dict[str, str] = {}  # pseudonym, or merged_key of a customer → customer
    groups: dict[str, set[str]] = {}  # customer → all its pseudonyms, if it has several, and whom it has taken in
    new: dict[str, str] = {}
    moved: dict[str, str | None] = {}  # None: not needed any more
    grown: set[str] = set()  # customers whose group has
    names: dict[str, str] = {}  # pseudonym → the id of a new customer, where the usual one was forgotten

    def way(self, customer: str) -> Iterator[tuple[str, str]]:
        """The merges from a customer on: (merged away, into)."""
        while into := self.links.get(merged_key(customer)):
            yield customer, into
            customer = into

    def root(self, customer: str) -> str:
        """Who a customer is now."""
        return next((into for _, into in reversed(list(self.way(customer)))), customer)

    def name(self, pseudonym: str) -> str:
        """The id of a customer who is new under this pseudonym."""
        return self.names.get(pseudonym) or first_name(pseudonym)

    def say(self, key: str, customer: str) -> None:
        """A link that was not there."""
        self.links[key] = self.new[key] = customer

    def move(self, key: str, customer: str) -> None:
        """A link that leads elsewhere now."""
        self.links[key] = self.moved[key] = customer

    def drop(self, key: str) -> None:
        del self.links[key]
        self.moved[key] = None


class Found(Struct):
    """Whose an event is, and what Kafka must be told of it."""

    customer: str
    links: dict[str, str | None] = {}  # as in Table; None: not needed any more
    merges: dict[str, str] = {}  # merged away → into


def growing(events: Iterable[list[str]], former: dict[str, list[str]], table: Table) -> set[str]:
    """The customers whose groups may grow by events with these pseudonyms."""
    found: set[str] = set()
    for pseudonyms in events:
        names = [_names(p, former, table) for p in pseudonyms]
        roots = {table.root(table.links[name]) for known in names for name in known}
        if len(roots) > 1 or (len(names) > 1 and not all(names)):
            found |= roots
    return found


def _names(pseudonym: str, former: dict[str, list[str]], table: Table) -> list[str]:
    """Under which an identifier is known, today's first."""
    return [name for name in (pseudonym, *former.get(pseudonym, ())) if name in table.links]


def resolve(
    event: Event, pseudonyms: list[str], table: Table, degree: Degree, former: dict[str, list[str]] | None = None
) -> Found:
    """The customer these pseudonyms belong to; what is new is added to `table`. Raises Refused.

    A new customer's id derives from its strongest identifier, so that two processes that meet it first agree.
    Identifiers of several customers merge these where the event is meant to link them; elsewhere the strongest counts.
    """
    names = {p: _names(p, former or {}, table) for p in pseudonyms}
    known = [table.links[name] for told in names.values() for name in told]
    roots, links = list(dict.fromkeys(map(table.root, known))), isinstance(event, Bind | Login)
    fresh = [p for p in pseudonyms if not names[p]]
    if len(roots) > 1:
        found = Found(min(roots) if links else roots[0])
        fresh = fresh if links else []
    else:
        found = Found(roots[0] if roots else table.name(pseudonyms[0]))
    if (len(roots) > 1 and links) or (fresh and len(pseudonyms) > 1):
        fresh = _grow(fresh, {*pseudonyms}, roots, found, table, degree, links)
    for pseudonym in fresh:
        table.say(pseudonym, found.customer)
        found.links[pseudonym] = found.customer
    for customer in known:
        found.merges |= dict(table.way(customer))
    found.links |= {merged_key(loser): into for loser, into in found.merges.items()}
    for pseudonym, told in names.items():
        _tell_again(table, found, pseudonym, told, several=len(pseudonyms) > 1)
    return found


def _grow(
    fresh: list[str], group: set[str], roots: list[str], found: Found, table: Table, degree: Degree, links: bool
) -> list[str]:
    """Makes one group of all, and one customer; the fresh pseudonyms that are in it. Raises Refused.

    Where that would be too many, an event that is meant to link them is refused, and any other links nothing.
    """
    losers = [customer for customer in roots if customer != found.customer]
    group = group.union(losers, *(table.groups.get(customer, ()) for customer in roots))
    if not degree.allows(group):
        if links:
            raise Refused("identity_limit", "so many identifiers, or customers, are not taken for one person")
        return [] if roots else fresh[:1]
    table.groups[found.customer] = group
    table.grown.add(found.customer)
    found.links[group_key(found.customer)] = " ".join(sorted(group))
    for loser in losers:
        table.say(merged_key(loser), found.customer)
    return fresh


def _tell_again(table: Table, found: Found, pseudonym: str, told: list[str], several: bool) -> None:
    """Of several together always, for who said so first may have died before Kafka had it; of one that leads to
    somebody merged away, or stands under a former key, what is right now."""
    if not told:
        return
    customer = table.root(table.links[told[0]])
    former = [name for name in told if name != pseudonym and table.root(table.links[name]) == customer]
    if pseudonym not in told:
        table.say(pseudonym, customer)
    elif table.links[pseudonym] != customer:
        table.move(pseudonym, customer)
    elif not former and not (several and customer == found.customer):
        return
    found.links[pseudonym] = customer
    for name in former:
        table.drop(name)
        found.links[name] = None
