"""Being told to stop: SIGTERM and SIGINT, heard by a thread of its own.

A signal's handler interrupts the main thread wherever that stands. If it holds the lock of a log line or of an Event
just then, and the handler wants it, too, the process stands still for ever.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from threading import Thread

NUMBERS = (signal.SIGTERM, signal.SIGINT)


def hear_stop(told: Callable[[signal.Signals], object]) -> Callable[[], None]:
    """Calls `told` with each signal, in that thread; what it returns undoes this. For the main thread to call."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, _nothing) for number in NUMBERS}
    Thread(target=_hear, args=(reading, told), name="stopping", daemon=True).start()

    def undo() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        os.close(writing)

    return undo


def _nothing(*_: object) -> None:
    """The byte that the interpreter has written says it."""


def _hear(reading: int, told: Callable[[signal.Signals], object]) -> None:
    while numbers := os.read(reading, 64):
        for number in numbers:
            if number in NUMBERS:
                told(signal.Signals(number))
    os.close(reading)
