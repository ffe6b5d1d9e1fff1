"""A back-test decides what the live job decides on the same events."""

from __future__ import annotations

from collections import Counter

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from alerts.triggers.backtests.backtest import ALL_OF_IT, Backtest, Decision, Rationed, Span, World
from alerts.triggers.calendar import At
from alerts.triggers.campaign import Bound, Campaign, Campaigns
from alerts.triggers.condition import over_catalog
from alerts.triggers.gifts import Arm, Then
from alerts.triggers.policy import Cap, Policy, held_out
from alerts.triggers.rule import After, Rule
from alerts.triggers.schedule import Schedule
from features import events as e
from features.archive import Archiver, Told, in_shares
from features.archived import archived_columns, columns_read
from features.building import build_catalog
from features.loop import batches, run
from features.narrow import asked_models, narrow
from features.quiet import QuietHours
from features.times import DAY_MS, HOUR_MS
from flows.files import load_features, load_tasks
from tests.alerts.triggers.jobs import CATALOG, HOUSE, customers_job, data_of, encoded
from tests.features.streams import STARTS_MS, ZONES, cuts, logs, with_ticks

CUSTOMERS = ("ca", "cb", "cc", "cd")
SALT = next(s for s in map(str, range(99)) if [held_out(c, s, 0.3) for c in CUSTOMERS] == [False, True, False, False])
QUIET = QuietHours(22 * 60, 8 * 60)
POLICY = Policy(cap=3, cap_window_ms=2 * DAY_MS, holdout=0.3, holdout_salt=SALT, consent="marketing", quiet=QUIET)
CAMPAIGNS = Campaigns([Campaign("few", coupons_per_customer=2, ends=Bound(STARTS_MS[4] + 3 * DAY_MS))])
SOME = Then("b", face_value_cents=300)
LIMITED = Then("b", face_value_cents=300, campaign="few")
ARMS = Then(
    "a",
    campaign="few",
    choose="learn",
    context="rfm_segment",
    arms=[Arm("two", face_value_cents=200), Arm("five", face_value_cents=500), Arm("none", nothing=True)],
)
SOME_DAYS = tuple((day, day) for day in range(738_940, 740_000, 41))  # from 2024 to 2027
RULES = [
    Rule(id="busy", on=["order"], when="orders_24h >= 2", then=LIMITED, cooldown="3d", group="g"),
    Rule(id="morning", on=["view", "order"], when="hour < 12 AND weekday <= 5", then=SOME, cooldown="0s"),
    Rule(id="cart", after=After("cart_add", "30m"), when="orders_1h = 0", then=SOME, cooldown="1d", priority=2),
    Rule(id="back", after=After("order", "5d"), when="orders_90d >= 1", then=SOME, cooldown="10d", group="g"),
    Rule(id="same", after=After("order", "5d"), when="spend_cents_7d > 0", then=SOME, cooldown="1h", priority=1),
    Rule(id="old", on=["app_open"], when="days_since_order < 3", then=SOME, cooldown="1h", max_event_age="1h"),
    Rule(id="fan", on=["order"], when="usual_sugar = 'half' AND channel = 'app'", then=SOME, cooldown="1d"),
    Rule(id="where", on=["order"], when="stores_30d > 1 OR favourite_store LIKE 's%'", then=SOME, cooldown="1d"),
    Rule(id="stars", on=["rating"], when="stars < 3 AND rating_tenths_90d < 40", then=SOME, cooldown="1d"),
    Rule(id="tier", on=["order"], when="tier = 'ordinary' AND rfm_segment <> 'lost'", then=SOME, cooldown="6h"),
    Rule(id="sweet", on=["order"], when="drinks_90d >= 1 AND morning_orders_90d >= 1", then=SOME, cooldown="2h"),
    Rule(id="trend", on=["order"], when="orders_trend_7d_30d >= 0.5", then=SOME, cooldown="2h",
         schedule=Schedule(weekdays=["mon", "tue", "sat", "sun"], stores=["s1", ""])),
    Rule(id="rhythm", after=After("order", "2h"), when="gap_over_rhythm < 1", then=SOME, cooldown="1d"),
    Rule(id="own", after=After("order", "1.5 rhythm"), when="orders_90d >= 1", then=SOME, cooldown="1d", quiet="send"),
    Rule("feast", "views_30d >= 0", SOME, "1h", at=At(holiday="any", time="21:30"), dates=SOME_DAYS),
    Rule(id="day", on=["view"], when="views_24h >= 1", then=SOME, cooldown="1h", quiet="drop"),
    Rule(id="arms", on=["order"], when="orders_7d > 0", then=ARMS, cooldown="2d"),
    Rule(id="risk", on=["order"], when="churn_risk IS NULL AND complaints_open >= 0", then=SOME, cooldown="9d"),
]  # fmt: skip
GRANTS: list[e.Event] = [
    e.Consent(id=f"g{c}", customer=c, at_ms=1, purpose="marketing", granted=True, tz="Asia/Shanghai") for c in CUSTOMERS
]
streams = logs(CUSTOMERS, longest=50).flatmap(with_ticks).map(lambda log: GRANTS + log)


