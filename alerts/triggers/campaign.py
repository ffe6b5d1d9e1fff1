"""A campaign: one TOML file that says what it may cost, how many coupons there are, and from when until when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field
from msgspec.structs import replace

from alerts.triggers.gifts import Then, WrongRule
from alerts.triggers.lease import Cost, Lease
from features.record import Ledger
from features.times import DAY_MS, EPOCH_DAY, parse_time
from features.written import line_of, read_toml, told

KEYS = ("brand", "region", "store", "channel")  # what a campaign may have budgets by
DEFAULT = "default"  # of a table of budgets: for each name that it does not list
COUPONS, BUDGET = "coupons", "budget"
MOST_KNOWN = 65_536  # costs, by place and amount
SINCE = "since"  # beside them, when a partition gave the first coupon
Amount = Annotated[int, Meta(ge=0, le=2**52)]
Budgets = dict[str, Amount]


class Place(Struct, gc=False):
    """When and where a decision is taken. `local_ms`: the wall clock there; `names` by key, empty for a timer."""

    at_ms: int
    local_ms: int
    names: dict[str, str] = {}


class Bound(Struct, frozen=True):
    """A moment; on the wall clock of wherever somebody is, if `local`."""

    ms: int
    local: bool = False

    def reached(self, place: Place) -> bool:
        return (place.local_ms if self.local else place.at_ms) >= self.ms


class Campaign(Struct, frozen=True, forbid_unknown_fields=True):
    """What is None, or not in a table without default, has no limit. Amounts in cents of face value."""

    id: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]
    budget_cents: Amount | None = None
    per_brand: Budgets = {}
    per_region: Budgets = {}
    per_store: Budgets = {}
    per_channel: Budgets = {}
    coupons: Amount | None = None
    coupons_per_customer: Annotated[int, Meta(gt=0)] | None = None
    begins: Bound | None = field(default=None, name="from")
    ends: Bound | None = field(default=None, name="until")
    brake: bool = False  # redemptions that are unusually many pause it where they are

    def budgets(self, key: str) -> Budgets:
        return getattr(self, f"per_{key}")  # type: ignore[no-any-return]

    def limit(self, name: str) -> int | None:
        """Of `coupons`, `budget`, or such as `region:east`."""
        key, colon, of = name.partition(":")
        if not colon:
            return {COUPONS: self.coupons, BUDGET: self.budget_cents}.get(name)
        return self.budgets(key).get(of, self.budgets(key).get(DEFAULT))

    def costs(self, then: Then, names: Mapping[str, str]) -> list[Cost]:
        """What a coupon takes, and where from; one that comes of no region, of no region's. A message takes nothing."""
        cents = then.worth_cents
        amounts = {COUPONS: 1, BUDGET: cents} if then.coupon else {}
        amounts |= {f"{key}:{names[key]}": cents for key in KEYS if names.get(key) and self.budgets(key)}
        costs = [Cost(f"{self.id}/{name}", amount, self.limit(name)) for name, amount in amounts.items()]
        return [cost for cost in costs if cost.limit is not None or cost.pot.endswith((COUPONS, BUDGET))]

    def refusal(self, place: Place, given: int) -> str:
        """Why a customer who got so many coupons of it gets none now; empty if nothing is against it."""
        if self.begins and not self.begins.reached(place):
            return "campaign_not_begun"
        if self.ends and self.ends.reached(place):
            return "campaign_over"
        if self.coupons_per_customer is not None and given >= self.coupons_per_customer:
            return "customer_limit"
        return ""


