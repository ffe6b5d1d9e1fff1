"""Why a customer got a coupon or did not: what was decided, and what a rule would decide now."""

from __future__ import annotations

from collections.abc import Mapping
from zlib import crc32

import orjson
from msgspec import to_builtins
from rich.console import Console

from alerts.triggers.brake import Brakes
from alerts.triggers.calendar import Calendars
from alerts.triggers.campaign import Campaigns, Place
from alerts.triggers.condition import OF_EVENTS, Conditions
from alerts.triggers.gates import Gate, Standing, gates
from alerts.triggers.gifts import Then, WrongRule
from alerts.triggers.lease import Lease
from alerts.triggers.moments import CLOCK
from alerts.triggers.offered import first_of, offer_of
from alerts.triggers.points import Request, request_of
from alerts.triggers.receipts import spoken
from alerts.triggers.receipts.clauses import Value
from alerts.triggers.receipts.explain import Outlook, Score, Told, outlook, told, told_event
from alerts.triggers.rule import Rule, read_rule
from brewline.campaigns import read_spent
from brewline.reading import Features
from brewline.why_shown import Why, show
from config.settings import Settings
from features.columns import KINDS
from features.models import input_layouts, largest
from features.partitions import partition_of
from features.record import Record
from features.scoring import scored
from features.times import local_ms
from features.written import hint
from features.zones import zone_name
from flows.coupons import policy
from flows.keys import load_pseudonyms
from flows.rules import load_calendars, load_campaigns, load_conditions, load_rules
from operators.customers import find_customer, read_current
from operators.health import configure_logs
from operators.models import published
from operators.receipts import known_rules, read_receipts
from operators.redis_link import connect_redis
from operators.store import PartitionStore

TOP_TERMS = 5
Named = tuple[Rule, str, str]  # rule, file, text
UNZONED = "UTC"


def show_why(settings: Settings, id: str, rule: str, at_ms: int, as_json: bool, out: Console) -> None:
    """Prints it. Raises UnknownCustomer, Unreachable, NoState, WrongLayout, WrongRule, ValueError for no such rule."""
    configure_logs("warning", "text")  # to stderr
    why = Explaining(settings, id).why(rule, at_ms)
    if as_json:
        shown = orjson.dumps(to_builtins(why), option=orjson.OPT_INDENT_2).decode()
        out.print(shown, soft_wrap=True, highlight=False, markup=False)
    else:
        show(why, out)


