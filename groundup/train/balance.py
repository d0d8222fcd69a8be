"""Training with experts: any loss, with the routers' balance loss beside it (Fedus et al. 2021, section 2.2).

Left alone, a router sends ever more tokens to the experts that happened to be good first, and the others learn nothing. The balance
loss of each router (`model.experts.balance_loss`), averaged over the blocks and times a small weight, pushes against that.

It is taken over the tokens of one batch: with several batches a step (`accumulation`) each is balanced for itself.
"""

import torch
from torch import nn

from groundup.model.experts import Experts, balance_loss, router_scores
from groundup.train.step import Batch, Loss, LossSum


def has_experts(model: nn.Module) -> bool:
    """Whether any block of the model has a router."""
    return any(isinstance(part, Experts) for part in model.modules())


def balanced(loss: Loss, weight: float) -> Loss:
    """`loss`, whose gradient also spreads the tokens over the experts. Its figure stays what it was: comparable with the validation's."""

    def with_balance(model: nn.Module, batch: Batch) -> LossSum:
        with router_scores(model) as scores:
            plain = loss(model, batch)
        chosen = next(part.experts_per_token for part in model.modules() if isinstance(part, Experts))
        real = None if batch.mask is None else batch.mask.flatten()
        uneven = torch.stack([balance_loss(layer, chosen, real) for layer in scores]).mean()
        beside = weight * plain.count * uneven  # eq. 4's alpha, for as many tokens as the loss is summed over
        return LossSum(plain.total + (beside - beside.detach()), plain.count)

    return with_balance
