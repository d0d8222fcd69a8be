"""`GroundupRetriever`: the passages of an index as LangChain's documents, each with its place in
its file as metadata.

A document's metadata has `source` (the address of the file or of the document in it), `title`,
`start_index`, and the other fields of a `retrieve.passages.Passage`, so that an answer can cite it
and `groundup verify` can check it.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, PrivateAttr

from groundup.errors import require
from groundup.integrations.langchain_embeddings import GroundupEmbeddings
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.rankings import no_vectors
from groundup.retrieve.search import Ranking, bm25, find
from groundup.retrieve.vectors import Vectors, read_vectors_info

By = Literal["words", "vectors", "both"]
_BY_WORDS: Ranking = bm25
# Held while a retriever opens its index, so that threads that share it get the same one.
_OPENING = threading.Lock()


class GroundupRetriever(BaseRetriever):
    """An index that is searched. It is opened by the first call; threads may share it.

    Raises GroundupError.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    index: str | Path
    """The folder that `groundup index` made."""
    k: int = 5
    """How many passages are returned; also an argument of `invoke`."""
    by: By = "words"
    """The ranking: words (BM25), vectors (of an index made with --vectors), or both."""
    embeddings: Embeddings | None = None
    """The encoder of the index's vectors; None: the one that made them. Another one is refused."""

    _opened: tuple[Index, Ranking] | None = PrivateAttr(default=None)

    def _get_relevant_documents(
        self, query: str, *, run_manager: Any, k: int | None = None
    ) -> list[Document]:
        index, ranking = self._open()
        if k is None:
            k = self.k
        return [document_of(each) for each in find(index, query, k, ranking).passages]

    def _open(self) -> tuple[Index, Ranking]:
        if self._opened is None:
            with _OPENING:
                self._opened = self._opened or self._open_index()
        return self._opened

    def _open_index(self) -> tuple[Index, Ranking]:
        require(self.by in ("words", "vectors", "both"), "by", self.by, "words, vectors or both")
        index = Index(self.index)
        if self.by == "words":
            return index, _BY_WORDS
        vectors = vectors_of(Path(self.index), self.embeddings)
        if vectors is None:
            raise no_vectors(self.index)
        if self.by == "vectors":
            return index, vectors.ranking
        return index, vectors.mixture()


def vectors_of(folder: Path, embeddings: Embeddings | None) -> Vectors | None:
    """Return the vectors of an index; None where it has none.

    Raises ModelError where another encoder made them, and what opening it raises.
    """
    known = read_vectors_info(folder)
    if known is None:
        return None
    return Vectors(known, embed_with(embeddings or GroundupEmbeddings(model=known.model)))


def embed_with(embeddings: Embeddings) -> Callable[..., Float[np.ndarray, "N C"]]:
    """Return the function of LangChain's embeddings, whose vectors get length 1."""

    def embed(texts: Any) -> Float[np.ndarray, "N C"]:
        rows = np.array(embeddings.embed_documents(list(texts)), dtype=np.float32)
        return rows / np.maximum(
            np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny
        )

    return embed


def document_of(passage: Passage) -> Document:
    """Return a passage as a document."""
    plain = passage.to_plain()
    metadata = {
        "source": plain.pop("address"),
        "start_index": plain.pop("start"),
        "passage": plain.pop("id"),
        **plain,
    }
    return Document(metadata.pop("text"), metadata=metadata, id=str(passage.id))
