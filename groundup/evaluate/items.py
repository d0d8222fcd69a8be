"""The four kinds of evaluation items: what each asks a model, and how its responses are counted.

    Choices       a question with several answers: the one with the highest probability counts
                  accuracy
    MinimalPair   a good sentence and a bad one: which is more probable
                  accuracy
    Completion    a text that can be continued in one way only: greedy decoding must write it
                  accuracy
    Written       an instruction whose answer code can measure: checks, overlap with a reference
                  a score between 0 and 1

An item gives `requests(shots)` and counts the responses to them: a (total, count) for each of its
metrics, whose sums over all items give the metric.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, Protocol, TypedDict

from groundup.evaluate.requests import (
    Continuation,
    Generation,
    Prompt,
    Request,
    Response,
    Scored,
    Shot,
    WholeText,
)

Count = tuple[float, float]
ANSWER_END = "\n"
# Tokens of a completion that is generated: an answer has at most one token a byte, and one more
# shows that it ended.
COMPLETION_TOKENS = (8, 16, 32, 64)
CONTROL_BITS = "bits_per_byte_control"
_GOES_ON = re.compile(r"\w|[.,:']\w")


class Item(Protocol):
    """An evaluation item."""

    @property
    def id(self) -> str:
        """Its name, unique in the suite."""

    @property
    def group(self) -> str:
        """What it is grouped by on a page: a topic, a phenomenon."""

    @property
    def shot(self) -> Shot | None:
        """The item as a worked example; None where that makes no sense."""

    def requests(self, shots: tuple[Shot, ...]) -> tuple[Request, ...]:
        """Return what a model is asked."""
        ...

    def counts(self, responses: Sequence[Response]) -> dict[str, Count]:
        """Return a (total, count) for each metric."""
        ...

    def guess(self) -> dict[str, Count]:
        """Return the same for guessing, where that is defined: the expected values."""
        ...

    def show(self, responses: Sequence[Response]) -> "ShownItem":
        """Return the item and the response for a page."""
        ...


class ShownItem(TypedDict):
    """An item and a model's response, as JSON values for a page."""

    asked: str
    expected: str
    answer: str
    right: NotRequired[bool]


@dataclass(frozen=True)
class Choices:
    """A question with several answers of which one is right."""

    id: str
    group: str
    prompt: str
    """Ends where an answer follows, without a space."""
    choices: tuple[str, ...]
    answer: int
    """The index of the right one."""
    without: str = ""
    """The prompt without what is asked about. Log-probabilities of choices are made comparable by
    subtracting those after it (domain-conditional PMI, Holtzman et al. 2021, arXiv:2104.08315); "":
    by dividing by the bytes of the choice (lm-eval's acc_bytes)."""

    @property
    def shot(self) -> Shot:
        """The question with the right answer."""
        return Shot(self.prompt, " " + self.choices[self.answer])

    def requests(self, shots: tuple[Shot, ...]) -> tuple[Request, ...]:
        """A continuation for each choice, and for PMI once more without the question."""
        prompts = [Prompt(self.prompt, shots)]
        if self.without:
            prompts.append(Prompt(self.without))
        return tuple(
            Continuation(prompt, " " + choice) for prompt in prompts for choice in self.choices
        )

    def counts(self, responses: Sequence[Response]) -> dict[str, Count]:
        """Accuracy by the normalised log-probability, and by its plain sum (lm-eval's acc)."""
        plain = log_probabilities(responses)[: len(self.choices)]
        chosen, by_sum = self.choose(responses), plain.index(max(plain))
        return {
            "accuracy": (chosen == self.answer, 1),
            "accuracy_by_sum": (by_sum == self.answer, 1),
        }

    def choose(self, responses: Sequence[Response]) -> int:
        """Return the index of the chosen answer; of equal ones the first."""
        plain, count = log_probabilities(responses), len(self.choices)
        if self.without:
            scores = [asked - alone for asked, alone in zip(plain, plain[count:], strict=False)]
        else:
            sizes = [max(1, len(text.encode())) for text in self.choices]
            scores = [each / size for each, size in zip(plain, sizes, strict=True)]
        return scores.index(max(scores))

    def guess(self) -> dict[str, Count]:
        """All choices equally likely."""
        return dict.fromkeys(("accuracy", "accuracy_by_sum"), (1 / len(self.choices), 1))

    def show(self, responses: Sequence[Response]) -> ShownItem:
        """The question, the right answer and the chosen one."""
        chosen = self.choose(responses)
        return {
            "asked": self.prompt,
            "expected": self.choices[self.answer],
            "answer": self.choices[chosen],
            "right": chosen == self.answer,
        }


@dataclass(frozen=True)
class MinimalPair:
    """Two sentences that differ in one point of grammar (BLiMP, Warstadt et al. 2020,
    arXiv:1912.00582).
    """

    id: str
    group: str
    good: str
    bad: str

    shot = None

    def requests(self, shots: tuple[Shot, ...]) -> tuple[Request, ...]:
        """Both sentences as whole texts."""
        return WholeText(self.good), WholeText(self.bad)

    def counts(self, responses: Sequence[Response]) -> dict[str, Count]:
        """Right where the good sentence is more probable."""
        good, bad = log_probabilities(responses)
        return {"accuracy": (good > bad, 1)}

    def guess(self) -> dict[str, Count]:
        """A coin."""
        return {"accuracy": (0.5, 1)}

    def show(self, responses: Sequence[Response]) -> ShownItem:
        """Both sentences, and the one that the model prefers."""
        good, bad = log_probabilities(responses)
        shown: ShownItem = {
            "asked": "Which is English?",
            "expected": self.good,
            "answer": self.good,
            "right": good > bad,
        }
        if not shown["right"]:
            shown["answer"] = self.bad
        return shown


