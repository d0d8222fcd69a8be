"""The stages of a build, in order, and their planned time, memory and disk: `groundup build ...
--dry-run`.

A stage may read those before it.
"""

from dataclasses import replace
from typing import Any

from groundup.model.sizes import parameter_count
from groundup.recipes.named_stages import (
    AnswersStage,
    ChatStage,
    ClassifierStage,
    IndexStage,
    SummariesStage,
)
from groundup.recipes.recipe import Recipe
from groundup.recipes.stage import Stage
from groundup.recipes.stages import answers, chat, classifier, index, summaries
from groundup.recipes.stages.base import STAGE as BASE
from groundup.recipes.stages.base import base_shape
from groundup.recipes.stages.continued_pretraining import STAGE as TEACH
from groundup.recipes.stages.data import STAGE as DATA
from groundup.recipes.stages.evaluate import STAGE as EVALUATE
from groundup.recipes.stages.export import STAGE as EXPORT
from groundup.recipes.stages.pretrain import STAGE as PRETRAIN
from groundup.recipes.stages.pretrain import own_shape
from groundup.recipes.stages.report import STAGE as REPORT
from groundup.recipes.stages.tokenizer import STAGE as TOKENIZER

# Those of a recipe with texts: the model of one's own.
OF_TEXTS = (
    DATA,
    TOKENIZER,
    PRETRAIN,
)
# Python with torch, llama.cpp and the tables of a vocabulary, measured (docs/log.md).
PROGRAM_BYTES = 1.0e9
DEFAULT_DOWNLOAD_BYTES = 100e6
# Of the shares of a build that makes a model of texts alone: its other stages take seconds.
PRETRAIN_ALONE = 0.90


def stages_of(recipe: Recipe) -> tuple[Stage, ...]:
    """Return the stages that a recipe has, in order; their shares of the budget add up to 1."""
    indexes, classifiers = recipe.of_kind(IndexStage), recipe.of_kind(ClassifierStage)
    chats, answered, summed = (
        recipe.of_kind(ChatStage),
        recipe.of_kind(AnswersStage),
        recipe.of_kind(SummariesStage),
    )
    exports = recipe.export.encodings and (recipe.data.sources or chats)
    chosen = [
        *(of_texts(recipe) if recipe.data.sources else ()),
        *((BASE,) if recipe.uses_public_model else ()),
        *(index.stage(name, index.SHARE / len(indexes)) for name in indexes),
        *(classifier.stage(name, classifier.SHARE / len(classifiers)) for name in classifiers),
        *((TEACH,) if recipe.teach else ()),
        *(chat.stage(name, chat.SHARE / len(chats), table.index) for name, table in chats.items()),
        replace(EVALUATE, needs=(*EVALUATE.needs, *indexes, *chats)),
        *(
            answers.stage(name, answers.SHARE / len(answered), (each.index, each.chat))
            for name, each in answered.items()
        ),
        *(
            summaries.stage(name, summaries.SHARE / len(summed), each.chat)
            for name, each in summed.items()
        ),
        *((replace(EXPORT, needs=(*EXPORT.needs, *indexes, *chats)),) if exports else ()),
    ]
    names = [stage.name for stage in chosen]
    chosen.append(replace(REPORT, needs=tuple(names)))
    whole = sum(stage.share for stage in chosen)
    return tuple(
        replace(
            stage,
            share=stage.share / whole,
            needs=tuple(name for name in stage.needs if name in names),
        )
        for stage in chosen
    )


def of_texts(recipe: Recipe) -> tuple[Stage, ...]:
    """Return the stages of a model of one's own; where the build makes no other, pretraining has
    most of the time.
    """
    if recipe.uses_public_model:
        return OF_TEXTS
    return tuple(
        replace(stage, share=PRETRAIN_ALONE) if stage is PRETRAIN else stage for stage in OF_TEXTS
    )


def plan_build(recipe: Recipe) -> dict[str, Any]:
    """Return planned seconds of each stage, parameters, memory, disk and downloads.

    Raises ConfigError.
    """
    base, stages = base_shape(recipe), stages_of(recipe)
    return {
        "recipe": recipe.name,
        "budget_s": recipe.budget_s,
        "own_parameters": parameter_count(own_shape(recipe)).total if recipe.data.sources else None,
        "base_parameters": parameter_count(base).total if base else None,
        "memory_bytes": PROGRAM_BYTES + max(stage.memory_bytes(recipe) for stage in stages),
        "disk_bytes": sum(stage.disk_bytes(recipe) for stage in stages),
        "download_bytes": DEFAULT_DOWNLOAD_BYTES if recipe.uses_public_model else 0.0,
        "stages": [
            {
                "stage": stage.name,
                "planned_s": stage.share * recipe.budget_s,
                "what": stage.describe(recipe),
            }
            for stage in stages
        ],
    }