class Explaining:
    """One customer and the rules as they stand; `features` and `rules`, where they are at hand."""

    def __init__(
        self,
        settings: Settings,
        id: str,
        features: Features | None = None,
        rules: tuple[list[Named], Conditions, Campaigns] | None = None,
    ) -> None:
        self.settings, self.prefix = settings, settings.redis.prefix
        redis = settings.redis
        self.features = features or Features(settings, connect_redis(redis.url, redis.start_timeout_s))
        self.redis = self.features.redis
        pseudonyms = load_pseudonyms(settings) if ":" in id else None
        self.customer, self.raw = read_current(
            self.redis, self.prefix, find_customer(self.redis, self.prefix, pseudonyms, id)
        )
        self.record: Record = self.features.unpacked(self.raw)
        self.zone = _zone(self.record)
        loaded, self.conditions, self.campaigns = rules or self._loaded()
        self.rules = {rule.id: rule for rule, _, _ in loaded}

    def _loaded(self) -> tuple[list[Named], Conditions, Campaigns]:
        loaded = load_rules(self.settings)
        return loaded, load_conditions(self.features.catalog, loaded), load_campaigns(self.settings, loaded)

    def why(self, rule: str, at_ms: int) -> Why:
        found = self.outlook(rule, at_ms) if rule else None
        return Why(self.customer, self.zone, at_ms, self.decisions(rule), found)

    def _rule(self, id: str) -> Rule:
        if id not in self.rules:
            raise ValueError(f"there is no rule {id!r}{hint(id, self.rules)}")
        return self.rules[id]

    def decisions(self, rule: str) -> list[Told]:
        """Also those for customers who have become one with this one."""
        names = [self.customer, *self.record.ledger.taken]
        found = read_receipts(self.redis, self.prefix, self.features.partitions, names)
        found = [kept for kept in found if not rule or kept.rule == rule]
        texts = known_rules(self.redis, self.prefix, (kept.rule_version for kept in found))
        calendars = load_calendars(self.settings)
        rules = {version: _read(text, calendars) for version, text in texts.items()} | {
            r.version: r for r in self.rules.values()
        }
        schema = self.conditions.schema
        return [told(kept, rules.get(kept.rule_version), self.rules.get(kept.rule), schema) for kept in found]

    def outlook(self, id: str, at_ms: int) -> Outlook:
        """Raises ValueError for no such rule."""
        rule = self._rule(id)
        row = self.features.rows([self.customer], self.features.core.rows({self.customer: self.raw}, at_ms))
        scores = self._scores(rule, at_ms)
        values: dict[str, Value] = {**dict.fromkeys(OF_EVENTS), **row[self.customer]}
        values |= {name: score.value for name, score in scores.items()} | self._facts(rule, at_ms)
        due_ms = next((self._held(rule, due) for code, due, _ in self.record.timers if code == rule.code), 0)
        seen_ms = self.record.last_ms.get(KINDS[rule.after.event]) if rule.after else None
        shut = self._gates(rule, values, at_ms)
        return outlook(rule, values, scores, shut, self.conditions.schema, at_ms, due_ms, seen_ms)

    def _held(self, rule: Rule, due_ms: int) -> int:
        """When a wait that is over then is looked at: a rule that holds waits for quiet hours to end."""
        return due_ms + (self._quiet_ms(due_ms) if rule.in_quiet_hours == "hold" else 0)

    def _quiet_ms(self, at_ms: int) -> int:
        return policy(self.settings).quiet.left_ms(local_ms(at_ms, self.zone))

    def _facts(self, rule: Rule, at_ms: int) -> dict[str, Value]:
        local = local_ms(at_ms, self.zone)
        told = dict.fromkeys(("event", "store", "region", "brand", "channel"))
        return {**told, "event": told_event(rule) or None, **{name: int(of(local)) for name, of in CLOCK.items()}}

    def _scores(self, rule: Rule, at_ms: int) -> dict[str, Score]:
        """By the models that are published now, of what the rule offers."""
        catalog = self.features.catalog
        models = published(self.redis, self.prefix, input_layouts(catalog))
        row = self.features.core.rows({self.customer: self.raw}, at_ms)
        scores, offer = {name: Score(None, {}) for name in catalog.models}, offer_of(rule, first_of(rule))
        for name, model in models.items():
            found, added = scored(model, catalog.tasks[name].target, row[:, catalog.models[name]], offer)
            scores[name] = Score(round(float(found[0]), 6), largest(model, added, TOP_TERMS)[0], model.version)
        return scores

    def _gates(self, rule: Rule, values: Mapping[str, Value], at_ms: int) -> list[tuple[Gate, str]]:
        asked, then = policy(self.settings), rule.then.to(values)
        since_ms, granted = self.record.consent.get(crc32(asked.consent.encode()), (0, False))
        local, consented = local_ms(at_ms, self.zone), granted and since_ms <= at_ms
        request = self._least(rule, values)
        standing = Standing(self.customer, self.record.ledger, at_ms, local, consented, request=request)
        rivals = [r.id for r in self.rules.values() if rule.group and r.group == rule.group and r != rule]
        found = [*gates(rule, rivals, asked, standing), *self._of_campaign(then, at_ms, local)]
        if request:
            [gate] = [gate for gate in found if gate.outcome == "no_points"]
            gate.because = spoken.points(request.points, gate.because)
        return [(gate, spoken.barrier(gate, asked, self.zone)) for gate in found]

    def _least(self, rule: Rule, values: Mapping[str, Value]) -> Request | None:
        """Of a rule that a customer pays: as if they asked for the least that it takes."""
        worth = rule.then.worth
        least = {worth.of: worth.least} if worth else {}
        return request_of(rule, {**values, **least}, "", self.record.ledger)

    def _of_campaign(self, then: Then, at_ms: int, local: int) -> list[Gate]:
        """Whether it runs, and has something left, by what the partitions say they have spent; nothing for a rule whose
        campaign has no file and is not paused. What a region, a store or a channel has left, and whether it is paused
        there, is not known before the event."""
        if brake := self._brakes().pulled(then.campaign, {}):
            return [Gate("paused", False, because=spoken.brake(brake, self.zone))]
        if then.campaign not in self.campaigns.by_id:
            return []
        spent, _ = read_spent(self.redis, self.prefix)
        outcome, _ = self.campaigns.outcome(then, Place(at_ms, local), self.record.ledger, Lease(None, spent))
        return [Gate("campaign" if outcome == "issued" else outcome, outcome == "issued", rule=then.campaign)]

    def _brakes(self) -> Brakes:
        """As the customer's partition knows them."""
        store = PartitionStore(self.redis, self.prefix, "customers")
        return Brakes.of(store.stored_brakes(partition_of(self.customer, self.features.partitions)))


def _read(text: str, calendars: Calendars) -> Rule | None:
    """A rule file of before; nothing if what it says is not understood any more."""
    try:
        return read_rule(text, "kept", calendars)
    except WrongRule:
        return None


def _zone(record: Record) -> str:
    try:
        return zone_name(record.zone)
    except KeyError:
        return UNZONED
