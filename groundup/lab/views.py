"""The registry of the lab's views, and all of them on one model and one text, as plain values. To
add one: a function that computes plain values, a function that draws them, and one `View` in VIEWS.

    inside = look_inside(opened, "The capital of France is")
    inside["views"]["attention"], inside["left_out"]["sentences"]

A view that does not suit the model or the text (a classifier predicts no next token, a single
sentence has none before it) is left out with its reason. `page.py` draws the views and puts them on
a page, `cli.lab` offers them by name. Functions are named by their place in `groundup.lab`, as
"module:function", and imported when they are called: listing the views (`groundup lab --help`)
needs neither torch nor matplotlib
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from groundup.errors import DataError, ModelError, did_you_mean
from groundup.lab.values import ModelFacts, ModelViews
from groundup.progress import Silent
from groundup.runs import BUILD_FILE

if TYPE_CHECKING:
    from groundup.progress import Progress
    from groundup.tokenizer.fast import Tokenizer
    from groundup.weights.assemble import Model
    from groundup.weights.model_io import OpenModel


@dataclass(frozen=True)
class Contrast:
    """A second text, with which the first is compared."""

    corrupted: str | None = None
    """Mostly the text with one word changed, so that another answer is right; None: there is none."""
    answer: str | None = None
    wrong: str | None = None
    """The next tokens that are compared; None: those that tell the two texts apart most."""

    def require(self) -> str:
        if self.corrupted is None:
            raise DataError("It compares two texts, and there is no second one (--corrupted).")
        return self.corrupted


@dataclass(frozen=True)
class Subject:
    """The model and the text that a view shows."""

    opened: "OpenModel"
    model: "Model"
    tokenizer: "Tokenizer"
    text: str
    """The whole text: read in one pass, at most the model's context."""
    shown: str
    """Its first tokens, for views with a row or a column for each token."""
    views: Mapping[str, Any]
    """What the views before this one computed, by name."""
    progress: "Progress"
    contrast: "Contrast"


@dataclass(frozen=True)
class View:
    """One view of the lab. Functions are "module:function" in `groundup.lab`."""

    name: str
    """Its key in the JSON, its value of `--only`, its anchor on the page."""
    heading: str
    see: str
    """What to look for, below the heading."""
    look: Callable[[Subject], Any]
    """Return the view as plain values; DataError and ModelError say why it does not suit the
    subject.
    """
    draw: str
    """Values -> a matplotlib figure."""
    chart: str = ""
    """Values -> a Plotly chart for the page (`charts.py`)."""
    parts: str = ""
    """Values -> several figures, for the page, where one would be too wide."""
    table: str = ""
    """Values -> a node for the page, below the pictures; None: there is nothing to show."""
    reel: str = ""
    """Values -> an animation (`drawing/animation.py`); such a view is named NAME_forming and is
    what `--film --of NAME` shows.
    """
    remark: str = ""
    """Values -> a sentence where the model is too small or too little trained to show anything,
    else "".
    """
    concept: str = "inside"
    """The page of docs/concepts that explains it."""


def function(path: str) -> Callable[..., Any]:
    """The function at "module:function" in `groundup.lab`, importing its module."""
    found: Callable[..., Any] = resolve_name(f"groundup.lab.{path}")
    return found


