"""The sentence of every shipped rule, as a function over what a member did."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

from benchmarks.oracles import Asked, Oracle
from features.times import DAY_MS, HOUR_MS, MINUTE_MS, parse_time

YUAN = 100
ORACLES: dict[str, Oracle] = {}
Says = Callable[[Asked], bool]


def on(*kinds: str) -> Callable[[Says], Says]:
    def note(says: Says) -> Says:
        ORACLES[says.__name__.replace("_", "-").strip("-")] = Oracle(kinds, says)
        return says

    return note


def after(kind: str, wait_ms: float | Callable[[Asked], float]) -> Callable[[Says], Says]:
    def note(says: Says) -> Says:
        length = wait_ms if callable(wait_ms) else lambda _: wait_ms
        ORACLES[says.__name__.replace("_", "-").strip("-")] = Oracle((kind,), says, length)
        return says

    return note


def at(holiday: str, days_before: int, hour: int) -> Callable[[Says], Says]:
    def note(says: Says) -> Says:
        ORACLES[says.__name__.replace("_", "-").strip("-")] = Oracle((), says, at=(holiday, days_before, hour))
        return says

    return note


def monthly(day: int, hour: int) -> Callable[[Says], Says]:
    def note(says: Says) -> Says:
        ORACLES[says.__name__.replace("_", "-").strip("-")] = Oracle((), says, monthly=(day, hour))
        return says

    return note


@on("view")
def afternoon_tea(a: Asked) -> bool:
    """Looks around between two and five, twice within the hour; ordered this month, but not today."""
    lately = a.orders("30d") and not a.orders("24h")
    return bool(lately) and 14 <= a.local.hour < 17 and a.count("view", "1h") >= 2


@after("app_open", 21 * DAY_MS)
def app_lapsed(a: Asked) -> bool:
    """Somebody who has ordered and used to open the app has not for three weeks."""
    return a.count("app_open", "90d") >= 3 and len(a.orders()) >= 1


@on("rating")
def bad_rating(a: Asked) -> bool:
    """Fewer than three stars of somebody who ordered."""
    return a.event.stars < 3 and len(a.orders("90d")) >= 1


@on("cart_add")
def basket_attach(a: Asked) -> bool:
    """The first piece in the cart of a guest who rarely takes more than one."""
    orders = a.orders("90d")
    back = [r.event for r in a.all("refund", "90d")]
    pieces = sum(line.qty for order in orders for line in order.lines) - sum(r.items for r in back)
    return len(orders) >= 3 and pieces / len(orders) <= 1.2 and a.count("cart_add", "1h") == 1


@on("order")
def big_order(a: Asked) -> bool:
    """Eighty yuan or more."""
    return bool(a.event.total_cents >= 80 * YUAN)


def _to_birthday(a: Asked) -> float:
    month, day = map(int, a.event.birthday.split("-"))
    today = a.local.date()
    years = (today.year, today.year + 1)
    days = [date(year, month, day) if (month, day) != (2, 29) else date(year, 3, 1) for year in years]
    then = min(each for each in days if each > today)
    return datetime(then.year, then.month, then.day, 10, tzinfo=a.local.tzinfo).timestamp() * 1000 - a.at_ms


@after("profile", _to_birthday)
def birthday(a: Asked) -> bool:
    """The birthday of somebody who has ordered, at ten."""
    return len(a.orders()) >= 1


def _in_the_morning(a: Asked) -> bool:
    return 5 <= a.local.hour <= 10


def _in_the_evening(a: Asked) -> bool:
    return a.local.hour >= 18 or a.local.hour <= 4


@on("app_open")
def breakfast(a: Asked) -> bool:
    """A look on a weekday morning by a guest who never came in the morning."""
    never = len(a.orders("90d")) >= 2 and not a.orders("90d", _in_the_morning) and not a.orders("24h")
    return never and a.local.isoweekday() <= 5 and a.is_between("06:30", "10:00")


@after("cart_add", 30 * MINUTE_MS)
def cart_left(a: Asked) -> bool:
    """Half an hour after the cart was last filled, and no order since."""
    return a.silent_ms("order") > a.silent_ms("cart_add")


@on("complaint_answered")
def complaint_closed(a: Asked) -> bool:
    """The last open complaint of a guest is settled."""
    return bool(a.event.closed) and not a.open_cases and len(a.orders("90d")) >= 1


@on("order")
def delivery_regular(a: Asked) -> bool:
    """The fourth delivery within ninety days, or a later one."""
    return a.event.channel == "delivery" and len(a.orders("90d", lambda o: o.event.channel == "delivery")) >= 4


@on("order")
def first_app_order(a: Asked) -> bool:
    """The first order in the app of somebody who had ordered elsewhere."""
    in_app = a.orders(where=lambda o: o.event.channel == "app")
    return a.event.channel == "app" and len(in_app) == 1 and len(a.orders()) >= 2


@after("bind", 2 * DAY_MS)
def first_order(a: Asked) -> bool:
    """Two days a member, and no order."""
    return not a.orders()


@on("order")
def high_value(a: Asked) -> bool:
    """Ten orders and five hundred yuan in thirty days."""
    return len(a.orders("30d")) >= 10 and a.spent_cents("30d") >= 500 * YUAN


@on("app_open", "view")
def hot_day(a: Asked) -> bool:
    """A look by day at thirty degrees; a guest who takes theirs cold, and has had none today."""
    hot = a.weather is not None and a.weather.temp_c >= 30 and a.is_between("11:00", "20:00")
    if not hot or not a.orders("90d") or a.orders("24h"):
        return False
    return a.favourite(lambda line: line.options.get("ice", ""))[0] != "hot"


@on("app_open")
def labour_day(a: Asked) -> bool:
    """A look on the holiday by a guest who has had none today."""
    return a.is_holiday("labour-day") and len(a.orders("90d")) >= 1 and not a.orders("24h")


def _to_promise(a: Asked) -> float:
    return parse_time(a.event.promised_time) + 10 * MINUTE_MS - a.at_ms


@after("delivery_promised", _to_promise)
def late_delivery(a: Asked) -> bool:
    """Ten minutes past the promised time, and it has not come."""
    return a.silent_ms("delivery_delivered") > a.silent_ms("delivery_promised")


@on("app_open", "view")
def mid_autumn(a: Asked) -> bool:
    """A look during the festival by a guest."""
    return a.is_holiday("mid-autumn") and len(a.orders("90d")) >= 1


@at("mid-autumn", days_before=3, hour=10)
def moon_box(a: Asked) -> bool:
    """Three days before the moon festival, at ten: a guest with three orders in ninety days."""
    return len(a.orders("90d")) >= 3


@on("order")
def near_tier(a: Asked) -> bool:
    """Up to fifty points to silver, or two hundred to gold."""
    return 450 <= a.points < 500 or 1800 <= a.points < 2000


@on("view")
def new_flavour(a: Asked) -> bool:
    """A look at fruit tea by a guest of few drinks whose favourite is another."""
    orders = a.orders("90d")
    if a.event.category != "fruit_tea" or len(orders) < 2:
        return False
    drinks = {line.sku for one in a.all("order", "90d") for line in one.event.lines}
    return len(drinks) <= 3 and a.favourite(lambda line: line.category)[0] not in ("", "fruit_tea")


@on("app_open")
def night_tea(a: Asked) -> bool:
    """A late look by a guest who came in the evening twice, and not today."""
    often = len(a.orders("90d", _in_the_evening)) >= 2 and not a.orders("24h")
    return often and a.is_between("20:30", "23:30")


@on("points_exchange")
def points_exchange(a: Asked) -> bool:
    """Whoever asks for a coupon is answered, be it with a no."""
    return bool(a.event.points > 0)


@monthly(day=23, hour=10)
def points_expiring(a: Asked) -> bool:
    """On the 23rd at ten, a hundred points or more of the same month a year ago; what was given of them is not looked
    at, in chains that live for weeks."""
    today = a.local.date()
    first = today.replace(year=today.year - 1, day=1)
    return a.earned(first, (first + timedelta(days=31)).replace(day=1)) >= 100


@on("app_open")
def rainy_day(a: Asked) -> bool:
    """A look in the rain by a guest who had it brought before, and has had none today."""
    wet = a.weather is not None and a.weather.rain_mm >= 1
    return wet and bool(a.orders("90d", lambda o: o.event.channel == "delivery")) and not a.orders("24h")


@on("friend_ordered")
def referral_reward(a: Asked) -> bool:
    """One of up to five friends in ninety days whom a guest has brought and whose first order stands."""
    return len(a.orders("90d")) >= 1 and a.count("friend_ordered", "90d") <= 5


def _has_told(a: Asked) -> bool:
    return a.count("rating", "24h") > 0 or bool(a.open_cases)


@after("order", 45 * MINUTE_MS)
def rating_request(a: Asked) -> bool:
    """Three quarters of an hour after an order that nobody brings; it was kept, and nothing told of it so far.

    The rule knows a delivery by the promise made for it, and this chain makes none for what is refunded in part: there
    it asks too early.
    """
    order = a.all("order")[-1].event
    return order in a.orders() and order.channel != "delivery" and not _has_told(a)


@after("delivery_delivered", 45 * MINUTE_MS)
def rating_request_delivery(a: Asked) -> bool:
    """Three quarters of an hour after it was brought, and nothing told of it so far."""
    return not _has_told(a)


@after("order", 3 * DAY_MS)
def second_order(a: Asked) -> bool:
    """Three days after the first order, and no other; one within the same minute is still in time for the engine."""
    return len(a.orders()) == 1


@on("share")
def share_reward(a: Asked) -> bool:
    """One of up to three drinks that a guest shows in a month."""
    return len(a.orders("90d")) >= 1 and a.count("share", "30d") <= 3


@on("app_open", "view")
def quiet_store(a: Asked) -> bool:
    """A look while the store has little to do: in a life that KPIs do not watch, nobody knows."""
    return a.event.load_ms > 0


@on("app_open")
def slack_hour(a: Asked) -> bool:
    """A look in an hour in which stores are empty as a rule, by a guest of this month who has had none today."""
    hour = a.is_between("09:30", "10:30") or a.is_between("17:00", "18:00")
    usual = hour and a.local.isoweekday() <= 4 and not a.is_holiday("china")
    return usual and bool(a.orders("30d")) and not a.orders("24h")


@on("order")
def store_explorer(a: Asked) -> bool:
    """Three stores within thirty days."""
    return len({one.event.store for one in a.all("order", "30d")}) >= 3


@on("order")
def tenth_order(a: Asked) -> bool:
    return len(a.orders()) == 10


@on("order")
def third_in_a_week(a: Asked) -> bool:
    """The third order within seven days, or a later one."""
    return len(a.orders("7d")) >= 3


@on("order")
def tier_gold(a: Asked) -> bool:
    """The order that reaches two thousand points."""
    return a.points >= 2000 and a.points - a.event.total_cents / YUAN < 2000


@after("order", 21 * DAY_MS)
def tier_keep(a: Asked) -> bool:
    """Three weeks without an order, and few points above the tier's least."""
    return 500 <= a.points < 600 or 2000 <= a.points < 2200