def live(rules: list[Rule], log: list[e.Event], cuts: list[int], policy: Policy = POLICY) -> list[Decision]:
    """As the flow decides: the whole catalog, batch by batch, out of the messages it sends."""
    store = run(customers_job(rules, policy, campaigns=CAMPAIGNS), batches("events", 0, encoded(log), cuts))[0]
    told = data_of(store, "decisions")
    arms = [d["arm"]["name"] if d["arm"] else "" for d in told]
    of = [(d["rule"], d["customer"], d["at_ms"], d["outcome"], d["cause"]) for d in told]
    return [Decision(*one, arm) for one, arm in zip(of, arms, strict=True)]


def tried(
    rules: list[Rule], log: list[e.Event], cuts: list[int], size: int, span: Span = ALL_OF_IT, policy: Policy = POLICY
) -> list[Decision]:
    archive = archived(log, cuts, size)
    named = [(rule, f"{rule.id}.toml", "") for rule in rules]
    names = {name for names in over_catalog(named, CATALOG).names for name in names}
    tasks = asked_models(load_tasks(HOUSE), names, scored=False)
    catalog = build_catalog(narrow(load_features(HOUSE), names), tasks=tasks)
    conditions = over_catalog(named, catalog)
    backtest = Backtest(catalog, conditions, policy, CAMPAIGNS, span, ids=True)
    read = {name for condition in conditions.conditions for name in condition.columns} | conditions.fields
    columns = [name for name in columns_read(catalog, read, ids=True) if name in archive.columns]
    moves = archive.filter(pl.col("share") < 0)
    found: list[Decision] = []
    for share in archive.filter(pl.col("share") >= 0).partition_by("share", maintain_order=True):
        kept = archived_columns(backtest.job.core.decoder, share.select(columns), moves)
        found += backtest.judge(kept)[0].decisions()
    return found


POTS = Campaigns([
    Campaign("few", coupons_per_customer=2, budget_cents=1500),
    Campaign("scarce", coupons=4, per_store={"s1": 600, "default": 300}),
])  # fmt: skip
SCARCE = [
    replace(RULES[0], then=LIMITED),
    replace(RULES[1], then=Then("c", face_value_cents=300, campaign="scarce")),
    replace(RULES[3], then=LIMITED, quiet="send"),
    replace(RULES[0], id="leaves", cooldown="0s", exit="hour < 12", exit_on=["view"]),
]


