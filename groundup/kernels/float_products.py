"""Dot products of `BLOCK` rows of weights in float32, bf16 or float16 with 1, 2 or 4 vectors in
float32, and what attention reads of keys and values in these; in LLVM's instructions, as
products.py.

Numbers of 16 bits are read as they lie in memory and become float32 in registers: bf16 by a shift
or a mask, float16 by the processor's conversion. Sums are float32, over 8 or 16 lanes, then over columns that
are left; their order depends on the processor and the number of columns alone.

Arrays tell the kind of their numbers by numpy's dtype: float32; uint16 for bf16; int16 for float16;
int8 of keys and values alone, whose scale in bf16 lies after the numbers of a head.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from groundup.kernels.products import (
    BLOCK,
    FAR,
    FLOAT,
    INT8,
    INT16,
    INT32,
    INT64,
    NEAR,
    accumulators,
    bf16_of_floats,
    call,
    constant,
    features,
    lane_totals,
    lanes_of,
    load,
    multiply_add,
    pair_sums,
    repeat_lanes,
    request,
    store,
    store_totals,
    vector,
)

Value = Any
HALF = ir.HalfType()
# Of sums: with AVX-512 there are 32 registers of 16 numbers, else usually 16 of 8.
HAS_512 = "avx512f" in features()
LANES = 16 if HAS_512 else 8
EIGHT = vector(FLOAT, 8)
# Of two vectors of 8 numbers, the lanes to which others are added: within halves of 128 bits, as
# processors shuffle fastest.
HALVES, QUARTERS = [0, 1, 2, 3, 8, 9, 10, 11], [0, 1, 8, 9, 4, 5, 12, 13]
EIGHTHS = [0, 2, 8, 10, 4, 6, 12, 14]
# Of a pair of bf16 numbers, the second's bits.
HIGH = 0xFFFF0000
ITEM_BYTES = {types.float32: 4, types.uint16: 2, types.int16: 2, types.int8: 1}


def load_numbers(b: ir.IRBuilder, base: Value, offset: Value, lanes: int, kind: Any) -> Value:
    """As float32."""
    if kind == types.float32:
        return load(b, base, offset, vector(FLOAT, lanes))
    if kind == types.int16:
        return b.fpext(load(b, base, offset, vector(HALF, lanes)), vector(FLOAT, lanes))
    if kind == types.int8:
        return b.sitofp(load(b, base, offset, vector(INT8, lanes)), vector(FLOAT, lanes))
    wide = b.zext(load(b, base, offset, vector(INT16, lanes)), vector(INT32, lanes))
    return b.bitcast(b.shl(wide, constant(INT32, lanes, 16)), vector(FLOAT, lanes))


def load_weights(b: ir.IRBuilder, base: Value, offset: Value, kind: Any) -> list[Value]:
    """`columns_at_once` numbers; of bf16, whose pairs become float32 by a shift and a mask, first
    those at even places.
    """
    if kind != types.uint16:
        return [load_numbers(b, base, offset, LANES, kind)]
    pairs = load(b, base, offset, vector(INT32, LANES))
    even, odd = (
        b.shl(pairs, constant(INT32, LANES, 16)),
        b.and_(pairs, constant(INT32, LANES, HIGH)),
    )
    return [b.bitcast(each, vector(FLOAT, LANES)) for each in (even, odd)]


def load_inputs(b: ir.IRBuilder, base: Value, offset: Value, kind: Any) -> list[Value]:
    """What `load_weights` of this kind is multiplied with."""
    first = load(b, base, offset, vector(FLOAT, LANES))
    if kind != types.uint16:
        return [first]
    second = load(b, base, b.add(offset, INT64(4 * LANES)), vector(FLOAT, LANES))
    return [lanes_of(b, first, second, list(range(start, 2 * LANES, 2))) for start in (0, 1)]


def columns_at_once(kind: Any) -> int:
    return 2 * LANES if kind == types.uint16 else LANES


def load_number(b: ir.IRBuilder, base: Value, offset: Value, kind: Any) -> Value:
    return b.extract_element(load_numbers(b, base, offset, 1, kind), INT32(0))


def memory_of(cg: Any, b: ir.IRBuilder, kind: Any, array: Value) -> Value:
    """The address of an array's first number."""
    return b.ptrtoint(make_array(kind)(cg, b, array).data, INT64)


def rows_at_once(vectors: int) -> int:
    """Multiplied in one loop: their sums stay in registers."""
    if HAS_512 and vectors <= 2:
        return BLOCK
    return BLOCK // vectors * (2 if HAS_512 else 1)


