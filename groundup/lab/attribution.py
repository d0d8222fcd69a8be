"""How tokens and words contribute to a decision: gradient times input (Simonyan et al. 2013,
arXiv:1312.6034; Shrikumar et al. 2016), and leaving them out (Li et al. 2016, arXiv:1612.08220).

    contribution of token t = sum over C of x[t, c] * d score / d x[t, c]     x: what enters block 1

That is a linear approximation of the model at this text: how much the score would fall if token t's
vector were zero. Softmax depends on differences of scores only, so the explained score is one: that
of the decision minus that of the strongest alternative, or of a named one (contrastive explanation:
Yin & Neubig 2022, arXiv:2202.10419). The model is not linear: the contributions do not add up to
the score, as integrated gradients do (Sundararajan et al. 2017, arXiv:1703.01365), and the gradient
may be a poor approximation farther away. So each token is also removed: `without` is the loss of
score. `sum` against `score`, and the rank correlation of the two orders, show how reliable they
are.

The effect of a word is the fall of a label's log-odds, log p / (1 - p), when it is left out
wherever it stands: above 0 it spoke for the label. Log-odds, as a probability of nearly 1 hardly
moves. Limits: words that say the same thing cover each other, as each is left out alone; letters
between spaces and marks are a word, also in scripts that put no spaces between words
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from groundup.engine.engine import Engine
from groundup.engine.padded_batch import BATCH_TOKENS, classifier_ids
from groundup.errors import DataError, ModelError, did_you_mean
from groundup.lab.stream import document_ids, require_language_model, require_tokenizer
from groundup.lab.tokens import pieces_of, token_text
from groundup.lab.values import Attribution
from groundup.model.heads import Classifier
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

DECIMALS = 5
# Longest text that is read again without each of its tokens: the cost is quadratic in the length.
MAX_LEFT_OUT = 128
CAPTION = (
    "Contribution: the token's vector as it enters block 1, times the gradient of the score, "
    "summed over its components. The score is the logit of {decision!r} minus that of "
    "{against!r}: {score:.2f}; the contributions add up to {total:.2f}, which differs from it "
    "because the model is not linear."
)
ALONE = CAPTION.replace(
    "the logit of {decision!r} minus that of {against!r}", "the logit of {decision!r}"
)
LEFT_OUT = (
    " Left out: the loss of score when the text is read without the token. Rank correlation of "
    "the two: {agreement:.2f}."
)


def gradient_times_input(
    score_of: Callable[[Float[Tensor, "T C"]], Float[Tensor, ""]], inputs: Float[Tensor, "T C"]
) -> tuple[Float[Tensor, " T"], float]:
    """Each token's contribution to a score, float32 on the CPU, and the score. For a linear
    score they are its terms.

    >>> gradient_times_input(lambda x: 2 * x[0, 0] - x[1, 1], torch.tensor([[3.0, 1.0], [5.0, 4.0]]))
    (tensor([ 6., -4.]), 2.0)"""
    with torch.enable_grad():
        variable = inputs.detach().clone().requires_grad_()
        score = score_of(variable)
        (gradient,) = torch.autograd.grad(score, variable)
    return (gradient * variable).detach().float().sum(dim=-1).cpu(), float(score.detach())


def class_attribution(
    model: Model,
    tokenizer: Tokenizer | None,
    text: str,
    *,
    labels: Sequence[str],
    label: str | None = None,
    multi_label: bool = False,
) -> Attribution:
    """Explain a label (None: the predicted one) on a text, which is truncated to the context as the
    engine does.

    `multi_label`: its own score is explained, not the margin over another label, which the text may
    have too.

    Raises ModelError (no classifier, no tokenizer), DataError (no text, unknown label).
    """
    if not isinstance(model, Classifier):
        raise ModelError(
            "This model is not a classifier: it predicts no label.",
            fix="Explain its next token instead.",
        )
    if len(labels) != model.score.out_features or len(labels) < 2:
        scores = model.score.out_features
        raise DataError(f"The classifier has {scores} scores, got {len(labels)} labels.")
    chosen = None
    if label is not None:
        chosen = _label_index(labels, label)
    tokenizer = require_tokenizer(tokenizer)
    if not tokenizer.encode(text):
        raise DataError("The text is empty.", fix="Give at least one word.")
    ids = classifier_ids(tokenizer, text, model.config.context_tokens)
    return _explain(model, tokenizer, text, ids, (chosen, None), labels, alone=multi_label)


def _label_index(labels: Sequence[str], label: str) -> int:
    if label not in labels:
        raise DataError(f"The classifier has no label {label!r}.", fix=did_you_mean(label, labels))
    return labels.index(label)


def next_token_attribution(
    model: Model,
    tokenizer: Tokenizer | None,
    text: str,
    *,
    token: str | None = None,
    against: str | None = None,
) -> Attribution:
    """Explain the prediction of `token` (None: the most probable one) against that of `against`
    (None: the most probable other).

    Both are tokens as they would continue the text, mostly with a leading space: " Paris". Raises
    ModelError, DataError (no text, a string of several tokens, twice the same).
    """
    model, tokenizer = require_language_model(model), require_tokenizer(tokenizer)
    ids = document_ids(model, tokenizer, text)
    chosen = other = None
    if token is not None:
        chosen = single_id(tokenizer, token)
    if against is not None:
        other = single_id(tokenizer, against)
    if chosen is not None and chosen == other:
        raise DataError(
            f"{token!r} can't be compared with itself.", fix="Give another token as `against`."
        )
    return _explain(model, tokenizer, text, ids, (chosen, other))


def decision_attribution(
    model: Model,
    tokenizer: Tokenizer,
    text: str,
    labels: Sequence[str],
    *,
    multi_label: bool = False,
) -> Attribution:
    """Explain what the model decides: a classifier's label, or a language model's next token.

    Raises as the function of that kind.
    """
    if isinstance(model, Classifier):
        return class_attribution(model, tokenizer, text, labels=labels, multi_label=multi_label)
    return next_token_attribution(model, tokenizer, text)


def single_id(tokenizer: Tokenizer, piece: str) -> int:
    """The id of a string that is one token.

    Raises DataError saying how the tokenizer splits it.
    """
    ids = tokenizer.encode(piece)
    if len(ids) != 1:
        parts = ", ".join(repr(token_text(tokenizer, id)) for id in ids) or "nothing"
        raise DataError(
            f"{piece!r} is not one token but {len(ids)}: {parts}.", fix="Give one of them."
        )
    return ids[0]


@torch.no_grad()
def _inputs(model: Model, rows: Sequence[Sequence[int]]) -> Float[Tensor, "B T C"]:
    return model.transformer.embed(
        torch.tensor(rows, device=model.transformer.embedding.weight.device)
    )


def _scores(model: Model, inputs: Float[Tensor, "B T C"]) -> Float[Tensor, "B N"]:
    """A classifier's scores or the logits of the next token, from embeddings."""
    states = model.transformer.run_blocks(inputs, 0, model.config.num_layers)
    final = model.transformer.final_norm(states)
    if isinstance(model, Classifier):
        return model.scores(final).float()
    return require_language_model(model).logits(final[:, -1]).float()


