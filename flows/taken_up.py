"""Which files of rules a flow takes up, and how they differ from those before: noted in the trail."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from alerts.sigma.reading import Rules
from flows.changed import note_change, note_changes
from flows.guards import load_security_rules, security_texts
from flows.house import House

MOST = 100  # files that are named one by one


def take_up_security_rules(house: House) -> Rules:
    """The rules as their files stand."""
    found = security_texts(house.settings)
    rules = load_security_rules(house.settings, found)
    note_files(house, "security rules", house.settings.path(house.settings.security.rules), found)
    return rules


def note_files(house: House, what: str, folder: Path, texts: list[tuple[str, str]]) -> None:
    """Each file under the folder that was added, changed or is gone since a flow last took them up, by its name.

    What was taken up is kept in Redis, so a change while no flow runs is noted as well; it is kept once the trail has
    it, so a crash in between notes it twice.
    """
    key = f"{house.settings.redis.prefix}:rule-files:{what.replace(' ', '-')}"
    raw: Any = house.redis.hgetall(key)
    before = {name.decode("utf-8", "surrogateescape"): seal.decode() for name, seal in raw.items()}
    now = {str(Path(file).relative_to(folder)): _seal(text) for file, text in texts}
    if not before:
        note_change(house, what, len(now))
    else:
        said = changed_files(before, now)
        more = [(f"{what}: and {len(said) - MOST} files more", len(said) - MOST)] if len(said) > MOST else []
        note_changes(house, [*((f"{what}: {each}", 1) for each in said[:MOST]), *more])
    if before != now:
        pipe = house.redis.pipeline()
        pipe.delete(key)
        if now:
            pipe.hset(key, mapping={name.encode("utf-8", "surrogateescape"): seal for name, seal in now.items()})
        pipe.execute()


def changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """`gone bulk_export.yml`, by name; both: file → what it held."""
    gone = [f"gone {name}" for name in sorted(before.keys() - now.keys())]
    new = [f"added {name}" for name in sorted(now.keys() - before.keys())]
    return [
        *gone,
        *(f"changed {name}" for name in sorted(before.keys() & now.keys()) if before[name] != now[name]),
        *new,
    ]


def _seal(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
