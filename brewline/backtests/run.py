"""Rules over an archive, share by share, on two threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

import polars as pl
from msgspec.structs import replace

from alerts.triggers.backtest import Backtest, Decision
from alerts.triggers.campaign import Campaigns
from alerts.triggers.condition import Conditions, over_catalog
from alerts.triggers.tally import Counted, count
from brewline.backtests.choice import Named, Tried
from brewline.histories.archives import Archive, Share
from config.settings import Settings
from features.archived import archived_columns, columns_read
from features.catalog import Catalog, build_catalog
from features.columns import Columns
from features.narrow import narrow
from flows.coupons import policy
from flows.files import load_catalog, load_features
from flows.rules import load_campaigns

THREADS = 2


def unlimited(campaigns: Campaigns) -> Campaigns:
    """Their dates and what one customer may get; what all customers share is not rationed, as shares know nothing of
    each other."""
    free = {"budget_cents": None, "coupons": None, "per_region": {}, "per_store": {}, "per_channel": {}}
    return Campaigns(replace(campaign, **free) for campaign in campaigns.by_id.values())


def lean(settings: Settings, rules: list[Named]) -> tuple[Catalog, Conditions]:
    """Only what the rules read is kept of a customer. Raises WrongRule, WrongFeatures."""
    rules = [(replace(rule, enabled=True), file, text) for rule, file, text in rules]
    whole = over_catalog(rules, load_catalog(settings))
    catalog = build_catalog(narrow(load_features(settings), {name for names in whole.names for name in names}))
    return catalog, over_catalog(rules, catalog)


class Run:
    """Rules over an archive, share by share."""

    def __init__(self, settings: Settings, archive: Archive, tried: Tried, assume_consent: bool, ids: bool = False):
        self.settings, self.archive, self.tried, self.ids = settings, archive, tried, ids
        self.policy = replace(policy(settings), consent="") if assume_consent else policy(settings)
        self.campaigns = load_campaigns(settings, tried.all)
        catalog, conditions = lean(settings, tried.all)
        read = {name for condition in conditions.conditions for name in condition.columns}
        self.columns = columns_read(catalog, {*read, *conditions.fields, "coupon", "campaign"}, ids)
        self.moves = {partition: archive.moves(partition) for partition in {s.partition for s in archive.shares}}

    def backtest(self) -> Backtest:
        ways = (self.policy, unlimited(self.campaigns), self.tried.span, self.ids)
        return Backtest(*lean(self.settings, self.tried.all), *ways)

    def figures(self, walk: Callable[[int], None], backtests: list[Backtest] | None = None) -> Counted:
        """Each of `backtests` has a thread of its own; `walk` is told how many events were judged."""
        free = backtests or [self.backtest() for _ in range(THREADS)]
        total, pool = Counted(), ThreadPoolExecutor(len(free))
        try:
            for done in as_completed([pool.submit(self._counted, free, share) for share in self.archive.shares]):
                total.add(done.result())
                walk(done.result().events)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return total

    def _counted(self, free: list[Backtest], share: Share) -> Counted:
        backtest = free.pop()
        try:
            judged = backtest.judge(self._columns(backtest, share))
            return count(judged, self.archive.timezone, self.archive.last_ms)
        finally:
            free.append(backtest)

    def decisions(self) -> Iterator[Decision]:
        backtest = self.backtest()
        for share in self.archive.shares:
            yield from backtest.judge(self._columns(backtest, share)).decisions()

    def _columns(self, backtest: Backtest, share: Share) -> Columns:
        return self.columns_of(backtest, self.archive.read(share, self.columns), share)

    def columns_of(self, backtest: Backtest, rows: pl.DataFrame, share: Share) -> Columns:
        return archived_columns(backtest.job.core.decoder, rows, self.moves[share.partition])
