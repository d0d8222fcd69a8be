"""The stages of a build, in order, and their planned time, memory and disk: `groundup build ...
--dry-run`.

A stage may read those before it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from groundup.model.sizes import parameter_count
from groundup.recipes.named_stages import (
    ActionsStage,
    AnswersStage,
    ChatStage,
    ClassifierStage,
    IndexStage,
    SummariesStage,
)
from groundup.recipes.recipe import Recipe
from groundup.recipes.stage import Stage, stage_seconds
from groundup.recipes.stages import actions, answers, chat, classifier, index, summaries
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
from groundup.weights.catalog import CATALOG

# Those of a recipe with texts, pretraining the last: the model of one's own.
OF_TEXTS = (DATA, TOKENIZER, PRETRAIN)
# Python with torch, llama.cpp and the tables of a vocabulary, measured (docs/log.md).
PROGRAM_BYTES = 1.0e9
DEFAULT_DOWNLOAD_BYTES = 100e6
# Of the shares of a build that makes a model of texts alone: its other stages take seconds.
PRETRAIN_ALONE = 0.90
# Stages that use whatever time they are given; the others end when their texts are read.
OPEN_ENDED = (DATA.name, TOKENIZER.name, PRETRAIN.name, TEACH.name)
# The most seconds that another stage is given of a longer budget, by kind or name, with a public
# model of USUAL_PARAMETERS. Of two builds of two hours on one busy hyperthread (docs/log.md) chat
# took 459 and 346 s, evaluate 78 and 61, export 46 and 54, base 8 and 4 and report 1. "": any other.
ENOUGH_S = {
    "classifier": 1200.0,
    "chat": 600.0,
    "evaluate": 160.0,
    "export": 120.0,
    "base": 120.0,
    "report": 30.0,
    "": 240.0,
}
USUAL_PARAMETERS = 135e6


def stages_of(recipe: Recipe) -> tuple[Stage, ...]:
    """Return the stages in order; their shares of the budget add up to 1."""
    indexes, classifiers = recipe.of_kind(IndexStage), recipe.of_kind(ClassifierStage)
    chats, answered = recipe.of_kind(ChatStage), recipe.of_kind(AnswersStage)
    summed = recipe.of_kind(SummariesStage)
    chosen: list[Stage] = []
    if recipe.data.sources:
        chosen += of_texts(recipe)
    if recipe.uses_public_model:
        chosen.append(BASE)
    chosen += (index.stage(name, index.SHARE / len(indexes)) for name in indexes)
    acting = recipe.of_kind(ActionsStage)
    chosen += (actions.stage(name, actions.SHARE / len(acting)) for name in acting)
    chosen += (classifier.stage(name, classifier.SHARE / len(classifiers)) for name in classifiers)
    if recipe.teach:
        chosen.append(TEACH)
    for name, table in chats.items():
        chosen.append(chat.stage(name, chat.SHARE / len(chats), table.index))
    chosen.append(replace(EVALUATE, needs=(*EVALUATE.needs, *indexes, *chats)))
    for name, each in answered.items():
        chosen.append(answers.stage(name, answers.SHARE / len(answered), (each.index, each.chat)))
    for name, one in summed.items():
        chosen.append(summaries.stage(name, summaries.SHARE / len(summed), one.chat))
    if recipe.export.quantizations and (recipe.data.sources or chats):
        chosen.append(replace(EXPORT, needs=(*EXPORT.needs, *indexes, *chats)))
    names = [stage.name for stage in chosen]
    chosen.append(replace(REPORT, needs=tuple(names)))
    most_s = most_seconds(chosen, recipe)
    chosen = [
        replace(
            stage,
            most_s=most_s.get(stage.name, math.inf),
            needs=tuple(name for name in stage.needs if name in names),
        )
        for stage in chosen
    ]
    seconds = stage_seconds(chosen, recipe.budget_s)
    return tuple(replace(each, share=seconds[each.name] / recipe.budget_s) for each in chosen)


def most_seconds(stages: Sequence[Stage], recipe: Recipe) -> dict[str, float]:
    """Return the most that each stage is given which is not OPEN_ENDED; {} where none trains a model
    of texts, so that nothing could use the rest.
    """
    if not {PRETRAIN.name, TEACH.name} & {stage.name for stage in stages}:
        return {}
    base = base_shape(recipe)
    scale = max(1.0, parameter_count(base).total / USUAL_PARAMETERS) if base else 1.0
    return {
        stage.name: scale * ENOUGH_S.get(stage.kind or stage.name, ENOUGH_S[""])
        for stage in stages
        if stage.name not in OPEN_ENDED
    }


def of_texts(recipe: Recipe) -> tuple[Stage, ...]:
    """Where the build makes no other model, pretraining has most of the time."""
    if recipe.uses_public_model:
        return OF_TEXTS
    return (*OF_TEXTS[:-1], replace(PRETRAIN, share=PRETRAIN_ALONE))


@dataclass(frozen=True)
class PlannedStage:
    stage: str
    """Its name."""
    planned_s: float
    what: str
    """What it will do, in one line."""


@dataclass(frozen=True)
class BuildPlan:
    recipe: str
    """The recipe's name."""
    budget_s: float
    own_parameters: int | None
    """Of the model made of texts; None: there is none."""
    base_parameters: int | None
    """Of the pulled model; None: there is none, or its size is not known before it is opened."""
    memory_bytes: float
    disk_bytes: float
    download_bytes: float
    stages: tuple[PlannedStage, ...]


def plan_build(recipe: Recipe) -> BuildPlan:
    """Raises ConfigError."""
    base, stages = base_shape(recipe), stages_of(recipe)
    own_parameters = base_parameters = None
    if recipe.data.sources:
        own_parameters = parameter_count(own_shape(recipe)).total
    if base:
        base_parameters = parameter_count(base).total
    return BuildPlan(
        recipe.name,
        recipe.budget_s,
        own_parameters,
        base_parameters,
        memory_bytes=PROGRAM_BYTES + max(stage.memory_bytes(recipe) for stage in stages),
        disk_bytes=sum(stage.disk_bytes(recipe) for stage in stages),
        download_bytes=_download_bytes(recipe),
        stages=tuple(
            PlannedStage(stage.name, stage.share * recipe.budget_s, stage.describe(recipe))
            for stage in stages
        ),
    )


def _download_bytes(recipe: Recipe) -> float:
    """At most: what the cache has is not fetched again."""
    if not recipe.uses_public_model:
        return 0.0
    entry = CATALOG.get(recipe.base.model)
    return max(DEFAULT_DOWNLOAD_BYTES, entry.download_bytes if entry else 0.0)
