"""Promises with short clocks, events about cases, and the desk over a log of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from alerts.service.desk import Desk
from alerts.service.promise import read_promises
from alerts.service.telling import Topics
from alerts.service.ticket import ticket_of
from features import events as e
from features.job import Message
from features.loop import Store, batches, run
from features.times import MINUTE_MS
from tests.oracle_service import Told

TOPICS = Topics("tickets", "alerts", "events", "dead-letters")
PROMISES = read_promises(
    """
complaints = "other"
ratings = { promise = "low-rating", stars = 2.0 }
leads = "lead"
deliveries = { late_after = "10m" }
keep = "30d"

[[promise]]
id = "food"
topics = ["food"]
first_answer = "10m"
resolution = "30m"
warn_at = 0.5
escalate = [{ to = "a" }, { to = "b", after = "7m" }]
severity = "critical"

[[promise]]
id = "other"
first_answer = "20m"
resolution = "40m"
warn_at = 0.7
close_after = "15m"
escalate = [{ to = "a", after = "25m" }]

[[promise]]
id = "low-rating"
first_answer = "30m"
hours = "00:10-00:30"
close_after = "25m"

[[promise]]
id = "lead"
first_answer = "10m"
""",
    "service.toml",
)


def minute(at: int, **fields: Any) -> dict[str, Any]:
    return {"at_ms": at * MINUTE_MS, "tz": "UTC", **fields}


minutes, cases = st.integers(0, 120), st.sampled_from(["k1", "k2", "rating:o1"])
kinds = st.one_of(
    st.builds(
        lambda at, case, topic: e.Complaint(id="", **minute(at, case=case, topic=topic)),
        minutes,
        st.sampled_from(["k1", "k2"]),
        st.sampled_from(["food", "taste"]),
    ),
    st.builds(
        lambda at, case, closed: e.ComplaintAnswered(id="", **minute(at, case=case, closed=closed)),
        minutes,
        cases,
        st.booleans(),
    ),
    st.builds(
        lambda at, case, happy: e.ComplaintConfirmed(id="", **minute(at, case=case, satisfied=happy)),
        minutes,
        cases,
        st.booleans(),
    ),
    st.builds(
        lambda at, stars, order: e.Rating(id="", **minute(at, stars=stars, order=order)),
        minutes,
        st.sampled_from([1.0, 2.0, 2.5]),
        st.sampled_from(["o1", ""]),
    ),
    st.builds(lambda at: e.Lead(id="", **minute(at, lead="l1")), minutes),
    st.builds(lambda at: e.LeadContacted(id="", **minute(at, lead="l1")), minutes),
)


@st.composite
def logs(draw: st.DrawFn) -> list[e.Event]:
    """Events in any order, some of them twice, between ticks; the clock ends at minute 200."""
    events = draw(st.lists(kinds, min_size=1, max_size=12))
    for number, event in enumerate(events):
        event.id = f"e{number}"
        event.customer = draw(st.sampled_from(["c1", "c2"]))
    repeated = draw(st.lists(st.sampled_from(events), max_size=3))
    log: list[e.Event] = draw(st.permutations([*events, *repeated]))
    for at in draw(st.lists(st.integers(0, 200), max_size=6)):
        log.insert(draw(st.integers(0, len(log))), tick(at))
    return [*log, tick(200)]


def tick(at: int) -> e.Tick:
    return e.Tick(id=f"t{at}", at_ms=at * MINUTE_MS, source="0", of=1)


def live(log: Iterable[e.Event], cuts: Iterable[int] = ()) -> Store:
    """What the desk makes of a log."""
    return run(Desk(TOPICS, PROMISES), batches("service.cases", 0, about_tickets(log), cuts))[0]


def about_tickets(log: Iterable[e.Event]) -> list[bytes]:
    """What the desk gets of a log."""
    return [e.encode(one) for one in log if not isinstance(one, e.Rating) or ticket_of(one, PROMISES)]


def told(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """The CloudEvents on the topic of tickets."""
    return [json.loads(message.value) for message in messages if message.topic == "tickets"]


def final(messages: Iterable[Message]) -> set[Told]:
    """What stands once every message was replaced by its last revision."""
    last: dict[tuple[str, str, str, int, str], dict[str, Any]] = {}
    for event in told(messages):
        data, what = event["data"], event["type"].rpartition(".")[2]
        step = event["id"].split("|")[-2]
        before = last.get(key := (data["ticket"], what, data["clock"], data["round"], step))
        assert data["revision"] == (before["revision"] + 1 if before else 0), event
        last[key] = data
    return {
        (ticket, what, clock, number, int(step), data["at_ms"] // MINUTE_MS)
        for (ticket, what, clock, number, step), data in last.items()
        if not data["withdrawn"]
    }
