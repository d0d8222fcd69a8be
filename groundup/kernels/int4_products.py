"""Products of `BLOCK` rows of 4-bit weights with 1, 2 or 4 vectors, and the same rows unpacked to
bf16; in LLVM's instructions, as products.py.

The 8 rows are interleaved (`Int4Linear.by_block`): of a group of 32 columns a block has 128 bytes,
read as 4 vectors of 8 lanes of 4 bytes. Lane r of vector k is of row r: byte j has column 4 k + j
in its low half and column 16 + 4 k + j in its high half. So a vector is multiplied with the same 4
activations in all lanes, each lane sums one row, and no totals over lanes are needed. Scales and
offsets of a group are 8 pairs of bf16.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from groundup.kernels.products import (
    BLOCK,
    FAR,
    FLOAT,
    GROUP,
    INT8,
    INT16,
    INT32,
    INT64,
    NEAR,
    PORTABLE,
    VNNI,
    accumulators,
    address,
    bf16_of_floats,
    call,
    constant,
    lanes_of,
    load,
    multiply_add,
    repeat_lanes,
    request,
    store,
    store_past_caches,
    vector,
)

Value = Any
# Of a group and a block: vectors of numbers, and bytes of numbers and of pairs.
PARTS, NUMBER_BYTES, PAIR_BYTES = 4, GROUP // 2 * BLOCK, 4 * BLOCK


def int4_rows(form: int, vectors: int) -> Any:
    """`f(weights, pairs, x, x_bytes, totals, groups, out)`: out[vectors, 8] float32 = a block of
    weights times vectors x: int16 in the form PORTABLE, else bytes [groups, high and low, 32] (x =
    256 high + low); totals [vectors, groups] (float32) are the sums of their groups. With q in 0 ..
    15 a group's product is s sum(q x) + (z - 8 s) sum(x). The sums are whole numbers below 2^24,
    and groups are added in their order, so that all forms give the same bits.
    """

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        weights, pairs, x, x_bytes, totals, groups, out = arguments
        results, ahead = accumulators(b, FLOAT, vectors), FAR if vectors == 1 else NEAR
        with cgutils.for_range(b, groups) as loop:
            numbers = unpack_numbers(b, weights, loop.index, ahead)
            scale, offset = scale_and_offset(b, pairs, loop.index, ahead)
            own = b.add(x, b.mul(loop.index, INT64(2 * GROUP)))
            sums = group_sums(
                b, numbers, [b.add(own, b.mul(x_bytes, INT64(v))) for v in range(vectors)], form
            )
            for v in range(vectors):
                place = b.mul(b.add(loop.index, b.mul(groups, INT64(v))), INT64(4))
                total = repeat_lanes(b, load(b, totals, place, FLOAT), BLOCK)
                result = multiply_add(b, offset, total, b.load(results[v]))
                result = multiply_add(b, scale, b.sitofp(sums[v], result.type), result)
                b.store(result, results[v])
        for v in range(vectors):
            store(b, b.load(results[v]), b.add(out, INT64(4 * BLOCK * v)))
        return cg.get_dummy_value()

    def int4_block(
        typing: Any,
        weights: Any,
        pairs: Any,
        x: Any,
        x_bytes: Any,
        totals: Any,
        groups: Any,
        out: Any,
    ) -> Any:
        return types.void(*[types.uintp] * 7), build

    return intrinsic(int4_block)


@intrinsic
def split_groups(typing: Any, x: Any, groups: Any, split: Any, totals: Any) -> Any:
    """f(x, groups, split, totals): activations int16 [groups, 32] as bytes [groups, high and low,
    32]; their sums as float32.
    """

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        x, groups, split, totals = arguments
        wide, narrow = vector(INT16, GROUP), vector(INT8, GROUP)
        with cgutils.for_range(b, groups) as loop:
            start = b.mul(loop.index, INT64(2 * GROUP))
            numbers = load(b, x, start, wide)
            low = b.trunc(numbers, narrow)
            high = b.trunc(
                b.ashr(b.sub(numbers, b.sext(low, wide)), constant(INT16, GROUP, 8)), narrow
            )
            store(b, high, b.add(split, start))
            store(b, low, b.add(split, b.add(start, INT64(GROUP))))
            total = call(
                b,
                f"llvm.vector.reduce.add.v{GROUP}i32",
                INT32,
                b.sext(numbers, vector(INT32, GROUP)),
            )
            b.store(
                b.sitofp(total, FLOAT),
                address(b, totals, b.mul(loop.index, INT64(4)), FLOAT),
                align=4,
            )
        return cg.get_dummy_value()

    return types.void(*[types.uintp] * 4), build


def unpack_numbers(
    b: ir.IRBuilder, weights: Value, group: Value, ahead: tuple[int, int]
) -> list[Value]:
    """Of a group, 0 to 15: 8 vectors of 32 bytes, the one at place i with columns 4 i to 4 i +
    3.
    """
    start, kind = b.mul(group, INT64(NUMBER_BYTES)), vector(INT8, 4 * BLOCK)
    request(b, weights, start, NUMBER_BYTES, ahead)
    parts = [load(b, weights, b.add(start, INT64(4 * BLOCK * part)), kind) for part in range(PARTS)]
    return [b.and_(part, constant(INT8, 4 * BLOCK, 15)) for part in parts] + [
        b.lshr(part, constant(INT8, 4 * BLOCK, 4)) for part in parts
    ]


def scale_and_offset(
    b: ir.IRBuilder, pairs: Value, group: Value, ahead: tuple[int, int]
) -> tuple[Value, Value]:
    """s and z - 8 s of a group, a row in each lane."""
    start, kind = b.mul(group, INT64(PAIR_BYTES)), vector(FLOAT, BLOCK)
    request(b, pairs, start, PAIR_BYTES, ahead)
    both = load(b, pairs, start, vector(INT32, BLOCK))
    scale = b.bitcast(b.shl(both, constant(INT32, BLOCK, 16)), kind)
    offset = b.bitcast(b.and_(both, constant(INT32, BLOCK, -65536)), kind)
    return scale, multiply_add(b, scale, constant(FLOAT, BLOCK, -8), offset)


def group_sums(b: ir.IRBuilder, numbers: list[Value], x: list[Value], form: int) -> list[Value]:
    """Of a group's 32 products with each vector, a row in each lane of 32 bits."""
    if form == PORTABLE:
        return [wide_sums(b, numbers, each) for each in x]
    sums = byte_sums(
        b, numbers, [b.add(each, INT64(half)) for each in x for half in (0, GROUP)], form
    )
    return [
        b.add(b.shl(high, constant(INT32, BLOCK, 8)), low)
        for high, low in zip(sums[::2], sums[1::2], strict=True)
    ]


