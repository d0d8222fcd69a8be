"""GroundupRetriever and GroundupVectorStore under LangChain's standard suites."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import (
    RetrieversIntegrationTests,
    VectorStoreIntegrationTests,
)

from groundup.data.reading.source_files import Source
from groundup.integrations.langchain import GroundupRetriever, GroundupVectorStore
from groundup.progress import Silent
from groundup.retrieve.update import update_index


class TestRetriever(RetrieversIntegrationTests):
    retriever_constructor = GroundupRetriever
    retriever_query_example = "to be or not"

    @pytest.fixture(autouse=True)
    def indexed(self, tmp_path: Path) -> None:
        for number in range(5):
            (tmp_path / f"{number}.txt").write_text(f"To be number {number}, or not.")
        update_index(tmp_path / "index", [Source(str(tmp_path / "*.txt"))], progress=Silent())
        type(self).path = tmp_path / "index"  # type: ignore[attr-defined]

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"index": self.path}  # type: ignore[attr-defined]

    @pytest.fixture
    def retriever(self, indexed: None) -> GroundupRetriever:
        return GroundupRetriever(**self.retriever_constructor_params)


class TestVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Iterator[VectorStore]:  # type: ignore[override]
        yield GroundupVectorStore(tmp_path / "index", self.get_embeddings())
