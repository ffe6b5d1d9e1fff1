"""Benchmarks are run seldom: what has moved under one is found here, and not by whoever needs its figures."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import benchmarks

ALL = sorted(file.stem for file in Path(benchmarks.__file__).parent.glob("[a-z]*.py"))


@pytest.mark.parametrize("name", ALL)
def test_a_benchmark_finds_all_that_it_names(name: str) -> None:
    import_module(f"benchmarks.{name}")
