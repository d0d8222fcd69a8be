"""Whether this machine decodes with the compiled step: numba is installed, the model is supported,
and a product of known numbers is right.
"""

import importlib.util

import numpy as np
import torch

from groundup.kernels.step_weights import StepModel, UnsupportedModel
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.model.quantised import Bits, quantise
from groundup.progress import Progress

WITHOUT_NUMBA = "the package numba is not installed (pip install 'groundup[fast]')"
COMPILING = "Compiling the decoding step, once for this machine (about 10 seconds) ..."
# Logits of the probe may differ by this share of the largest: order of summation, the polynomial
# for exp, a key that is rounded to the next bf16.
MAX_ERROR = 1e-2
# This number of tokens is multiplied by four, two and one at a time.
PROBE_TOKENS = 7
# Notes of this process on where code is kept.
_notes: set[str] = set()


def has_compiler() -> bool:
    return importlib.util.find_spec("numba") is not None


def decodes_with(model: LanguageModel) -> str:
    """What computes the next token when at most 32 answers run."""
    return "torch" if model.decode_step is None else "compiled step"


def expected_note(precision: str) -> str:
    """What will compute single tokens in this precision, before a model is open."""
    if precision not in ("int8", "int4", "auto"):
        return ""
    note = "In int8 and int4 the compiled step decodes up to 32 answers at a time"
    if not has_compiler():
        note += f", but {WITHOUT_NUMBA}"
    return f"{note}."


def use_compiled_step(model: LanguageModel, progress: Progress) -> str:
    """Let the model decode with the compiled step where that works; return a sentence either
    way.
    """
    if not has_compiler():
        return f"Decoding through torch: {WITHOUT_NUMBA}."
    try:
        described = StepModel.of(model)
    except UnsupportedModel as error:
        return f"Decoding through torch: {error}"
    try:
        from groundup.kernels.decode_step import CompiledStep, let_unpack
        from groundup.kernels.machine_code import UnknownCode, code_folder

        kept = code_folder()
        if kept.note and kept.note not in _notes:
            _notes.add(kept.note)
            progress.say(f"note: {kept.note}")
        if kept.path is None or not kept.path.exists():
            progress.say(COMPILING)
        error_share = probe_error(described.bits)
    except ImportError as error:  # numba refuses a numpy that is newer than itself
        return f"Decoding through torch: numba can't be loaded ({error})."
    except UnknownCode as error:
        return f"Decoding through torch: {error}"
    if not error_share <= MAX_ERROR:
        return (
            "Decoding through torch: the compiled step is wrong on this processor (by "
            f"{error_share:.2g})."
        )
    model.decode_step = CompiledStep(described, model)
    let_unpack(described, model)
    return "Decoding with the compiled step, up to 32 answers at a time."


def probe_error(bits: Bits) -> float:
    """The largest error of the logits of a few tokens in a tiny random model, as a share of the
    largest logit.
    """
    from groundup.kernels.decode_step import CompiledStep
    from groundup.kernels.readable_step import readable_step
    from groundup.model.cache import KVCache

    with torch.random.fork_rng(devices=[]):
        model = LanguageModel(ModelConfig(64, 8, 64, 1, 2, 64, 1, 64))
    initialise(model, torch.Generator().manual_seed(0), deviation=0.2)
    quantise(model.bfloat16(), bits)
    described, ids = StepModel.of(model), torch.arange(3, 3 + PROBE_TOKENS)
    with torch.inference_mode():
        cache = KVCache(model.config, dtype=torch.bfloat16)
        found = CompiledStep(described, model).after_cache(ids[None], cache).numpy()
        hidden = model.transformer.embedding.weight[ids].float().numpy()
    keys, values = (np.zeros((1, PROBE_TOKENS, 1, 64), np.float32) for _ in range(2))
    expected = np.stack(
        [readable_step(described, row, place, keys, values) for place, row in enumerate(hidden)]
    )
    return float(np.abs(found - expected).max() / np.abs(expected).max())
