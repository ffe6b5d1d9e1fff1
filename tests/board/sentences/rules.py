"""What rules say and decide: when they look, what they give, what must hold, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import product
from types import SimpleNamespace
from typing import Any, get_args

from alerts.triggers.brake import ALARM
from alerts.triggers.calendar import At
from alerts.triggers.campaign import BUDGET, COUPONS
from alerts.triggers.gates import Gate
from alerts.triggers.gifts import Arm, Then
from alerts.triggers.policy import Cap, Policy
from alerts.triggers.receipts import spoken
from alerts.triggers.receipts.clauses import Asked, Clause, clauses_of
from alerts.triggers.receipts.explain import _file
from alerts.triggers.rule import NAMES as UNTIL
from alerts.triggers.rule import NO_EXIT, After, Rule
from alerts.triggers.schedule import WEEKDAYS, Schedule
from alerts.triggers.simple import COMPARED, Compare, Joined, Missing
from alerts.triggers.worth import Worth
from board.rulebook import read_rules
from config.settings import load
from features.events import CUSTOMER_EVENTS
from features.outgoing import Braked, Drawn, Points
from features.suppression import ABUSE, REVIEW
from tests.board.sentences.sentence import Sentence

AT_MS = 1_777_880_000_000
ZONE = "Asia/Shanghai"
WHERE = "alerts/triggers/receipts/spoken.py: "
CHANNELS = get_args(Then.__annotations__["channel"]) or ("push", "sms", "wechat", "email")


def sentences() -> list[Sentence]:
    return [*shipped(), *moments(), *gifts(), *clauses(), *gates(), *notes()]


def shipped() -> Iterator[Sentence]:
    """Of the rules that come with Brewline."""
    book = read_rules(load())
    features = tuple(sorted(book.conditions.schema, key=len, reverse=True))
    for rule, file, _ in book.by_id.values():
        then = rule.then
        gift_names = [one for gift in then.gifts.values() for one in (gift.coupon, gift.message) if one]
        where = f"config/rules, {file.rpartition('/')[2]}, "
        names = (*gift_names, *(arm.name for arm in then.arms), *([then.worth.of] if then.worth else []))
        yield Sentence(spoken.gift(then), "gift", where + "gift", names)
        yield Sentence(spoken.looks(rule), "looks", where + "looks", (rule.at.holiday,) if rule.at else ())
        for one in clauses_of(rule, book.conditions.schema):
            told = spoken.spelt(one.part) if one.of == "when" and one.part else spoken.clause(one, rule.schedule)
            if told != one.text:  # what is SQL stays so
                season = rule.schedule
                given = (*season.holidays, *season.not_on_holidays, *season.stores, *season.regions, *season.tiers)
                yield Sentence(told, "clause", where + "clauses", (rule.exit, *features, *given))


def moments() -> Iterator[Sentence]:
    for event in CUSTOMER_EVENTS:
        yield Sentence(event, "event", "features/events.py: CUSTOMER_EVENTS")
        for quiet, wait in product(("hold", "drop"), ("45s", "30m", "2h", "14d", "1.5 rhythm", "2 rhythms")):
            rule = _rule(on=["order", "rating"], after=After(event, wait), quiet=quiet)
            yield Sentence(spoken.looks(rule), "looks", WHERE + "looks")
            yield from (Sentence(spoken.idle(rule, seen), "change", WHERE + "idle") for seen in (False, True))
    for until, event in UNTIL.items():
        rule = _rule(after=After(event, "10m", until))  # type: ignore[arg-type]
        yield Sentence(spoken.looks(rule), "looks", WHERE + "looks")
        yield Sentence(spoken.idle(rule, False), "change", WHERE + "idle")
    for at in (
        *(At(holiday="mid-autumn", time="10:00", days_before=days) for days in (0, 1, 3)),
        At(day_of_month=5, time="09:30"),
    ):
        yield Sentence(spoken.looks(_rule(at=at)), "looks", WHERE + "spell_at", ("mid-autumn",))
        yield Sentence(spoken.idle(_rule(at=at), False), "change", WHERE + "idle")


def _rule(**said: Any) -> Rule:
    return Rule("a-rule", "orders_7d > 1", Then(), "7d", **said)


def gifts() -> Iterator[Sentence]:
    named = ("WB3", "come-back", "points_balance", "small", "large", "none")
    worth = Worth("points_balance", [(1, 500), (100, 1_000)])
    given: list[dict[str, Any]] = [
        {"face_value_cents": 300},
        {"percent": 20, "at_most_cents": 900},
        {"worth": worth},
        {},
    ]
    for of, coupon, message, channel, send in product(
        given, ("", "WB3"), ("", "come-back"), CHANNELS, ("now", "their-hour")
    ):
        then = Then(coupon=coupon, message=message, channel=channel, send=send, **of)  # type: ignore[arg-type]
        if coupon or message:
            yield Sentence(spoken.gift(then), "gift", WHERE + "gift", named)
        if coupon and of:
            arms = [Arm("small"), Arm("large", face_value_cents=500), Arm("none", nothing=True)]
            armed = Then(coupon=coupon, message=message, channel=channel, arms=arms)
            yield Sentence(spoken.gift(armed), "gift", WHERE + "gift", named)


def clauses() -> Iterator[Sentence]:
    day = date(2026, 5, 1)
    schedule = Schedule(
        from_=day, until=day, hours=["14:00-17:00", "22:00-02:00"], weekdays=[*WEEKDAYS],
        holidays=["mid-autumn", "qixi"], not_on_holidays=["qixi"],
        stores=["S1", "S2"], regions=["east", "west"], tiers=["gold", "silver"],
    )  # fmt: skip
    names = (
        "mid-autumn",
        "qixi",
        "S1",
        "S2",
        "east",
        "west",
        "gold",
        "silver",
        "churn_risk < 0.4",
        "latte",
        "orders_7d",
        "churn_risk",
    )
    for key in (*spoken.SEASONS, "not_on", "exit"):
        text = f"local_day <> {day.toordinal()}" if key == "not_on" else "churn_risk < 0.4".join(NO_EXIT)
        told = Clause(text, key, ["local_day"])
        yield Sentence(spoken.clause(told, schedule), "clause", WHERE + "clause, SEASONS", names)
        yield Sentence(spoken.needs(Asked(told, {}, None), schedule), "need", WHERE + "needs", names)
    several = [Compare("orders_7d", sign, 1_234) for sign in COMPARED] + [
        Missing("orders_7d", gone) for gone in (True, False)
    ]
    other = Compare("churn_risk", ">", "orders_7d")
    parts = [
        *several,
        other,
        *(Joined(all_, [*several[:2], several[-1]]) for all_ in (True, False)),
        Joined(False, [other, several[0]]),
    ]
    for part in parts:
        of = ["orders_7d", "churn_risk"] if part is parts[-1] else ["orders_7d"]
        clause = Clause("...", "when", of, part)
        yield Sentence(spoken.spelt(part), "clause", WHERE + "spelt", names)
        for value in (2, 0.25, True, None, "latte"):
            asked = Asked(clause, dict.fromkeys(of, value), False)
            yield Sentence(spoken.change(asked, Schedule()), "change", WHERE + "change", (*names, "true"))
            yield Sentence(spoken.needs(asked, Schedule()), "need", WHERE + "needs", names)
    seen: dict[str, Any] = {
        "local_day": day.toordinal(),
        "minute_of_day": 610,
        "weekday": 3,
        "orders_7d": 1_234.5,
        "tier": "",
    }
    for name, value in [*seen.items(), ("store", None), ("stars", None)]:
        asked = Asked(Clause("...", "when", [name]), {name: value}, None)
        yield Sentence(
            spoken.found(asked, ["store"]), "sights", WHERE + "found", ("orders_7d", "store", "stars", "tier")
        )
    every = Asked(Clause("...", "when", [*seen]), seen, None)
    yield Sentence(spoken.found(every), "sights", WHERE + "found", ("orders_7d", "tier"))


def gates() -> Iterator[Sentence]:
    policy = Policy(3, 1, 0.1, "", "marketing", channel_caps={channel: Cap(2, 1) for channel in CHANNELS})
    names = ("marketing", "winback", "a-rule", "mei", "spring")
    outcomes = (
        "suppressed",
        "inside",
        "channel_capped",
        "stale",
        "no_consent",
        "holdout",
        "quiet_hours",
        "capped",
        "campaign",
    )
    for outcome in (
        *outcomes,
        "campaign_not_begun",
        "campaign_over",
        "customer_limit",
        "stock",
        "budget",
        "excluded",
        "cooldown",
    ):
        for is_open, until_ms, times in product((False, True), (0, AT_MS), ([], [AT_MS], [AT_MS, AT_MS + 1])):
            for because in CHANNELS if outcome == "channel_capped" else (REVIEW, ABUSE):
                gate = Gate(outcome, is_open, until_ms, times, "winback", because)
                if (until_ms or outcome not in ("excluded", "cooldown")) and (times or outcome != "inside"):
                    yield Sentence(spoken.barrier(gate, policy, ZONE), "gate", WHERE + "barrier", names)
                    yield Sentence(spoken.barrier(gate, policy, ZONE), "change", WHERE + "barrier", names)
    for promised, why in product((0, 100), ("balance", *spoken.POINTS)):
        short = Gate("no_points", False, because=spoken.points(Points(200, 250, promised), why))
        yield Sentence(spoken.barrier(short, policy, ZONE), "gate", WHERE + "points", names)
    for consent in ("", "marketing"):
        unasked = Policy(3, 1, 0.1, "", consent)
        yield Sentence(spoken.barrier(Gate("no_consent", True), unasked, ZONE), "gate", WHERE + "_consent", names)
    for place, by in product(("", "store:S020", "region:east"), (ALARM, "mei")):
        pulled = Braked("spring", place, 1, by, AT_MS, "chain:*: orders back to usual at 2026-05-04T12:30Z", "abc-123")
        told = (*names, "S020", "east", "abc-123")
        yield Sentence(spoken.brake(pulled, ZONE), "note", WHERE + "brake", told)
        paused = Gate("paused", False, because=spoken.brake(pulled, ZONE))
        yield Sentence(spoken.barrier(paused, policy, ZONE), "gate", WHERE + "brake", told)


def notes() -> Iterator[Sentence]:
    for why in spoken.SENDING:
        yield Sentence(spoken.sent(AT_MS, why, ZONE), "note", WHERE + "SENDING")
    for context, version in product(("", "gold"), (0, 12)):
        told = spoken.arm(Drawn("small", 0.25, context, version))
        yield Sentence(told, "note", WHERE + "arm", ("small", "gold"))
    yield Sentence(f"until {spoken.moment(AT_MS, ZONE)}", "note", "board/api/customers.py: _decision")
    for cause in ("rule|a-rule|7", "e7"):
        yield Sentence(spoken.cause(cause), "cause", WHERE + "cause", ("e7",))
    kept: Any = SimpleNamespace(rule_version="1")
    for current in (None, SimpleNamespace(version="1"), SimpleNamespace(version="2")):
        yield Sentence(_file(kept, current), "file", "alerts/triggers/receipts/explain.py: _file")  # type: ignore[arg-type]
    for because in (REVIEW, ABUSE, "no_consent", "balance", *spoken.POINTS, *CHANNELS):
        yield Sentence(because, "because", "features/suppression.py, alerts/triggers/gates.py")
    for pot in (COUPONS, BUDGET, "region:east", "store:S1", "channel:app"):
        yield Sentence(pot, "pot", "alerts/triggers/campaign.py", ("east", "S1", "app"))
    for place in ("", "region:east", "store:S1"):
        yield Sentence(place or "everywhere", "place", WHERE + "brake", ("east", "S1"))
