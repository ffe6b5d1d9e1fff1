"""What a rule gives: a coupon, a message, or what one of several arms says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from alerts.triggers.worth import Cents, Worth
from features.times import parse_duration
from features.written import line_of


class WrongRule(ValueError):
    """A rule that cannot be used; the message names file, line, what was found and what to write."""


Text = Annotated[str, Meta(max_length=64)]


class Arm(Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """One of the gifts that a rule compares; what it names stands in the place of what `then` says."""

    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,31}$")]
    weight: Annotated[float, Meta(gt=0, le=1_000_000)] = 1.0
    nothing: bool = False  # the control: the customer gets nothing, and counts as if they had
    coupon: Text | None = None
    face_value_cents: Cents | None = None
    percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    at_most_cents: Cents | None = None
    message: Text | None = None

    @property
    def named(self) -> dict[str, Any]:
        """What it says of the gift."""
        found = {key: getattr(self, key) for key in OF_GIFTS}
        return {key: value for key, value in found.items() if value is not None}


BALANCE = "points_balance"  # the feature that says what there is to spend
OF_GIFTS = ("coupon", "face_value_cents", "percent", "at_most_cents", "message")


class Then(Struct, forbid_unknown_fields=True, frozen=True):
    """What the customer gets: a coupon, a message, or a coupon with a message; or what one of several arms says.

    A coupon takes off cents, or a percentage of the order of at most `at_most_cents`.
    """

    coupon: Text = ""
    face_value_cents: Cents = 0
    valid: str = "7d"
    campaign: Text = ""
    percent: Annotated[int, Meta(ge=0, le=100)] = 0
    at_most_cents: Cents = 0
    worth: Worth | None = None  # instead of `face_value_cents`: by what is known of the customer, or asked for
    spends: bool = False  # the customer has asked for it, and gives as many points as `worth` is of
    message: Text = ""  # name of the channel's template
    channel: Literal["push", "sms", "wechat", "email"] = "push"
    send: Literal["now", "their-hour"] = "now"  # the hour at which the customer usually orders
    stores: list[str] = []  # where the coupon is good; everywhere, if both are empty
    regions: list[str] = []
    min_spend_cents: Cents = 0  # of the order, before the coupon
    arms: Annotated[list[Arm], Meta(max_length=16)] = []
    choose: Literal["split", "learn"] = "split"  # by the arms' weights, or by what they have brought
    context: Text = ""  # feature by whose value it is learned apart

    @property
    def gifts(self) -> dict[str, Then]:
        """What can be given, by arm; of a rule without arms, by ""."""
        if not self.arms:
            return {"": self}
        plain = replace(self, arms=[])
        return {arm.name: replace(plain, **arm.named) for arm in self.arms if not arm.nothing}

    @property
    def may_be_message(self) -> bool:
        """Whether some of what can be given is a mere message."""
        return any(not gift.coupon for gift in self.gifts.values())

    @property
    def worth_cents(self) -> int:
        """The most that the coupon can cost."""
        if self.arms:
            return max(gift.worth_cents for gift in self.gifts.values())
        return self.worth.most_cents if self.worth else self.face_value_cents or self.at_most_cents

    @property
    def least_cents(self) -> int:
        """The least that a coupon of one gift can cost a campaign."""
        return self.worth.least_cents if self.worth else self.worth_cents

    def to(self, values: Mapping[str, object]) -> Then:
        """What it is to a customer of whom these values are known."""
        if self.worth is None:
            return self
        return replace(self, worth=None, face_value_cents=self.worth.cents(values.get(self.worth.of)))

    @property
    def read(self) -> list[str]:
        """What of a moment it hangs on, beside the arm."""
        names = [self.worth.of] if self.worth else []
        return [*names, *([BALANCE] if self.spends else []), *([self.context] if self.context else [])]

    @property
    def valid_ms(self) -> int:
        return parse_duration(self.valid)


def check_then(then: Then, text: str, file: str) -> None:
    """Raises WrongRule."""
    _check_arms(then, text, file)
    for arm, gift in then.gifts.items():
        _check_gift(gift, arm, text, file)


def _check_arms(then: Then, text: str, file: str) -> None:
    place = f"{file}:{line_of(text, 'then')}: then"
    if not then.arms:
        for key, empty in (("choose", "split"), ("context", "")):
            if getattr(then, key) != empty:
                raise WrongRule(
                    f"{file}:{line_of(text, key)}: then.{key}: is for rules with arms: add arms, or drop it"
                )
        return
    names = [arm.name for arm in then.arms]
    if twice := [name for name in names if names.count(name) > 1]:
        raise WrongRule(f"{_place_of(twice[0], text, file)}: there are two of this name: call one otherwise")
    for arm in then.arms:
        if arm.nothing and arm.named:
            found = ", ".join(arm.named)
            raise WrongRule(f"{_place_of(arm.name, text, file)}: gives nothing and names {found}: drop one of them")
    if len(then.arms) < 2 or not then.gifts:
        raise WrongRule(f"{place}: found {len(then.arms)} arms, expected two or more, of which one gives something")
    if sum(arm.nothing for arm in then.arms) > 1:
        raise WrongRule(f"{place}: found several arms with nothing = true, expected one control at most")
    if then.choose == "split" and then.context:
        raise WrongRule(f'{file}:{line_of(text, "context")}: then.context: only choose = "learn" looks at it')
    if then.choose == "learn" and len(then.gifts) < 2:
        raise WrongRule(f'{place}: choose = "learn" needs two arms or more that give something, to choose among')


def _place_of(arm: str, text: str, file: str) -> str:
    return f"{file}:{line_of(text, arm)}: then.arms: {arm}"


def _check_gift(then: Then, arm: str, text: str, file: str) -> None:
    place = _place_of(arm, text, file) if arm else f"{file}:{line_of(text, 'then')}: then"
    if then.choose == "learn" and not then.coupon:
        raise WrongRule(f'{place}: gives no coupon, and choose = "learn" learns from coupons that are redeemed')
    if not (then.coupon or then.message):
        raise WrongRule(f'{place}: gives nothing: write coupon = "WB5" or message = "name-of-the-template"')
    if then.worth:
        _check_worth(then, then.worth, f"{file}:{line_of(text, 'worth')}: then.worth")
    if then.spends:
        _check_spends(then, f"{file}:{line_of(text, 'spends')}: then.spends")
    if then.percent and then.face_value_cents:
        raise WrongRule(f"{place}: found face_value_cents and percent, expected one of them")
    if then.percent and not then.at_most_cents:
        raise WrongRule(f"{place}: percent needs at_most_cents, the most that the coupon takes off")
    if then.at_most_cents and not then.percent:
        raise WrongRule(f"{place}: at_most_cents limits a percentage: write percent = 20 with it, or drop it")
    if not then.coupon and then.worth_cents:
        raise WrongRule(f"{place}: a message alone is worth nothing: name the coupon, or drop its value")
    if then.coupon and not then.worth_cents:
        control = ", or nothing = true for a control" if arm else ""
        raise WrongRule(
            f"{place}: the coupon {then.coupon!r} takes nothing off: write face_value_cents = 500, or percent = 20 with"
            f" at_most_cents = 800 (a free drink is percent = 100 of at most its price){control}"
        )
    if not then.coupon and (then.stores or then.regions or then.min_spend_cents):
        raise WrongRule(f"{place}: a message alone is good nowhere: name the coupon, or drop where it is good")


def _check_worth(then: Then, worth: Worth, place: str) -> None:
    if found := [key for key in ("face_value_cents", "percent", "at_most_cents", "arms") if getattr(then, key)]:
        raise WrongRule(f"{place}: found it beside {' and '.join(found)}, expected one of them")
    try:
        worth.check()
    except ValueError as error:
        raise WrongRule(f"{place}: {error}") from error


def _check_spends(then: Then, place: str) -> None:
    """Whoever pays for a coupon gets it at once, and for all that they give."""
    if then.worth is None or not then.worth.cents_each:
        raise WrongRule(
            f'{place}: found it without worth = {{ of = "points", cents_each = 10, ... }}: by steps, or at a fixed'
            " value, some of the points would be given for nothing"
        )
    if then.send != "now":
        raise WrongRule(f"{place}: found it beside send = {then.send!r}: what is paid for is sent at once, drop it")
