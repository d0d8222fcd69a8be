"""Every family of the table: our models and transformers' give the same logits, padded, past the window and past the first context, with
a cache, as language models and as classifiers, whoever wrote the files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from lazy_module import LazyModule
from tiny_weights import randomise
from torch import Tensor

from groundup.model.cache import KVCache
from groundup.weights.hf import read_hf, write_hf
from groundup.weights.hf_families import FAMILIES

transformers = LazyModule("transformers")

V, T, TOLERANCE = 61, 40, 1e-4
COUNTS = {
    "vocab_size": V,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "attn_implementation": "eager",
}
FULL, SLIDING = "full_attention", "sliding_attention"
ORIGINAL = {"original_max_position_embeddings": 16}  # tokens: the texts below are longer
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1e4,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
}
LINEAR = {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, **ORIGINAL}
GPT2 = {
    "vocab_size": V,
    "n_embd": 32,
    "n_layer": 4,
    "n_head": 4,
    "n_positions": 64,
    "attn_implementation": "eager",
}

# Settings of each family that differ from its defaults in what they compute: windows of 7 tokens, ...
CASES: dict[str, Callable[[], transformers.PretrainedConfig]] = {
    "gpt2": lambda: transformers.GPT2Config(**GPT2, bos_token_id=1, eos_token_id=2, pad_token_id=0),
    "llama, stretched as Llama 3": lambda: transformers.LlamaConfig(
        **COUNTS, rope_parameters={**LLAMA3, **ORIGINAL}
    ),
    "llama, stretched linearly": lambda: transformers.LlamaConfig(**COUNTS, rope_parameters=LINEAR),
    "llama, stretched as YaRN": lambda: transformers.LlamaConfig(**COUNTS, rope_parameters=YARN),
    "mistral with a window": lambda: transformers.MistralConfig(**COUNTS, sliding_window=7),
    "qwen2 with windows, YaRN": lambda: transformers.Qwen2Config(
        **COUNTS,
        use_sliding_window=True,
        sliding_window=7,
        layer_types=[SLIDING, FULL] * 2,
        rope_parameters={**YARN, "beta_fast": 16.0, "attention_factor": 1.5},
    ),
    "qwen3": lambda: transformers.Qwen3Config(**COUNTS, head_dim=12, tie_word_embeddings=True),
    "qwen3_moe": lambda: transformers.Qwen3MoeConfig(
        **COUNTS,
        head_dim=12,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=16,
        norm_topk_prob=True,
    ),
    "smollm3": lambda: transformers.SmolLM3Config(**COUNTS, no_rope_layer_interval=2),
    "gemma2": lambda: transformers.Gemma2Config(
        **COUNTS,
        head_dim=12,
        query_pre_attn_scalar=8,
        sliding_window=7,
        attn_logit_softcapping=2.0,
        final_logit_softcapping=3.0,
    ),
    "gemma2 without caps, stretched": lambda: transformers.Gemma2Config(
        **COUNTS,
        head_dim=12,
        sliding_window=7,
        attn_logit_softcapping=None,
        final_logit_softcapping=None,
        rope_parameters=LINEAR,
    ),
    "gemma3": lambda: transformers.Gemma3TextConfig(
        **COUNTS,
        head_dim=12,
        query_pre_attn_scalar=12,
        sliding_window=7,
        sliding_window_pattern=3,
        rope_parameters={FULL: LINEAR, SLIDING: {"rope_type": "default", "rope_theta": 100.0}},
    ),
    "phi3 with a window": lambda: transformers.Phi3Config(**COUNTS, sliding_window=7),
    "olmo2": lambda: transformers.Olmo2Config(**COUNTS),
}


@dataclass(frozen=True)
class Case:
    name: str
    folder: Path
    """Written by transformers."""
    theirs: torch.nn.Module


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("theirs")
    model = randomise(transformers.AutoModelForCausalLM.from_config(CASES[request.param]()))
    model.save_pretrained(folder)
    return Case(request.param, folder, model)


IDS = torch.randint(3, V, (3, T), generator=torch.Generator().manual_seed(1))


def padding(side: str) -> Tensor:
    columns, lengths = torch.arange(T), torch.tensor([T, 23, 1])[:, None]
    return columns < lengths if side == "right" else columns >= T - lengths


def their_logits(model: torch.nn.Module, mask: Tensor) -> Tensor:
    """With positions that count real tokens, as ours do."""
    positions = (mask.long().cumsum(1) - 1).clamp(min=0)
    logits: Tensor = model(IDS, attention_mask=mask.long(), position_ids=positions).logits
    return logits


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=0)


def test_every_family_has_a_case() -> None:
    """Encoders have theirs in test_encoder.py."""
    causal = {family.model_type for family in FAMILIES.values() if family.parts["causal"]}
    assert {config().model_type for config in CASES.values()} == causal


@torch.no_grad()
def test_logits_of_their_folder_equal_theirs_whole_padded_and_cached(case: Case) -> None:
    ours, _ = read_hf(case.folder)
    close(ours(IDS), case.theirs(IDS).logits)
    for side in ("left", "right"):
        mask = padding(side)
        close(ours(IDS, mask=mask)[mask], their_logits(case.theirs, mask)[mask])
    mask = padding("left")
    expected = their_logits(case.theirs, mask)
    cache = KVCache(ours.config, batch=3)
    close(ours(IDS[:, :20], mask=mask[:, :20], cache=cache)[0], expected[0, :20])
    for t in range(20, T):
        close(
            ours(IDS[:, t : t + 1], mask=mask[:, t : t + 1], cache=cache)[mask[:, t], 0],
            expected[mask[:, t], t],
        )


def test_gradients_of_the_embedding_equal_theirs(case: Case) -> None:
    """It lies below everything, so that every part's backward pass is in them."""
    ours, _ = read_hf(case.folder)
    labels = IDS.roll(-1, dims=1).flatten()
    ours_table, their_table = (
        ours.transformer.embedding.weight,
        case.theirs.get_input_embeddings().weight,
    )
    gradients = []
    for logits, table in ((ours(IDS), ours_table), (case.theirs(IDS).logits, their_table)):
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels)
        gradients += torch.autograd.grad(loss, table)
    close(gradients[0], gradients[1])


