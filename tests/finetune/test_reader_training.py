"""Training of the reader: its loss, its batches, and that it learns which sentence answers."""

import json
import math
from pathlib import Path

import pytest
import torch

import groundup
from groundup.device import Compute, generator
from groundup.engine.engine import Engine
from groundup.errors import DataError, ModelError
from groundup.finetune import reader_tuning
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
from groundup.retrieve.reader import Reader, SentenceScorer, encoder_of, write_reader
from groundup.runs import RunFolder
from groundup.train.loop import fit
from groundup.train.steps.config import FitConfig
from groundup.weights.lora_file import encoder_hashes
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


PRICED = [f"thing{chr(97 + place)}" for place in range(20)]


@pytest.fixture
def priced(tmp_path, monkeypatch) -> Path:
    """An index whose encoder is a tiny one, with a packaged reader for it."""
    rows = "".join(f"| {name} | £{place + 10} |\n" for place, name in enumerate(PRICED))
    (tmp_path / "prices.md").write_text(f"# Prices\n\n| Thing | Price |\n|---|---|\n{rows}")
    encoder = save_encoder(tmp_path / "encoder", context_tokens=512)
    scorer = SentenceScorer(encoder_of(Engine(open_model(encoder, CPU), CPU)))
    base = encoder_hashes(scorer.transformer)
    add_lora(scorer, rank=2, alpha=4.0, generator=generator(0, "lora"))
    write_reader(scorer, tmp_path / "packaged", base, "tiny")
    monkeypatch.setattr(reader_tuning, "PACKAGED", tmp_path / "packaged")
    return groundup.index(tmp_path / "prices.md", tmp_path / "index", vectors=encoder).index


def ask_for_prices(index: Path, count: int) -> None:
    """Calibrate an index on questions for its prices."""
    lines = [
        json.dumps({"question": f"price of {name}?", "answers": [f"£{place + 10}"]})
        for place, name in enumerate(PRICED[:count])
    ]
    file = index.parent / "asked.jsonl"
    file.write_text("\n".join([*lines, '{"question": "do you do yoga?", "answers": null}']))
    groundup.calibrate_index(index, file)


def test_a_tuned_reader_that_is_not_clearly_better_is_not_kept(priced: Path) -> None:
    ask_for_prices(priced, 20)
    (priced / "reader").mkdir()  # of an earlier call
    (priced / "reader" / "adapter.safetensors").write_bytes(b"")
    found = groundup.tune_index(priced)
    assert found.trained_on > 0 and found.difference.n == 21
    assert found.right > 10, "the row that is asked for is found by its words"
    assert not found.is_kept and not (priced / "reader").exists()
    assert "so the package's reader stays" in found.text


def test_a_tuned_reader_that_is_clearly_better_is_kept(priced: Path, monkeypatch) -> None:
    ask_for_prices(priced, 20)
    before = (priced / "evidence.json").read_text()
    outcomes = iter([[False] * 21, [True] * 21])
    monkeypatch.setattr(reader_tuning, "answered_right", lambda *_: next(outcomes))
    found = groundup.tune_index(priced)
    assert found.is_kept and "so it is the index's" in found.text
    assert (priced / "reader" / "manifest.json").is_file()
    assert (priced / "evidence.json").read_text() != before, "calibrated again with its reader"


def test_without_questions_to_compare_on_nothing_is_trained(priced: Path) -> None:
    with pytest.raises(DataError, match="has 0 questions with known answers.* at least 20"):
        groundup.tune_index(priced)
    ask_for_prices(priced, 19)
    with pytest.raises(DataError, match="has 19 questions"):
        groundup.tune_index(priced)
    assert not (priced / "reader").exists()


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
