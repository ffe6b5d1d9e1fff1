"""A trigger rule: one TOML file that says when, what, how often, and proves it with timelines."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Annotated, Any, Literal
from zlib import crc32

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from alerts.triggers.calendar import NONE, At, Calendars, Days, WrongCalendar, every_month
from alerts.triggers.gifts import Arm, Then, WrongRule, check_then
from alerts.triggers.happenings import events_of
from alerts.triggers.schedule import Schedule, WrongSchedule
from alerts.triggers.worth import Worth
from features.customer import Dates, Wait
from features.events import CUSTOMER_EVENTS
from features.kernel.arrays import A_WHILE, NAMED, RHYTHM
from features.times import CENTURY_MS, DAY_MS, parse_duration, parse_offset
from features.written import hint, line_of, read_toml, told

_RHYTHMS = re.compile(r"(\d+(?:\.\d+)?) rhythms?")
EXCHANGE = "points_exchange"  # by which a customer asks for a coupon, and says what they give
LONG_RHYTHM_MS = 60 * DAY_MS
LONGEST = "36500d"  # a century
MOST_RHYTHMS = 1_000
NO_EXIT = "NOT COALESCE(", ", FALSE)"  # around it: to Polars, IS NOT TRUE of what is unknown is unknown
NAMES = {"promised_time": "delivery_promised", "birthday": "profile"}  # moment → the event that names it


class After(Struct, forbid_unknown_fields=True, frozen=True):
    """Look again a while after an event, or after the moment that it names; a later one starts the wait anew."""

    event: str
    wait: str  # "14d", or "1.5 rhythm": times the customer's own days between orders
    until: Literal["", "promised_time", "birthday"] = ""

    @property
    def rhythms(self) -> float:
        """How many of the customer's rhythms; 0 where the wait is a duration."""
        match = _RHYTHMS.fullmatch(self.wait)
        return float(match[1]) if match else 0.0

    @property
    def wait_ms(self) -> int:
        return parse_duration(self.wait)

    def longest_ms(self, past_ms: int) -> int:
        """Of a duration, it; of a rhythm, what a test waits whose events span this time: no rhythm is longer."""
        return round(self.rhythms * max(past_ms, LONG_RHYTHM_MS)) if self.rhythms else self.wait_ms

    @property
    def length(self) -> tuple[int, int]:
        """How long it is, and of what, as the core takes it."""
        if self.rhythms:
            return round(self.rhythms * 1000), RHYTHM
        return self.wait_ms, NAMED if self.until else A_WHILE


class Timeline(Struct, forbid_unknown_fields=True, frozen=True):
    """A test: events at times from the start, and when the rule must fire (never, if empty)."""

    name: Annotated[str, Meta(min_length=1)]
    events: list[dict[str, Any]]
    fires_at: list[str] = []
    scores: dict[str, Annotated[float, Meta(ge=0)]] = {}
    arm: str = ""  # which the customer gets; the first that gives something, if empty

    def place(self, text: str, file: str) -> str:
        """Where it stands in a rule's file."""
        return f"{file}:{line_of(text, self.name)}: test {self.name!r}"


