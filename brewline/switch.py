"""Switches a rule on or off in its file, so that nothing else in the file changes."""

from __future__ import annotations

import os
import re
from pathlib import Path

from msgspec.structs import replace

from alerts.triggers.rule import Rule, read_rule
from alerts.triggers.timeline import failures
from config.settings import HERE, Settings
from features.catalog import Catalog
from flows.rules import load_calendars, load_campaigns, load_conditions, load_rules

_ENABLED = re.compile(r"^(enabled\s*=\s*)(true|false)\b", re.M)
_ID = re.compile(r"^id\s*=.*\n", re.M)
_TABLE = re.compile(r"^\[", re.M)
WRITTEN = {True: "true", False: "false"}


class CannotSwitch(ValueError):
    """A rule that is left as it is; the message says why, and what to do."""


def switch(settings: Settings, id: str, on: bool, catalog: Catalog) -> Rule:
    """The rule as its file says now. The file is replaced whole, or not at all. Raises CannotSwitch, WrongRule."""
    loaded = {rule.id: (rule, file, text) for rule, file, text in load_rules(settings)}
    if id not in loaded:
        raise CannotSwitch(f"there is no rule {id!r}")
    rule, file, text = loaded[id]
    if rule.enabled == on:
        return rule
    require_own(settings)
    told = switched(text, on)
    changed = read_rule(told, file, load_calendars(settings))
    if changed != replace(rule, enabled=on, version=changed.version):
        raise CannotSwitch(f"{file}: it does not say enabled = {WRITTEN[rule.enabled]} on a line of its own: edit it")
    if on and (failed := failures(changed, file, told, catalog)):
        raise CannotSwitch(f"its tests fail, so it stays off: {'; '.join(failed)}")
    others = [(changed, file, told) if one == id else kept for one, kept in loaded.items()]
    load_conditions(catalog, others)
    load_campaigns(settings, others)
    _replace(Path(file), told)
    return changed


def require_own(settings: Settings) -> None:
    """Raises CannotSwitch where rules are those that come with Brewline, or cannot be written."""
    folder = settings.path(settings.coupons.rules)
    if folder.resolve().is_relative_to(HERE.resolve()):
        raise CannotSwitch(
            "these rules come with Brewline, and an update would switch them back: copy them to a folder of your own,"
            " and name it with [coupons] rules"
        )
    if not os.access(folder, os.W_OK):
        raise CannotSwitch(f"{folder} cannot be written from here: change the rule where its files come from")


def switched(text: str, on: bool) -> str:
    """The text of a rule's file that says so; comments stay."""
    table = _TABLE.search(text)
    head, rest = (text[: table.start()], text[table.start() :]) if table else (text, "")
    if _ENABLED.search(head):
        return _ENABLED.sub(rf"\g<1>{WRITTEN[on]}", head, count=1) + rest
    return _ID.sub(lambda found: f"{found[0]}enabled = {WRITTEN[on]}\n", head, count=1) + rest


def _replace(file: Path, text: str) -> None:
    """A flow that reads meanwhile sees the former file or this one. Raises CannotSwitch."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8", newline="") as written:
            written.write(text)
            written.flush()
            os.fsync(written.fileno())
        draft.chmod(file.stat().st_mode & 0o777)
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise CannotSwitch(
            f"{file} cannot be written from here ({error.strerror}): change it where it comes from"
        ) from None
