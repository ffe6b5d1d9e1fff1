"""What a coupon takes off, where that hangs on the customer."""

from __future__ import annotations

from math import inf
from typing import Annotated

from msgspec import Meta, Struct


class Worth(Struct, forbid_unknown_fields=True, frozen=True):
    """By a feature that is a number: from each of some amounts on, so many cents."""

    of: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$")]
    steps: Annotated[list[tuple[float, Annotated[int, Meta(gt=0)]]], Meta(min_length=1)]

    def check(self) -> None:
        """Raises ValueError."""
        for name, numbers in zip(("amounts", "cents"), zip(*self.steps, strict=True), strict=True):
            if list(numbers) != sorted(set(numbers)):
                raise ValueError(f"found steps with the {name} {list(numbers)}, expected that they rise")

    @property
    def something(self) -> str:
        """The clause that says that there is a step for the customer."""
        return f"{self.of} >= {self.steps[0][0]:.12g}"

    def cents(self, amount: object) -> int:
        """0 below the first step, and where nothing is known."""
        known = amount if isinstance(amount, int | float) else -inf
        return max((cents for from_, cents in self.steps if known >= from_), default=0)
