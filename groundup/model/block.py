"""One block: attention between tokens, then the feed-forward network for each token. [B, T, C] -> [B, T, C].

Both are added to the residual stream (He et al. 2016). The arrangements, with f for either part and n for its norm:

    pre        x + f(n(x))        GPT-2, Llama, Qwen, Mistral: the stream itself is never normalised (Xiong et al. 2020: it trains more easily)
    post       n(x + f(x))        Vaswani et al. 2017, the first GPT: needs a careful warm-up
    output     x + n(f(x))        OLMo 2 (2025): what is added has a bounded norm
    sandwich   x + n'(f(n(x)))    Gemma 2 and 3: both
    parallel   x + attention(n(x)) + feedforward(n(x))        GPT-J, PaLM: one norm, and the two parts can run in parallel
"""

from jaxtyping import Float
from torch import Tensor, nn

from groundup.model.attention import EMPTY_METADATA, Attention, AttentionMetadata, LayerCache
from groundup.model.config import BlockKind
from groundup.model.experts import Experts
from groundup.model.feedforward import FeedForward
from groundup.model.norm import LayerNorm, RMSNorm

Norm = RMSNorm | LayerNorm


class Block(nn.Module):
    """Attention and feed-forward network on the residual stream; `transformer.build_block` makes one, `NORM_NAMES` has the norms of each kind.

    >>> from groundup.model.config import ModelConfig
    >>> from groundup.model.transformer import build_block
    >>> tiny = ModelConfig(vocab_size=8, context_tokens=4, width=8, num_layers=1, num_heads=2, feedforward_width=16)
    >>> build_block(tiny, 0)(torch.ones(1, 3, 8)).shape
    torch.Size([1, 3, 8])
    """

    def __init__(
        self, kind: BlockKind, attention: Attention, feedforward: FeedForward | Experts, norms: dict[str, Norm]
    ) -> None:
        """`norms` by name, those of `NORM_NAMES[kind]`."""
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
        hidden: Float[Tensor, "B T C"],
        metadata: AttentionMetadata = EMPTY_METADATA,
        *,
        layer_cache: LayerCache | None = None,
    ) -> Float[Tensor, "B T C"]:
        attended = self.attention(self.attention_input(hidden), metadata, layer_cache=layer_cache)
        return self.after_attention(hidden, attended)

    def attention_input(self, hidden: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """Return the input of the attention."""
        return hidden if self.attention_norm is None else self.attention_norm(hidden)

    def after_attention(
        self, hidden: Float[Tensor, "#B T C"], attended: Float[Tensor, "B T C"]
    ) -> Float[Tensor, "B T C"]:
        """Return the block's output, from its input and the output of the attention."""
        if self.kind == "parallel":
            return hidden + attended + self.feedforward(self.attention_input(hidden))
        hidden = self._added(hidden, attended, self.attention_output_norm)
        normed = hidden if self.feedforward_norm is None else self.feedforward_norm(hidden)
        return self._added(hidden, self.feedforward(normed), self.feedforward_output_norm)

    def _added(self, hidden: Tensor, part: Tensor, norm: Norm | None) -> Tensor:
        if norm is None:
            return hidden + part
        return norm(hidden + part) if self.kind == "post" else hidden + norm(part)


BEFORE = ("attention_norm", "feedforward_norm")
AFTER = ("attention_output_norm", "feedforward_output_norm")
NORM_NAMES: dict[BlockKind, tuple[str, ...]] = {
    "pre": BEFORE,
    "post": AFTER,
    "output": AFTER,
    "sandwich": BEFORE + AFTER,
    "parallel": ("attention_norm",),
}
