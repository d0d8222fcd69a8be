"""Inference precision: float32, bf16, or weights in 8 or 4 bits (model/quantised.py) with bf16 activations. Or "auto": the fastest, measured.

    opened, compute = open_in("auto", "smollm2-135m-instruct", select_compute())

float32 is the default, and the only one in which an answer is the same alone and among others without `BatchSettings.reproducible`. "auto" times
single-stream decoding in float32, bf16 and int8 once and stores the result in the cache folder, for models of this shape on this machine. It never
takes int4, whose loss of quality depends on the model (docs/log.md). On a processor without bf16, "auto" is float32 and the other choices give a
warning: they compute in emulated bf16, which makes prefill 2 to 6 times slower. Weights in int8 and int4 are mapped from the model's folder
(weights/packed.py), where they are written once. In both, up to 32 tokens at a time go through the compiled step (engine/compiled_step) where
numba is installed.
"""

import platform
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal, cast, get_args

import torch

from groundup.device import Compute, release_memory
from groundup.engine.compiled_step.probe import has_compiler, use_compiled_step
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.errors import ConfigError, FormatError, did_you_mean
from groundup.files import cache_folder, json_bytes, read_json, sha256_text, write_json
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.model.matmul_precision import MOST_SIDE, product_times, steady_s
from groundup.model.quantised import Bits, add_torch_order, quantise
from groundup.progress import Progress, Silent
from groundup.weights.model_io import OpenModel, find_model, open_model, read_model_summary
from groundup.weights.packed import open_packed, unpacked_note

Precision = Literal["float32", "bf16", "int8", "int4"]
PrecisionChoice = Literal["float32", "bf16", "int8", "int4", "auto"]
# Bytes of a weight, scales included: used to estimate the memory of a model.
WEIGHT_BYTES: dict[PrecisionChoice, float] = {"float32": 4.0, "bf16": 2.0, "int8": 1.5, "int4": 1.25, "auto": 4.0}
MEASURED: tuple[Precision, ...] = ("float32", "bf16", "int8")
MEASURED_TOKENS = 8
# A lower precision must take at most this share of a higher one's time.
MAX_TIME_RATIO = 0.9


def as_precision_choice(text: str) -> PrecisionChoice:
    """Return the text as a PrecisionChoice. Raises ConfigError."""
    if text not in get_args(PrecisionChoice):
        raise ConfigError(f"--precision {text!r} is unknown.", fix=did_you_mean(text, get_args(PrecisionChoice)))
    return cast(PrecisionChoice, text)


def open_in(
    choice: PrecisionChoice, name_or_path: str | Path, compute: Compute, *, progress: Progress | None = None
) -> tuple[OpenModel, Compute]:
    """Return a model in the chosen precision, and the Compute to use it with. Raises ConfigError, and what `open_model` raises."""
    progress = progress or Silent()
    note = emulation_note(choice, compute)
    if note:
        progress.say(note)
    if choice == "auto":
        return _fastest(name_or_path, compute, progress)
    if choice.startswith("int") and not compute.is_cpu:
        raise ConfigError(f"--precision {choice} works on a CPU only.", fix="Use bf16, or --device cpu.")
    compute = replace(compute, dtype=torch.float32 if choice == "float32" else torch.bfloat16)
    if choice in ("int8", "int4"):
        return _open_quantised(choice, name_or_path, compute, progress), compute
    opened = open_model(name_or_path, compute, progress=progress)
    if note := unpacked_note(opened.path, choice):
        progress.say(note)
    return opened, compute


def emulation_note(choice: PrecisionChoice, compute: Compute) -> str:
    """Return a warning, with a measured figure, about a precision that this processor only emulates; "" where there is no need."""
    if choice == "float32" or not compute.is_cpu or compute.has_bf16:
        return ""
    times = product_times(MOST_SIDE, MOST_SIDE, compute.device)
    figure = f"this processor has no bf16, {times} ({times.slowdown:.2g} times as long)"
    if choice == "auto":
        return f"--precision auto: float32, as {figure}."
    return f"--precision {choice}: {figure}, so prompts take several times as long; use --precision float32."


