"""Evaluation items: the three requests that every suite reduces to, with their answers by a language
model, and the four kinds of items: what each asks, and how its responses are counted, as a (total,
count) for each of its metrics, whose sums over all items give the metric.

A prompt is a question with the worked examples (shots) before it: in the plain template this text,
in the chat template a turn of the user and one of the assistant for each. Prompt and continuation
are encoded as one text and split where the prompt's own ids end, as lm-eval does. The bos token
comes first where the tokenizer puts it before every text; what has no prompt is scored after the
token that separates documents. The order of requests and the batch size change no result.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, Protocol, TypedDict

from groundup.device import Compute
from groundup.engine.batch import generate_answers
from groundup.engine.padded_batch import BATCH_TOKENS
from groundup.engine.sampling import Sampling
from groundup.engine.score import Pair, ScoredContinuation, score
from groundup.evaluate.task import language_model
from groundup.progress import Progress
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import OpenModel

Template = Literal["plain", "chat"]


@dataclass(frozen=True)
class Shot:
    prompt: str
    answer: str
    """As it follows the prompt, with the space or line break between them."""


@dataclass(frozen=True)
class Prompt:
    text: str
    shots: tuple[Shot, ...] = ()

    @property
    def plain(self) -> str:
        """The text with the examples before it."""
        return "\n\n".join([*(shot.prompt + shot.answer for shot in self.shots), self.text])


@dataclass(frozen=True)
class Continuation:
    """A request for ln P(text | prompt)."""

    prompt: Prompt
    text: str


@dataclass(frozen=True)
class WholeText:
    """A request for ln P(text)."""

    text: str


@dataclass(frozen=True)
class Generation:
    """A request for the greedy answer."""

    prompt: Prompt
    until: tuple[str, ...]
    """Texts that end the answer, besides the model's own end."""
    max_tokens: int


Request = Continuation | WholeText | Generation
Scored = ScoredContinuation
Response = Scored | str


def respond(
    opened: OpenModel,
    requests: Sequence[Request],
    template: Template,
    *,
    compute: Compute,
    progress: Progress,
    batch_tokens: int = BATCH_TOKENS,
) -> list[Response]:
    """In order. Raises ModelError for a classifier, without a tokenizer, or when a request is too
    long.
    """
    model, tokenizer = language_model(opened)
    found: dict[int, Response] = {}
    pairs = {
        number: scored_ids(each, template, tokenizer)
        for number, each in enumerate(requests)
        if not isinstance(each, Generation)
    }
    if pairs:
        with progress.track("scoring", len(pairs), "texts") as advance:
            scored = score(
                model,
                list(pairs.values()),
                compute=compute,
                batch_tokens=batch_tokens,
                done=advance,
            )
        found.update(zip(pairs, scored, strict=True))
    asked: dict[tuple[tuple[str, ...], int], dict[int, list[int]]] = {}
    for number, each in enumerate(requests):
        if isinstance(each, Generation):
            prompts = asked.setdefault((each.until, each.max_tokens), {})
            prompts[number] = prompt_ids(each.prompt, template, tokenizer)
    for (until, max_tokens), prompts in asked.items():
        with progress.track("answers", len(prompts), "answers") as advance:
            texts = generate_answers(
                list(prompts.values()),
                model,
                tokenizer,
                Sampling(temperature=0, max_tokens=max_tokens, stop=until),
                compute=compute,
                stop_ids=tokenizer.special.stop_ids,
                done=advance,
            )
        found.update(zip(prompts, texts, strict=True))
    return [found[number] for number in range(len(requests))]


def request_tokens(request: Request, template: Template, tokenizer: Tokenizer) -> int:
    if isinstance(request, Generation):
        return len(prompt_ids(request.prompt, template, tokenizer)) + request.max_tokens
    context, continuation = scored_ids(request, template, tokenizer)
    return len(context) + len(continuation)


def scored_ids(request: Continuation | WholeText, template: Template, tokenizer: Tokenizer) -> Pair:
    """Return the ids before a scored text, and its own."""
    if isinstance(request, WholeText):
        return _first(tokenizer), tokenizer.encode(request.text)
    if template == "chat":
        text = request.text.strip()
        return prompt_ids(request.prompt, template, tokenizer), tokenizer.encode(text, starts=False)
    text = request.prompt.plain + request.text
    # A space at the end of the prompt belongs to the word behind it.
    prompt, whole = tokenizer.encode(request.prompt.plain.rstrip()), tokenizer.encode(text)
    return [*_bos(tokenizer), *prompt] or _first(tokenizer), whole[len(prompt) :]


def prompt_ids(prompt: Prompt, template: Template, tokenizer: Tokenizer) -> list[int]:
    """In the chat template with the assistant's turn opened."""
    if template == "plain":
        return [*_bos(tokenizer), *tokenizer.encode(prompt.plain)] or _first(tokenizer)
    turns = [
        message
        for shot in prompt.shots
        for message in (Message("user", shot.prompt), Message("assistant", shot.answer.strip()))
    ]
    conversation = Conversation((*turns, Message("user", prompt.text)))
    return render(conversation, tokenizer, add_generation_prompt=True).ids


def bos_of(tokenizer: Tokenizer) -> str:
    """ "none", or the id of the bos token."""
    return "".join(map(str, _bos(tokenizer))) or "none"


