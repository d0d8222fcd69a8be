"""Losses: a model and a batch -> a sum in nats and the number of tokens it was taken over; those of
fine-tuning by name (`FINETUNE_LOSSES`).

The loss of a text is the mean of -log p(token | the tokens before it); labels are the text itself,
shifted by one. A label of -100 is not counted: prompts, when an assistant is trained, and padding.

With experts, any loss gets the routers' balance loss beside it (Fedus et al. 2021, section 2.2).
Left alone, a router sends ever more tokens to the experts that happened to be good first, and the
others learn nothing. It is taken over the tokens of one batch.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from groundup.data.batches.loader import IGNORED_LABEL, Batch
from groundup.errors import ConfigError, did_you_mean
from groundup.model.experts import Experts, balance_loss, router_scores
from groundup.model.heads import LanguageModel
from groundup.model.linear_cross_entropy import summed_cross_entropy
from groundup.model.lora import without_lora
from groundup.train.steps.step import Loss, LossSum

# Labels whose logits over the vocabulary are in memory at a time, and computed again for the
# gradient.
LOGIT_ROWS = 512


def next_token_loss(model: nn.Module, batch: Batch, z_weight: float = 0.0) -> LossSum:
    """Cross-entropy of the next token, summed over the labels that count; only there is the head
    applied. `z_weight`: of the z-loss beside it (`linear_cross_entropy.py`).
    """
    assert isinstance(model, LanguageModel)
    hidden = model.hidden(batch.ids, mask=batch.mask, documents=batch.documents).flatten(
        0, 1
    )  # [B*T, C]
    labels = batch.labels.flatten()  # [B*T]
    if not batch.all_count:
        counted = (labels != IGNORED_LABEL).nonzero().squeeze(1)  # [positions that count]
        if len(counted) < len(labels):
            hidden, labels = hidden.index_select(0, counted), labels[counted]
    cap = model.config.logit_softcap
    total = summed_cross_entropy(hidden, model.head_weight, labels, cap, z_weight)
    return LossSum(total, len(labels))


def class_loss(model: nn.Module, batch: Any) -> LossSum:
    """Cross-entropy of the true classes, summed over texts: `batch` has inputs, a label and a
    weight (1 on average) a text.
    """
    scores = model(*batch.inputs)
    nats = F.cross_entropy(scores.float(), batch.labels, reduction="none")
    return LossSum((nats * batch.weights).sum(), len(batch.labels))


def label_set_loss(model: nn.Module, batch: Any) -> LossSum:
    """Binary cross-entropy of every label, summed: `batch` has a 0 or 1 and a weight for each, [B,
    N].
    """
    scores = model(*batch.inputs)
    nats = F.binary_cross_entropy_with_logits(
        scores.float(), batch.labels.float(), reduction="none"
    )  # [B, N]
    return LossSum((nats * batch.weights).sum(), len(batch.labels))


def answer_logprobs(
    model: LanguageModel, ids: Int[Tensor, "N T"], labels: Int[Tensor, "N T"]
) -> Float[Tensor, " N"]:
    """Of each row's labels, summed over those that count."""
    hidden, wanted = model.hidden(ids).flatten(0, 1), labels.flatten()  # [N*T, C], [N*T]
    counted = (wanted != IGNORED_LABEL).nonzero().squeeze(1)
    logits = model.logits(hidden.index_select(0, counted)).float()
    each = -F.cross_entropy(logits, wanted[counted], reduction="none")
    rows = torch.div(counted, ids.shape[1], rounding_mode="floor")
    return torch.zeros(len(ids), device=each.device).index_add(0, rows, each)


def preference_loss(model: nn.Module, batch: Any) -> LossSum:
    """Direct preference optimization (Rafailov et al. 2023, eq. 7) with the cross-entropy of the
    chosen answer (Pang et al. 2024, arXiv:2404.19733, eq. 1), summed over pairs.

        L = -log sigmoid(beta [(log pi(w) - log ref(w)) - (log pi(l) - log ref(l))])
            - a log pi(w) / |w|
                w: the chosen answer, l: the rejected one, a: `sft_weight`, |w|: tokens

    `batch` has ids and labels [B, 2, T], the chosen answer first, the reference's log-probabilities
    [B, 2], beta and sft_weight.
    """
    assert isinstance(model, LanguageModel)
    policy = answer_logprobs(model, batch.ids.flatten(0, 1), batch.labels.flatten(0, 1)).view(
        -1, 2
    )  # [B, 2]
    rewards = batch.beta * (policy - batch.reference)
    dpo = -F.logsigmoid(rewards[:, 0] - rewards[:, 1])  # [B]
    counts = (batch.labels[:, 0] != IGNORED_LABEL).sum(dim=-1)
    sft = -policy[:, 0] / counts
    return LossSum((dpo + batch.sft_weight * sft).sum(), len(rewards))


