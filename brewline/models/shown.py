"""Models in tables and as JSON: versions, figures beside baselines, reliability, what is wrong, history."""

from __future__ import annotations

from typing import Any

import orjson
from msgspec.structs import asdict
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from brewline.models.reading import Known, read_model, read_models
from config.settings import Settings
from features.quality import LOGIT, Bin, reliability
from features.times import rfc3339
from features.versions import Version

FIGURES = {
    LOGIT: ("log_loss", "roc_auc", "pr_auc", "calibration_error"),
}
OF_NUMBERS = ("mean_poisson_deviance", "mean_absolute_error")


def list_models(settings: Settings, as_json: bool, out: Console) -> None:
    """Prints all versions that are kept. Raises Unreachable."""
    models = read_models(settings)
    if as_json:
        _print_json({"models": [row for known in models.values() for row in rows(known)]}, out)
        return
    table = Table("model", "version", "", "labels", "published", "loss before", "beside the champion", box=SIMPLE_HEAD)
    for known in models.values():
        for row in rows(known) or [{"model": known.subject.name}]:
            table.add_row(*_cells(row))
    out.print(table)


def rows(known: Known) -> list[dict[str, Any]]:
    versions, name = known.versions, known.subject.name
    return [
        {
            "model": name,
            "version": one.number,
            "role": role_of(known, one.number),
            "pinned": versions.pinned and one.number == versions.champion,
            "can_score": not known.faults[one.number],
            "fault": known.faults[one.number],
            "labels": one.labels,
            "published_ms": one.at_ms,
            "figures": one.figures,
            "compared": _compared(one),
        }
        for one in versions.kept
    ]


def role_of(known: Known, number: int) -> str:
    return {known.versions.champion: "champion", known.versions.challenger: "challenger"}.get(number, "")


def _compared(version: Version) -> dict[str, Any] | None:
    return asdict(version.compared) if version.compared else None


def _cells(row: dict[str, Any]) -> list[str]:
    if "version" not in row:
        return [row["model"], "none yet", "", "", "", "", ""]
    role = row["role"] + (", pinned" if row["pinned"] else "")
    role = f"cannot score: {row['fault']}" if row["fault"] else role
    figures, compared = row["figures"], row["compared"]
    loss = figures.get("log_loss", figures.get("mean_poisson_deviance"))
    beside = (
        f"{compared['loss']:.4f}, version {compared['champion']}: {compared['champion_loss']:.4f},"
        f" over {compared['labels']:,} labels"
        if compared
        else ""
    )
    day = rfc3339(row["published_ms"])[:16].replace("T", " ")
    return [row["model"], str(row["version"]), role, f"{row['labels']:,}", day, _figure(loss), beside]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def show_model(settings: Settings, name: str, as_json: bool, out: Console) -> None:
    """Raises ValueError, Unreachable."""
    known = read_model(settings, name)
    link, seen = known.subject.link, known.watch.seen
    figures = known.watch.figures(link)
    scored = seen[seen[:, 1] == seen[:, 1]]
    bins = reliability(scored[:, 1], scored[:, 0]) if link == LOGIT else []
    if as_json:
        _print_json(_told(known, figures, bins), out)
        return
    out.print(_head(known), soft_wrap=True)
    out.print(_figures(known, figures, len(seen)))
    if bins:
        out.print(_reliability(bins))
    for what, incident in known.watch.incidents.items():
        drifted = f" ({', '.join(incident.inputs)})" if incident.inputs else ""
        out.print(f"wrong since {rfc3339(incident.started_ms)}: {what}{drifted}", style="red", soft_wrap=True)
    out.print(_turns(known))


def _told(known: Known, figures: dict[str, Any], bins: list[Bin]) -> dict[str, Any]:
    incidents = {what: asdict(incident) for what, incident in known.watch.incidents.items()}
    return {
        "model": known.subject.name,
        "champion": known.versions.champion,
        "challenger": known.versions.challenger,
        "pinned": known.versions.pinned,
        "held": known.versions.held,
        "labels": known.watch.labels,
        "figures": figures,
        "reliability": [asdict(bin) for bin in bins],
        "wrong": incidents,
        "turns": [asdict(turn) for turn in known.versions.turns],
        "versions": rows(known),
    }


def _head(known: Known) -> str:
    versions = known.versions
    pinned = ", pinned" if versions.pinned else ""
    says = "is held back while it is worse than its baseline" if versions.held else "scores"
    against = f"; challenger {versions.challenger} has scored {known.watch.compared:,} labels beside it"
    return (
        f"{known.subject.name}: version {versions.champion} {says}{pinned}"
        f"{against if versions.challenger else ''}; {known.watch.labels:,} labels so far"
    )


def _figures(known: Known, figures: dict[str, dict[str, float | None]], labels: int) -> Table:
    names = FIGURES.get(known.subject.link, OF_NUMBERS)
    table = Table(
        "scored by",
        *(name.replace("_", " ") for name in names),
        box=SIMPLE_HEAD,
        title=f"over the latest {labels:,} labels, each scored before it was learned from",
    )
    for scorer, found in figures.items():
        table.add_row(scorer.replace("_", " "), *(_figure(found.get(name)) for name in names))
    return table


def _reliability(bins: list[Bin]) -> Table:
    table = Table("rows", "mean score", "came true", box=SIMPLE_HEAD, title="reliability of the champion")
    for bin in bins:
        table.add_row(f"{bin.rows:,}", f"{bin.score:.3f}", f"{bin.rate:.3f}")
    return table


def _turns(known: Known) -> Table:
    table = Table("when", "version", "before", "why", "by", box=SIMPLE_HEAD, title="who scored")
    for turn in reversed(known.versions.turns):
        numbers = (str(turn.version), str(turn.before or "-"))
        table.add_row(rfc3339(turn.at_ms), *numbers, escape(turn.why), escape(turn.by))
    return table


def _print_json(told: dict[str, Any], out: Console) -> None:
    out.print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode(), soft_wrap=True, highlight=False, markup=False)
