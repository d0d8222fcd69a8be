"""Encoders: our model and transformers' BertModel and MPNetModel give the same hidden states and vectors, whoever wrote the files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from lazy_module import LazyModule
from safetensors.torch import load_file, save_file
from tiny_encoder import encoder_config, save_encoder, tiny_encoder, wordpiece
from tiny_weights import CPU, randomise
from torch import Tensor

from groundup.engine.engine import Engine
from groundup.errors import ConfigError, FormatError, ModelError
from groundup.model.heads import Encoder
from groundup.weights.hf import read_hf, write_hf
from groundup.weights.model_hub import pull
from groundup.weights.model_io import open_model, read_model_summary, save_model

transformers = LazyModule("transformers")

V, T, TOLERANCE = 61, 40, 1e-5
BERT = {
    "vocab_size": V,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 48,
    "type_vocab_size": 2,
    "attn_implementation": "eager",
}
# Texts are longer than what the buckets hold one by one; two of the 50 positions are of padding.
MPNET = {
    "vocab_size": V,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 50,
}
IDS = torch.randint(3, V, (3, T), generator=torch.Generator().manual_seed(1))
TEXTS = ("the cat sat on the mat", "To be, or not to be!", "", "zebra pizza", "cats " * 40)


@pytest.fixture(scope="module", params=["bert", "mpnet"])
def theirs(request: pytest.FixtureRequest) -> torch.nn.Module:
    made = {
        "bert": lambda: transformers.BertModel(transformers.BertConfig(**BERT)),
        "mpnet": lambda: transformers.MPNetModel(transformers.MPNetConfig(**MPNET)),
    }
    return randomise(made[request.param]()).eval()


@pytest.fixture
def folder(theirs: torch.nn.Module, tmp_path: Path) -> Path:
    """Written by transformers."""
    theirs.save_pretrained(tmp_path / "theirs")
    return tmp_path / "theirs"


def padding(side: str) -> Tensor:
    columns, lengths = torch.arange(T), torch.tensor([T, 23, 1])[:, None]
    return columns < lengths if side == "right" else columns >= T - lengths


def first_position(model: torch.nn.Module) -> int:
    """The row of their table for the first token."""
    return 2 * isinstance(model, transformers.MPNetModel)


def hidden_of(model: torch.nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    positions = (mask.long().cumsum(1) - 1).clamp(min=0) + first_position(model)
    hidden: Tensor = model(
        ids, attention_mask=mask.long(), position_ids=positions
    ).last_hidden_state
    return hidden


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=0)


@torch.no_grad()
def test_hidden_states_of_their_folder_equal_theirs_whole_and_padded(
    theirs: torch.nn.Module, folder: Path
) -> None:
    ours, _ = read_hf(folder)
    assert isinstance(ours, Encoder)
    close(ours.hidden(IDS), theirs(IDS).last_hidden_state)
    for side in ("left", "right"):
        mask = padding(side)
        close(ours.hidden(IDS, mask=mask)[mask], hidden_of(theirs, IDS, mask)[mask])


def test_gradients_of_the_embedding_equal_theirs(theirs: torch.nn.Module, folder: Path) -> None:
    """It lies below everything, so that every part's backward pass is in them."""
    ours, _ = read_hf(folder)
    assert isinstance(ours, Encoder)
    weights = torch.randn(3, T, 32, generator=torch.Generator().manual_seed(2))
    tables = (ours.transformer.embedding.weight, theirs.get_input_embeddings().weight)
    states = (ours.hidden(IDS), theirs(IDS).last_hidden_state)
    found = [
        torch.autograd.grad((hidden * weights).sum(), table)[0]
        for hidden, table in zip(states, tables, strict=True)
    ]
    torch.testing.assert_close(found[0], found[1], atol=1e-3, rtol=1e-4)  # sums of hundreds


@torch.no_grad()
def test_they_open_our_folder_to_the_same_states_and_the_weights_stay_bit_for_bit(
    theirs: torch.nn.Module, folder: Path, tmp_path: Path
) -> None:
    ours, _ = read_hf(folder)
    write_hf(ours, tmp_path / "ours")
    back = transformers.AutoModel.from_pretrained(tmp_path / "ours")
    assert type(back) is type(theirs)
    close(back.eval()(IDS).last_hidden_state, theirs(IDS).last_hidden_state)
    again, _ = read_hf(tmp_path / "ours")
    assert again.config == ours.config
    assert all(
        torch.equal(tensor, again.state_dict()[name]) for name, tensor in ours.state_dict().items()
    )


@torch.no_grad()
def test_a_saved_encoder_gives_texts_the_vectors_that_transformers_gives(tmp_path: Path) -> None:
    """Mean pooling over the real tokens, normalised; a text that is too long is cut, with its end token kept."""
    engine = Engine(open_model(save_encoder(tmp_path), CPU), CPU)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    rows = tokenizer(list(TEXTS), padding=True, truncation=True, max_length=24, return_tensors="pt")
    model = transformers.AutoModel.from_pretrained(tmp_path).eval()
    mask = rows["attention_mask"][..., None]
    hidden = model(**rows).last_hidden_state * mask
    close(engine.embed(TEXTS), F.normalize(hidden.sum(1) / mask.sum(1), dim=-1))


def test_what_opens_as_an_encoder_is_one_by_its_headers_too(tmp_path: Path) -> None:
    opened = open_model(save_encoder(tmp_path), CPU)
    assert opened.kind == read_model_summary(str(tmp_path)).kind == "encoder"
    assert not (tmp_path / "generation_config.json").exists()


