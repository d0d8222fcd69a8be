"""The stages that have names of their own, of which a recipe has any number: their tables, what all
tables have in common, and the recipe of a domain pack, which consists of them.

A table says its kind (`[spam]` with kind = "classifier"), unless it is named like it (`[chat]`).
"""

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from groundup.actions.action_file import ACTIONS_FILE
from groundup.config import build_config, to_plain
from groundup.data.reading.decoding import AUTO, check_charset
from groundup.data.reading.source_files import Source
from groundup.errors import ConfigError, DataError, in_command
from groundup.finetune.config import ClassifierConfig, Trained
from groundup.http.json_object import JsonObject
from groundup.packs.check import check_pack
from groundup.packs.pack import DOCUMENTS, Pack
from groundup.retrieve.passages import MAX_TOKENS
from groundup.train.steps.config import FINETUNE_LEARNING_RATE
from groundup.weights.catalog import DEFAULT_ENCODER, SENTENCE_ENCODER

Count = Annotated[int, Field(ge=1)]
Charset = Annotated[str, AfterValidator(check_charset)]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# The folder of the own model in the export.
RESERVED = ("own",)


class StageConfig(BaseModel):
    """The base of all stages' tables: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def key(self) -> dict[str, Any]:
        """Return the table as plain values, for the key of its stage."""
        return to_plain(self)


class IndexStage(StageConfig):
    """Documents are made searchable."""

    kind: Literal["index"] = "index"
    source: Source
    passage_tokens: Annotated[int, Field(ge=16, le=4096)] = MAX_TOKENS
    """The longest passage."""
    language: str = "en"
    """The language that the documents should have: that of the models."""
    vectors: str = ""
    """The encoder that also makes a vector of each passage, so that it is found by its meaning;
    "": all-minilm-l6-v2-ask where it is here and the documents are English; "none": searched
    by words alone.
    """
    encoder: str = ""
    """A larger encoder (all-mpnet-base-v2) whose reader reads passages, too; "": none, "auto": that
    one where it is here, vectors are all-minilm-l6-v2-ask's and the processor has bf16 products.
    """
    questions: str = ""
    """JSON lines of instruction, input and document (docs/packs.md); on those without an input it
    is chosen how much evidence an answer needs.
    """
    known_answers: str = ""
    """JSON lines of question, answers and document, in customers' words: on them the promised error
    rate is chosen (docs/retrieve.md).
    """
    tune: bool = False
    """Whether the reader of answers is trained on the documents and `questions`, and kept if it is
    clearly better on `known_answers`, at least 20 of them that documents answer.
    """


class ActionsStage(StageConfig):
    """What the assistant may do is checked, and copied for serving."""

    kind: Literal["actions"] = "actions"
    source: str
    """The folder with actions.toml and world.sql (docs/packs.md)."""


class ClassifierStage(StageConfig):
    """The public model is fine-tuned as a classifier. Counts are upper limits: a short budget uses
    fewer.
    """

    kind: Literal["classifier"] = "classifier"
    source: Source
    label: str = ""
    text: str = ""
    """Both are recognised by default."""
    charset: Charset = AUTO
    """As of the data."""
    train: Count = 1600
    validation: Count = 300
    test: Count = 500
    zero_shot: Count = 200
    """Test messages for the zero-shot baseline."""
    ask_base: bool = True
    """Whether the base model is asked, too: the zero-shot baseline."""
    question: str | None = None
    """Its prompt before each message; by default it asks which of the labels fits."""
    max_tokens: Count = 64
    """T: longer messages are read in windows of so many tokens."""
    epochs: Count = ClassifierConfig.epochs
    """Times through the training messages; few messages need more."""
    learner: Trained = "last-block"
    """What learns, as of `finetune classifier --train`; "auto": what the validation messages
    choose.
    """
    encoder: str = ""
    """An encoder whose vectors of the messages are learned from, too, where `learner` is "stacked"
    or "auto": all-minilm-l6-v2.
    """
    abstain: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Abstain where less sure, so that the answered validation messages have this accuracy; by
    default never.
    """
    seed: int | None = None
    """Of the split and of the training; None: the build's."""


class ChatStage(StageConfig):
    """The public model is fine-tuned on instructions."""

    kind: Literal["chat"] = "chat"
    source: str = "starter"
    """`starter` (packaged) or a file or folder of instruction/input/output JSON lines."""
    charset: Charset = AUTO
    """As of the data."""
    tokens: Count = 40_000
    """Upper limit of tokens seen in training, prompts and repeats included."""
    epochs: Annotated[float, Field(gt=0)] = 3.0
    """How often the whole set is read, where `tokens` and the budget allow it."""
    max_tokens: Count = 128
    """T: longer examples are cut."""
    rank: Count = 8
    """R of LoRA."""
    learning_rate: Annotated[float, Field(gt=0)] = FINETUNE_LEARNING_RATE
    index: str = ""
    """An index stage: instructions are learned as `groundup ask` asks, each with the passage of the
    "document" in its line that fits it best.
    """


class AnswersStage(StageConfig):
    """Held-out questions are answered by a chat model and its base, with and without the passages
    of an index.
    """

    kind: Literal["answers"] = "answers"
    source: Source
    """JSON lines of question, answer and document, as of a pack's questions.jsonl
    (docs/packs.md).
    """
    index: str
    """The index stage that answers are read from."""
    chat: str
    """The chat stage that is measured."""
    passages: Annotated[int, Field(ge=1, le=50)] = 5
    """How many passages are read for an answer."""
    answer_tokens: Count = 40


