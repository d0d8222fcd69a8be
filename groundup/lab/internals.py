"""Everything that the lab knows to look at, on one model and one text: the data of the page, as plain values.

    inside = look_inside(opened, "The capital of France is")
    {"model", "text", "views": {"tokens": {...}, "attention": {...}, ...}, "left_out": {"sentences": "This needs a text of ..."}}

A `View` names one picture: what it computes and, in `gallery.py`, how it is drawn. To add one: a function of the lab, a line in VIEWS and
one in the gallery. A view that does not suit the model or the text (a classifier predicts no next token, one sentence has none before
it) is left out with its reason, and the others are there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.errors import DataError, ModelError, did_you_mean
from groundup.lab.ablation import ablation
from groundup.lab.attention import MAX_PICTURE_TOKENS, attention_from, attention_picture
from groundup.lab.attention_distance import head_distances
from groundup.lab.attribution import class_attribution, next_token_attribution
from groundup.lab.context import loss_by_context, sentence_losses
from groundup.lab.embeddings import common_tokens, embedding_map
from groundup.lab.film import attention_film, embeddings_film
from groundup.lab.head_patterns import search_heads
from groundup.lab.lens import logit_lens
from groundup.lab.neighbours import neighbours
from groundup.lab.positions import model_positions
from groundup.lab.qkv import head_steps
from groundup.lab.request import ids_of
from groundup.lab.surprise import surprise
from groundup.lab.tokens import beginning, token_picture, token_text
from groundup.lab.vectors import word_ids
from groundup.lab.word_categories import kind_score
from groundup.model.heads import Classifier, LanguageModel
from groundup.progress import Progress, Silent
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import BUILD_FILE, OpenModel

# Tokens of the text that views with a row or column for each of them look at; what is longer would be unreadable.
SHOWN_TOKENS = 32
STEP_TOKENS = 8
MAP_TOKENS = 60


@dataclass(frozen=True)
class Subject:
    """What is looked at."""

    model: LanguageModel | Classifier
    tokenizer: Tokenizer
    labels: tuple[str, ...]
    opened: OpenModel
    """The same, and where it lies."""
    text: str
    """The whole text: read once, at most the model's context."""
    shown: str
    """Its beginning, of `SHOWN_TOKENS` tokens at most."""
    progress: Progress


@dataclass(frozen=True)
class View:
    """One picture of the lab."""

    look: Callable[[Subject, Mapping[str, Any]], dict[str, Any]]
    """The subject and the views before it -> plain values."""
    what: str
    """Four or five words for the table of contents."""


def look_inside(
    opened: OpenModel, text: str, *, name: str = "", only: Sequence[str] = (), progress: Progress | None = None
) -> dict[str, Any]:
    """Look at a model reading `text` through every view, or through those named in `only`. `name` is its heading ("": its folder's, and its build's).

    Raises ModelError (no tokenizer, a text beyond the context), DataError (no text, an unknown view, no view that suits).
    """
    for view in only:
        if view not in VIEWS:
            raise DataError(f"The lab has no view {view!r}.", fix=did_you_mean(view, VIEWS))
    subject = _subject(opened, text, progress or Silent())
    views: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    wanted = [view for view in VIEWS if view in only or not only]
    with subject.progress.track("lab", len(wanted), "views") as advance:
        for view in wanted:
            try:
                views[view] = VIEWS[view].look(subject, views)
            except (DataError, ModelError) as reason:
                left_out[view] = reason.message
            advance(1, view)
    if not views:
        raise DataError(f"No view could be made: {'; '.join(left_out.values())}")
    return {
        "model": {"name": name or _name(opened.path), **_described(opened)},
        "text": text,
        "views": views,
        "left_out": left_out,
    }


def _subject(opened: OpenModel, text: str, progress: Progress) -> Subject:
    tokenizer = opened.require_tokenizer()
    ids_of(opened.model, tokenizer, text)  # refuses what no view could read
    shown = beginning(tokenizer, text, min(SHOWN_TOKENS, opened.config.context_tokens - 1))
    return Subject(opened.model, tokenizer, opened.labels, opened, text, shown, progress)


def _name(path: Path) -> str:
    """A folder's name; of a build's model with the build's, since a build has several."""
    return f"{path.parent.name}/{path.name}" if _in_build(path) else path.name


def _in_build(path: Path) -> bool:
    return (path.parent / BUILD_FILE).exists()


