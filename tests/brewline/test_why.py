"""Every decision, fired or not, is explained in words that whoever writes rules understands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from random import Random

import pytest
from msgspec import to_builtins
from rich.console import Console

from alerts.triggers.receipts.explain import Outlook, told
from alerts.triggers.receipts.kept import Keeping
from brewline.why import Explaining
from brewline.why_shown import Why, show
from config import settings as conf
from features import events as e
from features.times import DAY_MS, HOUR_MS
from operators.customers import UnknownCustomer
from operators.receipts import read_receipts
from operators.servers import RedisServer
from operators.store import PartitionStore
from tests.brewline.town import NOON_MS, Town, consent, order, tick

pytestmark = pytest.mark.servers
RULE = """
id = "{id}"
on = ["order"]
group = "thanks"
when = "{when}"
then = {{ coupon = "G", face_value_cents = 100 }}
cooldown = "7d"
[[test]]
name = "fires"
events = [{{ type = "order" }}]
fires_at = ["+0s"]
[[test]]
name = "is quiet"
events = [{{ type = "login" }}]
"""
Written = Callable[..., conf.Settings]


@pytest.fixture
def written(redis: RedisServer, topic_prefix: str, tmp_path: Path) -> Written:
    """Settings with the shipped rules and these."""

    def settings(consent: str = "marketing", holdout_percent: float = 0.0, **rules: str) -> conf.Settings:
        for file in (conf.HERE / "rules/coupons").glob("*.toml"):
            (tmp_path / file.name).write_text(file.read_text())
        for id, when in rules.items():
            (tmp_path / f"{id}.toml").write_text(RULE.format(id=id, when=when))
        coupons = conf.Coupons(rules=str(tmp_path), cap=2, holdout_percent=holdout_percent, require_consent=consent)
        prefix = topic_prefix.rstrip("-")
        return conf.Settings(redis=conf.Redis(redis.url, prefix), coupons=coupons, folder=str(conf.HERE))

    return settings


def brewline(settings: conf.Settings, *words: str) -> str:
    """What it shows, or the error. No Kafka is there: that its note waits is said beside, on the other stream."""
    named = {
        "BREWLINE_KAFKA__BROKERS": "127.0.0.1:1",
        "BREWLINE_KAFKA__START_TIMEOUT_S": "0.1",
        "BREWLINE_REDIS__URL": settings.redis.url,
        "BREWLINE_REDIS__PREFIX": settings.redis.prefix,
        "BREWLINE_COUPONS__RULES": settings.coupons.rules,
        "BREWLINE_COUPONS__CAP": str(settings.coupons.cap),
        "BREWLINE_COUPONS__HOLDOUT_PERCENT": str(settings.coupons.holdout_percent),
    }
    env, command = {**os.environ, "COLUMNS": "120", "NO_COLOR": "1", **named}, [sys.executable, "-m", "brewline", "why"]
    shown = subprocess.run([*command, *words], capture_output=True, text=True, env=env, timeout=120, check=False)
    assert "noted in the audit trail, and not yet sent" in shown.stderr
    return shown.stderr if shown.returncode else shown.stdout


def outlook(settings: conf.Settings, rule: str, hours: float, customer: str = "ca") -> Outlook:
    found = Explaining(settings, customer).why(rule, NOON_MS + round(hours * HOUR_MS)).rule
    assert found is not None
    return found


def line(text: str, *words: str) -> bool:
    """Whether one line holds all of these."""
    return any(all(word in one for word in words) for one in text.splitlines())


def regular(town: Town) -> None:
    town.live(tick(-1), consent(), order(1), order(2, hours=2), order(3, hours=5), order(4, hours=30))


def test_a_coupon_and_the_next_that_the_cooldown_forbade_are_told_in_words(written: Written) -> None:
    settings = written()
    regular(Town(settings))
    shown = brewline(settings, "ca")
    given, forbidden = "third-in-a-week THANKS3 (3.00 off): given", "not given: the rule's cooldown was not over"
    assert line(shown, "Mon 4 May 2026 17:00", given)
    assert line(shown, "Tue 5 May 2026 18:00", forbidden)
    assert shown.index(forbidden) < shown.index(given), "the newest first"
    assert line(shown, "yes", "orders_7d >= 3", "orders_7d is 4", "3 or more")
    assert line(shown, "by event o4", "the partition's clock stood at Mon 4 May 2026 11:00")
    assert line(shown, "1 of 2 coupons", "not of the holdout group", "quiet until Mon 11 May 2026 17:00")
    assert line(shown, "rule file unchanged")


def test_what_a_rule_lacks_is_told_the_fault_first(written: Written) -> None:
    settings = written()
    Town(settings).live(consent(), order(1), order(2, hours=2))
    shown = brewline(settings, "ca", "--rule", "third-in-a-week", "--at", "2026-05-05T12:00:00+08:00")
    assert line(shown, "third-in-a-week as of Tue 5 May 2026 12:00: would not fire: its condition does not hold")
    assert line(shown, "no", "orders_7d >= 3", "orders_7d is 2", "3 or more")
    assert line(shown, "would have to change: orders_7d is 2, needs 3 or more")
    found = outlook(settings, "afternoon-tea", 24)
    assert [one.holds for one in found.clauses] == [False, False, False, True, True] or found.clauses[0].holds is False
    assert sorted(found.clauses, key=lambda one: one.holds is True) == found.clauses


def test_json_says_the_same(written: Written) -> None:
    settings = written(judged="orders_90d = 4 AND (churn_risk IS NULL OR churn_risk >= 0.1)")
    regular(Town(settings))
    why = json.loads(brewline(settings, "ca", "--rule", "judged", "--json"))
    [told] = why["decisions"]
    assert (why["customer"], why["zone"], told["rule"], told["outcome"]) == (
        "ca",
        "Asia/Shanghai",
        "judged",
        "issued",
    )
    score = told["scores"]["churn_risk"]
    assert (len(score["terms"]), 0 < score["value"] < 1) == (5, True)
    assert {one["clause"]: one["holds"] for one in told["clauses"]} == {
        "orders_90d = 4": True, "churn_risk IS NULL OR churn_risk >= 0.1": True,
    }  # fmt: skip
    assert told["cause"] == "event o4"
    assert why["rule"]["outcome"] == "condition_false", "ninety days later, orders are forgotten"
    assert why["rule"]["scores"]["churn_risk"]["value"] is not None


def test_a_wait_says_when_the_rule_looks_next(written: Written) -> None:
    settings = written()
    regular(Town(settings))
    assert outlook(settings, "winback-14d", 40).due_ms == NOON_MS + 30 * HOUR_MS + 14 * DAY_MS
    assert outlook(settings, "cart-left", 40).due_ms == 0


def test_consent_holdout_cap_and_rivals_are_named_with_their_times(written: Written) -> None:
    settings = written(first="orders_7d >= 1", second="orders_7d >= 1")
    town = Town(settings)
    town.live(order(1))
    found = outlook(settings, "first", 1)
    assert (found.would_fire, found.outcome) == (False, "no_consent")
    assert "has not consented to marketing" in found.to_change
    town.live(consent(), order(2, hours=1))
    found = outlook(settings, "second", 2)
    assert (found.would_fire, found.outcome) == (False, "excluded")
    assert found.to_change == [
        "first, of the same group, fired Mon 4 May 2026 13:00: quiet until Mon 11 May 2026 13:00"
    ]
    town.live(order(3, hours=3))
    found = outlook(settings, "second-order", 4)
    [cap] = [barrier for barrier in found.barriers if barrier.outcome == "capped"]
    assert cap.words == (
        "2 of 2 coupons within the cap's window (Mon 4 May 2026 13:00, Mon 4 May 2026 15:00):"
        " no other before Mon 11 May 2026 13:00"
    )
    held = outlook(written(holdout_percent=99.999), "first", 4)
    assert (held.would_fire, held.outcome) == (False, "holdout")


def test_a_full_channel_a_suppression_and_an_exit_are_named_with_their_times(written: Written) -> None:
    settings = written(first="orders_7d >= 1", second="orders_7d >= 2")
    settings.coupons.channel_caps = {"push": "1 per 3d"}
    file = Path(settings.coupons.rules, "second.toml")
    file.write_text(
        file.read_text()
        .replace("group = ", 'priority = 99\nexit = "orders_7d < 1"\ngroup = ')
        .replace('"thanks"', '"x"')
    )
    town = Town(settings)
    town.live(tick(0), consent(), order(1), order(2, hours=1))
    found = outlook(settings, "second", 2)
    assert (found.would_fire, found.outcome) == (False, "channel_capped")
    assert found.to_change == [
        "1 of 1 push messages within the cap's window (Mon 4 May 2026 12:00): no other before Thu 7 May 2026 12:00"
    ]
    assert [one.clause for one in found.clauses if one.of == "exit"] == ["not its exit, (orders_7d < 1)"]
    [told] = Explaining(settings, "ca").why("second", NOON_MS).decisions
    assert (told.rule, told.outcome, told.because, told.until_ms) == (
        "second",
        "channel_capped",
        "push",
        NOON_MS + 3 * DAY_MS,
    )
    at_ms = NOON_MS + 73 * HOUR_MS
    town.live(order(3, hours=73), e.Suppress(id="s", customer="ca", at_ms=at_ms, reason="review"))
    found = outlook(settings, "second", 74)
    assert (found.would_fire, found.outcome) == (False, "suppressed")
    assert "suppressed for review, until it is lifted" in found.to_change
    assert "inside since Thu 7 May 2026 13:00, until the exit of second is true" in found.to_change


def test_what_stood_in_the_way_is_named(written: Written) -> None:
    settings = written(first="orders_7d >= 1", second="orders_7d >= 1")
    settings.coupons.channel_caps = {"push": "4 per 3d"}
    town = Town(settings)
    town.live(tick(0), consent(), order(1), order(2, hours=1))
    found = [told for told in Explaining(settings, "ca").why("second", NOON_MS).decisions if told.rule == "second"]
    assert {told.because for told in found} == {"first"}
    shown = StringIO()
    show(Why("ca", "Asia/Shanghai", NOON_MS, found), Console(file=shown, width=120))
    assert "not given: another rule of its group was first (first)" in shown.getvalue()
    assert "1 of 4 messages within the window of its channel's cap" in shown.getvalue()


@pytest.mark.parametrize(
    ("pot", "words"), [("region:east", "that of region east"), ("budget", "that of the whole campaign")]
)
def test_the_pot_that_had_run_out_is_named(written: Written, pot: str, words: str) -> None:
    settings = written(first="orders_7d >= 1")
    Town(settings).live(consent(), order(1))
    explaining = Explaining(settings, "ca")
    [kept] = [one for one in read_receipts(explaining.redis, explaining.prefix, 2, ["ca"]) if one.rule == "first"]
    kept.outcome, kept.ran_out = "budget", pot
    shown, decision = StringIO(), told(kept, explaining.rules["first"], None, explaining.conditions.schema)
    show(Why("ca", "Asia/Shanghai", NOON_MS, [decision]), Console(file=shown, width=120))
    assert f"not given: the campaign's budget had run out ({words})" in shown.getvalue()
    assert to_builtins(decision)["ran_out"] == pot


def test_a_rule_that_waits_for_nothing_would_not_fire_and_says_why(written: Written) -> None:
    settings = written()
    town = Town(settings)
    town.live(tick(0), consent(), order(1), order(2, hours=1))
    found = outlook(settings, "birthday", 2)
    assert (found.would_fire, found.outcome, found.due_ms) == (False, "not_waiting", 0)
    assert found.reason == "would not fire: it looks when a wait is over, and nothing is waited for"
    assert found.to_change == ["nothing is waited for: no profile has named a birthday that is still to come"]
    cart = outlook(settings, "cart-left", 2)
    assert (cart.outcome, cart.to_change[0]) == ("not_waiting", "nothing is waited for: no cart add has come yet")
    town.live(tick(24 * 20))
    gone = outlook(settings, "winback-14d", 24 * 21)
    assert gone.to_change[0] == "nothing is waited for: no order since the rule last looked"
    birthday = {"birthday": "06-05", "birthday_ms": NOON_MS + 32 * DAY_MS - 12 * HOUR_MS}
    town.live(e.Profile(id="p", customer="ca", at_ms=NOON_MS + 3 * HOUR_MS, tz="Asia/Shanghai", **birthday))
    assert outlook(settings, "birthday", 24 * 32).due_ms > 0
    assert outlook(settings, "birthday", 24 * 32).would_fire is True


def test_what_leaves_later_says_when_and_why(written: Written) -> None:
    settings = written(first="orders_7d >= 1")
    file = Path(settings.coupons.rules, "first.toml")
    file.write_text(file.read_text().replace("face_value_cents = 100", 'face_value_cents = 100, send = "their-hour"'))
    town = Town(settings)
    town.live(tick(-30), consent(), order(1, hours=-24), order(2, hours=-24), tick(4), order(3, hours=160))
    shown = brewline(settings, "ca")
    assert line(shown, "first G (1.00 off) at the customer's hour: given")
    assert line(shown, "sent at Mon 11 May 2026 12:00: the hour at which they usually order")
    town.live(e.Consent(id="n", customer="ca", at_ms=NOON_MS + 161 * HOUR_MS, purpose="marketing", granted=False))
    shown = brewline(settings, "ca")
    assert line(shown, "first G (1.00 off)", "was given, and not sent after all (consent was taken back)")


def test_what_only_the_event_can_tell_is_unknown(written: Written) -> None:
    settings = written(mine="channel = 'app' AND orders_7d >= 1")
    Town(settings).live(consent(), order(1))
    found = outlook(settings, "mine", 1)
    assert (found.would_fire, found.reason) == (None, "may fire: that hangs on the event")
    assert found.to_change == ["channel is the event's, needs app"]
    assert outlook(settings, "mine", 24 * 9).would_fire is False


def test_a_receipt_is_explained_by_the_rule_as_it_stood_then(written: Written) -> None:
    settings = written(mine="orders_7d >= 1")
    Town(settings).live(consent(), order(1))
    written(mine="orders_7d >= 5")
    for stands in ("changed since", "gone"):
        [told] = Explaining(settings, "ca").why("", NOON_MS).decisions
        assert (told.rule, told.rule_file, told.outcome) == ("mine", stands, "issued")
        assert [(one.clause, one.holds) for one in told.clauses] == [("orders_7d >= 1", True)]
        (Path(settings.coupons.rules) / "mine.toml").unlink(missing_ok=True)


def test_whoever_was_merged_brings_the_receipts_along(written: Written) -> None:
    settings = written(mine="orders_7d >= 1")
    town = Town(settings)
    town.live(consent("cb"), order(1, "cb"), consent("ca"), order(2, "ca", hours=1))
    town.live(e.Merge(id="cb>ca", customer="cb", at_ms=NOON_MS, into="ca"))
    town.live(order(3, "cb", hours=2))
    for asked in ("ca", "cb"):
        why = Explaining(settings, asked).why("", NOON_MS)
        assert why.customer == "ca"
        assert [(told.cause, told.outcome) for told in why.decisions if told.rule == "mine"] == [
            ("event o3", "cooldown"), ("event o2", "issued"), ("event o1", "issued"),
        ]  # fmt: skip


def test_a_near_miss_is_shown_as_one(written: Written) -> None:
    settings = written()
    Town(settings, Keeping(20, false_share=1.0)).live(consent(), order(1), order(2, hours=1))
    [told] = Explaining(settings, "ca").why("third-in-a-week", NOON_MS).decisions
    assert (told.outcome, told.clauses[0].found) == ("condition_false", "orders_7d is 2")


@pytest.mark.parametrize("seed", range(4))
def test_what_a_rule_would_decide_when_it_looks_is_what_it_then_decides(written: Written, seed: int) -> None:
    settings, rng = written(), Random(seed)
    town = Town(settings)
    hours = sorted(rng.sample(range(24 * 12), 4))
    town.live(*([consent()] if seed % 2 else []), *(order(n, hours=hour) for n, hour in enumerate(hours)))
    for rule in ("second-order", "winback-14d"):
        due_ms = outlook(settings, rule, hours[-1]).due_ms
        found = Explaining(settings, "ca").why(rule, due_ms).rule
        town.live(tick((due_ms - NOON_MS) / HOUR_MS))
        told = Explaining(settings, "ca").why(rule, due_ms).decisions
        assert found is not None
        assert found.outcome == (told[0].outcome if told else "condition_false")


def test_a_wrong_rule_or_customer_gets_one_plain_line(written: Written) -> None:
    settings = written()
    Town(settings).live(order(1))
    assert "brewline: there is no rule 'winback'; did you mean 'winback-60d'?" in brewline(
        settings, "ca", "--rule", "winback"
    )
    with pytest.raises(UnknownCustomer, match="no customer '…'"):
        Explaining(settings, "nobody")


def test_an_empty_budget_is_known_before_the_next_order_asks(written: Written) -> None:
    settings = written()
    town = Town(settings)
    town.live(consent(), order(1), order(2, hours=2), order(3, hours=5))
    store = PartitionStore(town.client, settings.redis.prefix, "customers")
    rule, hours = "third-in-a-week", 6.0
    running = outlook(settings, rule, hours)
    assert [b.words for b in running.barriers][-1] == "the campaign thanks runs and has something left"
    for pot, outcome, words in (("budget", "budget", "budget"), ("coupons", "stock", "coupons")):
        town.client.hset(store.key(0, "spent"), mapping={"thanks/budget": 0, f"thanks/{pot}": 1_000_000_000})
        found = outlook(settings, rule, hours)
        assert (found.barriers[-1].outcome, found.barriers[-1].is_open) == (outcome, False)
        assert found.to_change[-1] == f"the campaign's {words} had run out (thanks)"
    town.client.delete(store.key(0, "spent"))
    plain = outlook(settings, "cart-left", hours)
    assert "thanks" not in "".join(b.words for b in plain.barriers)
