"""`GroundupLoader`: the data door's documents as LangChain's. `GroundupSplitter`: passages of
documents, as an index has them.

    GroundupSplitter(max_tokens=256).split_documents(GroundupLoader("manuals").load())

Files in every format that `groundup` reads, archives and addresses included; a file that can't be
read is passed over and named in `report`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import BaseDocumentTransformer, Document

from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport
from groundup.errors import GroundupError
from groundup.retrieve.doc_files import doc_files, read_documents
from groundup.retrieve.index_config import IndexConfig
from groundup.retrieve.passages import MAX_TOKENS, Counter, estimated_tokens, split
from groundup.tokenizer.spec import well_formed


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
