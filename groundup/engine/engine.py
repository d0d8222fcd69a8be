"""Engine: an opened model that continues texts, answers conversations, classifies and embeds.

    engine = Engine(open_model("smollm2-135m-instruct", compute), compute)
    for event in engine.chat(Conversation((Message("user", "Hello"),)), Sampling(temperature=0)):
        print(event.text, end="")

A text is encoded by `Tokenizer.encode` (never to control tokens), a conversation by `render`.
Errors that can be known before are raised by the call itself, not with the first event.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.engine.events import ChatEvent
from groundup.engine.request import Constraint
from groundup.engine.sampling import Sampling
from groundup.engine.stream import TextStream, answer_events
from groundup.errors import ModelError
from groundup.model.config import ModelConfig
from groundup.progress import Advance, Progress, Silent, nothing
from groundup.tokenizer.chat import Conversation, Rendered, render
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.hf_families import KIND_NAMES, ModelKind

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.device import Compute
    from groundup.model.heads import Classifier, Encoder, LanguageModel
    from groundup.weights.model_format import OpenModel

# Texts that are classified before the first of them is given.
TEXTS_AT_ONCE = 512
# Conversations are truncated to leave this share of the context to the answer, or `max_tokens`
# where that is less.
ANSWER_SHARE = 1 / 4
USES: dict[ModelKind, str] = {
    "classifier": "Use it with: groundup classify MODEL TEXT",
    "encoder": "It makes vectors of texts: groundup.open_model(MODEL).embed(TEXTS) in Python, "
    "/v1/embeddings of groundup serve MODEL.",
}


class Engine:
    """Without state between calls: the same call gives the same answer."""

    def __init__(self, opened: "OpenModel", compute: "Compute", *, draft_tokens: int = 0) -> None:
        """`draft_tokens`: of `generate_ids`."""
        self._opened, self._compute, self.draft_tokens = opened, compute, draft_tokens

    @property
    def opened(self) -> "OpenModel":
        return self._opened

    @property
    def compute(self) -> "Compute":
        return self._compute

    @property
    def config(self) -> ModelConfig:
        return self.opened.config

    @property
    def path(self) -> Path:
        return self.opened.path

    @property
    def chats(self) -> bool:
        """Whether it was tuned to answer; a base model only continues texts."""
        from groundup.weights.formats import reader_of

        return reader_of(self.path).texts(self.path).chats

    @property
    def decodes_with(self) -> str:
        """What computes the next token: "compiled step", or "torch"."""
        from groundup.kernels.probe import decodes_with

        return decodes_with(self.language_model())

    def require_text(self) -> None:
        """Raise ModelError for a model that writes none."""
        self.language_model()

    @property
    def tokenizer(self) -> Tokenizer:
        """Raises ModelError when there is none."""
        return self.opened.require_tokenizer()

    def complete(
        self, prompt: str | Sequence[int], sampling: Sampling, constraint: Constraint | None = None
    ) -> Iterator[ChatEvent]:
        """A text, or ids that are used as they are. Raises ModelError."""
        ids = self.prompt_ids(prompt) if isinstance(prompt, str) else list(prompt)
        return self._events(ids, sampling, dropped=0, constraint=constraint)

    def prompt_ids(self, text: str) -> list[int]:
        """The empty text begins a new document."""
        ids = self.tokenizer.with_bos(self.tokenizer.encode(text))
        return ids or [self.tokenizer.special.document_end_id]

    def chat(self, conversation: Conversation, sampling: Sampling) -> Iterator[ChatEvent]:
        """A conversation longer than the context loses its oldest messages, never a system message;
        events count them in `dropped_messages`. Raises ModelError when not even the last message
        fits.
        """
        context_tokens = self.config.context_tokens
        answer_tokens = min(sampling.max_tokens, int(context_tokens * ANSWER_SHARE))
        rendered, dropped = fit_conversation(
            conversation, self.tokenizer, context_tokens, answer_tokens
        )
        return self._events(rendered.ids, sampling, dropped=dropped)

    def _events(
        self,
        prompt_ids: list[int],
        sampling: Sampling,
        *,
        dropped: int,
        constraint: Constraint | None = None,
    ) -> Iterator[ChatEvent]:
        stop_ids = self.tokenizer.special.stop_ids
        ids = self._ids(prompt_ids, sampling, constraint)
        start = ChatEvent("", None, len(prompt_ids), 0, dropped)
        stream = TextStream(self.tokenizer, sampling.stop, ends=sampling.ends)
        return answer_events(ids, stream, stop_ids, start)

    def _ids(
        self, prompt_ids: list[int], sampling: Sampling, constraint: Constraint | None
    ) -> Iterator[int]:
        """Of the answer, a stop id included. Raises ModelError when there is no room for one."""
        from groundup.engine.generate import generate_ids

        return generate_ids(
            self.language_model(),
            prompt_ids,
            sampling,
            self.tokenizer.special.stop_ids,
            compute=self.compute,
            constraint=constraint,
            draft_tokens=self.draft_tokens,
        )

    def language_model(self) -> "LanguageModel":
        """Raises ModelError for a classifier or an encoder."""
        from groundup.model.heads import LanguageModel

        if not isinstance(self.opened.model, LanguageModel):
            what = f"{self.opened.path} is {KIND_NAMES[self.opened.kind]} and generates no text."
            raise ModelError(what, fix=USES[self.opened.kind])
        return self.opened.model

    def classify(
        self, texts: Sequence[str], *, progress: Progress | None = None
    ) -> list[dict[str, float]]:
        """The probability of each label for each text, most probable first. Raises ModelError."""
        return list(self.classified(texts, progress=progress))

    def classified(
        self, texts: Sequence[str], *, progress: Progress | None = None
    ) -> Iterator[dict[str, float]]:
        """As `classify`, TEXTS_AT_ONCE texts at a time; `progress` follows the tokens of all of
        them.
        """
        self._classifier()
        tokens = 0 if progress is None else self._count_tokens(texts, progress)
        with (progress or Silent()).track("classifying", tokens, "tokens") as advance:
            for start in range(0, len(texts), TEXTS_AT_ONCE):
                some = texts[start : start + TEXTS_AT_ONCE]
                scores = self.class_scores(some, advance=advance)
                if self.opened.decision.multi_label:
                    probabilities = scores.sigmoid()
                else:
                    probabilities = scores.softmax(dim=-1)
                for row in probabilities.tolist():
                    pairs = zip(self.opened.labels, row, strict=True)
                    yield dict(sorted(pairs, key=lambda pair: -pair[1]))

    def _count_tokens(self, texts: Sequence[str], progress: Progress) -> int:
        """Those that a classifier reads. The ids are not kept: many texts would fill the memory."""
        tokens = 0
        with progress.track("tokenising", len(texts), "texts") as advance:
            for text in texts:
                tokens += sum(map(len, self.windows(text)))
                advance()
        return tokens

    def class_scores(self, texts: Sequence[str], *, advance: Advance = nothing) -> "Tensor":
        """[texts, N], divided by the temperature: their softmax (of several labels a text: sigmoid)
        is the probabilities. `advance` is told how many tokens were read. Raises ModelError.
        """
        from groundup.engine.padded_batch import class_scores, stacked_scores

        model, windows = self._classifier(), [self.windows(text) for text in texts]
        if self.opened.stacked is None:
            scores = class_scores(model, windows, compute=self.compute, advance=advance)
        else:
            vectors = None if self.encoder is None else self.encoder.embed(texts)
            scores = stacked_scores(
                model,
                self.opened.stacked,
                texts,
                windows,
                vectors=vectors,
                compute=self.compute,
                advance=advance,
            )
        return scores / self.opened.decision.temperature

    def _classifier(self) -> "Classifier":
        """Raises ModelError for a model of another kind."""
        from groundup.model.heads import Classifier

        if not isinstance(self.opened.model, Classifier):
            raise ModelError(
                f"{self.opened.path} is {KIND_NAMES[self.opened.kind]} and has no classes.",
                fix="Train one with: groundup finetune classifier",
            )
        return self.opened.model

    @cached_property
    def encoder(self) -> "Engine | None":
        """Of a stacked classifier, opened at its first text. Raises FormatError, ModelError."""
        if self.opened.stacked is None or self.opened.stacked.encoder is None:
            return None
        from groundup.weights.model_io import open_model

        return Engine(open_model(self.opened.stacked.encoder, self.compute), self.compute)

    def windows(self, text: str) -> list[list[int]]:
        """What a classifier reads of a text: as many windows of its context as it was trained
        with.
        """
        from groundup.engine.padded_batch import classifier_windows

        return classifier_windows(
            self.tokenizer, text, self.opened.config.context_tokens, self.opened.decision.windows
        )

    def embed(
        self, texts: Sequence[str], *, before: str = "", progress: Progress | None = None
    ) -> "Tensor":
        """Vectors [texts, C] of length 1, on the CPU; `before`: what stands before each
        (`OpenModel.prompts`); `progress` says how many texts were cut. Raises ModelError.
        """
        from groundup.engine.padded_batch import embed

        model, context = self.embedding_model(), self.opened.config.context_tokens
        if before:
            texts = [before + text for text in texts]
        rows = [self.embedding_ids(text) for text in texts]
        cut = cut_line([len(row) for row in rows], context)
        if cut:
            (progress or Silent()).say(cut)
        return embed(model, [self.cut(row, context) for row in rows], compute=self.compute)

    def embedding_model(self) -> "LanguageModel | Encoder":
        """Raises ModelError for a classifier."""
        from groundup.model.heads import Classifier

        if isinstance(self.opened.model, Classifier):
            raise ModelError(
                f"{self.opened.path} is a classifier and embeds no text.", fix=USES["classifier"]
            )
        return self.opened.model

    def embedding_ids(self, text: str | Sequence[int]) -> list[int]:
        """All ids of a text or of its ids, of an encoder with the tokens that mark its start and
        end.
        """
        if isinstance(text, str):
            ids = self.prompt_ids(text)
        else:
            ids = self.tokenizer.with_bos(list(text))
        return [*ids, *self.tokenizer.end_ids]

    def cut(self, ids: list[int], max_tokens: int) -> list[int]:
        """The first ids; the token that marks the end of a text stays last."""
        if len(ids) <= max_tokens:
            return ids
        end = self.tokenizer.end_ids
        return [*ids[: max_tokens - len(end)], *end]


def cut_line(lengths: Sequence[int], context_tokens: int) -> str:
    """Return how many texts are cut, by their lengths in tokens; "": none.

    >>> cut_line([40, 600], 512)
    '1 of 2 texts is longer than 512 tokens and was cut: the rest of it is not in its vector.'
    """
    long, all_of_them = sum(each > context_tokens for each in lengths), len(lengths)
    if not long:
        return ""
    verbs, owner = ("is", "was"), "it is not in its vector"
    if long > 1:
        verbs, owner = ("are", "were"), "them is not in their vectors"
    texts = "1 text" if all_of_them == 1 else f"{all_of_them:,} texts"
    return (
        f"{long:,} of {texts} {verbs[0]} longer than {context_tokens:,} tokens and {verbs[1]} cut: "
        f"the rest of {owner}."
    )


def fit_conversation(
    conversation: Conversation, tokenizer: Tokenizer, context_tokens: int, answer_tokens: int
) -> tuple[Rendered, int]:
    """Rendered with room for `answer_tokens`, and how many messages were dropped. System messages
    and the last user message are always kept; the rest begins with a user message, as templates
    require.
    """
    messages = conversation.messages
    starts = [0, *(i for i, message in enumerate(messages) if i > 0 and message.role == "user")]

    def shorten(start: int) -> Conversation:
        kept = (m for i, m in enumerate(messages) if i >= start or m.role == "system")
        return replace(conversation, messages=tuple(kept))

    def fits(start: int) -> bool:
        rendered = render(shorten(start), tokenizer, add_generation_prompt=True)
        return len(rendered.ids) + answer_tokens <= context_tokens

    # Fewer messages have fewer tokens: bisect for the longest variant that fits; the shortest is
    # taken in any case.
    short = shorten(starts[bisect_left(starts[:-1], True, key=fits)])
    return render(short, tokenizer, add_generation_prompt=True), len(messages) - len(short.messages)
