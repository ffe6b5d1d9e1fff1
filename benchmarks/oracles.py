"""What each shipped rule means, said once more in plain Python over what members of the simulated chain did.

Nothing of the engine is used: no windows in panes, no records, no SQL, no timers. A rule's function (sentences.py) says
its sentence over a member's deeds as they happened, whenever and however often they came over the line. Windows begin
as docs/features.md says: at five minutes, an hour or a store-local day. What is told is when a condition holds, before
any policy and without quiet hours.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta, timezone
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from features import events as e
from features.times import DAY_MS, HOUR_MS, MINUTE_MS, parse_time
from sim.wire import Deed

SETTLED_MS = DAY_MS  # how old a friend's first order must be before anybody is thanked for it

Holidays = dict[str, list[tuple[date, date]]]


class Done(NamedTuple):
    at_ms: int
    kind: str
    event: Any


class World(NamedTuple):
    """What is no member's doing."""

    zones: dict[str, ZoneInfo]  # by store
    regions: dict[str, str]
    weather: dict[str, list[tuple[int, e.Weather]]]  # by place, in order of time
    holidays: Holidays


class Member:
    """All that a member did, by kind and in order of time."""

    def __init__(self, world: World, done: Iterable[Done]) -> None:
        self.world = world
        self.done = sorted(done, key=lambda one: one.at_ms)
        self.done_ms = [one.at_ms for one in self.done]
        self.by_kind: dict[str, list[Done]] = defaultdict(list)
        for one in self.done:
            self.by_kind[one.kind].append(one)
        self.times = {kind: [one.at_ms for one in all] for kind, all in self.by_kind.items()}
        self.voided_ms = {one.event.order: one.at_ms for one in self.by_kind["void"]}

    def until(self, kind: str, at_ms: int) -> list[Done]:
        return self.by_kind[kind][: bisect_right(self.times.get(kind, []), at_ms)]

    def zone(self, at_ms: int) -> ZoneInfo:
        """Of the store of what they did last; thanks for a friend are none of their deeds."""
        last = bisect_right(self.done_ms, at_ms) - 1
        while self.done[last].kind == "friend_ordered":
            last -= 1
        return self.world.zones[self.done[last].event.store]


