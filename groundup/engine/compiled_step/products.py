"""Dot products of `BLOCK` rows of int8 or int4 weights with an int16 vector, in LLVM's instructions: numba can't write the widening product.

Weights are read row by row as torch stores them, BLOCK rows side by side, LANES columns per instruction: `vpmaddwd` on x86 (`vpdpwssd` where there is
VNNI), and what LLVM finds for the portable form elsewhere. The next block is requested from memory while this one is multiplied. All arguments are
addresses and counts; `kernels.py` knows what lies there. Also here: bf16 numbers to float32 and back, and the atomic counter of a barrier.
"""

import os
from collections.abc import Callable
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

BLOCK, LANES, GROUP = 8, 16, 32
INT8, INT16, INT32, INT64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
FLOAT = ir.FloatType()
Value = Any


def has_avx2() -> bool:
    """Whether this processor has the x86 product that is named here; elsewhere LLVM finds its own."""
    return bool(llvmlite.binding.get_host_cpu_features().get("avx2", False))


def vector(kind: ir.Type, lanes: int) -> ir.Type:
    """The type of a vector."""
    return ir.VectorType(kind, lanes)


def filled(kind: ir.Type, lanes: int, value: int) -> ir.Constant:
    """A constant vector."""
    return ir.Constant(vector(kind, lanes), [value] * lanes)


def address(b: ir.IRBuilder, base: Value, offset: Value, kind: ir.Type) -> Value:
    """A pointer `offset` bytes after the address `base`."""
    return b.inttoptr(b.add(base, offset), kind.as_pointer())


def load(b: ir.IRBuilder, base: Value, offset: Value, kind: ir.Type) -> Value:
    """What lies `offset` bytes after `base`; of any alignment."""
    return b.load(address(b, base, offset, kind), align=1)


def store(b: ir.IRBuilder, value: Value, base: Value) -> None:
    """Write a vector at `base`."""
    b.store(value, address(b, base, INT64(0), value.type), align=1)


def repeated(b: ir.IRBuilder, scalar: Value, lanes: int) -> Value:
    """A vector with one value in all lanes."""
    empty = ir.Constant(vector(scalar.type, lanes), ir.Undefined)
    first = b.insert_element(empty, scalar, INT32(0))
    return b.shuffle_vector(first, empty, ir.Constant(vector(INT32, lanes), [0] * lanes))


def lanes_of(b: ir.IRBuilder, left: Value, right: Value, indices: list[int]) -> Value:
    """The lanes with these indices in `left` followed by `right`."""
    return b.shuffle_vector(left, right, ir.Constant(vector(INT32, len(indices)), indices))


def call(b: ir.IRBuilder, name: str, result: ir.Type, *arguments: Value) -> Value:
    """Call a function of LLVM or the C library."""
    kind = ir.FunctionType(result, [each.type for each in arguments])
    return b.call(cgutils.get_or_insert_function(b.module, kind, name), arguments)


def prefetch(b: ir.IRBuilder, base: Value, offset: Value) -> None:
    """Request 64 bytes from memory."""
    call(b, "llvm.prefetch.p0", ir.VoidType(), address(b, base, offset, INT8), INT32(0), INT32(3), INT32(1))


def pair_sums(b: ir.IRBuilder, left: Value, right: Value, *, avx2: bool) -> Value:
    """Products of 16 pairs of 16-bit numbers, neighbours added: 8 sums of 32 bits."""
    if avx2:
        return call(b, "llvm.x86.avx2.pmadd.wd", vector(INT32, 8), left, right)
    products = b.mul(b.sext(left, vector(INT32, 16)), b.sext(right, vector(INT32, 16)))
    even, odd = (lanes_of(b, products, products, list(range(first, 16, 2))) for first in (0, 1))
    return b.add(even, odd)


def lane_totals(b: ir.IRBuilder, sums: list[Value], add: Callable[[Value, Value], Value]) -> Value:
    """The totals of 8 vectors of 8 lanes, as one vector: neighbours are added three times."""
    while len(sums) > 1:
        pairs = zip(sums[::2], sums[1::2], strict=True)
        sums = [
            add(*(lanes_of(b, left, right, list(range(first, 16, 2))) for first in (0, 1))) for left, right in pairs
        ]
    return sums[0]


def multiply_add(b: ir.IRBuilder, left: Value, right: Value, total: Value) -> Value:
    """left * right + total, in one instruction where there is one."""
    return b.fadd(b.fmul(left, right, flags=("contract",)), total, flags=("contract",))


def accumulators(b: ir.IRBuilder, kind: ir.Type) -> list[Value]:
    """A variable of 8 lanes for each row of the block, zero."""
    return [cgutils.alloca_once_value(b, filled(kind, 8, 0)) for _ in range(BLOCK)]


def int8_rows(avx2: bool) -> Any:
    """Return `f(weights, row_bytes, x, columns, out)`: out[8] int32 = 8 rows of weights (int8) times x (int16); columns a multiple of 16."""

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        weights, row_bytes, x, columns, out = arguments
        sums, block_bytes = accumulators(b, INT32), b.mul(row_bytes, INT64(BLOCK))
        with cgutils.for_range(b, b.udiv(columns, INT64(LANES))) as loop:
            ahead = b.add(block_bytes, b.mul(loop.index, INT64(BLOCK * LANES)))
            prefetch(b, weights, ahead)
            prefetch(b, weights, b.add(ahead, INT64(64)))
            column = b.mul(loop.index, INT64(LANES))
            activations = load(b, x, b.mul(column, INT64(2)), vector(INT16, LANES))
            for row in range(BLOCK):
                start = b.add(column, b.mul(row_bytes, INT64(row)))
                wide = b.sext(load(b, weights, start, vector(INT8, LANES)), vector(INT16, LANES))
                b.store(b.add(b.load(sums[row]), pair_sums(b, wide, activations, avx2=avx2)), sums[row])
        store(b, lane_totals(b, [b.load(each) for each in sums], b.add), out)
        return cg.get_dummy_value()

    def int8_block(typing: Any, weights: Any, row_bytes: Any, x: Any, columns: Any, out: Any) -> Any:
        return types.void(*[types.uintp] * 5), build

    return intrinsic(int8_block)


