"""Leases: whatever partitions ask for, reserved stays within the limit, and spent within what is granted."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.triggers.gifts import Then
from alerts.triggers.lease import RETURN, Cost, Lease, Request, settled
from alerts.triggers.merging import Merging
from alerts.triggers.rule import Rule
from features import events as e
from features.job import Batch, State
from features.loop import Store
from features.record import decode_ledger
from tests.alerts.triggers.campaigns import campaigns_of
from tests.alerts.triggers.jobs import FREE, customers_job, data_of, encoded

SHARES = 4
steps = st.lists(
    st.tuples(
        st.integers(0, 2),  # partition
        st.sampled_from(["ask", "ask again", "spend", "return", "limit"]),
        st.integers(0, 120),
        st.sampled_from([1, 7, 25]),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_reserved_stays_within_the_limit_and_spent_within_the_grant(
    made: list[tuple[int, str, int, int]],
) -> None:
    limit, granted, spent = 100, [0, 0, 0], [0, 0, 0]
    for partition, step, number, unit in made:
        before = sum(granted)
        need = RETURN if step == "return" else number
        if step == "limit":
            limit = number
        elif step == "spend":
            lease = Lease({"c/budget": granted[partition]}, {"c/budget": spent[partition]})
            costs = [Cost("c/budget", number, limit)]
            if not lease.lacking(costs):
                lease.spend(costs)
                spent[partition] = lease.total("c/budget")
        else:
            for _ in range(1 + (step == "ask again")):
                request = Request("c/budget", limit, spent[partition], need, unit)
                granted[partition] = settled(request, sum(granted), granted[partition], SHARES)
        assert all(s <= g for s, g in zip(spent, granted, strict=True))
        assert sum(granted) <= max(limit, before), "reserved never grows beyond the limit, nor above it"


@given(st.integers(0, 10**12), st.integers(0, 10**6), st.integers(0, 500), st.sampled_from([1, 200, 500]))
def test_to_ask_twice_is_to_ask_once(limit: int, others: int, need: int, unit: int) -> None:
    request = Request("c/budget", limit, 10, need, unit)
    once = settled(request, others + 10, 10, SHARES)
    assert settled(request, others + once, once, SHARES) == once


def test_leases_shrink_as_the_budget_ends_and_all_of_it_can_be_spent() -> None:
    granted, spent, refills = [0, 0], [0, 0], 0
    for turn in range(10_000):
        partition = turn % 2
        if granted[partition] - spent[partition] < 5:
            request = Request("c/budget", 10_000, spent[partition], 5, 5)
            granted[partition] = settled(request, sum(granted), granted[partition], SHARES)
            refills += 1
        spent[partition] += 5 if granted[partition] - spent[partition] >= 5 else 0
        if sum(spent) == 10_000:
            break
    assert sum(spent) == 10_000
    assert refills < 80, "of 2000 coupons"


def views(*stores: str) -> list[bytes]:
    log = [e.View(id=f"v{i}", customer=f"c{i}", at_ms=1_777_900_000_000 + i, tz="UTC") for i in range(len(stores))]
    return encoded(log)


def test_a_batch_comes_out_by_the_lease_it_has_and_says_what_it_was_short_of() -> None:
    rule = Rule(id="r", on=["view"], when="true", then=Then("c", 300, campaign="spring"), cooldown="0s")
    job = customers_job([rule], FREE, campaigns=campaigns_of('id = "spring"\nbudget_cents = 10_000\ncoupons = 50'))
    store = Store(spent={"spring/budget": 100, "spring/coupons": 3})
    plan = job.plan(Batch("events", 0, -1, [0, 1, 2, 3], views(*"abcd"), [0] * 4), store.position)
    grants = {"spring/budget": 700, "spring/coupons": 10}
    changes = job.apply(plan, State(spent=store.spent, grants=grants))
    assert changes.spent == {"spring/budget": 700, "spring/coupons": 5, "spring/since": 1_777_900_000_000}
    assert changes.short == {"spring/budget": 600}
    assert job.apply(plan, State(spent=store.spent, grants=grants)) == changes
    store.commit(changes)
    receipts = [(d["outcome"], d["ran_out"]) for d in data_of(store, "decisions")]
    assert receipts == [("issued", ""), ("issued", ""), ("budget", "budget"), ("budget", "budget")]


def test_a_partition_that_shares_with_nobody_has_the_whole_budget() -> None:
    lease = Lease(None, {"c/budget": 90})
    assert lease.lacking([Cost("c/budget", 10, 100)]) == ""
    assert lease.lacking([Cost("c/budget", 11, 100)]) == "c/budget"
    assert lease.lacking([Cost("c/coupons", 10**9)]) == "", "without a limit it only counts"


def test_a_batch_that_merges_customers_spends_one_lease_from_its_first_part_to_its_last() -> None:
    rule = Rule(id="r", on=["view"], when="true", then=Then("c", 300, campaign="spring"), cooldown="0s")
    limited = campaigns_of('id = "spring"\nbudget_cents = 10_000\ncoupons_per_customer = 3')
    job = Merging(customers_job([rule], FREE, campaigns=limited), "events")
    first, second, third = views("a", "b", "c")
    merge = e.encode(e.Merge(id="c1>c0", customer="c1", at_ms=1_777_900_000_000, into="c0"))
    batch = Batch("events", 0, -1, [0, 1, 2, 3], [first, second, merge, third], [0] * 4)
    plan = job.plan(batch, Store().position)
    changes = job.apply(plan, State(grants={"spring/budget": 700}))
    assert changes.spent["spring/budget"] == 600
    assert changes.short == {"spring/budget": 300}
    [history] = [m for m in changes.messages if m.topic == "events"]
    enough = job.apply(plan, State(grants={"spring/budget": 900}))
    assert (enough.spent["spring/budget"], enough.short) == (900, {})
    again = Batch("events", 0, 3, [4], [history.value], [0])
    record = job.apply(job.plan(again, enough.position), State(enough.puts, spent=enough.spent)).puts["c0"]
    ledger = decode_ledger(record[job.job.core.merge(record, b"", 0).ledger :])
    assert ledger.given == {"spring": 2}, "of two who became one, both count"
