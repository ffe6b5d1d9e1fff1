"""The decorator of every compiled function: Numba's cache, renewed by a change in any file of this folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache

Function = TypeVar("Function", bound=Callable[..., Any])


@cache
def _digest() -> bytes:
    """SHA-256 over the names and contents of the folder's modules."""
    digest = sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        for part in (path.name.encode(), path.read_bytes()):
            digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


class _OfFolder(CompileResultCacheImpl):
    """Numba's own choice of place and files; but the source of a function is the whole folder."""

    def __init__(self, py_func: Any) -> None:
        super().__init__(py_func)
        self.locator.get_source_stamp = _digest


class _Cache(FunctionCache):
    _impl_class = _OfFolder


def compiled(function: Function) -> Function:
    """Compiles at the first call, without the GIL, unless the cache has it.

    The function neither makes nor returns an array, so no references are counted: that would be two atomic operations
    for each array at each call. Numba refuses one that makes an array; for these there is `making_arrays`.

    Numba alone looks at the file of the function, not at those it imports from. So what compiled functions call, and
    every number that may change and is compiled into them, stands in this folder. See decision 0006.
    """
    return _compiled(function, counts_references=False)


def inlined(function: Function) -> Function:
    """As `compiled`, put into each function that calls it: a call hands over all arrays word by word.

    For what is called for every few bytes, and small or called in one place: the code of all of it is compiled anew.
    """
    return _compiled(function, counts_references=False, forceinline=True)


def making_arrays(function: Function) -> Function:
    """As `compiled`, for a function that makes or returns arrays."""
    return _compiled(function, counts_references=True)


def _compiled(function: Function, counts_references: bool, forceinline: bool = False) -> Function:
    dispatcher = njit(nogil=True, _nrt=counts_references, forceinline=forceinline)(function)
    dispatcher._cache = _Cache(function)
    return dispatcher