def rationed(rules: list[Rule], log: list[e.Event], size: int) -> tuple[list[Decision], Rationed]:
    """All shares under the limits of POTS."""
    archive, named = archived(log, [], size), [(rule, f"{rule.id}.toml", "") for rule in rules]
    names = {name for names in over_catalog(named, CATALOG).names for name in names}
    tasks = asked_models(load_tasks(HOUSE), names, scored=False)
    catalog = build_catalog(narrow(load_features(HOUSE), names), tasks=tasks)
    backtest = Backtest(catalog, over_catalog(named, catalog), POLICY, POTS, ids=True)
    moves = archive.filter(pl.col("share") < 0)
    shares = archive.filter(pl.col("share") >= 0).partition_by("share", maintain_order=True)
    columns = [archived_columns(backtest.job.core.decoder, share, moves) for share in shares]
    held = [backtest.hold(one)[0] for one in columns]
    found = backtest.ration(held)
    each = zip(columns, held, found.noted, strict=True)
    return [d for c, h, noted in each for d in backtest.judged(c, h.asked, h.near, noted, {}).decisions()], found


@settings(max_examples=50, deadline=None)
@given(logs(CUSTOMERS, longest=40), st.sampled_from((1, 7, 1000)))
def test_shares_that_share_pots_decide_as_one_partition_does_live(log: list[e.Event], size: int) -> None:
    """Where events come in the order in which they happened."""
    by_time = {event.at_ms: event for event in log}
    whole: list[e.Event] = [*GRANTS]
    for at_ms in sorted(by_time):
        whole += [e.Tick(id=f"t{at_ms}", at_ms=at_ms - at_ms % HOUR_MS, source="s", of=1), by_time[at_ms]]
    whole.append(e.Tick(id="end", at_ms=max(by_time, default=0) + 9 * DAY_MS, source="s", of=1))
    store = run(customers_job(SCARCE, POLICY, campaigns=POTS), batches("events", 0, encoded(whole)))[0]
    told = data_of(store, "decisions")
    wanted = Counter((d["rule"], d["customer"], d["at_ms"], d["outcome"], d["cause"]) for d in told)
    decisions, found = rationed(SCARCE, whole, size)
    assert Counter(tuple(one[:5]) for one in decisions) == wanted
    assert found.spent == store.spent
    short = {"few/budget": "budget", "scarce/coupons": "stock"}
    for pot, outcome in short.items():
        first = [d["at_ms"] for d in told if d["ran_out"] == pot.partition("/")[2] and d["outcome"] == outcome]
        assert pot not in found.ran_out or not first or found.ran_out[pot] <= min(first)


def archived(log: list[e.Event], cuts: list[int], size: int) -> pl.DataFrame:
    archiver, told, values = Archiver(), Told(), encoded(log)
    told.hear(values)
    parts = [archiver.rows(batch.values) for batch in batches("events", 0, values, cuts)]
    return in_shares(parts, told, size)


@settings(max_examples=50, deadline=None)
@given(streams, cuts, cuts, st.sampled_from((1, 7, 1000)))
def test_a_backtest_decides_as_the_live_job(log: list[e.Event], cuts: list[int], others: list[int], size: int) -> None:
    found, wanted = tried(RULES, log, cuts, size), live(RULES, log, others)
    assert Counter(found) == Counter(wanted)
    for customer in CUSTOMERS:
        assert [d for d in found if d.customer == customer] == [d for d in wanted if d.customer == customer]


@settings(max_examples=40, deadline=None)
@given(streams, st.sampled_from(RULES))
def test_one_rule_alone_out_of_its_narrow_records_decides_as_the_live_job(log: list[e.Event], rule: Rule) -> None:
    assert Counter(tried([rule], log, [], 1000)) == Counter(live([rule], log, []))


