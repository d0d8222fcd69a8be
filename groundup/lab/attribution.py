"""Gradient times input: which tokens pushed a decision which way (Simonyan et al. 2013, arXiv:1312.6034; Shrikumar et al. 2016).

    class_attribution(classifier, tokenizer, "You have won a prize", labels=("ham", "spam"))
    next_token_attribution(model, tokenizer, "The capital of France is")
    {"text", "decision", "against", "probability", "score", "sum", "agreement",
     "pieces": [{"id", "text", "contribution", "without"}], "caption"}

    contribution of token t = sum over C of x[t, c] * d score / d x[t, c]        x: the vector that enters block 1

It is the answer of a straight line laid along the model at this text: how much the score would fall if token t's vector shrank to zero
and nothing bent on the way. Softmax looks at differences of scores only, so the score explained here is one: the decision's
less that of the strongest other, or of one that is named: why this and not that (Yin & Neubig 2022, arXiv:2202.10419).

Caveat. Where the model bends, the contributions do not add up to the score (they are not "complete", as integrated gradients are:
Sundararajan et al. 2017, arXiv:1703.01365), and in a deep model the line at one point may say little of what happens farther off. So each
token is also left out for real (Li et al. 2016, arXiv:1612.08220): `without` is what the score loses. `sum` beside `score`, and the agreement
of the two orders (rank correlation: 1 the same, 0 unrelated), say how much to make of the contributions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.engine.classify import classifier_ids
from groundup.engine.padding import BATCH_TOKENS
from groundup.errors import DataError, ModelError, did_you_mean
from groundup.lab.request import require_language_model, require_tokenizer
from groundup.lab.stream import document_ids
from groundup.lab.tokens import pieces_of, token_text
from groundup.model.heads import Classifier, LanguageModel
from groundup.progress import Progress, Silent
from groundup.tokenizer.fast import Tokenizer

DECIMALS = 5
# Longer texts are not read again without each of their tokens: the work grows with the square of the length.
MAX_LEFT_OUT = 128
CAPTION = (
    "Contribution: the token's vector as it enters block 1, times the gradient of the score in it, summed over its numbers. "
    "The score is the logit of {decision!r} less that of {against!r}: {score:.2f}; the contributions add up to {total:.2f}, and agree with it only "
    "as far as the model is a straight line."
)
LEFT_OUT = " Left out: the score that is lost when the text is read without the token. Rank correlation of the two: {agreement:.2f}."


def gradient_times_input(
    score_of: Callable[[Float[Tensor, "T C"]], Float[Tensor, ""]], inputs: Float[Tensor, "T C"]
) -> tuple[Float[Tensor, " T"], float]:
    """Each token's contribution to a score, float32 on the CPU, and the score. For a linear score they are its terms.

    >>> gradient_times_input(lambda x: 2 * x[0, 0] - x[1, 1], torch.tensor([[3.0, 1.0], [5.0, 4.0]]))
    (tensor([ 6., -4.]), 2.0)
    """
    with torch.enable_grad():
        variable = inputs.detach().clone().requires_grad_()
        score = score_of(variable)
        (gradient,) = torch.autograd.grad(score, variable)
    return (gradient * variable).detach().float().sum(dim=-1).cpu(), float(score.detach())


def class_attribution(
    model: LanguageModel | Classifier,
    tokenizer: Tokenizer | None,
    text: str,
    *,
    labels: Sequence[str],
    label: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What spoke for and against a label (None: the one that the classifier decides for), read as the engine reads it: cut at the context.

    Raises ModelError (no classifier, no tokenizer), DataError (no text, unknown label).
    """
    if not isinstance(model, Classifier):
        raise ModelError("This model is no classifier: it decides for no label.", fix="Explain its next token instead.")
    if len(labels) != model.score.out_features or len(labels) < 2:
        raise DataError(f"The classifier has {model.score.out_features} scores, got {len(labels)} labels.")
    if label is not None and label not in labels:
        raise DataError(f"The classifier has no label {label!r}.", fix=did_you_mean(label, labels))
    tokenizer = require_tokenizer(tokenizer)
    if not tokenizer.encode(text):
        raise DataError("There is no text to look at.", fix="Give at least one word.")
    ids = classifier_ids(tokenizer, text, model.config.context_tokens)
    chosen = None if label is None else labels.index(label)
    found = _explained(model, lambda inputs: _class_scores(model, inputs), ids, (chosen, None), progress)
    return {"text": text, **_record(tokenizer, ids, found, labels.__getitem__)}


