"""Loads the coupon rules, and the campaigns that limit them; a wrong one stops the start."""

from __future__ import annotations

from pathlib import Path

import structlog

from alerts.triggers.calendar import Calendars, WrongCalendar, all_calendars, read_calendar
from alerts.triggers.campaign import Campaign, Campaigns, read_campaign
from alerts.triggers.condition import Conditions, over_catalog
from alerts.triggers.gifts import WrongRule
from alerts.triggers.places import check_campaign_places, check_rule_places, without_file
from alerts.triggers.rule import Rule, read_rule
from config.settings import Settings
from features.catalog import Catalog
from features.kernel.arrays import TIMERS
from flows.files import load_stores, texts

log = structlog.get_logger()


def load_rules(settings: Settings) -> list[tuple[Rule, str, str]]:
    """Every rule with its file and text; two rules may not share an id, nor the code that records call them by."""
    calendars, folder = load_calendars(settings), settings.path(settings.coupons.rules)
    rules = [(read_rule(text, file, calendars), file, text) for file, text in texts(folder, "*.toml")]
    seen: dict[str | int, str] = {}
    for rule, file, _ in rules:
        for name in (rule.id, rule.code):
            if name in seen:
                raise WrongRule(f"{file}: the id {rule.id!r} is taken by {seen[name]}: choose another")
        seen |= {rule.id: file, rule.code: file}
    waits = [rule.id for rule, _, _ in rules if rule.waits]
    if len(waits) > TIMERS:
        raise WrongRule(f"{len(waits)} rules wait, a customer's record has room for the timers of {TIMERS}")
    return rules


def load_calendars(settings: Settings) -> Calendars:
    """Raises WrongRule, WrongSettings."""
    folder = settings.path(settings.coupons.calendars)
    files = texts(folder, "*.toml") if folder.is_dir() else []
    try:
        return all_calendars({Path(file).stem: read_calendar(text, file) for file, text in files})
    except WrongCalendar as error:
        raise WrongRule(str(error)) from error


def load_conditions(catalog: Catalog, rules: list[tuple[Rule, str, str]]) -> Conditions:
    return over_catalog(rules, catalog)


def load_campaigns(settings: Settings, rules: list[tuple[Rule, str, str]], some: bool = False) -> Campaigns:
    """Those that have a file; `some`: of the rules, others may name the rest. Places that they or the rules name are in
    the stores file, if there is one. Raises WrongRule, WrongSettings, WrongStores."""
    folder, stores = settings.path(settings.coupons.campaigns), load_stores(settings)
    files = texts(folder, "*.toml") if settings.coupons.campaigns else []
    named, units = sorted({rule.then.campaign for rule, _, _ in rules}), dict[str, int]()
    for then in (gift for rule, _, _ in rules for gift in rule.then.gifts.values() if gift.coupon):
        units[then.campaign] = min(then.least_cents, units.get(then.campaign, then.least_cents))
    found: dict[str, Campaign] = {}
    for file, text in files:
        campaign = read_campaign(text, file)
        if campaign.id in found:
            raise WrongRule(f"{file}: the id {campaign.id!r} is taken by another file: choose another")
        if campaign.id not in named and not some:
            log.warning("no rule names the campaign", file=file, campaign=campaign.id, rules_name=named)
        found[campaign.id] = campaign
        if stores.places:
            check_campaign_places(campaign, file, text, stores)
    for rule, file, text in rules if stores.places else ():
        check_rule_places(rule, file, text, stores)
    without_file(rules, found)
    return Campaigns(found.values(), units)
