"""`finetune_encoder`: pairs, documents, what is kept, and the folder that others open."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import groundup
from groundup.data.documents import TextPair
from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.errors import DataError, FormatError, ModelError
from groundup.finetune.encoder import RankedTexts
from groundup.finetune.encoder_examples import examples_of_pairs
from groundup.progress import Silent
from groundup.retrieve.vectors import base_encoder, open_vectors
from groundup.weights.model_io import open_model
from groundup.weights.sentence_folder import Prompts, read_pooling, read_prompts
from tests.tiny_encoder import LETTERS, save_encoder

CPU = Compute(torch.device("cpu"))
QUICK = {"precision": "float32", "learning_rate": 1e-2, "batch_size": 8, "rank": 4}
# A question of one letter, twice, is answered by the letter behind it.
PAIRS = [
    {"question": f"{one} {other} {one}", "answer": f"to be {LETTERS[place + 1]} {other}"}
    for place, one in enumerate(LETTERS[:20])
    for other in ("cat", "mat")
]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_encoder(tmp_path / "base", context_tokens=48)


def written(tmp_path: Path, rows: list[dict[str, Any]]) -> Path:
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def tuned(base: Path, tmp_path: Path, out: str = "run", **fields: Any) -> Any:
    config = groundup.EncoderConfig(**{**QUICK, **fields})
    return groundup.finetune_encoder(base, written(tmp_path, PAIRS), tmp_path / out, config)


def test_pairs_make_held_out_texts_nearer_and_the_folder_is_a_whole_encoder(
    base: Path, tmp_path: Path
) -> None:
    results = tuned(base, tmp_path, epochs=6, query_prefix="that ")
    assert results.kept and results.questions == {"train": 32, "validation": 4, "held_out": 4}
    assert results.reciprocal_rank["after"] >= results.reciprocal_rank["before"]
    run = tmp_path / "run"
    card = (run / "README.md").read_text()
    assert "sentence-similarity" in card and f"Base model: {base}" in card
    opened = open_model(run, CPU)
    assert opened.kind == "encoder" and opened.prompts == Prompts("that ", "")
    assert (
        not load_file(run / "model.safetensors").keys()
        - load_file(base / "model.safetensors").keys()
    )
    assert read_pooling(run) == "mean"
    again = tuned(base, tmp_path, epochs=6, query_prefix="that ")
    assert again == results


def test_an_encoder_that_becomes_no_better_stays_as_it_was(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worse = iter(range(1, 100))
    monkeypatch.setattr(RankedTexts, "ranks", lambda self, *_: [next(worse)] * len(self.questions))
    results = tuned(base, tmp_path, epochs=1, train="all")
    assert not results.kept and "kept as it was" in results.lines[-1]
    ours, theirs = (load_file(each / "model.safetensors") for each in (tmp_path / "run", base))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert results.recall["before"] == results.recall["after"]


def test_a_text_that_does_not_fit_is_of_the_group_of_the_one_that_does() -> None:
    pairs = [
        TextPair("a", ("x",), ("wrong",), "1"),
        TextPair("a", ("y",), (), "2"),
        TextPair("b", ("x",), (), "3", held_out=True),
    ]
    examples = examples_of_pairs(pairs)
    (kind,) = examples.kinds
    assert kind.texts == ("x", "y", "wrong") and kind.beside == (0, 1, 0)
    assert [(each.text, each.answers, each.is_held_out) for each in examples.questions] == [
        ("a", (frozenset({0, 1}),), False),
        ("b", (frozenset({0}),), True),
    ]
    with pytest.raises(DataError, match="fits 'a' and as one that does not"):
        examples_of_pairs([*pairs, TextPair("a", ("wrong",), (), "4")])


def test_documents_without_labels_are_asked_by_rules(base: Path, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("cat", "mat", "question"):
        rows = "".join(
            f"| the {letter} {name} | {place} |\n" for place, letter in enumerate("abcdefgh")
        )
        text = f"# About the {name}\n\nThe {name} sat on the mat and is not the question.\n\n"
        (docs / f"{name}.md").write_text(
            f"{text}## Prices of the {name}\n\n| item | price |\n|--|--|\n{rows}"
        )
    config = groundup.EncoderConfig(**QUICK, epochs=1)
    results = groundup.finetune_encoder(base, docs, tmp_path / "run", config)
    assert results.questions["train"] >= 15 and results.texts >= 3
    vectors = groundup.index(docs, tmp_path / "index", vectors=str(tmp_path / "run"))
    assert vectors.counts.passages >= 3
    found = groundup.search(tmp_path / "index", "the cat", by="vectors")
    assert found


def test_bad_input_is_refused_before_anything_is_written(base: Path, tmp_path: Path) -> None:
    few = written(tmp_path, PAIRS[:12])
    with pytest.raises(DataError, match="12 distinct pairs are too few: 30"):
        groundup.finetune_encoder(base, few, tmp_path / "run")
    other = tmp_path / "other.jsonl"
    other.write_text('{"a": "one", "b": "two"}\n' * 3)
    with pytest.raises(DataError, match="pairs of texts"):
        groundup.finetune_encoder(base, other, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_language_model_is_no_encoder(base_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    from groundup.weights.model_io import save_model

    save_model(base_model, tmp_path / "lm", tokenizer)
    with pytest.raises(ModelError, match="an encoder of sentences is tuned here"):
        groundup.finetune_encoder(tmp_path / "lm", written(tmp_path, PAIRS), tmp_path / "run")


def test_the_first_token_is_pooled_where_the_folder_says_so(base: Path) -> None:
    mean = Engine(open_model(base, CPU), CPU).embed(["the cat"])
    pooling = base / "1_Pooling" / "config.json"
    values = json.loads(pooling.read_text())
    values |= {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    pooling.write_text(json.dumps(values))
    engine = Engine(open_model(base, CPU), CPU)
    ids = torch.tensor([engine.embedding_ids("the cat")])
    first = engine.opened.model.hidden(ids)[:, 0].detach()  # type: ignore[union-attr]
    assert torch.allclose(engine.embed(["the cat"]), first / first.norm(), atol=1e-6)
    assert not torch.allclose(engine.embed(["the cat"]), mean, atol=1e-3)


def test_prompts_are_read_from_the_folder_and_stand_before_questions_and_texts(
    base: Path, tmp_path: Path
) -> None:
    file = base / "config_sentence_transformers.json"
    file.write_text(json.dumps({"prompts": {"query": "to ", "passage": "be "}}))
    assert read_prompts(base) == Prompts("to ", "be ")
    (tmp_path / "a.md").write_text("The cat sat on the mat.")
    groundup.index(tmp_path / "a.md", tmp_path / "index", vectors=str(base))
    vectors = open_vectors(tmp_path / "index", CPU, Silent())
    plain = Engine(open_model(base, CPU), CPU)
    assert vectors is not None
    assert torch.allclose(torch.tensor(vectors.embed(["cat"])), plain.embed(["be cat"]), atol=1e-6)
    asked = torch.tensor(vectors.embed_query(["cat"]))
    assert torch.allclose(asked, plain.embed(["to cat"]), atol=1e-6)
    file.write_text(json.dumps({"prompts": {"query": 3}}))
    with pytest.raises(FormatError, match="is not a short text"):
        read_prompts(base)


def test_the_base_of_a_tuned_folder_is_that_of_its_card_where_it_is_here(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (base / "README.md").write_text('---\nbase_model: "all-minilm-l6-v2"\n---\n')
    monkeypatch.setattr("groundup.retrieve.vectors.pulled", lambda name: None)
    assert base_encoder(str(base)) == str(base)
    monkeypatch.setattr("groundup.retrieve.vectors.pulled", lambda name: base)
    assert base_encoder(str(base)) == "all-minilm-l6-v2"
