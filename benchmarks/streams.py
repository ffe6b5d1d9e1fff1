"""Random streams of decisions: customers who look at things, rules that give coupons, campaigns that limit them."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from alerts.triggers.arms import Arms
from alerts.triggers.campaign import Campaign, Campaigns, read_campaign
from alerts.triggers.condition import over_catalog
from alerts.triggers.decide import Decider
from alerts.triggers.gifts import Then
from alerts.triggers.job import CustomersJob
from alerts.triggers.policy import Cap, Policy
from alerts.triggers.rule import Rule
from config import settings as conf
from features import events as e
from features.job import Batch
from features.labels import NO_LABELS
from features.times import DAY_MS, HOUR_MS, local_day
from flows.files import load_catalog

START_MS = 1_777_824_000_000  # Monday, 4 May 2026, 00:00 in Shanghai
ZONE = "Asia/Shanghai"
PARTITIONS = 3
STEPS_MS = (0, 1, 999, HOUR_MS, 9 * HOUR_MS, DAY_MS, 3 * DAY_MS)
STORES = ("", "s1", "s2")
WINDOWS_D = (1, 3, 7)
EXIT = "r1"  # the rule that has one


class Case(Struct):
    """`logs`: the batches of each partition; a customer is in one partition."""

    policy: Policy
    rules: list[Rule]
    campaigns: Campaigns
    logs: list[list[Batch]]
    events: list[list[e.Event]]  # by partition and offset


def random_case(rng: Random, name: str) -> Case:
    window_ms, holdout = rng.choice(WINDOWS_D) * DAY_MS, rng.choice((0.0, 0.1, 0.3))
    caps = {channel: _channel_cap(rng, window_ms) for channel in ("push", "sms") if rng.random() < 0.5}
    policy = Policy(rng.randint(1, 4), window_ms, holdout, "salt", "marketing", channel_caps=caps)
    rules = [_rule(rng, number) for number in range(3)]
    units = {rule.then.campaign: min(r.then.face_value_cents for r in rules if r.then.coupon) for rule in rules}
    campaigns = Campaigns([_campaign(rng, id) for id in ("a", "b")], units)
    events = [_events(rng, f"{name}.{partition}", policy.cap_window_ms) for partition in range(PARTITIONS)]
    return Case(policy, rules, campaigns, [_cut(rng, p, log) for p, log in enumerate(events)], events)


def _channel_cap(rng: Random, least_ms: int) -> Cap:
    """Of a window that is no shorter than events are late."""
    return Cap(rng.randint(1, 3), rng.choice([ms for d in WINDOWS_D if (ms := d * DAY_MS) >= least_ms]))


def _rule(rng: Random, number: int) -> Rule:
    """Who is inside the rule EXIT leaves it at the store `s2`; the last one may be a message, or asks no cap."""
    channel, capped = rng.choice(("push", "sms")), True
    then = Then(f"c{number}", rng.choice((100, 300, 500)), campaign=rng.choice(("a", "b", "free")), channel=channel)
    if number == 2 and (kind := rng.choice(("capped", "earned", "message"))) != "capped":
        then, capped = Then(message="m", channel=channel) if kind == "message" else then, False
    cooldown = rng.choice(("0s", "1s", "9h", "3d"))
    rule = Rule(id=f"r{number}", on=["view"], when="views_1h >= 1", then=then, cooldown=cooldown, capped=capped)
    return replace(rule, exit="store = 's2'", exit_on=["app_open"]) if rule.id == EXIT else rule


def _campaign(rng: Random, id: str) -> Campaign:
    lines = [f'id = "{id}"']
    if rng.random() < 0.7:
        lines.append(f"budget_cents = {rng.choice((0, 700, 2_000, 5_000))}")
    if rng.random() < 0.5:
        lines.append(f"coupons = {rng.randint(0, 20)}")
    if rng.random() < 0.5:
        lines.append(f"coupons_per_customer = {rng.randint(1, 3)}")
    if rng.random() < 0.3:
        lines += ["from = 2026-05-05", "until = 2026-05-12T00:00:00+08:00"]
    if rng.random() < 0.3:
        lines += ["[per_store]", f"s1 = {rng.choice((300, 1_000))}", "default = 1_500"]
    return read_campaign("\n".join(lines), f"{id}.toml")


def _events(rng: Random, name: str, late_ms: int) -> list[e.Event]:
    """Mostly in order of time; some come late, at most as late as the cap looks back."""
    at_ms, log = START_MS, list[e.Event]()
    for customer in range(4):
        log.append(_consent(f"{name}.g{customer}", f"{name}.{customer}", at_ms, True))
    for number in range(rng.randint(5, 25)):
        at_ms += rng.choice(STEPS_MS)
        then_ms = at_ms if rng.random() < 0.8 else max(START_MS, at_ms - rng.randrange(late_ms))
        customer = f"{name}.{rng.randrange(4)}"
        if (kind := rng.random()) < 0.1:
            log.append(_consent(f"{name}.{number}", customer, then_ms, rng.random() < 0.6))
        elif kind < 0.2:
            log.append(_suppress(rng, f"{name}.{number}", customer, then_ms))
        else:
            seen, day, store = e.AppOpen if kind < 0.3 else e.View, local_day(then_ms, ZONE), rng.choice(STORES)
            log.append(seen(id=f"{name}.{number}", customer=customer, at_ms=then_ms, day=day, tz=ZONE, store=store))
    return log


def _suppress(rng: Random, id: str, customer: str, at_ms: int) -> e.Event:
    lift, until_ms = rng.random() < 0.4, rng.choice((0, at_ms + 1, at_ms + HOUR_MS, at_ms + DAY_MS))
    reason = rng.choice(("", "review") if lift else ("complaint", "review"))
    return e.Suppress(id=id, customer=customer, at_ms=at_ms, tz=ZONE, reason=reason, until_ms=until_ms, lift=lift)


def _consent(id: str, customer: str, at_ms: int, granted: bool) -> e.Event:
    day = local_day(at_ms, ZONE)
    return e.Consent(id=id, customer=customer, at_ms=at_ms, day=day, tz=ZONE, purpose="marketing", granted=granted)


def _cut(rng: Random, partition: int, log: list[e.Event]) -> list[Batch]:
    values = [e.encode(event) for event in log]
    whole = Batch("events", partition, -1, [*range(len(values))], values, [0] * len(values))
    edges = sorted({0, len(values), *(rng.randrange(len(values)) for _ in range(rng.randint(0, 4)))})
    return [whole.cut(start, stop) for start, stop in pairwise(edges)]


class Bench:
    """One customers job, set up anew for each case: to compile one takes longer than a case."""

    def __init__(self) -> None:
        catalog = load_catalog(conf.load(environ={}))
        rules = [_rule(Random(0), number) for number in range(3)]
        conditions = over_catalog([(rule, rule.id, "") for rule in rules], catalog)
        catalog = catalog.narrowed(["views_1h"])
        policy = Policy(1, DAY_MS, 0.0, "salt", "marketing")
        decider = Decider(catalog, conditions, policy, "coupons", "decisions")
        self.job = CustomersJob(catalog, decider, NO_LABELS, "examples", "dead-letters")

    def set_up(self, case: Case) -> CustomersJob:
        decider = self.job.decider
        decider.policy, decider.campaigns = case.policy, case.campaigns
        decider.conditions.rules[:] = [replace(rule, version="1") for rule in case.rules]
        decider.arms = Arms(decider.conditions.rules, case.policy.holdout_salt, case.policy.least_share)
        return self.job
