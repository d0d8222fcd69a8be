"""Inference precision: float32, bf16, or weights in 8 or 4 bits (model/quantised.py) with bf16
activations. Or "auto": the fastest, measured.

    opened, compute = open_in("auto", "smollm2-135m-instruct", select_compute())
    opened, compute = open_to_write("smollm2-135m-instruct", select_compute())
            # what `chat`, `ask` and `generate` do unless told otherwise

What measures, trains, exports or serves opens a model in float32; what writes an answer for one
person in int8, where this machine and model have the fast path for it. "auto" times decoding in
float32, bf16 and int8 once for models of this shape on this machine; never int4, whose loss of
quality depends on the model (docs/log.md). On a processor without bf16, "auto" is float32 and the
other choices give a warning: emulated bf16 makes prefill 2 to 6 times slower.
"""

import platform
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal, cast, get_args

import torch

from groundup.device import Compute, release_memory
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.engine.step_engine import WEIGHT_BYTES as WEIGHT_BYTES
from groundup.engine.step_engine import WRITTEN_IN, is_decoded_in_int8, is_written_by_step
from groundup.errors import ConfigError, FormatError, ModelError, did_you_mean
from groundup.files import cache_folder, json_bytes, read_json, sha256_text, write_json
from groundup.kernels.probe import has_compiler, use_compiled_step, use_step_when_needed
from groundup.kernels.step_check import why_not
from groundup.kernels.step_shape import unsupported_part
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.model.matmul_precision import MOST_SIDE, product_times, steady_s
from groundup.model.quantised import Bits, add_torch_order, quantise
from groundup.progress import Progress, Silent
from groundup.weights.model_io import OpenModel, find_model, open_model, read_model_summary
from groundup.weights.packed import open_packed, unpacked_note
from groundup.weights.packed_files import keeps_packed, packed_bits

Precision = Literal["float32", "bf16", "int8", "int4"]
PrecisionChoice = Literal["float32", "bf16", "int8", "int4", "auto"]
MEASURED: tuple[Precision, ...] = ("float32", "bf16", "int8")
MEASURED_TOKENS = 8
# A lower precision must take at most this share of a higher one's time.
MAX_TIME_RATIO = 0.9


def as_precision_choice(text: str) -> PrecisionChoice:
    """Raises ConfigError."""
    if text not in get_args(PrecisionChoice):
        raise ConfigError(
            f"`precision` {text!r} is unknown.", fix=did_you_mean(text, get_args(PrecisionChoice))
        )
    return cast(PrecisionChoice, text)


def open_in(
    choice: PrecisionChoice,
    name_or_path: str | Path,
    compute: Compute,
    *,
    progress: Progress | None = None,
) -> tuple[OpenModel, Compute]:
    """A model, and the Compute to use it with. Raises ConfigError, and what `open_model` raises."""
    progress = progress or Silent()
    note = emulation_note(choice, compute)
    if note:
        progress.say(note)
    if choice == "auto":
        return _fastest(name_or_path, compute, progress)
    if choice.startswith("int") and not compute.is_cpu:
        raise ConfigError(
            f"`precision` {choice} works on a CPU only.", fix="Use bf16, or `device` cpu."
        )
    dtype = torch.float32 if choice == "float32" else torch.bfloat16
    compute = replace(compute, dtype=dtype)
    if choice in ("int8", "int4"):
        opened, note = _open_quantised(choice, name_or_path, compute, progress)
    else:
        opened = open_model(name_or_path, compute, progress=progress)
        note = unpacked_note(opened.path, choice)
        if compute.is_cpu and isinstance(opened.model, LanguageModel):
            use_step_when_needed(opened.model, progress)
    if note:
        progress.say(note)
    return opened, compute


def open_to_write(
    name_or_path: str | Path, compute: Compute, *, progress: Progress | None = None
) -> tuple[OpenModel, Compute]:
    """In the default precision of what writes answers, which is said where it is not float32."""
    progress = progress or Silent()
    path = find_model(name_or_path, progress=progress, hashes=False)
    bits = default_precision(path, compute)
    if bits == "float32":
        return open_in(bits, path, compute, progress=progress)
    used = replace(compute, dtype=torch.bfloat16)
    opened, decoder = _open_quantised(bits, path, used, progress)
    if getattr(opened.model, "decode_step", None) is None:
        # the step can't be compiled here, or is wrong
        progress.say(decoder)
        return open_in("float32", path, compute, progress=progress)
    progress.say(WRITTEN_IN.format(precision=bits))
    return opened, used


def prepare_first_answer(folder: Path, compute: Compute, progress: Progress) -> None:
    """Keep what the first answer of a build's model, or of a model, would wait for: its packed
    weights and the step's machine code. Nothing is done where both are kept, or there is no model.

    Raises GroundupError.
    """
    try:
        path = find_model(folder, hashes=False)
    except ModelError:
        return
    bits = default_precision(path, compute)
    if bits != "float32" and not is_written_by_step(path):
        progress.say(f"Preparing the first answer of {path} (Ctrl-C leaves it for later) ...")
        _open_quantised(bits, path, replace(compute, dtype=torch.bfloat16), progress)
    elif bits == "float32" and compute.is_cpu:
        summary = read_model_summary(str(path))
        if summary.kind == "language" and not unsupported_part(summary.config):
            why_not("float32", progress)


