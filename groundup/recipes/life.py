"""The stages of a model's life, in order. A stage may read those before it."""

from groundup.recipes.stage import Stage
from groundup.recipes.stages import base, chat, data, evaluate, export, pretrain, report, spam, tokenizer

STAGES: tuple[Stage, ...] = (
    data.STAGE,
    tokenizer.STAGE,
    pretrain.STAGE,
    base.STAGE,
    spam.STAGE,
    chat.STAGE,
    evaluate.STAGE,
    export.STAGE,
    report.STAGE,
)
