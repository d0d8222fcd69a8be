"""Float32 matrix products at the processor's full speed: a setting of torch, and the check that it
costs no precision.

On x86 torch uses Intel's MKL for float32 products, which on processors of other vendors leaves half
of AVX-512 unused (measured on an AMD EPYC 9005, one core: 110 GFLOP/s with MKL, 250 with oneDNN,
which torch includes too). torch uses oneDNN only where rounding to bf16 is *allowed*. Processors
with matrix tiles (AMX) and some ARM ones then do round; all others compute in full float32. So it
is allowed only where a test product shows that nothing is rounded.

It is enabled in a context, not globally: MKL is faster for a few rows (of one row: linear.py) and inside
torch's attention kernel (`default_matmul`), with many small products of ever new shapes, since
oneDNN prepares each shape.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

ONEDNN: Any = torch.backends.mkldnn
ALLOWED, ORDINARY = "bf16", "ieee"
# Sides of the product that is timed, on a CPU and on other devices: large enough for full speed,
# small enough for 0.1 s.
PEAK_SIDE, PEAK_SIDE_GPU, PEAK_TRIES = 1024, 8192, 5
# Sides of the product that is timed in bf16 and float32: large enough to compare, small enough for
# about 0.1 s where bf16 is emulated.
LEAST_SIDE, MOST_SIDE = 128, 256
# Two timings of the same work that differ by a larger factor were disturbed, and it is timed again,
# at most so many times.
AGREEMENT, MOST_TIMINGS = 1.5, 8
# The relative error of a float32 product is about 1e-6 of its largest entry; rounded to bf16 2e-3,
# to tf32 2e-4.
MAX_ERROR = 2e-5
# Whether `fast_matmul` is in effect: a plain variable, so that a compiler can read it.
_fast = False


@contextlib.contextmanager
def fast_matmul(device: torch.device) -> Iterator[None]:
    """Use oneDNN for float32 products on a CPU where it is as exact; elsewhere nothing changes."""
    global _fast
    if device.type != "cpu" or not fast_matmul_is_exact():
        yield
        return
    before = _fast
    with _precision(ONEDNN.matmul, ALLOWED):
        _fast = True
        try:
            yield
        finally:
            _fast = before


def default_matmul() -> contextlib.AbstractContextManager[None]:
    """Inside `fast_matmul`, torch's default again. A compiler must not trace the switch."""
    if torch.compiler.is_compiling() or not _fast:
        return contextlib.nullcontext()
    return _precision(ONEDNN.matmul, ORDINARY)


def tensor_core_matmul(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """TF32 on an NVIDIA GPU: factors rounded to 10 bits, sums in float32, several times faster from
    Ampere on. The relative error of about 5e-4 is far below the noise of a batch's gradient;
    evaluation stays exact.
    """
    if device.type != "cuda":
        return contextlib.nullcontext()
    return _precision(torch.backends.cuda.matmul, "tf32")


def matmul_is_fast() -> bool:
    """float32 then has half of bf16's speed instead of a quarter."""
    return _fast


@cache
def fast_matmul_is_exact() -> bool:
    """Whether this processor computes in full float32 although it may round."""
    if not ONEDNN.is_available() or not hasattr(ONEDNN, "matmul"):
        return False
    if getattr(torch.cpu, "_is_amx_tile_supported", lambda: True)():
        return False
    with torch.no_grad(), torch.autocast("cpu", enabled=False), _precision(ONEDNN.matmul, ALLOWED):
        return all(_relative_error(size) < MAX_ERROR for size in (48, 512))


@contextlib.contextmanager
def _precision(products: Any, name: str) -> Iterator[None]:
    """Of float32 products of a backend, such as `ONEDNN.matmul`."""
    before = products.fp32_precision
    products.fp32_precision = name
    try:
        yield
    finally:
        products.fp32_precision = before


def _relative_error(size: int) -> float:
    """Of a product of two generic matrices, alone and in a batch."""
    wave = torch.arange(size * size, dtype=torch.float64, device="cpu").view(size, size)
    left, right = wave.sin(), (wave * 0.7).cos()
    exact = left @ right
    alone = left.float() @ right.float()
    batch = torch.bmm(left.float().expand(3, -1, -1), right.float().expand(3, -1, -1))
    return float((torch.cat([alone[None], batch]) - exact).abs().max() / exact.abs().max())


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """The FLOP/s of a large matrix product."""
    side = PEAK_SIDE if device.type == "cpu" else PEAK_SIDE_GPU
    ones = torch.ones(side, side, device=device, dtype=dtype)
    with torch.no_grad(), torch.autocast(device.type, enabled=False), fast_matmul(device):
        return 2 * side**3 / min(_product_s(ones, ones) for _ in range(PEAK_TRIES))


def _product_s(left: torch.Tensor, right: torch.Tensor) -> float:
    started = time.perf_counter()
    (left @ right)[0, 0].item()  # synchronises with the device
    return time.perf_counter() - started


@dataclass(frozen=True)
class ProductTimes:
    """One matrix product in both precisions."""

    float32_s: float
    bf16_s: float

    @property
    def slowdown(self) -> float:
        """bf16 to float32: about 0.3 where the processor has bf16, 4 to 12 where it is emulated."""
        return self.bf16_s / self.float32_s

    def __str__(self) -> str:
        bf16_ms, float32_ms = 1000 * self.bf16_s, 1000 * self.float32_s
        return f"a matrix product takes {bf16_ms:.2g} ms in bf16 and {float32_ms:.2g} ms in float32"


def product_times(rows: int, columns: int, device: torch.device) -> ProductTimes:
    """Of [rows, rows] x [rows, columns] (sides clamped to 128 .. 256): some ms, 0.1 s where bf16 is
    emulated.
    """
    rows, columns = (min(max(side, LEAST_SIDE), MOST_SIDE) for side in (rows, columns))

    def seconds(dtype: torch.dtype) -> float:
        left, right = (
            torch.ones(rows, side, device=device, dtype=dtype) for side in (rows, columns)
        )
        _product_s(left, right)  # warms up
        return steady_s(lambda: _product_s(left, right))

    with torch.no_grad(), torch.autocast(device.type, enabled=False), fast_matmul(device):
        return ProductTimes(seconds(torch.float32), seconds(torch.bfloat16))


def steady_s(take_s: Callable[[], float]) -> float:
    """The shortest of several timings of the same work: at least two, until the two shortest agree.

    >>> steady_s(iter([9.0, 1.0, 7.0, 1.1]).__next__)
    1.0
    """
    taken = sorted((take_s(), take_s()))
    while taken[1] > AGREEMENT * taken[0] and len(taken) < MOST_TIMINGS:
        taken = sorted((*taken, take_s()))
    return taken[0]
