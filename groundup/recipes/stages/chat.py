"""A chat model: the public model is fine-tuned on hand-written instructions with LoRA; the loss
covers the answers only.
"""

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from groundup.data.documents import ChatExample, ConversationExample
from groundup.data.reading.data import Data
from groundup.data.reading.example_splits import hold_out
from groundup.data.reading.examples import read_chat
from groundup.data.reading.source_files import Source, content_hash
from groundup.finetune.chat_training import ChatResults
from groundup.finetune.config import ChatConfig
from groundup.finetune.instruct import fit_chat, measure_tokens_per_s
from groundup.finetune.pretraining_ablation import (
    add_chat_ablation,
    chat_ablation_config,
    without_pretraining_ablation,
)
from groundup.model.footprint import training_memory
from groundup.packs.pack import PackRow, pack_rows
from groundup.recipes.build_config import instructions_source, licence_of
from groundup.recipes.named_stages import ChatStage
from groundup.recipes.recipe import Recipe
from groundup.recipes.stage import MODEL_FILES, Stage, StageContext, StageResult
from groundup.recipes.stages.base import base_bytes, base_shape
from groundup.recipes.stages.continued_pretraining import FOLDER as TEACH
from groundup.retrieve.index import Index
from groundup.retrieve.rankings import AUTO, ranking_of, vectors_for
from groundup.retrieve.search import Ranking, bm25, find
from groundup.retrieve.support import question_conversation
from groundup.runs import RunFolder
from groundup.tokenizer.chat import Message
from groundup.weights.model_io import ModelCard, OpenModel, open_model

# Of the budget, for all chat models of a build together.
SHARE = 0.25
# Evaluations of the held-out answers, opening and saving take their part of the share.
TRAINING_SHARE = 0.6
# In float32 a step takes twice as long, and half the tokens are too few: without bf16 the stage may
# take this much longer.
OVERRUN_WITHOUT_BF16 = 2.5
# Two models learn the conversations once more; evaluations and saving take half of that time again.
WORTH_FACTOR = 2 * 1.5


def run(context: StageContext) -> StageResult:
    """Measure the training speed, fix the number of tokens, train."""
    table, started = context.table(ChatStage), time.monotonic()
    compute, progress = context.compute, context.progress
    examples = read_instructions(table, context)
    base = TEACH if context.recipe.teach else "base"
    opened = open_model(context.build / base, compute)
    config = ChatConfig(
        epochs=table.epochs,
        max_tokens=table.max_tokens,
        rank=table.rank,
        merge=True,
        answers=0,  # the stage `evaluate` writes them
        learning_rate=table.learning_rate,
        seed=context.seed,
    )

    def affordable_tokens() -> float:
        rate = measure_tokens_per_s(opened, examples, config, compute=compute, progress=progress)
        progress.say(f"      {rate:.0f} tokens per second in training here")
        most_s = context.seconds
        if not compute.has_bf16:
            most_s *= OVERRUN_WITHOUT_BF16
        needed_s = table.tokens / (rate * TRAINING_SHARE)
        if context.seconds < needed_s and context.seconds < most_s:
            device = "processor" if compute.is_cpu else "device"
            progress.say(
                f"      this {device} has no bf16: {min(needed_s, most_s):.0f} s instead of "
                f"{context.seconds:.0f} s, to train on enough tokens"
            )
        return min(table.tokens, rate * TRAINING_SHARE * most_s)

    tokens = context.fix("tokens", affordable_tokens)
    config = dataclasses.replace(config, tokens=tokens)
    card = _card(context, opened.license)
    runs = RunFolder(context.folder)
    results = fit_chat(
        opened, examples, runs, config, compute=compute, progress=progress, card=card
    )
    if context.recipe.data.sources:
        results = with_pretraining_ablation(results, examples, runs, config, context, started)
    loss = results.held_out_loss
    line = (
        f"held-out loss {loss['before']:.3f} → {loss['after']:.3f} nats per token "
        f"after {results.tokens:,} tokens"
    )
    thin = []
    if tokens < table.tokens:
        thin = [
            f"The chat model was trained on {tokens:,} of the recipe's {table.tokens:,} tokens."
        ]
    return StageResult(line, {"tokens": results.tokens, "held_out_loss": loss}, tuple(thin))


