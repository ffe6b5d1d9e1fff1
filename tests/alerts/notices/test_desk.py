"""Of every alert somebody is told once, or it is counted, or listed as silenced; and a crash changes nothing of it."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from alerts.notices.alert import Alert
from alerts.notices.desk import MOST_UNHEARD, SETTLING_MS, Desk, State, Terms
from alerts.notices.pace import Throttle
from alerts.notices.standing import notice_message
from features.outgoing import Notice
from tests.alerts.notices import made
from tests.alerts.notices.made import HOUR_MS, NOON_MS, TERMS, actions, desk, finding, kpi, told, word


def test_a_matter_is_opened_updated_and_resolved_and_the_same_alert_is_taken_once() -> None:
    one = desk()
    for alert in (kpi("a"), kpi("a"), kpi("b"), kpi("c", "resolved"), kpi("c", "resolved")):
        one.take(alert, NOON_MS)
    notices = told(one)
    assert [(notice.action, notice.alert, notice.count) for notice in notices] == [
        ("opened", "a", 1),
        ("updated", "b", 2),
        ("resolved", "c", 3),
    ]
    assert len({notice.key for notice in notices}) == 1


def test_what_fires_anew_after_its_end_is_opened_anew() -> None:
    one = desk()
    for alert in (kpi("a"), kpi("b", "resolved"), kpi("c")):
        one.take(alert, NOON_MS)
    assert actions(one) == ["opened", "resolved", "opened"]


def test_findings_of_one_rule_and_group_are_one_matter_and_of_another_are_another() -> None:
    one = desk()
    for alert in (finding("a"), finding("b"), finding("c", rule="r2"), finding("d", group={"actor": "anna", "s": "2"})):
        one.take(alert, NOON_MS)
    assert [(notice.action, notice.alert) for notice in told(one)] == [
        ("opened", "a"),
        ("updated", "b"),
        ("opened", "c"),
    ]
    assert one.state.paces["security|high|anna"].held == {"r1": 1}  # the fourth


def test_in_another_case_a_finding_is_another_matter_and_an_incident_is_told_with_its_stores() -> None:
    one = desk()
    for alert in (finding("a", case="c1"), finding("b", case="c2"), finding("c", case="c1")):
        one.take(alert, NOON_MS)
    one.take(kpi("k", dim="chain:*", stores=["store:s1", "store:s2"]), NOON_MS)
    notices = told(one)
    assert [notice.action for notice in notices] == ["opened", "opened", "updated", "opened"]
    assert notices[3].evidence == ["store:s1", "store:s2"]


def test_more_than_the_most_of_one_actor_are_counted_and_told_as_one_sum_that_names_them() -> None:
    one = desk()
    for number in range(8):
        one.take(finding(f"f{number}", rule=f"r{number % 5}"), NOON_MS + number)
    one.take(finding("other", "bob"), NOON_MS)
    assert [notice.entity for notice in told(one)] == ["anna"] * 3 + ["bob"]
    one.sweep(NOON_MS + HOUR_MS - 1)
    assert told(one) == []
    one.sweep(NOON_MS + HOUR_MS)
    [summary] = told(one)
    assert (summary.action, summary.held, summary.entity) == ("held", 5, "anna")
    assert summary.why.endswith("beside the 3 that were told: r0 (1), r1 (1), r2 (1), r3 (1), r4 (1)")
    assert sum(standing.held for standing in one.state.book.values()) == 5
    one.take(finding("later"), NOON_MS + HOUR_MS)
    assert actions(one) == ["updated"]


def test_a_storm_of_low_ones_holds_back_no_critical_one() -> None:
    one = desk()
    for number in range(9):
        one.take(finding(f"f{number}", rule=f"r{number}", level="low"), NOON_MS)
    told(one)
    one.take(finding("bad", rule="bad", level="critical"), NOON_MS)
    assert [notice.severity for notice in told(one)] == ["critical"]


def test_what_a_silence_covers_is_listed_and_not_told_and_what_still_fires_at_its_end_is() -> None:
    one = desk()
    one.hear(word("silenced", "s", matchers={"dim": "store:*", "series": "orders"}, until_ms=NOON_MS + 1_000))
    for alert in (kpi("a"), kpi("x", dim="region:r"), kpi("g", dim="store:s2"), kpi("h", "resolved", "store:s2")):
        one.take(alert, NOON_MS)
    assert [notice.entity for notice in told(one)] == ["region:r"]
    silenced = [standing.alert.id for standing in one.state.book.values() if standing.silenced == "s"]
    assert silenced == ["a", "h"]
    one.sweep(NOON_MS + 999)
    assert told(one) == []
    one.sweep(NOON_MS + 1_000)
    assert [(notice.action, notice.alert) for notice in told(one)] == [("opened", "a")]


def test_a_finding_that_was_silenced_is_not_told_at_the_end_of_the_silence_but_the_next_is() -> None:
    one = desk()
    one.hear(word("silenced", "s", matchers={"actor": "an?a"}, until_ms=NOON_MS + 1_000))
    one.take(finding("a"), NOON_MS)
    one.sweep(NOON_MS + 1_000)
    assert (actions(one), [standing.silenced for standing in one.state.book.values()]) == ([], [""])
    one.take(finding("b"), NOON_MS + 1_001)
    assert [(notice.action, notice.count) for notice in told(one)] == [("opened", 2)]


def test_an_end_is_told_to_whoever_knows_of_the_beginning_be_it_silenced_meanwhile() -> None:
    one = desk()
    one.take(kpi("a"), NOON_MS)
    one.hear(word("silenced", "s", matchers={"kind": "kpi"}, until_ms=NOON_MS + HOUR_MS))
    assert [standing.silenced for standing in one.state.book.values()] == ["s"]
    one.take(kpi("b"), NOON_MS)
    one.take(kpi("c", "resolved"), NOON_MS)
    assert actions(one) == ["opened", "resolved"]


def test_a_silence_that_is_ended_early_is_over_and_remembers_by_whom() -> None:
    one = desk()
    one.hear(word("silenced", "s", matchers={"rule": "r1"}, until_ms=NOON_MS + HOUR_MS))
    one.hear(word("unsilenced", "s", NOON_MS + 5))
    one.take(finding("a"), NOON_MS + 5)
    assert actions(one) == ["opened"]
    assert (one.state.silences["s"].ended_by, one.state.silences["s"].by) == ("ben", "ben")


def test_who_acknowledges_or_closes_is_told_with_the_reason_and_a_word_on_what_is_over_is_none() -> None:
    one = desk()
    one.take(finding("a"), NOON_MS)
    key = told(one)[0].key
    one.hear(word("acknowledged", key, reason="asking"))
    one.hear(word("closed", key, reason="agreed on"))
    one.hear(word("acknowledged", key))
    one.hear(word("acknowledged", "unknown"))
    assert [(notice.action, notice.by, notice.reason) for notice in told(one)] == [
        ("acknowledged", "ben", "asking"),
        ("closed", "ben", "agreed on"),
    ]
    standing = one.state.book[key]
    assert (standing.state, standing.acknowledged_by, standing.ended_by) == ("closed", "ben", "ben")


def test_a_finding_of_which_nothing_more_is_seen_is_over_after_a_while_and_a_kpi_is_not() -> None:
    one = desk()
    one.take(finding("a"), NOON_MS)
    one.take(kpi("k"), NOON_MS)
    one.take(finding("b"), NOON_MS + HOUR_MS)
    told(one)
    one.sweep(NOON_MS + 25 * HOUR_MS - 1)
    assert told(one) == []
    one.sweep(NOON_MS + 25 * HOUR_MS)
    [notice] = told(one)
    assert (notice.action, notice.kind, notice.reason) == ("resolved", "security", "nothing more was seen of it")


def test_what_is_over_is_listed_for_a_while_and_then_forgotten() -> None:
    one = desk()
    one.take(kpi("a"), NOON_MS)
    one.take(kpi("b", "resolved"), NOON_MS)
    one.hear(word("silenced", "s", matchers={"rule": "r"}, until_ms=NOON_MS))
    one.sweep(NOON_MS + TERMS.kept_ms - 1)
    assert (len(one.state.book), len(one.state.silences)) == (1, 1)
    one.clear()
    one.sweep(NOON_MS + TERMS.kept_ms)
    assert one.state == State()
    assert one.touched == {("book", "store:s1-7"), ("silences", "s")}


def promise(id: str, **data: object) -> Alert:
    told = {"state": "firing", "ticket": "t1", "clock": "resolution", "incident": "t1|breached"}
    return made.alert(id, "service", "t1", **{**told, **data})


def test_a_broken_promise_is_over_after_a_while_may_be_closed_and_ends_where_it_was_none() -> None:
    for end, action in (("sweep", "resolved"), ("close", "closed"), ("withdraw", "resolved")):
        one = desk()
        one.take(promise("a"), NOON_MS)
        assert not one.state.book["t1|breached"].alert.ends
        if end == "sweep":
            one.sweep(NOON_MS + TERMS.open_ms)
        elif end == "close":
            one.hear(word("closed", "t1|breached"))
        else:
            one.take(promise("b", state="resolved"), NOON_MS)
        assert actions(one) == ["opened", action]


def test_what_is_older_than_the_first_start_is_listed_and_told_only_if_it_goes_on() -> None:
    one = Desk(TERMS, State(), since_ms=NOON_MS)
    for old in (finding("f"), kpi("a", start=1), kpi("b", "resolved", start=1), kpi("c", start=2)):
        one.take(old, NOON_MS - 1)
    one.sweep(NOON_MS + SETTLING_MS - 1)
    assert (told(one), len(one.state.book), one.state.paces) == ([], 3, {})
    one.take(finding("g"), NOON_MS)
    assert [(notice.action, notice.count) for notice in told(one)] == [("opened", 2)]
    for _ in range(2):
        one.sweep(NOON_MS + SETTLING_MS)
    assert [(notice.action, notice.alert) for notice in told(one)] == [("opened", "c")]


def test_words_that_are_read_before_their_alerts_count_as_if_they_came_behind_them() -> None:
    live, late = desk(), desk()
    said = [word("acknowledged", "store:s1-7", NOON_MS + 4, reason="asking"), word("closed", "gone", NOON_MS + 4)]
    heard = [(kpi("a"), 0), (kpi("b", "resolved"), 2), (kpi("c"), 3)]
    for alert, after_ms in heard:
        live.take(alert, NOON_MS + after_ms)
    live.hear(said[0])
    for each in said:
        late.hear(each)
    for alert, after_ms in heard:
        late.take(alert, NOON_MS + after_ms)
    assert late.state.book == live.state.book
    assert late.state.book["store:s1-7"].acknowledged_by == "ben"
    for one in (live, late):
        one.take(kpi("d", "resolved"), NOON_MS + 5)
        one.take(kpi("e"), NOON_MS + 6)
    assert late.state.book == live.state.book
    assert late.state.book["store:s1-7"].acknowledged_by == ""
    assert late.state.unheard.keys() == {"gone"}


def test_what_was_closed_is_not_opened_by_alerts_that_were_there_before() -> None:
    in_order, backlog = desk(), desk()
    alerts = [(finding("a"), 0), (finding("b"), 1), (finding("c"), 2)]
    closed = word("closed", finding("a").key, NOON_MS + 3, reason="agreed")
    for one in (in_order, backlog):
        one.take(finding("a"), NOON_MS)
        assert actions(one) == ["opened"]
    for alert, after_ms in alerts[1:]:
        in_order.take(alert, NOON_MS + after_ms)
    in_order.hear(closed)
    backlog.hear(closed)
    for alert, after_ms in alerts[1:]:
        backlog.take(alert, NOON_MS + after_ms)
    assert actions(in_order)[-1] == "closed"
    assert actions(backlog) == ["closed"]
    assert backlog.state.book == in_order.state.book
    for one in (in_order, backlog):
        one.take(finding("d"), NOON_MS + 2 * HOUR_MS)
        assert actions(one) == ["opened"]


def test_what_fires_after_somebody_closed_it_is_opened_anew_whichever_is_read_first() -> None:
    word_first, alert_first = desk(), desk()
    closed = word("closed", finding("a").key, NOON_MS + 10, reason="known")
    for one in (word_first, alert_first):
        one.take(finding("a"), NOON_MS)
        told(one)
    word_first.hear(closed)
    word_first.take(finding("b"), NOON_MS + 20)
    alert_first.take(finding("b"), NOON_MS + 20)
    alert_first.hear(closed)
    assert actions(word_first) == ["closed", "opened"]
    assert actions(alert_first) == ["updated", "closed", "opened"]
    assert replace(alert_first.state.book[closed.about], known=["b"]) == word_first.state.book[closed.about]
    alert_first.hear(word("closed", closed.about, NOON_MS + 15))
    assert (actions(alert_first), alert_first.state.book[closed.about].firing) == ([], True)


def test_no_more_words_are_kept_than_there_may_be_and_the_earliest_give_way() -> None:
    one = desk()
    for number in range(MOST_UNHEARD + 2):
        one.hear(word("acknowledged", f"k{number}", NOON_MS + number))
    assert len(one.state.unheard) == MOST_UNHEARD
    assert ("unheard", "k1") in one.touched
    assert not {"k0", "k1"} & one.state.unheard.keys()


def test_a_silence_hides_nothing_that_is_older_than_itself() -> None:
    one = desk()
    one.hear(word("silenced", "s", NOON_MS + 5, matchers={"kind": "kpi"}, until_ms=NOON_MS + HOUR_MS))
    one.take(kpi("a"), NOON_MS)
    assert actions(one) == ["opened"]
    one.sweep(NOON_MS + 5)
    assert one.state.book["store:s1-7"].silenced == "s"
    one.take(kpi("b"), NOON_MS + 6)
    assert actions(one) == []


def test_what_a_matter_came_to_while_it_was_silenced_is_told_at_the_end_and_if_it_came_to_nothing_is_not() -> None:
    one = desk()
    for id, start in (("a", 1), ("b", 2)):
        one.take(kpi(id, start=start, severity="warning"), NOON_MS)
    one.take(finding("f", level="low"), NOON_MS)
    told(one)
    one.hear(word("silenced", "s", matchers={"key": "*"}, until_ms=NOON_MS + 1_000))
    one.take(kpi("c", start=1, severity="critical"), NOON_MS)
    one.take(finding("g", level="low"), NOON_MS)
    assert actions(one) == []
    again = one.state.book["store:s1-1"].again_told()
    assert (again.severity, again.former) == ("medium", {})  # as it was told
    for _ in range(2):
        one.sweep(NOON_MS + 1_000)
    found = [(notice.action, notice.alert, notice.severity) for notice in told(one)]
    assert found == [("updated", "c", "critical"), ("updated", "g", "low")]


def test_whoever_is_told_of_another_severity_hears_which_it_was_before() -> None:
    one = desk()
    for alert in (kpi("a", severity="warning"), kpi("b", severity="critical"), kpi("c", severity="critical")):
        one.take(alert, NOON_MS)
    assert [notice.former for notice in told(one)] == [{}, {"title": "orders low", "severity": "medium"}, {}]
    one.take(kpi("d", "resolved", severity="notice"), NOON_MS)
    [end] = told(one)
    assert (end.severity, end.former["severity"]) == ("low", "critical")
    assert one.state.book["store:s1-7"].again_told() == end


steps = st.lists(
    st.one_of(
        st.tuples(st.just("finding"), st.sampled_from("abc"), st.integers(0, 4)),
        st.tuples(st.just("kpi"), st.sampled_from(["firing", "resolved"]), st.integers(0, 2)),
        st.tuples(st.just("silence"), st.sampled_from(["a", "store:s1", "*b"]), st.integers(1, 90)),
        st.tuples(st.just("sweep"), st.just(""), st.just(0)),
    ),
    max_size=40,
)
MINUTE_MS = 60_000


def play(one: Desk, step: tuple[str, str, int], number: int) -> None:
    kind, name, figure = step
    now_ms = NOON_MS + number * 5 * MINUTE_MS
    if kind == "finding":
        one.take(finding(f"{number}", name, f"r{figure}"), now_ms)
    elif kind == "kpi":
        one.take(kpi(f"{number}", name, f"store:s{figure}"), now_ms)
    elif kind == "silence":
        until_ms = now_ms + figure * MINUTE_MS
        one.hear(word("silenced", f"s{number}", now_ms, matchers={"entity": name}, until_ms=until_ms))
    else:
        one.sweep(now_ms)


def ids(notices: list[Notice]) -> list[str]:
    return [str(notice_message("notices", notice).value) for notice in notices]


@given(steps)
def test_every_alert_is_told_or_counted_or_listed_as_silenced_and_what_is_counted_is_told_as_a_sum(
    steps: list[tuple[str, str, int]],
) -> None:
    one, held = desk(Terms(Throttle(2, HOUR_MS), 10**12, 10**12)), 0
    for number, step in enumerate(steps):
        before, notices = deepcopy(one.state.book), len(one.notices)
        play(one, step, number)
        if step[0] != "finding":
            continue
        [standing] = [each for each in one.state.book.values() if f"{number}" in each.known]
        counted = standing.held - (before[standing.alert.key].held if standing.alert.key in before else 0)
        said = sum(notice.action in ("opened", "updated") for notice in one.notices[notices:])
        assert (said, counted, bool(standing.silenced)) in ((1, 0, False), (0, 1, False), (0, 0, True))
        held += counted
    one.sweep(NOON_MS + 1_000 * HOUR_MS)
    sums = [notice for notice in one.notices if notice.action == "held"]
    assert sum(notice.held for notice in sums if notice.kind == "security") == held
    assert len(ids(one.notices)) == len(set(ids(one.notices)))


@given(steps, st.integers(0, 39), st.integers(0, 39))
def test_after_a_crash_the_same_is_told_under_the_same_ids(
    steps: list[tuple[str, str, int]], crash: int, back: int
) -> None:
    """The state is that of an earlier step; what came since is read again."""
    smooth, crashed, before = desk(), desk(), desk()
    expected, found = list[str](), list[str]()
    for number, step in enumerate(steps):
        if number == min(back, crash):
            before.state = deepcopy(crashed.state)
        play(smooth, step, number)
        play(crashed, step, number)
        expected += ids(told(smooth))
        found += ids(told(crashed))
        if number == crash and number >= back:
            crashed = before
            for again in range(back, number + 1):
                play(crashed, steps[again], again)
                repeated = ids(told(crashed))
                assert set(repeated) <= set(found)
    assert found == expected
    assert smooth.state == crashed.state
