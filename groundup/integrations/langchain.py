"""LangChain with models and indexes of groundup, in the same process: `from
groundup.integrations.langchain import ChatGroundup`.

    ChatGroundup          a chat model            GroundupRetriever      passages of an index, with
                          their places as metadata
    GroundupLLM           a text is continued     GroundupVectorStore    an index, to which
                          documents can be added
    GroundupEmbeddings    vectors of texts        GroundupLoader, GroundupSplitter    documents of
                          the data door, passages of them

The classes take the place of LangChain's own with no other change; docs/langchain.md has an example
of each. They need the extra `langchain`. Models run in `serve.local_server`, by the requests of
OpenAI's dialect.
"""

import importlib
from typing import TYPE_CHECKING, Any

from groundup.errors import MissingExtra

if TYPE_CHECKING:
    from groundup.integrations.langchain_chat import ChatGroundup as ChatGroundup
    from groundup.integrations.langchain_chat import GroundupLLM as GroundupLLM
    from groundup.integrations.langchain_documents import GroundupLoader as GroundupLoader
    from groundup.integrations.langchain_documents import GroundupSplitter as GroundupSplitter
    from groundup.integrations.langchain_retriever import GroundupEmbeddings as GroundupEmbeddings
    from groundup.integrations.langchain_retriever import GroundupRetriever as GroundupRetriever
    from groundup.integrations.langchain_retriever import (
        GroundupVectorStore as GroundupVectorStore,
    )

# Where each class is; its file is imported when it is first used.
CLASSES = {
    "ChatGroundup": "langchain_chat",
    "GroundupEmbeddings": "langchain_retriever",
    "GroundupLLM": "langchain_chat",
    "GroundupLoader": "langchain_documents",
    "GroundupRetriever": "langchain_retriever",
    "GroundupSplitter": "langchain_documents",
    "GroundupVectorStore": "langchain_retriever",
}
NEEDED = {
    "langchain_core": "langchain-core",
    "starlette": "starlette",
    "prometheus_client": "prometheus-client",
}


def __getattr__(name: str) -> Any:
    """Raises MissingExtra."""
    if name not in CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"groundup.integrations.{CLASSES[name]}"), name)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in NEEDED:
            raise
        raise MissingExtra(NEEDED[package], "langchain") from error


def __dir__() -> list[str]:
    return sorted({*globals(), *CLASSES})
