"""What an archive hears of customers as such."""

from __future__ import annotations

from features import events as e
from features.archive import Told


def test_a_word_that_cannot_be_read_hides_none_of_the_others() -> None:
    told = Told()
    merge, forget = e.Merge(id="m", customer="c2", at_ms=1, into="c1"), e.Forget(id="f", customer="c3", at_ms=1)
    broken = [b'{"type":"forget","customer":5}', b'{"type":"merge"', b'{"a":{"type":"forget"},"type":"merge"}', b"\xff"]
    told.hear([e.encode(merge), *broken, b'"type":"forget"\xff', e.encode(forget)])
    assert (told.merges, told.forgotten) == ({"c2": "c1"}, {"c3"})
