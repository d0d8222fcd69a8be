"""An adapter is the same in our model, merged, in PEFT and in real llama.cpp; one that does not belong to its base is refused."""

import copy
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_weights import CPU, make_config, make_model

from groundup.cli.main import run
from groundup.errors import FormatError, ModelError
from groundup.model.heads import LanguageModel
from groundup.model.lora import (
    add_lora,
    attach_lora,
    lora_parameters,
    lora_weights,
    merge_lora,
    shared_copy,
)
from groundup.model.quantised import quantise
from groundup.runs import BUILD_FILE
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.adapter import (
    Adapter,
    AdapterConfig,
    base_hashes,
    base_name,
    base_path,
    require_base,
    write_adapter,
)
from groundup.weights.formats import export
from groundup.weights.gguf import write_gguf
from groundup.weights.model_io import open_model, read_model_summary, save_model

FAMILIES = ("llama", "llama_biases", "qwen2", "qwen3", "phi3", "gemma2_whole", "olmo2", "gpt2")
IDS = torch.arange(3, 43)[None]
ChangeConfig = Callable[[dict[str, object]], None]


def references() -> tuple[Any, Any]:
    """peft and transformers: 2.5 s of processor time that only a process of these tests pays."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import peft
        import transformers
    return peft, transformers


def adapted(model: LanguageModel, rank: int = 3, targets: tuple[str, ...] = ()) -> LanguageModel:
    """With adapters as after some training."""
    add_lora(
        model, rank=rank, alpha=8.0, generator=torch.Generator().manual_seed(0), targets=targets
    )
    with torch.no_grad():
        for place, parameter in enumerate(lora_parameters(model)):
            parameter.copy_(
                torch.randn(parameter.shape, generator=torch.Generator().manual_seed(place)) * 0.1
            )
    return model


@pytest.fixture(autouse=True)
def deprecations_of_peft() -> Iterator[None]:
    """What peft and transformers say to each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def written(
    folder: Path, model: LanguageModel, tokenizer: Tokenizer, targets: tuple[str, ...] = ()
) -> LanguageModel:
    """Write `base` and `adapter` into the folder; returns the model with adapters, unmerged."""
    save_model(model, folder / "base", tokenizer)
    hashes, both = base_hashes(model), adapted(model, targets=targets)
    write_adapter(
        Adapter(lora_weights(both), str(folder / "base"), hashes),
        model.config,
        folder / "adapter",
        tokenizer,
    )
    return both


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        found = model(IDS)
    return found if isinstance(found, torch.Tensor) else found.logits


