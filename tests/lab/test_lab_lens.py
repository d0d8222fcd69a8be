"""The logit lens: the stream read at every layer by the model's own head, and the last layer is the model itself."""

import json
import math

import pytest
import torch

from groundup.errors import DataError, ModelError
from groundup.lab.predictions import lens_logits, logit_lens
from groundup.lab.stream import begin_id, document_ids, require_layer, stream
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel, initialise
from groundup.tokenizer.fast import Tokenizer

SENTENCE = "To be, or not to be"


def test_last_layer_equals_the_models_own_logits(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    ids = document_ids(model, tokenizer, SENTENCE)
    *_, last = stream(model.transformer, ids)
    ((logits, following),) = lens_logits(model, last, ids)
    assert torch.equal(logits, model(torch.tensor([ids]))[0])
    assert following == [*ids[1:], None]


@pytest.mark.parametrize("block", ["pre", "post", "output", "sandwich", "parallel"])
def test_last_layer_is_the_model_in_every_kind_of_block(block: str, tokenizer: Tokenizer) -> None:
    shape = {
        "width": 32,
        "num_layers": 3,
        "num_heads": 4,
        "feedforward_width": 64,
        "scaled_embedding": True,
    }
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, context_tokens=32, block=block, logit_softcap=30.0, **shape
    )
    model = LanguageModel(config)
    initialise(model, torch.Generator().manual_seed(0))
    ids = document_ids(model, tokenizer, SENTENCE)
    *_, last = stream(model.transformer, ids)
    ((logits, _),) = lens_logits(model, last, ids)
    torch.testing.assert_close(logits, model(torch.tensor([ids]))[0].detach())


def test_stream_begins_with_the_embedding_and_has_one_state_more_than_blocks(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    ids = document_ids(model, tokenizer, SENTENCE)
    states = list(stream(model.transformer, ids))
    assert len(states) == model.config.num_layers + 1
    assert torch.equal(states[0], model.transformer.embed(torch.tensor([ids]))[0])
    assert not any(state.requires_grad for state in states)


def test_a_stream_that_is_not_read_to_its_end_leaves_gradients_on(model: LanguageModel) -> None:
    next(stream(model.transformer, [1, 2]))
    assert torch.is_grad_enabled()


def test_picture_holds_guess_probability_and_rank_of_the_truth(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    picture = logit_lens(model, tokenizer, SENTENCE)
    ids = [piece["id"] for piece in picture["pieces"]]
    probabilities = model(torch.tensor([ids]))[0].detach().softmax(dim=-1)
    last = picture["layers"][-1]
    for place, cell in enumerate(last["cells"][:-1]):
        row, truth = probabilities[place], ids[place + 1]
        assert cell["id"] == int(row.argmax())
        assert cell["probability"] == pytest.approx(float(row.max()), abs=1e-5)
        assert cell["rank"] == 1 + int((row > row[truth]).sum())
        assert cell["bits"] == pytest.approx(-math.log2(float(row[truth])), abs=1e-3)
    assert last["cells"][-1]["rank"] is None  # nothing is known to come behind the last token
    assert last["bits_per_token"] == pytest.approx(
        sum(cell["bits"] for cell in last["cells"][:-1]) / (len(ids) - 1), abs=1e-3
    )
    assert [layer["layer"] for layer in picture["layers"]] == [0, 1, 2]


def test_with_a_tied_head_layer_zero_names_the_token_itself(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    picture = logit_lens(model, tokenizer, SENTENCE)
    cells, pieces = picture["layers"][0]["cells"], picture["pieces"]
    assert [cell["id"] for cell in cells] == [piece["id"] for piece in pieces]


def test_the_first_piece_begins_a_document(model: LanguageModel, tokenizer: Tokenizer) -> None:
    picture = logit_lens(model, tokenizer, SENTENCE)
    assert picture["pieces"][0]["id"] == begin_id(tokenizer) == tokenizer.special.document_end_id
    assert tokenizer.decode(piece["id"] for piece in picture["pieces"][1:]) == SENTENCE


def test_picture_is_plain_json(model: LanguageModel, tokenizer: Tokenizer) -> None:
    picture = logit_lens(model, tokenizer, SENTENCE)
    assert json.loads(json.dumps(picture)) == picture


def test_what_a_lens_cannot_be_laid_on_is_refused(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    with pytest.raises(ModelError, match="longer than the model's context: 31 after the token"):
        logit_lens(model, tokenizer, SENTENCE * 20)
    with pytest.raises(DataError, match="text is empty"):
        logit_lens(model, tokenizer, "")
    with pytest.raises(ModelError, match="no tokenizer"):
        logit_lens(model, None, SENTENCE)
    with pytest.raises(ModelError, match="classifier"):
        logit_lens(Classifier(model.config, 2), tokenizer, SENTENCE)


@pytest.mark.parametrize("layer", [-1, 3])
def test_an_unknown_layer_is_refused_with_the_range(model: LanguageModel, layer: int) -> None:
    with pytest.raises(ModelError, match=r"no layer .* 0 \(the embedding\) to 2"):
        require_layer(model, layer)