def default_precision(path: Path, compute: Compute) -> Literal["float32", "int8", "int4"]:
    """float32, or int8 where its weights are kept and the compiled step decodes them. A folder of
    packed weights alone is used as it is.
    """
    if not (compute.is_cpu and compute.has_bf16 and has_compiler()) or not path.is_dir():
        return "float32"
    try:
        bits = packed_bits(path) or "int8"
        fits = keeps_packed(path, bits) and is_decoded_in_int8(read_model_summary(str(path)).config)
    except (FormatError, ModelError):
        return "float32"
    return bits if fits else "float32"


def emulation_note(choice: PrecisionChoice, compute: Compute) -> str:
    """A warning, with a measured figure, about a precision that this processor only emulates."""
    if choice == "float32" or not compute.is_cpu or compute.has_bf16:
        return ""
    times = product_times(MOST_SIDE, MOST_SIDE, compute.device)
    figure = f"this processor has no bf16, {times} ({times.slowdown:.2g} times as long)"
    if choice == "auto":
        return f"Precision auto: float32, as {figure}."
    return (
        f"Precision {choice}: {figure}, so prompts take several times as long; use precision "
        "float32."
    )


def _open_quantised(
    bits: Bits, name_or_path: str | Path, compute: Compute, progress: Progress
) -> tuple[OpenModel, str]:
    """Packed weights of the folder, or quantised in memory; and a sentence on what decodes it."""
    path = find_model(name_or_path, progress=progress, hashes=False)

    def read() -> OpenModel:
        return open_model(path, compute, progress=progress)

    packed = open_packed(path, bits, read, progress)
    if packed is not None:
        opened, quantised = packed
    else:
        opened = read()
        quantised = quantise(opened.model, bits)
    if quantised.left:
        total = quantised.packed + len(quantised.left)
        progress.say(
            f"{bits}: {len(quantised.left)} of {total} matrices stay in bf16, such as "
            f"{quantised.left[0]}: the kernels do not support their size."
        )
    decoder = ""
    if isinstance(opened.model, LanguageModel):
        decoder = use_compiled_step(opened.model, progress)
    if getattr(opened.model, "decode_step", None) is None:
        add_torch_order(opened.model)
    release_memory()
    return opened, decoder


def _fastest(
    name_or_path: str | Path, compute: Compute, progress: Progress
) -> tuple[OpenModel, Compute]:
    path = find_model(name_or_path, progress=progress, hashes=False)
    summary = read_model_summary(str(path))
    record = cache_folder("precision") / f"{fingerprint(summary.config)}.json"
    has_choice = compute.is_cpu and compute.has_bf16 and summary.kind == "language"
    result: Precision | None = "float32"
    if has_choice:
        result = stored_result(record)
    if result is None:
        taken_s = {name: _measured_s(name, path, compute) for name in MEASURED}
        result = fastest(taken_s)
        write_json(record, {"precision": result, "token_s": taken_s})
        speeds = ", ".join(f"{name} {1 / seconds:.0f}" for name, seconds in taken_s.items())
        progress.say(f"Precision auto: {result} (tokens per second, measured once: {speeds}).")
    return open_in(result, path, compute, progress=progress)


def _measured_s(precision: Precision, path: Path, compute: Compute) -> float:
    """Seconds per token."""
    opened, used = open_in(precision, path, compute)
    return _token_s(opened, replace(used, dtype=next(opened.model.parameters()).dtype))


def fingerprint(config: ModelConfig) -> str:
    """Of the model's shape and the machine."""
    machine = [
        platform.machine(),
        platform.node(),
        torch.backends.cpu.get_cpu_capability(),
        torch.get_num_threads(),
        f"step of every precision: {has_compiler()}",
    ]
    return sha256_text(json_bytes([asdict(config), *machine, torch.__version__]).decode())[:32]


def stored_result(record: Path) -> Precision | None:
    """Of an earlier measurement."""
    try:
        found = read_json(record)["precision"] if record.exists() else None
    except (FormatError, KeyError, TypeError):
        return None
    return next((known for known in MEASURED if known == found), None)


def fastest(token_s: dict[Precision, float]) -> Precision:
    """Return the highest precision that no lower one clearly beats.

    >>> fastest({"float32": 0.03, "bf16": 0.029, "int8": 0.01})
    'int8'
    >>> fastest({"float32": 0.03, "bf16": 0.029})
    'float32'
    """
    best: Precision = "float32"
    for name, seconds in token_s.items():
        if seconds < MAX_TIME_RATIO * token_s[best]:
            best = name
    return best


def _token_s(opened: OpenModel, compute: Compute) -> float:
    """Of short answers, after a warm-up."""
    model, sampling = opened.model, Sampling(temperature=0, max_tokens=MEASURED_TOKENS)
    assert isinstance(model, LanguageModel)

    def answer_s() -> float:
        started = time.perf_counter()
        list(generate_ids(model, [0], sampling, (), compute=compute))
        return time.perf_counter() - started

    answer_s()
    return steady_s(answer_s) / MEASURED_TOKENS
