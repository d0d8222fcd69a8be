"""Device and dtype (`Compute`), random generators, memory of this machine, and repeated timing on
one that may be busy: times that disagree are measured again.

One Compute is made in `cli/` and passed on. Random numbers come from generators seeded by (run
seed, purpose, rank), so that two purposes never share a stream.
"""

import ctypes
import functools
import hashlib
import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from groundup.errors import ConfigError
from groundup.operating_system import available_memory_bytes, proc_bytes, processor_line
from groundup.operating_system import machine_memory_bytes as machine_memory_bytes
from groundup.operating_system import peak_memory_bytes as peak_memory_bytes
from groundup.operating_system import release_memory as release_memory
from groundup.progress import Progress, Silent
from groundup.threads import (
    DISTURBED,
    ThreadTuner,
    allowed_cores,
    prepare,
    set_thread_count,
    thread_counts,
)

DEVICES = ("auto", "cpu", "cuda", "mps")
# Parameters of glibc's mallopt(3), and a size above any tensor of a small model's step.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 2**30
Kind = TypeVar("Kind")

# The given time may be exceeded by this factor where times disagree.
MAX_TIMES = 3


@dataclass(frozen=True)
class Compute:
    """A device and the dtype of the weights on it."""

    device: torch.device
    dtype: torch.dtype = torch.float32
    native_bf16: bool | None = None
    """Whether the device has bf16 arithmetic; None: detect. For tests."""
    thread_counts: tuple[int, ...] = ()
    """Numbers of OpenMP threads that may be tried, the largest first; (): the number stays as it
    is.
    """
    fixed_choices: bool = False
    """Choose precision, threads and compilation by fixed rules: nothing by measuring, which a busy
    machine may change.
    """

    @property
    def is_cpu(self) -> bool:
        return self.device.type == "cpu"

    @property
    def has_bf16(self) -> bool:
        """Whether bf16 is worth measuring here; a device without it emulates it, several times
        slower than float32.
        """
        if self.native_bf16 is not None:
            return self.native_bf16
        if self.device.type == "cuda":
            return torch.cuda.is_bf16_supported(including_emulation=False)
        return not self.is_cpu or cpu_has_bf16()

    def arithmetic(self) -> dict[str, str | int]:
        """Return what the last bits of a result depend on besides packages: the processor's
        instructions that torch uses, and the number of threads.
        """
        used = torch.backends.cpu.get_cpu_capability()
        return {"instruction_set": used, "threads": torch.get_num_threads()}


def select_compute(
    device: str = "auto", dtype: torch.dtype = torch.float32, *, fixed_choices: bool = False
) -> Compute:
    """Return the named device, or for "auto" the first available of cuda, mps and cpu.

    On the CPU it has the numbers of threads to choose from by measuring, but where the user has set
    the number (`threads.decide`); in a container, torch's threads are reduced to its cores.

    Raises ConfigError.
    """
    if device not in DEVICES:
        raise ConfigError(f"--device {device!r} is not one of {', '.join(DEVICES)}.")
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        device = next(name for name in available if available[name])
    if not available[device]:
        raise ConfigError(
            f"--device {device}: this machine has none.", fix="Use --device auto or --device cpu."
        )
    tuned = prepare(say=lambda late: None).tuned and device == "cpu" and not fixed_choices
    counts = thread_counts(most_threads()) if tuned else ()
    if counts and torch.get_num_threads() > counts[0]:
        set_thread_count(counts[0])
    return Compute(torch.device(device), dtype, thread_counts=counts, fixed_choices=fixed_choices)


def bf16_products(compute: Compute) -> AbstractContextManager[Any]:
    """Return a context in which this thread's matrix products are those of bf16 if the device has
    instructions for them: for values that are compared with one another and not kept.
    """
    is_used = compute.has_bf16 and not compute.fixed_choices and compute.device.type != "mps"
    return torch.autocast(compute.device.type, torch.bfloat16, enabled=is_used)


@functools.cache
def most_threads() -> int:
    """Return torch's number of threads at the start of this process, at most the cores that it may
    use.
    """
    return min(torch.get_num_threads(), allowed_cores())


def choose_threads(compute: Compute, take_s: Callable[[], float] | None = None) -> None:
    """Set the number of threads that is fastest for a piece of work; `take_s` does it and returns
    its seconds, with each number alternately.

    The default work is matrix products as in a small model's step: the machine's other programs
    matter more than the work.
    """
    if len(compute.thread_counts) < 2:
        return
    tuner = ThreadTuner(compute.thread_counts, torch.get_num_threads())
    take_s = take_s or _products_s
    while not tuner.settled:
        set_thread_count(tuner.count)
        tuner.told(take_s())
    set_thread_count(tuner.count)


