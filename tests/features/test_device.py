"""A device is a pseudonym once clean, and never links two customers."""

from __future__ import annotations

from features import events as e
from features.check import Limits
from features.clean import Cleaner
from features.identity import Pseudonyms, Table
from features.job import Batch
from features.stores import Stores

SECRET = Pseudonyms(b"a secret of this test", "CN")
CLEANER = Cleaner(Limits(10_000, 0, 0), SECRET, Stores("Asia/Shanghai"), "events", "dead", "identities", ["0"], 1)


def clean(*events: e.Event) -> tuple[list[e.Event], list[str]]:
    """What goes to the clean topic, and the names of links."""
    values = [e.encode(event) for event in events]
    batch = Batch("app.events", 0, -1, [*range(len(values))], values, [2_000_000] * len(values))
    messages, _, _ = CLEANER.finish(CLEANER.check(batch), Table())
    found = [e.decode_clean(message.value) for message in messages if message.topic == "events"]
    return found, [message.key for message in messages if message.topic == "identities"]


def login(app: str) -> e.Event:
    return e.Login(id=app, time=1_000_000, who=e.Who(app_id=app), device="the phone of Anna", channel="app")


def test_two_who_share_a_device_stay_two_customers_and_the_device_is_a_pseudonym() -> None:
    events, links = clean(login("anna"), login("bert"))
    assert len({event.customer for event in events}) == 2
    assert {event.device for event in events} == {SECRET.one("device", "the phone of Anna")}
    assert {link.partition(":")[0] for link in links} == {"app_id"}
    assert not any(b"Anna" in e.encode(event) for event in events)


def test_an_event_without_a_device_stays_without() -> None:
    [event], _ = clean(e.AppOpen(id="a", time=1_000_000, who=e.Who(app_id="anna")))
    assert event.device == ""
