"""What `groundup serve` says while it starts: at once that it loads; and which questions a pack's page opens with."""

import asyncio
from importlib.util import find_spec
from pathlib import Path

import pytest
from forked_program import SERVER, TRAINING
from starlette.testclient import TestClient

from groundup.cli.main import run
from groundup.cli.serve import ServerOptions, server_of
from groundup.data.reading.source_files import Source
from groundup.files import write_json
from groundup.http.limits import Limits
from groundup.migrations import BUILD
from groundup.progress import Silent
from groundup.retrieve.update import update_index
from groundup.serve.app.application import app_of, paths_of
from groundup.serve.index_entries import example_questions
from groundup.serve.indexes import ServedIndexes
from groundup.serve.model_registry import ModelRegistry


def test_loading_is_said_before_anything_is_opened(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "no-such-model"]) == 2
    first, *others = capsys.readouterr().err.splitlines()
    assert first == "Loading no-such-model ..." and others[0].startswith("error: ")


@pytest.mark.parametrize("name", [*SERVER, *TRAINING])
def test_what_is_imported_before_programs_are_forked_is_a_file(name: str) -> None:
    """Where a module became a folder, each program would import for itself what is in it."""
    found = find_spec(name)
    assert found is not None
    assert found.submodule_search_locations is None or name == "torch._dynamo"


def item(question: object, answer: object, quoted: object) -> dict[str, object]:
    return {
        "question": question,
        "answer": answer,
        "answers": {"quotations": {"text": quoted, "cited": []}},
    }


def test_the_questions_of_a_pack_are_those_that_its_quotations_answer(tmp_path: Path) -> None:
    items: list[object] = [
        item("What does a pizza cost?", "£7.50", "A pizza costs £9.00."),  # a wrong one
        item("When do you open?", "at 11 am", "We open at 11 am."),
        item("Who owns the moon?", None, ""),
        item("w" * 200, "at 11 am", "We open at 11 am."),
        item("Where are you?", "Mill Lane", "You find us in Mill Lane 4."),
        {"question": "Damaged?"},
        "damaged",
        item(1, 2, 3),
    ]
    kinds = {"index": "index", "asked": "answers"}
    write_json(tmp_path / "build.json", BUILD.stamp({"kinds": kinds, "stages": {}}))
    assert example_questions(tmp_path) == [], "the questions are not asked yet"
    (tmp_path / "asked").mkdir()
    write_json(tmp_path / "asked" / "results.json", {"items": items})
    assert example_questions(tmp_path) == ["When do you open?", "Where are you?"]
    (tmp_path / "asked" / "results.json").write_text("{")
    assert example_questions(tmp_path) == [], "damaged: the server starts all the same"
    assert example_questions(tmp_path / "elsewhere") == []
    kinds = {"x" * 5000: "answers"}
    write_json(tmp_path / "build.json", BUILD.stamp({"kinds": kinds, "stages": {}}))
    assert example_questions(tmp_path) == []


def test_an_index_offers_its_packs_questions_or_headings_that_are_some(tmp_path: Path) -> None:
    docs, index = tmp_path / "docs", tmp_path / "my.index"
    docs.mkdir()
    headings = ("Prices", "When do you open?", "Where are you?", "When do you open?")
    for number, heading in enumerate(headings):
        (docs / f"{number}.md").write_text(f"# {heading}\n\nAsk the desk, number {number}.\n")
    update_index(index, [Source(str(docs))], progress=Silent())
    indexes = ServedIndexes({"my": index})
    (entry,) = asyncio.run(indexes.entries())
    assert entry["questions"] == ["When do you open?", "Where are you?"]
    (tmp_path / "recipe.toml").write_text('name = "x"\n[assistant]\nquestions = ["May I?"]\n')
    (entry,) = asyncio.run(ServedIndexes({"my": index}).entries())
    assert entry["questions"] == ["May I?"]


def test_what_answers_from_documents_is_imported_by_who_asks_it() -> None:
    server = server_of(ModelRegistry({}), ServerOptions(), Limits())
    app = app_of(server)
    assert "/search" not in paths_of(app) and "/v1/completions" in paths_of(app)
    with TestClient(app) as client:
        for name in ("assistants", "indexes"):
            assert client.get(f"/groundup/{name}").json() == {name: []}
        assert "/search" not in paths_of(app)
        assert client.post("/v1/completions", json={}).status_code == 400
        assert client.post("/search", json={"query": "x"}).json()["results"] == []
        assert "/search" in paths_of(app)
        assert client.get("/search").status_code == client.get("/api/chat").status_code == 405
        asked = {"question": "When?"}
        assert (
            "--index INDEX" in client.post("/groundup/ask", json=asked).json()["error"]["message"]
        )
        lost = client.post("/v1/response", json={})
        assert lost.status_code == 404 and "/v1/responses" in lost.json()["error"]["message"]
        assert client.post("/search/", json={}).status_code == 404
