"""The parity gate of GGUF exports: whether the file in a real llama.cpp is the same model as ours,
before the export, in float32. Five checks (`parity_checks.CHECKS`), each with figures; all run, so
that one call shows every fault.

    report = gate(opened, Path("model-f16.gguf"), quantization="f16", user_lines=lines)
    report.require()

Greedy texts are not compared as texts: llama.cpp also rounds activations, and two correct texts
diverge at the first near tie. Scoring *its* text tests at every position whether our model agrees:
every token of llama.cpp's answer, the last one included, is our argmax, up to the quantization's
tolerance. So if it stopped, ours would have stopped there. A base model that never stops passes,
too; the check "stops" tests its stop ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from groundup.device import Compute
from groundup.errors import ConfigError, ModelError, did_you_mean
from groundup.evaluate.llamacpp import LlamaError, llama_server
from groundup.evaluate.parity_checks import CHECKS, CONTEXT_TOKENS, TOLERANCES, Check, ParitySides
from groundup.evaluate.parity_texts import PROMPTS, QUESTIONS
from groundup.locks import temporary_folder
from groundup.model.heads import LanguageModel
from groundup.progress import Progress, Silent
from groundup.runs import package_version
from groundup.weights.adapter import base_path
from groundup.weights.gguf import write_gguf
from groundup.weights.hf_families import KIND_NAMES
from groundup.weights.model_io import OpenModel, open_model


@dataclass(frozen=True)
class ParityReport:
    """The results of the gate for one file."""

    file: str
    quantization: str
    llama: str
    """The version of the llama.cpp package."""
    checks: tuple[Check, ...]
    passed: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "passed", all(check.passed for check in self.checks))

    def require(self) -> None:
        """Raise ModelError with the first failed check."""
        for check in self.checks:
            if not check.passed:
                raise ModelError(
                    f"{self.file} differs from our model in llama.cpp: {check.name}: {check.detail}"
                )


def gate(
    opened: OpenModel,
    gguf: Path,
    *,
    quantization: str,
    adapter: Path | None = None,
    user_lines: Sequence[str] = (),
    prompts: Sequence[str] = PROMPTS,
    progress: Progress | None = None,
) -> ParityReport:
    """Compare `opened` (float32) with `gguf`, exported from it. `user_lines` are encoded, `prompts`
    continued.

    `adapter`: of an adapter, which is in the weights of `opened`, the GGUF file; `gguf` is then of
    its base. A difference is a failed check in the report. Raises MissingExtra without xllamacpp,
    ConfigError for an unknown quantization, ModelError for anything but a float32 language model
    with a tokenizer.
    """
    if quantization not in TOLERANCES:
        raise ConfigError(
            f"Quantization {quantization!r} has no tolerance in the parity gate.",
            fix=did_you_mean(quantization, TOLERANCES),
        )
    if not isinstance(opened.model, LanguageModel):
        raise ModelError(
            f"{opened.path} is {KIND_NAMES[opened.kind]}: llama.cpp has nothing to compare it with."
        )
    dtype = opened.model.transformer.embedding.weight.dtype
    if dtype != torch.float32:
        raise ModelError(
            f"The parity gate needs the model in float32; this one is open in {dtype}."
        )
    tokenizer, progress = opened.require_tokenizer(), progress or Silent()
    name, tolerance = (adapter or gguf).name, TOLERANCES[quantization]
    context_tokens = min(CONTEXT_TOKENS, opened.config.context_tokens)
    checks: list[Check] = []
    try:
        with (
            llama_server(gguf, context_tokens=context_tokens, adapter=adapter) as llama,
            progress.track(f"parity {name}", len(QUESTIONS) + len(prompts), "texts") as advance,
        ):
            sides = ParitySides(
                opened.model, tokenizer, llama, tolerance, advance, user_lines, prompts
            )
            checks.extend(_run(check, sides) for check in CHECKS)
    except LlamaError as error:
        checks = [Check("load", False, error.message, {})]
    version = f"xllamacpp {package_version('xllamacpp')}"
    return ParityReport(name, quantization, version, tuple(checks))


def gate_adapter(
    opened: OpenModel, adapter: Path, *, quantization: str, progress: Progress | None = None
) -> ParityReport:
    """Compare with `adapter`, a GGUF file, beside its base, which is written as f32 for this."""
    base = open_model(base_path(opened.path), Compute(torch.device("cpu")))
    with temporary_folder(adapter.parent) as folder:
        file = folder / "base.gguf"
        write_gguf(base.model, opened.tokenizer, file, quantization="f32", name="base")
        return gate(opened, file, quantization=quantization, adapter=adapter, progress=progress)


def _run(name: str, sides: ParitySides) -> Check:
    try:
        return CHECKS[name](sides)
    except LlamaError as error:
        return Check(name, False, error.message, {})
