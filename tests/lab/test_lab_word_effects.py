"""Words left out one after another: the planted word comes first, and the effects are those of reading the shortened text."""

import math
from pathlib import Path

import pytest
import torch

from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.errors import DataError, ModelError
from groundup.lab.attribution import MAX_WORDS, readings, word_effects
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.decision_rule import DecisionRule
from groundup.weights.model_io import OpenModel

TEXT = "See you at the station, see the prize"


@pytest.fixture(scope="module")
def engine() -> Engine:
    tokenizer = train_tokenizer([f"{TEXT} later today\n"] * 3, 300)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        context_tokens=32,
        width=16,
        num_layers=1,
        num_heads=2,
        num_kv_heads=2,
        feedforward_width=32,
    )
    torch.manual_seed(0)
    model = Classifier(config, 3)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    opened = OpenModel(
        model.eval(),
        tokenizer,
        config,
        Path("c"),
        "classifier",
        ("a", "b", "c"),
        decision=DecisionRule(8, 1.7),
    )
    return Engine(opened, Compute(torch.device("cpu")))


def test_an_effect_is_the_fall_of_the_log_odds_without_the_word(engine: Engine) -> None:
    told: list[int] = []
    found = word_effects(engine, TEXT, "b", advance=told.append)
    shorter = {
        "See": "you at the station, the prize",
        "the": "See you at station, see prize",
        "prize": f"{TEXT[:-5]}",
    }

    def odds(text: str) -> float:
        p = engine.classify([text])[0]["b"]
        return math.log(p / (1 - p))

    effects = {each.word: each for each in found.words}
    assert (
        list(effects).count("see") == 0
        and len(effects) == found.of == readings(TEXT) == sum(told) == 6
    )
    for word, text in shorter.items():
        assert effects[word].effect == pytest.approx(odds(TEXT) - odds(text), abs=1e-4)
        assert effects[word].without == pytest.approx(engine.classify([text])[0]["b"], abs=1e-5)
    assert [each.effect for each in found.words] == sorted(
        (e.effect for e in found.words), reverse=True
    )


def test_a_long_text_has_a_bounded_cost_and_an_empty_one_none(engine: Engine) -> None:
    long = " ".join(f"word{n}" for n in range(MAX_WORDS + 20))
    found = word_effects(engine, long, "a")
    assert (found.tried, found.of, readings(long)) == (MAX_WORDS, MAX_WORDS + 20, MAX_WORDS)
    assert word_effects(engine, "?!", "a").words == ()


def test_what_can_not_be_explained_is_refused(engine: Engine) -> None:
    with pytest.raises(DataError, match="no label 'd'"):
        word_effects(engine, TEXT, "d")
    opened = engine.opened
    language = OpenModel(
        LanguageModel(opened.config), opened.tokenizer, opened.config, Path("l"), "language"
    )
    with pytest.raises(ModelError, match="no classes"):
        Engine(language, engine.compute).class_scores([TEXT])
