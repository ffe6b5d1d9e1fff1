"""A process that is told to stop stops, wherever it stands."""

from __future__ import annotations

import signal
import subprocess
import sys

LOCKED = """
import os, signal, sys, time
from threading import Event, Lock
from operators.stopping import hear_stop

lock, stop = Lock(), Event()

def told(number):
    with lock:
        print(number.name, flush=True)
        stop.set()

undo = hear_stop(told)
with lock:
    os.kill(os.getpid(), signal.{name})
    time.sleep(0.2)
heard = stop.wait(20)
undo()
assert heard
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(20)
"""


def test_a_signal_that_comes_while_the_lock_is_held_that_its_listener_wants_is_heard_all_the_same() -> None:
    for name in ("SIGTERM", "SIGINT"):
        run = subprocess.run(
            [sys.executable, "-c", LOCKED.format(name=name)], capture_output=True, text=True, timeout=60
        )
        assert (run.stdout.split(), run.returncode) == ([name], -signal.SIGTERM), run.stderr
