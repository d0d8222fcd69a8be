"""A language model shown a few examples of each label before it is asked for one: the few-shot
baseline of a classifier.

    user: question, text     assistant: label     user: question, text     assistant: label     ...
                             user: question, the text     assistant:

How many examples of each label it is shown is chosen on validation texts, among those of SHOTS that
fit the context. The examples are drawn from the training texts, the same for all questions: what
all questions begin with is computed once for many (`engine/score.py`).
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from groundup.data.documents import Example
from groundup.device import Compute
from groundup.engine.score import ragged_batches
from groundup.errors import ModelError
from groundup.evaluate.tasks.classification import (
    ZERO_SHOT_MAX_TOKENS,
    answer_ids,
    most_probable_labels,
)
from groundup.progress import Progress
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import OpenModel

# Examples of each label that are tried, and validation texts that they are tried on.
SHOTS, CHOSEN_ON = (1, 2, 4), 40


def shown_examples(
    train: Sequence[Example], labels: Sequence[str], shots: int, seed: int
) -> list[Example]:
    """Return `shots` training examples of each label (of a rarer one all), in an order that depends
    on the seed, not on the labels.
    """
    drawn: dict[str, list[Example]] = {label: [] for label in labels}
    for example in sorted(
        train, key=lambda each: hashlib.sha256(f"{seed}/{each.text}".encode()).digest()
    ):
        if len(drawn[example.label]) < shots:
            drawn[example.label].append(example)
    found = [example for of_label in drawn.values() for example in of_label]
    random.Random(seed).shuffle(found)
    return found


@dataclass(frozen=True)
class FewShot:
    """How a language model is asked for the label of a text after it was shown examples."""

    train: Sequence[Example]
    """Among them are the examples that it is shown."""
    labels: tuple[str, ...]
    question: str
    max_tokens: int = ZERO_SHOT_MAX_TOKENS
    """Longer texts are cut, and longer examples at ZERO_SHOT_MAX_TOKENS."""
    seed: int = 0

    def prompts(self, texts: Sequence[str], shots: int, tokenizer: Tokenizer) -> list[list[int]]:
        """Return for each text the ids up to the opened assistant's turn."""
        shown = shown_examples(self.train, self.labels, shots, self.seed)
        before: list[Message] = []
        for example in shown:
            before.append(self._question(example.text, tokenizer, ZERO_SHOT_MAX_TOKENS))
            before.append(Message("assistant", example.label))
        asked = [self._question(text, tokenizer, self.max_tokens) for text in texts]
        conversations = [Conversation((*before, question)) for question in asked]
        return [render(each, tokenizer, add_generation_prompt=True).ids for each in conversations]

    def _question(self, text: str, tokenizer: Tokenizer, max_tokens: int) -> Message:
        cut = tokenizer.decode(tokenizer.encode(text)[:max_tokens])
        return Message("user", f"{self.question}\n\n{cut}")

    def answers(self, tokenizer: Tokenizer) -> list[list[int]]:
        """Return the ids of each label as a complete answer."""
        return [answer_ids(label, tokenizer) for label in self.labels]

    def fits(self, texts: Sequence[str], shots: int, opened: OpenModel) -> bool:
        """Whether all texts with their examples and the longest answer fit the context."""
        tokenizer = opened.require_tokenizer()
        room = opened.config.context_tokens - max(map(len, self.answers(tokenizer))) + 1
        return all(len(prompt) <= room for prompt in self.prompts(texts, shots, tokenizer))

    def predict(
        self,
        opened: OpenModel,
        texts: Sequence[str],
        shots: int,
        *,
        compute: Compute,
        progress: Progress,
    ) -> list[str]:
        """Return the label of each text whose complete answer has the best log-probability per
        byte, as zero-shot. Raises ModelError.
        """
        prompts = self.prompts(texts, shots, opened.require_tokenizer())
        what = f"asking the base model after {shots} examples of each label"
        return most_probable_labels(
            opened, prompts, self.labels, what, compute=compute, progress=progress
        )

    def tokens(self, texts: Sequence[str], shots: int, tokenizer: Tokenizer) -> int:
        """Return how many tokens the model computes to predict: what prompts share is computed once
        a batch.
        """
        answers = self.answers(tokenizer)
        rows = [
            [*prompt, *answer[:-1]]
            for prompt in self.prompts(texts, shots, tokenizer)
            for answer in answers
        ]
        return sum(len(batch.ids) for batch in ragged_batches(rows))


def choose_shots(
    few: FewShot,
    opened: OpenModel,
    validation: Sequence[Example],
    *,
    compute: Compute,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Return the accuracies on validation texts of each number of examples that fits, the best
    first. Raises ModelError where none fits.
    """
    used = validation[:CHOSEN_ON]
    texts = [example.text for example in used]
    tried = []
    for shots in SHOTS:
        if not few.fits(texts, shots, opened):
            break
        predicted = few.predict(opened, texts, shots, compute=compute, progress=progress)
        right = sum(p == example.label for p, example in zip(predicted, used, strict=True))
        tried.append({"shots": shots, "accuracy": right / len(used), "n": len(used)})
    if not tried:
        raise ModelError(
            f"The context of {opened.config.context_tokens} tokens is too short for an example of "
            "each label.",
            fix="Use a model with a longer context, or fewer labels.",
        )
    return sorted(tried, key=lambda each: (-each["accuracy"], each["shots"]))
