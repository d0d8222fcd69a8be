"""Training of the reader: its loss, its batches, and that it learns which sentence answers."""

import json
import math

import pytest
import torch

import groundup
from groundup.device import Compute, generator
from groundup.engine.engine import Engine
from groundup.errors import ModelError
from groundup.finetune.reader_tuning import (
    AskedQuestion,
    Library,
    ReaderBatches,
    ReaderQuestion,
    answer_loss,
    mark,
    questions_from,
)
from groundup.model.lora import add_lora
from groundup.retrieve.given_passages import given_passage
from groundup.retrieve.reader import Reader, SentenceScorer, encoder_of
from groundup.runs import RunFolder
from groundup.train.loop import fit
from groundup.train.steps.config import FitConfig
from groundup.weights.model_io import open_model
from tests.tiny_encoder import save_encoder

CPU = Compute(torch.device("cpu"))
CARE = given_passage(1, "Wash it cold. The filter is cleaned each week.", "care.md", "Care")
PRICES = given_passage(
    2, "| Part | Price |\n|---|---|\n| Filter | £12 |\n| Lamp | £30 |\n", "p.md", "Prices"
)
QUESTIONS = [
    ReaderQuestion("How often is the filter cleaned?", (CARE, PRICES), frozenset([(0, 1)])),
    ReaderQuestion("What is the price of a lamp?", (PRICES, CARE), frozenset([(0, 1)])),
    ReaderQuestion("Where is the shop?", (CARE, PRICES), frozenset()),
]


@pytest.fixture
def engine(tmp_path) -> Engine:
    return Engine(open_model(save_encoder(tmp_path, context_tokens=128), CPU), CPU)


def test_the_loss_is_that_of_its_formula(engine: Engine) -> None:
    scorer = SentenceScorer(encoder_of(engine)).eval()
    torch.nn.init.normal_(scorer.score.weight, generator=torch.Generator().manual_seed(1))
    batch = ReaderBatches(QUESTIONS, engine.tokenizer, batch_size=3, seed=0).batch(0)
    summed = answer_loss(scorer, batch)
    groups = [scorer(each.ids, each.mask, each.owners, each.sentences) for each in batch.groups]
    scores = torch.cat(groups).tolist()
    expected = 0.0
    for question in range(3):
        own = [i for i, q in enumerate(batch.questions.tolist()) if q == question]
        right = [math.exp(scores[i]) for i in own if batch.right[i]]
        expected -= math.log((sum(right) or 1.0) / (1 + sum(math.exp(scores[i]) for i in own)))
    assert summed.count == 3 and summed.total.item() == pytest.approx(expected, rel=1e-4)


def test_it_learns_which_sentence_answers(engine: Engine, tmp_path) -> None:
    scorer = SentenceScorer(encoder_of(engine))
    add_lora(scorer, rank=4, alpha=8.0, generator=generator(0, "lora"))
    scorer.score.requires_grad_(True)
    batches = ReaderBatches(QUESTIONS, engine.tokenizer, batch_size=3, seed=0)
    config = FitConfig(60).with_fields(
        {
            "batch_size": 3,
            "optimizer": {"name": "adamw", "learning_rate": 1e-2},
            "precision": "float32",
            "compile": "off",
            "evaluate_every": 60,
        }
    )
    fit(scorer, batches, answer_loss, config, RunFolder(tmp_path / "run"), compute=CPU)
    reader = Reader(scorer, engine.tokenizer, CPU)
    for each in QUESTIONS:
        scores = reader.scores(each.question, each.passages)
        best, place = max((s, (p, n)) for p, of in enumerate(scores) for n, s in enumerate(of))
        assert (place in each.answers and best > 0) if each.answers else best < 0


def test_neighbours_that_do_not_answer_stand_beside_the_answer() -> None:
    library = Library([CARE, PRICES, CARE], torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]))
    asked = library.question("q", torch.tensor([1.0, 0.0]), {1: frozenset([0])}, count=2)
    assert asked.passages == (PRICES, CARE) and asked.answers == {(0, 0)}
    without = library.question(
        "q", torch.tensor([1.0, 0.0]), {1: frozenset([0])}, count=2, is_answered=False
    )
    assert PRICES not in without.passages and not without.answers


def test_questions_are_made_of_cells_headings_and_sentences() -> None:
    import random

    made = list(questions_from([CARE, PRICES], random.Random(0)))
    assert any("lamp" in each.question and "price" in each.question for each in made)
    found = mark(
        [CARE, PRICES],
        AskedQuestion("how often?", "Clean the filter weekly: each week.", "care.md"),
    )
    assert found is not None and found.answers == {0: frozenset([1])}
    assert mark([CARE], AskedQuestion("?", "Nothing of it stands there.", "care.md")) is None


def test_an_index_of_another_encoder_is_refused_before_anything_is_trained(tmp_path) -> None:
    (tmp_path / "care.md").write_text("# Care\n\nThe filter is cleaned each week.\n")
    encoder = save_encoder(tmp_path / "encoder", context_tokens=128)
    made = tmp_path / "index"
    groundup.index(tmp_path / "care.md", made, vectors=encoder)
    with pytest.raises(ModelError, match="trained on another encoder"):
        groundup.tune_index(made)
    file = made / "vectors" / "vectors.json"
    known = json.loads(file.read_text())
    file.write_text(json.dumps(known | {"probe": [-each for each in known["probe"]]}))
    with pytest.raises(ModelError, match="is another encoder"):
        groundup.tune_index(made)
    assert not (made / "reader").exists()