def _described(opened: OpenModel) -> dict[str, Any]:
    config = opened.config
    build = opened.path.parent.name if _in_build(opened.path) else ""
    return {
        "build": build,
        "stage": opened.path.name if build else "",
        "kind": opened.kind,
        "blocks": config.num_layers,
        "heads": config.num_heads,
        "width": config.width,
        "vocabulary": config.vocab_size,
        "context_tokens": config.context_tokens,
    }


def _embeddings(subject: Subject, _: Mapping[str, Any]) -> dict[str, Any]:
    """The words of the text, and where it has few the first of the vocabulary too."""
    ids = common_tokens(subject.tokenizer, [subject.text], MAP_TOKENS)
    texts = {id: token_text(subject.tokenizer, id) for id in range(subject.tokenizer.vocab_size)}
    words = [id for id, text in texts.items() if id not in ids and len(text) > 3 and text.strip().isalpha()]
    words.sort(key=lambda id: not texts[id].startswith(" "))  # whole words before parts of words
    return embedding_map(subject.model, subject.tokenizer, [*ids, *words][:MAP_TOKENS])


def _neighbours(subject: Subject, _: Mapping[str, Any]) -> dict[str, Any]:
    """Of the longest word of the text that is one token, else of the longest."""
    words = [word.strip(".,;:!?\"'()[]") for word in subject.text.split()]
    whole = [word for word in words if len(word_ids(subject.tokenizer, word)) == 1]
    return neighbours(subject.model, subject.tokenizer, max(whole or words, key=len, default=""))


def _attention(subject: Subject, _: Mapping[str, Any]) -> dict[str, Any]:
    return attention_picture(subject.model, subject.tokenizer, subject.shown)


def _last_token(subject: Subject, views: Mapping[str, Any]) -> dict[str, Any]:
    picture = views.get("attention") or _attention(subject, views)
    return attention_from(picture, len(picture["pieces"]))


def _steps(subject: Subject, views: Mapping[str, Any]) -> dict[str, Any]:
    """Of the head with the clearest habit but that of looking at the first token."""
    found = views.get("heads") or search_heads(subject.model, subject.tokenizer)
    best = max((kind["best"][0] for kind in found["kinds"] if kind["kind"] != "first"), key=lambda head: head["score"])
    few = beginning(subject.tokenizer, subject.text, STEP_TOKENS)
    return head_steps(subject.model, subject.tokenizer, few, block=best["block"], head=best["head"])


def _attribution(subject: Subject, _: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(subject.model, Classifier):
        return class_attribution(subject.model, subject.tokenizer, subject.shown, labels=subject.labels)
    return next_token_attribution(subject.model, subject.tokenizer, subject.shown)


VIEWS: dict[str, View] = {
    "tokens": View(lambda s, _: token_picture(s.tokenizer, s.shown), "the text as tokens"),
    "embeddings": View(_embeddings, "a map of the embedding table"),
    "neighbours": View(_neighbours, "the nearest words of a word"),
    "kinds": View(lambda s, _: kind_score(s.model, s.tokenizer), "days near days, months near months"),
    "positions": View(lambda s, _: model_positions(s.model), "how places are told apart"),
    "heads": View(lambda s, _: search_heads(s.model, s.tokenizer), "heads that do something nameable"),
    "attention": View(_attention, "where every head looks"),
    "last_token": View(_last_token, "where the last token looks, block by block"),
    "reach": View(lambda s, _: head_distances(s.model, s.tokenizer, s.shown), "how far back each head looks"),
    "steps": View(_steps, "one head, step by step"),
    "lens": View(lambda s, _: logit_lens(s.model, s.tokenizer, s.shown), "the guess after every block"),
    "surprise": View(lambda s, _: surprise(s.model, s.tokenizer, s.text), "what the model did not expect"),
    "context": View(
        lambda s, _: loss_by_context(s.model, s.tokenizer, s.text), "what context is worth, token by token"
    ),
    "sentences": View(lambda s, _: sentence_losses(s.model, s.tokenizer, s.text), "what earlier sentences are worth"),
    "ablation": View(
        lambda s, _: ablation(s.model, s.tokenizer, s.shown, progress=s.progress), "what each head and block is worth"
    ),
    "attribution": View(_attribution, "which tokens made the decision"),
    "attention_forming": View(
        lambda s, _: attention_film(s.opened, s.text, progress=s.progress), "attention forming in training"
    ),
    "embeddings_forming": View(
        lambda s, _: embeddings_film(s.opened, progress=s.progress), "embeddings forming in training"
    ),
}

assert MAX_PICTURE_TOKENS > SHOWN_TOKENS > STEP_TOKENS