class Rule(Struct, forbid_unknown_fields=True, frozen=True):
    id: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]
    when: Annotated[str, Meta(min_length=1)]
    then: Then
    cooldown: str
    on: list[str] = []
    after: After | None = None
    at: At | None = None
    name: str = ""
    enabled: bool = True
    capped: bool = True  # asks the cap on a customer's coupons, and counts against it
    priority: int = 0  # of rules that hold at one moment, the greatest is settled first
    group: str = ""  # of the rules of a group, a customer gets one within the cooldown
    max_event_age: str = ""  # how far the clock may be past the event
    quiet: Literal["", "hold", "drop", "send"] = ""  # in quiet hours; by default a rule that waits holds, others send
    schedule: Schedule = Schedule()
    exit: str = ""  # once it has fired for a customer, it fires again only after this was true
    exit_on: list[str] = []  # events at which that is asked, beside its own moments
    test: list[Timeline] = []
    version: str = ""  # hash of the file's text, and of the holidays it names; set at load
    holidays: dict[str, Days] = {}  # by key of the schedule, the days it names; set at load
    dates: Days = ()  # of the holiday that it looks at; set at load

    @property
    def cooldown_ms(self) -> int:
        return parse_duration(self.cooldown)

    @property
    def max_event_age_ms(self) -> int | None:
        return parse_duration(self.max_event_age) if self.max_event_age else None

    @property
    def waits(self) -> str:
        """The key by which it looks where nothing happens; empty if it looks at events only."""
        return "after" if self.after else "at" if self.at else ""

    @property
    def wait(self) -> Wait | Dates | None:
        """What the core is to wait for."""
        hold = self.in_quiet_hours == "hold"
        if self.after:
            return Wait(self.after.event, self.code, *self.after.length, hold, self.after.until == "birthday")
        return Dates(self.code, self.at.wall_ms(self.dates), hold) if self.at else None

    @property
    def in_quiet_hours(self) -> str:
        return self.quiet or ("hold" if self.waits else "send")

    @property
    def counted(self) -> bool:
        """Whether the cap on a customer's coupons asks it, and it counts."""
        return self.capped and not self.then.spends

    @property
    def condition(self) -> str:
        """What must hold: the schedule, then `when`; the coupon must be worth something, and `exit` must not hold.

        Who asks for too few points is told so: of a rule that spends, that is a gate's matter.
        """
        season = [clause for _, clause in self.schedule.clauses(self.holidays)]
        more = [self.then.worth.something] if self.then.worth and not self.then.spends else []
        more += [self.no_exit] if self.exit else []
        when = f"({self.when})" if season or more else self.when
        return " AND ".join([*season, when, *more])

    @property
    def no_exit(self) -> str:
        """What is unknown is no exit."""
        return f"({self.exit})".join(NO_EXIT)

    @property
    def timer(self) -> str:
        return f"rule|{self.id}"

    @property
    def code(self) -> int:
        """What a customer's record calls this rule: another when it waits for something else, so that nobody asks any
        more what timers of the former wait were set for."""
        at = self.at
        dates = f"|{at.holiday or at.day_of_month}|{at.days_before}|{at.time}" if at else ""
        dates += f"|{self.dates!r}" if at and at.holiday else ""  # a holiday that is moved in its calendar is another
        after = f"|{self.after.event}|{self.after.wait}|{self.after.until}" if self.after else ""
        return crc32(f"{self.id}{dates}{after}".encode()) or 1  # 0 is the birthday's


SET_AT_LOAD = {"version", "holidays", "dates"}
PARTS: dict[str, type[Struct]] = {
    "": Rule,
    "then": Then,
    "worth": Worth,
    "arms": Arm,
    "after": After,
    "at": At,
    "schedule": Schedule,
    "test": Timeline,
}


def read_rule(text: str, file: str, calendars: Calendars = NONE) -> Rule:
    """The rule of a file's text. Raises WrongRule."""
    known = [name for name in Rule.__struct_fields__ if name not in SET_AT_LOAD]
    raw = read_toml(text, file, WrongRule, known)
    try:
        rule = msgspec.convert(raw, Rule)
    except msgspec.ValidationError as error:
        raise WrongRule(told(error, raw, text, file, PARTS)) from error
    _check_events(rule, text, file)
    check_then(rule.then, text, file)
    _check_schedule(rule, text, file)
    _check_durations(rule, text, file)
    if rule.then.spends:
        _check_spends(rule, text, file)
    _check_tests(rule, text, file)
    holidays = _holidays(rule.schedule, calendars, text, file)
    dates = _dates(rule.at, calendars, text, file) if rule.at else ()
    named = text + (repr(holidays) if holidays else "") + (repr(dates) if dates else "")
    version = blake2b(named.encode(), digest_size=6).hexdigest()
    return replace(rule, holidays=holidays, dates=dates, version=version)


