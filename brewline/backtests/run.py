"""Rules over an archive, share by share, on two threads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

import polars as pl
from msgspec.structs import replace

from alerts.triggers.backtests.backtest import Backtest, Decision, Judged, Rationed
from alerts.triggers.backtests.tally import Counted, count
from alerts.triggers.campaign import SINCE
from alerts.triggers.condition import Conditions, over_catalog
from brewline.backtests.choice import Chosen, Named
from brewline.histories.archives import Archive, Share
from config.settings import Settings
from features.archived import archived_columns, columns_read
from features.building import build_catalog
from features.catalog import Catalog
from features.columns import Columns
from features.models import LinearModel
from features.narrow import asked_models, narrow
from flows.coupons import policy
from flows.files import load_catalog, load_features, load_tasks
from flows.rules import load_campaigns

T = TypeVar("T")
THREADS = 2


def lean(settings: Settings, rules: list[Named], scored: bool = False) -> tuple[Catalog, Conditions]:
    """Only what the rules read is kept of a customer; `scored`: and the models that they ask. Raises WrongRule,
    WrongFeatures."""
    rules = [(replace(rule, enabled=True), file, text) for rule, file, text in rules]
    whole = over_catalog(rules, load_catalog(settings))
    names = {n for names in whole.names for n in names}
    tasks = asked_models(load_tasks(settings), names, scored)
    catalog = build_catalog(narrow(load_features(settings), names, tasks), tasks=tasks)
    return catalog, over_catalog(rules, catalog)


class Run:
    """Rules over an archive, share by share. `models`: those that score; without any, there are no scores."""

    def __init__(
        self,
        settings: Settings,
        archive: Archive,
        chosen: Chosen,
        assume_consent: bool,
        ids: bool = False,
        models: Mapping[str, LinearModel] | None = None,
    ) -> None:
        self.settings, self.archive, self.chosen, self.ids, self.models = settings, archive, chosen, ids, models or {}
        self.policy = replace(policy(settings), consent="") if assume_consent else policy(settings)
        self.campaigns = load_campaigns(settings, chosen.all, some=True)
        catalog, conditions = self._lean()
        read = {name for condition in conditions.conditions for name in condition.columns}
        read |= {*conditions.fields, "coupon", "campaign"}
        self.columns = columns_read(catalog, read, ids or conditions.spends)
        self.moves = {partition: archive.moves(partition) for partition in {s.partition for s in archive.shares}}

    def _lean(self) -> tuple[Catalog, Conditions]:
        return lean(self.settings, self.chosen.all, bool(self.models))

    def backtest(self) -> Backtest:
        of = (self.policy, self.campaigns, self.chosen.span, self.ids, self.models, self.chosen.worlds)
        return Backtest(*self._lean(), *of)

    def figures(self, walk: Callable[[int], None], backtests: list[Backtest] | None = None) -> Counted:
        """Each of `backtests` has a thread of its own; `walk` is told how many events were judged.

        Shares know nothing of each other. So they are first judged as if campaigns had no limits; where one would have
        been passed in a world, all are decided once more, one after the other.
        """
        free = backtests or [self.backtest() for _ in range(THREADS)]
        total = Counted()
        for counted in self._each(free, self._counted):
            total.add(counted)
            walk(counted.events)
        return self._rationed(free) if self._over(total.spent) else total

    def _over(self, worlds: list[Counter[str]]) -> bool:
        spent = [(pot, n) for each in worlds for pot, n in each.items() if not pot.endswith(f"/{SINCE}")]
        return any((limit := self.campaigns.limit(pot)) is not None and n > limit for pot, n in spent)

    def _each(self, free: list[Backtest], work: Callable[[Backtest, int], T]) -> Iterator[T]:
        """The work on each share by number, as it is done."""

        def do(share: int) -> T:
            backtest = free.pop()
            try:
                return work(backtest, share)
            finally:
                free.append(backtest)

        pool = ThreadPoolExecutor(len(free))
        try:
            for done in as_completed([pool.submit(do, share) for share in range(len(self.archive.shares))]):
                yield done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _counted(self, backtest: Backtest, share: int) -> Counted:
        return self._count(backtest.judge(self._columns(backtest, share)))

    def _count(self, judged: list[Judged]) -> Counted:
        return count(judged, self.archive.timezone, self.archive.last_ms)

    def _rationed(self, free: list[Backtest]) -> Counted:
        total = Counted()
        rationed, judged = self._judged(free)
        for one in judged:
            total.add(self._count(one))
        total.spent, total.ran_out = [Counter(one.spent) for one in rationed], [one.ran_out for one in rationed]
        return total

    def _judged(self, free: list[Backtest]) -> tuple[list[Rationed], Iterator[list[Judged]]]:
        """All shares under the campaigns' limits, by world; their columns are read once more, one after the other."""
        helds = dict(self._each(free, lambda backtest, i: (i, backtest.hold(self._columns(backtest, i)))))
        backtest, ordered = free[0], [helds[i] for i in range(len(self.archive.shares))]
        rationed = [backtest.ration(list(shares)) for shares in zip(*ordered, strict=True)]

        def judged(share: int) -> list[Judged]:
            columns = self._columns(backtest, share)
            return [
                backtest.judged(columns, held.asked, held.near, found.noted[share], {}, world)
                for world, (held, found) in enumerate(zip(ordered[share], rationed, strict=True))
            ]

        return rationed, map(judged, range(len(ordered)))

    def decisions(self, world: int = 0) -> Iterator[Decision]:
        """Of a world, share by share; under the campaigns' limits where one would have been passed."""
        backtest, total, shares = self.backtest(), Counted(), range(len(self.archive.shares))
        for share in shares:
            total.add(self._counted(backtest, share))
        if self._over(total.spent):
            judged = self._judged([backtest])[1]
        else:
            judged = (backtest.judge(self._columns(backtest, i)) for i in shares)
        for one in judged:
            yield from one[world].decisions()

    def _columns(self, backtest: Backtest, share: int) -> Columns:
        one = self.archive.shares[share]
        return self.columns_of(backtest, self.archive.read(one, self.columns), one)

    def columns_of(self, backtest: Backtest, rows: pl.DataFrame, share: Share) -> Columns:
        return archived_columns(backtest.job.core.decoder, rows, self.moves[share.partition])
