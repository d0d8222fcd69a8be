"""What a build will cost, before it begins: `groundup build ... --dry-run`."""

import dataclasses
from typing import Any

from groundup.model.config import ModelConfig
from groundup.model.footprint import FLOAT32_BYTES, training_memory
from groundup.model.presets import PRESETS, preset
from groundup.model.sizes import parameter_count
from groundup.recipes.pipeline import STAGES
from groundup.recipes.recipe import Recipe

# Bytes of a weight in each GGUF encoding, block scales included (ggml's block layouts).
ENCODED_BYTES = {"f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
# Python with torch, llama.cpp and the tables of a vocabulary, measured (docs/log.md).
PROGRAM_BYTES = 1.0e9
DEFAULT_DOWNLOAD_BYTES = 100e6


def plan_build(recipe: Recipe) -> dict[str, Any]:
    """Minutes a stage, parameters, memory, disk and downloads, as plain values. Raises what a wrong recipe raises."""
    own = dataclasses.replace(preset(recipe.pretrain.preset), vocab_size=recipe.tokenizer.vocab_size)
    base = base_shape(recipe.base.model)
    what = stage_words(recipe, own, base)
    stages = [{"stage": s.name, "planned_s": s.share * recipe.budget_s, "what": what[s.name]} for s in STAGES]
    return {
        "recipe": recipe.name,
        "budget_s": recipe.budget_s,
        "own_parameters": parameter_count(own).total,
        "base_parameters": parameter_count(base).total if base else None,
        "memory_bytes": memory_bytes(recipe, own, base),
        "disk_bytes": disk_bytes(recipe, own, base),
        "download_bytes": DEFAULT_DOWNLOAD_BYTES,
        "stages": stages,
    }


def base_shape(name: str) -> ModelConfig | None:
    """The shape of the pulled model, where a preset tells it without opening the model."""
    return PRESETS.get(name.removesuffix("-instruct"))


def stage_words(recipe: Recipe, own: ModelConfig, base: ModelConfig | None) -> dict[str, str]:
    """One line a stage."""
    spam, chat, export = recipe.spam, recipe.chat, recipe.export
    size = f"{parameter_count(base).total / 1e6:.0f}M parameters" if base else "size not known before it is opened"
    tokens = recipe.pretrain.batch_windows * own.context_tokens
    steps = f"{recipe.pretrain.steps:,} steps" if recipe.pretrain.steps else "as many steps as fit"
    return {
        "data": ", ".join(source.spec for source in recipe.data.sources),
        "tokenizer": f"byte-level BPE, {recipe.tokenizer.vocab_size:,} ids",
        "pretrain": f"own model of {parameter_count(own).total / 1e6:.2f}M parameters, {steps}, {tokens:,} tokens each",
        "base": f"{recipe.base.model}, {size}",
        "spam": f"up to {spam.train:,} messages to train on, {spam.validation:,} and {spam.test:,} to judge by",
        "chat": f"up to {chat.tokens:,} tokens of {chat.source} instructions, LoRA of rank {chat.rank}",
        "evaluate": f"up to {recipe.evaluate.answers} checked answers before and after",
        "export": f"GGUF {', '.join(export.encodings)}, gate of up to {export.prompts} prompts",
        "report": "one HTML page",
    }


def memory_bytes(recipe: Recipe, own: ModelConfig, base: ModelConfig | None) -> float:
    """The most that is held at once: the largest stage, on top of the program itself."""
    batch = recipe.pretrain.batch_windows
    peaks = [training_memory(own, batch_size=batch, context_tokens=own.context_tokens).total]
    if base:
        adapters = recipe.chat.rank * base.num_layers * 8 * base.width
        memory = training_memory(base, batch_size=4, context_tokens=recipe.chat.max_tokens, trained_parameters=adapters)
        weights = parameter_count(base).total * FLOAT32_BYTES
        # exporting holds the weights, one encoded copy of them and llama.cpp's
        peaks += [memory.total, weights * 3]
    return PROGRAM_BYTES + max(peaks)


def disk_bytes(recipe: Recipe, own: ModelConfig, base: ModelConfig | None) -> float:
    """What the build's folder holds at its end: base, spam and chat in float32, and the exported files."""
    models = [own, *([base] if base else [])]
    encoded = sum(ENCODED_BYTES[e] for e in recipe.export.encodings)
    exported = sum(parameter_count(model).total * encoded for model in models)
    whole = parameter_count(own).total + (3 * parameter_count(base).total if base else 0)
    return whole * FLOAT32_BYTES + exported