def _open_quantised(bits: Bits, name_or_path: str | Path, compute: Compute, progress: Progress) -> OpenModel:
    """Open a model in 8 or 4 bits: packed weights of its folder, or where it has none quantised in memory."""
    path = find_model(name_or_path, progress=progress, hashes=False)

    def read() -> OpenModel:
        return open_model(path, compute, progress=progress)

    found = open_packed(path, bits, read, progress)
    if found is None:
        opened = read()
        found = opened, quantise(opened.model, bits)
    opened, made = found
    if made.left:
        total = made.packed + len(made.left)
        progress.say(
            f"{bits}: {len(made.left)} of {total} matrices stay in bf16, such as {made.left[0]}: the kernels do not support their size."
        )
    if isinstance(opened.model, LanguageModel):
        progress.say(use_compiled_step(opened.model, progress))
    if not isinstance(opened.model, LanguageModel) or opened.model.decode_step is None:
        add_torch_order(opened.model)
    release_memory()
    return opened


def _fastest(name_or_path: str | Path, compute: Compute, progress: Progress) -> tuple[OpenModel, Compute]:
    """Open a model in the fastest precision, from the stored result or measured now."""
    path = find_model(name_or_path, progress=progress, hashes=False)
    summary = read_model_summary(str(path))
    record = cache_folder("precision") / f"{fingerprint(summary.config)}.json"
    has_choice = compute.is_cpu and compute.has_bf16 and summary.kind == "language"
    result = stored_result(record) if has_choice else "float32"
    if result is None:
        taken_s = {name: _measured_s(name, path, compute) for name in MEASURED}
        result = fastest(taken_s)
        write_json(record, {"precision": result, "token_s": taken_s})
        speeds = ", ".join(f"{name} {1 / seconds:.0f}" for name, seconds in taken_s.items())
        progress.say(f"--precision auto: {result} (tokens per second, measured once: {speeds}).")
    return open_in(result, path, compute, progress=progress)


def _measured_s(precision: Precision, path: Path, compute: Compute) -> float:
    """Open a model in a precision and return the seconds per token."""
    opened, used = open_in(precision, path, compute)
    return _token_s(opened, replace(used, dtype=next(opened.model.parameters()).dtype))


def fingerprint(config: ModelConfig) -> str:
    """Return a hash of the model's shape and the machine, which determine the speed."""
    machine = [
        platform.machine(),
        platform.node(),
        torch.backends.cpu.get_cpu_capability(),
        torch.get_num_threads(),
        has_compiler(),
    ]
    return sha256_text(json_bytes([asdict(config), *machine, torch.__version__]).decode())[:32]


def stored_result(record: Path) -> Precision | None:
    """Return the result of an earlier measurement, or None when there is none that is readable."""
    try:
        found = read_json(record)["precision"] if record.exists() else None
    except (FormatError, KeyError, TypeError):
        return None
    return next((known for known in MEASURED if known == found), None)


def fastest(token_s: dict[Precision, float]) -> Precision:
    """Return the highest precision that no lower one clearly beats.

    >>> fastest({"float32": 0.03, "bf16": 0.029, "int8": 0.01}), fastest({"float32": 0.03, "bf16": 0.029})
    ('int8', 'float32')
    """
    best: Precision = "float32"
    for name, seconds in token_s.items():
        if seconds < MAX_TIME_RATIO * token_s[best]:
            best = name
    return best


def _token_s(opened: OpenModel, compute: Compute) -> float:
    """Return the seconds per token of short answers, after a warm-up."""
    model, sampling = opened.model, Sampling(temperature=0, max_tokens=MEASURED_TOKENS)
    assert isinstance(model, LanguageModel)

    def answer_s() -> float:
        started = time.perf_counter()
        list(generate_ids(model, [0], sampling, (), compute=compute))
        return time.perf_counter() - started

    answer_s()
    return steady_s(answer_s) / MEASURED_TOKENS