def float_rows(vectors: int) -> Any:
    """`f(kind, weights, columns, x, x_bytes, out)`: out[vectors, 8] float32 = 8 rows of weights, of
    the kind of the array `kind`, times vectors x (float32); x_bytes is the distance of two vectors.
    """

    def block(
        typing: Any, kind: Any, weights: Any, columns: Any, x: Any, x_bytes: Any, out: Any
    ) -> Any:
        def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
            multiply_rows(b, kind.dtype, vectors, *arguments[1:])
            return cg.get_dummy_value()

        return types.void(kind, *[types.uintp] * 5), build

    return intrinsic(block)


def multiply_rows(
    b: ir.IRBuilder,
    kind: Any,
    vectors: int,
    weights: Value,
    columns: Value,
    x: Value,
    x_bytes: Value,
    out: Value,
) -> None:
    """`float_rows`, `rows_at_once` after another."""
    item, rows, taken = ITEM_BYTES[kind], rows_at_once(vectors), columns_at_once(kind)
    row_bytes = b.mul(columns, INT64(item))
    # a block is half the first cache or more
    ahead = (FAR,) if rows == BLOCK else (NEAR, FAR)
    passes = b.udiv(columns, INT64(taken))
    whole = b.mul(passes, INT64(taken))
    for first in range(0, BLOCK, rows):
        sums = accumulators(b, FLOAT, vectors * rows, LANES)
        # the next block, at the pace of this one
        later = b.mul(row_bytes, INT64(BLOCK + first))
        starts = [b.mul(row_bytes, INT64(first + row)) for row in range(rows)]
        with cgutils.for_range(b, passes) as loop:
            place = b.mul(loop.index, INT64(rows * taken * item))
            request(b, weights, b.add(later, place), rows * taken * item, *ahead)
            column = b.mul(loop.index, INT64(taken))
            inputs = [
                load_inputs(b, x, vector_place(b, column, x_bytes, v), kind) for v in range(vectors)
            ]
            for row, start in enumerate(starts):
                offset = b.add(start, b.mul(column, INT64(item)))
                numbers = load_weights(b, weights, offset, kind)
                for v in range(vectors):
                    total = sums[v * rows + row]
                    for left, right in zip(numbers, inputs[v], strict=True):
                        b.store(multiply_add(b, left, right, b.load(total)), total)
        store_totals(b, sums, rows, out, first)
        with cgutils.for_range_slice(b, whole, columns, INT64(1)) as (column, _):
            for row, start in enumerate(starts):
                offset = b.add(start, b.mul(column, INT64(item)))
                number = load_number(b, weights, offset, kind)
                for v in range(vectors):
                    right = load(b, x, vector_place(b, column, x_bytes, v), FLOAT)
                    place = b.add(out, INT64(4 * (v * BLOCK + first + row)))
                    old = load(b, place, INT64(0), FLOAT)
                    store(b, multiply_add(b, number, right, old), place)


def vector_place(b: ir.IRBuilder, column: Value, x_bytes: Value, v: int) -> Value:
    """In bytes after the first vector's beginning."""
    return b.add(b.mul(column, INT64(4)), b.mul(x_bytes, INT64(v)))


def dots(eights: int, queries: int) -> Any:
    """`f(stored, skip, starts, numbers, numbers_bytes, count, sums, sums_bytes)`: for each of the
    `queries`, sums[t] += the dot product of its 8 `eights` float32 numbers and those of the array
    `stored` at `starts[t]` + skip, for eight t at a time: `sums` has room for a multiple of 8. Two
    queries' numbers are numbers_bytes apart, their sums sums_bytes.
    """

    def summed(
        typing: Any,
        stored: Any,
        skip: Any,
        starts: Any,
        numbers: Any,
        numbers_bytes: Any,
        count: Any,
        sums: Any,
        sums_bytes: Any,
    ) -> Any:
        def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
            array, skip, starts, numbers, numbers_bytes, count, sums, sums_bytes = arguments
            item, base = ITEM_BYTES[stored.dtype], memory_of(cg, b, stored, array)
            with cgutils.for_range_slice(b, INT64(0), count, INT64(8)) as (first, _):
                places = [b.add(each, skip) for each in eight_starts(b, starts, first, count)]
                places = [b.add(base, b.mul(each, INT64(item))) for each in places]
                totals = [accumulators(b, FLOAT, 8) for _ in range(queries)]
                for half in (range(4), range(4, 8)):  # whose sums stay in registers
                    with cgutils.for_range(b, INT64(eights)) as loop:
                        column = b.mul(loop.index, INT64(8))
                        left = [
                            load(b, numbers, vector_place(b, column, numbers_bytes, q), EIGHT)
                            for q in range(queries)
                        ]
                        offset = b.mul(column, INT64(item))
                        for n in half:
                            right = load_numbers(b, places[n], offset, 8, stored.dtype)
                            for q in range(queries):
                                total = totals[q][n]
                                b.store(multiply_add(b, left[q], right, b.load(total)), total)
                for q, of_query in enumerate(totals):
                    place = b.add(b.mul(first, INT64(4)), b.mul(sums_bytes, INT64(q)))
                    found = half_totals(b, [b.load(each) for each in of_query])
                    store(b, b.fadd(load(b, sums, place, EIGHT), found), b.add(sums, place))
            return cg.get_dummy_value()

        return types.void(stored, *[types.uintp] * 7), build

    return intrinsic(summed)


