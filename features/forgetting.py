"""Takes the events of forgotten customers out of a batch, and hears in it who is to be forgotten."""

from __future__ import annotations

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from features.columns import Columns
from features.customer import Core
from features.events import Forget
from features.forgotten import Forgotten, name_hash
from features.job import Batch, Clock

FORGET = str(Forget.__struct_config__.tag)


class Told(Struct):
    """What a record that is no event says all the same."""

    type: str = ""
    customer: str = ""
    at_ms: int = 0


decode_told = msgspec.json.Decoder(Told).decode


class Sifted(Struct):
    """What is left of a batch; `gone` are the customers of whom it says or holds that they are to be forgotten."""

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
    gone = forgotten.among([*columns.customers, *(word.customer for word in told.values())])
    if not gone:
        return Sifted(batch, columns)
    whose = [columns.customers[who] in gone for who in columns.who.tolist()]
    theirs = {i for i, of_gone in zip(columns.index.tolist(), whose, strict=True) if of_gone}
    theirs |= {i for i, word in told.items() if word.customer in gone}  # also what cannot be read: it is no dead letter
    left = _only(batch, [i for i in range(len(batch.offsets)) if i not in theirs])
    counts = {"forgotten": dropped} if (dropped := len(theirs - words.keys())) else {}
    return Sifted(left, replace(core.columns(left, clock), last=batch.last), gone, counts)


def _told(raw: bytes) -> Told:
    try:
        return decode_told(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Told()  # stays a dead letter


def _only(batch: Batch, kept: list[int]) -> Batch:
    return replace(
        batch,
        offsets=[batch.offsets[i] for i in kept],
        values=[batch.values[i] for i in kept],
        stamps_ms=[batch.stamps_ms[i] for i in kept],
    )
