"""`brewline rules backtest`: what rules would have done with a past, without doing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from alerts.triggers.backtest import Backtest, Decision, Span
from alerts.triggers.condition import Conditions, over_catalog
from alerts.triggers.policy import Policy
from alerts.triggers.rule import Rule, WrongRule, hint, read_rule
from alerts.triggers.tally import Counted, count
from brewline.histories.archives import Archive, Share
from config.settings import Settings
from features.catalog import Catalog, build_catalog
from features.kept import columns_read, kept_columns
from features.narrow import narrow
from features.times import parse_duration, parse_time
from flows.files import load_catalog, load_features
from flows.rules import load_rules

Named = tuple[Rule, str, str]  # rule, file, text
FACTS = {"store", "region", "channel"}
THREADS = 2


class Tried(Struct):
    """The rules under test, those they are held against, and when they are asked."""

    rules: list[Named]
    against: list[Named]
    span: Span

    @property
    def all(self) -> list[Named]:
        return [*self.rules, *self.against]


def choose(settings: Settings, names: list[str], against: list[str], every: bool, span: Span) -> Tried:
    """Rules by id or by file; a draft whose id is taken is called `<id>-draft`. Raises WrongRule."""
    known = {rule.id: (rule, file, text) for rule, file, text in load_rules(settings)}
    if not (names or every):
        raise WrongRule(f"name a rule{hint('', known)}; or a file, or --all")
    chosen = [_find(name, known) for name in names] + ([*known.values()] if every else [])
    rules = _apart([], chosen)
    others = _apart(rules, [_find(name, known) for name in against])
    return Tried(rules, [one for one in others if one not in rules], span)


def _find(name: str, known: dict[str, Named]) -> Named:
    path = Path(name)
    if name in known:
        return known[name]
    if not path.is_file():
        what = f"{name}: there is no such file" if path.suffix == ".toml" else f"there is no rule {name!r}"
        raise WrongRule(f"{what}{hint(name, known)}")
    text = path.read_text("utf-8")
    return read_rule(text, name), name, text


def _apart(before: list[Named], chosen: list[Named]) -> list[Named]:
    """The same rule once, and different rules of one id under different names."""
    found: list[Named] = []
    for rule, file, text in chosen:
        same = [one for one, _, _ in [*before, *found] if one.version == rule.version and one.id == rule.id]
        if same:
            continue
        taken = {one.id for one, _, _ in [*before, *found]}
        while rule.id in taken:
            rule = replace(rule, id=f"{rule.id}-draft")
        found.append((rule, file, text))
    return found


def span_of(from_text: str | None, to_text: str | None) -> Span:
    """What was typed. Raises ValueError."""
    from_ms, to_ms = (parse_time(int(t) if t.isdigit() else t) if t else None for t in (from_text, to_text))
    span = Span(*(ms if ms is not None else default for ms, default in zip((from_ms, to_ms), (0, 2**62), strict=True)))
    if span.from_ms >= span.to_ms:
        raise ValueError(f"--from {from_text} is not before --to {to_text}")
    return span


def policy(settings: Settings, assume_consent: bool) -> Policy:
    c = settings.coupons
    consent = "" if assume_consent else c.require_consent
    return Policy(c.cap, parse_duration(c.cap_window), c.holdout_percent / 100, c.holdout_salt, consent)


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
        self.policy = policy(settings, assume_consent)
        catalog, conditions = lean(settings, tried.all)
        self.columns = columns_read(catalog, {*conditions.fields, *FACTS, "coupon", "campaign"}, ids)
        self.moves = {partition: archive.moves(partition) for partition in {s.partition for s in archive.shares}}

    def backtest(self) -> Backtest:
        return Backtest(*lean(self.settings, self.tried.all), self.policy, self.tried.span, self.ids)

    def figures(self, walk: Callable[[int], None], threads: int = THREADS) -> Counted:
        """`walk` is told how many events were judged."""
        total, free = Counted(), [self.backtest() for _ in range(threads)]

        def one(share: Share) -> tuple[int, Counted]:
            backtest = free.pop()
            try:
                judged = backtest.judge(self._columns(backtest, share))
                return share.length, count(judged, self.archive.timezone, self.archive.last_ms)
            finally:
                free.append(backtest)

        pool = ThreadPoolExecutor(threads)
        try:
            for done in as_completed([pool.submit(one, share) for share in self.archive.shares]):
                events, counted = done.result()
                total.add(counted)
                walk(events)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return total

    def decisions(self) -> Iterator[Decision]:
        backtest = self.backtest()
        for share in self.archive.shares:
            yield from backtest.judge(self._columns(backtest, share)).decisions()

    def _columns(self, backtest: Backtest, share: Share) -> Any:
        rows = self.archive.read(share, self.columns)
        return kept_columns(backtest.job.core.decoder, rows, self.moves[share.partition])
