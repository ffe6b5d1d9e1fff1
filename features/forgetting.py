"""Takes the events of forgotten customers out of a batch, and hears in it who is to be forgotten."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from features.columns import Columns
from features.customer import Core
from features.events import CONTROL, Forget, is_own
from features.forgotten import Forgotten, name_hash
from features.job import Batch, Clock

FORGET = str(Forget.__struct_config__.tag)
UNCOUNTED = CONTROL.keys() - {"moved"}  # all else that is dropped is an event, of which some are our own


class Told(Struct):
    """What a record that is no event says all the same."""

    type: str = ""
    customer: str = ""
    at_ms: int = 0
    day: int = 0
    of: Any = ""
    into: Any = ""

    def about(self) -> list[str]:
        """The customers it names."""
        return [name for name in (self.customer, self.of, self.into) if name and isinstance(name, str)]

    @property
    def was_sent(self) -> bool:
        """Somebody has sent it, who can ask what became of it."""
        return self.type not in UNCOUNTED and not is_own(self.type, self.day)


decode_told = msgspec.json.Decoder(Told).decode


class Sifted(Struct):
    """What is left of a batch; `gone` are those forgotten of whom it speaks: nothing is to be kept of them."""

    batch: Batch
    columns: Columns
    gone: set[str] = set()
    counts: dict[str, int] = {}


def sift(core: Core, batch: Batch, clock: Clock, forgotten: Forgotten) -> Sifted:
    """Adds to `forgotten` whom the batch names. What such a customer did in the same batch before goes as well."""
    columns = core.columns(batch, clock)
    told = {i: _told(batch.values[i]) for i in columns.malformed}
    words = {i: word for i, word in told.items() if word.type == FORGET and word.customer}
    forgotten.add({name_hash(word.customer): word.at_ms for word in words.values()})
    gone = forgotten.among([*columns.customers, *(name for word in told.values() for name in word.about())])
    if not gone:
        return Sifted(batch, columns)
    whose = [columns.customers[who] in gone for who in columns.who.tolist()]
    theirs = {i for i, of_gone in zip(columns.index.tolist(), whose, strict=True) if of_gone}
    theirs |= {
        i for i, word in told.items() if not gone.isdisjoint(word.about())
    }  # what cannot be read is no dead letter
    left = only(batch, [i for i in range(len(batch.offsets)) if i not in theirs])
    dropped = sum(_told(batch.values[i]).was_sent for i in theirs)
    counts = {"forgotten": dropped} if dropped else {}
    return Sifted(left, replace(core.columns(left, clock), last=batch.last), gone, counts)


def _told(raw: bytes) -> Told:
    try:
        return decode_told(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Told()  # stays a dead letter


def only(batch: Batch, kept: list[int]) -> Batch:
    return replace(
        batch,
        offsets=[batch.offsets[i] for i in kept],
        values=[batch.values[i] for i in kept],
        stamps_ms=[batch.stamps_ms[i] for i in kept],
    )
