"""Vectors of words: rows of the table, means over pieces, and the stream's own states from layer 1 on."""

import json

import pytest
import torch

from groundup.errors import DataError, MissingExtra, ModelError
from groundup.lab.embeddings import (
    cosines,
    embedding_map,
    similarity,
    vector_in_text,
    word_ids,
    word_map,
    word_vectors,
)
from groundup.lab.stream import begin_id, document_ids, stream
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer

GROUPS = {"verbs": ["be", "suffer"], "nouns": ["question", "mind"]}


def test_a_word_is_looked_up_behind_a_space(tokenizer: Tokenizer) -> None:
    assert word_ids(tokenizer, "be") == tokenizer.encode(" be")
    assert len(word_ids(tokenizer, "be")) == 1
    assert word_ids(tokenizer, " be ") == word_ids(tokenizer, "be")


def test_layer_zero_is_the_row_and_the_mean_of_rows_for_a_split_word(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    table = model.transformer.embedding.weight.detach()
    whole, split = word_vectors(model, tokenizer, ["be", "xylophone"])
    assert torch.equal(whole, table[word_ids(tokenizer, "be")[0]])
    pieces = word_ids(tokenizer, "xylophone")
    assert len(pieces) > 1
    torch.testing.assert_close(split, table[pieces].mean(dim=0))


@pytest.mark.parametrize("layer", [1, 2])
def test_deeper_layers_are_the_stream_of_the_word_alone(
    model: LanguageModel, tokenizer: Tokenizer, layer: int
) -> None:
    words = ["be", "xylophone", "mind"]
    vectors = word_vectors(model, tokenizer, words, layer=layer)
    for word, vector in zip(words, vectors, strict=True):
        states = list(stream(model.transformer, [begin_id(tokenizer), *word_ids(tokenizer, word)]))
        torch.testing.assert_close(vector, states[layer][1:].mean(dim=0))


def test_a_word_in_a_text_is_the_mean_over_the_tokens_it_touches(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    text = "to be or xylophone"
    rows = document_ids(model, tokenizer, text)
    states = list(stream(model.transformer, rows))
    tokens = len(tokenizer.encode("xylophone"))
    vector = vector_in_text(model, tokenizer, text, "xylophone", layer=2)
    torch.testing.assert_close(vector, states[2][-tokens:].mean(dim=0))


def test_a_words_vector_depends_on_what_stands_before_it_from_layer_one_on(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    texts = ("to be the question", "whether to suffer the question")
    for layer in (0, 1):
        vectors = [
            vector_in_text(model, tokenizer, text, "question", layer=layer) for text in texts
        ]
        same = float(cosines(torch.stack(vectors))[0, 1])
        assert same == pytest.approx(1.0, abs=1e-4) if layer == 0 else same < 0.9999


def test_cosines_are_one_along_the_diagonal_and_zero_at_right_angles() -> None:
    values = cosines(torch.tensor([[3.0, 0.0], [0.0, 2.0], [1.0, 1.0]]))
    expected = [[1.0, 0.0, 0.5**0.5], [0.0, 1.0, 0.5**0.5], [0.5**0.5, 0.5**0.5, 1.0]]
    torch.testing.assert_close(values, torch.tensor(expected))


def test_means_within_and_between_groups_leave_a_word_with_itself_out(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    matrix = similarity(model, tokenizer, GROUPS)
    values = matrix["values"]
    assert matrix["within"] == pytest.approx((values[0][1] + values[2][3]) / 2, abs=1e-4)
    between = [values[row][column] for row in (0, 1) for column in (2, 3)]
    assert matrix["between"] == pytest.approx(sum(between) / 4, abs=1e-4)
    assert matrix["words"] == ["be", "suffer", "question", "mind"]
    assert matrix["groups"] == ["verbs", "verbs", "nouns", "nouns"]
    assert json.loads(json.dumps(matrix)) == matrix


def test_one_group_has_nothing_between(model: LanguageModel, tokenizer: Tokenizer) -> None:
    matrix = similarity(model, tokenizer, {"verbs": ["be"]})
    assert matrix["within"] is None
    assert matrix["between"] is None


@pytest.mark.parametrize("layer", [0, 2])
def test_a_word_map_gives_every_word_a_place_and_its_group(
    model: LanguageModel, tokenizer: Tokenizer, layer: int
) -> None:
    found = word_map(model, tokenizer, GROUPS, layer=layer)
    assert [(p["text"], p["group"]) for p in found["points"]] == [
        (w, g) for g, words in GROUPS.items() for w in words
    ]
    assert 0 < found["explained"] <= 1
    assert json.loads(json.dumps(found)) == found


@pytest.mark.slow
def test_umap_keeps_two_planted_clusters_apart_and_repeats_itself(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    pytest.importorskip("umap")
    generator = torch.Generator().manual_seed(0)
    planted = LanguageModel(model.config)
    with torch.no_grad():
        rows = torch.randn(40, model.config.width, generator=generator) * 0.1
        rows[:20, 0] += 3
        rows[20:, 1] += 3
        planted.transformer.embedding.weight[:40] = rows
    first, again = (embedding_map(planted, tokenizer, range(40), method="umap") for _ in range(2))
    assert first == again
    assert first["explained"] is None
    places = torch.tensor([[point["x"], point["y"]] for point in first["points"]])
    middles = torch.stack([places[:20].mean(dim=0), places[20:].mean(dim=0)])
    nearest = torch.cdist(places, middles).argmin(dim=1)
    assert nearest.tolist() == [0] * 20 + [1] * 20
    assert (
        len(word_map(model, tokenizer, GROUPS, method="umap")["points"]) == 4
    )  # fewer words than UMAP likes
    assert torch.get_num_threads() == 1  # as before


def test_without_umap_the_install_command_is_named(
    model: LanguageModel, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtra, match=r"umap-learn.*groundup\[umap\]"):
        word_map(model, tokenizer, GROUPS, method="umap")


def test_bad_requests_are_refused(model: LanguageModel, tokenizer: Tokenizer) -> None:
    with pytest.raises(ModelError, match=r"no layer 3.*0 .* to 2"):
        word_vectors(model, tokenizer, ["be"], layer=3)
    with pytest.raises(DataError, match="empty word"):
        word_vectors(model, tokenizer, ["be", " "])
    with pytest.raises(DataError, match="no words"):
        word_vectors(model, tokenizer, [])
    with pytest.raises(ModelError, match="no tokenizer"):
        word_vectors(model, None, ["be"])
    with pytest.raises(DataError, match="does not contain 'Question'"):
        vector_in_text(model, tokenizer, "the question", "Question", layer=1)
    with pytest.raises(DataError, match="no map by 'tsne'"):
        word_map(model, tokenizer, GROUPS, method="tsne")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="at least 3"):
        word_map(model, tokenizer, {"verbs": ["be"]})


def test_a_word_beyond_the_context_is_refused_not_read(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    with pytest.raises(ModelError, match="context"):
        word_vectors(model, tokenizer, ["xylophone" * 20], layer=1)
