"""What is compiled is kept, and compiled anew after a change in any file of its folder."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from shutil import copy

import pytest

KERNEL = Path(__file__).parents[2] / "features/kernel"
FILES = {
    "__init__.py": "",
    "numbers.py": "FACTOR = 2\n",
    "called.py": "from small.compiled import compiled\n\n@compiled\ndef called(x):\n    return x + 10\n",
    "top.py": """
from small.called import called
from small.compiled import compiled
from small.numbers import FACTOR

@compiled
def top(x):
    return FACTOR * called(x)
""",
}
RUN = "from small.top import top; print(top(1), sum(top.stats.cache_hits.values()), top.stats.cache_path)"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A package with the kernel's decorator: a compiled function that calls one and uses a number of other files."""
    folder = tmp_path / "tree/small"
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    copy(KERNEL / "compiled.py", folder)
    return folder


def start(small: Path) -> subprocess.Popen[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    env |= {"PYTHONPATH": str(small.parent), "XDG_CACHE_HOME": str(small.parents[1] / "home")}
    return subprocess.Popen([sys.executable, "-B", "-c", RUN], env=env, text=True, stdout=subprocess.PIPE)


def told(process: subprocess.Popen[str]) -> tuple[int, bool, Path]:
    """(what the function returned, whether it came from the cache, where that is)."""
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    result, hits, place = out.split(maxsplit=2)
    return int(result), hits == "1", Path(place.strip())


def run(small: Path) -> tuple[int, bool]:
    return told(start(small))[:2]


def test_without_a_change_nothing_is_compiled_again(small: Path) -> None:
    assert run(small) == (22, False)
    assert run(small) == (22, True)


def test_a_change_in_a_file_that_a_function_imports_from_is_noticed(small: Path) -> None:
    assert run(small) == (22, False)
    (small / "numbers.py").write_text("FACTOR = 3\n")
    assert run(small) == (33, False)
    (small / "called.py").write_text(FILES["called.py"].replace("10", "20"))
    assert run(small) == (63, False)
    assert run(small) == (63, True)


def test_it_is_kept_beside_the_code_or_with_the_user_where_that_cannot_be_written(small: Path) -> None:
    assert told(start(small)) == (22, False, small / "__pycache__")
    (small / "__pycache__").rename(small / "elsewhere")
    (small / "__pycache__").write_text("no folder")
    result, kept, place = told(start(small))
    assert (result, kept) == (22, False)
    assert place.is_relative_to(small.parents[1] / "home")
    assert run(small) == (22, True)


def test_many_processes_may_begin_at_once(small: Path) -> None:
    processes = [start(small) for _ in range(4)]
    assert [told(process)[0] for process in processes] == [22] * 4
    assert run(small) == (22, True)


def test_every_function_of_the_kernel_is_compiled_this_way_from_what_stands_in_its_folder() -> None:
    for path in KERNEL.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("features"):
                assert node.module == "features.times" or str(node.module).startswith("features.kernel"), path.name
            elif isinstance(node, ast.ImportFrom) and node.module == "numba":
                assert path.name == "compiled.py" or "njit" not in [alias.name for alias in node.names], path.name


def test_what_counts_no_references_returns_no_array() -> None:
    """Numba refuses to compile it when it makes one, but would hand out one that it was given, uncounted."""
    for path in KERNEL.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and "compiled" in map(ast.unparse, node.decorator_list):
                assert node.returns is not None
                named = {name.id for name in ast.walk(node.returns) if isinstance(name, ast.Name)}
                assert named <= {"bool", "float", "int", "tuple"}, f"{path.name}: {node.name}"
