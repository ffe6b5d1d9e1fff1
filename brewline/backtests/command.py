"""The command: opens the history, tries the rules, prints and writes the figures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from alerts.triggers.backtests.backtest import Span
from alerts.triggers.backtests.tally import Counted
from alerts.triggers.rule import Rule
from brewline.backtests.choice import AGAINST, Chosen
from brewline.backtests.figures import Figures, campaign_figures, rule_figures
from brewline.backtests.plot import write_plot
from brewline.backtests.run import Run
from brewline.backtests.tables import print_tables
from brewline.histories import WrongHistory
from brewline.histories.archives import Archive, open_archive
from brewline.results import write_json
from config.settings import Settings
from features.models import LinearModel, input_layouts
from features.times import rfc3339
from flows.files import load_catalog
from operators.models import published
from operators.redis_link import connect_redis


class Asked(Struct):
    """What was typed, beside the rules."""

    history: str
    assume_consent: bool
    json: Path | None
    plot: Path | None
    scores: str = "none"  # or "now": by the models that are published now


def backtest(settings: Settings, chosen: Chosen, asked: Asked, out: Console) -> Figures:
    """Raises WrongRule, WrongHistory, Unreachable; KeyboardInterrupt once what runs has ended."""
    with bar(out) as progress:
        archive = opened(settings, asked.history, progress)
        require_inside(archive, chosen.span)
        models = published_models(settings) if asked.scores == "now" else {}
        figures = tried_over(settings, archive, chosen, asked.assume_consent, progress, models)
    out.print(
        f"{figures['events']:,} events of {figures['customers']:,} customers,"
        f" {figures['first']} to {figures['last']}; {figures['events_per_s']:,} events/s",
        highlight=False,
        soft_wrap=True,
    )
    if asked.scores == "now":
        out.print(_scored(figures["scores"]), highlight=False, soft_wrap=True)
    for reason, count in figures["refused"].items():
        out.print(f"left out, as ingest would: {count:,} {reason}", highlight=False)
    print_tables(figures, out)
    if not asked.assume_consent and all(_refused(rule) for rule in figures["rules"].values()):
        out.print("nobody had consented in this history: --assume-consent tries the rules as if all had")
    write_json(asked.json, figures)
    write_plot(asked.plot, figures)
    return figures


def published_models(settings: Settings) -> dict[str, LinearModel]:
    """Those that score now. Raises Unreachable."""
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    return published(redis, settings.redis.prefix, input_layouts(load_catalog(settings)))


def opened(settings: Settings, history: str, progress: Progress) -> Archive:
    task = progress.add_task(f"reading {history}", total=None)
    found = open_archive(settings, history, lambda done, total: progress.update(task, completed=done, total=total))
    progress.update(task, completed=found.events, total=found.events)
    return found


def _scored(versions: dict[str, int]) -> str:
    if not versions:
        return "no model is published that fits the features: there are no scores"
    named = ", ".join(f"{name} version {version}" for name, version in versions.items())
    return f"scored by the models of today ({named}), which have learned from what this history did not know yet"


def tried_over(
    settings: Settings,
    archive: Archive,
    chosen: Chosen,
    assume_consent: bool,
    progress: Progress,
    models: Mapping[str, LinearModel] | None = None,
) -> Figures:
    run = Run(settings, archive, chosen, assume_consent, models=models)
    task = progress.add_task("trying", total=archive.events)
    started_s = time.perf_counter()
    counted = run.figures(lambda events: progress.advance(task, events))
    seconds = time.perf_counter() - started_s
    named = {name: chosen.all[i][0] for world in chosen.worlds for i, name in world.names.items()}
    rules = {name: rule_figures(rule, counted.rules[name]) for name, rule in named.items()}
    return {
        "history": archive.name,
        "timezone": archive.timezone,
        "first": rfc3339(archive.first_ms),
        "last": rfc3339(archive.last_ms),
        "from": rfc3339(max(chosen.span.from_ms, archive.first_ms)),
        "to": rfc3339(min(chosen.span.to_ms, archive.last_ms)),
        "consent_assumed": assume_consent,
        "refused": archive.refused,
        "events": counted.events,
        "customers": counted.customers,
        "seconds": round(seconds, 3),
        "events_per_s": round(counted.events / seconds),
        "campaigns": _of_campaigns(run, named, rules, counted),
        "worlds": [[*world.names.values()] for world in chosen.worlds],
        "scores": {name: model.version for name, model in (models or {}).items()},
        "rules": rules,
    }


def _of_campaigns(run: Run, named: dict[str, Rule], rules: Figures, counted: Counted) -> Figures:
    """Each world has pots of its own."""
    found: Figures = {}
    for number, world in enumerate(run.chosen.worlds):
        of = {name: named[name].then.campaign for name in world.names.values()}
        ran_out = counted.ran_out[number] if counted.ran_out else {}
        mine = campaign_figures(run.campaigns, {name: rules[name] for name in of}, of, ran_out)
        found |= {f"{id}{AGAINST if number else ''}": seen for id, seen in mine.items()}
    return found


def require_inside(archive: Archive, span: Span) -> None:
    """Raises WrongHistory when nothing of the history lies between."""
    if span.to_ms <= archive.first_ms or span.from_ms > archive.last_ms:
        raise WrongHistory(
            f"{archive.name} reaches from {rfc3339(archive.first_ms)} to {rfc3339(archive.last_ms)}:"
            " nothing of it lies between --from and --to"
        )


def _refused(rule: Figures) -> bool:
    return set(rule["outcomes"]) == {"no_consent"}


@contextmanager
def bar(out: Console) -> Iterator[Progress]:
    columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=out) as progress:
        yield progress