def rating_loss(model: nn.Module, batch: Any) -> LossSum:
    """Kahneman-Tversky optimization, summed over answers (Ethayarajh et al. 2024, eq. 8).

        r = log pi(y|x) - log ref(y|x)
        z = max(0, the mean of log pi(y'|x) - log ref(y'|x)), y' the answer to another prompt
        L = w [1 - sigmoid(beta (r - z))] of a good answer, w [1 - sigmoid(beta (z - r))] of a bad
            one

    `batch` has ids and labels [B, 2, T], the answer first and another prompt's second, the
    reference's log-probabilities [B, 2], `good` (1 or -1) and weights [B], and beta.
    """
    assert isinstance(model, LanguageModel)
    own = answer_logprobs(model, batch.ids[:, 0], batch.labels[:, 0])  # [B]
    with torch.no_grad():  # z is a constant
        other = answer_logprobs(model, batch.ids[:, 1], batch.labels[:, 1])
    drift = (other - batch.reference[:, 1]).mean().clamp(min=0)
    gains = batch.good * batch.beta * (own - batch.reference[:, 0] - drift)
    return LossSum((batch.weights * F.sigmoid(-gains)).sum(), len(gains))


def group_relative_loss(model: nn.Module, batch: Any) -> LossSum:
    """Group relative policy optimization with one update for each round of answers, summed over
    tokens (Shao et al. 2024, arXiv:2402.03300, eq. 3 and 4).

        L = -(sum over answers and their tokens of  r A - beta (u - ln u - 1)) / answers
                r = pi / pi_old: 1, as the answers are those of these weights; its gradient is that
                    of log pi
                u = ref / pi, ref: the model without its adapters

    An answer's loss is not divided by its length: that would favour long wrong answers (Liu et al.
    2025, arXiv:2503.20783, section 3.1). `batch` has packed rows, ids, labels and documents [B, T],
    the advantage A of each label [B, T], the number of answers, and beta. `finetune/group_relative`
    has the same with plain numbers.
    """
    assert isinstance(model, LanguageModel)
    own, counted = _label_logprobs(model, batch)
    with torch.no_grad(), without_lora(model):
        reference, _ = _label_logprobs(model, batch)
    ratio = (own - own.detach()).exp()
    log_u = reference - own
    divergence = log_u.exp() - log_u - 1
    gains = ratio * batch.advantages.flatten()[counted] - batch.beta * divergence
    figures = {"kl": float(divergence.detach().mean()), **batch.figures}
    return LossSum(-gains.sum(), batch.answers, figures)


def _label_logprobs(
    model: LanguageModel, batch: Any
) -> tuple[Float[Tensor, " N"], Int[Tensor, " N"]]:
    """Of the labels that count, and their places in the flattened batch."""
    hidden = model.hidden(batch.ids, documents=batch.documents).flatten(0, 1)
    labels = batch.labels.flatten()
    counted = (labels != IGNORED_LABEL).nonzero().squeeze(1)
    parts = [
        checkpoint(_logprobs, model, hidden[some], labels[some], use_reentrant=False)
        for some in counted.split(LOGIT_ROWS)
    ]
    return torch.cat(parts), counted


def _logprobs(
    model: LanguageModel, hidden: Float[Tensor, "N C"], labels: Int[Tensor, " N"]
) -> Float[Tensor, " N"]:
    return -F.cross_entropy(model.logits(hidden).float(), labels, reduction="none")


@dataclass(frozen=True)
class FinetuneLoss:
    """A loss that a fine-tuning run can be trained with: `--set loss=NAME`."""

    kind: Literal["chat", "classifier", "multi-label", "preference", "reward"]
    loss: Loss


# The first of each kind is its default.
FINETUNE_LOSSES: dict[str, FinetuneLoss] = {
    "next_token": FinetuneLoss("chat", next_token_loss),
    "class": FinetuneLoss("classifier", class_loss),
    "label_set": FinetuneLoss("multi-label", label_set_loss),
    "dpo": FinetuneLoss("preference", preference_loss),
    "kto": FinetuneLoss("preference", rating_loss),
    "grpo": FinetuneLoss("reward", group_relative_loss),
}


def finetune_loss(kind: str, name: str | None) -> Loss:
    """None: the default of that kind of run. Raises ConfigError."""
    known = {key: each.loss for key, each in FINETUNE_LOSSES.items() if each.kind == kind}
    if name is not None and name not in known:
        raise ConfigError(
            f"loss {name!r} is not known for a {kind} run.", fix=did_you_mean(name, known)
        )
    return known[name or next(iter(known))]


def add_balance(loss: Loss, weight: float) -> Loss:
    """`loss` with a gradient that also spreads the tokens over the experts; its value is
    unchanged.
    """

    def with_balance(model: nn.Module, batch: Batch) -> LossSum:
        with router_scores(model) as scores:
            plain = loss(model, batch)
        chosen = next(
            part.experts_per_token for part in model.modules() if isinstance(part, Experts)
        )
        marked = batch.mask if batch.documents is None else batch.documents >= 0
        real = None if marked is None else marked.flatten()
        uneven = torch.stack([balance_loss(layer, chosen, real) for layer in scores]).mean()
        beside = (
            weight * plain.count * uneven
        )  # eq. 4's alpha, for as many tokens as the loss is summed over
        return LossSum(plain.total + (beside - beside.detach()), plain.count)

    return with_balance