_ALL = (
    View(
        "tokens",
        "The text as tokens",
        "Pieces of words, each with an id: the model never sees letters.",
        look=lambda s: function("tokens:token_picture")(s.tokenizer, s.shown),
        draw="drawing.embeddings:draw_tokens",
        concept="embeddings",
    ),
    View(
        "embeddings",
        "A map of the embedding table",
        "Each token is a row of numbers; the axes are the two directions along which these rows "
        "differ most. Which tokens are close together?",
        look=lambda s: function("embeddings:text_map")(s.model, s.tokenizer, s.text),
        draw="drawing.embeddings:draw_embeddings",
        chart="charts:embeddings_chart",
        concept="embeddings",
    ),
    View(
        "neighbours",
        "The nearest words",
        "The words whose rows of the embedding table are most similar to that of one word of the "
        "text.",
        look=lambda s: function("neighbours:longest_word_neighbours")(s.model, s.tokenizer, s.text),
        draw="drawing.embeddings:draw_neighbours",
        concept="embeddings",
    ),
    View(
        "kinds",
        "Are neighbours of the same category?",
        "Days near days, countries near countries: the share of neighbours that belong to a "
        "word's own category, and the share expected by chance.",
        look=lambda s: function("neighbours:kind_score")(s.model, s.tokenizer),
        draw="drawing.embeddings:draw_kinds",
        remark="neighbours:few_categories",
        concept="embeddings",
    ),
    View(
        "positions",
        "How positions are encoded",
        "What happens to an attention score as the distance between two tokens grows.",
        look=lambda s: function("positions:model_positions")(s.model),
        draw="drawing.embeddings:draw_positions",
        concept="positions",
    ),
    View(
        "heads",
        "Heads with a known pattern",
        "Every head is tried on random tokens, repeated once: does it attend to the previous "
        "token, the first token, earlier copies of the same token, or (induction) the token that "
        "followed an earlier copy? Choose a pattern; dark squares have it.",
        look=lambda s: function("head_patterns:search_heads")(s.model, s.tokenizer),
        draw="drawing.by_head:draw_head_search",
        chart="charts:heads_chart",
        remark="head_patterns:no_clear_head",
        concept="heads",
    ),
    View(
        "attention",
        "The attention of every head",
        "Row: the token that attends (query); column: the token attended to (key). Choose a block "
        "and a head, and point at a square.",
        look=lambda s: function("attention:attention_picture")(s.model, s.tokenizer, s.shown),
        draw="drawing.attention:draw_maps",
        chart="charts:attention_chart",
        concept="attention",
    ),
    View(
        "last_token",
        "The attention of the last token, block by block",
        "Which tokens the prediction of the next one is made from, and in which block.",
        look=lambda s: function("attention:last_token_attention")(
            s.model, s.tokenizer, s.shown, s.views
        ),
        draw="drawing.attention:draw_attention_from",
        concept="attention",
    ),
    View(
        "reach",
        "How far back heads attend",
        "Some heads attend to neighbours only, some to the whole text, many mostly to the first "
        "token.",
        look=lambda s: function("attention:head_distances")(s.model, s.tokenizer, s.shown),
        draw="drawing.by_head:draw_head_distances",
        concept="heads",
    ),
    View(
        "steps",
        "One head, step by step",
        "Queries and keys give scores; these are scaled, masked and normalised by softmax to "
        "weights of the values. All numbers are the model's own.",
        look=lambda s: function("head_patterns:clearest_head_steps")(
            s.model, s.tokenizer, s.text, s.views
        ),
        draw="drawing.attention:draw_head_steps",
        parts="drawing.attention:draw_step_parts",
        concept="attention",
    ),
    View(
        "lens",
        "The prediction after every block",
        "The next token that the model would predict if it stopped after each block. Read "
        "upwards: the predictions approach the final one.",
        look=lambda s: function("predictions:logit_lens")(s.model, s.tokenizer, s.shown),
        draw="drawing.predictions:draw_lens",
        chart="charts:lens_chart",
    ),
    View(
        "surprise",
        "What the model did not expect",
        "High bars are tokens with a low probability. Point at one to read what was expected "
        "instead.",
        look=lambda s: function("predictions:surprise")(s.model, s.tokenizer, s.text),
        draw="drawing.predictions:draw_surprise",
        chart="charts:surprise_chart",
    ),
    View(
        "context",
        "The loss by the length of the context",
        "The later in the text, the better the next token is predicted, if the model uses what it "
        "has read.",
        look=lambda s: function("context:loss_by_context")(s.model, s.tokenizer, s.text),
        draw="drawing.loss:draw_loss_by_context",
    ),
    View(
        "sentences",
        "The loss with and without earlier sentences",
        "The same sentence alone, and after those before it.",
        look=lambda s: function("context:sentence_losses")(s.model, s.tokenizer, s.text),
        draw="drawing.loss:draw_sentence_losses",
    ),
    View(
        "ablation",
        "Ablation of each head and each block",
        "One of them is removed: how much does the loss on the text rise? Dark squares are needed "
        "for this text.",
        look=lambda s: function("ablation:ablation")(
            s.model, s.tokenizer, s.shown, progress=s.progress
        ),
        draw="drawing.by_head:draw_ablation",
        chart="charts:ablation_chart",
    ),
    View(
        "tracing",
        "Which place carries the answer",
        "Two texts that differ in a word have another answer. One activation of the first text is "
        "put into the run of the second: where does that bring the first text's answer back?",
        look=lambda s: function("patching:causal_trace")(
            s.model,
            s.tokenizer,
            s.text,
            s.contrast.require(),
            answer=s.contrast.answer,
            wrong=s.contrast.wrong,
            progress=s.progress,
        ),
        draw="drawing.tracing:draw_trace",
        chart="charts:trace_chart",
    ),
    View(
        "attribution",
        "Which tokens made the decision",
        "Bars to the right: tokens that raise the score of the decision. To the left: tokens that "
        "lower it.",
        look=lambda s: function("attribution:decision_attribution")(
            s.model,
            s.tokenizer,
            s.shown,
            s.opened.labels,
            multi_label=s.opened.decision.multi_label,
        ),
        draw="drawing.predictions:draw_attribution",
    ),
    View(
        "contributions",
        "Which heads and neurons made the prediction",
        "What each part writes into the logit itself, and beside it what is lost without the part: "
        "where the two differ, other parts use or replace it.",
        look=lambda s: function("circuits.contributions:contributions_with_texts")(
            s.opened, s.shown, progress=s.progress
        ),
        draw="drawing.contributions:draw_contributions",
        table="circuits.tables:neurons_table",
        concept="circuits",
    ),
    View(
        "attention_forming",
        "Attention forming in training",
        "The same heads after more and more steps of training: at first they attend to all tokens "
        "alike. Which pattern comes first?",
        look=lambda s: function("training_animation:attention_film")(
            s.opened, s.text, progress=s.progress
        ),
        draw="drawing.animation:attention_strip",
        reel="drawing.animation:attention_reel",
        concept="attention",
    ),
    View(
        "embeddings_forming",
        "Embeddings forming in training",
        "The same tokens on the same axes. The model never sees letters, and yet tokens that are "
        "spelled alike come to be close together.",
        look=lambda s: function("training_animation:embeddings_film")(
            s.opened, progress=s.progress
        ),
        draw="drawing.animation:embeddings_strip",
        reel="drawing.animation:embeddings_reel",
        concept="embeddings",
    ),
)
# In the order of the page.
VIEWS: dict[str, View] = {view.name: view for view in _ALL}

