"""Compiles all that Numba would compile at its first use: nobody's first events wait for it.

python -m brewline.compiled
"""

from __future__ import annotations

from alerts.kpis.compiled import compile_screen
from features.customer import compile_kernel

if __name__ == "__main__":
    compile_kernel()
    compile_screen()
