"""The board under load: programs that read features over HTTP, and people who watch it live.

python -m benchmarks.board reads [--rate 500] [--customers-per-read 20] [--seconds 30] [--quick] [--json FILE]
python -m benchmarks.board viewers [--viewers 200] [--seconds 600] [--events-per-s 100000] [--quick] [--json FILE]

`reads`: a Redis full of customers, and requests that leave at fixed times whether or not those before are answered; how
long from when each should have left to its last byte. `floor`: the same against a server that does nothing, with
answers as long; `asker_cpu_ms_a_read`: what asking takes of the processors that the board needs too. `viewers`: a demo
with so many streams of all feeds open; messages, how far apart they come, what the board's process needs of memory from
one end to the other. Behind them stands, beside the demo's own, what its rules would make of so many events a second:
copies of their decisions and coupons under new ids (`benchmarks.board_behind`); `told_of_written` is how much of that
one viewer was told of.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import orjson
import psutil
import uvloop

from benchmarks.house import out, progress
from benchmarks.reads import fill, records_of
from board.access.person import HEAD_OFFICE, Person
from board.app import FEEDS
from brewline.entrance import sessions
from brewline.results import ROOT, circumstances, write_json
from config.settings import load
from operators.redis_link import connect_redis
from operators.servers import die_with_parent, free_port, redis_server

CONNECTIONS = 32
LINK = re.compile(r"board: http://([\d.]+):(\d+)(/enter/\S+)")
WARM_S, START_S = 2.0, 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["reads", "viewers"])
    parser.add_argument("--rate", type=float, default=500, help="reads a second")
    parser.add_argument("--customers-per-read", type=int, default=20)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--events-per-s", type=float, default=100_000, help="behind the viewers")
    parser.add_argument("--seconds", type=float, help="default: 30 of reads, 600 of viewers")
    parser.add_argument("--quick", action="store_true", help="8 s of reads, 40 s of viewers")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    usual = {"reads": (8.0, 30.0), "viewers": (40.0, 600.0)}[asked.what][not asked.quick]
    asked.seconds = asked.seconds or usual
    figures = (reads if asked.what == "reads" else viewers)(asked)
    for name, value in {**figures, **circumstances()}.items():
        out.print(f"{name:>22}  {value}", highlight=False)
    write_json(asked.json, figures)


def reads(asked: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server, progress() as bar:
        port = free_port()
        environ = {
            "BREWLINE_REDIS__URL": server.url,
            "BREWLINE_BOARD__PORT": str(port),
            "BREWLINE_KAFKA__BROKERS": "127.0.0.1:1",
            "BREWLINE_BOARD__REQUESTS_PER_S": "100000",
        }
        settings = load(environ=environ)
        redis = connect_redis(server.url, settings.redis.start_timeout_s)
        records, words, end_ms = records_of(settings, asked.customers * 20, asked.customers, bar)
        fill(redis, settings, records, words)
        token = sessions(settings).token(Person("reader", frozenset(HEAD_OFFICE)), 3600, True)
        requests = requests_of(asked, token, list(records), end_ms)
        with _serving(["brewline", "board"], port, {**environ, "BREWLINE_LOG__LEVEL": "error"}) as board:
            length = uvloop.run(_first(port, requests[0]))
            took_ms, failed, cpu_ms = uvloop.run(_read(asked.rate, port, requests, board))
        with _serving(["benchmarks.board_floor", str(port), str(length)], port, {}) as bare:
            asking_s = time.process_time()
            floor_ms, _, floor_cpu_ms = uvloop.run(_read(asked.rate, port, requests[: len(requests) // 3], bare))
            asking_s = time.process_time() - asking_s
    p50_ms, p99_ms = (round(float(value), 2) for value in np.percentile(took_ms, [50, 99]))
    floor_p50_ms, floor_p99_ms = (round(float(value), 2) for value in np.percentile(floor_ms, [50, 99]))
    return {
        "rate": asked.rate,
        "customers_per_read": asked.customers_per_read,
        "reads": len(took_ms),
        "bytes_an_answer": length,
        "failed": failed,
        "board_cpu_ms_a_read": round(cpu_ms, 2),
        "p50_ms": p50_ms,
        "p99_ms": p99_ms,
        "floor_cpu_ms_a_read": round(floor_cpu_ms, 2),
        "floor_p50_ms": floor_p50_ms,
        "floor_p99_ms": floor_p99_ms,
        "asker_cpu_ms_a_read": round(asking_s * 1000 / (len(requests) // 3), 2),
    }


def requests_of(asked: argparse.Namespace, token: str, customers: list[str], end_ms: int) -> list[bytes]:
    """Reads of random customers as of random times, made before time counts."""
    rng, requests = Random(11), []
    for _ in range(round((asked.seconds + WARM_S) * asked.rate)):
        who = ",".join(rng.sample(customers, asked.customers_per_read))
        path = f"/api/v1/features?customers={who}&at={end_ms + rng.randrange(30 * 86_400_000)}"
        head = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n"
        requests.append(f"{head}x-purpose: benchmark\r\n\r\n".encode())
    return requests


@contextmanager
def _serving(module: list[str], port: int, environ: dict[str, str]) -> Iterator[psutil.Process]:
    """A process that listens on the port."""
    server = subprocess.Popen(
        [sys.executable, "-m", *module], cwd=ROOT, env={**os.environ, **environ}, preexec_fn=die_with_parent()
    )
    try:
        _await(port)
        yield psutil.Process(server.pid)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def _await(port: int) -> None:
    """Until it listens."""
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise SystemExit(f"the board did not listen within {START_S:.0f} s")


async def _first(port: int, request: bytes) -> int:
    """The length of an answer, once there is one: for the first, the compiled core is loaded."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    status, body = await _answer(reader)
    writer.close()
    if status != 200:
        raise SystemExit(f"the board answered {status}: {body.decode()}")
    return len(body)


