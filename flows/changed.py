"""What flows note in Brewline's own audit trail of the rules that they take up: that, and not who has changed them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from flows.house import House
from flows.noting import note

MOST = 100  # files that are named one by one


def note_files(house: House, what: str, folder: Path, texts: Iterable[tuple[str, str]]) -> None:
    """Each file under the folder that was added, changed or is gone since a flow last took them up, by its name; the
    first time, how many there are.

    What was taken up is kept in Redis, so a change while no flow runs is noted as well; it is kept once the trail has
    it, so a crash in between notes it twice.
    """
    key = f"{house.settings.redis.prefix}:rule-files:{what.replace(' ', '-')}"
    raw: Any = house.redis.hgetall(key)
    before = {name.decode("utf-8", "surrogateescape"): seal.decode() for name, seal in raw.items()}
    now = {str(Path(file).relative_to(folder)): _seal(text) for file, text in texts}
    if before == now:
        return
    said = changed_files(before, now) if before else []
    more = [(f"{what}: and {len(said) - MOST} files more", len(said) - MOST)] if len(said) > MOST else []
    changes = [*((f"{what}: {each}", 1) for each in said[:MOST]), *more] if before else [(what, len(now))]
    note(house, "rule_change", changes)
    pipe = house.redis.pipeline()
    pipe.delete(key)
    if now:
        pipe.hset(key, mapping={name.encode("utf-8", "surrogateescape"): seal for name, seal in now.items()})
    pipe.execute()


def changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """`gone bulk_export.yml`, by name; both: file → what it held."""
    kept = sorted(before.keys() & now.keys())
    return [
        *(f"gone {name}" for name in sorted(before.keys() - now.keys())),
        *(f"changed {name}" for name in kept if before[name] != now[name]),
        *(f"added {name}" for name in sorted(now.keys() - before.keys())),
    ]


def _seal(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
