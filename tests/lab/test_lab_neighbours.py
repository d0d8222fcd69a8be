"""Neighbours, analogies and kinds on tables where the answer is planted."""

import json

import pytest
import torch

from groundup.errors import DataError, ModelError
from groundup.lab.embeddings import word_ids
from groundup.lab.neighbours import KINDS, kind_score, neighbours, table_candidates
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.tokenizer.fast import Tokenizer, train_tokenizer

WORDS = {
    "metals": ["iron", "gold", "lead"],
    "trees": ["oak", "ash", "elm"],
    "royals": ["king", "queen", "man", "woman"],
}
ALL = [word for words in WORDS.values() for word in words]


@pytest.fixture(scope="module")
def word_tokenizer() -> Tokenizer:
    """Holds every word whole, behind a space, and a few in capitals."""
    return train_tokenizer([f" {word}" * 3 for word in [*ALL, "Gold", "GOLD"]], 400)


@pytest.fixture
def planted(word_tokenizer: Tokenizer) -> LanguageModel:
    """A table of noise, with words of one kind close together, and queen where king - man + woman is."""
    model = LanguageModel(
        ModelConfig(
            vocab_size=word_tokenizer.vocab_size,
            context_tokens=16,
            width=32,
            num_layers=1,
            num_heads=2,
            feedforward_width=32,
        )
    )
    generator = torch.Generator().manual_seed(5)
    initialise(model, generator)
    with torch.no_grad():
        table = model.transformer.embedding.weight.normal_(generator=generator)
        for number, words in enumerate(list(WORDS.values())[:2]):
            for word in words:
                table[one(word_tokenizer, word)] = 0.2 * torch.randn(32, generator=generator)
                table[one(word_tokenizer, word), number] += 5
        king, man, woman = (table[one(word_tokenizer, word)] for word in ("king", "man", "woman"))
        unit = torch.nn.functional.normalize
        table[one(word_tokenizer, "queen")] = (
            unit(king, dim=0) - unit(man, dim=0) + unit(woman, dim=0)
        )
        table[one(word_tokenizer, "Gold")] = table[one(word_tokenizer, "gold")] * 1.01
        table[one(word_tokenizer, "GOLD")] = table[one(word_tokenizer, "gold")] + 0.1
    return model


def one(tokenizer: Tokenizer, word: str) -> int:
    (id,) = word_ids(tokenizer, word)
    return id


def test_neighbours_are_the_planted_ones_and_no_other_spelling(
    planted: LanguageModel, word_tokenizer: Tokenizer
) -> None:
    found = neighbours(planted, word_tokenizer, "gold", count=2)
    assert {entry["text"].strip() for entry in found["neighbours"]} == {"iron", "lead"}
    assert [piece["text"] for piece in found["pieces"]] == [" gold"]
    near_iron = [
        entry["text"].strip().casefold()
        for entry in neighbours(planted, word_tokenizer, "iron")["neighbours"]
    ]
    assert near_iron.count("gold") == 1
    assert json.loads(json.dumps(found)) == found


def test_cosines_are_those_of_the_table_in_falling_order(
    planted: LanguageModel, word_tokenizer: Tokenizer
) -> None:
    table = planted.transformer.embedding.weight.detach()
    found = neighbours(planted, word_tokenizer, "oak", count=20)["neighbours"]
    assert len(found) == 20
    for entry in found:
        expected = torch.cosine_similarity(
            table[one(word_tokenizer, "oak")], table[entry["id"]], dim=0
        )
        assert entry["cosine"] == pytest.approx(float(expected), abs=1e-4)
    assert found == sorted(found, key=lambda entry: -entry["cosine"])


def test_a_split_word_says_how_it_is_split(
    planted: LanguageModel, word_tokenizer: Tokenizer
) -> None:
    found = neighbours(planted, word_tokenizer, "golden")
    assert "".join(piece["text"] for piece in found["pieces"]) == " golden"
    assert "golden is ' gold' and " in found["caption"]
    assert not {entry["id"] for entry in found["neighbours"]} & {
        piece["id"] for piece in found["pieces"]
    }
    assert "several" not in neighbours(planted, word_tokenizer, "gold")["caption"]


