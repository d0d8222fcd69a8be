"""The suites whose items were written for this project, one by one, graded in difficulty and read a
second time: a .jsonl file each.

Their texts are in no training set that we know of. tests/evaluate/test_written_suites.py holds them
against near-repeats, leaks from the starter set, wrong sums and answers that a check of theirs
refuses.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from groundup.evaluate.items import Choices, Completion, Item, MinimalPair, Written
from groundup.evaluate.suite import Suite
from groundup.evaluate.suites import scores
from groundup.progress import Progress

FOLDER = Path(__file__).parent
FILES = {"grammar": "minimal_pairs"}
"""Suite -> its file, where that has another name."""
LANGUAGES = {"fr": "French", "de": "German", "es": "Spanish"}
SUMMARY_TOKENS, TRANSLATION_TOKENS, FORMAT_TOKENS = 80, 64, 80


def rows_of(name: str) -> list[dict[str, Any]]:
    """Return the lines of a packaged suite."""
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def suite_file(name: str) -> Path | None:
    """Return the file with the items of a packaged suite, None for another name.

    >>> suite_file("grammar").name
    'minimal_pairs.jsonl'
    """
    if name not in {suite.name for suite in WRITTEN}:
        return None
    return FOLDER / f"{FILES.get(name, name)}.jsonl"


def read_packaged(
    name: str, item: Callable[[dict[str, Any]], Item]
) -> Callable[[Progress], Sequence[Item]]:
    """Return the function that reads a packaged suite."""
    return lambda progress: [item(row) for row in rows_of(name)]


def _translations(progress: Progress) -> Sequence[Item]:
    scores.sacrebleu()  # missing, it is said before anything is measured
    return [translation_item(row) for row in rows_of("translation")]


def _question(row: dict[str, Any]) -> Item:
    return Choices(
        row["id"],
        row["topic"],
        f"Question: {row['question']}\nAnswer:",
        tuple(row["choices"]),
        row["answer"],
    )


EMOTIONS = ("joy", "sadness", "anger", "fear", "surprise", "love", "neutral")


def _emotion(row: dict[str, Any]) -> Item:
    prompt = f"Text: {row['text']}\nEmotion:"
    return Choices(
        row["id"], row["label"], prompt, EMOTIONS, EMOTIONS.index(row["label"]), "Text:\nEmotion:"
    )


def _pair(row: dict[str, Any]) -> Item:
    return MinimalPair(row["id"], row["phenomenon"], row["good"], row["bad"])


def _completions(name: str) -> Callable[[Progress], Sequence[Item]]:
    """Return the function that reads a suite of completions, each with the next item's prompt as
    its control.
    """

    def read(progress: Progress) -> Sequence[Item]:
        rows = rows_of(name)
        return [
            _completion(row, rows[place + 1 :] + rows[:place]) for place, row in enumerate(rows)
        ]

    return read


def _completion(row: dict[str, Any], others: Sequence[dict[str, Any]]) -> Item:
    control = next(other["prompt"] for other in others if other["answer"] != row["answer"])
    options = tuple(row.get("options", ()))
    return Completion(row["id"], row["kind"], row["prompt"], row["answer"], options, control)


def _summary(row: dict[str, Any]) -> Item:
    prompt = f"{row['text']}\n\nSummarise the text above in one or two sentences.\nSummary:"
    facts = tuple(map(tuple, row["facts"]))
    return Written(
        row["id"], row["topic"], prompt, row["summary"], scores.summary, SUMMARY_TOKENS, facts
    )


def translation_item(row: dict[str, Any]) -> Item:
    """Return a sentence to be translated."""
    language = LANGUAGES[row["language"]]
    prompt = f"Translate from English to {language}.\nEnglish: {row['source']}\n{language}:"
    return Written(
        row["id"], language, prompt, row["target"], scores.translation, TRANSLATION_TOKENS
    )


def _format(row: dict[str, Any]) -> Item:
    asked = "\n\n".join(filter(None, (row["instruction"], row["input"])))
    ends = ("\n\n",)  # lists have lines
    return Written(
        row["id"],
        row["kind"],
        asked,
        row["sample"],
        scores.check_format,
        FORMAT_TOKENS,
        row["check"],
        until=ends,
    )


WRITTEN = (
    Suite("multiple_choice", "Multiple choice", read_packaged("multiple_choice", _question)),
    Suite("emotions", "Emotions", read_packaged("emotions", _emotion)),
    Suite("grammar", "Grammatical minimal pairs", read_packaged(FILES["grammar"], _pair)),
    Suite("copying", "Copying and recall", _completions("copying")),
    Suite("arithmetic", "Arithmetic", _completions("arithmetic")),
    Suite("format", "Following a format", read_packaged("format", _format), template="chat"),
    Suite("summaries", "Summaries", read_packaged("summaries", _summary), template="chat"),
    Suite(
        "translation",
        "Translation",
        _translations,
        template="chat",
        corpus=scores.corpus_bleu,
    ),
)
