"""A mixture of experts as files: Hugging Face's with a tensor for every expert, GGUF's with one for all, both ways, and run by both programs."""

import json
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from lazy_module import LazyModule
from real_llamacpp import largest_differences, order
from tiny_weights import randomise

from groundup.errors import FormatError, ModelError
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.gguf import read_gguf, write_gguf
from groundup.weights.gguf_header import read_gguf_header
from groundup.weights.hf import read_hf
from groundup.weights.model_io import save_model
from groundup.weights.safetensors_header import read_header

transformers = LazyModule("transformers")

EXPERTS: dict[str, Any] = {
    "context_tokens": 256,
    "width": 64,
    "num_layers": 2,
    "num_heads": 4,
    "num_kv_heads": 2,
    "head_width": 32,
    "feedforward_width": 32,
    "num_experts": 6,
    "experts_per_token": 2,
    "family": "qwen3_moe",
    "qk_norm": "head",
    "norm_eps": 1e-6,
    "tied_head": False,
}


def experts(vocab_size: int = 97, **changes: Any) -> LanguageModel:
    return randomise(LanguageModel(ModelConfig(vocab_size=vocab_size, **{**EXPERTS, **changes})))


def same_weights(ours: torch.nn.Module, other: torch.nn.Module) -> None:
    theirs = other.state_dict()
    assert list(ours.state_dict()) == list(theirs)
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name


def change_config(folder: Path, **values: object) -> None:
    file = folder / "config.json"
    settings = json.loads(file.read_text()) | values
    file.write_text(
        json.dumps({key: value for key, value in settings.items() if value != "absent"})
    )


@torch.no_grad()
@pytest.mark.parametrize("normalised", [True, False])
def test_both_programs_compute_the_same_from_either_ones_files(
    normalised: bool, tmp_path: Path
) -> None:
    ours = experts(normalised_router=normalised)
    ids = torch.randint(0, 97, (2, 200), generator=torch.Generator().manual_seed(1))
    save_model(ours, tmp_path / "ours")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    assert type(theirs).__name__ == "Qwen3MoeForCausalLM"
    torch.testing.assert_close(theirs(ids).logits, ours(ids), atol=1e-4, rtol=0)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="100KB")
    assert len(list((tmp_path / "theirs").glob("model-*.safetensors"))) > 1
    again, _ = read_hf(tmp_path / "theirs")
    assert again.config == ours.config
    same_weights(ours, again)


def test_files_name_every_expert_as_the_published_ones_do(tmp_path: Path) -> None:
    save_model(experts(), tmp_path)
    table = read_header(tmp_path / "model.safetensors")
    names = {name for name in table if name.startswith("model.layers.1.mlp.")}
    parts = ("gate_proj", "up_proj", "down_proj")
    expected = {f"model.layers.1.mlp.experts.{e}.{part}.weight" for e in range(6) for part in parts}
    assert names == expected | {"model.layers.1.mlp.gate.weight"}
    assert table["model.layers.1.mlp.experts.5.down_proj.weight"].shape == (64, 32)


@pytest.mark.parametrize("dropped", ["num_experts", "num_local_experts"])
def test_either_name_of_the_number_of_experts_is_read(dropped: str, tmp_path: Path) -> None:
    ours = experts()
    save_model(ours, tmp_path)
    change_config(tmp_path, **{dropped: "absent"})
    assert read_hf(tmp_path)[0].config == ours.config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("decoder_sparse_step", 2),
        ("mlp_only_layers", [0]),
        ("num_local_experts", 5),
        ("use_sliding_window", True),
        ("num_experts_per_tok", 7),
    ],
)
def test_settings_that_are_not_computed_are_refused_by_name(
    key: str, value: object, tmp_path: Path
) -> None:
    save_model(experts(), tmp_path)
    change_config(tmp_path, **{key: value})
    with pytest.raises(
        FormatError, match="experts_per_token" if key == "num_experts_per_tok" else key
    ):
        read_hf(tmp_path)


def test_a_missing_expert_is_named(tmp_path: Path) -> None:
    save_model(experts(), tmp_path)
    change_config(tmp_path, num_experts=7, num_local_experts=7)
    with pytest.raises(FormatError, match=r"mlp\.gate\.weight.*6x64, 7x64"):
        read_hf(tmp_path)


def test_experts_that_no_other_program_has_are_written_in_our_own_layout(tmp_path: Path) -> None:
    ours = experts(family="llama", qk_norm="none", feedforward="geglu")
    save_model(ours, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "groundup"
    again, _ = read_hf(tmp_path)
    assert again.config == ours.config
    same_weights(ours, again)


def test_a_classifier_with_experts_goes_both_ways(tmp_path: Path) -> None:
    ours = randomise(Classifier(ModelConfig(vocab_size=97, **EXPERTS), 2))
    save_model(ours, tmp_path, labels=("a", "b"))
    back = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(back).__name__ == "Qwen3MoeForSequenceClassification"
    same_weights(ours, read_hf(tmp_path)[0])


def test_gguf_files_run_in_real_llamacpp_and_come_back(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    orders = []
    for encoding in ("f32", "f16", "q8_0"):
        path = tmp_path / f"{encoding}.gguf"
        ours = experts(tokenizer.vocab_size, tied_head=encoding == "f16")
        write_gguf(ours, tokenizer, path, quantization=encoding, name=encoding)
        again = read_gguf(path).model
        assert again.config == ours.config
        if encoding == "f32":
            same_weights(ours, again)
        orders.append(order(path, again, tokenizer.vocab_size))
    exact, halves, quantised = largest_differences(orders)
    assert exact < 0.03 and halves < 0.03 and quantised < 0.5


def test_gguf_files_hold_one_stack_for_all_experts(tokenizer: Tokenizer, tmp_path: Path) -> None:
    write_gguf(
        experts(tokenizer.vocab_size), tokenizer, tmp_path / "m.gguf", quantization="q8_0", name="m"
    )
    header = read_gguf_header(tmp_path / "m.gguf")
    stack, router = (
        header.tensors["blk.1.ffn_down_exps.weight"],
        header.tensors["blk.1.ffn_gate_inp.weight"],
    )
    assert (stack.shape, stack.kind.name) == ((6, 64, 32), "Q8_0")
    assert (router.shape, router.kind.name) == ((6, 64), "F32")
    said = {
        key: header.metadata[f"qwen3moe.{key}"] for key in ("expert_count", "expert_used_count")
    }
    assert said == {"expert_count": 6, "expert_used_count": 2}
    assert header.metadata["qwen3moe.expert_feed_forward_length"] == 32


def test_shares_that_llamacpp_would_normalise_are_refused(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="normalised_router"):
        write_gguf(
            experts(tokenizer.vocab_size, normalised_router=False),
            tokenizer,
            tmp_path / "m.gguf",
            quantization="f32",
            name="m",
        )
    dense = {"family": "llama", "qk_norm": "none"}
    with pytest.raises(ModelError, match="num_experts"):
        write_gguf(
            experts(tokenizer.vocab_size, **dense),
            tokenizer,
            tmp_path / "m.gguf",
            quantization="f32",
            name="m",
        )
    assert gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.QWEN3MOE] == "qwen3moe"
