"""What the stores sell, and what ends up in a cart."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from features.events import Line

DRINKS = (  # sku, category, cents
    ("classic-milk-tea", "milk_tea", 1500),
    ("brown-sugar-boba", "milk_tea", 1900),
    ("taro-milk-tea", "milk_tea", 1800),
    ("oolong-milk-tea", "milk_tea", 1700),
    ("cheese-grape", "fruit_tea", 2600),
    ("mango-pomelo", "fruit_tea", 2400),
    ("lemon-green-tea", "fruit_tea", 1300),
    ("peach-oolong", "fruit_tea", 2100),
    ("jasmine-green-tea", "pure_tea", 1100),
    ("tieguanyin", "pure_tea", 1200),
    ("tea-latte", "coffee", 2000),
    ("coconut-coffee", "coffee", 2200),
)
SNACKS = (("egg-tart", "snack", 800), ("mochi", "snack", 900), ("toast", "snack", 1400))
SIZES = {"medium": 0, "large": 300}
TOPPINGS = {"": 0, "boba": 200, "pudding": 300, "cheese-foam": 400, "grass-jelly": 200}
SUGAR = ("none", "30%", "50%", "70%", "full")
ICE = ("none", "less", "normal", "hot")
_TOPPINGS, _SIZES = tuple(TOPPINGS), tuple(SIZES)


T = TypeVar("T")


def pick(rng: Random, choices: Sequence[T]) -> T:
    """One of `choices`, evenly; cheaper than `Random.choice`."""
    return choices[int(rng.random() * len(choices))]


def mix_drink(rng: Random, qty: int = 1) -> Line:
    """A drink with sugar, ice, size and perhaps a topping; those change the price."""
    sku, category, cents = pick(rng, DRINKS)
    size, topping = pick(rng, _SIZES), pick(rng, _TOPPINGS)
    options = {"sugar": pick(rng, SUGAR), "ice": pick(rng, ICE), "size": size}
    if topping:
        options["toppings"] = topping
    return Line(sku, qty, cents + SIZES[size] + TOPPINGS[topping], category, options)


def fill_cart(rng: Random, usual: Line | None = None) -> list[Line]:
    """One to three lines; a customer with a usual drink mostly takes it."""
    lines = [usual if usual is not None and rng.random() < 0.75 else mix_drink(rng, 2 if rng.random() < 0.12 else 1)]
    if rng.random() < 0.25:
        lines.append(mix_drink(rng))
    if rng.random() < 0.15:
        sku, category, cents = pick(rng, SNACKS)
        lines.append(Line(sku, 1, cents, category))
    return lines