def test_an_encoder_that_no_class_of_transformers_computes_is_kept_in_our_own_layout(
    tmp_path: Path,
) -> None:
    words = wordpiece()
    model = Encoder(
        replace(encoder_config(words.vocab_size), positions="rope", embedding_norm=False)
    ).eval()
    save_model(model, tmp_path, words)
    opened = open_model(tmp_path, CPU)
    assert opened.kind == "encoder" and opened.config == model.config
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["GroundupModel"]
    with pytest.raises(ValueError, match="groundup"):
        transformers.AutoModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("is_decoder", True, "is_decoder"),
        ("position_embedding_type", "relative_key", "position_embedding_type"),
        ("hidden_act", "gelu_new", "hidden_act"),
        ("architectures", ["BertForMaskedLM"], "known are BertModel"),
    ],
)
def test_a_setting_that_is_not_computed_is_refused_by_name(
    tmp_path: Path, key: str, value: object, says: str
) -> None:
    folder = tmp_path / "bert"
    transformers.BertModel(transformers.BertConfig(**BERT)).save_pretrained(folder)
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(FormatError, match=says):
        read_hf(folder)


def test_a_table_of_token_types_that_is_missing_or_too_narrow_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "bert"
    transformers.BertModel(transformers.BertConfig(**BERT)).save_pretrained(folder)
    name, file = "embeddings.token_type_embeddings.weight", folder / "model.safetensors"
    whole = load_file(file)
    save_file({key: tensor for key, tensor in whole.items() if key != name}, file)
    with pytest.raises(FormatError, match=r"token_type_embeddings.*is missing"):
        read_hf(folder)
    save_file({**whole, name: torch.zeros(2, 5)}, file)
    with pytest.raises(FormatError, match=r"token_type_embeddings.*rows of 32"):
        read_hf(folder)


POOLED = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
MODULES = [{"path": "", "type": "a.Transformer"}, {"path": "1_Pooling", "type": "b.Pooling"}]


@pytest.mark.parametrize(
    ("modules", "pooling", "says"),
    [
        (MODULES, POOLED, ""),
        (MODULES, {"pooling_mode": "mean"}, ""),
        (MODULES, POOLED | {"pooling_mode_cls_token": True}, "cls_token, pooling_mode_mean"),
        (MODULES, {"pooling_mode": "lasttoken"}, "is lasttoken"),
        ([*MODULES, {"path": "2_Dense", "type": "c.Dense"}], POOLED, "has 'Dense'"),
        ({}, POOLED, "no list"),
    ],
)
def test_a_folder_of_sentence_transformers_must_take_the_mean(
    tmp_path: Path, modules: object, pooling: object, says: str
) -> None:
    save_encoder(tmp_path)
    (tmp_path / "1_Pooling").mkdir(exist_ok=True)
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    if not says:
        assert open_model(tmp_path, CPU).kind == "encoder"
        return
    with pytest.raises(FormatError, match=says):
        open_model(tmp_path, CPU)


def test_an_encoder_is_no_language_model_and_says_so(tmp_path: Path) -> None:
    own = tmp_path / "own"
    opened = open_model(save_encoder(own), CPU)
    with pytest.raises(ModelError, match="is an encoder and generates no text"):
        Engine(opened, CPU).language_model()
    file = own / "config.json"
    body = json.loads(file.read_text())
    body["groundup"] = {
        "vocab_size": 9,
        "context_tokens": 8,
        "width": 8,
        "num_layers": 1,
        "num_heads": 2,
    }
    body["groundup"] |= {"feedforward_width": 8}
    file.write_text(
        json.dumps(body | {"model_type": "groundup", "architectures": ["GroundupModel"]})
    )
    with pytest.raises(FormatError, match="whose causal is false"):
        read_hf(own)
    with pytest.raises(ConfigError, match="needs causal = false"):
        Encoder(replace(tiny_encoder(9).config, causal=True))


@pytest.fixture(scope="module", params=["all-minilm-l6-v2", "all-mpnet-base-v2"])
def published(request: pytest.FixtureRequest) -> Path:
    return pull(request.param)


HARD = (
    *("A cat sat on the mat.", "", "ﬁx Straße Ünïcödé 漢字 x\u200dy \x00 \ufffd ☃", "a" * 101),
    *("can't C++ ##ing", "e\u0301 ÅNGSTRÖM", "שלום مرحبا", "word " * 900),
)


@pytest.mark.network
@torch.no_grad()
def test_a_published_encoder_gives_the_vectors_of_its_files(
    published: Path, tmp_path: Path
) -> None:
    from groundup.weights.catalog import CATALOG
    from groundup.weights.model_hub import archive_files

    archive = CATALOG[published.name].archive
    assert archive is not None
    archive_files(archive, tmp_path)
    opened = open_model(published, CPU)
    assert (
        sum(parameter.numel() for parameter in opened.model.parameters())
        == CATALOG[published.name].parameters
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    rows = [tokenizer(text, truncation=True, max_length=512, return_tensors="pt") for text in HARD]

    def theirs(folder: Path) -> torch.Tensor:
        model = transformers.AutoModel.from_pretrained(folder).eval()
        means = [model(row["input_ids"]).last_hidden_state[0].mean(0) for row in rows]
        return F.normalize(torch.stack(means), dim=-1)

    engine, expected = Engine(opened, CPU), theirs(tmp_path)
    close(engine.embed(HARD), expected)
    close(theirs(published), expected)
    refund = engine.embed(
        ["How do I get a refund?", "Our policy on returned money.", "The train leaves at noon."]
    )
    near, far = (refund[0] @ refund[1:].T).tolist()
    assert near > far + 0.2
