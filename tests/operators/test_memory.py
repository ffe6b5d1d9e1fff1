"""A batch's memory is kept for the next one."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from operators.memory import keep_memory
{first}
for _ in range(50):
    taken = [bytearray(b"x") * 3_000_000 for _ in range(4)]
    del taken
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def faults(first: str) -> int:
    return int(subprocess.check_output([sys.executable, "-c", PROGRAM.format(first=first)], text=True))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_that_was_freed_is_not_fetched_from_the_system_again() -> None:
    batch = 4 * 3_000_000 // resource.getpagesize()
    assert faults("keep_memory()") < faults("") - 10 * batch
