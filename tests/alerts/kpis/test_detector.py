"""What the detector finds in a simulated chain, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from alerts.kpis.detector import Judging
from numpy.typing import NDArray

from alerts.kpis import detector
from alerts.kpis.expectation import Expectation, spans
from alerts.kpis.incident import FIRE_P, PENDING_MINUTES, Incident, Verdict, alert
from alerts.kpis.kpi import COLUMN, COUNTERS

DAY = 1440
JUDGING = Judging(window_minutes=30, learn_days=2, hold_minutes=10)
Counts = NDArray[np.int64]  # minutes x counters


def store(random: np.random.Generator, days: int) -> Counts:
    """A store's counts by minute: a daily season, good and bad days, negative binomial orders, log-normal amounts."""
    minutes = np.arange(days * DAY)
    level = 10 ** random.uniform(-0.3, 0.5) * np.exp(0.15 * random.normal(size=days))[minutes // DAY]
    rate = level * (1 + 0.8 * np.sin((minutes / 60 - 6) / 24 * 2 * np.pi))
    orders = random.negative_binomial(5, 5 / (5 + rate))
    amounts = [int(random.lognormal(7.5, 0.5, n).sum()) for n in orders]
    counts = np.zeros((len(minutes), len(COUNTERS)), dtype=np.int64)
    counts[:, COLUMN["orders"]] = orders
    counts[:, COLUMN["revenue_cents"]] = amounts
    counts[:, COLUMN["redemptions"]] = random.poisson(orders * 0.3)
    counts[:, COLUMN["discount_cents"]] = counts[:, COLUMN["redemptions"]] * random.integers(200, 800, len(minutes))
    return counts


def chain(seed: int, stores: int, days: int) -> dict[str, Counts]:
    random = np.random.default_rng(seed)
    return {f"store:{number:04}": store(random, days) for number in range(stores)}


def with_totals(stores: dict[str, Counts]) -> dict[str, Counts]:
    """Ten stores to a region."""
    rows = list(stores.values())
    regions = {f"region:{n}": sum(rows[n * 10 : n * 10 + 10]) for n in range(len(rows) // 10)}
    return {**stores, **regions, "chain:*": sum(rows)}  # type: ignore[dict-item]


def told(dim: str, counts: Counts, judging: Judging = JUDGING) -> list[dict[str, Any]]:
    watch = detector.begin(0, judging)
    rows = counts.tolist()
    return [each for row in rows for each in detector.judge(watch, dim, row if any(row) else [], judging)]


def firings(dims: dict[str, Counts]) -> list[dict[str, Any]]:
    return [each for dim, counts in dims.items() for each in told(dim, counts) if each["state"] == "firing"]


@pytest.mark.slow
def test_in_fifty_stores_and_five_days_both_troubles_are_found_and_hardly_anything_else():
    stores = chain(1, stores=50, days=5)
    dark = slice(3 * DAY + 720, 3 * DAY + 840)
    stores["store:0007"][dark] = 0
    stores["store:0023"][4 * DAY :, COLUMN["redemptions"]] *= 5
    found = firings(with_totals(stores))
    kinds = {(each["dim"], each["series"], each["direction"], each["started_ms"] // 60_000 // DAY) for each in found}
    report = "\n".join(each["why"] for each in found)
    assert ("store:0007", "orders", "low", 3) in kinds, report
    assert ("store:0023", "redemptions", "high", 4) in kinds, report
    others = [each for each in found if each["dim"] not in ("store:0007", "store:0023")]
    assert len(others) <= 2, report


@pytest.mark.slow
def test_a_chain_without_trouble_is_nearly_silent():
    found = firings(with_totals(chain(2, stores=20, days=8)))
    assert len(found) <= 1, "\n".join(each["why"] for each in found)


def test_an_incident_begins_when_it_is_sure_and_ends_when_the_window_is_usual_again():
    counts = store(np.random.default_rng(3), 4)
    counts[3 * DAY + 720 : 3 * DAY + 840] = 0
    firing, resolved = [each for each in told("store:1", counts) if each["series"] == "orders"]
    assert (firing["state"], firing["direction"]) == ("firing", "low")
    assert 3 * DAY + 720 < firing["started_ms"] // 60_000 <= 3 * DAY + 750
    assert firing["p"] <= FIRE_P
    assert resolved["state"] == "resolved"
    assert resolved["incident"] == firing["incident"]
    assert resolved["fingerprint"] == firing["fingerprint"] != firing["incident"]


def test_nothing_is_judged_before_the_days_of_learning_are_full():
    counts = store(np.random.default_rng(3), 3)
    counts[2 * DAY - 200 : 2 * DAY - 40] = 0
    assert told("store:1", counts[: 2 * DAY]) == []


def test_an_anomaly_is_not_learned_as_normal():
    counts = store(np.random.default_rng(3), 6)
    for day in (3, 4, 5):
        counts[day * DAY + 720 : day * DAY + 840] = 0
    starts = [
        e["started_ms"] // 60_000 // DAY for e in told("s", counts) if (e["series"], e["state"]) == ("orders", "firing")
    ]
    assert starts == [3, 4, 5]


def test_a_lasting_change_is_usual_in_the_end():
    counts = store(np.random.default_rng(3), 20)
    counts[3 * DAY :] *= 5
    last = [each for each in told("store:1", counts) if each["series"] == "orders"][-1]
    assert last["state"] == "resolved"


def test_hours_without_sales_are_usual_where_there_are_never_any():
    counts = store(np.random.default_rng(4), 5)
    counts[np.arange(5 * DAY) % DAY < 480] = 0
    assert told("store:1", counts) == []


def test_a_corrected_minute_counts_as_corrected():
    watch = detector.begin(0, JUDGING)
    row = [1] * len(COUNTERS)
    for _ in range(40):
        detector.judge(watch, "store:1", row, JUDGING)
    detector.correct(watch, 35, [9] * len(COUNTERS))
    detector.correct(watch, 10, [1000] * len(COUNTERS))  # no longer in the window
    assert sum(watch.series[0].window) == 29 - 1 + 9  # the next minute's place is already empty


def test_a_watch_is_the_same_after_it_was_stored():
    counts = store(np.random.default_rng(3), 1).tolist()
    one = detector.begin(0, JUDGING)
    for row in counts:
        detector.judge(one, "store:1", row, JUDGING)
    other = detector.begin(0, JUDGING)
    for row in counts:
        other = detector.decode_watch(detector.encode_watch(other), JUDGING)
        detector.judge(other, "store:1", row, JUDGING)
    assert one == other


def test_a_watch_of_another_window_begins_again():
    watch = detector.begin(0, JUDGING)
    for _ in range(100):
        detector.judge(watch, "store:1", [], JUDGING)
    longer = Judging(window_minutes=60)
    assert detector.decode_watch(detector.encode_watch(watch), longer) == detector.begin(100, longer)


def test_a_gap_is_neither_judged_nor_learned():
    counts = (store(np.random.default_rng(3), 4) * 50).tolist()
    hourly = Judging(window_minutes=60)
    watch = detector.begin(0, hourly)
    for row in counts[: 3 * DAY]:
        detector.judge(watch, "store:1", row, hourly)
    days = sum(watch.series[0].expectation.days)
    detector.skip(watch, 20 * DAY + 720)
    found = [each for row in counts[720:DAY] for each in detector.judge(watch, "store:1", row, hourly)]
    assert found == []
    assert sum(watch.series[0].expectation.days) == days + 11  # the twelfth hour has not left the window


def test_a_rate_is_the_mean_of_its_first_days():
    usual = Expectation(money=False)
    for minute in range(3 * DAY):
        usual.learn(minute, 1 + minute // DAY, unusual=False)
    estimate = usual.over(spans(9 * 60 + 45, 30))
    assert estimate is not None
    assert estimate.mean == pytest.approx(30 * 2, rel=0.01)


def test_an_hour_that_was_not_seen_whole_is_not_learned():
    usual = Expectation(money=False)
    for minute in range(30, 150):
        usual.learn(minute, 1, unusual=False)
    assert usual.days[:3] == [0, 1, 0]
    assert usual.over(spans(90, 60)) is None


def test_money_is_measured_in_amounts_of_its_own_size():
    random = np.random.default_rng(1)
    usual = Expectation(money=True)
    for minute in range(2 * DAY):
        usual.learn(minute, 500 * int(random.poisson(4)), unusual=False)
    assert usual.unit == pytest.approx(500, rel=0.1)


def test_spans_cut_a_window_at_the_hours():
    assert spans(23 * 60 + 50, 75) == [(23, 10), (0, 60), (1, 5)]


def test_an_incident_fires_only_when_it_lasts_and_resolves_only_when_it_stays_calm():
    incident = Incident()
    rare, usual = FIRE_P / 2, 0.5
    assert incident.step(0, rare, "low", 10) == ""
    assert incident.step(1, usual, "low", 10) == ""
    assert [incident.step(minute, rare, "low", 10) for minute in range(2, 8)] == [""] * PENDING_MINUTES + ["firing"]
    assert [incident.step(minute, usual, "low", 10) for minute in range(8, 17)] == [""] * 9
    assert incident.step(17, rare, "low", 10) == ""
    assert [incident.step(minute, usual, "low", 10) for minute in range(18, 28)] == [""] * 9 + ["resolved"]
    assert incident.start == 2


def test_the_other_direction_does_not_keep_an_incident_alive():
    incident = Incident("firing", "low", 0)
    assert [incident.step(minute, FIRE_P / 2, "high", 3) for minute in range(3)] == ["", "", "resolved"]
    assert incident.step(3, FIRE_P / 2, "high", 3) == ""
    assert (incident.state, incident.direction) == ("pending", "high")


def test_an_alert_says_in_words_what_happened():
    incident = Incident("firing", "low", 29_000_000)
    verdict = Verdict(29_000_007, 12_345, 98_765.4, 2e-9, 30)
    why = alert("store:0012", "revenue_cents", incident, "firing", verdict)["why"]
    assert why == (
        "store:0012: revenue down to 123.45 in the 30 minutes before 2025-02-19T21:28Z;"
        " usual at this hour: 987.65, odds 2e-09"
    )
