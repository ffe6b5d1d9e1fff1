"""All that Redis holds, as of one moment: taken as a replica takes it, and read again by a Redis of our own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from shutil import copyfile
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from operators.kafka import Unreachable
from operators.layout import RECORDS, RESTORING
from operators.scan import chunks, under
from operators.servers.process import Server, ServerFailed, running
from operators.servers.redis import find_redis

CHUNK = 1_000
PIECE_BYTES = 1 << 20
PATIENCE_S = 60.0  # while Redis prepares a snapshot, it says every second that it is there
LOAD_S = 600.0
OF_RECORDS = f":{RECORDS}".encode()
Step = Callable[[int], None]


def take(redis: Redis, file: Path, step: Step = lambda size: None) -> tuple[int, str]:
    """Writes an RDB file of one moment; its size and SHA-256. Redis serves on meanwhile. Raises Unreachable."""
    connection: Any = redis.connection_pool.get_connection()
    try:
        connection.send_command("SYNC")
        sock = connection._sock  # what follows is no answer of Redis' protocol
        sock.settimeout(PATIENCE_S)
        size, rest = _announced(sock)
        return size, _copied(sock, size, rest, file, step)
    except (OSError, RedisError) as error:
        file.unlink(missing_ok=True)
        raise Unreachable(f"Redis broke off while it sent a snapshot ({error}): try again") from error
    finally:
        connection.disconnect()
        redis.connection_pool.release(connection)


def _announced(sock: Any) -> tuple[int, bytes]:
    """How many bytes will come, and those that came already. Raises OSError."""
    read = b""
    while b"\n" not in (said := read.lstrip(b"\n")):
        piece = sock.recv(4096)
        if not piece:
            raise OSError("the connection was closed")
        read += piece
    line, _, rest = said.partition(b"\r\n")
    if not line.startswith(b"$") or not line[1:].isdigit():
        raise OSError(line.decode("utf-8", "replace").lstrip("-"))
    return int(line[1:]), rest


def _copied(sock: Any, size: int, rest: bytes, file: Path, step: Step) -> str:
    seen, left = sha256(), size
    with file.open("xb") as out:
        file.chmod(0o600)
        while left:
            piece = rest or sock.recv(min(PIECE_BYTES, left))
            if not piece:
                raise OSError(f"{left:,} bytes are missing")
            piece, rest = piece[:left], b""
            out.write(piece)
            seen.update(piece)
            left -= len(piece)
            step(len(piece))
    return seen.hexdigest()


@contextmanager
def opened(file: Path, db: int) -> Iterator[Redis]:
    """A Redis of our own that has read the file, and that nobody else can ask. Raises Unreachable."""
    with tempfile.TemporaryDirectory(prefix="brewline-") as name:
        folder = Path(name)  # its owner's alone
        copyfile(file, folder / "dump.rdb")
        socket = folder / "redis.sock"
        options = {"port": "0", "unixsocket": socket, "unixsocketperm": "700", "dir": folder, "save": ""}
        command = [find_redis()[0], *(str(word) for key, value in options.items() for word in (f"--{key}", value))]
        with Redis(unix_socket_path=str(socket), db=db) as redis:
            server = Server("Redis", 0, command, folder / "redis.log", partial(_answers, redis), LOAD_S)
            try:
                with running(server):
                    yield redis
            except ServerFailed as error:
                raise Unreachable(
                    f"{file} cannot be read by {command[0]}: it must not be older than the Redis that wrote the file,"
                    f" so put a newer redis-server on PATH\n{error}"
                ) from error


def _answers(redis: Redis, port: int, pid: int) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:  # not yet, or it still loads
        return False


def clear(redis: Redis, prefix: str, step: Step = lambda keys: None) -> None:
    """Has flows refuse to start, fences those that run, and deletes all else under the prefix."""
    mark = f"{prefix}:{RESTORING}".encode()
    redis.set(mark, b"1")
    for keys in under(redis, prefix):
        owners: Any = {key: b"a restore" for key in keys if key.endswith(b":owner")}
        if owners:
            redis.mset(owners)
    for keys in under(redis, prefix):
        gone = [key for key in keys if key != mark and not key.endswith(b":owner")]
        if gone:
            redis.unlink(*gone)
        step(len(keys))


def copy(source: Redis, target: Redis, prefix: str, but: tuple[bytes, ...] = (), step: Step = lambda keys: None) -> int:
    """Copies all under the prefix, as it is stored and for as long as it would still live; how many keys.

    Not who owned what, nor keys that begin with one of `but`. Raises Unreachable.
    """
    copied = 0
    for found in under(source, prefix):
        kept = [key for key in found if not key.endswith(b":owner") and not key.startswith(but)]
        keys = [key for key in kept if not key.endswith(OF_RECORDS)]
        dumps = source.pipeline(transaction=False)
        for key in keys:
            dumps.pttl(key)
            dumps.dump(key)
        told = dumps.execute()
        pipe = target.pipeline(transaction=False)
        for key, lasts_ms, value in zip(keys, told[::2], told[1::2], strict=True):
            if value is not None:  # it has not expired just now
                pipe.restore(key, max(0, lasts_ms), value, replace=True)
        try:
            pipe.execute()
        except ResponseError as error:
            raise Unreachable(
                f"Redis refuses what is restored: is it older than the file? ({str(error)[-99:]})"
            ) from None
        for key in kept:
            if key.endswith(OF_RECORDS):
                _copy_records(source, target, key)
        copied += len(kept)
        step(len(found))
    return copied


def _copy_records(source: Redis, target: Redis, key: bytes) -> None:
    """Piece by piece: they may be more than Redis takes in one command."""
    for fields in chunks(source.hscan_iter(key, count=CHUNK), CHUNK):
        target.hset(key, mapping=dict(fields))