def _check_events(rule: Rule, text: str, file: str) -> None:
    if not rule.on and not rule.waits:
        raise WrongRule(
            f'{file}: says neither when to look: write on = ["order"] or after = {{ event = "order", wait = "14d" }}'
        )
    if rule.after and rule.at:
        raise WrongRule(f"{file}:{line_of(text, 'at')}: found at and after, expected one of them: make it two rules")
    known = [kind for kind in CUSTOMER_EVENTS if kind != "tick"]
    for event in [*rule.on, *rule.exit_on, *([rule.after.event] if rule.after else [])]:
        if event not in known:
            raise WrongRule(f"{file}:{line_of(text, event)}: there is no event {event!r}{hint(event, known)}")
    if rule.exit_on and not rule.exit:
        place = f"{file}:{line_of(text, 'exit_on')}: exit_on"
        raise WrongRule(
            f'{place}: found {rule.exit_on!r}, but no exit: write exit = "churn_risk < 0.4", or leave it out'
        )
    if rule.after and rule.after.until and NAMES[rule.after.until] != rule.after.event:
        until, event = rule.after.until, NAMES[rule.after.until]
        raise WrongRule(f"{file}:{line_of(text, 'until')}: after.until: {until} is named by event = {event!r} only")


def _check_schedule(rule: Rule, text: str, file: str) -> None:
    try:
        rule.schedule.check()
    except WrongSchedule as error:
        raise WrongRule(f"{file}:{line_of(text, error.key)}: schedule: {error}") from error
    if rule.quiet == "hold" and not rule.waits:
        raise WrongRule(
            f"{file}:{line_of(text, 'quiet')}: quiet: found 'hold', but a rule on events looks when they come:"
            " write 'drop' or 'send', or wait with `after` or `at`"
        )
    for key in ("stores", "regions") if rule.waits else ():
        if getattr(rule.schedule, key):
            raise WrongRule(
                f"{file}:{line_of(text, key)}: schedule.{key}: a rule with `{rule.waits}` looks where nothing happens:"
                " ask for last_store or favourite_store in `when`"
            )


def _holidays(schedule: Schedule, calendars: Calendars, text: str, file: str) -> dict[str, Days]:
    """By key of the schedule, the days that it means. Raises WrongRule."""
    named = {"holidays": schedule.holidays, "not_on_holidays": schedule.not_on_holidays}
    return {key: _days(f"schedule.{key}", names, calendars, text, file) for key, names in named.items() if names}


def _dates(at: At, calendars: Calendars, text: str, file: str) -> Days:
    """The days that it looks at. Raises WrongRule."""
    if bool(at.holiday) == bool(at.day_of_month):
        found = "both holiday and day_of_month" if at.holiday else "neither holiday nor day_of_month"
        raise WrongRule(f"{file}:{line_of(text, 'at')}: at: found {found}, expected one of them")
    if at.day_of_month and at.days_before:
        raise WrongRule(
            f"{file}:{line_of(text, 'at')}: at.days_before: counts back from a holiday; name the day_of_month itself"
        )
    return every_month(at.day_of_month) if at.day_of_month else _days("at.holiday", [at.holiday], calendars, text, file)


def _days(key: str, names: list[str], calendars: Calendars, text: str, file: str) -> Days:
    """The days of these holidays, which stand at the key. Raises WrongRule."""
    try:
        return calendars.of(names)
    except WrongCalendar as error:
        raise WrongRule(f"{file}:{line_of(text, key.rpartition('.')[2])}: {key}: {error}") from error


