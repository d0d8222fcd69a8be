"""LangChain's ChatPerplexity and its retriever, unchanged, with no more than an address."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lazy_module import LazyModule
from served_documents import BOILER, QUESTION, Documents

langchain_perplexity = LazyModule("langchain_perplexity")

# LangChain closes none of its connections.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
TEXT = '"The warranty lasts 24 months from the day of purchase." [1]\nThe warranty lasts "24 months". [1]'


@pytest.fixture(autouse=True)
def address(documents: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPLEXITY_BASE_URL", documents.server.address)
    monkeypatch.setenv("PPLX_API_KEY", "any")


@pytest.mark.parametrize(
    "fields", [{}, {"use_responses_api": True}], ids=["completions", "responses"]
)
def test_a_chat_model_answers_from_documents(fields: dict[str, Any]) -> None:
    model = langchain_perplexity.ChatPerplexity(model="sonar", temperature=0, **fields)
    answer = model.invoke(QUESTION)
    assert answer.content == TEXT
    assert answer.usage_metadata["output_tokens"] > 5
    found = answer.additional_kwargs["search_results"][0]
    assert (found["snippet"] if isinstance(found, dict) else found.snippet) in BOILER
    pieces = list(model.stream(QUESTION))
    assert "".join(str(piece.content) for piece in pieces) == TEXT
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    assert whole.usage_metadata["output_tokens"] == answer.usage_metadata["output_tokens"]
    if not fields:
        assert whole.additional_kwargs["citations"] == answer.additional_kwargs["citations"]


def test_a_retriever_finds_passages() -> None:
    [first, *_] = langchain_perplexity.PerplexitySearchRetriever(k=3).invoke(
        "warranty of the boiler"
    )
    assert first.page_content in BOILER and "px20.md" in first.metadata["title"]