def apart(worlds: list[World], log: list[e.Event], size: int) -> tuple[list[list[Decision]], list[list[Decision]]]:
    """By world of MIXED: what would be decided if there were enough of everything, and under the limits of POTS."""
    archive, named = archived(log, [], size), [(rule, f"{rule.id}.toml", "") for rule in MIXED]
    names = {name for names in over_catalog(named, CATALOG).names for name in names}
    tasks = asked_models(load_tasks(HOUSE), names, scored=False)
    catalog = build_catalog(narrow(load_features(HOUSE), names), tasks=tasks)
    backtest = Backtest(catalog, over_catalog(named, catalog), POLICY, POTS, ids=True, worlds=worlds)
    moves = archive.filter(pl.col("share") < 0)
    shares = archive.filter(pl.col("share") >= 0).partition_by("share", maintain_order=True)
    columns = [archived_columns(backtest.job.core.decoder, share, moves) for share in shares]
    free = [backtest.judge(one) for one in columns]
    helds = [backtest.hold(one) for one in columns]
    rationed = [backtest.ration([held[w] for held in helds]) for w in range(len(worlds))]
    scarce = [
        [
            decision
            for share, noted in enumerate(found.noted)
            for decision in backtest.judged(columns[share], helds[share][w].asked, [], noted, {}, w).decisions()
        ]
        for w, found in enumerate(rationed)
    ]
    return [[d for share in free for d in share[w].decisions()] for w in range(len(worlds))], scarce


MIXED = [
    *SCARCE,
    *RULES[4:],
    replace(RULES[0], id="other", then=LIMITED),
    Rule(id="soon", after=After("order", "2h"), when="orders_90d >= 1", then=LIMITED, cooldown="1d", group="g"),
    Rule(id="late", after=After("order", "3h"), when="orders_90d >= 1", then=LIMITED, cooldown="1d", group="g"),
    replace(SCARCE[3], id="out"),
]


@settings(max_examples=15, deadline=None)
@given(streams, st.sampled_from((1, 7, 1000)), st.sets(st.sampled_from(range(len(MIXED)))), st.data())
def test_rules_that_are_decided_apart_know_nothing_of_each_other(
    log: list[e.Event], size: int, one: set[int], data: st.DataObject
) -> None:
    other = data.draw(st.sets(st.sampled_from(range(len(MIXED)))))
    worlds = [World({i: MIXED[i].id for i in sorted(world or {0})}) for world in (one, other)]
    together = apart(worlds, log, size)
    for w, world in enumerate(worlds):
        for found, alone in zip(together, apart([world], log, size), strict=True):
            assert found[w] == alone[0]
        rules = [MIXED[i] for i in world.names]
        assert Counter(together[1][w]) == Counter(rationed(rules, log, size)[0]), "as if there were no other rules"


def test_a_late_order_sees_what_the_whole_record_still_knows_of_its_time() -> None:
    """The rule reads 30 days; the order comes 40 days late, after which only longer windows keep that day's panes."""
    first, second, late, later = _orders("ca", 4)
    log = [*GRANTS, first, second, replace(later, at_ms=first.at_ms + 40 * DAY_MS), late]
    trend = [rule for rule in RULES if rule.id == "trend"]
    found = tried(trend, log, [], 1000)
    assert late.id in {decision.cause for decision in found}
    assert Counter(found) == Counter(live(trend, log, []))


def test_an_archive_that_was_written_and_read_decides_the_same(tmp_path) -> None:
    log = [*GRANTS, *_orders("ca", 6)]
    archived(log, [], 1000).write_parquet(tmp_path / "a.parquet")
    read = pl.read_parquet(tmp_path / "a.parquet")
    assert read.equals(archived(log, [2, 5], 1000).select(read.columns))


def test_nobody_is_asked_outside_the_span_and_windows_are_filled_before_it() -> None:
    log = [*GRANTS, *_orders("ca", 6)]
    day = [d.at_ms for d in tried(RULES[:1], log, [], 1000)]
    span = Span(log[-2].at_ms, log[-1].at_ms)
    assert [d.at_ms for d in tried(RULES[:1], log, [], 1000, span)] == [log[-2].at_ms]
    assert len(day) > 1


def test_consent_can_be_assumed() -> None:
    free = replace(POLICY, consent="")
    log = _orders("ca", 2)
    assert [d.outcome for d in tried(RULES[:1], log, [], 1000)] == ["no_consent"]
    assert [d.outcome for d in tried(RULES[:1], log, [], 1000, policy=free)] == ["issued"]


