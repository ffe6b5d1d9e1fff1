"""Moments at which a rule's condition held, in the order in which they are decided, with all that explains them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from alerts.triggers.campaign import Place
from alerts.triggers.condition import Conditions
from alerts.triggers.moments import Moments, Seen
from alerts.triggers.rule import Rule
from alerts.triggers.simple import Look
from features.catalog import Catalog
from features.customer import Applied
from features.kernel.arrays import Ints
from features.models import LinearModel, Matrix, largest, top_terms
from features.offers import Offer
from features.refusals import Columns, rows_of
from features.scoring import terms_of_offer
from features.tasks import OF_COUPONS

TOP_TERMS = 5


class Candidate(Struct, gc=False):
    """A moment at which a rule's condition held."""

    rule: Rule
    who: int
    customer: str
    at_ms: int
    cause: str  # event id, or timer and due time
    stamp_ms: int
    clock_ms: int
    consented: bool
    rivals: list[str]  # the other rules of its group
    place: Place
    values: dict[str, float | bool | str | None]
    terms: dict[str, dict[str, float]]
    context: str  # of a rule that learns by one
    moment: int  # index of the moments
    models: dict[str, int]  # that its scores come from, each with its version


class Candidates:
    """Finds them for a set of rules."""

    def __init__(self, catalog: Catalog, conditions: Conditions) -> None:
        self.catalog = catalog
        self.conditions = conditions
        rules = conditions.rules
        self.ranks = _ranks(range(len(rules)), key=lambda i: -rules[i].priority)
        self.timer_ranks = _ranks(range(len(rules)), key=lambda i: (-rules[i].priority, f"{rules[i].id}|"))
        self.contexts = {j: rule.then.context for j, rule in enumerate(rules) if rule.then.context}
        self.rivals = [[r.id for r in rules if rule.group and r.group == rule.group and r != rule] for rule in rules]

    def at(
        self, at: Ints, rule: Ints, moments: Moments, applied: Applied, seen: Seen, keys: list[str]
    ) -> Iterator[Candidate]:
        """One for each of some moments and rules; `keys`: what campaigns have budgets by."""
        rules = [self.conditions.rules[j] for j in rule.tolist()]
        who = moments.who[at].tolist()
        customers = [applied.customers[w] for w in who]
        at_ms, stamps_ms = moments.at_ms[at].tolist(), moments.stamps_ms[at].tolist()
        causes = self.causes(moments, at, rules, customers, at_ms)
        values, moved = self.explained(seen, applied.rows, moments.rows, at, rule)
        clocks_ms, consented = moments.clock_ms[at].tolist(), (moments.consented[at] != 0).tolist()
        places = _places(seen.look, at, at_ms, moments, keys)
        rivals = [self.rivals[j] for j in rule.tolist()]
        then = (at_ms, causes, stamps_ms, clocks_ms, consented)
        models = {j: self.models(seen, j) for j in np.unique(rule).tolist()}
        more = (self._contexts(seen, at, rule), at.tolist(), [models[j] for j in rule.tolist()])
        return map(Candidate, rules, who, customers, *then, rivals, places, values, moved, *more)

    def models(self, seen: Seen, rule: int) -> dict[str, int]:
        """That its scores come from, each with its version."""
        return {name: seen.models[name].version for name in self.conditions.names[rule] if name in seen.models}

    def _contexts(self, seen: Seen, at: Ints, rule: Ints) -> list[str]:
        found = [""] * len(at)
        for j, name in self.contexts.items():
            mine = np.flatnonzero(rule == j)
            for i, text in zip(mine.tolist(), seen.look(name, at[mine]).tolist() if len(mine) else [], strict=True):
                found[i] = text
        return found

    def in_order(self, held: npt.NDArray[np.bool_], moments: Moments, customers: list[str]) -> tuple[Ints, Ints]:
        """Moments and rules of bool[n, rules] by place, then priority; of one tick's timers, the earliest due first."""
        at, rule = np.nonzero(held)
        timer = moments.event[at] < 0
        due_ms, ranks = np.where(timer, moments.at_ms[at], 0), np.where(timer, self.timer_ranks[rule], self.ranks[rule])
        order = np.lexsort((ranks, due_ms, moments.place[at]))
        keys = np.stack((moments.place[at], due_ms, ranks))[:, order]
        same = np.flatnonzero((keys[:, 1:] == keys[:, :-1]).all(axis=0))
        if len(same):
            names = [customers[w] for w in moments.who[at].tolist()]
            places = {name: place for place, name in enumerate(sorted(set(names)))}
            order = np.lexsort((np.array([places[name] for name in names]), ranks, due_ms, moments.place[at]))
        return at[order], rule[order]

    def causes(
        self, moments: Moments, at: Ints, rules: list[Rule], customers: list[str], at_ms: list[int]
    ) -> list[str]:
        """By candidate: the event's id, or the timer with the time when it was due."""
        event = moments.event[at]
        ids = iter(moments.columns.texts("id", event[event >= 0]))
        return [
            next(ids) if of_event else f"rule|{rule.id}|{customer}|{ms}"
            for of_event, rule, customer, ms in zip((event >= 0).tolist(), rules, customers, at_ms, strict=True)
        ]

    def explained(self, seen: Seen, features: Matrix, rows: Ints, at: Ints, rule: Ints) -> tuple[list[Any], list[Any]]:
        """By candidate: the values that its rule looked at, and what moved its scores."""
        told, moved = np.empty((2, len(at)), dtype=object)
        for j in np.unique(rule).tolist():
            places = np.flatnonzero(rule == j)
            values, terms = self.explained_of(j, seen, features, rows, at[places])
            told[places], moved[places] = rows_of(values, len(places)), rows_of(terms, len(places))
        return told.tolist(), moved.tolist()

    def explained_of(self, rule: int, seen: Seen, features: Matrix, rows: Ints, at: Ints) -> tuple[Columns, Columns]:
        """The same of one rule, by name."""
        names = [*self.conditions.names[rule], *self.conditions.facts[rule]]
        look, offer = seen.looks(rule), seen.offers.get(rule)
        models = [name for name in self.catalog.models if name in names]
        mine = features[rows[at]] if models else features
        terms = {name: self._terms(seen.models.get(name), name, mine, offer) for name in models}
        return {name: plain(look(name, at)) for name in names}, terms

    def _terms(self, model: LinearModel | None, name: str, rows: Matrix, offer: Offer | None) -> list[dict[str, float]]:
        if model is None:
            return [{}] * len(rows)
        inputs, target = rows[:, self.catalog.models[name]], self.catalog.tasks[name].target
        if target in OF_COUPONS and offer:
            return largest(model, terms_of_offer(model, target, inputs, offer), TOP_TERMS)
        return top_terms(model, inputs, TOP_TERMS)


def _ranks(rules: Iterable[int], key: Callable[[int], Any]) -> Ints:
    """By rule: its place in that order."""
    return np.argsort(np.array(sorted(rules, key=key), dtype=np.int64))


def _places(look: Look, at: Ints, at_ms: list[int], moments: Moments, keys: list[str]) -> list[Place]:
    names = rows_of({key: look(key, at).tolist() for key in keys}, len(at))
    return list(map(Place, at_ms, moments.local_ms[at].tolist(), names))


def plain(values: npt.NDArray[Any]) -> list[float | bool | str | None]:
    """Texts, flags, or numbers of six digits; None where there is none."""
    if values.dtype == object:
        return [None if value == "" else value for value in values.tolist()]
    whole = bool((np.rint(values) == values).all())
    return [*values.tolist()] if whole else [None if value != value else round(value, 6) for value in values.tolist()]
