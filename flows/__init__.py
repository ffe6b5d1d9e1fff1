"""The dataflows: which source feeds which step. Start here."""

import os

# A flow works on one batch at a time: Polars' threads would only wait for each other, at a seventh of all CPU.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