def _check_durations(rule: Rule, text: str, file: str) -> None:
    durations = {"cooldown": rule.cooldown, "valid": rule.then.valid}
    if rule.after and not rule.after.rhythms:
        durations["wait"] = rule.after.wait
    if rule.max_event_age:
        durations["max_event_age"] = rule.max_event_age
    for key, value in durations.items():
        try:
            length_ms = parse_duration(value)
        except ValueError as error:
            more = ", or '1.5 rhythm'" if key == "wait" else ""
            raise WrongRule(f"{file}:{line_of(text, key)}: {key}: {error}{more}") from error
        if length_ms > CENTURY_MS:
            raise WrongRule(f"{file}:{line_of(text, key)}: {key}: found {value!r}, expected {LONGEST} at most")
    if rule.after and rule.after.rhythms > MOST_RHYTHMS:
        raise WrongRule(
            f"{file}:{line_of(text, 'wait')}: wait: found {rule.after.wait!r}, expected {MOST_RHYTHMS} rhythms at most"
        )
    if rule.group and not rule.cooldown_ms:
        raise WrongRule(
            f"{file}:{line_of(text, 'cooldown')}: cooldown: found {rule.cooldown!r}, in which no other rule of the"
            f" group {rule.group!r} keeps this one out, not even at the same moment: write '1s' or more"
        )
    if not rule.then.valid_ms:
        raise WrongRule(f"{file}:{line_of(text, 'valid')}: valid: found {rule.then.valid!r}: it would be over at once")


def _check_spends(rule: Rule, text: str, file: str) -> None:
    """It answers a request, and nothing else: what it asks, and what it does not."""
    worth = rule.then.worth
    if rule.on != [EXCHANGE] or rule.waits:
        key = rule.waits or "on"
        raise WrongRule(
            f"{file}:{line_of(text, key)}: {key}: a rule with then.spends answers a customer who asks: write"
            f' on = ["{EXCHANGE}"], and nothing else'
        )
    if worth and worth.of != "points":
        place = f"{file}:{line_of(text, 'worth')}: then.worth.of"
        raise WrongRule(f"{place}: found {worth.of!r}, expected 'points', which {EXCHANGE} asks to give")
    for key in ("group", "quiet"):
        if found := getattr(rule, key):
            raise WrongRule(
                f"{file}:{line_of(text, key)}: {key}: found {found!r}, but what a customer pays for hangs on no other"
                " coupon and no hour: drop it"
            )


def _check_tests(rule: Rule, text: str, file: str) -> None:
    controls = [arm.name for arm in rule.then.arms if arm.nothing]
    names = [arm.name for arm in rule.then.arms]
    for test in rule.test:
        if told := _wrong_arm(test, names, controls) or _wrong_timeline(test):
            raise WrongRule(f"{test.place(text, file)}: {told}")
    if not any(test.fires_at for test in rule.test):
        raise WrongRule(f'{file}: has no firing test: add a [[test]] with events and fires_at = ["+0s"]')
    if all(test.fires_at or test.arm in controls for test in rule.test):
        raise WrongRule(f"{file}: has no quiet test: add a [[test]] whose events must not fire it, with fires_at = []")


def _wrong_arm(test: Timeline, names: list[str], controls: list[str]) -> str:
    """What is wrong with its arm, or nothing."""
    if test.arm and not names:
        return f"found arm = {test.arm!r}, but the rule has no arms: leave it out"
    if test.arm and test.arm not in names:
        return f"there is no arm {test.arm!r}{hint(test.arm, names)}"
    if test.fires_at and test.arm in controls:
        return f"the arm {test.arm!r} gives nothing: write fires_at = []"
    return ""


def _wrong_timeline(test: Timeline) -> str:
    """What is wrong with its events and times, or nothing."""
    if not test.events:
        return 'nothing happens in it, which proves nothing: write events = [{ type = "order" }]'
    try:
        events_of(test.events)
    except ValueError as error:
        return str(error)
    for at in test.fires_at:
        try:
            parse_offset(at)
        except ValueError as error:
            return f"fires_at: {error}"
    return ""
