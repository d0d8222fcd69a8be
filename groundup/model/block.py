"""One block: attention between tokens, then the feed-forward part for each token alone. [B, T, C] -> [B, T, C].

Both are added to a stream that runs through all blocks unchanged otherwise (residual connections, He et al. 2016), and both
read it through a norm of their own ("pre-norm", as GPT-2 and every family here; Xiong et al. 2020 on why it trains more easily).
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from groundup.model.attention import Attention, Memory
from groundup.model.feedforward import GELU, SwiGLU
from groundup.model.norm import LayerNorm, RMSNorm
from groundup.model.positions import Rotation


class Block(nn.Module):
    """Wires four parts around the stream; see `transformer.build_block` for which.

    >>> Block(RMSNorm(8), Attention(8, 4, 2, 2), RMSNorm(8), SwiGLU(8, 24))(torch.ones(1, 3, 8)).shape
    torch.Size([1, 3, 8])
    """

    def __init__(
        self,
        attention_norm: RMSNorm | LayerNorm,
        attention: Attention,
        feedforward_norm: RMSNorm | LayerNorm,
        feedforward: SwiGLU | GELU,
    ) -> None:
        super().__init__()
        self.attention_norm = attention_norm
        self.attention = attention
        self.feedforward_norm = feedforward_norm
        self.feedforward = feedforward

    def forward(
        self,
        hidden: Float[Tensor, "B T C"],
        *,
        rotation: Rotation | None = None,
        allowed: Bool[Tensor, "#B 1 T S"] | None = None,
        memory: Memory | None = None,
    ) -> Float[Tensor, "B T C"]:
        hidden = hidden + self.attention(self.attention_norm(hidden), rotation=rotation, allowed=allowed, memory=memory)
        return hidden + self.feedforward(self.feedforward_norm(hidden))
