"""LangChain's retrievers and vector stores in the place of an index: `groundup ask --retriever
module:attribute`.

The object is found by importing a module of the user's (from the working directory, too), which
runs it. Its documents become passages, with the `source` of their metadata as address; those of
`GroundupRetriever` become the passages that they were, and can be verified.
"""

import importlib
import os
import sys
from dataclasses import fields
from typing import Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore

from groundup.errors import ConfigError, did_you_mean
from groundup.retrieve.given_passages import GivenPassages, given_passage
from groundup.retrieve.passages import Passage

_FIX = "Write `retriever` as MODULE:ATTRIBUTE, such as: my_documents:retriever."


def passages_from(spec: str) -> GivenPassages:
    """Raises ConfigError."""
    found = named_object(spec)
    if isinstance(found, VectorStore):
        return GivenPassages(lambda question, k: passages_of(found.similarity_search(question, k)))
    if isinstance(found, BaseRetriever):
        return GivenPassages(lambda question, k: passages_of(found.invoke(question)))
    raise ConfigError(
        f"`retriever` {spec} is of the class {type(found).__name__}, "
        "neither a retriever nor a vector store of LangChain.",
        fix=_FIX,
    )


def named_object(spec: str) -> Any:
    """Raises ConfigError; what the module itself raises is not caught."""
    name, _, attributes = spec.partition(":")
    if not all(part.isidentifier() for part in [*name.split("."), *attributes.split(".")]):
        raise ConfigError(f"`retriever` {spec!r} is not MODULE:ATTRIBUTE.", fix=_FIX)
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found: Any = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name and not name.startswith(f"{error.name}."):
            raise
        raise ConfigError(
            f"`retriever` {spec}: there is no module {error.name!r}.", fix=_FIX
        ) from error
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            known = [each for each in dir(found) if not each.startswith("_")]
            fix = did_you_mean(attribute, known)
            raise ConfigError(f"`retriever` {spec}: {name} has no {attribute!r}.", fix=fix)
        found = getattr(found, attribute)
    return found


def passages_of(documents: list[Document]) -> list[Passage]:
    return [
        _passage(number, each)
        for number, each in enumerate(documents, 1)
        if each.page_content.strip()
    ]


def _passage(number: int, document: Document) -> Passage:
    given = document.metadata
    own = {"id": "passage", "address": "source", "start": "start_index"}
    values = {field.name: given.get(own.get(field.name, field.name)) for field in fields(Passage)}
    values["text"] = document.page_content
    if None not in values.values():  # of GroundupRetriever
        return Passage(**values)
    start = given.get("start_index")
    if not isinstance(start, int):
        start = 0
    source = str(given.get("source") or document.id or f"document {number}")
    title = str(given.get("title") or "")
    return given_passage(number, document.page_content, source, title, start)
