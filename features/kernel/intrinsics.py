"""What Numba has no word for, in LLVM's."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _place(context: Any, builder: Any, signature: Any, args: Any, array: int, at: int) -> Any:
    """The address of a byte of an array; `array` and `at` are the numbers of the arguments."""
    data = context.make_array(signature.args[array])(context, builder, args[array]).data
    offset = context.cast(builder, args[at], signature.args[at], types.intp)
    return builder.gep(builder.bitcast(data, cgutils.voidptr_t), [offset])


@intrinsic
def copy_bytes(typing: Any, into: Any, to: Any, source: Any, start: Any, count: Any) -> Any:
    """Copies `count` bytes between arrays of any type; both places are told in bytes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, source = (_place(context, builder, signature, args, array, array + 1) for array in (0, 2))
        length = context.cast(builder, args[4], signature.args[4], types.intp)
        cgutils.raw_memcpy(builder, to, source, length, 1)
        return context.get_dummy_value()

    return types.void(into, to, source, start, count), generate


@intrinsic
def lowest_bit(typing: Any, mask: Any) -> Any:
    """The place of the lowest bit that is set, of a number that is not 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], cgutils.true_bit)

    return types.int64(types.int64), generate


@intrinsic
def read_eight(typing: Any, text: Any, at: Any) -> Any:
    """Eight bytes of an array of bytes as one uint64, wherever they begin."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(context, builder, signature, args, 0, 1)
        word = builder.load(builder.bitcast(place, ir.IntType(64).as_pointer()))
        word.align = 1
        return word

    return types.uint64(text, at), generate


@intrinsic
def fetch_line(typing: Any, array: Any, at: Any) -> Any:
    """Has the processor bring the cache line with that byte of an array, which is read soon; nothing is waited for."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(context, builder, signature, args, 0, 1)
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [cgutils.voidptr_t], kind)
        to_read, near, data_line = (ir.Constant(number, flag) for flag in (0, 3, 1))
        builder.call(prefetch, [place, to_read, near, data_line])
        return context.get_dummy_value()

    return types.void(array, at), generate
