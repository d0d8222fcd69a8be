"""Texts and documents from Python: the same results as the verbs of these names, as frozen dataclasses."""

import dataclasses
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from memory_vectors import MemoryVectors
from tiny_encoder import save_encoder

import groundup
from groundup.api import public as api
from groundup.cli.main import run
from groundup.data.processing.steps import ProcessConfig
from groundup.data.reading.source_files import Source
from groundup.errors import ConfigError
from groundup.retrieve.answer import AskConfig
from groundup.retrieve.index import IndexConfig
from groundup.retrieve.known_stores import VECTOR_STORES
from groundup.retrieve.saved import verify_answer

BOILER = "Clean the filter every 6 months. Use warm water only.\n\nThe warranty lasts 24 months.\n"
HOSTEL = "The hostel in Oslo closes at 23:00.\n\nBreakfast costs 9 euros.\n"
FUNCTIONS = ("ask", "convert", "index", "inspect_data", "pull", "search", "train_tokenizer")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "boiler.md").write_text(BOILER)
    (folder / "hostel.txt").write_text(HOSTEL)
    return folder


@pytest.fixture
def indexed(docs: Path, tmp_path: Path) -> Path:
    return groundup.index(docs, tmp_path / "index").index


def spoken(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, object]:
    """What a verb says with --json."""
    capsys.readouterr()
    assert run([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_at_most_eight_parameters_and_says_its_progress(name: str) -> None:
    parameters = inspect.signature(getattr(groundup, name)).parameters
    assert len(parameters) <= 8 and "progress" in parameters
    assert name in groundup.__all__ and getattr(api, name) is getattr(groundup, name)


def test_an_index_reads_only_what_changed_and_says_what_it_holds(
    docs: Path, tmp_path: Path
) -> None:
    first = groundup.index([docs / "boiler.md", str(docs / "hostel.txt")], tmp_path / "index")
    assert (first.update.files_read, first.counts.documents, first.vectors.count) == (2, 2, 0)
    (docs / "hostel.txt").unlink()
    again = groundup.index(out=str(tmp_path / "index"))
    assert (again.update.files_read, again.update.files_unchanged) == (0, 1)
    assert again.update.files_removed == 1 and again.counts.documents == 1
    for each in (again, again.update, again.counts):
        with pytest.raises(dataclasses.FrozenInstanceError):
            each.index = each.files_read = each.files = 0


def test_an_index_from_python_and_from_the_verb_are_the_same(
    docs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = groundup.index(docs, tmp_path / "index", config=IndexConfig(max_tokens=16)).to_plain()
    told = spoken(capsys, "index", docs, "--out", tmp_path / "other", "--passage-tokens", 16)
    timed = {"index", "elapsed_s", "vectors_s"}
    assert json.loads(json.dumps({k: v for k, v in made.items() if k not in timed})) == {
        k: v for k, v in told.items() if k not in timed
    }
    with pytest.raises(ConfigError, match="was made with other options"):
        groundup.index(docs, tmp_path / "index", config=IndexConfig(max_tokens=32))


def test_a_search_finds_by_words_and_by_vectors_what_the_verb_finds(
    docs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = save_encoder(tmp_path / "encoder")
    made = groundup.index(docs, tmp_path / "index", vectors=encoder, device="cpu")
    assert made.vectors.count == made.counts.passages > 0
    for by in ("words", "vectors", "both"):
        found = groundup.search(tmp_path / "index", "clean the filter", 1, by=by)
        (passage,) = found.passages
        told = spoken(capsys, "search", tmp_path / "index", "clean the filter", "-k", 1, "--by", by)
        assert told["passages"] == json.loads(json.dumps([dataclasses.asdict(passage)]))
    words = groundup.search(tmp_path / "index", "clean the filter", by="words")
    assert words.passages[0].file.endswith("boiler.md")


def test_vectors_are_kept_in_another_store_where_it_is_named(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = save_encoder(tmp_path / "encoder")
    with pytest.raises(ConfigError, match="no vector store 'memory'"):
        groundup.index(docs, tmp_path / "index", vectors=encoder, store="memory:api", device="cpu")
    assert not (tmp_path / "index").exists()
    monkeypatch.setitem(VECTOR_STORES, "memory", MemoryVectors)
    for folder, store in (("files", ""), ("index", "memory:api")):
        groundup.index(docs, tmp_path / folder, vectors=encoder, store=store, device="cpu")
    assert len(MemoryVectors.kept["api"]) == groundup.index(out=tmp_path / "index").counts.passages
    for by in ("vectors", "both"):
        found, same = (
            groundup.search(tmp_path / folder, "clean the filter", by=by).passages
            for folder in ("index", "files")
        )
        assert [each.id for each in found] == [each.id for each in same] != []
    told = spoken(capsys, "search", tmp_path / "index", "clean the filter", "--by", "vectors")
    assert told["passages"]


def test_a_search_by_words_comes_without_torch(indexed: Path) -> None:
    code = (
        "import sys, groundup; found = groundup.search(sys.argv[1], 'filter')\n"
        "assert found.passages and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(indexed)], check=True)


def test_a_changed_file_is_named_and_nothing_of_it_found(docs: Path, indexed: Path) -> None:
    (docs / "boiler.md").write_text("Something else.")
    found = groundup.search(indexed, "filter")
    assert found.passages == () and found.outdated == (str(docs / "boiler.md"),)


def test_an_answer_is_a_quotation_that_is_saved_to_be_verified(
    docs: Path, indexed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    question, saved = "How often is the filter cleaned?", tmp_path / "answer.json"
    answer = groundup.ask(indexed, question, out=saved)
    assert answer.found and answer.quotes[0].text == "Clean the filter every 6 months."
    assert all(each.state == "as cited" for each in verify_answer(saved))
    told = spoken(capsys, "ask", indexed, question)
    assert {name: told[name] for name in answer.to_plain()} == json.loads(
        json.dumps(answer.to_plain())
    )
    assert not groundup.ask(indexed, "Who won the election?").found
    assert len(groundup.ask(indexed, question, config=AskConfig(passages=1)).sources) == 1


def test_an_open_model_or_its_path_may_answer_and_nothing_else(
    indexed: Path, tiny_model: Path
) -> None:
    question = "How often is the filter cleaned?"
    by_path = groundup.ask(indexed, question, model=tiny_model, device="cpu")
    opened = groundup.open_model(tiny_model, "cpu")
    assert groundup.ask(indexed, question, model=opened, device="cpu") == by_path
    with pytest.raises(ConfigError, match="ask: model must be a model of open_model"):
        groundup.ask(indexed, question, model=5)


def test_an_inspection_counts_what_the_verb_counts(
    docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (docs / "again.txt").write_text(HOSTEL)
    (found,) = groundup.inspect_data(docs)
    assert (found.documents, found.dropped("exact repeat")) == (3, found.to_plain()["repeats"])
    assert json.loads(json.dumps(found.to_plain())) == spoken(capsys, "data", "inspect", docs)


def test_sources_are_named_as_anywhere_and_each_has_an_inspection(docs: Path) -> None:
    (docs / "rows.csv").write_text("review,stars\ngood,5\nbad,1\n")
    first, second = groundup.inspect_data(
        [
            groundup.Data(docs / "rows.csv", text="review"),
            Source(str(docs / "boiler.md"), name="boiler"),
        ],
        process=ProcessConfig(rules=("web",)),
    )
    assert first.documents == 2 and second.card.source.title == "boiler"
    assert second.documents == 1 and second.rules
    (shown,) = groundup.inspect_data(groundup.Data(docs, text="review"), show=1)
    assert (len(shown.beginnings), shown.documents) == (1, 4)
    with pytest.raises(ConfigError, match="Two sources have the name"):
        groundup.index([docs, str(docs)])


def test_an_index_and_an_inspection_read_the_column_that_data_names(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("title,review\nA,The hostel is quiet.\nB,Loud at night.\n")
    reviews = groundup.Data(tmp_path / "rows.csv", text="review")
    groundup.index(reviews, tmp_path / "index")
    passage, *_ = groundup.search(tmp_path / "index", "quiet").passages
    assert passage.text == "The hostel is quiet."
    with pytest.raises(ConfigError, match="in one way"):
        groundup.index([reviews, groundup.Data(tmp_path, text="title")], tmp_path / "other")


def test_a_tokenizer_is_trained_as_by_the_verb(
    docs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (docs / "rows.csv").write_text("title,review\nA,Warm water\nB,Cold water\n")
    table = groundup.Data(docs / "rows.csv", text="review")
    made = groundup.train_tokenizer(table, vocab_size=300, kind="character")
    words = ("--kind", "character", "--vocab-size", 300, "--text-column", "review")
    told = spoken(capsys, "tokenizer", "train", table.path, *words, "--out", tmp_path / "tokenizer")
    assert told["fingerprint"] == made.fingerprint
    with pytest.raises(ConfigError, match="made from texts, and none are named"):
        groundup.train_tokenizer()


def test_the_page_on_python_names_every_function_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    named = {
        name
        for row in rows
        for name in re.findall(r"`(?:groundup\.)?([A-Za-z_]+)(?:\(\.\.\.\))?`", row.split("|")[2])
    }
    methods = {"generate", "stream", "chat", "classify", "score", "embed", "save"}
    assert named - methods == {*groundup.__all__} - {"Model", "PretrainResults"}
    assert all(callable(getattr(groundup.Model, name)) for name in methods)


def test_the_package_has_its_marker_of_types() -> None:
    assert (Path(groundup.__file__).parent / "py.typed").is_file()
