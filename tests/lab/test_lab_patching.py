"""Activation patching and causal tracing, against plain forward hooks on one run at a time."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from groundup.cli.main import run
from groundup.errors import DataError, ModelError
from groundup.lab.drawing.tracing import draw_trace, trace_title
from groundup.lab.hooks import SITES, Site, changed, read_activations
from groundup.lab.patching import causal_trace, patch, set_weight
from groundup.lab.stream import document_ids
from groundup.lab.values import CausalTrace
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel, initialise
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import save_model

CLEAN, CORRUPTED = "or not to be, that", "or not to suffer it, that"
# One of each kind of block, position and feed-forward network.
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "gpt2": {
        "norm": "layer",
        "positions": "learned",
        "feedforward": "gelu",
        "attention_bias": True,
        "attention_output_bias": True,
        "num_kv_heads": 4,
    },
    "gemma2": {"block": "sandwich", "window_tokens": 4, "full_every": 2, "score_softcap": 5.0},
    "olmo2": {"block": "output", "qk_norm": "projection", "tied_head": False},
    "post": {"block": "post", "norm": "layer"},
    "parallel": {"block": "parallel", "positions": "alibi"},
    "experts": {"num_experts": 4, "experts_per_token": 2},
}


def family(tokenizer: Tokenizer, name: str) -> LanguageModel:
    shape = {"width": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2}
    sizes = {"vocab_size": tokenizer.vocab_size, "context_tokens": 32, "feedforward_width": 48}
    model = LanguageModel(ModelConfig(**{**shape, **sizes, **FAMILIES[name]}))  # type: ignore[arg-type]
    initialise(model, torch.Generator().manual_seed(4), deviation=0.3)
    return model.eval()


def by_hand(
    model: LanguageModel, site: Site, number: int, ids: list[int], change: Callable[[Tensor], None]
) -> Tensor:
    """The next token's logits where `change` writes into the activations [T, ...] of a site: PyTorch's
    own hooks on the module that gives them."""
    block = model.transformer.block(max(0, number - 1))

    def after(_: object, __: object, output: Tensor) -> Tensor:
        output = output.clone()
        change(output[0])
        return output

    def before(_: object, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return after(None, None, inputs[0]), *inputs[1:]

    if site == "head":
        handle = block.attention.output.register_forward_pre_hook(before)
    elif site == "stream":
        register = block.register_forward_hook if number else block.register_forward_pre_hook
        handle = register(after if number else before)  # type: ignore[operator]
    else:
        handle = getattr(block, site).register_forward_hook(after)
    with torch.no_grad():
        logits = model(torch.tensor([ids]))[0, -1]
    handle.remove()
    return logits


def recorded(model: LanguageModel, site: Site, number: int, ids: list[int]) -> Tensor:
    seen: list[Tensor] = []
    by_hand(model, site, number, ids, lambda values: seen.append(values.clone()))
    return seen[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_cell_is_what_plain_hooks_give(tokenizer: Tokenizer, name: str) -> None:
    model = family(tokenizer, name)
    trace = causal_trace(model, tokenizer, CLEAN, CORRUPTED)
    clean, corrupted = (document_ids(model, tokenizer, text) for text in (CLEAN, CORRUPTED))
    lengths, n, width = (len(clean), len(corrupted)), len(trace["pieces"]), model.config.head_width
    assert n == min(lengths)
    answer, wrong = trace["answer"]["id"], trace["wrong"]["id"]

    def difference(logits: Tensor) -> float:
        return float(logits[answer] - logits[wrong])

    with torch.no_grad():
        low, high = (difference(model(torch.tensor([ids]))[0, -1]) for ids in (corrupted, clean))
    for site in trace["sites"]:
        name, is_head = site["site"], site["site"] == "head"
        for number, row in enumerate(site["restored"], start=site["first"]):
            values = recorded(model, name, number, clean)  # type: ignore[arg-type]
            for place, share in enumerate(row):
                span = range(n) if is_head else [place]
                part = slice(place * width, (place + 1) * width) if is_head else slice(None)

                def put(
                    found: Tensor, values: Tensor = values, span: Any = span, part: slice = part
                ) -> None:
                    for each in span:
                        found[len(found) - n + each, part] = values[len(values) - n + each, part]

                logits = by_hand(model, name, number, corrupted, put)  # type: ignore[arg-type]
                expected = (difference(logits) - low) / (high - low)
                assert share == pytest.approx(expected, abs=2e-4), (name, number, place)
                found = site["probability"][number - site["first"]][place]
                assert found == pytest.approx(float(logits.softmax(-1)[answer]), abs=1e-5)
    assert json.loads(json.dumps(trace)) == trace


@pytest.mark.parametrize("name", FAMILIES)
def test_activations_and_patches_are_those_of_plain_hooks(tokenizer: Tokenizer, name: str) -> None:
    model = family(tokenizer, name)
    clean, corrupted = (document_ids(model, tokenizer, text) for text in (CLEAN, CORRUPTED))
    found, places = read_activations(model, clean), [2, 5]
    for site in SITES:
        number, head = 2, 3 if site == "head" else None
        values = found.at(site, number)
        assert torch.equal(values.flatten(1), recorded(model, site, number, clean))
        values = values[places] if head is None else values[places, head - 1]
        with patch(model, site, number, tokens=places, values=values, head=head), torch.no_grad():
            logits = model(torch.tensor([corrupted]))[0, -1]

        def put(into: Tensor, values: Tensor = values, head: int | None = head) -> None:
            part = into if head is None else into.unflatten(-1, (4, -1))[:, head - 1]
            part[places] = values

        assert torch.equal(logits, by_hand(model, site, number, corrupted, put))


def test_the_whole_stream_of_the_clean_text_restores_everything(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    """Texts of one length that differ in one word: before block 1 its token alone carries it, after
    the last block the last token alone, and tokens before it restore nothing."""
    clean, corrupted = "or not to be, that", "or not to be: that"
    trace = causal_trace(model, tokenizer, clean, corrupted)
    stream = trace["sites"][0]["restored"]
    changed_at = [
        a["id"] != b["id"] for a, b in zip(trace["pieces"], trace["corrupted_pieces"], strict=True)
    ]
    assert sum(changed_at) == 1
    place = changed_at.index(True)
    assert stream[0] == [
        pytest.approx(float(each == place), abs=1e-4) for each in range(len(stream[0]))
    ]
    assert stream[-1] == [0.0] * (len(stream[0]) - 1) + [pytest.approx(1.0, abs=1e-4)]
    assert all(
        row[:place] == [0.0] * place for site in trace["sites"][:3] for row in site["restored"]
    )
    assert "of the difference is in" in trace_title(trace)
    back = causal_trace(model, tokenizer, corrupted, clean)
    assert (back["answer"], back["wrong"]) == (trace["wrong"], trace["answer"])


def test_a_weight_by_hand_is_that_of_the_head(tokenizer: Tokenizer) -> None:
    """The head's mix of values with the edited weights, written into a plain hook."""
    for name in ("llama", "gpt2", "gemma2"):
        model = family(tokenizer, name)
        ids = document_ids(model, tokenizer, CLEAN)[:6]
        with torch.no_grad():
            weights = model.transformer.attention_maps(torch.tensor([ids]))[1, 0, 2, 5].clone()
            block = model.transformer.block(1)
            hidden = block.attention_input(read_activations(model, ids).stream[1][None])[0]
            values = block.attention.value(hidden).unflatten(-1, (-1, model.config.head_width))
        others = weights.sum() - weights[4]
        edited = weights * (1 - 0.7) / others
        edited[4] = 0.7
        assert float(edited.sum()) == pytest.approx(1)
        mixed = edited @ values[:, 2 * model.config.num_kv_heads // 4]

        def put(found: Tensor, mixed: Tensor = mixed) -> None:
            found.unflatten(-1, (4, -1))[5, 2] = mixed

        expected = by_hand(model, "head", 2, ids, put)
        with set_weight(model, 2, 3, query=5, key=4, weight=0.7), torch.no_grad():
            torch.testing.assert_close(model(torch.tensor([ids]))[0, -1], expected)
        with torch.no_grad():
            assert not torch.allclose(model(torch.tensor([ids]))[0, -1], expected)
    with (
        pytest.raises(DataError, match="does not see"),
        set_weight(model, 1, 1, query=1, key=3, weight=0.5),
    ):
        model(torch.tensor([ids]))
    with (
        pytest.raises(DataError, match="0 to 1"),
        set_weight(model, 1, 1, query=1, key=0, weight=2),
    ):
        pass


def test_a_fast_step_does_not_bypass_the_hooks(model: LanguageModel) -> None:
    model = copy.copy(model)
    step = model.decode_step = object()  # type: ignore[assignment]
    with changed(model, "stream", 1, lambda found: found):
        assert model.decode_step is None
    assert model.decode_step is step


@pytest.mark.parametrize(
    ("texts", "named", "sentence"),
    [
        (("to be", "to be"), {}, "Both texts are the same"),
        (("", "to be"), {}, "text is empty"),
        (("to be", "to suffer"), {"answer": "not to be"}, "is not one token"),
        (("to be", "to suffer"), {"answer": "o", "wrong": "o"}, "same token"),
    ],
)
def test_bad_pairs_are_refused(
    model: LanguageModel, tokenizer: Tokenizer, texts: Any, named: Any, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        causal_trace(model, tokenizer, *texts, **named)


def test_other_bad_requests_are_refused(model: LanguageModel, tokenizer: Tokenizer) -> None:
    found = causal_trace(model, tokenizer, "to be", "to suffer", answer="b", wrong="s")
    answers = {"answer": "s", "wrong": "b"}
    assert found["difference"]["clean"] > found["difference"]["corrupted"]
    with pytest.raises(DataError, match="does not speak for"):
        causal_trace(model, tokenizer, "to be", "to suffer", **answers)
    with pytest.raises(ModelError, match="classifier"):
        causal_trace(Classifier(model.config, 2), tokenizer, "to be", "to suffer")
    with pytest.raises(DataError, match="no site 'mlp'"), changed(model, "mlp", 1, lambda x: x):  # type: ignore[arg-type]
        pass
    with pytest.raises(ModelError, match="no layer 3.*0"), changed(model, "stream", 3, lambda x: x):
        pass
    with pytest.raises(ModelError, match="no block 0"), changed(model, "head", 0, lambda x: x):
        pass
    with pytest.raises(DataError, match="a head"):
        patch(model, "stream", 1, tokens=[0], values=torch.zeros(1, 32), head=1)


def test_the_picture_shows_every_site(model: LanguageModel, tokenizer: Tokenizer) -> None:
    trace: CausalTrace = causal_trace(model, tokenizer, CLEAN, CORRUPTED)
    figure = draw_trace(trace)
    assert len(figure.axes) == 5  # and the colour scale
    words = " ".join(text.get_text().replace("\n", " ") for text in figure.texts)
    assert "aligned from the end" in words
    assert trace["caption"] in words


def test_the_verb_traces_a_pair_and_refuses_a_bad_one(
    model: LanguageModel, tokenizer: Tokenizer, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tiny"
    save_model(model, folder, tokenizer)
    texts = ["--text", CLEAN, "--corrupted", CORRUPTED]
    assert run(["lab", str(folder), *texts, "--only", "tracing", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["views"]["tracing"]["corrupted"] == CORRUPTED
    page = ["--out", str(tmp_path / "lab.html")]
    for wrong, sentence in (
        (["--text", CLEAN, "--corrupted", CLEAN], "Both texts are the same"),
        (["--corrupted", CORRUPTED], "--text, which is missing"),
        (["--text", CLEAN, "--answer", " be"], "--corrupted TEXT"),
        ([*texts, "--live"], "Use two commands"),
    ):
        assert run(["lab", str(folder), *wrong, *page]) == 2
        assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "lab.html").exists()
