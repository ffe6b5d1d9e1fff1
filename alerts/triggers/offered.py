"""Coupons as models see them: what rules offer, and what was seen of a decision that models are to learn from."""

from __future__ import annotations

from msgspec import Struct

from alerts.triggers.gifts import Then
from alerts.triggers.rule import Rule
from features.catalog import Catalog
from features.kernel.arrays import Floats
from features.models import input_layouts
from features.offers import Offer, Scored, input_row
from features.tasks import OF_COUPONS


class Pupil(Struct, frozen=True):
    """A model that learns from what comes of coupons."""

    target: str
    layout: str
    columns: list[int]


class Offered:
    """For the rules and models of a house."""

    def __init__(self, catalog: Catalog, rules: list[Rule], names: list[list[str]]) -> None:
        """`names`: what each rule reads."""
        layouts, tasks = input_layouts(catalog), catalog.tasks
        self.pupils = {
            model: Pupil(tasks[model].target, layouts[model], columns)
            for model, columns in catalog.models.items()
            if tasks[model].target in OF_COUPONS
        }
        self.offers = {
            i: offer_of(rule, first_of(rule)) for i, rule in enumerate(rules) if {*names[i]} & {*self.pupils}
        }
        self.following = bool(self.pupils) or any(rule.then.arms for rule in rules)

    def follows(self, rule: Rule) -> bool:
        """Whether anything learns from what comes of its decisions: of who asks for a coupon, whom to give one does
        not follow."""
        return bool(rule.then.arms or (self.pupils and rule.then.coupon and not rule.then.spends))

    def scored(self, row: Floats, rule: Rule, then: Then, nothing: bool) -> dict[str, Scored]:
        """By model, what it saw; who got nothing cannot redeem it."""
        offer, seen, found = offer_of(rule, then), row.tolist(), {}
        for model, one in self.pupils.items() if then.coupon else ():
            if not nothing or one.target == "uplift":
                told = input_row(one.target, [seen[i] for i in one.columns], offer, not nothing)
                found[model] = Scored(one.target, one.layout, told)
        return found


def first_of(rule: Rule) -> Then:
    """What a rule with arms is scored by before one is drawn: the first that gives something."""
    return next(iter(rule.then.gifts.values()))


def offer_of(rule: Rule, then: Then) -> Offer:
    """Of a worth that hangs on the customer, the least; once it is known, `then` says it."""
    worth = (
        then.least_cents if then.worth else then.face_value_cents,
        then.percent,
        then.at_most_cents,
        then.min_spend_cents,
    )
    return Offer(rule.id, *worth, then.valid_ms)