async def _read(rate: float, port: int, requests: list[bytes], board: psutil.Process) -> tuple[list[float], int, float]:
    """Milliseconds of each read that should have left after the first two seconds; how many failed; CPU ms of each."""
    took_ms, failed, cpu_s = list[float](), [0], 0.0
    due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    began_s = time.perf_counter() + 0.2

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            due_s, request = await due.get()
            writer.write(request)
            status, _ = await _answer(reader)
            if due_s >= began_s + WARM_S:
                took_ms.append((time.perf_counter() - due_s) * 1000)
                failed[0] += status != 200
            due.task_done()

    connections = [asyncio.create_task(connection()) for _ in range(CONNECTIONS)]
    for number, request in enumerate(requests):
        if number == round(WARM_S * rate):
            cpu_s = sum(board.cpu_times()[:2])
        due_s = began_s + number / rate
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        due.put_nowait((due_s, request))
    await due.join()
    for one in connections:
        one.cancel()
    return took_ms, failed[0], (sum(board.cpu_times()[:2]) - cpu_s) * 1000 / len(took_ms)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    body = await reader.readexactly(int(length.group(1))) if length else b""
    return int(head.split(b" ", 2)[1]), body


def viewers(asked: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "brewline", "demo", "--duration", str(round(asked.seconds + 90))]
    demo = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        for line in demo.stdout or ():
            if found := LINK.search(line):
                break
        else:
            raise SystemExit("the demo told no link")
        threading.Thread(target=lambda: list(demo.stdout or ()), daemon=True).start()
        host, port, path = found.groups()
        cookie = _follow(host, int(port), path)
        [board] = [
            one for one in psutil.Process(demo.pid).children(True) if one.cmdline()[-2:] == ["brewline", "board"]
        ]
        with _behind(board.environ(), asked.events_per_s) as behind:
            return behind | uvloop.run(_watch(asked, host, int(port), cookie, board, behind["decisions_per_s"]))
    finally:
        demo.send_signal(signal.SIGTERM)
        demo.wait(60)


@contextmanager
def _behind(environ: dict[str, str], events_per_s: float) -> Iterator[dict[str, Any]]:
    """What it writes, while it does."""
    command = [sys.executable, "-m", "benchmarks.board_behind", str(events_per_s)]
    writer = subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent()
    )
    try:
        told = (writer.stdout or io.StringIO()).readline()
        if not told:
            raise SystemExit(f"{' '.join(command[2:])} told nothing, and ended with code {writer.wait(10)}")
        yield {"events_per_s": events_per_s, **orjson.loads(told)}
        if writer.poll() is not None:
            raise SystemExit(f"{' '.join(command[2:])} ended before the viewers, with code {writer.returncode}")
    finally:
        writer.kill()
        writer.wait()


def _follow(host: str, port: int, path: str) -> str:
    """The cookie that a link gives."""
    with socket.create_connection((host, port), 20) as link:
        link.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: link.recv(65_536), b""))
    return re.search(rb"(brewline=[^;]+)", answer).group(1).decode()  # type: ignore[union-attr]


def _came(line: bytes) -> int:
    """How many decisions a message tells of."""
    told = orjson.loads(line.removeprefix(b"data: "))
    return told.get("came", 0) if isinstance(told, dict) else 0


async def _watch(
    asked: argparse.Namespace, host: str, port: int, cookie: str, board: psutil.Process, behind_per_s: float
) -> dict[str, Any]:
    heard: list[list[float]] = [[] for _ in range(asked.viewers)]
    came = [0]
    feeds = ",".join(feed.name for feed in FEEDS)

    async def viewer(number: int) -> None:
        reader, writer = await asyncio.open_connection(host, port, limit=2**24)
        head = f"GET /api/v1/live?feeds={feeds} HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\n\r\n"
        writer.write(head.encode())
        while True:
            line = await reader.readline()
            if not line:
                raise ConnectionError(f"the board hung up on viewer {number}")
            if line.startswith(b"data: ") and line != b"data: {}\n":
                heard[number].append(time.perf_counter())
                came[0] += _came(line) if not number else 0

    watching = [asyncio.create_task(viewer(number)) for number in range(asked.viewers)]
    rss_mb, began_s, cpu_s = [], time.perf_counter(), sum(board.cpu_times()[:2])
    with progress() as bar:
        task = bar.add_task("watching", total=asked.seconds)
        while (now_s := time.perf_counter() - began_s) < asked.seconds:
            rss_mb.append(board.memory_info().rss / 2**20)
            bar.update(task, completed=now_s)
            await asyncio.sleep(1.0)
            for one in watching:
                if one.done():
                    one.result()
    cpu_s = sum(board.cpu_times()[:2]) - cpu_s
    for one in watching:
        one.cancel()
    gaps_s = [gap for times in heard for gap in np.diff(times).tolist()]
    third = max(1, len(rss_mb) // 3)
    written = behind_per_s * asked.seconds
    return {
        "viewers": asked.viewers,
        "seconds": asked.seconds,
        "messages_a_viewer_s": round(sum(map(len, heard)) / asked.viewers / asked.seconds, 2),
        "least_of_a_viewer": min(map(len, heard)),
        "told_of_written": round(came[0] / written, 3) if written else None,
        "gap_p99_s": round(float(np.percentile(gaps_s, 99)), 3),
        "rss_mb_first_third": round(float(np.mean(rss_mb[:third])), 1),
        "rss_mb_last_third": round(float(np.mean(rss_mb[-third:])), 1),
        "cpu_share": round(cpu_s / asked.seconds, 2),
    }


if __name__ == "__main__":
    main()
