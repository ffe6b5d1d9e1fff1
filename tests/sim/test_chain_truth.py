from __future__ import annotations

from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from features.check import Limits, check
from features.clean import Cleaner
from features.events import AUDIT_EVENTS, AppOpen, Bind, CartAdd, Order, Rating, Who, decode_audit
from features.identity import Pseudonyms, Table
from features.job import Batch
from features.messages import Refused
from features.stores import Stores
from features.times import DAY_MS, HOUR_MS, MINUTE_MS, parse_time
from sim import Chain, Record, Truth
from sim.wire import Rates

LIMITS = Limits(1_000_000, parse_time("1990-01-01T00:00:00Z"), DAY_MS)


def refusals(records: list[Record]) -> dict[str, Counter[str]]:
    """Reasons by topic, found by ingest's own checks over all records in order of sending."""
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    cleaner = Cleaner(
        LIMITS, Pseudonyms(b"secret", "CN"), Stores("Asia/Shanghai"), "events", "dead", "identities", ["0"], 1
    )
    table = Table()
    for record in records:
        if record.tick:
            continue
        if record.topic == "audit.events":
            try:
                check(record.value, decode_audit, AUDIT_EVENTS, LIMITS, record.at_ms)
            except Refused as refused:
                reasons[record.topic][refused.reason] += 1
            continue
        batch = Batch(record.topic, 0, -1, [0], [record.value], [record.at_ms])
        _, _, counts = cleaner.finish(cleaner.check(batch), table)
        names = [name.partition(":")[2] for name in counts if name.startswith("dead_lettered:")]
        reasons[record.topic].update(names)
    return {topic: count for topic, count in reasons.items() if count}


def repeats(records: list[Record]) -> list[tuple[Record, Record]]:
    """(first, repeat) of records that were sent before byte by byte."""
    first: dict[bytes, Record] = {}
    return [(first[r.value], r) for r in records if not r.tick and first.setdefault(r.value, r) is not r]


def test_each_record_is_refused_for_the_reason_the_truth_gives_and_no_other_is(run):
    found = refusals(run.records)
    assert found == run.truth.malformed_by_topic
    assert sum(found.values(), Counter()) == run.truth.malformed
    assert len(run.truth.malformed) == 9


def test_sent_is_applied_and_duplicates_and_malformed(run):
    sent = Counter(record.topic for record in run.records if not record.tick)
    assert sent == run.truth.sent
    malformed = sum(run.truth.malformed.values())
    assert sum(sent.values()) == len(run.events) + run.truth.duplicates + malformed


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), rate=st.sampled_from([0.0, 0.02, 0.3]))
def test_the_truth_holds_for_any_seed_and_rates(seed, rate):
    chain = Chain(seed, stores=4, customers=100, days=1.2, rates=Rates(duplicate=rate, malformed=rate, late=rate))
    records = list(chain.records())
    assert refusals(records) == chain.truth.malformed_by_topic
    assert Counter(again.topic for _, again in repeats(records)) == Counter(chain.truth.duplicates_by_topic)


def test_duplicates_come_within_half_an_hour_on_the_same_topic_and_key(run):
    pairs = repeats(run.records)
    assert Counter(again.topic for _, again in pairs) == run.truth.duplicates_by_topic
    assert len(pairs) == run.truth.duplicates
    assert 0.003 < len(pairs) / len(run.events) < 0.007
    for first, again in pairs:
        assert (again.topic, again.key) == (first.topic, first.key)
        assert 0 < again.at_ms - first.at_ms < 30 * MINUTE_MS


def test_a_repeat_comes_before_64_further_events_of_its_key(run):
    sent: Counter[tuple[str, str]] = Counter()
    place: dict[bytes, int] = {}
    for record in run.records:
        if not record.tick:
            sent[record.topic, record.key] += 1
            count = sent[record.topic, record.key]
            assert count - place.setdefault(record.value, count) < 64


def test_late_records_are_sent_minutes_to_hours_after_their_time(run):
    delays_ms = [r.at_ms - parse_time(event.time) for r, event in run.events if r.topic == "pos.events"]
    late = [delay for delay in delays_ms if delay >= 2 * MINUTE_MS]
    assert len(late) == run.truth.late
    assert 0.007 < len(late) / len(delays_ms) < 0.013
    assert max(late) > HOUR_MS


def test_the_truth_tells_of_what_was_sent_so_far():
    chain = Chain(1, days=1)
    sent = Counter()
    for record in chain.records():
        sent[record.topic] += not record.tick
        if sum(sent.values()) % 500 == 0:
            assert +sent == chain.truth.sent


def orders_ms(run) -> dict[str, list[int]]:
    """When each member ordered, by app id."""

    def name(who: Who) -> str:
        return who.card or who.marketplace_id or who.phone.replace(" ", "").replace("-", "")[-8:]

    owners = {}
    for _, bind in run.of(Bind):
        owners[name(bind.who)] = bind.who.app_id
        owners[name(Who(phone=bind.who.phone))] = bind.who.app_id
    ordered_ms: dict[str, list[int]] = defaultdict(list)
    for _, order in run.of(Order):
        if order.who is not None:
            ordered_ms[order.who.app_id or owners[name(order.who)]].append(parse_time(order.time))
    return ordered_ms


def test_an_abandoned_cart_is_followed_by_no_order_for_two_hours(run):
    ordered_ms = orders_ms(run)
    added_ms: dict[str, list[int]] = defaultdict(list)
    for _, cart in run.of(CartAdd):
        added_ms[cart.who.app_id].append(parse_time(cart.time))
    assert len(run.truth.abandoned) > 200
    for cart in run.truth.abandoned:
        assert cart.at_ms in added_ms[cart.app_id]
        assert not any(cart.at_ms < at_ms < cart.at_ms + 2 * HOUR_MS for at_ms in ordered_ms[cart.app_id])


def test_every_cart_is_ordered_or_abandoned(run):
    abandoned = {(cart.app_id, cart.at_ms) for cart in run.truth.abandoned}
    ordered_ms: dict[str, list[int]] = defaultdict(list)
    for _, order in run.of(Order):
        if order.channel in ("app", "delivery"):
            ordered_ms[order.who.app_id].append(parse_time(order.time))
    last_ms: dict[str, int] = {}
    end_ms = run.records[-1].at_ms - 10 * MINUTE_MS
    for _, cart in run.of(CartAdd):
        last_ms[cart.who.app_id] = max(last_ms.get(cart.who.app_id, 0), parse_time(cart.time))
    for app_id, at_ms in last_ms.items():
        ordered = any(at_ms < order_ms < at_ms + 5 * MINUTE_MS for order_ms in ordered_ms[app_id])
        assert at_ms > end_ms or ordered != ((app_id, at_ms) in abandoned)


def test_each_rating_below_three_stars_is_a_disappointment(run):
    bad = {(rating.who.app_id, parse_time(rating.time)) for _, rating in run.of(Rating) if rating.stars < 3}
    assert {(one.app_id, one.at_ms) for one in run.truth.disappointed} == bad != set()


def test_a_lapsed_customer_never_comes_back(run):
    lapsed = {lapse.app_id: lapse.from_ms for lapse in run.truth.lapsed}
    assert 0.08 < len(lapsed) / 3_000 < 0.16
    for _, event in run.of(AppOpen):
        assert parse_time(event.time) < lapsed.get(event.who.app_id, 1 << 62)


def test_a_written_truth_reads_back(run, tmp_path):
    run.truth.write(tmp_path / "truth.json")
    assert json.decode((tmp_path / "truth.json").read_bytes(), type=Truth) == run.truth
