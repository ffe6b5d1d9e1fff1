"""docs/service.md names every key of the promises, and its example is one that loads."""

from __future__ import annotations

import re
from pathlib import Path

from alerts.service.promise import Deliveries, Promise, Promises, Ratings, Step, read_promises
from alerts.service.timeline import WHAT
from features.channels import TURNS

PAGE = (Path(__file__).parents[2] / "docs/service.md").read_text("utf-8")


def test_the_page_names_every_key_and_every_turn() -> None:
    keys = {name for shape in (Promises, Promise, Ratings, Deliveries, Step) for name in shape.__struct_fields__}
    told = set(re.findall(r"`\[*(\w+)\]*", PAGE))
    assert keys - told == set()
    assert set(WHAT) == set(TURNS) == set(re.findall(r"\*\*(\w+)\*\*", PAGE))


def test_the_example_is_short_of_nothing_but_the_promises_that_it_names() -> None:
    [example] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    more = "".join(f'\n[[promise]]\nid = "{id}"\nfirst_answer = "1h"\n' for id in ("other", "low-rating", "lead"))
    promises = read_promises(example + more, "service.md")
    assert promises.of_complaint("food_safety").escalate[1].to == "food-safety-officer"
    assert str(Promise("x").warn_at) in PAGE
    assert Promises("x", []).keep in PAGE