def _products_s() -> float:
    """Return the seconds of two matrix products with an activation between them, 1,024 tokens at
    width 256.
    """
    started = time.perf_counter()
    hidden = torch.nn.functional.silu(torch.ones(1024, 256) @ torch.ones(256, 1024))
    hidden @ torch.ones(1024, 256)
    return time.perf_counter() - started


@functools.cache
def cpu_has_bf16() -> bool:
    """Whether this CPU has bf16 instructions (AVX-512 bf16, AMX, Arm's bf16) and torch's kernels
    use them.

    False with ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 set
    before torch is imported: a newer CPU is then used as one with AVX2 only.
    """
    kernels = torch.backends.mkldnn.is_available() and hasattr(
        torch.ops.mkldnn, "_is_mkldnn_bf16_supported"
    )
    if not kernels or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False  # true also for AVX-512 without bf16, where they are emulated: so the CPU's flags are checked too
    return bool(
        getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    ) or "bf16" in processor_line("flags", "Features")


def processor_name() -> str:
    """Return the processor's name as Linux has it, elsewhere its architecture."""
    return processor_line("model name").partition(":")[2].strip() or platform.machine()


def keep_freed_memory() -> bool:
    """Make malloc keep freed memory for reuse instead of returning it to the system; return whether
    that is supported (glibc).

    A training step frees its activations and allocates the same again in the next; getting zeroed
    pages from the system for them took a tenth of a small model's step. The peak does not change.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)) and bool(
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
    )


def seed_for(run_seed: int, purpose: str, rank: int = 0) -> int:
    """Return a 63-bit seed for one purpose of one process; different purposes give unrelated
    streams.
    """
    digest = hashlib.blake2b(f"{run_seed}/{purpose}/{rank}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(
    run_seed: int, purpose: str, rank: int = 0, *, device: str = "cpu"
) -> torch.Generator:
    """Return a torch generator seeded by `seed_for`."""
    return torch.Generator(device=device).manual_seed(seed_for(run_seed, purpose, rank))


def memory_bytes() -> int | None:
    """None where the system does not report it."""
    return proc_bytes("self/status", "VmRSS")


def device_memory_bytes(compute: Compute) -> tuple[int, int] | None:
    """Return the bytes allocated on a CUDA device now and at the peak; None for other devices."""
    if compute.device.type != "cuda":
        return None
    return torch.cuda.memory_allocated(compute.device), torch.cuda.max_memory_allocated(
        compute.device
    )


def free_memory_bytes(compute: Compute) -> float:
    """Return the bytes still available on the device; infinite where the system does not report
    it.
    """
    if compute.device.type == "cuda":
        return float(torch.cuda.mem_get_info(compute.device)[0])
    known = available_memory_bytes()
    if known is None:
        return math.inf
    return float(known)


def shortest(
    takes: Mapping[Kind, Callable[[], float]],
    *,
    seconds: float,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Kind, float]:
    """Return the shortest of the seconds that each of `takes` returns, called for about `seconds`
    each; up to three times as long if disturbed.

    The shortest, since other programs only add time. The kinds alternate, so that a busy moment
    affects all; the first call of each is a warm-up. Disturbed: the two shortest times of a kind
    differ by a factor of more than 1.5, or there is only one.
    """
    started, whole_s = clock(), seconds * len(takes)
    with (progress or Silent()).track("measuring a step", whole_s, "s") as advance:
        times: dict[Kind, list[float]] = {kind: [] for kind in takes}
        while True:
            for kind, take in takes.items():
                times[kind].append(take())
                advance(times[kind][-1])
            spent_s = clock() - started
            if spent_s >= MAX_TIMES * whole_s or (
                spent_s >= whole_s and all(agrees(t[1:]) for t in times.values())
            ):
                return {kind: min(taken[1:] or taken) for kind, taken in times.items()}


def timed(call: Callable[[], Any]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def agrees(figures: Sequence[float]) -> bool:
    """Whether the two lowest figures agree.

    >>> agrees([9.0, 1.0, 1.2]), agrees([1.0, 2.0]), agrees([1.0])
    (True, False, False)
    """
    low = sorted(figures)[:2]
    return len(low) == 2 and low[1] <= DISTURBED * low[0]
