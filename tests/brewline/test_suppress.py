"""`brewline suppress` writes words that the customers flow obeys, and names bad lines without what stands in them."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from brewline.suppress import Word, suppress_customers
from brewline.why import Explaining
from config import settings as conf
from features.events import decode_clean
from features.identity import Pseudonyms
from features.times import DAY_MS
from operators.customers import UnknownCustomer
from tests.brewline.town import NOON_MS, Town, consent, order, tick
from tests.flowprocess import IDENTITY_KEY, make_topics, read_all

pytestmark = pytest.mark.servers
UNTIL_MS = NOON_MS + 3 * DAY_MS


@pytest.fixture
def town(settings: conf.Settings, monkeypatch: pytest.MonkeyPatch) -> Town:
    """Two customers, of whom one has a card, where time comes with the input."""
    monkeypatch.setenv("BREWLINE_IDENTITY_KEY", IDENTITY_KEY)
    prefix = settings.kafka.topic_prefix.rstrip("-")
    coupons = replace(settings.coupons, holdout_percent=0.0)
    settings = replace(
        settings, redis=replace(settings.redis, prefix=prefix), time=conf.Time(clock="event"), coupons=coupons
    )
    make_topics(settings, ["events"])
    found = Town(settings)
    found.live(tick(0), consent(), consent("cb"), order(1), order(2, "cb"), tick(0.01))
    card = Pseudonyms(IDENTITY_KEY.encode(), "CN").one("card", "8801")
    found.client.set(f"{prefix}:id:{card}", "cb")
    return found


def told(town: Town, *ids: str, file: Path | None = None, **word: object) -> tuple[int, str]:
    out = StringIO()
    said = Word(**{"reason": "complaint", "until_ms": 0, "lift": False, **word})
    code = suppress_customers(town.settings, [*ids], file, said, Console(file=out, width=200))
    return code, out.getvalue()


def hear(town: Town) -> list[tuple[str, str, int, bool]]:
    """What stands in the clean topic now, which the customers flow reads."""
    words = [decode_clean(message.value()) for message in read_all(town.settings, "events")]
    town.live(*words)
    return sorted((word.customer, word.reason, word.until_ms, word.lift) for word in words)


def test_who_is_suppressed_gets_nothing_until_then(town: Town) -> None:
    code, shown = told(town, "card:8801", until_ms=UNTIL_MS)
    assert (code, "8801" in shown) == (0, False)
    assert hear(town) == [("cb", "complaint", UNTIL_MS, False)]
    for hours, suppressed in ((71.9, True), (72, False)):
        found = Explaining(town.settings, "cb").why("second-order", NOON_MS + round(hours * 3_600_000)).rule
        assert found is not None
        assert (found.outcome == "suppressed") is suppressed
        assert (
            any("suppressed for complaint, until Thu 7 May 2026 12:00" in b.words for b in found.barriers) is suppressed
        )


def test_a_file_is_told_of_line_by_line_and_quotes_nobody(town: Town, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("customer,note\ncard:8801,x\nca\n\ncard:9999\nphone:12\ncart:1\ncb\n13800138000\n")
    code, shown = told(town, file=file)
    assert code == 1
    assert hear(town) == [("ca", "complaint", 0, False), ("cb", "complaint", 0, False)]
    assert "suppressed: 2 customers" in shown
    for line, why in (
        (5, "nobody is known by this card"),
        (6, "phone is not"),
        (7, "no kind of identifier"),
        (9, "nobody is known by this customer id"),
    ):
        assert any(f"line {line}: {why}" in one for one in shown.splitlines()), (line, shown)
    assert not any(raw in shown for raw in ("8801", "9999", "phone:12", "cart:1", "138001"))


def test_what_is_lifted_is_lifted_for_all_reasons_or_for_one(town: Town) -> None:
    told(town, "ca")
    told(town, "ca", reason="complaint", lift=True)
    told(town, "cb", reason="", lift=True)
    assert hear(town) == [
        ("ca", "complaint", 0, False),
        ("ca", "complaint", 0, True),
        ("cb", "", 0, True),
    ]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ({"reason": ""}, "--reason is missing"),
        ({"lift": True, "until_ms": UNTIL_MS}, "found --until beside --lift"),
        ({"until_ms": NOON_MS - 1}, "expected a time after 2026-05-04T04:00:36.000Z"),
    ],
)
def test_what_cannot_be_meant_is_refused(town: Town, word: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        told(town, "ca", **word)
    assert hear(town) == []


def test_a_stranger_cannot_be_suppressed(town: Town) -> None:
    with pytest.raises(UnknownCustomer, match="nobody is known by this card"):
        told(town, "card:1")
    with pytest.raises(ValueError, match="expected a customer, or --file"):
        told(town)
