"""A job that waits for labels, and its slow twin."""

from __future__ import annotations

import orjson

from features import events as e
from features.customer import Applied, Core, Label
from features.job import Batch, Clock
from features.kernel.arrays import A_WHILE, RHYTHM
from features.labels import Labels, Taught, decode_examples
from features.loop import Store, batches, run
from features.times import DAY_MS, local_day, parse_time
from tests.alerts.triggers.jobs import CATALOG, customers_job, encoded
from tests.oracle_labels import Told

START_MS = parse_time("2026-05-04T12:00:00Z")


INPUTS = ["orders_lifetime", "rhythm_days", "spend_cents_90d"]


LABEL = Label([CATALOG.index(name) for name in INPUTS], [(3000, RHYTHM), (20 * DAY_MS, A_WHILE)], 30 * DAY_MS)


LABELS = Labels(
    LABEL,
    {
        "churn": Taught("l", "churn", [0, 1, 2], 1),
        "lapse": Taught("l", "churn", [1, 0], 0),
        "days": Taught("l", "next_order_days", [2], 1),
        "spend": Taught("l", "spend_ahead", [0, 1, 2], -1),
    },
)


JOB = customers_job([], labels=LABELS)


def tick(at_ms: int) -> e.Tick:
    return e.Tick(id="t", at_ms=at_ms, source="pos/0", of=1)


def order(id: str, at_ms: int, who: str = "c") -> e.Order:
    common = {"customer": who, "at_ms": at_ms, "day": local_day(at_ms, "UTC"), "tz": "UTC"}
    return e.Order(id=id, **common, lines=[e.Line("tea")], total_cents=700 + len(id) * 100 + at_ms % 97)


def undo(what: str, number: int, at_ms: int, undone: e.Order) -> e.Event:
    """An order is voided once; a refund is one of many."""
    common = {"customer": undone.customer, "at_ms": at_ms, "day": local_day(at_ms, "UTC"), "tz": "UTC"}
    common |= {"order": undone.id, "ordered_time": 0, "ordered_ms": undone.at_ms, "ordered_day": undone.day}
    if what == "void":
        return e.Void(id=f"v{undone.id}", **common, amount_cents=undone.total_cents, items=1)
    return e.Refund(id=f"r{number}", **common, amount_cents=150)


def examples(store: Store) -> list[Told]:
    """Label by label, in order of sending."""
    found = []
    for message in store.sent:
        told = decode_examples(message.value)
        assert message.key == told.model
        each = zip(told.at_ms, told.known_ms, told.labels, strict=True)
        found += [Told(at_ms, known_ms, {told.model: label}) for at_ms, known_ms, label in each]
    return found


def by_model(told: list[Told]) -> list[tuple[str, int, int, float]]:
    return sorted((model, t.at_ms, t.known_ms, label) for t in told for model, label in t.labels.items())


class Stepper:
    """A core and one record after the other, without a job."""

    def __init__(self) -> None:
        self.core, self.raw, self.clock, self.told = Core(CATALOG, label=LABEL), b"", Clock(), list[Told]()

    def take(self, *log: e.Event) -> Applied:
        batch = Batch("events", 0, -1, [*range(len(log))], encoded(list(log)), [0] * len(log))
        columns = self.core.columns(batch, self.clock)
        idle = [] if columns.customers else ["c"]
        applied = self.core.apply(columns, idle, dict.fromkeys([*columns.customers, *idle], self.raw))
        self.raw, self.clock = applied.records["c"], columns.clock
        for model, message in LABELS.messages(applied):
            told = orjson.loads(message)
            each = zip(told["at_ms"], told["known_ms"], told["labels"], strict=True)
            self.told += [Told(at_ms, known_ms, {model: label}) for at_ms, known_ms, label in each]
        return applied


Plain = list[tuple[str, float, float, float]]


def told(*log: e.Event) -> Plain:
    """Of rows of orders (model, scored, known, label), with times in days from the start."""
    return told_of(log, later=False)


def told_of(log: tuple[e.Event, ...], later: bool) -> Plain:
    store = run(JOB, batches("events", 0, encoded(list(log)))).get(0, Store())
    ordered = {event.at_ms for event in log if isinstance(event, e.Order)}
    return [
        (model, (t.at_ms - START_MS) / DAY_MS, (t.known_ms - START_MS) / DAY_MS, label)
        for t in examples(store)
        for model, label in t.labels.items()
        if later == (t.at_ms not in ordered)
    ]
