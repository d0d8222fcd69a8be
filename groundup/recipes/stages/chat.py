"""Stage 6: the public model learns to answer, from hand-written instructions, by LoRA on the answers only."""

from collections.abc import Mapping
from pathlib import Path

from groundup.data.documents import InstructionExample
from groundup.data.examples import read_instructions
from groundup.data.sources import Source, content_hash
from groundup.finetune.instruct import ChatConfig, fit_chat, measure_tokens_per_s
from groundup.finetune.instruction_data import held_out_ids
from groundup.model.footprint import training_memory
from groundup.recipes.packaged import instructions_source, licence_of
from groundup.recipes.recipe import Recipe
from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.recipes.stages.base import base_bytes, base_shape
from groundup.runs import RunFolder
from groundup.weights.model_io import ModelCard, open_model

# Evaluations of the held-out answers, opening and saving take their part of the share.
TRAINING_SHARE = 0.6
# In float32 a step takes twice as long, and half as much is too little to learn from: without bf16 the stage may overrun its share by so much.
OVERRUN_WITHOUT_BF16 = 2.5


def run(context: StageContext) -> StageResult:
    """Measure this machine, fix the number of tokens, train."""
    table = context.recipe.chat
    examples = read_instructions(Path(instructions_source(context.recipe.chat.source)))
    opened = open_model(context.build / "base", context.compute)
    config = ChatConfig(
        max_tokens=table.max_tokens, rank=table.rank, learning_rate=table.learning_rate, seed=context.seed
    )

    def affordable_tokens() -> float:
        rate = measure_tokens_per_s(opened, examples, config, compute=context.compute, progress=context.progress)
        context.progress.say(f"      {rate:.0f} tokens a second in training here")
        most_s = context.seconds * (1.0 if context.compute.has_bf16 else OVERRUN_WITHOUT_BF16)
        needed_s = table.tokens / (rate * TRAINING_SHARE)
        if context.seconds < needed_s and context.seconds < most_s:
            context.progress.say(
                f"      this {'processor' if context.compute.is_cpu else 'device'} has no bf16: {min(needed_s, most_s):.0f} s instead of "
                f"{context.seconds:.0f} s, so as to learn from enough"
            )
        return min(table.tokens, rate * TRAINING_SHARE * most_s)

    tokens = context.fix("tokens", affordable_tokens)
    config = ChatConfig(tokens, table.max_tokens, table.rank, learning_rate=table.learning_rate, seed=context.seed)
    results = fit_chat(
        opened,
        examples,
        RunFolder(context.folder),
        config,
        compute=context.compute,
        progress=context.progress,
        card=card(context.recipe, opened.license),
    )
    loss = results["held_out_loss"]
    line = f"held-out loss {loss['before']:.3f} → {loss['after']:.3f} nats a token after {results['tokens']:,} tokens"
    thin = (
        (f"Chat learned from {tokens:,} tokens of the {table.tokens:,} of the recipe.",)
        if tokens < table.tokens
        else ()
    )
    return StageResult(line, {"tokens": results["tokens"], "held_out_loss": loss}, thin)


def held_out_instructions(recipe: Recipe) -> list[InstructionExample]:
    """Those that the chat model is not trained on: the marked ones, else a tenth chosen by hash. Raises DataError."""
    examples = read_instructions(Path(instructions_source(recipe.chat.source)))
    chosen = held_out_ids(examples, recipe.seed)
    return [each for each in examples if each.id in chosen]


def card(recipe: Recipe, license_id: str) -> ModelCard:
    """What the chat model is made of; its weights have the licence of the model they began as."""
    return ModelCard(
        name=f"{recipe.name}-chat",
        summary="Answers short instructions. Its base had been tuned on instructions before.",
        data=((f"{recipe.chat.source} instructions", licence_of(recipe.chat.source)),),
        base=recipe.base.model,
        license=license_id,
    )


def outside(recipe: Recipe) -> Mapping[str, str]:
    """The content of the instruction set."""
    return {recipe.chat.source: content_hash(Source(instructions_source(recipe.chat.source)))}


def describe(recipe: Recipe) -> str:
    """How much it learns from at most, and the size of its adapters."""
    table = recipe.chat
    return f"up to {table.tokens:,} tokens of {table.source} instructions, LoRA of rank {table.rank}"


def memory_bytes(recipe: Recipe) -> float:
    """What a training step of the adapters holds; 0 where the base's size is not known before it is opened."""
    base, table = base_shape(recipe), recipe.chat
    if base is None:
        return 0.0
    adapters = table.rank * base.num_layers * 8 * base.width
    return training_memory(base, batch_size=4, context_tokens=table.max_tokens, trained_parameters=adapters).total


STAGE = Stage(
    "chat",
    2,
    run,
    share=0.25,
    describe=describe,
    memory_bytes=memory_bytes,
    disk_bytes=base_bytes,
    needs=("base",),
    outputs=("model.safetensors", "config.json", "tokenizer*.json", "results.json"),
    sized_by_budget=True,
    outside=outside,
)
