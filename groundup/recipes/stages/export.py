"""The own model and the chat models as Hugging Face folders and GGUF files, each of which must pass
the parity gate in real llama.cpp; where that is not installed (extra `demo`) the stage says so.

export/own/, export/NAME/    a Hugging Face folder with GGUF files and a Modelfile beside
export/results.json          files with hashes; every check of every gate
"""

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from timeit import repeat
from typing import Any

import torch

from groundup.data.split import VALIDATION, read_split
from groundup.errors import install_command
from groundup.evaluate.parity import ParityReport, gate
from groundup.evaluate.parity_checks import NEW_TOKENS
from groundup.files import atomic_folder, sha256_file, write_json
from groundup.model.footprint import FLOAT32_BYTES
from groundup.model.sizes import parameter_count
from groundup.recipes.named_stages import ChatStage
from groundup.recipes.recipe import Recipe
from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.recipes.stages.base import base_bytes, model_files
from groundup.recipes.stages.chat import held_out_instructions
from groundup.recipes.stages.pretrain import own_shape
from groundup.weights.gguf import GGUFQuantization, weight_bytes, write_gguf
from groundup.weights.model_io import OpenModel, open_model
from groundup.weights.modelfile import write_modelfile
from groundup.weights.stacked import link_or_copy

FAILED_GATE = "gate-failed.json"
OWN = "own"
USER_LINES = 40
LINE_CHARACTERS = 200
PROMPT_CHARACTERS = 120
MIN_PROMPTS = 4
# Seconds for writing each file of the large model, starting llama.cpp, checks of tokens and
# templates.
BESIDE_FILE_S = 4.0


def run(context: StageContext) -> StageResult:
    """Raises ModelError when a gate fails."""
    questions = {name: questions_of(context, name) for name in context.recipe.of_kind(ChatStage)}
    lines, progress = user_lines(context, questions), context.progress
    stages = {name: name for name in questions}
    if context.recipe.data.sources:
        stages = {OWN: "pretrain", **stages}
    opened = {
        name: open_model(context.build / stage, context.compute) for name, stage in stages.items()
    }
    unchecked = without_llamacpp()
    prompts = 0
    if not unchecked:
        last = list(opened.values())[-1]
        prompts = context.fix("prompts", lambda: affordable_prompts(last, context))
    files: list[dict[str, Any]] = []
    gates: list[dict[str, Any]] = []
    with atomic_folder(context.folder) as folder:
        for name, model in opened.items():
            starts = [text[:PROMPT_CHARACTERS] for text in questions.get(name, lines)][:prompts]
            for quantization in context.recipe.export.quantizations:
                file = write_files(
                    model, folder / name, f"{context.recipe.name}-{name}", quantization
                )
                path, size = file.relative_to(folder).as_posix(), file.stat().st_size
                entry = {
                    "path": path,
                    "model": name,
                    "quantization": quantization,
                    "bytes": size,
                    "sha256": sha256_file(file),
                }
                files.append(entry)
                if unchecked:
                    continue
                report = gate(
                    model,
                    file,
                    quantization=quantization,
                    user_lines=lines,
                    prompts=starts,
                    progress=progress,
                )
                gates.append({**asdict(report), "model": name, "file": path})
                require(report, context)
        write_json(folder / "results.json", {"files": files, "gates": gates})
    if unchecked:
        thin = [f"GGUF files are {unchecked}, then the same command with --redo export."]
        return StageResult(f"{len(files)} GGUF files, {unchecked}", {}, tuple(thin))
    checks, wanted = sum(len(entry["checks"]) for entry in gates), context.recipe.export.prompts
    line = f"{len(gates)} GGUF files agree with ours in real llama.cpp ({checks} checks)"
    thin = list[str]()
    if prompts < wanted:
        thin.append(f"The gate used {prompts} prompts instead of {wanted}.")
    return StageResult(line, {"prompts": prompts}, tuple(thin))


def without_llamacpp() -> str:
    """Return why nothing can be compared with llama.cpp, and what to do; "": it can."""
    if importlib.util.find_spec("xllamacpp") is not None:
        return ""
    return f"not compared with llama.cpp: {install_command('demo')}"


def questions_of(context: StageContext, name: str) -> list[str]:
    return [each.instruction for each in held_out_instructions(context, name)]


def user_lines(context: StageContext, questions: Mapping[str, Sequence[str]]) -> list[str]:
    texts: Iterable[str] = (text for asked in questions.values() for text in asked)
    if context.recipe.data.sources:
        texts = (document.text for document in read_split(context.build / "data", VALIDATION))
    lines = (line.strip()[:LINE_CHARACTERS] for text in texts for line in text.splitlines())
    distinct = dict.fromkeys(line for line in lines if line)
    return list(distinct)[:: max(1, len(distinct) // USER_LINES)][:USER_LINES]


def write_files(opened: OpenModel, folder: Path, name: str, quantization: GGUFQuantization) -> Path:
    """Write the Hugging Face files and a Modelfile (once), and a GGUF; returns its path."""
    gguf = folder / f"{name}-{quantization}.gguf"
    if not folder.exists():
        folder.mkdir()
        for file in model_files(opened.path):
            link_or_copy(file, folder / file.name)
        write_modelfile(folder, gguf.name, opened.require_tokenizer())
    write_gguf(
        opened.model,
        opened.tokenizer,
        gguf,
        quantization=quantization,
        name=name,
        license_id=opened.license,
    )
    return gguf


def require(report: ParityReport, context: StageContext) -> None:
    """Write a failed gate's findings into the build's folder, then raise ModelError."""
    kept = context.build / FAILED_GATE
    kept.unlink(missing_ok=True)
    if not report.passed:
        write_json(kept, asdict(report))
        context.progress.say(f"      every check of the failed gate is in {kept}")
    report.require()


def affordable_prompts(opened: OpenModel, context: StageContext) -> float:
    """A token of our model is timed; llama.cpp is about three times as fast."""
    table = context.recipe.export
    ids = torch.ones(1, 64, dtype=torch.long, device=context.compute.device)
    with torch.no_grad():
        token_s = min(repeat(lambda: opened.model(ids[:, :1]), number=1, repeat=3))
        pass_s = min(repeat(lambda: opened.model(ids), number=1, repeat=3))
    prompt_s = NEW_TOKENS * token_s / 3 + 2 * pass_s
    free_s = context.seconds - BESIDE_FILE_S * len(table.quantizations) - 2
    return min(table.prompts, max(MIN_PROMPTS, free_s / (prompt_s * len(table.quantizations))))


def disk_bytes(recipe: Recipe) -> float:
    """Of the GGUF files; the Hugging Face files beside them are hard links."""
    parameters = len(recipe.of_kind(ChatStage)) * base_bytes(recipe) / FLOAT32_BYTES
    if recipe.data.sources:
        parameters += parameter_count(own_shape(recipe)).total
    return parameters * sum(
        weight_bytes(quantization) for quantization in recipe.export.quantizations
    )


STAGE = Stage(
    "export",
    1,
    run,
    share=0.10,
    describe=lambda recipe: (
        f"GGUF {', '.join(recipe.export.quantizations)}, "
        f"gate of up to {recipe.export.prompts} prompts"
    ),
    # the weights, one quantized copy of them and llama.cpp's
    memory_bytes=lambda recipe: 3 * base_bytes(recipe),
    disk_bytes=disk_bytes,
    needs=("data", "pretrain"),  # and the chat models
    outputs=("*/*", "results.json"),
    sized_by_budget=True,
)
