"""GroundupEmbeddings under LangChain's standard suites."""

from pathlib import Path
from typing import Any

import pytest
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests
from tiny_encoder import save_encoder

from groundup.integrations.langchain import GroundupEmbeddings


class _Ours:
    embeddings_class = GroundupEmbeddings

    @pytest.fixture(autouse=True)
    def saved(self, tmp_path: Path) -> None:
        type(self).path = str(save_encoder(tmp_path / "encoder"))  # type: ignore[attr-defined]

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": self.path}  # type: ignore[attr-defined]

    @pytest.fixture
    def model(self, saved: None) -> GroundupEmbeddings:
        return GroundupEmbeddings(**self.embedding_model_params)


class TestUnit(_Ours, EmbeddingsUnitTests):
    pass


class TestIntegration(_Ours, EmbeddingsIntegrationTests):
    pass
