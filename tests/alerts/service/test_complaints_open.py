"""The feature `complaints_open` and the desk agree on which complaints are open."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.service.records import ticket_record
from alerts.service.ticket import decode_ticket
from alerts.service.timeline import rounds
from features import events as e
from features.customer import Core
from features.job import Batch, Clock
from features.times import MINUTE_MS
from tests.alerts.service.cases import PROMISES, live
from tests.alerts.triggers.jobs import CATALOG

CORE = Core(CATALOG, wanted=set())
CASES = ("k1", "k2", "k3")
words = st.sampled_from([
    (e.Complaint, {}),
    (e.ComplaintAnswered, {"closed": False}),
    (e.ComplaintAnswered, {"closed": True}),
    (e.ComplaintConfirmed, {"satisfied": True}),
    (e.ComplaintConfirmed, {"satisfied": False}),
])  # fmt: skip


@st.composite
def told(draw: st.DrawFn) -> list[e.Event]:
    """What is said of cases, in order of time; a case begins with its complaint."""
    log: list[e.Event] = []
    for case, (kind, said) in draw(st.lists(st.tuples(st.sampled_from(CASES), words), max_size=20)):
        known = any(event.case == case for event in log)
        kind, said = (kind, said) if known else (e.Complaint, {})
        at = len(log) + 1
        log.append(kind(id=f"e{at}", customer="c", case=case, at_ms=at * MINUTE_MS, tz="UTC", **said))
    return log


def open_at_the_desk(log: list[e.Event]) -> int:
    tickets = [decode_ticket(raw) for case in CASES if (raw := live(log).records.get(ticket_record(case)))]
    last = [rounds(ticket, ticket.opening, ticket.promised(PROMISES))[-1] for ticket in tickets]
    return sum(one.settled_ms is None and one.closed_ms is None for one in last)


def complaints_open(log: list[e.Event]) -> float:
    values = [e.encode(event) for event in log]
    columns = CORE.columns(Batch("events", 0, -1, list(range(len(log))), values, [0] * len(log)), Clock())
    applied = CORE.apply(columns, [], {})
    return CORE.row(applied.records["c"], len(log) * MINUTE_MS)[CATALOG.names.index("complaints_open")]


@settings(max_examples=100, deadline=None)
@given(told().filter(bool))
def test_it_counts_the_complaints_whose_ticket_is_neither_settled_nor_closed(log: list[e.Event]) -> None:
    assert complaints_open(log) == open_at_the_desk(log)
