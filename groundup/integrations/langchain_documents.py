"""`GroundupLoader`: the data door's documents as LangChain's. `GroundupSplitter`: passages of
documents, as an index has them.

    GroundupSplitter(max_tokens=256).split_documents(GroundupLoader("manuals").load())

Files in every format that `groundup` reads, archives and addresses included; a file that can't be
read is passed over and named in `report`.

`passages_from`: LangChain's retrievers and vector stores in the place of an index (`groundup ask
--retriever module:attribute`). The object is found by importing a module of the user's (from the
working directory, too), which runs it. Its documents become passages, with the `source` of their
metadata as address; those of `GroundupRetriever` become the passages that they were, and can be
verified.
"""

import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import BaseDocumentTransformer, Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore

from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport
from groundup.errors import ConfigError, GroundupError, did_you_mean
from groundup.retrieve.doc_files import doc_files, read_documents
from groundup.retrieve.given_passages import GivenPassages, given_passage
from groundup.retrieve.index import IndexConfig
from groundup.retrieve.passages import MAX_TOKENS, Counter, Passage, estimated_tokens, split
from groundup.tokenizer.spec import well_formed

_FIX = "Write `retriever` as MODULE:ATTRIBUTE, such as: my_documents:retriever."


class GroundupLoader(BaseLoader):
    """The documents of folders, files, globs, archives and addresses (`pypi:`, `https:`, `hf:`,
    `s3:`).
    """

    def __init__(self, *sources: str, text: str = "", charset: str = "auto") -> None:
        """`text`: the field with the text of tables, else it is recognised. Raises ConfigError."""
        self.sources = [Source(str(each)) for each in sources]
        self.config = IndexConfig(text=text, charset=charset)
        self.report = SourceReport()
        self.faults: list[tuple[str, str]] = []
        """(file, reason) of each file that could not be read."""

    def lazy_load(self) -> Iterator[Document]:
        """Metadata: `source`, its address, and `title`. Raises DataError for a missing source."""
        self.report, self.faults = SourceReport(), []
        for source in self.sources:
            for file in doc_files(source, self.report):
                try:
                    for name, stem, text in read_documents(file, self.config.options, self.report):
                        metadata = {
                            "source": well_formed(file.address_of(name)),
                            "title": well_formed(stem),
                        }
                        yield Document(well_formed(text), metadata=metadata)
                except (GroundupError, OSError) as error:
                    self.faults.append((file.shown_place, str(error)))


class GroundupSplitter(BaseDocumentTransformer):
    """At headings, paragraphs and sentences. The parts of a document, joined, are the document."""

    def __init__(self, max_tokens: int = MAX_TOKENS, count: Counter = estimated_tokens) -> None:
        """`count`: how many tokens a text has, by default about, from its bytes."""
        self.max_tokens, self.count = max_tokens, count

    def split_text(self, text: str) -> list[str]:
        return [text[each.start : each.end] for each in split(text, self.max_tokens, self.count)]

    def split_documents(self, documents: Iterable[Document]) -> list[Document]:
        """With the document's metadata, the headings as `title` and the place as `start_index`."""
        return [part for document in documents for part in self._parts(document)]

    def create_documents(
        self, texts: Sequence[str], metadatas: Sequence[dict[str, Any]] | None = None
    ) -> list[Document]:
        given = metadatas or [{} for _ in texts]
        return self.split_documents(
            Document(text, metadata=each) for text, each in zip(texts, given, strict=True)
        )

    def transform_documents(
        self, documents: Sequence[Document], **kwargs: Any
    ) -> Sequence[Document]:
        return self.split_documents(documents)

    def _parts(self, document: Document) -> Iterator[Document]:
        text = document.page_content
        for part in split(text, self.max_tokens, self.count):
            metadata = dict(document.metadata)
            if part.title:
                metadata["title"] = part.title
            metadata["start_index"] = part.start
            yield Document(text[part.start : part.end], metadata=metadata)


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
