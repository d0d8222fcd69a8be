"""Dot products of `BLOCK` rows of int8 weights with 1, 2 or 4 int16 vectors, in LLVM's
instructions: numba has no widening product.

Weights are read row by row as torch stores them, BLOCK rows side by side (in 4 bits:
int4_products.py). A product has up to three forms, of which `step_parts.py` takes the last that the
processor has, or that numba is told of (NUMBA_CPU_NAME, NUMBA_CPU_FEATURES); all can be tested on
x86:

    PORTABLE    what LLVM finds for it (on Arm `smull` and `addp`)
    AVX2        `vpmaddwd`, pairs of 16-bit numbers (LLVM makes it `vpdpwssd` where there is VNNI);
                of 4-bit weights `vpmaddubsw`, pairs of bytes
    VNNI        of 4-bit weights `vpdpbusd`, fours of bytes

What comes after the next block is requested from memory while this one is multiplied. All arguments
are addresses and counts; `step_parts.py` knows what lies there. Also here: float32 numbers to bf16,
and the atomic counter of a barrier.
"""

import inspect
import os
from collections.abc import Callable
from typing import Any, TypeVar

import llvmlite.binding
import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core import config as numba_config
from numba.extending import intrinsic

from groundup.model.packing import BLOCK, GROUP

LANES = 16
PORTABLE, AVX2, VNNI = 0, 1, 2
# How many bytes ahead memory is requested, and for which cache of the core: the first or the second
# (docs/log.md).
NEAR, FAR = (4096, 1), (16384, 2)
INT8, INT16, INT32, INT64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
FLOAT = ir.FloatType()
Value = Any


F = TypeVar("F", bound=Callable[..., Any])
# Sums may be taken in another order (so that they use whole vectors), there are no checks of
# bounds, and no errors, for which Python would be needed.
COMPILED: list[Any] = []
"""The functions that `compiled` has made."""
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
}


def compiled(function: F) -> F:
    """Compile a function at its first call, for the types of that call. It runs without Python's
    lock.
    """
    made: F = numba.njit(**OPTIONS)(
        inspect.unwrap(function)
    )  # without the shape checker of the tests
    COMPILED.append(made)
    return made


def features() -> set[str]:
    """The processor's instruction sets, or those that numba was told to use
    (NUMBA_CPU_FEATURES).
    """
    given = numba_config.CPU_FEATURES
    if given is None:
        return {name for name, has in llvmlite.binding.get_host_cpu_features().items() if has}
    return {each[1:] for each in given.split(",") if each.startswith("+")}


def best_form() -> int:
    found = features()
    if {"avx512vnni", "avx512vl"} <= found or "avxvnni" in found:
        return VNNI
    return AVX2 if "avx2" in found else PORTABLE


def vector(kind: ir.Type, lanes: int) -> ir.Type:
    return ir.VectorType(kind, lanes)


def constant(kind: ir.Type, lanes: int, value: int) -> ir.Constant:
    return ir.Constant(vector(kind, lanes), [value] * lanes)


def address(b: ir.IRBuilder, base: Value, offset: Value, kind: ir.Type) -> Value:
    """A pointer `offset` bytes after `base`."""
    return b.inttoptr(b.add(base, offset), kind.as_pointer())


def load(b: ir.IRBuilder, base: Value, offset: Value, kind: ir.Type) -> Value:
    """Of any alignment."""
    return b.load(address(b, base, offset, kind), align=1)


def store(b: ir.IRBuilder, value: Value, base: Value) -> None:
    b.store(value, address(b, base, INT64(0), value.type), align=1)


def repeat_lanes(b: ir.IRBuilder, scalar: Value, lanes: int) -> Value:
    empty = ir.Constant(vector(scalar.type, lanes), ir.Undefined)
    first = b.insert_element(empty, scalar, INT32(0))
    return b.shuffle_vector(first, empty, ir.Constant(vector(INT32, lanes), [0] * lanes))


def lanes_of(b: ir.IRBuilder, left: Value, right: Value, indices: list[int]) -> Value:
    """The lanes with these indices in `left` followed by `right`."""
    return b.shuffle_vector(left, right, ir.Constant(vector(INT32, len(indices)), indices))


