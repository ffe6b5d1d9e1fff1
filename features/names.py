"""Names of many customers: as texts, and as bytes for compiled code, without packing each again at every step."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from features.kernel.words import Packed, packed


class Names(list[str]):
    """Names that are not changed any more. Of two lists one behind the other only the later is packed anew."""

    def __init__(self, names: list[str], as_bytes: Packed | None = None) -> None:
        super().__init__(names)
        if as_bytes is not None:
            self.packed = as_bytes

    @classmethod
    def of(cls, names: list[str]) -> Names:
        return names if isinstance(names, Names) else cls(names)

    @cached_property
    def packed(self) -> Packed:
        return packed(self)

    def followed_by(self, more: list[str]) -> Names:
        if not more:
            return self
        (text, bounds), (later, ends) = self.packed, packed(more)
        whole = np.concatenate((text[: bounds[-1]], later[: ends[-1]])) if bounds[-1] + ends[-1] else later
        whole.flags.writeable = False
        return Names([*self, *more], (whole, np.concatenate((bounds, ends[1:] + bounds[-1]))))
