"""The stages of a model's life, in order. A stage may read those before it."""

from groundup.recipes.stage import Stage
from groundup.recipes.stages.base import STAGE as BASE
from groundup.recipes.stages.chat import STAGE as CHAT
from groundup.recipes.stages.data import STAGE as DATA
from groundup.recipes.stages.evaluate import STAGE as EVALUATE
from groundup.recipes.stages.export import STAGE as EXPORT
from groundup.recipes.stages.pretrain import STAGE as PRETRAIN
from groundup.recipes.stages.report import STAGE as REPORT
from groundup.recipes.stages.spam import STAGE as SPAM
from groundup.recipes.stages.tokenizer import STAGE as TOKENIZER

STAGES: tuple[Stage, ...] = (
    DATA,
    TOKENIZER,
    PRETRAIN,
    BASE,
    SPAM,
    CHAT,
    EVALUATE,
    EXPORT,
    REPORT,
)
