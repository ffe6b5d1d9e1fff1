"""Rules, clauses and outcomes in the words of those who write rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from alerts.triggers.brake import ALARM
from alerts.triggers.gates import Gate
from alerts.triggers.gifts import Then
from alerts.triggers.policy import Policy
from alerts.triggers.receipts.clauses import Asked, Clause, Value
from alerts.triggers.rule import NO_EXIT, Rule
from alerts.triggers.schedule import WEEKDAYS, Schedule
from alerts.triggers.simple import Compare, Joined, Missing
from features.outgoing import Braked, Drawn, Points

LIMITS = {
    ">": "more than {}",
    ">=": "{} or more",
    "<": "less than {}",
    "<=": "{} or less",
    "=": "exactly {}",
    "<>": "anything but {}",
    "!=": "anything but {}",
}
OUTCOMES = {
    "issued": "given",
    "control": "not given: the customer was drawn for the control, which gets nothing",
    "stale": "not given: the event came too late",
    "excluded": "not given: another rule of its group was first",
    "no_consent": "not given: the customer has not consented",
    "holdout": "not given: the customer is of the holdout group",
    "cooldown": "not given: the rule's cooldown was not over",
    "capped": "not given: the customer had as many coupons as the cap allows",
    "suppressed": "not given: the customer was suppressed",
    "no_points": "not given: the points asked for were not taken",
    "inside": "not given: the rule had fired, and its exit was not true since",
    "channel_capped": "not given: the customer had as many messages on the channel as its cap allows",
    "withheld": "was given, and not sent after all",
    "quiet_hours": "not given: it was in quiet hours",
    "campaign_not_begun": "not given: the campaign had not begun",
    "campaign_over": "not given: the campaign was over",
    "customer_limit": "not given: the customer had as many coupons as the campaign gives",
    "paused": "not given: the campaign was paused",
    "stock": "not given: the campaign's coupons had run out",
    "budget": "not given: the campaign's budget had run out",
    "near_miss": "did not fire: all of its condition held but one clause, which nearly did",
    "condition_false": "did not fire: its condition did not hold",
}
POINTS = {
    "again": "the same request was granted before",
    "too_few": "fewer than the rule takes at once",
    "too_many": "more than the rule takes at once",
    "late": "some were spent in a later month",
}
PROSPECTS = {
    "issued": "would fire",
    "condition_false": "would not fire: its condition does not hold",
    "disabled": "would not fire: the rule is not enabled",
    "not_waiting": "would not fire: it looks when a wait is over, and nothing is waited for",
    "hangs_on_event": "may fire: that hangs on the event",
    "quiet_hours": "would not fire: it is in quiet hours",
    "excluded": "would not fire: another rule of its group came before",
    "cooldown": "would not fire: the rule's cooldown is not over",
    "capped": "would not fire: the customer has as many coupons as the cap allows",
    "suppressed": "would not fire: the customer is suppressed",
    "no_points": "would not fire: the customer has too few points",
    "inside": "would not fire: it has fired, and its exit was not true since",
    "channel_capped": "would not fire: the customer has as many messages on the channel as its cap allows",
}
SEASONS: dict[str, Callable[[Schedule], str]] = {
    "from": lambda s: f"in season from {s.from_} on",
    "until": lambda s: f"in season until {s.until}",
    "holidays": lambda s: f"on {' or '.join(s.holidays)}",
    "not_on_holidays": lambda s: f"not on {' or '.join(s.not_on_holidays)}",
    "hours": lambda s: f"between {' or '.join(s.hours)}",
    "weekdays": lambda s: f"on {' or '.join(s.weekdays)}",
    "stores": lambda s: f"at {' or '.join(s.stores)}",
    "regions": lambda s: f"in {' or '.join(s.regions)}",
    "tiers": lambda s: f"tier is {' or '.join(s.tiers)}",
}
_SAYS = re.compile(r"(\w+)\s*=\s*'((?:[^']|'')*)'")


def outcome(name: str) -> str:
    return OUTCOMES.get(name, f"not given: {name.replace('_', ' ')}")


def because(name: str, why: str) -> str:
    """Of an outcome, more: the rule that was first, the reason of a suppression, the channel."""
    if name == "excluded":
        return why
    return {"no_consent": "consent was taken back"}.get(
        why, f"{'channel' if name == 'channel_capped' else 'reason'} {why}"
    )


def points(asked: Points, why: str) -> str:
    """`asked 300 points, has 250, of which 100 are promised`; and why they are not taken, where it is not that."""
    promised = f", of which {number(asked.promised)} are promised" if asked.promised else ""
    told = f"asked {number(asked.asked)} points, has {number(asked.balance)}{promised}"
    return f"{told}: {POINTS[why]}" if why in POINTS else told


def pot(name: str) -> str:
    """Whose budget: `region east`."""
    key, _, of = name.partition(":")
    return f"{key} {of}" if of else "the whole campaign"


def brake(pulled: Braked, zone: str) -> str:
    """Who has paused a campaign, where, since when and why."""
    kind, _, name = pulled.place.partition(":")
    where = f"at {kind} {name}" if name else "everywhere"
    by = f"the alert {pulled.incident}" if pulled.by == ALARM else pulled.by
    return f"{pulled.campaign} paused {where} by {by} at {moment(pulled.at_ms, zone)}: {pulled.reason}"


def prospect(name: str) -> str:
    """What a decision would come to."""
    return PROSPECTS.get(name) or f"would not fire: {outcome(name).partition(': ')[2]}"


def gift(then: Then) -> str:
    """What the customer gets."""
    if then.arms:
        gifts = then.gifts
        return ", or ".join(
            f"{arm.name}: {gift(gifts[arm.name]) if arm.name in gifts else 'nothing'}" for arm in then.arms
        )
    parts = (
        [f"{then.coupon} ({_worth(then)})"]
        if then.coupon and then.worth_cents
        else [then.coupon]
        if then.coupon
        else []
    )
    parts += [f"the {then.channel} message {then.message}"] if then.message else []
    return " and ".join(parts) + (" at the customer's hour" if then.send != "now" else "")


def _worth(then: Then) -> str:
    if then.worth:
        return f"{then.least_cents / 100:,.2f} to {then.worth_cents / 100:,.2f} off, by {then.worth.of}"
    return f"{then.percent}% off" if then.percent else f"{then.face_value_cents / 100:,.2f} off"


def arm(drawn: Drawn) -> str:
    """Which arm, and how it came to it."""
    of = f" among those whose context is {drawn.context!r}" if drawn.context else ""
    by = f"version {drawn.weights_version} of what was learned" if drawn.weights_version else "the weights of the file"
    return f"arm {drawn.name}, which {drawn.propensity:.1%}{of} get by {by}"


def looks(rule: Rule) -> str:
    """When the rule looks."""
    words = [f"at each {' or '.join(rule.on)}"] if rule.on else []
    return " and ".join([*words, *([_wait(rule)] if rule.waits else [])])


def _wait(rule: Rule) -> str:
    after, held = rule.after, ", or when quiet hours end" if rule.in_quiet_hours == "hold" else ""
    if after is None:
        return f"{spell_at(rule)}{held}"
    until = f"the {after.until.replace('_', ' ')} that the latest {after.event} names" if after.until else ""
    return f"{after.wait} after {until or f'the latest {after.event}'}{held}"


def idle(rule: Rule, seen: bool) -> str:
    """Why no wait runs."""
    after = rule.after
    if after is None:
        return "no date that it waits for is known for this customer: they are set at the customer's next event"
    event = after.event.replace("_", " ")
    if after.until:
        return f"nothing is waited for: no {event} has named a {after.until.replace('_', ' ')} that is still to come"
    return f"nothing is waited for: no {event} {'since the rule last looked' if seen else 'has come yet'}"


def spell_at(rule: Rule) -> str:
    """The dates at which the rule looks."""
    at = rule.at
    assert at is not None
    if at.day_of_month:
        return f"each month on day {at.day_of_month}, at {at.time} where the customer is"
    days = {0: "at", 1: "1 day before"}.get(at.days_before, f"{at.days_before} days before")
    return f"{days} {at.holiday}, at {at.time} where the customer is"


def clause(of: Clause, schedule: Schedule) -> str:
    """The clause as it is written, or what the schedule asks for."""
    if of.of == "not_on":
        return f"not on {date.fromordinal(int(of.text.rpartition(' ')[2]))}"
    if of.of == "exit":
        return f"not its exit, {of.text.removeprefix(NO_EXIT[0]).removesuffix(NO_EXIT[1])}"
    return SEASONS[of.of](schedule) if of.of in SEASONS else of.text


def found(asked: Asked, open_names: Collection[str] = ()) -> str:
    """What the clause saw: `orders_7d is 2`; `open_names`: what only the event will tell."""
    return ", ".join(
        f"{name} is the event's" if name in open_names and value is None else _seen(name, value)
        for name, value in asked.values.items()
    )


def change(asked: Asked, schedule: Schedule, open_names: Collection[str] = ()) -> str:
    """`orders_7d is 2, needs 3 or more`."""
    return f"{found(asked, open_names)}, needs {needs(asked, schedule)}"


def cause(text: str) -> str:
    return "the end of its wait" if text.startswith("rule|") else f"event {text}"


def needs(asked: Asked, schedule: Schedule) -> str:
    """What would have to change, where something has to."""
    if asked.clause.of != "when":
        return clause(asked.clause, schedule)
    part = asked.clause.part
    if isinstance(part, (Compare, Missing)) or (isinstance(part, Joined) and len(asked.values) == 1):
        return limit(part)
    if told := _SAYS.fullmatch(asked.clause.text):
        return told[2].replace("''", "'")
    return spelt(part) if part is not None else asked.clause.text


def limit(part: Any) -> str:
    """`3 or more`."""
    if isinstance(part, Joined):
        return (" and " if part.all else ", or ").join(map(limit, part.parts))
    if isinstance(part, Missing):
        return "no value" if part.missing else "a value"
    return LIMITS[part.sign].format(number(part.other))


def spelt(part: Any) -> str:
    """The same with names: `churn_risk no value, or orders_7d 3 or more`."""
    if isinstance(part, Joined):
        return (" and " if part.all else ", or ").join(map(spelt, part.parts))
    return f"{part.name} {limit(part)}"


def number(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


def _seen(name: str, value: Value) -> str:
    if name == "local_day" and isinstance(value, (int, float)):
        return f"it is {date.fromordinal(int(value))} there"
    if name == "minute_of_day" and isinstance(value, (int, float)):
        return f"it is {int(value) // 60:02}:{int(value) % 60:02} there"
    if name == "weekday" and isinstance(value, (int, float)):
        return f"weekday is {number(value)} ({WEEKDAYS[int(value) - 1]})"
    if value is None:
        return f"{name} has no value"
    return f"{name} is {number(value)}" if value != "" else f"there is no {name}"


def moment(at_ms: int, zone: str) -> str:
    """`Mon 4 May 2026 12:30`, by the clocks of a zone."""
    at = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone))
    return f"{at:%a} {at.day} {at:%b %Y %H:%M}"


def barrier(gate: Gate, policy: Policy, zone: str) -> str:
    """A gate, open or shut."""
    times = ", ".join(moment(ms, zone) for ms in gate.times_ms)
    until = moment(gate.until_ms, zone) if gate.until_ms else ""
    match gate.outcome:
        case "suppressed":
            lasts = f"until {until}" if until else "until it is lifted"
            return "not suppressed" if gate.is_open else f"suppressed for {gate.because}, {lasts}"
        case "inside":
            return "not inside" if gate.is_open else f"inside since {times}, until the exit of {gate.rule} is true"
        case "channel_capped":
            cap = policy.channel_caps[gate.because].count
            return _counted(gate, f"{cap} {gate.because} messages", times, until)
        case "no_points":
            return gate.because
        case "stale":
            return "it came too late"
        case "no_consent":
            return _consent(gate.is_open, policy.consent)
        case "holdout":
            return "not of the holdout group" if gate.is_open else "of the holdout group, which gets no coupons"
        case "quiet_hours":
            return f"quiet hours until {until}" if until else "no quiet hours keep it back"
        case "capped":
            return _counted(gate, f"{policy.cap} coupons", times, until)
        case "paused":
            return gate.because
        case "campaign":
            return f"the campaign {gate.rule} runs and has something left"
        case "campaign_not_begun" | "campaign_over" | "customer_limit" | "stock" | "budget":
            return f"{OUTCOMES[gate.outcome].removeprefix('not given: ')} ({gate.rule})"
    whose = f"{gate.rule}, of the same group," if gate.outcome == "excluded" else "this rule"
    if not times:
        return f"{whose} has not fired before"
    return f"{whose} fired {times}: {'was quiet until' if gate.is_open else 'quiet until'} {until}"


def _counted(gate: Gate, most: str, times: str, until: str) -> str:
    counted = f"{len(gate.times_ms)} of {most} within the cap's window"
    return f"{counted}{f' ({times})' if times else ''}{f': no other before {until}' if until else ''}"


SENDING = {
    "usual_hour": "the hour at which they usually order",
    "quiet_hours": "the end of the quiet hours in which they usually order",
    "no_history": "no usual hour is known",
    "expires": "the coupon would run out before their usual hour",
}


def sent(send_ms: int, why: str, zone: str) -> str:
    """When a message leaves, and why then; empty where nothing is said of it."""
    return f"sent at {moment(send_ms, zone)}: {SENDING[why]}" if why else ""


def _consent(given: bool, purpose: str) -> str:
    if not purpose:
        return "no consent is asked for"
    return f"has {'' if given else 'not '}consented to {purpose}"