def _explain(
    model: Model,
    tokenizer: Tokenizer,
    text: str,
    ids: Sequence[int],
    pair: tuple[int | None, int | None],
    labels: Sequence[str] = (),
    *,
    alone: bool = False,
) -> Attribution:
    """Explain the first of `pair` against the second; where one is None, it is the one with the
    highest score among the others.

    `labels`: of a classifier; without them the two are tokens. `alone`: the first is explained by
    its own score, against not being it.
    """
    inputs = _inputs(model, [ids])
    with torch.no_grad():
        scores = _scores(model, inputs)[0]
    chosen, other = _rivals(scores, pair)
    if labels:
        decision, against = labels[chosen], labels[other]
    else:
        decision, against = token_text(tokenizer, chosen), token_text(tokenizer, other)
    template = CAPTION
    probabilities = scores.softmax(dim=-1)
    if alone:
        against, template, probabilities = f"not {decision}", ALONE, scores.sigmoid()

    def margin(rows: Tensor) -> Tensor:
        found = _scores(model, rows)
        if alone:
            return found[:, chosen]
        return found[:, chosen] - found[:, other]

    contributions, score = gradient_times_input(lambda row: margin(row[None])[0], inputs[0])
    total = float(contributions.sum())
    caption = template.format(decision=decision, against=against, total=total, score=score)
    agreement, lost = None, [None] * len(ids)
    without = _left_out(model, margin, ids, score)
    if without is not None:
        agreement = rank_correlation(contributions, without)
        lost = [round(each, DECIMALS) for each in without.tolist()]
        caption += LEFT_OUT.format(agreement=agreement)
    pieces = zip(pieces_of(tokenizer, ids), contributions.tolist(), lost, strict=True)
    return {
        "text": text,
        "decision": decision,
        "against": against,
        "probability": round(float(probabilities[chosen]), 6),
        "score": round(score, DECIMALS),
        "sum": round(total, DECIMALS),
        "agreement": agreement,
        "pieces": [
            {**piece, "contribution": round(share, DECIMALS), "without": loss}
            for piece, share, loss in pieces
        ],
        "caption": caption,
    }


def _rivals(scores: Float[Tensor, " N"], pair: tuple[int | None, int | None]) -> tuple[int, int]:
    """Both of a pair, where one is None the highest score among the others."""
    ranked, (chosen, other) = scores.argsort(descending=True).tolist(), pair
    if chosen is None:
        chosen = next(id for id in ranked if id != other)
    if other is None:
        other = next(id for id in ranked if id != chosen)
    return chosen, other


