"""A Llama as one would write it in an afternoon: torch's own parts, nothing fused by hand. The "plain PyTorch loop" of the benchmarks."""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

PREFIX = "model."


class Block(nn.Module):
    """Attention and SwiGLU, each behind an RMSNorm; parameters named as in a Hugging Face folder."""

    def __init__(self, config: dict[str, int]) -> None:
        super().__init__()
        width, hidden = config["hidden_size"], config["intermediate_size"]
        self.heads, self.kv_heads, self.head = (
            config["num_attention_heads"],
            config["num_key_value_heads"],
            config["head_dim"],
        )
        self.input_layernorm, self.post_attention_layernorm = (
            nn.RMSNorm(width, config["rms_norm_eps"]) for _ in "ab"
        )
        self.self_attn, self.mlp = nn.Module(), nn.Module()
        for name, rows in (("q", self.heads), ("k", self.kv_heads), ("v", self.kv_heads)):
            self.self_attn.add_module(
                f"{name}_proj", nn.Linear(width, rows * self.head, bias=False)
            )
        self.self_attn.o_proj = nn.Linear(self.heads * self.head, width, bias=False)
        self.mlp.gate_proj, self.mlp.up_proj = (nn.Linear(width, hidden, bias=False) for _ in "ab")
        self.mlp.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        rows, tokens, _ = x.shape
        normed, attention, mlp = self.input_layernorm(x), self.self_attn, self.mlp
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        q, k, v = (
            part(normed).view(rows, tokens, -1, self.head).transpose(1, 2) for part in projections
        )
        q, k = rotated(q, cos, sin), rotated(k, cos, sin)
        mixed = F.scaled_dot_product_attention(
            q, k, v, is_causal=True, enable_gqa=self.heads != self.kv_heads
        )
        x = x + attention.o_proj(mixed.transpose(1, 2).reshape(rows, tokens, -1))
        normed = self.post_attention_layernorm(x)
        return x + mlp.down_proj(F.silu(mlp.gate_proj(normed)) * mlp.up_proj(normed))


class PlainLlama(nn.Module):
    """ids [B, T] -> logits [B, T, V], with the weights of a Hugging Face folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        config = json.loads((folder / "config.json").read_text())
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Block(config) for _ in range(config["num_hidden_layers"]))
        self.norm = nn.RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.lm_head = nn.Linear(config["hidden_size"], config["vocab_size"], bias=False)
        if config["tie_word_embeddings"]:
            self.lm_head.weight = self.embed_tokens.weight
        weights = {
            name.removeprefix(PREFIX): value
            for name, value in load_file(folder / "model.safetensors").items()
        }
        self.load_state_dict({"lm_head.weight": weights["embed_tokens.weight"], **weights})
        theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
        powers = torch.arange(0, config["head_dim"], 2) / config["head_dim"]
        angles = (
            torch.arange(config["max_position_embeddings"])[:, None] * theta**-powers
        )  # [T, D/2]
        self.register_buffer("angles", torch.cat([angles, angles], dim=1))

    def forward(self, ids: Tensor) -> Tensor:
        x, angles = self.embed_tokens(ids), self.angles[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x, angles.cos(), angles.sin())
        return self.lm_head(self.norm(x))


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions: the two halves of a head turned against each other."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin
