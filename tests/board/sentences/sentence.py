"""A sentence as the core writes it, and sentences that stand in its source, with something put into their blanks."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

from brewline.results import ROOT
from features.written import hint


class Sentence(NamedTuple):
    """`kind`: the group of phrases that tells it; `names`: what was put in, and stays; `where`: who writes it."""

    text: str
    kind: str
    where: str
    names: tuple[str, ...] = ()


NAME = "Nomen7"  # what is put into a blank of which nothing better is known
COUNTS = (
    "len(",
    "hours",
    "version",
    "MOST",
    "LONGEST",
    "_bytes",
    "_ms",
    "attempts",
    "silent_s",
    "waits_s",
    "_every",
    "LIMIT_S",
)
HINTS = (hint("stroe", ["store", "rule"]), hint("zzz", ["store"]), hint("zzz", [f"name{i}" for i in range(30)]))


def written(file: str, callees: Collection[str], place: int | str) -> Iterator[tuple[str, list[str], str]]:
    """Texts at this place, or by this keyword, of calls of such names: (text, names put in, file and line)."""
    tree = ast.parse((ROOT / file).read_text())
    given = _given(tree)
    for node in ast.walk(tree):
        called = getattr(node, "func", None)
        if isinstance(node, ast.Call) and getattr(called, "id", getattr(called, "attr", "")) in callees:
            said = node.args if isinstance(place, int) else [word.value for word in node.keywords if word.arg == place]
            for text in (
                text for value in said[place if isinstance(place, int) else 0 :][:1] for text in texts(value, given)
            ):
                yield text, [NAME, *_hinted(text)], f"{file}:{node.lineno}"


def _given(tree: ast.AST) -> dict[str, list[ast.expr]]:
    """What names stand for."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=True))
                for name, value in pairs:
                    if isinstance(name, ast.Name):
                        found.setdefault(name.id, []).append(value)
    return found


def texts(node: ast.expr, given: dict[str, list[ast.expr]]) -> list[str]:
    """As an expression may turn out; nothing where it holds no text of its own."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) and node.value else []
    if isinstance(node, ast.Name):
        return [text for value in given.get(node.id, ()) for text in texts(value, {})]
    if isinstance(node, ast.IfExp):
        return [*texts(node.body, given), *texts(node.orelse, given)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = texts(node.left, given), texts(node.right, given)
        return ["".join(both) for both in product(left, right or _blank(node.right))]
    if not isinstance(node, ast.JoinedStr) or not any(isinstance(part, ast.Constant) for part in node.values):
        return []
    return ["".join(parts) for parts in product(*map(_part, node.values))]


def _part(part: ast.expr) -> list[str]:
    if isinstance(part, ast.FormattedValue):
        told = (texts(part.value, {}) if isinstance(part.value, ast.IfExp) else []) or _blank(part.value)
        told += [text for one in getattr(part.value, "values", ()) for text in texts(one, {})]  # of `status or 'none'`
        return [repr(text) for text in told] if part.conversion == ord("r") else told
    return texts(part, {})


def _blank(value: ast.expr) -> list[str]:
    """What a name or a call may give: numbers and hints are known by what they are called."""
    said = ast.unparse(value)
    if said.startswith("hint("):
        return list(HINTS)
    return ["7"] if any(word in said for word in COUNTS) else [NAME]


def _hinted(text: str) -> list[str]:
    return (
        ["store", "rule", *(f"name{i}" for i in range(30))] if "; known are" in text or "did you mean" in text else []
    )


def python_files(*places: str) -> Iterator[str]:
    for place in places:
        path = ROOT / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            yield str(Path(file).relative_to(ROOT))