def call(b: ir.IRBuilder, name: str, result: ir.Type, *arguments: Value) -> Value:
    """Of LLVM or the C library."""
    kind = ir.FunctionType(result, [each.type for each in arguments])
    return b.call(cgutils.get_or_insert_function(b.module, kind, name), arguments)


def request(
    b: ir.IRBuilder, base: Value, offset: Value, count: int, *ahead: tuple[int, int]
) -> None:
    """Bytes from memory, each of `ahead` (NEAR, FAR) later."""
    for distance, cache in ahead:
        for line in range(0, count, 64):
            place = address(b, base, b.add(offset, INT64(distance + line)), INT8)
            call(b, "llvm.prefetch.p0", ir.VoidType(), place, INT32(0), INT32(4 - cache), INT32(1))


def pair_sums(b: ir.IRBuilder, left: Value, right: Value, form: int) -> Value:
    """Products of 16 pairs of 16-bit numbers, neighbours added."""
    if form >= AVX2:
        return call(b, "llvm.x86.avx2.pmadd.wd", vector(INT32, 8), left, right)
    products = b.mul(b.sext(left, vector(INT32, 16)), b.sext(right, vector(INT32, 16)))
    even, odd = (lanes_of(b, products, products, list(range(first, 16, 2))) for first in (0, 1))
    return b.add(even, odd)


def lane_totals(b: ir.IRBuilder, sums: list[Value]) -> Value:
    """Of 8 vectors of 8 lanes, as one vector: neighbours are added three times. Of 16 lanes, first
    both halves.
    """
    add = b.fadd if sums[0].type.element == FLOAT else b.add
    if sums[0].type.count == 16:
        halves = (list(range(8)), list(range(8, 16)))
        sums = [add(*(lanes_of(b, each, each, half) for half in halves)) for each in sums]
    while len(sums) > 1:
        pairs = zip(sums[::2], sums[1::2], strict=True)
        sums = [
            add(*(lanes_of(b, left, right, list(range(first, 16, 2))) for first in (0, 1)))
            for left, right in pairs
        ]
    return sums[0]


def multiply_add(b: ir.IRBuilder, left: Value, right: Value, total: Value) -> Value:
    """In one instruction where there is one."""
    return b.fadd(b.fmul(left, right, flags=("contract",)), total, flags=("contract",))


def accumulators(b: ir.IRBuilder, kind: ir.Type, count: int, lanes: int = 8) -> list[Value]:
    """Variables of so many lanes, zero."""
    return [cgutils.alloca_once_value(b, constant(kind, lanes, 0)) for _ in range(count)]


def int8_rows(form: int, vectors: int) -> Any:
    """`f(weights, row_bytes, x, x_bytes, columns, out)`: out[vectors, 8] int32 = 8 rows of weights
    (int8) times vectors x (int16). Columns are a multiple of 16, x_bytes the distance of two
    vectors. A weight is read and widened once for all vectors.
    """

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        weights, row_bytes, x, x_bytes, columns, out = arguments
        block_bytes, rows = b.mul(row_bytes, INT64(BLOCK)), rows_at_once(vectors)
        ahead = (NEAR,) if rows == BLOCK else (NEAR, FAR)
        for first in range(0, BLOCK, rows):
            sums = accumulators(b, INT32, vectors * rows)
            with cgutils.for_range(b, b.udiv(columns, INT64(LANES))) as loop:
                done = b.add(block_bytes, b.mul(columns, INT64(first)))
                request(
                    b,
                    weights,
                    b.add(done, b.mul(loop.index, INT64(rows * LANES))),
                    rows * LANES,
                    *ahead,
                )
                column = b.mul(loop.index, INT64(LANES))
                places = [
                    b.add(b.mul(column, INT64(2)), b.mul(x_bytes, INT64(v))) for v in range(vectors)
                ]
                activations = [load(b, x, place, vector(INT16, LANES)) for place in places]
                for row in range(rows):
                    start = b.add(column, b.mul(row_bytes, INT64(first + row)))
                    wide = b.sext(
                        load(b, weights, start, vector(INT8, LANES)), vector(INT16, LANES)
                    )
                    for v in range(vectors):
                        total = sums[v * rows + row]
                        b.store(
                            b.add(b.load(total), pair_sums(b, wide, activations[v], form)), total
                        )
            store_totals(b, sums, rows, out, first)
        return cg.get_dummy_value()

    def int8_block(
        typing: Any, weights: Any, row_bytes: Any, x: Any, x_bytes: Any, columns: Any, out: Any
    ) -> Any:
        return types.void(*[types.uintp] * 6), build

    return intrinsic(int8_block)