def wide_sums(b: ir.IRBuilder, numbers: list[Value], x: Value) -> Value:
    """Of activations of 16 bits."""
    lanes, total = 4 * BLOCK, None
    for place, part in enumerate(numbers):
        four = repeat_lanes(b, load(b, x, INT64(8 * place), INT64), BLOCK)
        right = b.sext(b.bitcast(four, vector(INT16, lanes)), vector(INT32, lanes))
        products = b.mul(b.zext(part, vector(INT32, lanes)), right)
        total = products if total is None else b.add(total, products)
    while lanes > BLOCK:
        total = b.add(
            *(lanes_of(b, total, total, list(range(first, lanes, 2))) for first in (0, 1))
        )
        lanes //= 2
    return total


def byte_sums(b: ir.IRBuilder, numbers: list[Value], x: list[Value], form: int) -> list[Value]:
    """Of 8 bits. In the form AVX2 sums of 16 bits: at most 8 times two products of 15 and -128,
    which is -30,720.
    """
    kind = vector(INT32, BLOCK) if form == VNNI else vector(INT16, 2 * BLOCK)
    sums: list[Value] = [ir.Constant(kind, [0] * kind.count)] * len(x)
    for place, part in enumerate(numbers):
        for which, start in enumerate(x):
            four = repeat_lanes(b, load(b, start, INT64(4 * place), INT32), BLOCK)
            if form == VNNI:
                given = (sums[which], b.bitcast(part, four.type), four)
                sums[which] = call(b, "llvm.x86.avx512.vpdpbusd.256", kind, *given)
            else:
                products = call(
                    b, "llvm.x86.avx2.pmadd.ub.sw", kind, part, b.bitcast(four, part.type)
                )
                sums[which] = b.add(sums[which], products)
    if form == VNNI:
        return sums
    ones = ir.Constant(kind, [1] * kind.count)
    return [call(b, "llvm.x86.avx2.pmadd.wd", vector(INT32, BLOCK), each, ones) for each in sums]


@intrinsic
def int4_block_to_bf16(
    typing: Any, weights: Any, pairs: Any, groups: Any, out: Any, row_bytes: Any
) -> Any:
    """f(weights, pairs, groups, out, row_bytes): the 8 rows of a block, `row_bytes` apart: W = s q
    + z - 8 s.
    """

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        weights, pairs, groups, out, row_bytes = arguments
        with cgutils.for_range(b, groups) as loop:
            numbers = [
                b.bitcast(each, vector(INT32, BLOCK))
                for each in unpack_numbers(b, weights, loop.index, FAR)
            ]
            scales, offsets = scale_and_offset(b, pairs, loop.index, FAR)
            for row in range(BLOCK):
                own = b.add(
                    b.add(out, b.mul(row_bytes, INT64(row))), b.mul(loop.index, INT64(2 * GROUP))
                )
                scale, offset = (
                    lanes_of(b, each, each, [row] * GROUP) for each in (scales, offsets)
                )
                words = row_of(b, numbers, row)
                floats = b.uitofp(b.bitcast(words, vector(INT8, GROUP)), vector(FLOAT, GROUP))
                store_past_caches(b, bf16_of_floats(b, multiply_add(b, floats, scale, offset)), own)
        return cg.get_dummy_value()

    return types.void(*[types.uintp] * 5), build


def row_of(b: ir.IRBuilder, vectors: list[Value], lane: int) -> Value:
    """One lane of each of 8 vectors."""
    fours = [
        lanes_of(b, left, right, [lane, lane + 8])
        for left, right in zip(vectors[::2], vectors[1::2], strict=True)
    ]
    halves = [
        lanes_of(b, left, right, [0, 1, 2, 3])
        for left, right in zip(fours[::2], fours[1::2], strict=True)
    ]
    return lanes_of(b, halves[0], halves[1], list(range(8)))