def scale_and_offset(b: ir.IRBuilder, pair: Value) -> tuple[Value, Value]:
    """Two bf16 numbers side by side, each in float32 in 8 lanes."""
    both = repeated(b, pair, 8)
    scale, offset = b.shl(both, filled(INT32, 8, 16)), b.and_(both, filled(INT32, 8, -65536))
    return b.bitcast(scale, vector(FLOAT, 8)), b.bitcast(offset, vector(FLOAT, 8))


def int4_rows(avx2: bool) -> Any:
    """Return `f(weights, pairs, x, group_sums, groups, out)`: out[8] float32 = 8 rows of weights (int4) times x (int16).

    A group is 16 bytes, column j in the low half of byte j, column 16 + j in the high half; `pairs` has bf16 scale and offset of each group.
    `group_sums` [groups, 2, 8] float32 holds, in the first of 8 lanes, -8 times and once the sum of a group's activations.
    """

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        weights, pairs, x, group_sums, groups, out = arguments
        sums, low = accumulators(b, FLOAT), filled(INT8, LANES, 15)
        block_bytes = b.mul(groups, INT64(BLOCK * 16))
        with cgutils.for_range(b, groups) as loop:
            ahead = b.add(block_bytes, b.mul(loop.index, INT64(BLOCK * 16)))
            prefetch(b, weights, ahead)
            prefetch(b, weights, b.add(ahead, INT64(64)))
            places = [b.add(b.mul(loop.index, INT64(64)), INT64(32 * half)) for half in (0, 1)]
            activations = [load(b, x, place, vector(INT16, LANES)) for place in places]
            shifted, plain = (load(b, group_sums, place, vector(FLOAT, 8)) for place in places)
            for row in range(BLOCK):
                group = b.add(loop.index, b.mul(groups, INT64(row)))
                nibbles = load(b, weights, b.mul(group, INT64(16)), vector(INT8, LANES))
                halves = (b.and_(nibbles, low), b.lshr(nibbles, filled(INT8, LANES, 4)))
                wide = [b.zext(half, vector(INT16, LANES)) for half in halves]
                sums_of_16 = [pair_sums(b, *each, avx2=avx2) for each in zip(wide, activations, strict=True)]
                dots = b.fadd(b.sitofp(b.add(*sums_of_16), vector(FLOAT, 8)), shifted, flags=("contract",))
                scale, offset = scale_and_offset(b, load(b, pairs, b.mul(group, INT64(4)), INT32))
                total = multiply_add(b, offset, plain, b.load(sums[row]))
                b.store(multiply_add(b, scale, dots, total), sums[row])
        store(b, lane_totals(b, [b.load(each) for each in sums], b.fadd), out)
        return cg.get_dummy_value()

    def int4_block(typing: Any, weights: Any, pairs: Any, x: Any, group_sums: Any, groups: Any, out: Any) -> Any:
        return types.void(*[types.uintp] * 6), build

    return intrinsic(int4_block)


@intrinsic
def float_of_bf16(typing: Any, bits: Any) -> Any:
    """A bf16 number, given as uint16, in float32."""

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        return b.bitcast(b.shl(b.zext(arguments[0], INT32), INT32(16)), FLOAT)

    return types.float32(types.uint16), build


@intrinsic
def bf16_of_float(typing: Any, number: Any) -> Any:
    """A float32 number rounded to bf16 (to even), as uint16."""

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        bits = b.bitcast(arguments[0], INT32)
        odd = b.and_(b.lshr(bits, INT32(16)), INT32(1))
        return b.trunc(b.lshr(b.add(b.add(bits, INT32(0x7FFF)), odd), INT32(16)), INT16)

    return types.uint16(types.float32), build


@intrinsic
def power_of_two(typing: Any, exponent: Any) -> Any:
    """2^exponent in float32, exponent in -126 .. 127."""

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        return b.bitcast(b.shl(b.add(arguments[0], INT32(127)), INT32(23)), FLOAT)

    return types.float32(types.int32), build


@intrinsic
def add_one(typing: Any, counter: Any) -> Any:
    """Add 1 to the counter (int64) at an address, in one step for all threads; the old value."""

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        return b.atomic_rmw("add", address(b, arguments[0], INT64(0), INT64), INT64(1), "seq_cst")

    return types.int64(types.uintp), build


@intrinsic
def read_counter(typing: Any, counter: Any) -> Any:
    """The counter at an address, as other threads have left it."""

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        return b.load_atomic(address(b, arguments[0], INT64(0), INT64), "acquire", 8)

    return types.int64(types.uintp), build


@intrinsic
def yield_core(typing: Any) -> Any:
    """Let another thread have the core, where there is a call for it (`decode_step.usable_threads`)."""

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        return call(b, "sched_yield", INT32) if hasattr(os, "sched_yield") else INT32(0)

    return types.int32(), build
