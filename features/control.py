"""Words between parts of Brewline in the clean topic: who became one with whom, who is to be forgotten, and which
campaign is paused where."""

from __future__ import annotations

from msgspec import Raw

from features.contract import Event


class Merge(Event, tag="merge"):
    """Ingest has found that `customer` is the same as `into`, and calls both by that name from now on."""

    into: str


class History(Event, tag="history"):
    """All that was known of `of` when it was merged into `customer`, at `offset` of its partition."""

    of: str
    offset: int
    layout: str
    record: bytes  # as in features/record.py; empty where nothing was known
    words: dict[str, str] = {}  # the texts that its codes stand for


class Moved(Event, tag="moved"):
    """An event of `of` that came after its history had gone: it stood at `offset` of its partition."""

    of: str
    offset: int
    layout: str
    event: Raw


class Forget(Event, tag="forget"):
    """Whoever keeps anything of this customer erases it. `brewline forget` writes it."""


class Unname(Event, tag="unname"):
    """Whoever keeps of this customer that somebody brought them erases who, if `of` is the tombstone of that one."""

    of: str


class Brake(Event, tag="brake"):
    """Rules of a campaign give nothing at a place from here on, or give again; said to every partition."""

    campaign: str
    place: str  # `store:0012`, `region:east`; empty: everywhere
    revision: int  # of this campaign and place; a higher one replaces a lower one
    paused: bool
    by: str
    reason: str
    incident: str = ""