def rows_at_once(vectors: int) -> int:
    """Multiplied in one loop: their sums stay in registers."""
    return BLOCK if vectors <= 2 else BLOCK // 2


def store_totals(b: ir.IRBuilder, sums: list[Value], rows: int, out: Value, first: int) -> None:
    """The totals of the sums [vectors, rows] in out[vectors, BLOCK], from row `first` on."""
    for start in range(0, len(sums), 8):
        totals = lane_totals(b, [b.load(each) for each in sums[start : start + 8]])
        for part in range(0, 8, rows):
            place = (start + part) // rows * BLOCK + first
            store(
                b,
                lanes_of(b, totals, totals, list(range(part, part + rows))),
                b.add(out, INT64(4 * place)),
            )


def bf16_of_floats(b: ir.IRBuilder, floats: Value) -> Value:
    """A number or a vector, rounded to even, as int16."""
    count = floats.type.count if isinstance(floats.type, ir.VectorType) else 0
    wide, narrow = (vector(kind, count) if count else kind for kind in (INT32, INT16))
    half, one, shift = (
        ir.Constant(wide, [each] * count if count else each) for each in (0x7FFF, 1, 16)
    )
    bits = b.bitcast(floats, wide)
    odd = b.and_(b.lshr(bits, shift), one)
    return b.trunc(b.lshr(b.add(b.add(bits, half), odd), shift), narrow)


@intrinsic
def bf16_of_float(typing: Any, number: Any) -> Any:
    """Rounded to even, as uint16."""

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        return bf16_of_floats(b, arguments[0])

    return types.uint16(types.float32), build


@intrinsic
def power_of_two(typing: Any, exponent: Any) -> Any:
    """2^exponent in float32, exponent in -126 .. 127."""

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        return b.bitcast(b.shl(b.add(arguments[0], INT32(127)), INT32(23)), FLOAT)

    return types.float32(types.int32), build


@intrinsic
def add_one(typing: Any, counter: Any) -> Any:
    """To the counter (int64) at an address, in one step for all threads; the old value."""

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        return b.atomic_rmw("add", address(b, arguments[0], INT64(0), INT64), INT64(1), "seq_cst")

    return types.int64(types.uintp), build


@intrinsic
def read_counter(typing: Any, counter: Any) -> Any:
    """As other threads have left it."""

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        return b.load_atomic(address(b, arguments[0], INT64(0), INT64), "acquire", 8)

    return types.int64(types.uintp), build


@intrinsic
def yield_core(typing: Any) -> Any:
    """Where there is a call for it."""

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        return call(b, "sched_yield", INT32) if hasattr(os, "sched_yield") else INT32(0)

    return types.int32(), build


@intrinsic
def int8_row_to_bf16(typing: Any, numbers: Any, scale: Any, columns: Any, out: Any) -> Any:
    """f(numbers, scale, columns, out): a row times its scale; columns are a multiple of `GROUP`,
    `out` of 64.
    """

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        numbers, scale, columns, out = arguments
        with cgutils.for_range(b, b.udiv(columns, INT64(GROUP))) as loop:
            column = b.mul(loop.index, INT64(GROUP))
            floats = b.sitofp(load(b, numbers, column, vector(INT8, GROUP)), vector(FLOAT, GROUP))
            scaled = b.fmul(floats, repeat_lanes(b, scale, GROUP))
            store_past_caches(b, bf16_of_floats(b, scaled), b.add(out, b.mul(column, INT64(2))))
        return cg.get_dummy_value()

    return types.void(types.uintp, types.float32, types.uintp, types.uintp), build


def store_past_caches(b: ir.IRBuilder, value: Value, base: Value) -> None:
    """64 bytes at a multiple of 64, to memory: another core reads them from there faster than from
    this one's cache (docs/log.md).
    """
    written = b.store(value, address(b, base, INT64(0), value.type), align=64)
    written.set_metadata("nontemporal", b.module.add_metadata([INT32(1)]))
