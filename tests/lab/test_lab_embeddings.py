"""The map of embeddings: principal components as scikit-learn finds them."""

import pytest
import torch

from groundup.errors import DataError
from groundup.lab.embeddings import common_tokens, embedding_map, principal_components
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer


def test_components_equal_scikit_learns_up_to_sign() -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    rows = torch.randn(40, 12, generator=torch.Generator().manual_seed(1))
    places, explained = principal_components(rows)
    reference = decomposition.PCA(n_components=2).fit(rows.numpy())
    theirs = torch.tensor(reference.transform(rows.numpy()))
    torch.testing.assert_close(places.abs(), theirs.abs(), atol=1e-4, rtol=1e-4)
    assert explained == pytest.approx(reference.explained_variance_ratio_.sum(), abs=1e-5)


def test_equal_rows_explain_nothing_and_divide_by_nothing() -> None:
    places, explained = principal_components(torch.ones(5, 4))
    assert explained == 0.0
    assert torch.isfinite(places).all()


def test_map_places_every_token_once(model: LanguageModel, tokenizer: Tokenizer) -> None:
    ids = common_tokens(tokenizer, ["to be, or not to be, that is the question"], count=8)
    found = embedding_map(model, tokenizer, ids)
    assert [point["id"] for point in found["points"]] == ids
    assert 0 < found["explained"] <= 1


def test_common_tokens_have_letters_and_come_in_order(tokenizer: Tokenizer) -> None:
    ids = common_tokens(tokenizer, ["be be be, to to ,,,,"])
    assert all(any(letter.isalpha() for letter in tokenizer.decode([id])) for id in ids)
    assert tokenizer.decode(ids[:1]).strip() == "be"


def test_too_few_tokens_are_refused(model: LanguageModel, tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match="at least 3"):
        embedding_map(model, tokenizer, [1, 2])
