"""Backs up all state in Redis as of one moment, and restores it: Kafka then replays what has come since."""

from __future__ import annotations

import time
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka.admin import AdminClient
from msgspec import Struct
from redis import Redis
from rich.console import Console
from rich.progress import Progress

from board.access.sessions import credentials
from brewline.forget import topics_of
from brewline.paths import writing
from brewline.trail import note, open_trail
from config.settings import Settings
from features.times import rfc3339
from flows.stages import READ_BY
from operators import snapshot
from operators.erasing import Eraser
from operators.kafka import require_kafka
from operators.layout import RESTORING, gather_records, is_restored, stored_partitions
from operators.redis_link import connect_redis
from operators.scan import under
from operators.store import PartitionStore
from operators.topic import bounds_of

FILE, MANIFEST = "redis.rdb", "backup.json"


class Backup(Struct, forbid_unknown_fields=True):
    """What a folder holds. It is written last: without it, a back-up was not finished."""

    prefix: str
    taken_at: str
    redis_version: str
    db: int
    bytes: int
    sha256: str


class WrongBackup(ValueError):
    """A folder that cannot be restored, or not here; the message says why."""


def back_up(settings: Settings, folder: Path, out: Console) -> None:
    """Raises Unreachable, WrongBackup."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WrongBackup(f"{folder}: is there and not an empty folder; name one that is new")
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    if is_restored(redis, settings.redis.prefix):
        raise WrongBackup("a restore is under way, or broke off: let it end, or run `brewline restore` again")
    note(settings, "backup", f"{folder}")
    with writing(folder, "backup"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    info: Any = redis.info("server")
    taken_at = rfc3339(round(time.time() * 1000))
    with Progress(console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("bytes", total=None)
        size, digest = snapshot.take(redis, folder / FILE, lambda more: bar.advance(task, more))
    made = Backup(settings.redis.prefix, taken_at, str(info["redis_version"]), _db(redis), size, digest)
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(made)) + b"\n")
    out.print(f"{size:,} bytes as of {taken_at} or a little later are in {folder}", highlight=False, soft_wrap=True)
    out.print(f"It holds personal data. Restore it with: brewline restore {folder}", highlight=False, soft_wrap=True)


def restore(settings: Settings, folder: Path, replace: bool, out: Console) -> None:
    """Raises Unreachable, WrongBackup; what was not restored to the end, no flow starts on."""
    backup, prefix = _whole(folder, settings.redis.prefix), settings.redis.prefix
    require_kafka(settings.kafka.librdkafka(), settings.kafka.start_timeout_s)
    redis = connect_redis(settings.redis.url, settings.redis.start_timeout_s)
    if not replace and any(under(redis, prefix)):
        raise WrongBackup(
            f"there is state under redis.prefix {prefix!r} already: stop all flows, and have it deleted by --replace"
        )
    with snapshot.opened(folder / FILE, backup.db) as source:
        if not any(under(source, prefix)):
            raise WrongBackup(f"{folder}: holds nothing under the prefix {prefix!r}")
        gather_records(source, prefix)
        total = sum(len(keys) for keys in under(source, prefix))
        with Progress(console=out, transient=True, disable=not out.is_terminal) as bar:
            task = bar.add_task("keys", total=total)
            snapshot.clear(redis, prefix)
            copied = snapshot.copy(source, redis, prefix, credentials(prefix), lambda more: bar.advance(task, more))
    again = _forget_again(settings, redis)
    redis.delete(f"{prefix}:id-whole")  # ingest completes the identities from Kafka, be it the same run of Redis
    open_trail(settings).go_on(round(time.time() * 1000))
    redis.delete(f"{prefix}:{RESTORING}")
    note(settings, "restore", f"{folder} of {backup.taken_at}")
    out.print(f"{copied:,} keys are restored as of {backup.taken_at}", highlight=False, soft_wrap=True)
    if again:
        out.print(f"{again:,} customer ids of it were forgotten since: the flows erase them when they start")
    out.print("Nobody is signed in to the board, and tokens of programs are void. Its users are those of the back-up:")
    out.print("look whether somebody was removed since: brewline users list", highlight=False)
    tell_replay(settings, redis, out)


def _forget_again(settings: Settings, redis: Redis) -> int:
    """How many of those whom the back-up knows were forgotten since. Raises Unreachable."""
    client, topics = settings.kafka.librdkafka(), topics_of(settings)
    if topics.forgotten not in _topics(settings):
        return 0
    partitions = stored_partitions(redis, settings.redis.prefix)
    return Eraser(redis, settings.redis.prefix, client, topics).repeat(partitions)


def _topics(settings: Settings) -> Collection[str]:
    admin = AdminClient({**settings.kafka.librdkafka(), "log_level": 0})
    return admin.list_topics(timeout=settings.kafka.start_timeout_s).topics.keys()


def _whole(folder: Path, prefix: str) -> Backup:
    """What the folder holds, if it is what was written there and of this prefix."""
    try:
        backup = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Backup)
        with (folder / FILE).open("rb") as file:
            seen = sha256()
            while piece := file.read(1 << 20):
                seen.update(piece)
    except OSError as error:
        raise WrongBackup(f"{folder}: holds no finished back-up: {error.filename}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise WrongBackup(f"{folder / MANIFEST}: {error}") from error
    if seen.hexdigest() != backup.sha256:
        raise WrongBackup(f"{folder / FILE}: was changed or cut since it was written: take another back-up")
    if backup.prefix != prefix:
        raise WrongBackup(f"{folder}: is of redis.prefix {backup.prefix!r}, and here it is {prefix!r}")
    return backup


def tell_replay(settings: Settings, redis: Redis, out: Console) -> None:
    """Prints what Kafka has to replay, and what of that it no longer holds."""
    client, have = settings.kafka.librdkafka(), _topics(settings)
    for stage, topic in READ_BY.items():
        if settings.topic(topic) not in have:
            continue
        store, left, gone = PartitionStore(redis, settings.redis.prefix, stage), 0, 0
        for part, (first, end) in bounds_of(client, settings.topic(topic), "brewline-restore").items():
            if next_ := store.position(part).offset + 1:
                left, gone = left + max(0, end - next_), gone + max(0, first - next_)
        if gone:
            out.print(f"[red]{stage}: {gone:,} records of {topic} are no longer in Kafka[/]: they are lost to it")
        if left:
            out.print(f"{stage}: replays {left:,} records of {topic} at its next start", highlight=False)


def _db(redis: Redis) -> int:
    return int(redis.connection_pool.connection_kwargs.get("db") or 0)
