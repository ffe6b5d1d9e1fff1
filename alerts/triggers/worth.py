"""What a coupon takes off, where that hangs on the customer, or on what they ask for."""

from __future__ import annotations

from math import floor, inf
from typing import Annotated

from msgspec import Meta, Struct

Cents = Annotated[int, Meta(ge=0, le=10**12)]


class Worth(Struct, forbid_unknown_fields=True, frozen=True):
    """By a number: a feature, or a field of the event. From each of some amounts on so many cents; or for each of it so
    many, from `least` on and at most `at_most_cents`."""

    of: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$")]
    steps: list[tuple[float, Annotated[int, Meta(gt=0, le=10**12)]]] = []
    cents_each: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    least: Annotated[int, Meta(ge=0, le=10**12)] = 0
    at_most_cents: Cents = 0

    def check(self) -> None:
        """Raises ValueError."""
        linear = [key for key in ("cents_each", "least", "at_most_cents") if getattr(self, key)]
        if bool(self.steps) == bool(linear):
            found = f"steps beside {linear[0]}" if linear else "neither steps nor cents_each"
            raise ValueError(f"found {found}, expected one of steps = [[100, 1000]] and cents_each = 10")
        if self.steps:
            self._check_steps()
        for key, example in {"cents_each": 10, "least": 100, "at_most_cents": 20_000}.items():
            if linear and key not in linear:
                raise ValueError(f"{key} is missing: write for example {key} = {example}")
        if self.least * self.cents_each > self.at_most_cents:
            worth = self.least * self.cents_each
            raise ValueError(
                f"found at_most_cents = {self.at_most_cents}, and the least, {self.least}, is worth {worth} already"
            )

    def _check_steps(self) -> None:
        for name, numbers in zip(("amounts", "cents"), zip(*self.steps, strict=True), strict=True):
            if list(numbers) != sorted(set(numbers)):
                raise ValueError(f"found steps with the {name} {list(numbers)}, expected that they rise")

    @property
    def something(self) -> str:
        """The clause that says that it comes to something."""
        return f"{self.of} >= {self.steps[0][0] if self.steps else self.least:.12g}"

    @property
    def least_cents(self) -> int:
        return self.steps[0][1] if self.steps else self.least * self.cents_each

    @property
    def most_cents(self) -> int:
        return self.steps[-1][1] if self.steps else self.at_most_cents

    def cents(self, amount: object) -> int:
        """0 below the first step or the least, and where nothing is known."""
        known = amount if isinstance(amount, int | float) else -inf
        if self.steps:
            return max((cents for from_, cents in self.steps if known >= from_), default=0)
        return min(floor(known * self.cents_each), self.at_most_cents) if known >= self.least else 0