def test_control_tokens_and_empty_ones_are_no_candidates(
    planted: LanguageModel, word_tokenizer: Tokenizer
) -> None:
    candidates, ids = table_candidates(planted, word_tokenizer)
    assert not set(ids) & set(word_tokenizer.special.tokens.values())
    assert all(candidates.words)
    assert candidates.num_words < len(ids)  # several spellings of one word


def test_kind_score_is_one_for_planted_kinds_and_chance_is_counted(
    planted: LanguageModel, word_tokenizer: Tokenizer
) -> None:
    """Metals: 3 words, so 2 judged neighbours each; among the listed 6 words chance is 2 of 5."""
    kinds = {kind: WORDS[kind] for kind in ("metals", "trees")}
    score = kind_score(planted, word_tokenizer, kinds)
    for part in ("vocabulary", "listed"):
        assert score[part]["kinds"]["metals"]["share"] == 1.0
        assert score[part]["share"] == 1.0
        assert score[part]["kinds"]["trees"]["judged"] == 6
    assert score["listed"]["kinds"]["metals"]["chance"] == pytest.approx(2 / 5)
    candidates, _ = table_candidates(planted, word_tokenizer)
    assert score["vocabulary"]["kinds"]["metals"]["chance"] == pytest.approx(
        2 / (candidates.num_words - 1), abs=1e-6
    )
    assert json.loads(json.dumps(score)) == score


def test_a_random_table_scores_about_chance(
    word_tokenizer: Tokenizer, planted: LanguageModel
) -> None:
    """Over 20 tables of noise the share among the listed words lies within 4 standard errors of chance."""
    kinds = {kind: WORDS[kind] for kind in ("metals", "trees")}
    shares = []
    for seed in range(20):
        with torch.no_grad():
            planted.transformer.embedding.weight.normal_(
                generator=torch.Generator().manual_seed(seed)
            )
        listed = kind_score(planted, word_tokenizer, kinds)["listed"]
        shares.append(listed["share"])
    values = torch.tensor(shares)
    assert abs(float(values.mean()) - listed["chance"]) < 4 * float(values.std()) / 20**0.5


def test_a_kind_that_the_vocabulary_splits_is_judged_among_the_listed_only(
    planted: LanguageModel, word_tokenizer: Tokenizer
) -> None:
    score = kind_score(
        planted,
        word_tokenizer,
        {"metals": WORDS["metals"], "long": ["xylophone", "rhododendron", "zymurgy"]},
    )
    assert score["vocabulary"]["kinds"]["long"] == {
        "words": 0,
        "judged": 0,
        "share": None,
        "chance": None,
    }
    assert score["listed"]["kinds"]["long"]["judged"] == 6
    assert score["vocabulary"]["share"] == score["vocabulary"]["kinds"]["metals"]["share"]


def test_a_kind_of_two_words_is_too_few_to_judge(
    planted: LanguageModel, word_tokenizer: Tokenizer
) -> None:
    score = kind_score(
        planted, word_tokenizer, {"metals": WORDS["metals"], "trees": WORDS["trees"][:2]}
    )
    assert score["vocabulary"]["kinds"]["trees"] == {
        "words": 2,
        "judged": 0,
        "share": None,
        "chance": None,
    }


def test_lists_hold_each_word_once() -> None:
    words = [word for kind in KINDS.values() for word in kind]
    assert len(words) == len(set(words)) == 7 + 12 + 31 + 112


def test_bad_requests_are_refused(planted: LanguageModel, word_tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match="empty word"):
        neighbours(planted, word_tokenizer, "")
    with pytest.raises(DataError, match="At least 1 neighbour"):
        neighbours(planted, word_tokenizer, "gold", count=0)
    with pytest.raises(DataError, match="At least 2"):
        kind_score(planted, word_tokenizer, {"metals": ["iron", "gold"]})
    with pytest.raises(ModelError, match="no tokenizer"):
        neighbours(planted, None, "king")
