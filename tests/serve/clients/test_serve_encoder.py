"""A served encoder: both dialects give its vectors, it is asked for nothing else, and a text that is too long is cut or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lazy_module import LazyModule
from tiny_encoder import save_encoder

import groundup

ollama = LazyModule("ollama")
openai = LazyModule("openai")

TEXTS = ["the cat sat on the mat", "to be", "that is the question", "", "cats " * 30]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("served") / "vectors")


@pytest.fixture(scope="module")
def server(serve: Callable[..., Any], folder: Path) -> Any:
    return serve(str(folder))


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[ollama.Client]:
    with ollama.Client(host=server.address) as opened:
        yield opened


def test_every_api_gives_the_vectors_of_the_model(
    server: Any, client: ollama.Client, folder: Path
) -> None:
    expected = groundup.open_model(folder).embed(TEXTS).tolist()
    with openai.OpenAI(base_url=f"{server.address}/v1", api_key="any") as theirs:
        found = theirs.embeddings.create(model="vectors", input=[text for text in TEXTS if text])
    named = [vector for text, vector in zip(TEXTS, expected, strict=True) if text]
    assert [each.embedding for each in found.data] == [
        pytest.approx(vector, abs=1e-5) for vector in named
    ]
    together = client.embed("vectors", TEXTS)
    assert list(map(list, together.embeddings)) == [
        pytest.approx(vector, abs=1e-5) for vector in expected
    ]
    assert list(client.embeddings("vectors", TEXTS[0]).embedding) == pytest.approx(
        expected[0], abs=1e-5
    )
    assert together.prompt_eval_count == sum(min(24, len(row)) for row in token_rows(folder))


def test_texts_that_are_cut_are_said_beside_their_vectors(server: Any) -> None:
    asked = {"model": "vectors", "input": TEXTS}
    cut = "1 of 5 texts is longer than 24 tokens and was cut: the rest of it is not in its vector."
    assert server.post("/api/embed", asked).json()["warning"] == cut
    asked["input"] = TEXTS[-1]
    assert server.post("/v1/embeddings", asked).json()["warning"].startswith("1 of 1 text is")
    one = {"model": "vectors", "prompt": TEXTS[-1]}
    assert server.post("/api/embeddings", one).json()["warning"].startswith("1 of 1 text is")
    for place, text in (("/v1/embeddings", "to be"), ("/api/embed", "to be")):
        assert "warning" not in server.post(place, {"model": "vectors", "input": text}).json()


def token_rows(folder: Path) -> list[list[int]]:
    engine = groundup.open_model(folder).engine
    return [engine.embedding_ids(text) for text in TEXTS]


def test_a_text_beyond_the_context_is_refused_where_it_must_not_be_cut(
    client: ollama.Client,
) -> None:
    with pytest.raises(ollama.ResponseError, match="exceeds the context length of 24"):
        client.embed("vectors", TEXTS, truncate=False)


def test_it_is_listed_as_an_encoder_and_answers_nothing_else(
    server: Any, client: ollama.Client
) -> None:
    shown = client.show("vectors")
    assert shown.capabilities == ["embedding"] and shown.modelinfo["general.architecture"] == "bert"
    with pytest.raises(ollama.ResponseError, match="does not support") as refused:
        client.chat("vectors", [{"role": "user", "content": "to be"}])
    assert refused.value.status_code == 400
    asked = {"model": "vectors", "input": "to be"}
    assert server.post("/v1/classify", asked).status_code == 400
    (entry,) = server.get("/groundup/models").json()["models"]
    assert (entry["name"], entry["kind"]) == ("vectors:latest", "encoder")
