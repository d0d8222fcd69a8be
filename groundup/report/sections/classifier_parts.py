"""Parts that the chapters on classifiers share, of one label or of several for each text."""

from collections.abc import Mapping

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import facts, more
from groundup.report.formatting import count, fill, first_letters, interval, percent, three_decimals
from groundup.report.values import JsonObject, MeasuredFraction, matrix, number, text, texts

MAX_EXAMPLES = 12
MESSAGE_CHARACTERS = 200
SAME_MESSAGES = "Every method on these messages"
BEFORE_TEMPERATURE = "before the temperature was fitted on validation"
# The splits, and what each is for.
USES = {"train": "for training", "validation": "for model selection", "test": "for testing"}


def size_facts(sizes: Mapping[str, float | None]) -> Node | None:
    """Return the sizes of the splits."""
    return facts(*[(count(sizes[name]), f"messages {use}") for name, use in USES.items()])


def accuracy_cells(model: JsonObject, found: MeasuredFraction) -> list[Child]:
    """Return accuracy, its interval with the number of messages, and F1, as text."""
    bounds = interval(found.low, found.high, percent) + fill(", n {}", found.items)
    return [percent(found.value), bounds, three_decimals(number(model, "f1"))]


def same_messages(asked: float, prompt: str, results: JsonObject, *children: Child) -> Node | None:
    """Return the details about the messages that the base model was asked about."""
    question = node("p", prompt, foreign(text(results, "zero_shot", "question"), "q"))
    title = f"The {count(asked)} messages that the base model was asked about (zero-shot)"
    return more(title, question, *children)


def message_of(example: JsonObject) -> Node:
    """Return the beginning of a message."""
    return foreign(first_letters(text(example, "text"), MESSAGE_CHARACTERS))


def right_or_wrong(right: bool) -> Child:
    """Return whether a prediction was right."""
    if right:
        return "right"
    return node("strong", "wrong", class_="no")


def confusion(results: JsonObject, model: JsonObject) -> tuple[list[list[float]], list[str]]:
    """Return the confusion matrix (true label by predicted one) and its labels; empty where they
    do not fit together.
    """
    counts, labels = matrix(model, "confusion"), texts(results, "labels")
    if not counts or len(counts) != len(counts[0]) or len(labels) != len(counts):
        return [], []
    return counts, labels
