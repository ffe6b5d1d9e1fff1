"""Names in rules and campaigns that must exist elsewhere: stores and regions of the stores file, campaigns with a file.

A name that nothing has would limit nothing, or everything, and nobody would see it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from alerts.triggers.campaign import DEFAULT, Campaign
from alerts.triggers.gifts import WrongRule
from alerts.triggers.rule import Rule
from alerts.triggers.sense import comparisons
from features.stores import Stores
from features.written import hint, line_of

ALIKE = 0.8  # from here on a campaign is taken for another's name, written wrong


def check_rule_places(rule: Rule, file: str, text: str, stores: Stores) -> None:
    """Raises WrongRule."""
    for where, part in (("schedule", rule.schedule), ("then", rule.then)):
        for key in ("stores", "regions"):
            _check(getattr(part, key), key[:-1], f"{where}.{key}", file, text, stores)
    for key in ("when", "exit"):
        for one in comparisons(getattr(rule, key)):
            if one.name in ("store", "region", "brand") and one.value:
                _check([str(one.value)], one.name, key, file, text, stores, line_of(text, key))


def check_campaign_places(campaign: Campaign, file: str, text: str, stores: Stores) -> None:
    """Raises WrongRule."""
    for kind in ("store", "region", "brand"):
        named = [name for name in campaign.budgets(kind) if name != DEFAULT]
        _check(named, kind, f"per_{kind}", file, text, stores)


def _check(names: Iterable[str], kind: str, place: str, file: str, text: str, stores: Stores, line: int = 0) -> None:
    """`line`: where the names stand, if not as words of their own."""
    regions = {region for region, _ in stores.places.values()}
    known = {"store": stores.places.keys(), "region": regions, "brand": {*stores.brands.values()}}[kind]
    for name in names:
        if name not in known:
            at = f"{file}:{line or line_of(text, name)}: {place}"
            raise WrongRule(f"{at}: the stores file has no {kind} {name!r}{hint(name, known)}")


def without_file(rules: Iterable[tuple[Rule, str, str]], with_file: Collection[str]) -> list[str]:
    """The campaigns of rules that have no file, and so no limit. Raises WrongRule for what looks like one that has."""
    found = set()
    for rule, file, text in rules:
        name = rule.then.campaign
        if name and name not in with_file:
            found.add(name)
            if close := get_close_matches(name, with_file, 1, ALIKE):
                raise WrongRule(
                    f"{file}:{line_of(text, 'campaign')}: then.campaign: no campaign file has the id {name!r}, so"
                    f" nothing would limit it; did you mean {close[0]!r}? Else give it a file that says id = {name!r}"
                )
    return sorted(found)
