"""Surprise and entropy: as the engine scores, as the formula says, and words that together have all bits."""

import json
import math

import pytest
import torch

from groundup.device import Compute
from groundup.engine.score import score
from groundup.errors import DataError, ModelError
from groundup.lab.predictions import surprise, word_bits
from groundup.lab.stream import document_ids
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer

SENTENCE = "To be, or not to be: the question"


def test_bits_are_the_engines_log_probabilities_in_base_two(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    begin, *ids = document_ids(model, tokenizer, SENTENCE)
    (scored,) = score(model, [([begin], ids)], compute=Compute(torch.device("cpu")))
    picture = surprise(model, tokenizer, SENTENCE)
    assert [token["bits"] for token in picture["tokens"]] == pytest.approx(
        [-logprob / math.log(2) for logprob in scored.token_logprobs], abs=1e-3
    )
    assert picture["bits_per_token"] == pytest.approx(
        -scored.logprob / math.log(2) / len(ids), abs=1e-3
    )


def test_a_model_that_knows_nothing_has_log2_of_the_vocabulary_everywhere(
    tokenizer: Tokenizer, model: LanguageModel
) -> None:
    """All weights zero: every token is as probable as any, surprise and entropy are log2 V."""
    nothing = LanguageModel(model.config)
    with torch.no_grad():
        for parameter in nothing.parameters():
            parameter.zero_()
    picture = surprise(nothing, tokenizer, SENTENCE)
    bits = math.log2(model.config.vocab_size)
    for token in picture["tokens"]:
        assert token["bits"] == pytest.approx(bits, abs=1e-3)
        assert token["entropy_bits"] == pytest.approx(bits, abs=1e-3)
    words = len(SENTENCE.split())
    assert picture["bits_per_word"] == pytest.approx(
        bits * len(picture["tokens"]) / words, abs=1e-3
    )


def test_expected_tokens_are_the_most_probable_ones_in_order(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    picture = surprise(model, tokenizer, SENTENCE, top=3)
    ids = document_ids(model, tokenizer, SENTENCE)
    probabilities = model(torch.tensor([ids]))[0].detach().softmax(dim=-1)
    shown = [token["expected"] for token in picture["tokens"]] + [picture["next"]]
    for row, expected in zip(probabilities, shown, strict=True):
        assert [entry["id"] for entry in expected] == row.topk(3).indices.tolist()
        assert [entry["probability"] for entry in expected] == pytest.approx(
            row.topk(3).values.tolist(), abs=1e-5
        )


@pytest.mark.parametrize("text", [SENTENCE, "  two\n\n words  ", "naïve 🙂 to", "be"])
def test_words_together_have_the_bits_and_the_tokens_of_the_text(
    model: LanguageModel, tokenizer: Tokenizer, text: str
) -> None:
    picture = surprise(model, tokenizer, text)
    assert [word["text"] for word in picture["words"]] == text.split()
    assert sum(word["tokens"] for word in picture["words"]) == len(picture["tokens"])
    total = sum(token["bits"] for token in picture["tokens"])
    assert sum(word["bits"] for word in picture["words"]) == pytest.approx(total, abs=0.01)


def test_a_space_counts_for_the_word_behind_it(tokenizer: Tokenizer) -> None:
    _, offsets = tokenizer.encode_offsets("x   be")
    bits = [float(place) for place in range(len(offsets))]
    first, second = word_bits(tokenizer, "x   be", bits)
    assert (first["bits"], first["tokens"]) == (0.0, 1)
    assert second["tokens"] == len(offsets) - 1


def test_a_text_of_spaces_has_bits_but_no_words(model: LanguageModel, tokenizer: Tokenizer) -> None:
    picture = surprise(model, tokenizer, " \n")
    assert picture["words"] == []
    assert picture["bits_per_word"] is None
    assert picture["bits_per_token"] > 0


def test_picture_is_plain_json(model: LanguageModel, tokenizer: Tokenizer) -> None:
    picture = surprise(model, tokenizer, SENTENCE)
    assert json.loads(json.dumps(picture)) == picture


def test_bad_requests_are_refused(model: LanguageModel, tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match="At least 1"):
        surprise(model, tokenizer, SENTENCE, top=0)
    with pytest.raises(ModelError, match="longer than the model's context"):
        surprise(model, tokenizer, SENTENCE * 20)
    assert len(surprise(model, tokenizer, "be", top=10**6)["next"]) == model.config.vocab_size
