"""Retriever, vector store, loader and splitter over an index; `groundup ask` over a retriever of LangChain."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore
from tiny_encoder import save_encoder

from groundup.cli.main import run
from groundup.data.reading.source_files import Source
from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.errors import ConfigError, DataError, ModelError
from groundup.integrations.langchain import (
    GroundupEmbeddings,
    GroundupLoader,
    GroundupRetriever,
    GroundupSplitter,
    GroundupVectorStore,
)
from groundup.progress import Silent
from groundup.retrieve.index import Index
from groundup.retrieve.saved import ELSEWHERE, verify_answer
from groundup.retrieve.search import search
from groundup.retrieve.update import update_index
from groundup.retrieve.vectors import make_vectors
from groundup.weights.model_io import open_model

BOILER = "# Boiler PX-20\n\n## Cleaning\n\nClean the filter every 6 months.\n\n## Warranty\n\nThe warranty lasts 24 months.\n"
QUESTION = "How long does the warranty last?"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_encoder(tmp_path_factory.mktemp("encoder") / "tiny"))


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "boiler.md").write_text(BOILER)
    (folder / "hostel.txt").write_text("The hostel closes at 23:00. Breakfast costs 9 euros.\n")
    return folder


@pytest.fixture
def index(tmp_path: Path, docs: Path) -> Path:
    update_index(tmp_path / "index", [Source(str(docs))], progress=Silent())
    return tmp_path / "index"


def test_embeddings_are_those_of_the_engine(encoder: str) -> None:
    import torch

    texts = ["to be", "the cat sat", ""]
    vectors = GroundupEmbeddings(model=encoder).embed_documents(texts)
    compute = Compute(torch.device("cpu"))
    assert np.allclose(
        vectors, Engine(open_model(encoder, compute), compute).embed(texts).numpy(), atol=1e-6
    )
    assert asyncio.run(GroundupEmbeddings(model=encoder).aembed_query("to be")) == vectors[0]
    assert len(GroundupEmbeddings(model=encoder, dimensions=8).embed_query("to be")) == 8
    assert GroundupEmbeddings(model=encoder).embed_documents([]) == []


def test_a_retriever_returns_what_search_returns_with_its_place(index: Path, docs: Path) -> None:
    found = GroundupRetriever(index=index, k=2).invoke(QUESTION)
    with Index(index) as opened:
        assert [each.page_content for each in found] == [
            each.text for each in search(opened, QUESTION, 2)
        ]
    place = found[0].metadata
    assert place["source"] == str(docs / "boiler.md") and "Warranty" in place["title"]
    assert BOILER[place["start_index"] : place["end"]] == found[0].page_content
    assert len(GroundupRetriever(index=index).invoke(QUESTION, k=1)) == 1


def test_threads_that_share_a_retriever_open_its_index_once(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Index] = []

    class SlowToOpen(Index):
        def __init__(self, folder: Path | str) -> None:
            super().__init__(folder)
            opened.append(self)
            time.sleep(0.2)  # the other threads ask meanwhile

    monkeypatch.setattr("groundup.integrations.langchain_retriever.Index", SlowToOpen)
    retriever = GroundupRetriever(index=index, k=2)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(retriever.invoke, [QUESTION] * 64))
    assert len(opened) == 1
    assert answers[0] and all(found == answers[0] for found in answers)


def test_another_encoder_than_the_index_has_is_refused(
    index: Path, encoder: str, docs: Path
) -> None:
    with pytest.raises(ConfigError, match="has no vectors"):
        GroundupRetriever(index=index, by="vectors").invoke("cat")
    with pytest.raises(ConfigError, match="has no vectors"):
        GroundupVectorStore(index).similarity_search("cat")
    own = GroundupEmbeddings(model=encoder)
    make_vectors(
        index,
        lambda texts: np.array(own.embed_documents(list(texts)), np.float32),
        encoder,
        progress=Silent(),
    )
    for by in ("vectors", "both"):
        assert GroundupRetriever(index=index, by=by).invoke("the cat")
    assert (
        GroundupVectorStore(index)
        .similarity_search("the cat", k=1)[0]
        .metadata["source"]
        .startswith(str(docs))
    )
    for other in (DeterministicFakeEmbedding(size=32), DeterministicFakeEmbedding(size=8)):
        with pytest.raises(ModelError, match="another encoder"):
            GroundupVectorStore(index, other)
        with pytest.raises(ModelError, match="another encoder"):
            GroundupRetriever(index=index, by="both", embeddings=other).invoke("cat")


def test_a_vector_store_keeps_what_is_added_and_searches_it_by_words_too(
    tmp_path: Path, encoder: str
) -> None:
    folder, embeddings = tmp_path / "notes", GroundupEmbeddings(model=encoder)
    store = GroundupVectorStore.from_texts(
        ["the cat sat on the mat", "to be or not to be"],
        embeddings,
        [{"page": 1}, {"page": 2}],
        index=folder,
    )
    (best, cosine), *_ = store.similarity_search_with_score("the cat sat on the mat", k=2)
    assert (best.page_content, best.metadata) == (
        "the cat sat on the mat",
        {"page": 1},
    ) and cosine > 0.99
    again = GroundupVectorStore(folder, embeddings)  # opened anew
    assert again.similarity_search("to be or not to be", k=1)[0].metadata == {"page": 2}
    with Index(folder) as opened:
        assert [each.text for each in search(opened, "cat")] == ["the cat sat on the mat"]
    update_index(folder, [], progress=Silent())  # as `groundup index --out FOLDER` does
    assert len(again.similarity_search("cat", k=5)) == 2
    assert [each.page_content for each in again.max_marginal_relevance_search("the cat", k=2)] != []
    assert len(again.as_retriever(search_kwargs={"k": 1}).invoke("the cat")) == 1
    again.delete([best.id or ""])
    assert [each.page_content for each in again.similarity_search("the cat", k=5)] == [
        "to be or not to be"
    ]
    with pytest.raises(DataError, match="can't be written as JSON"):
        again.add_texts(["x"], [{"page": object()}])


def test_documents_can_be_added_to_an_index_of_files(index: Path, encoder: str, docs: Path) -> None:
    store = GroundupVectorStore(index, GroundupEmbeddings(model=encoder))
    (id,) = store.add_documents([Document("the cat sat", metadata={"source": "mine"})])

    async def several() -> None:
        await asyncio.gather(
            *[store.aadd_texts([f"to be {number}"], [{"source": "mine"}]) for number in range(4)]
        )

    asyncio.run(several())
    assert len(store.similarity_search("to be", k=9)) >= 7
    sources = {each.metadata["source"] for each in store.similarity_search("the cat sat", k=20)}
    assert sources == {"mine", str(docs / "boiler.md"), str(docs / "hostel.txt")}
    assert [each.page_content for each in store.get_by_ids([id])] == ["the cat sat"]


def test_loader_and_splitter_give_the_passages_of_an_index(index: Path, docs: Path) -> None:
    loader = GroundupLoader(str(docs))
    documents = loader.load()
    assert [Path(each.metadata["source"]).name for each in documents] == ["boiler.md", "hostel.txt"]
    splitter = GroundupSplitter(max_tokens=16)
    parts = splitter.split_documents(documents)
    for document in documents:
        own = [each for each in parts if each.metadata["source"] == document.metadata["source"]]
        assert "".join(each.page_content for each in own) == document.page_content
        assert all(
            document.page_content.startswith(each.page_content, each.metadata["start_index"])
            for each in own
        )
    with Index(index) as opened:
        indexed = {each.text for each in opened.all_passages()}
    assert {
        each.page_content.strip() for each in GroundupSplitter().split_documents(documents)
    } == indexed
    (docs / "bad.json").write_text("{")
    assert len(loader.load()) == 2 and [Path(file).name for file, _ in loader.faults] == [
        "bad.json"
    ]
    with pytest.raises(DataError):
        GroundupLoader(str(docs / "missing")).load()


MODULE = """
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore
from groundup.integrations.langchain import GroundupRetriever

