"""A back-up that is taken while flows write, and restored elsewhere, leads to the state of those who never lost any."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis as redis_py
from rich.console import Console

from board.access.person import Person
from board.access.sessions import Sessions
from brewline.backups import FILE, MANIFEST, WrongBackup, back_up, restore
from brewline.forget import topics_of
from brewline.trail import note, verify_trail
from config.settings import Settings
from operators import snapshot
from operators.erasing import Eraser
from operators.kafka import Unreachable
from operators.layout import RECORDS, WHERE, WrongLayout, check_layout
from operators.servers import RedisServer, redis_server
from operators.store import partition_key
from tests.flowprocess import make_topics, read_all

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def other_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("other"), appendonly="no") as server:
        yield server


def said(out: Console) -> str:
    return out.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def at(settings: Settings, server: RedisServer) -> Settings:
    return msgspec.structs.replace(settings, redis=msgspec.structs.replace(settings.redis, url=server.url))


def records_of(prefix: str) -> str:
    return partition_key(prefix, "customers", 0, RECORDS)


def filled(settings: Settings) -> redis_py.Redis:
    """A Redis with some state of ours, of others, and a trail."""
    redis = redis_py.Redis.from_url(settings.redis.url)
    prefix = settings.redis.prefix
    redis.mset({f"{prefix}:{{customers.0}}:owner": b"one", "others": b"x"})
    redis.hset(records_of(prefix), "c1", b"record" * 20)
    redis.mset({f"{prefix}:id-whole": b"this run", f"{prefix}:id:card:1": b"c1"})
    check_layout(redis, prefix, {"partitions of events": 4})
    redis.zadd(f"{prefix}:{{customers.0}}:timers", {"c1": 5})
    redis.xadd(f"{prefix}:{{customers.0}}:outbox", {"m": b"\x00\xff"})
    note(settings, "view", "before")
    return redis


@pytest.fixture
def backup(settings: Settings, tmp_path: Path) -> Path:
    filled(settings)
    back_up(settings, tmp_path / "backup", quiet())
    return tmp_path / "backup"


def test_what_comes_back_is_ours_alone_and_its_file_only_its_owners(
    settings: Settings, backup: Path, other_redis: RedisServer
) -> None:
    assert (backup / FILE).stat().st_mode & 0o777 == 0o600
    elsewhere, source = at(settings, other_redis), redis_py.Redis.from_url(settings.redis.url)
    restore(elsewhere, backup, False, quiet())
    target, prefix = redis_py.Redis.from_url(other_redis.url), settings.redis.prefix
    keys = set(source.scan_iter(f"{prefix}:*"))
    assert {key for key in target.scan_iter("*") if not key.startswith(prefix.encode())} == set()
    kept = keys - {f"{prefix}:id-whole".encode(), f"{prefix}:{{customers.0}}:owner".encode()}
    assert set(target.scan_iter(f"{prefix}:*")) == kept
    trail = {key for key in kept if b"{trail}" in key}
    assert trail
    assert [target.dump(key) for key in sorted(kept - trail)] == [source.dump(key) for key in sorted(kept - trail)]


def test_records_of_a_back_up_that_an_earlier_version_made_come_back_where_they_are_now(
    settings: Settings, tmp_path: Path
) -> None:
    redis, prefix = filled(settings), settings.redis.prefix
    redis.delete(records_of(prefix))
    redis.hdel(f"{prefix}:layout", WHERE)
    redis.set(f"{prefix}:{{customers.0}}:r:c1", b"record")
    back_up(settings, tmp_path / "backup", quiet())
    restore(settings, tmp_path / "backup", True, quiet())
    assert redis.hgetall(records_of(prefix)) == {b"c1": b"record"}
    assert redis.hget(f"{prefix}:layout", WHERE)
    assert [*redis.scan_iter("*:r:*")] == []


def test_a_file_that_holds_nothing_of_ours_deletes_nothing(settings: Settings, backup: Path) -> None:
    told, prefix = msgspec.json.decode((backup / MANIFEST).read_bytes()), f"{settings.redis.prefix}x"
    (backup / MANIFEST).write_bytes(msgspec.json.encode({**told, "prefix": prefix}))
    others = msgspec.structs.replace(settings, redis=msgspec.structs.replace(settings.redis, prefix=prefix))
    redis = redis_py.Redis.from_url(settings.redis.url)
    redis.hset(records_of(prefix), "c1", b"record")
    with pytest.raises(WrongBackup, match="holds nothing under the prefix"):
        restore(others, backup, True, quiet())
    assert redis.hexists(records_of(prefix), "c1")


def test_of_a_back_up_that_broke_off_nothing_is_left_and_the_same_folder_serves_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(sock: Any, size: int, rest: bytes, file: Path, step: Any) -> str:
        file.write_bytes(rest)
        raise OSError("bytes are missing")

    filled(settings)
    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "_copied", broken)
        with pytest.raises(Unreachable, match="bytes are missing"):
            back_up(settings, tmp_path / "backup", quiet())
    back_up(settings, tmp_path / "backup", quiet())
    assert {file.name for file in (tmp_path / "backup").iterdir()} == {FILE, MANIFEST}


def test_what_would_have_ended_still_does_and_nobody_is_let_in_again(settings: Settings, tmp_path: Path) -> None:
    redis, prefix = filled(settings), settings.redis.prefix
    sessions = Sessions(redis, prefix, 1.0)
    mei = Person("mei", frozenset({"marketing"}))
    cookie, token, link = sessions.open(mei)[0], sessions.token(mei, 3_600, True), sessions.link(mei)
    redis.set(f"{prefix}:{{board}}:backtest:running", b"one", ex=600)
    back_up(settings, tmp_path / "backup", quiet())
    out = quiet()
    restore(settings, tmp_path / "backup", True, out)
    assert 0 < redis.ttl(f"{prefix}:{{board}}:backtest:running") <= 600  # type: ignore[operator]
    assert redis.ttl(records_of(prefix)) == -1
    assert sessions.find("session", cookie) is sessions.find("token", token) is sessions.follow(link) is None
    assert sessions.close_all("mei") == 0
    assert "brewline users list" in said(out)


def test_who_was_forgotten_since_is_named_to_the_flows_again_and_no_link_leads_there(
    settings: Settings, backup: Path
) -> None:
    names = ("events", "identities", "forgotten")
    make_topics(settings, names)
    redis, prefix = redis_py.Redis.from_url(settings.redis.url), settings.redis.prefix
    Eraser(redis, prefix, settings.kafka.librdkafka(), topics_of(settings)).mark(["c1", "c2"], 1_800_000_000_000)
    out = quiet()
    restore(settings, backup, True, out)
    assert "1 customer ids of it were forgotten since" in said(out)
    assert not redis.exists(f"{prefix}:id:card:1")
    words = [message.value() or b"" for message in read_all(settings, "events")]
    assert len(words) == 4
    assert all(b'"type":"forget"' in word and b'"customer":"c1"' in word for word in words)


def test_the_audit_trail_goes_on_behind_what_was_noted_after_the_back_up(settings: Settings, backup: Path) -> None:
    note(settings, "view", "after the back-up")
    restore(settings, backup, True, quiet())
    out = quiet()
    assert verify_trail(settings, "", out) == 0, said(out)
    assert "entries 1 to 4" in said(out)  # a view, the back-up, a view, the restore


def test_state_that_is_there_is_kept_unless_told_otherwise_and_a_running_owner_is_fenced(
    settings: Settings, backup: Path
) -> None:
    redis, prefix = redis_py.Redis.from_url(settings.redis.url), settings.redis.prefix
    redis.hset(records_of(prefix), "new", b"later")
    with pytest.raises(WrongBackup, match=r"there is state under redis.prefix .* already: stop all flows"):
        restore(settings, backup, False, quiet())
    assert redis.hexists(records_of(prefix), "new")
    restore(settings, backup, True, quiet())
    assert not redis.hexists(records_of(prefix), "new")
    assert redis.get(f"{prefix}:{{customers.0}}:owner") == b"a restore"


def test_no_flow_starts_on_half_a_state(settings: Settings, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    redis, prefix = redis_py.Redis.from_url(settings.redis.url), settings.redis.prefix

    def breaks_off(*_: Any) -> int:
        raise Unreachable("gone")

    with monkeypatch.context() as broken:
        broken.setattr(snapshot, "copy", breaks_off)
        with pytest.raises(Unreachable):
            restore(settings, backup, True, quiet())
    with pytest.raises(WrongLayout, match="is being restored: wait for `brewline restore`, or run it again"):
        check_layout(redis, prefix, {"partitions of events": 4})
    with pytest.raises(WrongBackup, match="a restore is under way, or broke off"):
        back_up(settings, backup.parent / "half", quiet())
    assert not (backup.parent / "half").exists()
    restore(settings, backup, True, quiet())
    check_layout(redis, prefix, {"partitions of events": 4})


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / MANIFEST).unlink(), "holds no finished back-up"),
        (lambda folder: (folder / MANIFEST).write_text("{}"), "missing required field"),
        (lambda folder: (folder / FILE).write_bytes((folder / FILE).read_bytes()[:-9]), "was changed or cut"),
    ],
)
def test_a_back_up_that_is_not_whole_is_refused_and_nothing_deleted(
    settings: Settings, backup: Path, spoil: Any, told: str
) -> None:
    spoil(backup)
    with pytest.raises(WrongBackup, match=told):
        restore(settings, backup, True, quiet())
    assert redis_py.Redis.from_url(settings.redis.url).hexists(records_of(settings.redis.prefix), "c1")


def test_a_back_up_of_another_prefix_and_a_folder_in_use_are_refused(settings: Settings, backup: Path) -> None:
    other = msgspec.structs.replace(settings, redis=msgspec.structs.replace(settings.redis, prefix="other"))
    with pytest.raises(WrongBackup, match="and here it is 'other'"):
        restore(other, backup, True, quiet())
    with pytest.raises(WrongBackup, match="is there and not an empty folder; name one that is new"):
        back_up(settings, backup, quiet())
