"""The dataflows: which source feeds which step. Start here."""

import os

# A flow works on one batch at a time: Polars' threads would only wait for each other, at a seventh of all CPU.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
# Learning solves many small systems: on a machine that has other work, BLAS threads took ten to twenty times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
