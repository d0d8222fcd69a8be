"""Direct contributions: they add up to the logit, and removing a part is what plain hooks do."""

from typing import Any

import pytest
import torch

from groundup.errors import DataError, ModelError
from groundup.lab.ablation import ablate_head
from groundup.lab.circuits.contributions import contributions
from groundup.lab.circuits.top_texts import top_texts
from groundup.lab.stream import document_ids
from groundup.lab.tokens import token_text
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel
from groundup.tokenizer.fast import Tokenizer
from tests.model.conftest import KINDS

TEXT = "To be, or not to be. To suffer"


def random_model(tokenizer: Tokenizer, **choices: Any) -> LanguageModel:
    shape: dict[str, Any] = {
        "vocab_size": tokenizer.vocab_size,
        "context_tokens": 32,
        "width": 32,
        "num_layers": 3,
        "num_heads": 4,
        "num_kv_heads": 2,
        "feedforward_width": 48,
    }
    model = LanguageModel(ModelConfig(**{**shape, **choices})).eval()
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():  # biases and gains, too
            parameter.normal_(0.3, 0.4, generator=draw)
    return model


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("against", [None, " be"], ids=["mean", "token"])
def test_contributions_add_up_to_the_logit(
    kind: dict[str, Any], against: str | None, tokenizer: Tokenizer
) -> None:
    model = random_model(tokenizer, **kind)
    found = contributions(model, tokenizer, TEXT, against=against)
    ids = document_ids(model, tokenizer, TEXT)
    with torch.no_grad():
        logits = model.hidden(torch.tensor([ids]))[0, -1] @ model.head_weight.T
    other = logits.mean() if against is None else logits[tokenizer.encode(against)[0]]
    expected = float(logits.max() - other)
    assert found["decision"] == token_text(tokenizer, int(logits.argmax()))
    largest = 1 + max(
        abs(x) for part in ("heads", "feedforward") for row in found[part]["direct"] for x in row
    )
    assert found["sum"] == pytest.approx(expected, abs=2e-5 * largest)
    assert found["score"] == pytest.approx(expected, abs=2e-5 * largest)
    assert bool(found["neurons_in_all"]) == ("num_experts" not in kind)
    assert ("soft cap" in found["caption"]) == bool(model.config.logit_softcap)


def test_neurons_of_a_block_add_up_to_its_network(
    model: LanguageModel, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = model.config.num_layers * model.config.feedforward_width
    monkeypatch.setattr("groundup.lab.circuits.contributions.SHOWN_NEURONS", every)
    found = contributions(model, tokenizer, TEXT)
    for block in (1, 2):
        total = sum(each["direct"] for each in found["neurons"] if each["block"] == block)
        assert total == pytest.approx(found["feedforward"]["direct"][block - 1][0], abs=1e-3)


@torch.no_grad()
def test_the_effect_of_removing_a_part_is_that_of_plain_hooks(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    found = contributions(model, tokenizer, TEXT, token=" to", against=" be")
    ids = torch.tensor([document_ids(model, tokenizer, TEXT)])
    a, b = (tokenizer.encode(piece)[0] for piece in (" to", " be"))

    def score() -> float:
        logits = model(ids)[0, -1]
        return float(logits[a] - logits[b])

    whole = score()
    assert found["score"] == pytest.approx(whole, abs=1e-4)
    for fill in ("zero", "mean"):
        with ablate_head(model, 2, 3, fill=fill):
            assert found["heads"][fill][1][2] == pytest.approx(whole - score(), abs=1e-4)
    network = model.transformer.block(0).feedforward
    with network.register_forward_hook(lambda _, __, out: torch.zeros_like(out)):
        assert found["feedforward"]["zero"][0][0] == pytest.approx(whole - score(), abs=1e-4)
    neuron = found["neurons"][0]
    column = model.transformer.block(neuron["block"] - 1).feedforward.down.weight
    kept = column[:, neuron["neuron"] - 1].clone()
    column[:, neuron["neuron"] - 1] = 0.0
    assert neuron["zero"] == pytest.approx(whole - score(), abs=1e-4)
    column[:, neuron["neuron"] - 1] = kept


def test_top_texts_have_the_largest_activations_of_the_rows(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    rows = [
        [0, *tokenizer.encode("to be or not to be")[:5]],
        [0, *tokenizer.encode("to suffer the mind")[:5]],
    ]
    rows = [row[:4] for row in rows]
    activations = torch.tensor([[9.0, 1.0, 3.0, 2.0], [9.0, 0.0, 0.0, 4.0]])
    found = top_texts(tokenizer, rows, activations, 5)
    assert [text["activations"][text["peak"]] for text in found] == [4.0, 3.0]
    assert [piece["id"] for piece in found[1]["pieces"]] == rows[0][1:]
    assert not top_texts(tokenizer, rows, -activations, 5)
    shown = contributions(model, tokenizer, TEXT, rows=rows)["neurons"]
    assert all(len(each["texts"]) <= 2 for each in shown)
    assert any(each["texts"] for each in shown)


def test_bad_input_gets_one_sentence(model: LanguageModel, tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match="not one token"):
        contributions(model, tokenizer, TEXT, token="To be, or")
    with pytest.raises(DataError, match="compared with itself"):
        contributions(model, tokenizer, TEXT, token=" to", against=" to")
    with pytest.raises(ModelError, match="no next token"):
        contributions(Classifier(model.config, 2), tokenizer, TEXT)
