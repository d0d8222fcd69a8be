"""Logits equal transformers' on tiny random models of every family, padded on either side.

The tensors are copied by hand here, without `weights/names.py`: this is the proof of the arithmetic alone.
"""

from collections.abc import Callable

import pytest
import torch
from lazy_module import LazyModule
from torch import Tensor

from groundup.model.cache import KVCache
from groundup.model.config import ModelConfig, RopeScaling
from groundup.model.heads import Classifier, LanguageModel

transformers = LazyModule("transformers")

VOCAB, WIDTH, LAYERS = 61, 32, 2
SHAPE = {
    "vocab_size": VOCAB,
    "context_tokens": 64,
    "width": WIDTH,
    "num_layers": LAYERS,
    "num_heads": 4,
}
HF_SHAPE = {
    "vocab_size": VOCAB,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
}
HF_ROPE = {
    **HF_SHAPE,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "attn_implementation": "eager",
    "pad_token_id": None,
}


def gpt2() -> tuple[ModelConfig, torch.nn.Module]:
    config = ModelConfig(
        **SHAPE,
        feedforward_width=4 * WIDTH,
        family="gpt2",
        norm="layer",
        positions="learned",
        feedforward="gelu",
        attention_bias=True,
        attention_output_bias=True,
        feedforward_bias=True,
    )
    theirs = transformers.GPT2Config(
        vocab_size=VOCAB,
        n_positions=64,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=4,
        attn_implementation="eager",
    )
    return config, transformers.GPT2LMHeadModel(theirs)


def llama(**choices: object) -> tuple[ModelConfig, torch.nn.Module]:
    scaling = RopeScaling(
        factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_context_tokens=16
    )
    config = ModelConfig(
        **SHAPE,
        num_kv_heads=2,
        feedforward_width=48,
        tied_head=False,
        rope_base=1000.0,
        rope_scaling=scaling,
    )
    rope = {
        "rope_type": "llama3",
        "rope_theta": 1000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    }
    theirs = transformers.LlamaConfig(
        **HF_ROPE, rms_norm_eps=1e-5, rope_parameters=rope, tie_word_embeddings=False, **choices
    )
    kind = (
        transformers.LlamaForSequenceClassification
        if "num_labels" in choices
        else transformers.LlamaForCausalLM
    )
    return config, kind(theirs)


def mistral() -> tuple[ModelConfig, torch.nn.Module]:
    config = ModelConfig(
        **SHAPE,
        num_kv_heads=2,
        head_width=6,
        feedforward_width=48,
        family="mistral",
        tied_head=False,
    )
    theirs = transformers.MistralConfig(
        **HF_ROPE, head_dim=6, rms_norm_eps=1e-5, sliding_window=None, tie_word_embeddings=False
    )
    return config, transformers.MistralForCausalLM(theirs)


def qwen2() -> tuple[ModelConfig, torch.nn.Module]:
    config = ModelConfig(
        **SHAPE,
        num_kv_heads=2,
        feedforward_width=48,
        family="qwen2",
        norm_eps=1e-6,
        rope_base=1e6,
        attention_bias=True,
    )
    rope = {"rope_type": "default", "rope_theta": 1e6}
    return config, transformers.Qwen2ForCausalLM(
        transformers.Qwen2Config(**HF_ROPE, rope_parameters=rope, tie_word_embeddings=True)
    )


def qwen3() -> tuple[ModelConfig, torch.nn.Module]:
    config = ModelConfig(
        **SHAPE,
        num_kv_heads=2,
        head_width=16,
        feedforward_width=48,
        family="qwen3",
        norm_eps=1e-6,
        rope_base=1e6,
        qk_norm="head",
    )
    rope = {"rope_type": "default", "rope_theta": 1e6}
    theirs = transformers.Qwen3Config(
        **HF_ROPE, head_dim=16, rope_parameters=rope, tie_word_embeddings=True
    )
    return config, transformers.Qwen3ForCausalLM(theirs)


def qwen3_moe() -> tuple[ModelConfig, torch.nn.Module]:
    config = ModelConfig(
        **SHAPE,
        num_kv_heads=2,
        head_width=16,
        feedforward_width=24,
        num_experts=5,
        experts_per_token=2,
        family="qwen3_moe",
        norm_eps=1e-6,
        qk_norm="head",
        tied_head=False,
    )
    experts = {
        "num_experts": 5,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "norm_topk_prob": True,
    }
    theirs = transformers.Qwen3MoeConfig(
        **HF_ROPE, **experts, head_dim=16, tie_word_embeddings=False
    )
    return config, transformers.Qwen3MoeForCausalLM(theirs)


FAMILIES: dict[str, Callable[[], tuple[ModelConfig, torch.nn.Module]]] = {
    "gpt2": gpt2,
    "llama": llama,
    "mistral": mistral,
    "qwen2": qwen2,
    "qwen3": qwen3,
    "qwen3_moe": qwen3_moe,
}