class SummariesStage(StageConfig):
    """Held-out texts are summarised by a chat model and its base."""

    kind: Literal["summaries"] = "summaries"
    source: Source
    """JSON lines of document, text, summary and key facts, as of a pack's summaries.jsonl
    (docs/packs.md).
    """
    chat: str
    """The chat stage that is measured."""
    summary_tokens: Count = 96


NamedStage = IndexStage | ActionsStage | ClassifierStage | ChatStage | AnswersStage | SummariesStage
NAMED: dict[str, type[NamedStage]] = {
    "index": IndexStage,
    "actions": ActionsStage,
    "classifier": ClassifierStage,
    "chat": ChatStage,
    "answers": AnswersStage,
    "summaries": SummariesStage,
}
N = TypeVar("N", IndexStage, ActionsStage, ClassifierStage, ChatStage, AnswersStage, SummariesStage)


def kind_of(name: str, table: Mapping[str, Any]) -> Any:
    """None: its table does not say it."""
    if name in NAMED:
        return table.get("kind", name)
    return table.get("kind")


def named_stage(name: str, table: Mapping[str, Any]) -> NamedStage:
    """Raises ConfigError."""
    kind = kind_of(name, table)
    fix = f"Kinds: {', '.join(NAMED)}. Names: letters, digits, '-' and '_'."
    if kind not in NAMED:
        raise ConfigError(f"{name}.kind: {kind!r} is no kind of stage.", fix=fix)
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise ConfigError(f"{name!r} can't name a stage.", fix=fix)
    return build_config(NAMED[kind], table, where=f"{name}.")


BUDGET = "15m"
# Of the messages; the others are trained on.
VALIDATION_SHARE, TEST_SHARE = 0.15, 0.25
# Answered messages should be right so often; the others are for a person. With some 200 messages
# 0.95 left none that were answered (docs/log.md).
ANSWERED_RIGHT = 0.8
# A hundred or two messages need more steps than four epochs give.
CLASSIFIER_EPOCHS = 20
# A question, its passage and its answer.
CHAT_TOKENS = 512
EPOCHS = 2.0
TRAINED_TOKENS = 200_000
INDEX, INTENTS, CHAT, ANSWERS, SUMMARIES = "index", "intents", "chat", "answers", "summaries"
ACTIONS = "actions"


def pack_values(folder: Path) -> dict[str, Any]:
    """Raises DataError for a pack that can't be built, with the first reason."""
    checked = check_pack(folder)
    if checked.blocking:
        first, *others = map(str, checked.blocking)
        if others:
            first += f" ({len(others)} more such)"
        fix = f"See all: groundup pack check {in_command(folder)}"
        raise DataError(f"The pack {folder} can't be built: {first}.", fix=fix)
    pack = checked.pack
    folder, head = pack.folder.resolve(), pack.head
    instructions, asked = (str(folder / f"{part}.jsonl") for part in ("instructions", "questions"))
    return {
        "name": head.name,
        "description": f"{head.title}. {head.about}".strip(),
        "budget": BUDGET,
        "pack": str(folder),
        "assistant": {
            **asdict(head.assistant),
            "organisation": head.organisation,
            "language": head.language,
        },
        INDEX: {
            "source": {"spec": str(folder / DOCUMENTS)},
            "language": head.texts_language,
            "vectors": DEFAULT_ENCODER,
            "encoder": "auto",
            "questions": instructions * bool(pack.parts["instructions"]),
            "known_answers": asked * bool(pack.parts["questions"]),
        },
        **_intents_table(pack, folder),
        **_chat_tables(pack, instructions, asked),
        **_actions_table(folder),
        "evaluate": {"suites": []},
        "export": {"quantizations": []},
    }


def _intents_table(pack: Pack, folder: Path) -> JsonObject:
    messages = len(pack.parts["messages"])
    if not messages:
        return {}
    test, validation = int(TEST_SHARE * messages), int(VALIDATION_SHARE * messages)
    return {
        INTENTS: {
            "kind": "classifier",
            "source": {"spec": str(folder / "messages.jsonl")},
            "learner": "auto",
            "encoder": SENTENCE_ENCODER,
            "epochs": CLASSIFIER_EPOCHS,
            "abstain": ANSWERED_RIGHT,
            "train": messages - test - validation,
            "validation": validation,
            "test": test,
            "zero_shot": test,
        }
    }


def _actions_table(folder: Path) -> JsonObject:
    if not (folder / ACTIONS_FILE).is_file():
        return {}
    return {ACTIONS: {"source": str(folder)}}


def _chat_tables(pack: Pack, instructions: str, asked: str) -> JsonObject:
    """Return the tables of the fine-tuned model and of what is measured with it; {} without
    instructions.
    """
    if not pack.parts["instructions"]:
        return {}
    found: JsonObject = {
        CHAT: {
            "source": instructions,
            "index": INDEX,
            "max_tokens": CHAT_TOKENS,
            "epochs": EPOCHS,
            "tokens": TRAINED_TOKENS,
        }
    }
    if pack.parts["questions"]:
        found[ANSWERS] = {"source": {"spec": asked}, "index": INDEX, "chat": CHAT}
    if pack.parts[SUMMARIES]:
        spec = str(pack.folder.resolve() / "summaries.jsonl")
        found[SUMMARIES] = {"source": {"spec": spec}, "chat": CHAT}
    return found