def _bos(tokenizer: Tokenizer) -> list[int]:
    special = tokenizer.special
    if not special.adds_bos or special.bos_id is None:
        return []
    return [special.bos_id]


def _first(tokenizer: Tokenizer) -> list[int]:
    return _bos(tokenizer) or [tokenizer.special.document_end_id]


Count = tuple[float, float]
ANSWER_END = "\n"
# Tokens of a completion that is generated: an answer has at most one token a byte, and one more
# shows that it ended.
COMPLETION_TOKENS = (8, 16, 32, 64)
CONTROL_BITS = "bits_per_byte_control"
_GOES_ON = re.compile(r"\w|[.,:']\w")


class Item(Protocol):
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
        return Shot(self.prompt, " " + self.choices[self.answer])

    def requests(self, shots: tuple[Shot, ...]) -> tuple[Request, ...]:
        prompts = [Prompt(self.prompt, shots)]
        if self.without:
            prompts.append(Prompt(self.without))
        return tuple(
            Continuation(prompt, " " + choice) for prompt in prompts for choice in self.choices
        )

    def counts(self, responses: Sequence[Response]) -> dict[str, Count]:
        plain = log_probabilities(responses)[: len(self.choices)]
        chosen, by_sum = self.choose(responses), plain.index(max(plain))
        return {
            "accuracy": (chosen == self.answer, 1),
            "accuracy_by_sum": (by_sum == self.answer, 1),
        }

    def choose(self, responses: Sequence[Response]) -> int:
        """Of equal ones the first."""
        plain, count = log_probabilities(responses), len(self.choices)
        if self.without:
            scores = [asked - alone for asked, alone in zip(plain, plain[count:], strict=False)]
        else:
            sizes = [max(1, len(text.encode())) for text in self.choices]
            scores = [each / size for each, size in zip(plain, sizes, strict=True)]
        return scores.index(max(scores))

    def guess(self) -> dict[str, Count]:
        return dict.fromkeys(("accuracy", "accuracy_by_sum"), (1 / len(self.choices), 1))

    def show(self, responses: Sequence[Response]) -> ShownItem:
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
        return WholeText(self.good), WholeText(self.bad)

    def counts(self, responses: Sequence[Response]) -> dict[str, Count]:
        good, bad = log_probabilities(responses)
        return {"accuracy": (good > bad, 1)}

    def guess(self) -> dict[str, Count]:
        return {"accuracy": (0.5, 1)}

    def show(self, responses: Sequence[Response]) -> ShownItem:
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
        return Shot(self.prompt, self.answer)

    def requests(self, shots: tuple[Shot, ...]) -> tuple[Request, ...]:
        prompt = Prompt(self.prompt, shots)
        longest = next(each for each in COMPLETION_TOKENS if len(self.answer.encode()) + 2 <= each)
        asked = (Continuation(prompt, self.answer), Generation(prompt, (ANSWER_END,), longest))
        if not self.control:
            return asked
        return (*asked, Continuation(Prompt(self.control, shots), self.answer))

    def counts(self, responses: Sequence[Response]) -> dict[str, Count]:
        """Right where greedy decoding writes the answer and ends it there; by prefix: where the
        answer's tokens are the most probable ones, whatever follows (lm-eval's acc).
        """
        scored = [each for each in responses if isinstance(each, Scored)]
        size = len(self.answer.encode())
        bits = [(-each.logprob / math.log(2), size) for each in scored]
        return {
            "accuracy": (self.is_right(responses), 1),
            "accuracy_by_prefix": (scored[0].is_greedy, 1),
            **dict(zip(("bits_per_byte", CONTROL_BITS), bits, strict=False)),
        }

    def is_right(self, responses: Sequence[Response]) -> bool:
        return any(
            begins_with_answer(each, self.answer) for each in responses if isinstance(each, str)
        )

    def guess(self) -> dict[str, Count]:
        share = 0.0
        if self.options:
            share = 1 / len(self.options)
        return dict.fromkeys(("accuracy", "accuracy_by_prefix"), (share, 1))

    def show(self, responses: Sequence[Response]) -> ShownItem:
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
        return Shot(self.prompt, " " + self.reference)

    def requests(self, shots: tuple[Shot, ...]) -> tuple[Request, ...]:
        return (Generation(Prompt(self.prompt, shots), self.until, self.max_tokens),)

    def counts(self, responses: Sequence[Response]) -> dict[str, Count]:
        return self.measure(self, answer_in(responses))

    def guess(self) -> dict[str, Count]:
        """Undefined for one item: see `Suite.chance`."""
        return {}

    def show(self, responses: Sequence[Response]) -> ShownItem:
        return {"asked": self.prompt, "expected": self.reference, "answer": answer_in(responses)}


def begins_with_answer(text: str, answer: str) -> bool:
    """Return whether a text begins with an answer and the answer's last word or number ends there.

    >>> [begins_with_answer(text, " 2") for text in (" 20 and", " 2, then", " 2.5")]
    [False, True, False]
    """
    text, answer = text.strip(), answer.strip()
    return text.startswith(answer) and not _GOES_ON.match(text, len(answer))


def log_probabilities(responses: Sequence[Response]) -> list[float]:
    return [each.logprob for each in responses if isinstance(each, Scored)]


def answer_in(responses: Sequence[Response]) -> str:
    """Return the generated text, without the spaces around it."""
    (answer,) = responses
    assert isinstance(answer, str)
    return answer.strip()
