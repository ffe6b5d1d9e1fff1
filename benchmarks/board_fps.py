"""How smoothly the board draws: frames a second of a real browser with 12 charts of 1,000 points that change.

python -m benchmarks.board_fps [--charts 12] [--points 1000] [--seconds 5] [--quick] [--json FILE]

Chromium draws without a screen and without a graphics card, so a viewer's own machine is faster. Each chart has three
lines and a band, as on the page Now. In one run new values come 4 times a second, as the board's feeds send them at
most; in the other with every frame. Long frames take twice a screen's 16.7 ms or more. `cpu_ms` is what all of the
browser's processes spend on a frame: it says what the machine would do if nothing else ran on it.
"""

from __future__ import annotations

import argparse
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from benchmarks.house import out
from brewline.results import circumstances, write_json

BOARD = Path(__file__).parents[1] / "board"
CHROMIUM = "/usr/bin/chromium"  # where Playwright has none of its own
WIDE, HIGH = 1920, 1080
LEAST_FPS = 30
LONG_MS = 2 * 1000 / 60
PAGE = """<!doctype html><html lang="en"><link rel="stylesheet" href="/static/vendor/uplot/uPlot.min.css">
<link rel="stylesheet" href="/static/style.css"><body class="enter"><div id="page" class="now-cards"></div>"""
RUN = Path(__file__).with_suffix(".js").read_text()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--charts", type=int, default=12)
    parser.add_argument("--points", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--quick", action="store_true", help="a second of each")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    seconds = 1.0 if asked.quick else asked.seconds
    figures: dict[str, Any] = {"charts": asked.charts, "points": asked.points, "seconds": seconds}
    with pages() as address, sync_playwright() as player:
        path = None if Path(player.chromium.executable_path).exists() else CHROMIUM
        browser = player.chromium.launch(executable_path=path, args=["--no-sandbox"])
        figures["browser"] = f"Chromium {browser.version}, {WIDE}x{HIGH}, drawn by the processor"
        for name, every_ms in (("live", 250), ("every_frame", 0)):
            figures |= measure(browser, address, asked.charts, asked.points, seconds, every_ms, name)
        browser.close()
    figures["enough"] = figures["live_fps"] >= LEAST_FPS
    for name, value in {**figures, **circumstances()}.items():
        out.print(f"{name:>22}  {value}", highlight=False)
    write_json(asked.json, figures)


@contextmanager
def pages() -> Iterator[str]:
    """The board's own files, and a page without a frame around it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(BOARD)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


class Files(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(PAGE.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


def measure(
    browser: Browser, address: str, charts: int, points: int, seconds: float, every_ms: int, name: str
) -> dict[str, Any]:
    page = browser.new_page(viewport={"width": WIDE, "height": HIGH})
    page.goto(address)
    asked = {"charts": charts, "points": points, "seconds": seconds, "every": every_ms}
    before_s = cpu_s()
    told = page.evaluate(RUN, asked)
    spent_s = cpu_s() - before_s
    page.close()
    frames = np.array(told["frames"])
    return {
        f"{name}_fps": round(1000 / float(frames.mean()), 1),
        f"{name}_frame_p95_ms": round(float(np.percentile(frames, 95)), 1),
        f"{name}_long_frames": round(float((frames > LONG_MS).mean()), 3),
        f"{name}_updates": told["steps"],
        f"{name}_cpu_ms": round(spent_s * 1000 / len(frames), 1),
    }


def cpu_s() -> float:
    """What this process's children and theirs have spent, as Linux counts it."""
    stats = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = file.read_text().rpartition(")")[2].split()
            stats[int(file.parent.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    mine, ticks = {os.getpid()}, 0
    while grown := {pid for pid, (parent, _) in stats.items() if parent in mine and pid not in mine}:
        mine |= grown
        ticks += sum(stats[pid][1] for pid in grown)
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
