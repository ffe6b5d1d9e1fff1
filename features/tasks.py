"""What models are to foretell, and from which features: a models file, read and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from features.declared import WrongFeatures
from features.times import parse_duration
from features.written import hint, line_of, read_toml, told

Target = Literal["churn", "next_order_days", "spend_ahead", "redeemed", "uplift"]
OF_COUPONS = ("redeemed", "uplift")  # learned from what comes of coupons; the others from what follows an order
GAPS = ("churn", "next_order_days")  # these look at the next order
SPEND = "spend_cents"  # the measure that counts what is spent
USUAL = {"churn": "60d", "next_order_days": "60d", "spend_ahead": "90d"}
RHYTHMS = re.compile(r"(\d+(?:\.\d{1,3})?) rhythm")


class Task(Struct, frozen=True, forbid_unknown_fields=True):
    """churn: no order within the horizon; next_order_days: until the next order, at most the horizon; spend_ahead:
    cents within the horizon after an order. `horizon`: "60d", or by the customer's own rhythm "3 rhythm".
    Of a coupon, whose horizon is its validity, redeemed: that it is; uplift: of the chance that the customer orders.
    """

    target: Target
    features: list[str]
    horizon: str = ""

    @property
    def rhythms(self) -> int:
        """The horizon in thousandths of the customer's rhythm; 0 where it is a time."""
        found = RHYTHMS.fullmatch(self.horizon)
        return round(float(found[1]) * 1000) if found else 0

    @property
    def horizon_ms(self) -> int:
        """0 where it is counted in rhythms."""
        return 0 if self.rhythms else parse_duration(self.horizon)

    @property
    def link(self) -> str:
        """How a linear form becomes what is foretold: a probability, or a number that is not below 0."""
        return "logit" if self.target in ("churn", *OF_COUPONS) else "log1p"

    @property
    def waits(self) -> bool:
        """Whether its rows wait in customers' records."""
        return self.target not in OF_COUPONS


def waiting_inputs(tasks: Mapping[str, Task]) -> list[str]:
    """All that models see whose rows wait in customers' records."""
    return sorted({feature for task in tasks.values() if task.waits for feature in task.features})


def read_tasks(text: str, file: str) -> dict[str, Task]:
    """By model. Raises WrongFeatures; whether the features exist is for the catalog to say."""
    raw = read_toml(text, file, WrongFeatures)
    tasks = {name: _task(name, table, _part(text, name), file) for name, table in raw.items()}
    spends = {name: task.horizon_ms for name, task in tasks.items() if task.target == "spend_ahead"}
    if len(set(spends.values())) > 1:
        name = list(spends)[-1]
        raise WrongFeatures(
            f"{file}:{line_of(_part(text, name), 'horizon')}: {name}.horizon: found {tasks[name].horizon!r},"
            f" expected {tasks[next(iter(spends))].horizon!r}: all models of spend_ahead share one horizon"
        )
    return tasks


def _task(name: str, table: Any, text: str, file: str) -> Task:
    """`text`: of the table, on its lines."""
    if not isinstance(table, dict):
        raise WrongFeatures(f"{file}:{line_of(text, name)}: found {name} = {table!r}, expected a table [{name}]")
    target = table.get("target")
    if isinstance(target, str) and target not in get_args(Target):
        known = hint(target, get_args(Target))
        raise WrongFeatures(f"{file}:{line_of(text, 'target')}: {name}.target: found {target!r}{known}")
    try:
        task: Task = msgspec.convert({name: table}, dict[str, Task])[name]
    except msgspec.ValidationError as error:
        raise WrongFeatures(_told(error, name, table, text, file)) from error
    if not task.waits:
        if task.horizon:
            where = f"{file}:{line_of(text, 'horizon')}: {name}.horizon"
            raise WrongFeatures(f"{where}: found {task.horizon!r}, expected none: a coupon's horizon is its validity")
        return task
    task = replace(task, horizon=task.horizon or USUAL[task.target])
    try:
        fits = task.horizon_ms > 0 or (task.rhythms > 0 and task.target != "spend_ahead")
    except ValueError:
        fits = False
    if not fits:
        expected = "'90d'" if task.target == "spend_ahead" else "'60d' or '3 rhythm'"
        where = f"{file}:{line_of(text, 'horizon')}: {name}.horizon"
        raise WrongFeatures(f"{where}: found {task.horizon!r}, expected for example {expected}")
    return task


def _told(error: msgspec.ValidationError, name: str, table: dict[str, Any], text: str, file: str) -> str:
    named = msgspec.ValidationError(str(error).replace("$[...]", f"$.{name}"))
    return told(named, {name: table}, text, file, {name: Task})


def _part(text: str, table: str) -> str:
    """The text of a table alone, on its lines; all of it where there is no such table."""
    found = re.search(rf"^\[{re.escape(table)}\][^\n]*\n(?:(?!\[\w).*\n?)*", text, re.MULTILINE)
    return "\n" * text.count("\n", 0, found.start()) + found[0] if found else text
