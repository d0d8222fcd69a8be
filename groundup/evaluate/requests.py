"""The three requests that every suite of evaluation items reduces to, and their answers by a
language model.

    Continuation(prompt, text)        ln P(text | prompt)
    WholeText(text)                   ln P(text)
    Generation(prompt, until, n)      the greedy answer, up to `until` or n tokens

    respond(opened, requests, "plain", compute=compute, progress=progress) -> a Scored or a str for
        each, in order

A prompt is a question with the worked examples (shots) before it. The plain template gives the
model this text; the chat template gives each example as a turn of the user and one of the
assistant. Ids: prompt and continuation are encoded as one text and split where the prompt's own ids
end, as lm-eval does. The bos token comes first where the tokenizer puts it before every text, and
only once; what has no prompt is scored after the token that separates documents. The result does
not depend on the order of requests or on the batch size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

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
    """A worked example."""

    prompt: str
    answer: str
    """As it follows the prompt, with the space or line break between them."""


@dataclass(frozen=True)
class Prompt:
    """What a model is asked."""

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
    """Return the response to each request, in order.

    Raises ModelError for a classifier, without a tokenizer, or when a request is too long.
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
    """Return the tokens of the context that a request needs."""
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
    """Return the ids of a prompt; in the chat template with the assistant's turn opened."""
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
    """Return what is put before every text: "none", or the id of the bos token."""
    return "".join(map(str, _bos(tokenizer))) or "none"


def _bos(tokenizer: Tokenizer) -> list[int]:
    special = tokenizer.special
    if not special.adds_bos or special.bos_id is None:
        return []
    return [special.bos_id]


def _first(tokenizer: Tokenizer) -> list[int]:
    return _bos(tokenizer) or [tokenizer.special.document_end_id]
