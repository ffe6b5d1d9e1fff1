"""Measurements: each prints its figures with machine and commit."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in a flow
