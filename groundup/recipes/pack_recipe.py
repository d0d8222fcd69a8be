"""The recipe of a domain pack: an index of its documents, a classifier of intents, a chat model,
answers to its questions. No model of one's own.
"""

from pathlib import Path
from typing import Any

from groundup.errors import DataError
from groundup.packs.check import check_pack
from groundup.packs.pack import DOCUMENTS, Pack

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
# Finds passages by their meaning; questions are rarely asked in the documents' words.
ENCODER = "all-minilm-l6-v2"
INDEX, INTENTS, CHAT, ANSWERS, SUMMARIES = "index", "intents", "chat", "answers", "summaries"


def pack_values(folder: Path) -> dict[str, Any]:
    """Return the values of the recipe.

    Raises DataError for a pack that can't be built, with the first reason.
    """
    checked = check_pack(folder)
    if checked.blocking:
        first, *others = map(str, checked.blocking)
        if others:
            first += f" ({len(others)} more such)"
        fix = f"See all: groundup pack check {folder}"
        raise DataError(f"The pack {folder} can't be built: {first}.", fix=fix)
    return recipe_of(checked.pack)


def recipe_of(pack: Pack) -> dict[str, Any]:
    """Return the values of a pack's recipe."""
    folder, head = pack.folder.resolve(), pack.head
    messages = len(pack.parts["messages"])
    test, validation = int(TEST_SHARE * messages), int(VALIDATION_SHARE * messages)
    sizes = {
        "train": messages - test - validation,
        "validation": validation,
        "test": test,
        "zero_shot": test,
    }
    summaries = {}
    if pack.parts.get(SUMMARIES):
        source = {"spec": str(folder / "summaries.jsonl")}
        summaries = {SUMMARIES: {"source": source, "chat": CHAT}}
    return {
        "name": head.name,
        "description": f"{head.title}. {head.about}".strip(),
        "budget": BUDGET,
        "pack": str(folder),
        INDEX: {
            "source": {"spec": str(folder / DOCUMENTS)},
            "language": head.language,
            "vectors": ENCODER,
            "questions": str(folder / "instructions.jsonl"),
        },
        INTENTS: {
            "kind": "classifier",
            "source": {"spec": str(folder / "messages.jsonl")},
            "learner": "auto",
            "encoder": ENCODER,
            "epochs": CLASSIFIER_EPOCHS,
            "abstain": ANSWERED_RIGHT,
            **sizes,
        },
        CHAT: {
            "source": str(folder / "instructions.jsonl"),
            "index": INDEX,
            "max_tokens": CHAT_TOKENS,
            "epochs": EPOCHS,
            "tokens": TRAINED_TOKENS,
        },
        ANSWERS: {
            "source": {"spec": str(folder / "questions.jsonl")},
            "index": INDEX,
            "chat": CHAT,
        },
        **summaries,
        "evaluate": {"suites": []},
        "export": {"quantizations": []},
    }