def next_token_attribution(
    model: LanguageModel | Classifier,
    tokenizer: Tokenizer | None,
    text: str,
    *,
    token: str | None = None,
    against: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What made the model go on with `token` (None: the most probable one) rather than with `against` (None: the most probable other).

    Both are pieces of the vocabulary as they would stand in the text, mostly with a space in front: " Paris".
    Raises ModelError, DataError (no text, a piece of several tokens, twice the same).
    """
    model, tokenizer = require_language_model(model), require_tokenizer(tokenizer)
    ids = document_ids(model, tokenizer, text)
    chosen = None if token is None else single_id(tokenizer, token)
    other = None if against is None else single_id(tokenizer, against)
    if chosen is not None and chosen == other:
        raise DataError(f"{token!r} can't be compared with itself.", fix="Give another token as `against`.")
    found = _explained(model, lambda inputs: _next_logits(model, inputs), ids, (chosen, other), progress)
    return {"text": text, **_record(tokenizer, ids, found, lambda id: token_text(tokenizer, id))}


def decision_attribution(
    model: LanguageModel | Classifier, tokenizer: Tokenizer, text: str, labels: Sequence[str]
) -> dict[str, Any]:
    """Explain what the model decides: a classifier's label, or a language model's next token. Raises as the function of that kind."""
    if isinstance(model, Classifier):
        return class_attribution(model, tokenizer, text, labels=labels)
    return next_token_attribution(model, tokenizer, text)


def single_id(tokenizer: Tokenizer, piece: str) -> int:
    """The one token that `piece` is. Raises DataError saying how the vocabulary splits it."""
    ids = tokenizer.encode(piece)
    if len(ids) != 1:
        parts = ", ".join(repr(token_text(tokenizer, id)) for id in ids) or "nothing"
        raise DataError(f"{piece!r} is not one token but {len(ids)}: {parts}.", fix="Give one of them.")
    return ids[0]


@torch.no_grad()
def _inputs(model: LanguageModel | Classifier, rows: Sequence[Sequence[int]]) -> Float[Tensor, "B T C"]:
    return model.transformer.embed(torch.tensor(rows, device=model.transformer.embedding.weight.device))


def _final(model: LanguageModel | Classifier, inputs: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
    """The whole model behind the embedding."""
    final: Tensor = model.transformer.final_norm(model.transformer.run_blocks(inputs, 0, model.config.num_layers))
    return final


def _class_scores(model: Classifier, inputs: Float[Tensor, "B T C"]) -> Float[Tensor, "B N"]:
    return model.scores(_final(model, inputs)).float()


def _next_logits(model: LanguageModel, inputs: Float[Tensor, "B T C"]) -> Float[Tensor, "B V"]:
    return model.logits(_final(model, inputs)[:, -1]).float()


@dataclass(frozen=True)
class Explained:
    """One decision, taken apart."""

    chosen: int
    other: int
    probability: float
    score: float
    contributions: Float[Tensor, " T"]
    without: Float[Tensor, " T"] | None
    """What the score loses without each token; None for long texts."""


def _explained(
    model: LanguageModel | Classifier,
    scores_of: Callable[[Float[Tensor, "B T C"]], Float[Tensor, "B N"]],
    ids: Sequence[int],
    pair: tuple[int | None, int | None],
    progress: Progress | None,
) -> Explained:
    """The first of `pair` against the second; where one is None, the highest score that the other has not."""
    inputs = _inputs(model, [ids])
    with torch.no_grad():
        scores = scores_of(inputs)[0]
    ranked = scores.argsort(descending=True).tolist()
    chosen, other = pair
    decided = next(id for id in ranked if id != other) if chosen is None else chosen
    against = next(id for id in ranked if id != decided) if other is None else other

    def margin(rows: Tensor) -> Tensor:
        found = scores_of(rows)
        return found[:, decided] - found[:, against]

    contributions, score = gradient_times_input(lambda row: margin(row[None])[0], inputs[0])
    probability = float(scores.softmax(dim=-1)[decided])
    without = _left_out(model, margin, ids, score, progress)
    return Explained(decided, against, probability, score, contributions, without)


@torch.no_grad()
def _left_out(
    model: LanguageModel | Classifier,
    margin: Callable[[Tensor], Tensor],
    ids: Sequence[int],
    score: float,
    progress: Progress | None,
) -> Float[Tensor, " T"] | None:
    """The score less that of the text without each token in turn; a text of one token has nothing left."""
    if not 2 <= len(ids) <= MAX_LEFT_OUT:
        return None
    rows = [[*ids[:place], *ids[place + 1 :]] for place in range(len(ids))]
    together = max(1, BATCH_TOKENS // len(ids))
    scores = []
    with (progress or Silent()).track("reading without each token", len(rows), "tokens") as advance:
        for start in range(0, len(rows), together):
            part = rows[start : start + together]
            scores.append(margin(_inputs(model, part)).cpu())
            advance(len(part))
    return score - torch.cat(scores)


def rank_correlation(one: Float[Tensor, " n"], other: Float[Tensor, " n"]) -> float:
    """Spearman's: the correlation of the two orders, 1 the same, -1 opposite.

    >>> rank_correlation(torch.tensor([1.0, 5.0, 9.0]), torch.tensor([0.1, 0.2, 0.3]))
    1.0
    """
    ranks = torch.stack([one, other]).argsort(dim=1).argsort(dim=1).double()
    return round(float(torch.corrcoef(ranks)[0, 1]), 4)


def _record(tokenizer: Tokenizer, ids: Sequence[int], found: Explained, name: Callable[[int], str]) -> dict[str, Any]:
    lost = [None] * len(ids) if found.without is None else [round(each, DECIMALS) for each in found.without.tolist()]
    pieces = [
        {**piece, "contribution": round(share, DECIMALS), "without": without}
        for piece, share, without in zip(pieces_of(tokenizer, ids), found.contributions.tolist(), lost, strict=True)
    ]
    decision, against, total = name(found.chosen), name(found.other), float(found.contributions.sum())
    agreement = None if found.without is None else rank_correlation(found.contributions, found.without)
    caption = CAPTION.format(decision=decision, against=against, total=total, score=found.score)
    return {
        "decision": decision,
        "against": against,
        "probability": round(found.probability, 6),
        "score": round(found.score, DECIMALS),
        "sum": round(total, DECIMALS),
        "agreement": agreement,
        "pieces": pieces,
        "caption": caption + ("" if agreement is None else LEFT_OUT.format(agreement=agreement)),
    }