@pytest.mark.parametrize("variant", FAMILIES)
@pytest.mark.parametrize("targets", [(), ("query", "down")])
def test_peft_opens_it_to_the_same_logits(
    variant: str, targets: tuple[str, ...], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    peft, transformers = references()
    model = make_model(make_config(variant, tokenizer.vocab_size))
    base = logits(model)
    unmerged = written(tmp_path, model, tokenizer, targets)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "base", attn_implementation="eager"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # as of keys that peft does not know
        with_theirs = peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter").eval()
    ours = logits(unmerged.double())
    torch.testing.assert_close(logits(with_theirs.double()), ours, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        logits(open_model(tmp_path / "adapter", CPU).model).double(), ours, atol=1e-4, rtol=0
    )
    assert (ours - base).abs().max() > 0.1


@pytest.mark.parametrize("variant", ["llama", "gpt2", "phi3"])
def test_what_peft_writes_is_opened(variant: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    peft, transformers = references()
    save_model(make_model(make_config(variant, tokenizer.vocab_size)), tmp_path / "base", tokenizer)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "base", attn_implementation="eager"
    )
    config = peft.LoraConfig(
        r=4,
        target_modules="all-linear",
        use_rslora=variant == "llama",
        alpha_pattern={"1.mlp.c_proj" if variant == "gpt2" else "1.mlp.down_proj": 3},
        fan_in_fan_out=variant == "gpt2",
    )
    with_theirs = peft.get_peft_model(theirs, config)
    with torch.no_grad():
        for name, parameter in with_theirs.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    with_theirs.save_pretrained(tmp_path / "adapter")
    opened = open_model(tmp_path / "adapter", CPU)
    torch.testing.assert_close(
        logits(opened.model), logits(with_theirs.eval()), atol=1e-4, rtol=1e-4
    )
    assert opened.tokenizer is not None, "of the base"


def test_real_llamacpp_loads_the_exported_adapter(tokenizer: Tokenizer, tmp_path: Path) -> None:
    from real_llamacpp import largest_differences, order

    orders, changed = [], []
    for variant in FAMILIES:
        folder = tmp_path / variant
        model = make_model(make_config(variant, tokenizer.vocab_size))
        write_gguf(model, tokenizer, tmp_path / f"{variant}.gguf", quantization="f32", name="tiny")
        plain = order(tmp_path / f"{variant}.gguf", copy.deepcopy(model), tokenizer.vocab_size)
        written(folder, model, tokenizer)
        opened = open_model(folder / "adapter", CPU)
        export(opened, "gguf-adapter", folder / "lora.gguf")
        orders.append(replace(plain, model=opened.model, adapter=str(folder / "lora.gguf")))
        changed.append(replace(plain, model=opened.model))
    for variant, found in zip(FAMILIES, largest_differences(orders), strict=True):
        assert found < (1e-4 if make_config(variant, 300).feedforward == "swiglu" else 1e-2), (
            variant
        )
    assert min(largest_differences(changed)) > 0.1, "without the adapter it is another model"


def test_convert_checks_the_adapter_beside_its_base(
    tokenizer: Tokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model(make_config("llama", tokenizer.vocab_size))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    written(tmp_path, model, tokenizer)
    command = [
        "convert",
        str(tmp_path / "adapter"),
        "--to",
        "gguf-adapter",
        "--out",
        str(tmp_path / "lora.gguf"),
    ]
    assert run([*command, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["checked"]["passed"] and len(result["checked"]["checks"]) == 5
    assert (tmp_path / "lora.gguf").stat().st_size < 60_000
    command[1] = str(tmp_path / "base")
    assert run(command) == 2
    assert "is a whole model, not an adapter" in " ".join(capsys.readouterr().err.split())


def test_an_adapter_is_opened_by_its_folder_as_a_model(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    unmerged = written(tmp_path, make_model(make_config("llama", tokenizer.vocab_size)), tokenizer)
    summary = read_model_summary(str(tmp_path / "adapter"))
    assert (
        summary.name == "adapter"
        and summary.config == unmerged.config
        and "an adapter of" in summary.source
    )
    opened = open_model(tmp_path / "adapter", CPU)
    assert opened.path == tmp_path / "adapter" and opened.adapter.base == str(tmp_path / "base")
    expected = logits(unmerged)
    merge_lora(unmerged)
    assert torch.equal(logits(unmerged), logits(opened.model))
    torch.testing.assert_close(logits(opened.model), expected, atol=1e-4, rtol=1e-4)
    export(opened, "hf", tmp_path / "merged")
    assert torch.equal(logits(open_model(tmp_path / "merged", CPU).model), logits(opened.model))


def test_several_adapters_share_the_weights_of_one_base(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    model = make_model(make_config("llama", tokenizer.vocab_size))
    before = logits(model)
    first, second = shared_copy(model), shared_copy(model)
    attach_lora(first, lora_weights(adapted(copy.deepcopy(model), rank=2)))
    attach_lora(second, lora_weights(adapted(copy.deepcopy(model), rank=5, targets=("query",))))
    assert not torch.equal(logits(first), logits(second)) and torch.equal(logits(model), before)
    pointers = {parameter.data_ptr() for parameter in model.parameters()}
    own = sum(
        parameter.numel()
        for parameter in first.parameters()
        if parameter.data_ptr() not in pointers
    )
    assert own == sum(parameter.numel() for parameter in lora_parameters(first))


def test_an_adapter_stands_beside_quantised_weights(tokenizer: Tokenizer) -> None:
    model = make_model(make_config("llama", tokenizer.vocab_size)).bfloat16()
    weights = lora_weights(adapted(copy.deepcopy(model).float()))
    expected = copy.deepcopy(model)
    attach_lora(expected, weights)
    quantise(model, "int8")
    attach_lora(model, weights)
    off = (logits(model) - logits(expected)).abs().mean() / logits(expected).abs().mean()
    assert off < 0.05


def test_an_adapter_for_another_base_is_one_sentence(tokenizer: Tokenizer, tmp_path: Path) -> None:
    written(tmp_path, make_model(make_config("llama", tokenizer.vocab_size)), tokenizer)
    other = make_model(make_config("llama", tokenizer.vocab_size), seed=5)
    save_model(other, tmp_path / "base", tokenizer)
    with pytest.raises(ModelError, match="was trained on another base"):
        open_model(tmp_path / "adapter", CPU)
    save_model(make_model(make_config("qwen2", tokenizer.vocab_size)), tmp_path / "base", tokenizer)
    with pytest.raises((ModelError, FormatError)):
        open_model(tmp_path / "adapter", CPU)
    (tmp_path / "base").rename(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="is not there"):
        open_model(tmp_path / "adapter", CPU)


def test_a_build_that_was_moved_finds_the_base_of_its_adapter(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, moved = tmp_path / "build", tmp_path / "moved"
    build.mkdir()
    (build / BUILD_FILE).write_text("{}")
    both = written(build, make_model(make_config("llama", tokenizer.vocab_size)), tokenizer)
    assert base_name(build / "adapter") == "../base"
    build.rename(moved)
    monkeypatch.chdir(moved / "base")  # a relative path here is not the caller's
    assert base_path(moved / "adapter") == moved / "base"
    opened = open_model(moved / "adapter", CPU).model
    assert torch.allclose(logits(opened), logits(both), atol=1e-4)
    change_config(moved / "adapter", base_model_name_or_path=str(moved / "base"))  # as before
    assert base_path(moved / "adapter") == moved / "base"


def test_a_base_elsewhere_is_named_by_its_whole_path(tokenizer: Tokenizer, tmp_path: Path) -> None:
    written(tmp_path, make_model(make_config("llama", tokenizer.vocab_size)), tokenizer)
    assert base_name(tmp_path / "adapter") == str(tmp_path / "base")


def test_the_base_is_known_in_bf16_and_where_its_matrices_are_quantised(
    tokenizer: Tokenizer,
) -> None:
    model = make_model(make_config("llama", tokenizer.vocab_size))
    adapter = Adapter({}, "base", base_hashes(model))
    require_base(adapter, copy.deepcopy(model).bfloat16(), Path("a"), "b")
    packed = copy.deepcopy(model).bfloat16()
    quantise(packed, "int8")
    assert base_hashes(packed).keys() == {"outside"}
    require_base(adapter, packed, Path("a"), "b")
    with pytest.raises(ModelError):
        require_base(adapter, make_model(model.config, seed=1), Path("a"), "b")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda config: config.update(peft_type="IA3"), "peft_type"),
        (lambda config: config.update(use_dora=True), "use_dora"),
        (lambda config: config.update(modules_to_save=["lm_head"]), "modules_to_save"),
        (lambda config: config.update(bias="all"), "bias"),
        (lambda config: config.update(lora_alpha="much"), "lora_alpha"),
        (lambda config: config.update(lora_alpha=10**400), "lora_alpha"),
        (lambda config: config.update(lora_alpha=float("nan")), "lora_alpha"),
        (lambda config: config.update(alpha_pattern=["q_proj"]), "alpha_pattern"),
        (lambda config: config.update(alpha_pattern=5), "alpha_pattern"),
        (lambda config: config.update(alpha_pattern={"q_proj": 10**400}), "alpha_pattern"),
        (lambda config: config.update(alpha_pattern={"q_proj": "1"}), "alpha_pattern"),
        (lambda config: config.pop("base_model_name_or_path"), "base_model_name_or_path"),
        (
            lambda config: config.update(base_model_name_or_path="b" * 5000),
            "base_model_name_or_path",
        ),
        (lambda config: config.update(base_model_name_or_path="\ud800"), "base_model_name_or_path"),
    ],
)
def test_what_is_no_plain_lora_is_refused(
    change: ChangeConfig, why: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    written(tmp_path, make_model(make_config("llama", tokenizer.vocab_size)), tokenizer)
    file = tmp_path / "adapter" / "adapter_config.json"
    config = json.loads(file.read_text())
    change(config)
    file.write_text(json.dumps(config))
    with pytest.raises(FormatError, match=why):
        open_model(tmp_path / "adapter", CPU)


def change_config(adapter: Path, **changes: object) -> None:
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_base_with_too_long_a_name_or_that_is_the_adapter_itself_is_one_sentence(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    written(tmp_path, make_model(make_config("llama", tokenizer.vocab_size)), tokenizer)
    for base in ("b" * 300, str(tmp_path / "adapter")):
        change_config(tmp_path / "adapter", base_model_name_or_path=base)
        with pytest.raises(ModelError, match="not there|without end"):
            open_model(tmp_path / "adapter", CPU)


def test_a_table_of_two_hundred_thousand_alphas_is_looked_up_and_never_searched(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took over 30 s: an expression for each key and matrix."""
    both = written(tmp_path, make_model(make_config("llama", tokenizer.vocab_size)), tokenizer)
    many = {f"model.layers.{n}.no_such_proj": 1 for n in range(200_000)}
    change_config(tmp_path / "adapter", alpha_pattern=many)
    monkeypatch.setattr("re.escape", None)  # it would be called
    opened = open_model(tmp_path / "adapter", CPU).model
    assert torch.allclose(logits(opened), logits(both), atol=1e-4)


@pytest.mark.parametrize(
    "pattern", [{"q_proj": 2, "self_attn.q_proj": 3}, {"self_attn.q_proj": 3, "q_proj": 2}]
)
def test_the_first_alpha_whose_name_ends_a_modules_is_taken(pattern: dict[str, float]) -> None:
    config = AdapterConfig("base", 8.0, pattern, divides_by_root=False)
    assert config.alpha_of("model.layers.0.self_attn.q_proj") == next(iter(pattern.values()))
    assert (
        config.alpha_of("q_proj") == 2 and config.alpha_of("model.layers.0.self_attn.vq_proj") == 8
    )


def test_alphas_are_read_through_once_for_all_modules() -> None:
    """Two names that fit each module took a walk through all names for each."""

    class Watched(dict[str, float]):
        walks = 0

        def items(self) -> Any:
            self.walks += 1
            return super().items()

        def __iter__(self) -> Iterator[str]:
            self.walks += 1
            return super().__iter__()

    alphas = Watched({"other": 1.0, "q_proj": 2.0, "self_attn.q_proj": 3.0})
    config = AdapterConfig("base", 8.0, alphas, divides_by_root=False)
    assert {config.alpha_of(f"layers.{n}.self_attn.q_proj") for n in range(50)} == {2.0}
    assert alphas.walks <= 1


def test_damaged_weights_of_an_adapter_are_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    written(tmp_path, make_model(make_config("llama", tokenizer.vocab_size)), tokenizer)
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if "lora_A" in name)
    for changed in (
        {**tensors, name: tensors[name][:, 1:].contiguous()},
        {**tensors, name: tensors[name] * float("nan")},
        {**tensors, "base_model.model.lm_head.lora_A.weight": tensors[name].clone()},
        {each: tensor for each, tensor in tensors.items() if each != name},
        {"x": tensors[name]},
    ):
        save_file(changed, file)
        with pytest.raises(FormatError):
            open_model(tmp_path / "adapter", CPU)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(FormatError):
        open_model(tmp_path / "adapter", CPU)
