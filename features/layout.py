"""What records keep, by its meaning, so that records written before a feature was added can still be read."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from msgspec import Struct, json

from features.times import DAY_MS


class Layout(Struct):
    """Cells of a pane and tables of a record, in order; what each model sees; since when each is kept.

    `since_ms` names what has not been kept from the beginning. `days`: for so many panes are kept; `reach`: what is
    more than so many days old is kept since then only, as windows were shorter before.
    """

    cells: list[str]
    tables: list[str]
    inputs: dict[str, list[str]]
    since_ms: dict[str, int] = {}
    days: int = 0
    reach: list[tuple[int, int]] = []

    @property
    def id(self) -> int:
        """32 bits; stands at the head of every record."""
        kept = json.encode([self.cells, self.tables, sorted(self.inputs.items())])
        return int.from_bytes(blake2b(kept, digest_size=4).digest(), "little")

    def places(self, earlier: Layout) -> list[int]:
        """Where the cells and then the tables of an earlier layout stand in this one; -1: no more."""
        return [*_places(earlier.cells, self.cells), *_places(earlier.tables, self.tables)]

    def after(self, earlier: Layout, now_ms: int) -> Layout:
        """This layout with what it keeps since now, or since an earlier time already."""
        known = {*earlier.cells, *earlier.tables}
        since_ms = {kept: earlier.since_ms.get(kept, 0) if kept in known else now_ms for kept in self.kept}
        reach = [(days, ms) for days, ms in earlier.reach if days < min(self.days, earlier.days)]
        if 0 < earlier.days < self.days:
            reach.append((earlier.days, now_ms - earlier.days * DAY_MS))
        late = {kept: ms for kept, ms in since_ms.items() if ms}
        return Layout(self.cells, self.tables, self.inputs, late, self.days, reach)

    def counted_since_ms(self, kept_in: Iterable[str], days: int) -> int:
        """Since when a feature counts that is computed from these, over so many days; 0: from the beginning."""
        late = [self.since_ms.get(kept, 0) for kept in kept_in]
        return max([0, *late, *(ms for reached, ms in self.reach if days > reached)])

    @property
    def kept(self) -> list[str]:
        return [*self.cells, *self.tables]


def _places(earlier: list[str], now: list[str]) -> list[int]:
    return [now.index(kept) if kept in now else -1 for kept in earlier]


encode_layout = json.Encoder().encode
decode_layout = json.Decoder(Layout).decode
