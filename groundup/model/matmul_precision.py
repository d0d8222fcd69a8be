"""Float32 matrix products at the processor's full speed: a switch of torch's, and the check that it costs no precision.

On x86 torch takes float32 products to Intel's MKL, which on other makers' processors leaves half of their AVX-512 unused (measured on an AMD
EPYC 9005, one core: 110 GFLOP/s through MKL, 250 through oneDNN, which torch carries too). torch hands them to oneDNN only where it is
*allowed* to round to bf16 inside. Processors with matrix tiles (AMX) and some ARM ones then do round; all others have nothing to gain by it,
and oneDNN computes in full float32. So the permission is given only where a product shows that it is not used.

It is given for a while, not for good: for a few rows (a token that is decoded) MKL is the quicker one, and so it is inside torch's attention kernel
(`default_matmul`), for many small products whose shapes are ever new: oneDNN prepares for each.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

ONEDNN: Any = torch.backends.mkldnn
ALLOWED, ORDINARY = "bf16", "ieee"
# Large enough for full speed, small enough for a tenth of a second: sides of the measured product on a CPU and on anything else.
PEAK_SIDE, PEAK_SIDE_GPU, PEAK_TRIES = 1024, 8192, 5
# Sides of the product that is measured in bf16 beside float32: large enough to tell, small enough for some 0.1 s where bf16 is emulated.
LEAST_SIDE, MOST_SIDE = 128, 256
# Two times of the same work that differ by more were disturbed, and it is timed again, so many times at most.
AGREEMENT, MOST_TIMINGS = 1.5, 8
# A product of float32 numbers is right to some 1e-6 of its largest entry; rounded to bf16 to 2e-3, to tf32 to 2e-4.
KEPT = 2e-5
# Whether this is inside `fast_matmul` with an effect: a plain variable, so that a compiler can read it.
_given = False


@contextlib.contextmanager
def fast_matmul(device: torch.device) -> Iterator[None]:
    """Inside, float32 products on a CPU go the faster way, where that is as exact. Elsewhere it changes nothing."""
    global _given
    if device.type != "cpu" or not fast_matmul_is_exact():
        yield
        return
    before = _given
    with _precision(ALLOWED):
        _given = True
        try:
            yield
        finally:
            _given = before


def default_matmul() -> contextlib.AbstractContextManager[None]:
    """Inside `fast_matmul`, torch's ordinary way again for a while. A compiler must not see the switch, and does not need it."""
    if torch.compiler.is_compiling() or not _given:
        return contextlib.nullcontext()
    return _precision(ORDINARY)


@contextlib.contextmanager
def tensor_core_matmul(device: torch.device) -> Iterator[None]:
    """Inside, an NVIDIA GPU rounds what float32 products multiply to 10 bits (TF32), and sums in float32: several times faster from Ampere on.

    Right to some 5e-4, far below the noise of a batch's gradient, so it is for training steps; evaluation stays exact.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.fp32_precision = before


def matmul_is_fast() -> bool:
    """Whether this is inside `fast_matmul`, and it has an effect: float32 is then worth half of bf16's speed instead of a quarter."""
    return _given


@cache
def fast_matmul_is_exact() -> bool:
    """Whether this processor keeps float32 though it need not: no matrix tiles, and test products as exact as before."""
    if not ONEDNN.is_available() or not hasattr(ONEDNN, "matmul"):
        return False
    if getattr(torch.cpu, "_is_amx_tile_supported", lambda: True)():
        return False
    with torch.no_grad(), torch.autocast("cpu", enabled=False), _precision(ALLOWED):
        return all(_relative_error(size) < KEPT for size in (48, 512))


@contextlib.contextmanager
def _precision(name: str) -> Iterator[None]:
    before = ONEDNN.matmul.fp32_precision
    ONEDNN.matmul.fp32_precision = name
    try:
        yield
    finally:
        ONEDNN.matmul.fp32_precision = before


def _relative_error(size: int) -> float:
    """Of a product of two matrices of no special numbers, alone and as one of a batch."""
    wave = torch.arange(size * size, dtype=torch.float64, device="cpu").view(size, size)
    left, right = wave.sin(), (wave * 0.7).cos()
    exact = left @ right
    alone = left.float() @ right.float()
    batch = torch.bmm(left.float().expand(3, -1, -1), right.float().expand(3, -1, -1))
    return float((torch.cat([alone[None], batch]) - exact).abs().max() / exact.abs().max())


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large matrix product here and now: what a model's arithmetic could at best come to."""
    side = PEAK_SIDE if device.type == "cpu" else PEAK_SIDE_GPU
    ones = torch.ones(side, side, device=device, dtype=dtype)
    with torch.no_grad(), torch.autocast(device.type, enabled=False), fast_matmul(device):
        return 2 * side**3 / min(_product_s(ones, ones) for _ in range(PEAK_TRIES))


def _product_s(left: torch.Tensor, right: torch.Tensor) -> float:
    started = time.perf_counter()
    (left @ right)[0, 0].item()  # reading a number waits for the device
    return time.perf_counter() - started


@dataclass(frozen=True)
class ProductTimes:
    """One product of two matrices, timed in both precisions."""

    float32_s: float
    bf16_s: float

    @property
    def slowdown(self) -> float:
        """How many times as long it takes in bf16: some 0.3 where the processor has bf16, 4 to 12 where it is emulated (docs/log.md)."""
        return self.bf16_s / self.float32_s

    def __str__(self) -> str:
        return (
            f"a matrix product takes {1000 * self.bf16_s:.2g} ms in bf16 and {1000 * self.float32_s:.2g} ms in float32"
        )


def product_times(rows: int, columns: int, device: torch.device) -> ProductTimes:
    """A [rows, rows] x [rows, columns] product (each side 128 to 256) in float32 and in bf16: some milliseconds, 0.1 s where bf16 is emulated."""
    rows, columns = (min(max(side, LEAST_SIDE), MOST_SIDE) for side in (rows, columns))

    def seconds(dtype: torch.dtype) -> float:
        left, right = (torch.ones(rows, side, device=device, dtype=dtype) for side in (rows, columns))
        _product_s(left, right)  # warms up
        return steady_s(lambda: _product_s(left, right))

    with torch.no_grad(), torch.autocast(device.type, enabled=False), fast_matmul(device):
        return ProductTimes(seconds(torch.float32), seconds(torch.bfloat16))


def steady_s(take_s: Callable[[], float]) -> float:
    """The shortest of some times of the same work: two, and more until the two shortest agree. What disturbs a measurement only ever adds.

    >>> steady_s(iter([9.0, 1.0, 7.0, 1.1]).__next__)
    1.0
    """
    taken = [take_s(), take_s()]
    while not agree(taken) and len(taken) < MOST_TIMINGS:
        taken.append(take_s())
    return min(taken)


def agree(taken_s: Sequence[float]) -> bool:
    """Whether the two shortest of some times differ by a factor of 1.5 at most: none do, one alone does not."""
    first, second = (*sorted(taken_s), math.inf, math.inf)[:2]
    return second <= AGREEMENT * first