def eight_starts(b: ir.IRBuilder, starts: Value, first: Value, count: Value) -> list[Value]:
    """From `first` on; after the last of `count` it once more."""
    last, found = b.sub(count, INT64(1)), []
    for n in range(8):
        each = b.add(first, INT64(n))
        each = b.select(b.icmp_unsigned("<", each, last), each, last)
        found.append(load(b, starts, b.mul(each, INT64(8)), INT64))
    return found


def half_totals(b: ir.IRBuilder, sums: list[Value]) -> Value:
    """Of 8 vectors of 8 numbers, as one vector: of each, halves are added to one another."""
    sums = [sums[n] for n in (0, 4, 1, 5, 2, 6, 3, 7)]
    for low, apart in (HALVES, 4), (QUARTERS, 2), (EIGHTHS, 1):
        high = [lane + apart for lane in low]
        pairs = zip(sums[::2], sums[1::2], strict=True)
        sums = [
            b.fadd(*(lanes_of(b, left, right, lanes) for lanes in (low, high)))
            for left, right in pairs
        ]
    return sums[0]


def int8_dots(form: int, queries: int) -> Any:
    """`f(stored, starts, numbers, numbers_bytes, width, count, sums, sums_bytes)`: for each of the
    `queries`, sums[t] (float32) = the dot product of its `width` int16 numbers, a multiple of 16,
    and those of the int8 array `stored` at `starts[t]`, for eight t at a time: `sums` has room for
    a multiple of 8. Two queries' numbers are numbers_bytes apart, their sums sums_bytes.
    """

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        array, starts, numbers, numbers_bytes, width, count, sums, sums_bytes = arguments
        base = memory_of(cg, b, signature.args[0], array)
        with cgutils.for_range_slice(b, INT64(0), count, INT64(8)) as (first, _):
            places = [b.add(base, each) for each in eight_starts(b, starts, first, count)]
            totals = [accumulators(b, INT32, 8) for _ in range(queries)]
            for half in (slice(0, 4), slice(4, 8)):  # whose sums stay in registers
                with cgutils.for_range_slice(b, INT64(0), width, INT64(16)) as (column, _):
                    keys = [load(b, place, column, vector(INT8, 16)) for place in places[half]]
                    keys = [b.sext(each, vector(INT16, 16)) for each in keys]
                    for q, of_query in enumerate(totals):
                        place = b.add(b.mul(column, INT64(2)), b.mul(numbers_bytes, INT64(q)))
                        left = load(b, numbers, place, vector(INT16, 16))
                        for key, total in zip(keys, of_query[half], strict=True):
                            b.store(b.add(b.load(total), pair_sums(b, key, left, form)), total)
            for q, of_query in enumerate(totals):
                found = lane_totals(b, [b.load(each) for each in of_query])
                place = b.add(b.mul(first, INT64(4)), b.mul(sums_bytes, INT64(q)))
                store(b, b.sitofp(found, EIGHT), b.add(sums, place))
        return cg.get_dummy_value()

    def summed(
        typing: Any,
        stored: Any,
        starts: Any,
        numbers: Any,
        numbers_bytes: Any,
        width: Any,
        count: Any,
        sums: Any,
        sums_bytes: Any,
    ) -> Any:
        return types.void(stored, *[types.uintp] * 7), build

    return intrinsic(summed)


