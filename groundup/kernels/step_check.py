"""Whether this machine can run the compiled step: numba is installed, and the logits of a few
tokens in a tiny model of known numbers are right. Without torch.
"""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from groundup.errors import install_command
from groundup.kernels.step_shape import FLOAT_KINDS, PARTS, Array, CacheKind, Kind
from groundup.kernels.step_weights import StepModel, round_to_bf16
from groundup.model.config import ModelConfig
from groundup.model.packing import BLOCK, GROUP
from groundup.operating_system import IS_WINDOWS
from groundup.progress import Advance, Progress

WITHOUT_NUMBA = f"the package numba is not installed ({install_command('fast')})"
if IS_WINDOWS:  # calls of machine code that were never tried could end the process
    WITHOUT_NUMBA = "the compiled step was not tried on Windows"
COMPILED_STEP = "compiled step"
BY_STEP = "Decoding with the compiled step, up to 32 answers at a time."
COMPILING = "Compiling the decoding step, once for this machine (about 10 seconds) ..."
# About so many functions, for the bar.
COMPILED_FUNCTIONS = 31
# Logits of the probe may differ by this share of the largest: order of summation, the polynomial
# for exp, a key that is rounded to the next bf16.
MAX_ERROR = 1e-2
# Without the last, which comes alone, this number is multiplied by four and two at a time.
PROBE_TOKENS = 7
PROBED = ModelConfig(64, 8, 64, 1, 2, 64, 1, 64)
# Weights of the probe are spread evenly up to this size, as those of a normal deviation of 0.2 are.
SPREAD = 0.35
# Notes of this process on where code is kept.
_notes: set[str] = set()


def has_compiler() -> bool:
    return not IS_WINDOWS and importlib.util.find_spec("numba") is not None


def expected_note(precision: str) -> str:
    """What will compute single tokens in this precision, before a model is open."""
    if precision == "float32":  # where torch decodes it, it is only slower
        return ""
    note = "The compiled step decodes up to 32 answers at a time"
    if not has_compiler():
        note += f", but {WITHOUT_NUMBA}"
    return f"{note}."


def why_not(kind: Kind, progress: Progress, cache: CacheKind = "auto") -> str:
    """Why the step does not decode a model whose matrices are of this kind here, with keys and
    values of the kind `cache`, as a sentence; "": it does, and is compiled.
    """
    if not has_compiler():
        return f"Decoding through torch: {WITHOUT_NUMBA}."
    try:
        from groundup.kernels.array_step import STEP
        from groundup.kernels.machine_code import UnknownCode, code_folder

        kept = code_folder()
        if kept.note and kept.note not in _notes:
            _notes.add(kept.note)
            progress.say(f"note: {kept.note}")
        before, STEP.compiling = STEP.compiling, partial(_shown, progress)
        try:
            error_share = probe_error(kind, cache)
        finally:
            STEP.compiling = before
    except ImportError as error:  # numba refuses a numpy that is newer than itself
        return f"Decoding through torch: numba can't be loaded ({error})."
    except UnknownCode as error:
        return f"Decoding through torch: {error}"
    if error_share <= MAX_ERROR:
        return ""
    return (
        "Decoding through torch: the compiled step is wrong on this processor (by "
        f"{error_share:.2g})."
    )


@contextmanager
def _shown(progress: Progress) -> Iterator[Advance]:
    progress.say(COMPILING)
    with progress.track("compile", COMPILED_FUNCTIONS, "functions") as advance:
        yield advance


def probe_error(kind: Kind, cache: CacheKind = "auto") -> float:
    """The largest error of the logits of a few tokens in a tiny model, as a share of the largest
    logit.
    """
    from groundup.kernels.array_step import ArrayCache, ArrayStep
    from groundup.kernels.readable_step import readable_step

    described, ids = StepModel.of_arrays(PROBED, _arrays(kind)), np.arange(3, 3 + PROBE_TOKENS)
    stored = ArrayCache(described, PROBED, PROBED.context_tokens, cache)
    step = ArrayStep(described)
    parts = [step.after_cache(part[None], stored) for part in (ids[:-1], ids[-1:])]
    keys, values = (np.zeros((1, PROBE_TOKENS, 1, 64), np.float32) for _ in range(2))
    rows = described.embed(ids, np.arange(PROBE_TOKENS))
    expected = np.stack(
        [
            readable_step(described, row, place, keys, values, cache)
            for place, row in enumerate(rows)
        ]
    )
    return float(np.abs(np.concatenate(parts) - expected).max() / np.abs(expected).max())


def _arrays(kind: Kind) -> dict[str, Array]:
    """Of a model of the shape PROBED, the same at each call."""
    floats = next((numbers for numbers, name in FLOAT_KINDS.items() if name == kind), np.uint16)
    block, heads = "transformer.blocks.0", PROBED.num_heads * PROBED.head_width
    rows = {"query": heads, "key": 64, "value": 64, "output": 64}
    made = {"transformer.embedding.weight": as_numbers(spread(0, (64, 64)), floats)}
    for place, name in enumerate((*rows, "gate", "up", "down"), 1):
        size = (rows.get(name, 64), {"output": heads}.get(name, 64))
        made |= _matrix(f"{block}.{PARTS[name]}.{name}", spread(place, size), kind, floats)
    if kind.startswith("int"):
        made |= _matrix("head", spread(0, (64, 64)), "int8", floats)
    for name in (f"{block}.attention_norm", f"{block}.feedforward_norm", "transformer.final_norm"):
        made[f"{name}.weight"] = as_numbers(np.ones(64, np.float32), floats)
    return made


def _matrix(name: str, weight: Array, kind: Kind, floats: type) -> dict[str, Array]:
    rows, columns = weight.shape
    if kind == "int8":
        numbers = np.rint(weight / SPREAD * 127).astype(np.int8)
        scales = as_numbers(np.full(rows, SPREAD / 127, np.float32), floats)
        return {f"{name}.numbers": numbers, f"{name}.scales": scales}
    if kind == "int4":
        groups = columns // GROUP
        shape = (rows // BLOCK, groups, 4, BLOCK, 4)
        by_block = np.rint((weight / SPREAD + 1) / 2 * 255).astype(np.uint8)
        by_block = np.ascontiguousarray(by_block.reshape(-1)[: rows * columns // 2]).reshape(shape)
        pair = np.array([SPREAD / 8, 0.0], np.float32)  # scale and offset
        pairs = np.broadcast_to(pair, (rows // BLOCK, groups, BLOCK, 2)).copy()
        return {f"{name}.by_block": by_block, f"{name}.pairs": as_numbers(pairs, floats)}
    return {f"{name}.weight": as_numbers(weight, floats)}


def spread(seed: int, shape: tuple[int, int]) -> Array:
    """Numbers from -SPREAD to SPREAD without order: the fractions of multiples of a large prime."""
    places = np.arange(shape[0] * shape[1], dtype=np.uint64) + np.uint64(seed << 20)
    mixed = places * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    shares = (mixed * np.uint64(0xBF58476D1CE4E5B9) >> np.uint64(40)).astype(np.float32) / 2**24
    return ((2 * shares - 1) * np.float32(SPREAD)).astype(np.float32).reshape(shape)


def as_numbers(values: Array, floats: type) -> Array:
    """float32 as `FLOAT_KINDS` has these numbers."""
    if floats is np.uint16:
        return (round_to_bf16(values).view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    if floats is np.int16:
        return values.astype(np.float16).view(np.int16)
    return values