# The view of two texts.
COMPARES = "tracing"
# Tokens of the text in views with a row or a column for each token; more could not be read (at most
# `attention.MAX_PICTURE_TOKENS`).
SHOWN_TOKENS = 32


def look_inside(
    opened: "OpenModel",
    text: str,
    *,
    name: str = "",
    only: Sequence[str] = (),
    contrast: Contrast = Contrast(),
    progress: "Progress | None" = None,
) -> ModelViews:
    """Look at a model reading `text` through every view, or through those named in `only`. `name`
    is its heading ("": that of its folder), `contrast` the second text of views of two.

    Raises ModelError (no tokenizer, a text beyond the context), DataError (no text, an unknown
    view, no view that suits).
    """
    for view in only:
        if view not in VIEWS:
            raise DataError(f"The lab has no view {view!r}.", fix=did_you_mean(view, VIEWS))
    progress = progress or Silent()
    # refuses a text that no view could read
    function("stream:ids_of")(opened.model, opened.require_tokenizer(), text)
    views: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    wanted = [view for view in VIEWS if view in only or not only]
    if contrast.corrupted is not None:  # a second text that it refuses, it refuses at once
        wanted.sort(key=lambda view: view != COMPARES)
    with progress.track("lab", len(wanted), "views") as advance:
        for view in wanted:
            try:
                views[view] = look_through(
                    view, opened, text, views=views, contrast=contrast, progress=progress
                )
            except (DataError, ModelError) as reason:
                if view == COMPARES and contrast.corrupted is not None:
                    raise  # it was asked for
                left_out[view] = reason.message
            advance(1, view)
    if not views:
        raise DataError(f"No view could be made: {'; '.join(left_out.values())}")
    facts = _describe(opened, name)
    in_order = {view: views[view] for view in VIEWS if view in views}
    return {"model": facts, "text": text, "views": in_order, "left_out": left_out}


def look_through(
    view: str,
    opened: "OpenModel",
    text: str,
    *,
    progress: "Progress",
    views: Mapping[str, Any] | None = None,
    contrast: Contrast = Contrast(),
) -> Any:
    """The values of one view; `views` are those computed before it.

    Raises DataError, ModelError where it does not suit.
    """
    tokenizer = opened.require_tokenizer()
    most = min(SHOWN_TOKENS, opened.config.context_tokens - 1)
    shown = function("tokens:beginning")(tokenizer, text, most)
    return VIEWS[view].look(
        Subject(opened, opened.model, tokenizer, text, shown, views or {}, progress, contrast)
    )


def _describe(opened: "OpenModel", name: str) -> ModelFacts:
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
