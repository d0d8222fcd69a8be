"""Transformers with a head: for the next token (LanguageModel), the class of a text (Classifier) or
its vector (Encoder); and initial weights.
"""

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from groundup.errors import ConfigError
from groundup.model.attention_steps import softcap
from groundup.model.block import Block
from groundup.model.cache import Cache, KVCache, PagedStore, TokenSpan
from groundup.model.config import ModelConfig, Pooling
from groundup.model.linear import FastLinear, linear
from groundup.model.transformer import Transformer


@runtime_checkable
class DecodeStep(Protocol):
    """Another computation of the logits after a few new tokens: `kernels.decode_step`."""

    max_rows: int
    """The most tokens at once."""
    takes_prompts: bool
    """Whether a `BatchEngine` gives it prompts of any length, in parts."""

    def after_cache(
        self, ids: Int[Tensor, "B T"], cache: KVCache, positions: Sequence[int] | None = None
    ) -> Float[Tensor, "L V"]:
        """After those ids that follow the tokens in `cache`, text after text, at `positions`; None:
        after all.
        """

    def after_spans(
        self,
        ids: Sequence[int],
        store: PagedStore,
        spans: Sequence[TokenSpan],
        positions: Sequence[int],
    ) -> Float[Tensor, "L V"]:
        """After the new tokens at `positions` of the spans of a paged cache."""


class LanguageModel(nn.Module):
    """ids [B, T] -> logits [B, T, V]: row t scores every id as the one that follows token t."""

    decode_step: DecodeStep | None = None
    """What decodes single tokens of a few rows instead of torch (`engine/precision.py` sets it)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        require_causal(config, "A language model")
        self.config = config
        self.transformer = Transformer(config)
        self.head: nn.Module | None = None  # tied: the embedding's matrix
        if not config.tied_head:
            self.head = FastLinear(config.width, config.vocab_size, bias=False)

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        *,
        mask: Bool[Tensor, "B T"] | None = None,
        cache: Cache | None = None,
        documents: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        return self.logits(self.hidden(ids, mask=mask, cache=cache, documents=documents))

    def hidden(
        self,
        ids: Int[Tensor, "B T"],
        *,
        mask: Bool[Tensor, "B T"] | None = None,
        cache: Cache | None = None,
        documents: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T C"]:
        """The head's input; apart from `logits`, so that those can be computed for the last token
        only.
        """
        return self.transformer(ids, mask=mask, cache=cache, documents=documents)

    def logits(self, hidden: Float[Tensor, "*N C"]) -> Float[Tensor, "*N V"]:
        """A tied head uses the embedding matrix."""
        if self.head is None:
            scores = linear(hidden, self.transformer.embedding.weight)
        else:
            scores = self.head(hidden)
        return softcap(scores, self.config.logit_softcap)

    @property
    def head_weight(self) -> Float[Tensor, "V C"]:
        weight = (self.head or self.transformer.embedding).weight
        assert isinstance(weight, Tensor)
        return weight


class Classifier(nn.Module):
    """ids [B, T] -> scores [B, N] from the last real token, the only one that attends to the whole
    text. Without a bias, so that it can be saved as LlamaForSequenceClassification.
    """

    def __init__(self, config: ModelConfig, num_labels: int) -> None:
        super().__init__()
        require_causal(config, "A classifier")
        self.config = config
        self.transformer = Transformer(config)
        self.score = nn.Linear(config.width, num_labels, bias=False)

    def forward(
        self, ids: Int[Tensor, "B T"], *, mask: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B N"]:
        return self.scores(self.transformer(ids, mask=mask), mask=mask)

    def scores(
        self, hidden: Float[Tensor, "B T C"], *, mask: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B N"]:
        """From hidden states after the final norm."""
        if mask is None:
            return self.score(hidden[:, -1])
        rows, places = (torch.arange(size, device=hidden.device) for size in hidden.shape[:2])
        last = (places * mask).argmax(dim=1)  # [B], the last real token
        return self.score(hidden[rows, last])


class Encoder(nn.Module):
    """ids [B, T] -> a vector for each text [B, C]: the mean of its real tokens' hidden states, or the
    first one's (Reimers & Gurevych 2019, section 3).
    """

    def __init__(self, config: ModelConfig, pooling: Pooling = "mean") -> None:
        super().__init__()
        self.pooling: Pooling = pooling
        if config.causal:
            message = "An encoder attends to the whole text, so its config needs causal = false."
            raise ConfigError(message, fix="Set causal to false, or make a language model of it.")
        self.config = config
        self.transformer = Transformer(config)

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        *,
        mask: Bool[Tensor, "B T"] | None = None,
        normalised: bool = True,
    ) -> Float[Tensor, "B C"]:
        """`normalised` to length 1: their dot product is the cosine of their angle."""
        vectors = self.pool(self.hidden(ids, mask=mask), mask)
        if normalised:
            return F.normalize(vectors, dim=-1)
        return vectors

    def hidden(
        self, ids: Int[Tensor, "B T"], *, mask: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T C"]:
        return self.transformer(ids, mask=mask)

    def pool(
        self, hidden: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B C"]:
        """In float32."""
        if self.pooling == "cls":
            return hidden[:, 0].float()
        return mean_pool(hidden, mask)


def mean_pool(
    hidden: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"] | None = None
) -> Float[Tensor, "B C"]:
    """Of the real tokens of each row, in float32."""
    if mask is None:
        return hidden.float().mean(dim=1)
    return (hidden.float() * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def require_causal(config: ModelConfig, what: str) -> None:
    if not config.causal:
        message = (
            f"{what} needs a causal mask; this config is that of an encoder (causal is false)."
        )
        raise ConfigError(message, fix="Leave causal at true, the default.")


def initial_deviation(width: int) -> float:
    """GPT-2's 0.02 at 625, larger for narrower models: a matrix times a normalised vector then has
    a standard deviation of 1/2 at every width; with 0.02 narrow models learn slowly at first.
    """
    return 0.5 / math.sqrt(width)


def initialise(model: nn.Module, generator: torch.Generator, *, deviation: float = 0.02) -> None:
    """Initialise all weights from a CPU `generator`: the same seed gives the same bits on every
    device.

    Matrices and embeddings: normal with standard deviation `deviation` (0.02: GPT-2's code),
    divided by sqrt(2 L) for those that write into the residual stream, where 2 L of them add up
    (Radford et al. 2019, section 2.3). Norm weights 1, biases 0.
    """
    layers = sum(isinstance(part, Block) for part in model.modules())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".bias"):
                parameter.zero_()
            elif parameter.ndim == 1:
                parameter.fill_(1.0)
            else:
                scale = deviation
                if name.endswith(("attention.output.weight", "feedforward.down.weight")):
                    scale = deviation / math.sqrt(2 * layers)
                values = torch.empty(parameter.shape).normal_(0.0, scale, generator=generator)
                parameter.copy_(values)