class Given(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        return [
            Document("The warranty of the PX-20 lasts 24 months. It is long.", metadata={"source": "https://example.org/px"}),
            Document("The hostel closes at 23:00."),
        ]

given = Given()
store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
store.add_texts(["The warranty lasts 30 months."], [{"source": "shelf 3"}])
own = GroundupRetriever(index="index")
number = 3
"""


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(["ask", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_ask_takes_any_retriever_or_vector_store_in_the_place_of_an_index(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "shelf_of_documents.py").write_text(MODULE)
    code, said, _ = asked(
        capsys, "--retriever", "shelf_of_documents:given", QUESTION, "--out", "answer.json"
    )
    assert (
        code == 0
        and '"The warranty of the PX-20 lasts 24 months." [1]' in said
        and "https://example.org/px" in said
    )
    assert [each.state for each in verify_answer(tmp_path / "answer.json")] == [ELSEWHERE]
    assert (
        '"The warranty lasts 30 months." [1]'
        in asked(capsys, "--retriever", "shelf_of_documents:store", QUESTION)[1]
    )
    assert (
        "Not found"
        in asked(capsys, "--retriever", "shelf_of_documents:given", "Who wrote the symphony?")[1]
    )
    code, said, _ = asked(
        capsys, "--retriever", "shelf_of_documents:own", QUESTION, "--out", "own.json"
    )
    assert code == 0 and [each.state for each in verify_answer(tmp_path / "own.json")] == [
        "as cited"
    ]
    assert json.loads((tmp_path / "own.json").read_text())["sources"][0]["address"].endswith(
        "boiler.md"
    )
    for spec, sentence in {
        "shelf_of_documents": "is not MODULE:ATTRIBUTE",
        ".relative:x": "is not MODULE:ATTRIBUTE",
        "no_such_module:x": "there is no module 'no_such_module'",
        "shelf_of_documents:givn": "has no 'givn'",
        "shelf_of_documents:number": "of the class int, neither a retriever nor a vector store",
    }.items():
        code, _, error = asked(capsys, "--retriever", spec, QUESTION)
        assert code == 2 and sentence in " ".join(error.split()) and "Traceback" not in error
    code, _, error = asked(capsys, "--retriever", "shelf_of_documents:given", str(index), QUESTION)
    assert code == 2 and "a question and no index" in " ".join(error.split())
    assert asked(capsys, str(index))[0] == 2


def test_an_in_memory_store_works_with_our_embeddings(encoder: str) -> None:
    store = InMemoryVectorStore.from_texts(
        ["the cat sat", "to be"], GroundupEmbeddings(model=encoder)
    )
    assert store.similarity_search("to be", k=1)[0].page_content == "to be"