@on("order")
def tier_silver(a: Asked) -> bool:
    """The order that reaches five hundred points."""
    return 500 <= a.points < 2000 and a.points - a.event.total_cents / YUAN < 500


@on("app_open")
def usual_order(a: Asked) -> bool:
    """A look by a guest of four orders this month, most of them the same drink, and none today."""
    lately = len(a.orders("30d")) >= 4 and not a.orders("24h")
    return lately and a.favourite(lambda line: line.sku)[1] >= 0.6


@after("view", HOUR_MS)
def view_left(a: Asked) -> bool:
    """An hour after the last of three looks or more; nothing in the cart, nothing ordered that day, by a guest."""
    took = a.count("cart_add", "24h") or a.orders("24h")
    return a.count("view", "24h") >= 3 and not took and len(a.orders()) >= 1


@on("order")
def weekend_family(a: Asked) -> bool:
    """Four pieces within the hour on a weekend, and not for the first time on a weekend."""
    pieces = sum(line.qty for order in a.orders("1h") for line in order.lines)
    return a.local.isoweekday() >= 6 and pieces >= 4 and len(a.orders("90d", lambda o: o.local.isoweekday() >= 6)) >= 2


@on("app_open")
def welcome(a: Asked) -> bool:
    """The first look into the app of somebody who has not ordered."""
    return a.count("app_open") == 1 and not a.orders()


@after("order", 14 * DAY_MS)
def winback_14d(a: Asked) -> bool:
    """Two weeks without a regular."""
    return len(a.orders("90d")) >= 3


@after("order", 30 * DAY_MS)
def winback_30d(a: Asked) -> bool:
    return len(a.orders("90d")) >= 2


@after("order", 60 * DAY_MS)
def winback_60d(a: Asked) -> bool:
    return len(a.orders()) >= 3


@after("order", lambda a: 3 * a.rhythm_ms)
def winback_rhythm(a: Asked) -> bool:
    """A regular has missed two visits, and has not looked into the app for five days."""
    away = a.silent_ms("app_open") >= 5 * DAY_MS
    return len(a.orders("90d")) >= 4 and a.rhythm_ms >= 2 * DAY_MS and away


@after("order", 5 * DAY_MS)
def churn_risk(a: Asked) -> bool:
    """Five days without a regular, twice as long as usual. Whether they come back is judged by who lapsed."""
    return len(a.orders("30d")) >= 4 and 2 * a.rhythm_ms <= 5 * DAY_MS