class Asked:
    """A member at a moment; `event` is what they did then, None at the end of a wait."""

    def __init__(self, member: Member, at_ms: int, event: Any = None) -> None:
        self.member, self.at_ms, self.event = member, at_ms, event

    @property
    def local(self) -> datetime:
        here = self.event is not None and self.event.store
        zone = self.member.world.zones[here] if here else self.member.zone(self.at_ms)
        return datetime.fromtimestamp(self.at_ms / 1000, zone)

    def since_ms(self, window: str) -> int:
        """Where a window begins: at five minutes, an hour, a local day."""
        if window == "1h":
            return (self.at_ms - HOUR_MS) // (5 * MINUTE_MS) * (5 * MINUTE_MS)
        if window == "24h":
            return (self.at_ms - DAY_MS) // HOUR_MS * HOUR_MS
        then = datetime.fromtimestamp((self.at_ms - int(window[:-1]) * DAY_MS) / 1000, self.member.zone(self.at_ms))
        return int(then.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)

    def all(self, kind: str, window: str = "") -> list[Done]:
        since_ms = self.since_ms(window) if window else -1
        return [one for one in self.member.until(kind, self.at_ms) if one.at_ms >= since_ms]

    def count(self, kind: str, window: str = "") -> int:
        return len(self.all(kind, window))

    def orders(self, window: str = "", where: Callable[[Asked], bool] = lambda _: True) -> list[e.Order]:
        """Those that were not voided by now; `where` is asked of each as it was placed."""
        voided = self.member.voided_ms
        sound = [one for one in self.all("order", window) if voided.get(one.event.id, self.at_ms + 1) > self.at_ms]
        return [one.event for one in sound if where(Asked(self.member, one.at_ms, one.event))]

    def spent_cents(self, window: str = "", where: Callable[[Asked], bool] = lambda _: True) -> int:
        """For orders that were not voided, less what was refunded of them."""
        orders = {order.id: order.total_cents for order in self.orders(window, where)}
        back = [one.event for one in self.all("refund") if one.event.order in orders]
        return sum(orders.values()) - sum(refund.amount_cents for refund in back)

    def earned(self, first: date, until: date) -> int:
        """Points of the orders from a day on, up to another."""
        return self.spent_cents(where=lambda order: first <= order.local.date() < until) // 100

    def silent_ms(self, kind: str) -> float:
        """Since they last did it, or for ever."""
        found = self.all(kind)
        return self.at_ms - found[-1].at_ms if found else float("inf")

    @property
    def points(self) -> int:
        """Earned in this calendar month and the eleven before it."""
        today = self.local.date()
        first = today.replace(year=today.year - 1, day=1)  # of the twelfth month before
        return self.earned((first + timedelta(days=31)).replace(day=1), today + timedelta(days=1))

    @property
    def rhythm_ms(self) -> float:
        """The mean time between orders."""
        times = [parse_time(order.time) for order in self.orders()]
        return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else float("inf")

    @property
    def open_cases(self) -> set[str]:
        """Not settled yet, or the guest said that it was not."""
        opened = [(one.at_ms, one.event.case, True) for one in self.all("complaint")]
        denied = [(one.at_ms, one.event.case, not one.event.satisfied) for one in self.all("complaint_confirmed")]
        closed = [(one.at_ms, one.event.case, False) for one in self.all("complaint_answered") if one.event.closed]
        latest = {case: is_open for _, case, is_open in sorted(opened + denied + closed, key=lambda one: one[0])}
        return {case for case, is_open in latest.items() if is_open}

    def favourite(self, of: Callable[[e.Line], str]) -> tuple[str, float]:
        """What weighs most of all they ordered, each weight halving every sixty days; and its share."""
        weights: Counter[str] = Counter()
        for one in self.all("order"):
            for line in one.event.lines:
                weights[of(line)] += line.qty * 0.5 ** ((self.at_ms - one.at_ms) / (60 * DAY_MS))  # type: ignore[assignment]
        [(text, weight)] = weights.most_common(1) or [("", 0)]
        return text, weight / (sum(weights.values()) or 1)

    @property
    def weather(self) -> e.Weather | None:
        """The latest of the store's region, not older than three hours."""
        readings = self.member.world.weather.get(self.member.world.regions[self.event.store], [])
        last = bisect_right([at_ms for at_ms, _ in readings], self.at_ms) - 1
        return readings[last][1] if last >= 0 and self.at_ms - readings[last][0] <= 3 * HOUR_MS else None

    def is_between(self, begins: str, ends: str) -> bool:
        return begins <= f"{self.local:%H:%M}" < ends

    def is_holiday(self, *names: str) -> bool:
        spans = [span for name in names for span in self.member.world.holidays[name]]
        return any(first <= self.local.date() <= last for first, last in spans)


class Oracle(NamedTuple):
    """`on`: what they did when it is asked; with `wait_ms`, how long after that, unless they do it again before. Or it
    is asked `at` so many days before a holiday, at an hour; or each `monthly` day, at an hour."""

    on: tuple[str, ...]
    holds: Callable[[Asked], bool]
    wait_ms: Callable[[Asked], float] | None = None
    at: tuple[str, int, int] | None = None
    monthly: tuple[int, int] | None = None


def moments(oracle: Oracle, member: Member, end_ms: int) -> Iterator[int]:
    """When the rule's sentence is true of a member."""
    for at_ms in _dates(oracle, member):
        if member.done_ms[0] < at_ms < end_ms and oracle.holds(Asked(member, at_ms)):
            yield at_ms
    for kind in oracle.on:
        times = member.times.get(kind, [])
        for place, one in enumerate(member.by_kind[kind]):
            if oracle.wait_ms is None:
                if oracle.holds(Asked(member, one.at_ms, one.event)):
                    yield one.at_ms
                continue
            wait_ms = oracle.wait_ms(Asked(member, one.at_ms, one.event))
            if wait_ms == float("inf"):
                continue
            asked_ms = one.at_ms + round(wait_ms)
            again = place + 1 < len(times) and times[place + 1] <= asked_ms
            if not again and asked_ms < end_ms and oracle.holds(Asked(member, asked_ms)):
                yield asked_ms