def test_a_channels_cap_counts_a_message_when_it_would_leave() -> None:
    policy = replace(POLICY, channel_caps={"push": Cap.read("1 per 1d")})
    rule = Rule(id="hour", on=["view"], when="orders_7d >= 1", then=replace(SOME, send="their-hour"), cooldown="0s")
    [order] = _orders("ca", 1, 20 * HOUR_MS)
    views: list[e.Event] = [
        e.View(id=f"v{hours}", customer="ca", at_ms=order.at_ms + hours * HOUR_MS, tz="Asia/Shanghai")
        for hours in (14, 39, 49)
    ]
    found = tried([rule], [*GRANTS, order, *views], [], 1000, policy=policy)
    assert [d.outcome for d in found] == ["issued", "channel_capped", "issued"]
    assert found == live([rule], [*GRANTS, order, *views], [], policy)


def test_a_customer_who_was_merged_is_one_from_the_beginning() -> None:
    one, other = _orders("ca", 1), _orders("cd", 1, HOUR_MS)
    merge = e.Merge(id="m", customer="cd", into="ca", at_ms=other[0].at_ms)
    assert [d.customer for d in tried(RULES[:1], [*GRANTS, *one, *other, merge], [], 1000)] == ["ca"]
    assert tried(RULES[:1], [*GRANTS, *one, *other], [], 1000) == []


def test_of_a_customer_who_was_forgotten_there_is_nothing() -> None:
    log = [*GRANTS, *_orders("ca", 2), e.Forget(id="f", customer="ca", at_ms=1), *_orders("cc", 2)]
    assert [d.customer for d in tried(RULES[:1], log, [], 1000)] == ["cc"]


def _orders(customer: str, count: int, after_ms: int = 0) -> list[e.Event]:
    paid = {"lines": [e.Line("tea")], "total_cents": 900, "tz": ZONES[0], "customer": customer}
    times_ms = [1_777_824_000_000 + after_ms + i * HOUR_MS for i in range(count)]
    return [e.Order(id=f"{customer}{i}", at_ms=at_ms, **paid) for i, at_ms in enumerate(times_ms)]


def test_the_weather_and_the_words_of_events_are_asked_of_an_archive_as_live() -> None:
    rules = [
        Rule(id="mild", on=["view"], when="temp_c BETWEEN 0 AND 20", then=SOME, cooldown="0s"),
        Rule(id="unknown", on=["view", "rating"], when="rain_mm IS NULL", then=SOME, cooldown="0s"),
        Rule(id="open", on=["complaint_answered"], when="NOT closed AND case_id <> 'k2'", then=SOME, cooldown="0s"),
    ]
    common = {"customer": "ca", "tz": "Asia/Shanghai"}
    at = (STARTS_MS[4] + n * HOUR_MS for n in range(9))
    log = [
        e.View(id="freezing", at_ms=next(at), temp_c=0.0, weather_ms=1, **common),
        e.View(id="unknown", at_ms=next(at), **common),
        e.View(id="hot", at_ms=next(at), temp_c=31.5, rain_mm=0.5, weather_ms=1, **common),
        e.Rating(id="rated", at_ms=next(at), stars=4.0, **common),
        e.ComplaintAnswered(id="a1", at_ms=next(at), case="k1", **common),
        e.ComplaintAnswered(id="a2", at_ms=next(at), case="k2", **common),
        e.ComplaintAnswered(id="a3", at_ms=next(at), case="k1", closed=True, **common),
    ]
    found = tried(rules, GRANTS + log, [3], 4)
    assert found == live(rules, GRANTS + log, [])
    assert [(d.rule, d.cause) for d in found] == [
        ("mild", "freezing"),
        ("unknown", "unknown"),
        ("unknown", "rated"),
        ("open", "a1"),
    ]