@dataclass(frozen=True)
class Completion:
    """A text that can be continued in one way only."""

    id: str
    group: str
    prompt: str
    answer: str
    """Begins with a space."""
    options: tuple[str, ...] = ()
    """The answers that the prompt itself leaves open ("bigger, 3 or 8?"), for the chance level; ():
    nobody guesses it.
    """
    control: str = ""
    """The prompt of another item with another answer: how probable is the answer after a text that
    does not ask for it? "": not measured.
    """

    @property
    def shot(self) -> Shot:
        """The text with its continuation."""
        return Shot(self.prompt, self.answer)

    def requests(self, shots: tuple[Shot, ...]) -> tuple[Request, ...]:
        """The continuation, what greedy decoding writes, and the continuation after another item's
        prompt.
        """
        prompt = Prompt(self.prompt, shots)
        longest = next(each for each in COMPLETION_TOKENS if len(self.answer.encode()) + 2 <= each)
        asked = (Continuation(prompt, self.answer), Generation(prompt, (ANSWER_END,), longest))
        if not self.control:
            return asked
        return (*asked, Continuation(Prompt(self.control, shots), self.answer))

    def counts(self, responses: Sequence[Response]) -> dict[str, Count]:
        """Right where greedy decoding writes the answer and ends it there; by prefix: where the
        answer's tokens are the most probable ones, whatever follows (lm-eval's acc). Bits per byte
        of the answer after both prompts."""
        scored = [each for each in responses if isinstance(each, Scored)]
        size = len(self.answer.encode())
        bits = [(-each.logprob / math.log(2), size) for each in scored]
        return {
            "accuracy": (self.is_right(responses), 1),
            "accuracy_by_prefix": (scored[0].is_greedy, 1),
            **dict(zip(("bits_per_byte", CONTROL_BITS), bits, strict=False)),
        }

    def is_right(self, responses: Sequence[Response]) -> bool:
        """Return whether greedy decoding writes the answer and ends it there."""
        return any(
            begins_with_answer(each, self.answer) for each in responses if isinstance(each, str)
        )

    def guess(self) -> dict[str, Count]:
        """One of the options; without options nobody guesses it."""
        share = 0.0
        if self.options:
            share = 1 / len(self.options)
        return dict.fromkeys(("accuracy", "accuracy_by_prefix"), (share, 1))

    def show(self, responses: Sequence[Response]) -> ShownItem:
        """The text, its continuation, and what the model writes."""
        (written,) = (each for each in responses if isinstance(each, str))
        return {
            "asked": self.prompt,
            "expected": self.answer.strip(),
            "answer": written.strip(),
            "right": self.is_right(responses),
        }


@dataclass(frozen=True)
class Written:
    """An instruction whose answer is measured by code."""

    id: str
    group: str
    prompt: str
    reference: str
    """A good answer."""
    measure: Callable[["Written", str], dict[str, Count]]
    """(item, answer) -> a (total, count) for each metric."""
    max_tokens: int
    checks: Mapping[str, Any] | tuple[tuple[str, ...], ...] = ()
    """What the measure needs besides the reference."""
    until: tuple[str, ...] = (ANSWER_END,)
    """Texts that end an answer in the plain template."""

    @property
    def shot(self) -> Shot:
        """The instruction with the reference."""
        return Shot(self.prompt, " " + self.reference)

    def requests(self, shots: tuple[Shot, ...]) -> tuple[Request, ...]:
        """The greedy answer."""
        return (Generation(Prompt(self.prompt, shots), self.until, self.max_tokens),)

    def counts(self, responses: Sequence[Response]) -> dict[str, Count]:
        """As `measure` has it."""
        return self.measure(self, answer_in(responses))

    def guess(self) -> dict[str, Count]:
        """Undefined for one item: see `Suite.chance`."""
        return {}

    def show(self, responses: Sequence[Response]) -> ShownItem:
        """The instruction, the reference and the answer."""
        return {"asked": self.prompt, "expected": self.reference, "answer": answer_in(responses)}


def begins_with_answer(text: str, answer: str) -> bool:
    """Return whether a text begins with an answer and the answer's last word or number ends there.

    >>> [begins_with_answer(text, " 2") for text in (" 20 and", " 2, then", " 2.5")]
    [False, True, False]
    """
    text, answer = text.strip(), answer.strip()
    return text.startswith(answer) and not _GOES_ON.match(text, len(answer))


def log_probabilities(responses: Sequence[Response]) -> list[float]:
    """Return the log-probabilities of scored texts."""
    return [each.logprob for each in responses if isinstance(each, Scored)]


def answer_in(responses: Sequence[Response]) -> str:
    """Return the generated text, without the spaces around it."""
    (answer,) = responses
    assert isinstance(answer, str)
    return answer.strip()
