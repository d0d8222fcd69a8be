"""A block: attention between tokens, then the feed-forward network for each token.

[B, T, C] -> [B, T, C]. Both are added to the residual stream (He et al. 2016). `WIRINGS` has the
formulas, with x for the stream, f for either part, n for the norm of its input and m for the norm
of its output:

    pre        x + f(n(x))        GPT-2, Llama, Qwen, Mistral: the stream itself is never normalised
                                  (Xiong et al. 2020: it trains more easily)
    post       m(x + f(x))        Vaswani et al. 2017, the first GPT: needs a careful warm-up
    output     x + m(f(x))        OLMo 2 (2025): what is added has a bounded norm
    sandwich   x + m(f(n(x)))     Gemma 2 and 3: both
    parallel   x + attention(n(x)) + feedforward(n(x))        GPT-J, PaLM: one norm, and the two
                                                              parts can run in parallel
"""

from collections.abc import Callable
from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from groundup.model.attention import EMPTY_METADATA, Attention, AttentionMetadata, LayerCache
from groundup.model.attention_steps import Scoring
from groundup.model.config import NORM_NAMES, BlockKind, ModelConfig
from groundup.model.experts import Experts
from groundup.model.feedforward import FEEDFORWARDS, FeedForward, GatedFeedForward
from groundup.model.norm import NORMS, LayerNorm, RMSNorm

Norm = RMSNorm | LayerNorm
Part = Callable[[Tensor], Tensor]
WIRINGS: dict[BlockKind, Callable[..., Tensor]] = {
    "pre": lambda x, f, n, m: x + f(n(x)),
    "post": lambda x, f, n, m: m(x + f(x)),
    "output": lambda x, f, n, m: x + m(f(x)),
    "sandwich": lambda x, f, n, m: x + m(f(n(x))),
}


class Block(nn.Module):
    """Attention and feed-forward network on the residual stream.

    `build_block` makes one; `NORM_NAMES` has the norms of each wiring.

    >>> tiny = ModelConfig(
    ...     vocab_size=8, context_tokens=4, width=8, num_layers=1, num_heads=2, feedforward_width=16
    ... )
    >>> build_block(tiny, 0)(torch.ones(1, 3, 8)).shape
    torch.Size([1, 3, 8])
    """

    def __init__(
        self,
        kind: BlockKind,
        attention: Attention,
        feedforward: FeedForward | Experts,
        norms: dict[str, Norm],
    ) -> None:
        """`norms`: those of `NORM_NAMES[kind]`."""
        super().__init__()
        assert set(norms) == set(NORM_NAMES[kind]), (kind, set(norms))
        self.kind = kind
        self.attention_norm = norms.get("attention_norm")
        self.attention = attention
        self.attention_output_norm = norms.get("attention_output_norm")
        self.feedforward_norm = norms.get("feedforward_norm")
        self.feedforward = feedforward
        self.feedforward_output_norm = norms.get("feedforward_output_norm")

    def forward(
        self,
        x: Float[Tensor, "B T C"],
        metadata: AttentionMetadata = EMPTY_METADATA,
        *,
        layer_cache: LayerCache | None = None,
    ) -> Float[Tensor, "B T C"]:
        return self.wire(x, partial(self.attention, metadata=metadata, layer_cache=layer_cache))

    def wire(self, x: Float[Tensor, "#B T C"], attention: Part) -> Float[Tensor, "B T C"]:
        """The output for the stream x, with the given function as attention."""
        if self.kind == "parallel":
            n = self.attention_input
            return x + attention(n(x)) + self.feedforward(n(x))
        add = WIRINGS[self.kind]
        x = add(x, attention, self.attention_norm, self.attention_output_norm)
        return add(x, self.feedforward, self.feedforward_norm, self.feedforward_output_norm)

    def attention_input(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """The stream, normalised where the wiring does so."""
        if self.attention_norm is None:
            return x
        return self.attention_norm(x)


def build_block(config: ModelConfig, layer: int) -> Block:
    """Block `layer`, counted from 0."""
    scoring = Scoring(
        config.score_width or config.head_width,
        config.score_softcap,
        config.window_of(layer),
        config.causal,
    )
    attention = Attention(
        config.width,
        config.num_heads,
        config.num_kv_heads,
        config.head_width,
        bias=config.attention_bias,
        output_bias=config.attention_output_bias,
        query_key_norm=config.qk_norm,
        norm_eps=config.norm_eps,
        scoring=scoring,
    )
    norms = {name: build_norm(config) for name in NORM_NAMES[config.block]}
    return Block(config.block, attention, build_feedforward(config), norms)


def build_norm(config: ModelConfig) -> Norm:
    return NORMS[config.norm](config.width, eps=config.norm_eps)


def build_feedforward(config: ModelConfig) -> FeedForward | Experts:
    network = FEEDFORWARDS[config.feedforward]
    if not config.num_experts:
        return network(config.width, config.feedforward_width, bias=config.feedforward_bias)
    assert issubclass(network, GatedFeedForward)
    return Experts(
        config.width,
        config.feedforward_width,
        num_experts=config.num_experts,
        experts_per_token=config.experts_per_token,
        kind=network,
        normalised=config.normalised_router,
    )