def _dates(oracle: Oracle, member: Member) -> Iterator[int]:
    """By the clock of where they are then, which no two clocks are a day apart about."""
    if oracle.at:
        holiday, days_before, hour = oracle.at
        walls = [_wall(first - timedelta(days=days_before), hour) for first, _ in member.world.holidays[holiday]]
    else:
        day, hour = oracle.monthly or (0, 0)
        walls = [_wall(date(y, m, day), hour) for y in range(2024, 2030) for m in range(1, 13) if oracle.monthly]
    for wall in walls:
        zone = member.zone(round(wall.replace(tzinfo=timezone.utc).timestamp() * 1000))
        yield round(wall.replace(tzinfo=zone).timestamp() * 1000)


def _wall(day: date, hour: int) -> datetime:
    return datetime.combine(day, datetime.min.time()).replace(hour=hour)


def members_of(deeds: Iterable[Deed], world: World, end_ms: int) -> dict[str, Member]:
    """By app id, in what they did; and, of whoever brought a friend, when that friend's first order has stood."""
    done: dict[str, list[Done]] = defaultdict(list)
    for sent_ms, event in deeds:
        if sent_ms < end_ms and event.who is not None:
            done[name_of(event.who)].append(Done(parse_time(event.time), e.kind_of(event), event))
    for by, stood in list(_stood(done, end_ms)):
        done[by].append(stood)
    return {app_id: Member(world, all) for app_id, all in done.items()}


def name_of(who: e.Who) -> str:
    """Whose an identifier is stands in its digits, and not in what the engine makes of them; accounts that are no
    member's have names of their own."""
    if who.app_id and not who.app_id.startswith("app-"):
        return who.app_id
    [number] = set(map(_number, _identifiers(who)))
    return f"app-{number:06d}"


def _stood(done: dict[str, list[Done]], end_ms: int) -> Iterator[tuple[str, Done]]:
    """Who brought a friend, and when that friend's first paid order was a day old and had not been given back.

    A friend is brought once, by whoever told of them first, and only if they had not ordered before.
    """
    told = [(one.at_ms, by, one.event) for by, all in done.items() for one in all if one.kind == "referral"]
    first: dict[str, tuple[int, str]] = {}
    for at_ms, by, referral in sorted(told, key=lambda one: one[0]):
        if by != referral.friend:
            first.setdefault(referral.friend, (at_ms, by))
    for friend, (told_ms, by) in first.items():
        theirs = done.get(friend, [])
        orders = sorted((one for one in theirs if one.kind == "order"), key=lambda one: one.at_ms)
        if any(_left_cents(order, theirs, told_ms) is not None and order.at_ms < told_ms for order in orders):
            continue
        for order in orders:
            asked_ms = order.at_ms + SETTLED_MS
            if asked_ms < end_ms and (_left_cents(order, theirs, asked_ms) or 0) > 0:
                yield by, Done(asked_ms, "friend_ordered", e.FriendOrdered(id=friend, friend=friend))
                break


def _left_cents(order: Done, theirs: list[Done], at_ms: int) -> int | None:
    """What was paid for an order and not given back by then; None: it was voided."""
    back = [one for one in theirs if one.kind in ("void", "refund") and one.event.order == order.event.id]
    back = [one for one in back if one.at_ms <= at_ms]
    if any(one.kind == "void" for one in back):
        return None
    return int(order.event.total_cents - sum(one.event.amount_cents for one in back))


def _identifiers(who: e.Who) -> list[str]:
    return [text for text in (who.phone, who.card, who.app_id, who.openid, who.marketplace_id) if text]


def _number(identifier: str) -> int:
    return int(re.sub(r"\D", "", identifier)[-6:])


def weather_of(deeds: Iterable[Deed]) -> dict[str, list[tuple[int, e.Weather]]]:
    found: dict[str, list[tuple[int, e.Weather]]] = defaultdict(list)
    for _, event in deeds:
        if isinstance(event, e.Weather):
            found[event.place].append((parse_time(event.time), event))
    return {place: sorted(readings, key=lambda one: one[0]) for place, readings in found.items()}