@torch.no_grad()
def test_they_open_our_folder_to_the_same_logits_in_either_style_of_config(
    case: Case, tmp_path: Path
) -> None:
    ours, _ = read_hf(case.folder)
    write_hf(ours, tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    old = {key: value for key, value in written.items() if key != "rope_parameters"}
    new = {
        key: value
        for key, value in written.items()
        if key not in ("rope_theta", "rope_scaling", "rope_local_base_freq")
    }
    for values in (old, new, written):
        (tmp_path / "config.json").write_text(json.dumps(values))
        theirs = transformers.AutoModelForCausalLM.from_pretrained(
            tmp_path, attn_implementation="eager"
        )
        assert type(theirs) is type(case.theirs)
        close(theirs(IDS).logits, case.theirs(IDS).logits)
        again, _ = read_hf(tmp_path)
        assert again.config == ours.config
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]) or "norm" in name, name


@torch.no_grad()
def test_classifiers_go_both_ways(case: Case, tmp_path: Path) -> None:
    config = CASES[case.name]()
    theirs = randomise(transformers.AutoModelForSequenceClassification.from_config(config))
    theirs.save_pretrained(tmp_path / "theirs")
    mask = padding("right")
    ids = torch.where(mask, IDS, config.pad_token_id)
    expected = theirs(ids, attention_mask=mask.long()).logits
    ours, labels = read_hf(tmp_path / "theirs")
    close(ours(ids, mask=mask), expected)
    write_hf(ours, tmp_path / "ours", labels=labels)
    back = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "ours")
    assert type(back) is type(theirs)
    back.config.pad_token_id = config.pad_token_id
    close(back(ids, attention_mask=mask.long()).logits, expected)