def shaken(theirs: torch.nn.Module) -> torch.nn.Module:
    """Every parameter random, norms and biases too, so that a missing one shows."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(
                torch.randn(parameter.shape, generator=generator) * 0.2
                + (1.0 if parameter.ndim == 1 else 0.0)
            )
    return theirs.eval()


RENAMED = [
    ("model.embed_tokens", "transformer.embedding"),
    ("model.layers", "transformer.blocks"),
    ("model.norm", "transformer.final_norm"),
    ("input_layernorm", "attention_norm"),
    ("post_attention_layernorm", "feedforward_norm"),
    ("self_attn.q_norm", "attention.query_norm"),
    ("self_attn.k_norm", "attention.key_norm"),
    ("self_attn.q_proj", "attention.query"),
    ("self_attn.k_proj", "attention.key"),
    ("self_attn.v_proj", "attention.value"),
    ("self_attn.o_proj", "attention.output"),
    ("mlp.gate_proj", "feedforward.gate"),
    ("mlp.up_proj", "feedforward.up"),
    ("mlp.down_proj", "feedforward.down"),
    ("mlp.experts.down_proj", "feedforward.down.weight"),
    ("mlp.gate.", "feedforward.router."),
    ("lm_head", "head"),
    ("transformer.wte", "transformer.embedding"),
    ("transformer.wpe", "transformer.position_embedding"),
    ("transformer.h.", "transformer.blocks."),
    ("transformer.ln_f", "transformer.final_norm"),
    ("ln_1", "attention_norm"),
    ("ln_2", "feedforward_norm"),
    ("attn.c_proj", "attention.output"),
    ("mlp.c_fc", "feedforward.up"),
    ("mlp.c_proj", "feedforward.down"),
]


def copied(theirs: torch.nn.Module, tied: bool) -> dict[str, Tensor]:
    """Their tensors under our names; GPT-2 keeps the matrices of its blocks transposed; query, key and value in one, as are experts' gate and up."""
    transposed = isinstance(theirs, transformers.GPT2LMHeadModel)
    state: dict[str, Tensor] = {}
    for theirs_name, theirs_tensor in theirs.state_dict().items():
        name = theirs_name
        for old, new in RENAMED:
            name = name.replace(old, new)
        tensor = (
            theirs_tensor.T
            if transposed and ".blocks." in name and theirs_tensor.ndim == 2
            else theirs_tensor
        )
        if "attn.c_attn" in name:
            pieces = zip(("query", "key", "value"), tensor.chunk(3), strict=True)
            state.update(
                {name.replace("attn.c_attn", f"attention.{part}"): piece for part, piece in pieces}
            )
        elif "mlp.experts.gate_up_proj" in name:
            pieces = zip(("gate", "up"), tensor.chunk(2, dim=1), strict=True)
            state.update(
                {
                    name.replace("mlp.experts.gate_up_proj", f"feedforward.{part}.weight"): piece
                    for part, piece in pieces
                }
            )
        elif not (tied and name == "head.weight"):
            state[name] = tensor
    return state


def pair(family: str) -> tuple[LanguageModel, torch.nn.Module]:
    config, theirs = FAMILIES[family]()
    shaken(theirs)
    ours = LanguageModel(config).eval()
    ours.load_state_dict(copied(theirs, config.tied_head))
    return ours, theirs


IDS = torch.randint(0, VOCAB, (3, 40), generator=torch.Generator().manual_seed(1))
REAL_TOKENS = (40, 23, 1)


def padding(side: str) -> Tensor:
    columns = torch.arange(40)
    rows = [columns < count if side == "right" else columns >= 40 - count for count in REAL_TOKENS]
    return torch.stack(rows)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_equal_transformers(family: str) -> None:
    ours, theirs = pair(family)
    with torch.no_grad():
        torch.testing.assert_close(ours(IDS), theirs(IDS).logits, atol=1e-4, rtol=0)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", FAMILIES)
def test_padded_logits_equal_transformers_with_explicit_positions(family: str, side: str) -> None:
    ours, theirs = pair(family)
    mask = padding(side)
    positions = (mask.long().cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        expected = theirs(IDS, attention_mask=mask.long(), position_ids=positions).logits
        torch.testing.assert_close(ours(IDS, mask=mask)[mask], expected[mask], atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_left_padded_decoding_with_cache_equals_transformers(family: str) -> None:
    ours, theirs = pair(family)
    mask = padding("left")
    positions = (mask.long().cumsum(1) - 1).clamp(min=0)
    cache = KVCache(ours.config, batch=3)
    with torch.no_grad():
        expected = theirs(IDS, attention_mask=mask.long(), position_ids=positions).logits
        ours(IDS[:, :39], mask=mask[:, :39], cache=cache)
        torch.testing.assert_close(
            ours(IDS[:, 39:], cache=cache)[:, 0], expected[:, -1], atol=1e-4, rtol=0
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_equal_transformers(family: str) -> None:
    ours, theirs = pair(family)
    labels = IDS.roll(-1, dims=1).flatten()
    torch.nn.functional.cross_entropy(ours(IDS).flatten(0, 1), labels).backward()
    torch.nn.functional.cross_entropy(theirs(IDS).logits.flatten(0, 1), labels).backward()
    expected = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    table = next(
        grad
        for name, grad in expected.items()
        if name.endswith(("embed_tokens.weight", "wte.weight"))
    )
    torch.testing.assert_close(ours.transformer.embedding.weight.grad, table, atol=1e-4, rtol=1e-4)


def test_classifier_scores_equal_llama_for_sequence_classification() -> None:
    config, theirs = llama(num_labels=3)
    shaken(theirs)
    ours = Classifier(config, 3).eval()
    ours.load_state_dict(copied(theirs, tied=False))
    mask = padding("right")
    theirs.config.pad_token_id = 0
    ids = torch.where(mask, IDS.clamp(min=1), 0)
    with torch.no_grad():
        torch.testing.assert_close(
            ours(ids, mask=mask), theirs(ids, attention_mask=mask.long()).logits, atol=1e-4, rtol=0
        )
