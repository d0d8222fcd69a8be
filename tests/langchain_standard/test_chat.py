"""ChatGroundup under LangChain's standard suites. docs/langchain.md names each skip and its reason."""

from pathlib import Path
from typing import Any

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from groundup.integrations.langchain import ChatGroundup


class _Ours:
    chat_model_class = ChatGroundup
    supports_json_mode = True

    @pytest.fixture(autouse=True)
    def named(self, chat_model: str) -> None:
        type(self).path = chat_model  # type: ignore[attr-defined]

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {"temperature": 0, "max_tokens": 100, "stop": []}

    @property
    def chat_model_params(self) -> dict[str, Any]:
        # A real small model is slow in float32.
        return {"model": self.path, **({"precision": "int8"} if self.is_real else {})}  # type: ignore[attr-defined]

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        # It repeats a sentence without end at temperature 0.
        return {"repetition_penalty": 1.1} if self.is_real else {}

    @property
    def is_real(self) -> bool:
        return not Path(self.path).is_dir()  # type: ignore[attr-defined]

    @property
    def model_override_value(self) -> str:
        return self.path  # type: ignore[attr-defined, no-any-return]


class TestUnit(_Ours, ChatModelUnitTests):
    pass


class TestIntegration(_Ours, ChatModelIntegrationTests):
    pass
