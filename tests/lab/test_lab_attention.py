"""Attention records: true to the model, and heads chosen by a measured pattern."""

import json

import pytest
import torch

from groundup.errors import DataError, ModelError
from groundup.lab.attention import (
    attention_from,
    attention_maps,
    attention_picture,
    attention_record,
    clearest_heads,
    example_sentence,
    pattern_scores,
    patterns,
)
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer

SENTENCE = "To be, or not to be, that is the question"
# A text of six tokens in which the fourth is the second again, and the sixth the fourth.
IDS = [5, 7, 6, 7, 8, 7]


def pointing_maps() -> torch.Tensor:
    """One layer of four heads of which each looks at one place only: before, first, same, itself."""
    size = len(IDS)
    targets = (
        [max(t - 1, 0) for t in range(size)],
        [0] * size,
        [0, 1, 2, 1, 4, 3],
        list(range(size)),
    )
    return torch.stack(
        [torch.nn.functional.one_hot(torch.tensor(places), size).float() for places in targets]
    )[None]


@pytest.mark.parametrize(("kind", "head"), [("previous", 0), ("first", 1), ("same", 2)])
def test_a_head_with_one_pattern_scores_one_in_it_and_is_chosen(kind: str, head: int) -> None:
    maps = pointing_maps()
    assert pattern_scores(maps, patterns(IDS)[kind])[0, head] == 1.0
    assert (kind, 0, head, 1.0) in clearest_heads(maps, IDS)


def test_looking_at_oneself_is_none_of_the_patterns() -> None:
    assert all(
        pattern_scores(pointing_maps(), places)[0, 3] == 0 for places in patterns(IDS).values()
    )


def test_same_pattern_counts_every_earlier_copy() -> None:
    uniform = torch.tril(torch.ones(6, 6))[None, None] / torch.arange(1, 7)[:, None]
    # fourth token: 1 copy of 4 places; sixth: 2 of 6
    assert pattern_scores(uniform, patterns(IDS)["same"]).item() == pytest.approx(
        (1 / 4 + 2 / 6) / 2
    )


def test_a_text_without_repeats_shows_no_same_pattern() -> None:
    maps = pointing_maps()[:, :, :3, :3]
    assert [kind for kind, *_ in clearest_heads(maps, [5, 7, 6])] == ["previous", "first"]


def test_no_head_is_shown_twice(model: LanguageModel, tokenizer: Tokenizer) -> None:
    record = attention_record(model, tokenizer, SENTENCE)
    places = [(head["block"], head["head"]) for head in record["heads"]]
    assert len(places) == len(set(places)) == 3
    assert record["heads_in_all"] == 8


def test_weights_are_the_models_and_each_row_sums_to_one(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    record = attention_record(model, tokenizer, SENTENCE, max_tokens=12)
    ids = [piece["id"] for piece in record["pieces"]]
    assert ids == tokenizer.encode(SENTENCE)[:12]
    whole = model.transformer.attention_maps(torch.tensor([ids]))[:, 0]
    for head in record["heads"]:
        weights = torch.tensor(head["weights"])
        torch.testing.assert_close(
            weights, whole[head["block"] - 1, head["head"] - 1].detach(), atol=1e-4, rtol=0
        )
        torch.testing.assert_close(weights.sum(dim=1), torch.ones(12), atol=1e-3, rtol=0)
        assert not weights.triu(1).any()


def test_record_is_plain_json(model: LanguageModel, tokenizer: Tokenizer) -> None:
    record = attention_record(model, tokenizer, SENTENCE)
    assert json.loads(json.dumps(record)) == record


def test_no_text_gives_an_empty_record(model: LanguageModel, tokenizer: Tokenizer) -> None:
    assert attention_record(model, tokenizer, "")["heads"] == []
    assert attention_record(model, tokenizer, "x")["heads"] == []


def test_long_text_is_cut_to_the_models_context(model: LanguageModel, tokenizer: Tokenizer) -> None:
    record = attention_record(model, tokenizer, SENTENCE * 5, max_tokens=500)
    assert len(record["pieces"]) == model.config.context_tokens


def test_one_map_for_each_head(model: LanguageModel) -> None:
    assert attention_maps(model, [1, 2, 3]).shape == (2, 4, 3, 3)


def test_example_sentence_is_the_line_with_most_repeats(tokenizer: Tokenizer) -> None:
    texts = [
        "short\nwhether 'tis nobler in the mind",
        "to be to be to be to be to be\nthat is the question",
    ]
    assert example_sentence(tokenizer, texts) == "to be to be to be to be to be"


def test_example_sentence_of_one_long_line_is_its_beginning(tokenizer: Tokenizer) -> None:
    found = example_sentence(tokenizer, [SENTENCE * 20], max_tokens=10)
    assert SENTENCE.startswith(found)
    assert len(tokenizer.encode(found)) == 10
    assert example_sentence(tokenizer, [" \n"]) == ""


def test_picture_holds_every_head_of_the_blocks_that_were_asked_for(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    picture = attention_picture(model, tokenizer, SENTENCE)
    assert json.loads(json.dumps(picture)) == picture
    assert [(head["block"], head["head"]) for head in picture["heads"]] == [
        (b, h) for b in (1, 2) for h in (1, 2, 3, 4)
    ]
    whole = attention_maps(model, tokenizer.encode(SENTENCE))
    for head in picture["heads"]:
        expected = whole[head["block"] - 1, head["head"] - 1]
        torch.testing.assert_close(torch.tensor(head["weights"]), expected, atol=1e-4, rtol=0)
    second = attention_picture(model, tokenizer, SENTENCE, blocks=[2])
    assert second["heads"] == picture["heads"][4:]


def test_a_tokens_look_is_the_mean_over_the_heads_of_each_block(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    picture = attention_picture(model, tokenizer, SENTENCE)
    record = attention_from(picture, 5)
    assert record["blocks"] == [1, 2]
    assert [piece["text"] for piece in record["pieces"]] == [
        piece["text"] for piece in picture["pieces"][:5]
    ]
    expected = attention_maps(model, tokenizer.encode(SENTENCE))[:, :, 4, :5].mean(dim=1)
    torch.testing.assert_close(torch.tensor(record["shares"]), expected, atol=2e-4, rtol=0)


def test_what_is_not_there_is_refused_with_what_is(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    with pytest.raises(ModelError, match="no block 3. Its blocks are 1 to 2"):
        attention_picture(model, tokenizer, SENTENCE, blocks=[3])
    with pytest.raises(ModelError, match="no tokenizer"):
        attention_picture(model, None, SENTENCE)
    with pytest.raises(DataError, match="needs a text"):
        attention_picture(model, tokenizer, "")
    with pytest.raises(ModelError, match="longer than the model's context of 32"):
        attention_picture(model, tokenizer, "be " * 40)
    picture = attention_picture(model, tokenizer, "To be")
    for token in (0, len(picture["pieces"]) + 1):
        with pytest.raises(
            DataError, match=f"no token {token}. Its tokens are 1 to {len(picture['pieces'])}"
        ):
            attention_from(picture, token)
