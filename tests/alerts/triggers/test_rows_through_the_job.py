"""What rules see in the job equals the brute-force features, however many events of one customer share a batch."""

from __future__ import annotations

import sys
from collections import defaultdict
from math import isclose, isnan

from hypothesis import given, settings

from alerts.triggers.gifts import Then
from alerts.triggers.rule import Rule
from features import events as e
from features.kernel.arrays import LATE_MS
from features.kernel.effects import code_of
from features.kernel.words import hash_texts
from features.loop import batches, run
from features.times import DAY_MS
from tests.alerts.triggers.jobs import CATALOG, HOUSE, customers_job, data_of, encoded
from tests.features.streams import cuts, logs
from tests.oracle import Customer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DECLARED = tomllib.loads(HOUSE.path(HOUSE.features).read_text("utf-8"))
KINDS = [kind for kind in e.CUSTOMER_EVENTS if kind != "tick"]
EVERYTHING = Rule(
    id="everything",
    on=KINDS,
    when=" OR ".join(
        f"{name} = '' OR {name} <> ''" if name in CATALOG.texts else f"{name} IS NULL OR {name} IS NOT NULL"
        for name in CATALOG.names
    ),
    then=Then("x"),
    cooldown="0s",
)
JOB = customers_job([EVERYTHING])


def untouched_by_lateness(name: str) -> bool:
    """Windows of the time of an event later than a day may have lost their oldest panes."""
    of_a_window = any(name.endswith(f"_{window}") for window in CATALOG.windows if window != "lifetime")
    return not of_a_window and all(untouched_by_lateness(part) for part in CATALOG.made_of.get(name, ()))


@settings(max_examples=20, deadline=None)
@given(logs(), cuts)
def test_receipts_and_records_hold_the_brute_force_features(log: list[e.Event], cuts: list[int]) -> None:
    store = run(JOB, batches("events", 0, encoded(log), cuts)).get(0)
    receipts = iter(data_of(store, "decisions") if store else [])
    twins: dict[str, Customer] = defaultdict(lambda: Customer(DECLARED))
    for event in log:
        twin = twins[event.customer]
        if twin.take(event):
            values, late = next(receipts)["values"], event.at_ms < twin.newest_ms - LATE_MS
            wanted = {n: v for n, v in twin.features(event.at_ms).items() if not late or untouched_by_lateness(n)}
            found = {name: in_numbers(name, value) for name, value in values.items()}
            assert {n: (found[n], v) for n, v in wanted.items() if not same(found[n], v, 1e-6)} == {}
    assert next(receipts, None) is None
    taken = sum(len(twin.events) for twin in twins.values())
    counts = store.position.counts if store else {}
    assert (counts.get("applied", 0), counts.get("duplicates", 0)) == (taken, len(log) - taken)
    for customer, twin in twins.items():
        at_ms = twin.newest_ms + DAY_MS
        row, wanted = JOB.core.row(store.records[customer], at_ms), twin.features(at_ms)
        found = dict(zip(CATALOG.names, row, strict=True))
        assert {n: (found[n], v) for n, v in wanted.items() if not same(found[n], v, 1e-9)} == {}


def in_numbers(name: str, value: float | str | None) -> float | None:
    """A receipt tells a text as it is, the twin its code, or which of the texts that it can be."""
    if not isinstance(value, str):
        return value
    steps = CATALOG.texts[name]
    return steps.index(value) + 1 if steps else code_of(hash_texts([value])[0])


def same(found: float | None, wanted: float, tolerance: float) -> bool:
    """Whole numbers exactly; receipts write null for NaN, and six digits."""
    if found is None or isnan(found):
        return isnan(wanted)
    return found == wanted if isinstance(wanted, int) else isclose(found, wanted, rel_tol=1e-9, abs_tol=tolerance)


def test_what_a_gateway_has_taken_was_issued() -> None:
    day = 20 * DAY_MS
    redeemed = e.CouponRedeemed(id="r", customer="c", at_ms=day + 9, tz="Asia/Shanghai", day=1, coupon="a")
    log = [e.CouponDelivered(id=f"{n}/delivered", customer="c", at_ms=day + n, coupon=f"{n}", issued=1) for n in (1, 2)]
    said = e.CouponDelivered(id="by a service of one's own", customer="c", at_ms=day + 3, day=1, coupon="1")
    store = run(JOB, batches("events", 0, encoded([*log, said, redeemed])))[0]
    values = data_of(store, "decisions")[-1]["values"]
    assert (values["coupons_issued_30d"], values["coupon_use_30d"]) == (2, 0.5)
