"""Losses: a model and a batch -> a sum in nats and what it was counted on. To train in another way, write one of these.

The loss of a text is the mean surprise at its tokens, -log p(token | what stands before it); labels are the text itself, one
place on. A label of -100 is not counted: prompts, when an assistant is trained, and padding.
"""

from torch import nn

from groundup.data.loader import IGNORED_LABEL, Batch
from groundup.model.heads import LanguageModel
from groundup.model.linear_cross_entropy import summed_cross_entropy
from groundup.train.step import LossSum


def next_token_loss(model: nn.Module, batch: Batch) -> LossSum:
    """Cross-entropy of the next token, summed over the labels that count.

    The head is applied to those places alone: with V in the thousands it is a large part of the work.
    """
    assert isinstance(model, LanguageModel)
    hidden = model.hidden(batch.ids, mask=batch.mask).flatten(0, 1)  # [B*T, C]
    labels = batch.labels.flatten()  # [B*T]
    if not batch.all_count:
        counted = (labels != IGNORED_LABEL).nonzero().squeeze(1)  # [places that count]
        if len(counted) < len(labels):
            hidden, labels = hidden.index_select(0, counted), labels[counted]
    total = summed_cross_entropy(hidden, model.head_weight, labels, model.config.logit_softcap)
    return LossSum(total, len(labels))
