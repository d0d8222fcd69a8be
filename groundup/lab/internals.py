"""All views of the lab on one model and one text, as plain values: the data of the page.

    inside = look_inside(opened, "The capital of France is")
    inside["views"]["attention"], inside["left_out"]["sentences"]

What each view computes stands in `views.py`. A view that does not suit the model or the text (a
classifier predicts no next token, a single sentence has none before it) is left out with its
reason.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from groundup.errors import DataError, ModelError, did_you_mean
from groundup.lab.request import ids_of
from groundup.lab.tokens import beginning
from groundup.lab.values import ModelFacts, ModelViews
from groundup.lab.views import VIEWS, Subject
from groundup.progress import Progress, Silent
from groundup.runs import BUILD_FILE
from groundup.weights.model_format import OpenModel

# Tokens of the text in views with a row or a column for each token; more could not be read (at most
# `attention.MAX_PICTURE_TOKENS`).
SHOWN_TOKENS = 32


def look_inside(
    opened: OpenModel,
    text: str,
    *,
    name: str = "",
    only: Sequence[str] = (),
    progress: Progress | None = None,
) -> ModelViews:
    """Look at a model reading `text` through every view, or through those named in `only`. `name`
    is its heading ("": that of its folder).

    Raises ModelError (no tokenizer, a text beyond the context), DataError (no text, an unknown
    view, no view that suits).
    """
    for view in only:
        if view not in VIEWS:
            raise DataError(f"The lab has no view {view!r}.", fix=did_you_mean(view, VIEWS))
    progress = progress or Silent()
    ids_of(opened.model, opened.require_tokenizer(), text)  # refuses a text that no view could read
    views: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    wanted = [view for view in VIEWS if view in only or not only]
    with progress.track("lab", len(wanted), "views") as advance:
        for view in wanted:
            try:
                views[view] = look_through(view, opened, text, views=views, progress=progress)
            except (DataError, ModelError) as reason:
                left_out[view] = reason.message
            advance(1, view)
    if not views:
        raise DataError(f"No view could be made: {'; '.join(left_out.values())}")
    facts = _describe(opened, name)
    return {"model": facts, "text": text, "views": views, "left_out": left_out}


def look_through(
    view: str,
    opened: OpenModel,
    text: str,
    *,
    progress: Progress,
    views: Mapping[str, Any] | None = None,
) -> Any:
    """The values of one view; `views` are those computed before it.

    Raises DataError, ModelError where it does not suit.
    """
    tokenizer = opened.require_tokenizer()
    shown = beginning(tokenizer, text, min(SHOWN_TOKENS, opened.config.context_tokens - 1))
    return VIEWS[view].look(
        Subject(opened, opened.model, tokenizer, text, shown, views or {}, progress)
    )


def _describe(opened: OpenModel, name: str) -> ModelFacts:
    """The facts of a model; without a name it has that of its folder, after that of its build,
    since a build has several models.
    """
    config, folder = opened.config, opened.path
    build = stage = ""
    own_name = folder.name
    if (folder.parent / BUILD_FILE).exists():
        build, stage = folder.parent.name, folder.name
        own_name = f"{build}/{stage}"
    return {
        "name": name or own_name,
        "build": build,
        "stage": stage,
        "kind": opened.kind,
        "blocks": config.num_layers,
        "heads": config.num_heads,
        "width": config.width,
        "vocabulary": config.vocab_size,
        "context_tokens": config.context_tokens,
    }