def weighted_sum(eights: int, queries: int) -> Any:
    """`f(stored, skip, starts, shares, shares_bytes, count, out, out_bytes)`: for each of the
    `queries`, out[8 eights] float32 = sum over t of its shares[t] times the numbers of the array
    `stored` at `starts[t]` + skip. Two queries' shares are shares_bytes apart, their sums out_bytes.
    """

    def summed(
        typing: Any,
        stored: Any,
        skip: Any,
        starts: Any,
        shares: Any,
        shares_bytes: Any,
        count: Any,
        out: Any,
        out_bytes: Any,
    ) -> Any:
        def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
            array, skip, starts, shares, shares_bytes, count, out, out_bytes = arguments
            item, base = ITEM_BYTES[stored.dtype], memory_of(cg, b, stored, array)
            sums = [accumulators(b, FLOAT, eights) for _ in range(queries)]
            with cgutils.for_range(b, count) as loop:
                start = b.add(load(b, starts, b.mul(loop.index, INT64(8)), INT64), skip)
                offset, of_share = b.mul(start, INT64(item)), b.mul(loop.index, INT64(4))
                weights = [
                    load(b, shares, b.add(of_share, b.mul(shares_bytes, INT64(q))), FLOAT)
                    for q in range(queries)
                ]
                weights = [repeat_lanes(b, each, 8) for each in weights]
                for n in range(eights):
                    place = b.add(offset, INT64(8 * item * n))
                    part = load_numbers(b, base, place, 8, stored.dtype)
                    for weight, of_query in zip(weights, sums, strict=True):
                        b.store(multiply_add(b, weight, part, b.load(of_query[n])), of_query[n])
            for q, of_query in enumerate(sums):
                for n, total in enumerate(of_query):
                    place = b.add(b.mul(out_bytes, INT64(q)), INT64(32 * n))
                    store(b, b.load(total), b.add(out, place))
            return cg.get_dummy_value()

        return types.void(stored, *[types.uintp] * 7), build

    return intrinsic(summed)


def largest(of_sizes: bool) -> Any:
    """`f(numbers, count)`: the largest of at least one float32 number, or of their sizes; NaN is left
    out unless it is the first. (LLVM compares one by one, as NaN is allowed.)
    """

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        numbers, count = arguments

        def number(place: Value, lanes: int) -> Value:
            found = load(b, numbers, b.mul(place, INT64(4)), vector(FLOAT, lanes))
            if not of_sizes:
                return found
            return call(b, f"llvm.fabs.v{lanes}f32", found.type, found)

        def raise_to(other: Value, best: Value) -> None:
            old = b.load(best)
            b.store(b.select(b.fcmp_ordered(">", other, old), other, old), best)

        first = repeat_lanes(b, b.extract_element(number(INT64(0), 1), INT32(0)), 4 * LANES)
        best = cgutils.alloca_once_value(b, first)
        whole = b.mul(b.udiv(count, INT64(4 * LANES)), INT64(4 * LANES))
        with cgutils.for_range_slice(b, INT64(0), whole, INT64(4 * LANES)) as (place, _):
            raise_to(number(place, 4 * LANES), best)
        found = b.load(best)
        while found.type.count > 1:
            half = found.type.count // 2
            left, right = (
                lanes_of(b, found, found, list(range(start, start + half))) for start in (0, half)
            )
            found = b.select(b.fcmp_ordered(">", left, right), left, right)
        one = cgutils.alloca_once_value(b, found)
        with cgutils.for_range_slice(b, whole, count, INT64(1)) as (place, _):
            raise_to(number(place, 1), one)
        return b.extract_element(b.load(one), INT32(0))

    def compared(typing: Any, numbers: Any, count: Any) -> Any:
        return types.float32(types.uintp, types.uintp), build

    return intrinsic(compared)


@intrinsic
def number_at(typing: Any, stored: Any, place: Any) -> Any:
    """A number of an array, as float32."""

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        base = memory_of(cg, b, stored, arguments[0])
        offset = b.mul(arguments[1], INT64(ITEM_BYTES[stored.dtype]))
        return load_number(b, base, offset, stored.dtype)

    return types.float32(stored, types.intp), build


@intrinsic
def put_number(typing: Any, stored: Any, place: Any, number: Any) -> Any:
    """A float32 number into an array, rounded to even."""

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        array, place, number = arguments
        base = memory_of(cg, b, stored, array)
        if stored.dtype == types.uint16:
            number = bf16_of_floats(b, number)
        elif stored.dtype == types.int16:
            number = b.fptrunc(number, HALF)
        store(b, number, b.add(base, b.mul(place, INT64(ITEM_BYTES[stored.dtype]))))
        return cg.get_dummy_value()

    return types.void(stored, types.intp, types.float32), build


@intrinsic
def scale_at(typing: Any, stored: Any, place: Any) -> Any:
    """The scale (bf16) at a place of an int8 array, as float32."""

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        base = memory_of(cg, b, stored, arguments[0])
        return load_number(b, base, arguments[1], types.uint16)

    return types.float32(stored, types.intp), build


@intrinsic
def put_scale(typing: Any, stored: Any, place: Any, number: Any) -> Any:
    """Rounded to bf16."""

    def build(cg: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        array, place, number = arguments
        base = memory_of(cg, b, stored, array)
        store(b, bf16_of_floats(b, number), b.add(base, place))
        return cg.get_dummy_value()

    return types.void(stored, types.intp, types.float32), build