@torch.no_grad()
def _left_out(
    model: Model, margin: Callable[[Tensor], Tensor], ids: Sequence[int], score: float
) -> Float[Tensor, " T"] | None:
    """The score minus that of the text without each token in turn; None for a text of one token."""
    if not 2 <= len(ids) <= MAX_LEFT_OUT:
        return None
    rows = [[*ids[:place], *ids[place + 1 :]] for place in range(len(ids))]
    together = max(1, BATCH_TOKENS // len(ids))
    parts = (rows[start : start + together] for start in range(0, len(rows), together))
    return score - torch.cat([margin(_inputs(model, part)).cpu() for part in parts])


def rank_correlation(one: Float[Tensor, " n"], other: Float[Tensor, " n"]) -> float:
    """Return Spearman's rank correlation: 1 for the same order, -1 for the opposite one.

    >>> rank_correlation(torch.tensor([1.0, 5.0, 9.0]), torch.tensor([0.1, 0.2, 0.3]))
    1.0"""
    ranks = torch.stack([one, other]).argsort(dim=1).argsort(dim=1).double()
    return round(float(torch.corrcoef(ranks)[0, 1]), 4)


MAX_WORDS = 100
# Texts that are read in one call, between two reports of progress.
AT_ONCE = 32
WORD = re.compile(r"[^\W_]+(?:['’.\-][^\W_]+)*")


@dataclass(frozen=True)
class WordEffect:
    """What leaving out a word did."""

    word: str
    """As it stands first in the text."""
    effect: float
    """Log-odds of the label with the word minus those without it."""
    without: float
    """The probability of the label without it."""


@dataclass(frozen=True)
class WordEffects:
    """The words of a text, the strongest for the label first."""

    label: str
    words: tuple[WordEffect, ...]
    tried: int
    """Words that were left out: the first MAX_WORDS."""
    of: int
    """Distinct words of the text."""


def distinct_words(text: str) -> dict[str, list[tuple[int, int]]]:
    """The words of a text without regard to case, with their places.

    >>> distinct_words("Win, don't wait: win!")
    {'win': [(0, 3), (17, 20)], "don't": [(5, 10)], 'wait': [(11, 15)]}"""
    found: dict[str, list[tuple[int, int]]] = {}
    for match in WORD.finditer(text):
        found.setdefault(match[0].casefold(), []).append(match.span())
    return found


def without_word(text: str, places: list[tuple[int, int]]) -> str:
    """A text without a word at its places, and without the space behind each.

    >>> without_word("Win, don't wait: win!", [(5, 10)])
    'Win, wait: win!'"""
    starts, ends = [start for start, _ in places], [end for _, end in places]
    first, *others = [text[a:b] for a, b in zip([0, *ends], [*starts, len(text)], strict=True)]
    return "".join([first, *[part.removeprefix(" ") for part in others]])


def readings(text: str) -> int:
    return min(MAX_WORDS, len(distinct_words(text)))


def word_effects(
    engine: Engine, text: str, label: str, *, advance: Callable[[int], None] = lambda n: None
) -> WordEffects:
    """The effect of each word on a label; `advance` is called with the number of texts that were
    read.

    Raises ModelError, DataError for an unknown label.
    """
    words, place = distinct_words(text), _label_index(engine.opened.labels, label)
    tried = list(words.values())[:MAX_WORDS]
    texts = [text, *(without_word(text, places) for places in tried)]
    parts = []
    for start in range(0, len(texts), AT_ONCE):
        some = texts[start : start + AT_ONCE]
        parts.append(engine.class_scores(some).double())
        advance(len(some) - (start == 0))
    true, against = log_probabilities(
        torch.cat(parts), place, multi_label=engine.opened.decision.multi_label
    )
    odds = (true - against).tolist()
    found = [
        WordEffect(text[slice(*places[0])], odds[0] - without, probability)
        for places, without, probability in zip(
            tried, odds[1:], true.exp().tolist()[1:], strict=True
        )
    ]
    strongest = tuple(sorted(found, key=lambda each: -each.effect))
    return WordEffects(label, strongest, len(found), len(words))


def log_probabilities(
    scores: Float[Tensor, "texts N"], place: int, *, multi_label: bool
) -> tuple[Float[Tensor, " texts"], Float[Tensor, " texts"]]:
    """The log-probabilities that a text has the label at `place`, and that it has not."""
    if multi_label:
        return F.logsigmoid(scores[:, place]), F.logsigmoid(-scores[:, place])
    logs = scores.log_softmax(dim=-1)
    others = torch.cat([logs[:, :place], logs[:, place + 1 :]], dim=1).logsumexp(dim=1)
    return logs[:, place], others
