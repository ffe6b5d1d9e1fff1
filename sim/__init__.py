"""A simulated bubble-tea chain: seeded, deterministic, with the truth about what it sent."""

from sim.agenda import Record
from sim.chain import Chain
from sim.truth import Truth

__all__ = ["Chain", "Record", "Truth"]