def _card(context: StageContext, license_id: str) -> ModelCard:
    source = context.table(ChatStage).source
    return ModelCard(
        name=f"{context.recipe.name}-{context.name}",
        summary="Answers short instructions. Its base model was already tuned on instructions.",
        data=(*texts_of(context.recipe), (f"{source} instructions", licence_of(source))),
        base=context.recipe.base.model,
        license=license_id,
    )


def with_pretraining_ablation(
    results: ChatResults,
    examples: Sequence[ChatExample],
    runs: RunFolder,
    config: ChatConfig,
    context: StageContext,
    started: float,
) -> ChatResults:
    compute, progress = context.compute, context.progress

    def own() -> OpenModel:
        return open_model(context.build / "pretrain", compute)

    def seconds() -> float:
        opened = own()
        small = chat_ablation_config(config, opened)
        rate = measure_tokens_per_s(opened, examples, small, compute=compute, progress=progress)
        return WORTH_FACTOR * results.tokens / rate

    if reason := context.lack_of_time("worth", context.fix("worth_s", seconds), started):
        progress.say(f"      what pretraining is worth was not measured: {reason}")
        return without_pretraining_ablation(results, runs, reason)
    public = open_model(runs.path, compute)
    return add_chat_ablation(
        results, public, own(), examples, runs, config, compute=compute, progress=progress
    )


def texts_of(recipe: Recipe) -> tuple[tuple[str, str], ...]:
    sources = recipe.data.sources if recipe.teach else ()
    return tuple((source.spec, source.licence) for source in sources)


def read_instructions(table: ChatStage, context: StageContext) -> list[ChatExample]:
    """With an index, a passage stands before each. Raises DataError."""
    if table.index:
        folder = context.build / table.index
        vectors = vectors_for(AUTO, folder, context.compute.device.type, context.progress)
        rank_by = ranking_of(AUTO, vectors) or bm25
        with Index(folder) as index:
            return [grounded(row, index, rank_by) for row in pack_rows(Path(table.source))]
    data = Data(instructions_source(table.source), charset=table.charset)
    return read_chat(data, progress=context.progress)


def grounded(row: PackRow, index: Index, rank_by: Ranking = bm25) -> ChatExample:
    """Return an instruction as `groundup ask` asks it, with the passage of its document that fits
    it best; without a document, the best of all.
    """
    question = f"{row['instruction']}\n\n{row['input']}".strip()

    def all_passages(index: Index, query: str, limit: int) -> list[tuple[int, float]]:
        return rank_by(index, query, index.passage_count)

    found = find(
        index,
        question,
        1,
        all_passages,
        lambda passage: row["document"] in (None, passage.document),
    )
    messages = question_conversation(question, found.passages).messages
    return ConversationExample((*messages, Message("assistant", row["output"])), id=row.place)


def held_out_instructions(context: StageContext, name: str) -> list[ChatExample]:
    """Return the marked ones, else a tenth chosen by hash. Raises DataError."""
    table = context.recipe.of_kind(ChatStage)[name]
    return hold_out(read_instructions(table, context), context.seed).held_out


def outside(tables: Iterable[ChatStage]) -> Mapping[str, str]:
    return {
        table.source: content_hash(Source(instructions_source(table.source))) for table in tables
    }


def describe(table: ChatStage) -> str:
    epochs = f"{table.epochs:g} epochs, at most {table.tokens:,} tokens"
    return f"{epochs} of {table.source} instructions, LoRA of rank {table.rank}"


def memory_bytes(recipe: Recipe, table: ChatStage) -> float:
    """0 where the base's size is not known before it is opened."""
    base = base_shape(recipe)
    if base is None:
        return 0.0
    adapters = table.rank * base.num_layers * 8 * base.width
    return training_memory(
        base, batch_size=4, context_tokens=table.max_tokens, trained_parameters=adapters
    ).total


def stage(name: str, share: float, index: str = "") -> Stage:
    return Stage(
        name,
        3,
        run,
        share,
        describe=lambda recipe: describe(recipe.of_kind(ChatStage)[name]),
        memory_bytes=lambda recipe: memory_bytes(recipe, recipe.of_kind(ChatStage)[name]),
        disk_bytes=base_bytes,
        needs=("pretrain", "base", "teach", index),
        outputs=MODEL_FILES,
        sized_by_budget=True,
        outside=lambda recipe: outside([recipe.of_kind(ChatStage)[name]]),
        kind="chat",
    )