class Campaigns:
    """The campaigns that have a file. `units`: by campaign, the least that one of its coupons costs."""

    def __init__(self, campaigns: Iterable[Campaign] = (), units: Mapping[str, int] | None = None) -> None:
        self.by_id = {campaign.id: campaign for campaign in campaigns}
        self.units = units or {}
        self.keys = [key for key in KEYS if any(campaign.budgets(key) for campaign in self.by_id.values())]
        self.known: dict[tuple[Any, ...], list[Cost]] = {}

    def costs(self, campaign: Campaign, then: Then, names: Mapping[str, str]) -> list[Cost]:
        """As the campaign says, which it is asked several times for each coupon: there are few places and amounts."""
        key = (campaign.id, bool(then.coupon), then.worth_cents, *names.items())
        if (costs := self.known.get(key)) is None:
            if len(self.known) >= MOST_KNOWN:
                self.known.clear()
            costs = self.known[key] = campaign.costs(then, names)
        return costs

    def outcome(self, then: Then, place: Place, ledger: Ledger, lease: Lease) -> tuple[str, str]:
        """(`issued` or the reason why not, what ran out). A mere message takes nothing and only keeps to the days."""
        campaign = self.by_id.get(then.campaign)
        if campaign is None:
            return "issued", ""
        refusal = campaign.refusal(place, ledger.given.get(campaign.id, 0) if then.coupon else 0)
        if refusal or not then.coupon:
            return refusal or "issued", ""
        ran_out = lease.lacking(self.costs(campaign, then, place.names)).partition("/")[2]
        return ("stock" if ran_out == COUPONS else BUDGET if ran_out else "issued"), ran_out

    def issue(self, then: Then, place: Place, ledger: Ledger, lease: Lease) -> None:
        campaign = self.by_id.get(then.campaign)
        if campaign is not None and then.coupon:
            lease.spend(self.costs(campaign, then, place.names))
            lease.mark(f"{campaign.id}/{SINCE}", place.at_ms)
            self.count(then, ledger)

    def count(self, then: Then, ledger: Ledger) -> None:
        """One more coupon of the customer's."""
        if then.campaign in self.by_id and then.coupon:
            ledger.given[then.campaign] = ledger.given.get(then.campaign, 0) + 1

    def limit(self, pot: str) -> int | None:
        """None for a pot that has none, or whose campaign has no file any more."""
        id, _, name = pot.partition("/")
        return self.by_id[id].limit(name) if id in self.by_id else None

    def unit(self, pot: str) -> int:
        id, _, name = pot.partition("/")
        return 1 if name == COUPONS else max(1, self.units.get(id, 1))

    def over(self, pot: str, now_ms: int) -> bool:
        """Whether the campaign has ended everywhere on Earth."""
        ends = self.by_id[pot.partition("/")[0]].ends
        return ends is not None and now_ms >= ends.ms + (DAY_MS if ends.local else 0)


NONE = Campaigns()


def read_campaign(text: str, file: str) -> Campaign:
    """The campaign of a file's text. Raises WrongRule."""
    raw = read_toml(text, file, WrongRule, Campaign.__struct_encode_fields__)
    bounds = {key: _bound(raw, key, text, file) for key in ("from", "until") if key in raw}
    try:
        campaign = msgspec.convert({key: raw[key] for key in raw if key not in bounds}, Campaign)
    except msgspec.ValidationError as error:
        raise WrongRule(told(error, raw, text, file, {})) from error
    campaign = replace(campaign, begins=bounds.get("from"), ends=bounds.get("until"))
    if campaign.begins and campaign.ends and campaign.begins.ms >= campaign.ends.ms:
        raise WrongRule(f"{file}:{line_of(text, 'until')}: until: ends before it begins")
    return campaign


def _bound(raw: Mapping[str, Any], key: str, text: str, file: str) -> Bound:
    """A date is the store's own and `until` counts the whole day; a time is a moment, at which `until` is over."""
    try:
        return _moment(raw[key], day_after=key == "until")
    except ValueError as error:
        raise WrongRule(
            f"{file}:{line_of(text, key)}: {key}: found {str(raw[key])!r}, expected a date such as 2026-05-01, or"
            " RFC 3339 with offset such as 2026-05-01T08:30:00+08:00"
        ) from error


def _moment(found: Any, day_after: bool) -> Bound:
    if isinstance(found, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", found):
        found = date.fromisoformat(found)
    if isinstance(found, date) and not isinstance(found, datetime):
        return Bound((found.toordinal() - EPOCH_DAY + day_after) * DAY_MS, local=True)
    if not isinstance(found, str | datetime):
        raise ValueError
    return Bound(parse_time(found if isinstance(found, str) else found.isoformat()))
