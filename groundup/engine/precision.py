"""In which numbers a model answers: float32, bf16, or weights in 8 or 4 bits (model/quantised.py) under bf16. Or "auto": the fastest, measured.

    opened, compute = open_in("auto", "smollm2-135m-instruct", select_compute())

float32 is the default, and the one in which an answer is the same alone and among others without being asked to (`BatchSettings.reproducible`).
"auto" times single-stream decoding in float32, bf16 and int8 once and remembers the verdict in the cache folder, for models of this shape on this
machine. It never takes int4: how much that costs depends on the model more than on the machine (docs/log.md).
"""

import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal, get_args

import torch

from groundup.device import Compute
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.errors import ConfigError, FormatError, did_you_mean
from groundup.files import cache_folder, json_bytes, read_json, sha256_text, write_json
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.model.quantised import quantise
from groundup.progress import Progress, Silent
from groundup.timing import agrees
from groundup.weights.model_io import OpenModel, open_model

Precision = Literal["float32", "bf16", "int8", "int4"]
PrecisionChoice = Literal["float32", "bf16", "int8", "int4", "auto"]
# Bytes of a weight, scales counted: room for a model is made by it.
WEIGHT_BYTES: dict[PrecisionChoice, float] = {"float32": 4.0, "bf16": 2.0, "int8": 1.5, "int4": 1.25, "auto": 4.0}
MEASURED: tuple[Precision, ...] = ("float32", "bf16", "int8")
MEASURED_TOKENS, MEASURED_ROUNDS, MOST_ROUNDS = 8, 3, 9
# A coarser precision has to be clearly faster than a finer one.
WORTH_IT = 0.9


def as_precision_choice(text: str) -> PrecisionChoice:
    """What was asked for. Raises ConfigError."""
    for known in get_args(PrecisionChoice):
        if text == known:
            wish: PrecisionChoice = known
            return wish
    raise ConfigError(f"--precision {text!r} is unknown.", fix=did_you_mean(text, get_args(PrecisionChoice)))


def open_in(
    wish: PrecisionChoice, name_or_path: str | Path, compute: Compute, *, progress: Progress | None = None
) -> tuple[OpenModel, Compute]:
    """A model in the precision wished for, and the Compute to use it with. Raises what `open_model` does, and ConfigError."""
    progress = progress or Silent()
    if wish == "auto":
        return _fastest(name_or_path, compute, progress)
    if wish.startswith("int") and not compute.is_cpu:
        raise ConfigError(f"--precision {wish} is for a CPU.", fix="Take bf16, or --device cpu.")
    compute = replace(compute, dtype=torch.float32 if wish == "float32" else torch.bfloat16)
    opened = open_model(name_or_path, compute, progress=progress)
    if wish in ("int8", "int4"):
        _pack(opened, wish, progress)
    return opened, compute


def _pack(opened: OpenModel, bits: Literal["int8", "int4"], progress: Progress) -> None:
    made = quantise(opened.model, bits)
    if made.left:
        total = made.packed + len(made.left)
        progress.say(
            f"{bits}: {len(made.left)} of {total} matrices stay in bf16, such as {made.left[0]}: of no size that the kernels take."
        )


def _fastest(name_or_path: str | Path, compute: Compute, progress: Progress) -> tuple[OpenModel, Compute]:
    """By the verdict that is remembered, or by one found now."""
    opened, in_float32 = open_in("float32", name_or_path, compute, progress=progress)
    if not compute.is_cpu or not isinstance(opened.model, LanguageModel):
        return opened, in_float32
    record = cache_folder("precision") / f"{fingerprint(opened.config)}.json"
    verdict = remembered(record)
    if verdict is None:
        taken_s = dict(_timed(opened, name_or_path, compute))
        verdict = fastest(taken_s)
        write_json(record, {"precision": verdict, "token_s": taken_s})
        speeds = ", ".join(f"{name} {1 / seconds:.0f}" for name, seconds in taken_s.items())
        progress.say(f"--precision auto: {verdict} (tokens a second, measured once: {speeds}).")
    return (opened, in_float32) if verdict == "float32" else open_in(verdict, name_or_path, compute, progress=progress)


def fingerprint(config: ModelConfig) -> str:
    """The model's shape and the machine: what a speed depends on."""
    machine = [platform.machine(), platform.node(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()]
    return sha256_text(json_bytes([asdict(config), *machine, torch.__version__]).decode())[:32]


def remembered(record: Path) -> Precision | None:
    """The verdict of an earlier measurement; None where there is none that can be read."""
    try:
        found = read_json(record)["precision"] if record.exists() else None
    except (FormatError, KeyError, TypeError):
        return None
    return next((known for known in MEASURED if known == found), None)


def fastest(token_s: dict[Precision, float]) -> Precision:
    """The finest precision that no coarser one clearly beats.

    >>> fastest({"float32": 0.03, "bf16": 0.029, "int8": 0.01}), fastest({"float32": 0.03, "bf16": 0.029})
    ('int8', 'float32')
    """
    best: Precision = "float32"
    for name, seconds in token_s.items():
        if seconds < WORTH_IT * token_s[best]:
            best = name
    return best


def _timed(opened: OpenModel, name_or_path: str | Path, compute: Compute) -> Iterator[tuple[Precision, float]]:
    """Seconds of a token in each precision, one model in memory beside the first."""
    for name in MEASURED:
        found, used = (opened, compute) if name == "float32" else open_in(name, name_or_path, compute)
        yield name, _token_s(found, replace(used, dtype=next(found.model.parameters()).dtype))


def _token_s(opened: OpenModel, compute: Compute) -> float:
    """The shortest of some answers, by the token; a busy machine only ever adds. More of them where the shortest disagree."""
    assert isinstance(opened.model, LanguageModel)
    sampling = Sampling(temperature=0, max_tokens=MEASURED_TOKENS)
    taken: list[float] = []
    while len(taken) < MEASURED_ROUNDS or (not agrees(taken) and len(taken) < MOST_ROUNDS):
        started = time.perf_counter()
        list(generate_ids(opened.model, [0], sampling, (), compute=compute))
        taken.append(time.perf_counter() - started)
    return min(taken) / MEASURED_TOKENS
