"""`GroundupRetriever`: the passages of an index as LangChain's documents. `GroundupEmbeddings`:
vectors of texts by an encoder or a language model of groundup.

A document's metadata has `source` (the address of the file or of the document in it), `title`,
`start_index`, and the other fields of a `retrieve.passages.Passage`, so that an answer can cite it
and `groundup verify` can check it.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from pydantic import BaseModel, ConfigDict, PrivateAttr

from groundup.errors import require
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.rankings import no_vectors
from groundup.retrieve.search import Ranking, bm25, find
from groundup.retrieve.vectors import Vectors
from groundup.retrieve.vectors_info import read_vectors_info
from groundup.serve.local_server import NAME, LocalOptions, LocalServer, local_server
from groundup.serve.requests import EmbedRequest


class GroundupEmbeddings(BaseModel, Embeddings):
    """Of length 1. The model is opened by the first call. Raises GroundupError."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str
    """A name that `groundup pull` knows (all-minilm-l6-v2), or the path of a model."""
    device: str = "auto"
    precision: str = "float32"
    dimensions: int | None = None
    """Keep only the first components, normalised again."""
    truncate: bool = True
    """Embed the beginning of a text that is too long; False: refuse it."""

    _local: LocalServer | None = PrivateAttr(default=None)

    @property
    def local(self) -> LocalServer:
        """Raises ConfigError, FormatError, ModelError, NetworkError."""
        if self._local is None:
            self._local = local_server(self.model, LocalOptions(self.device, self.precision))
        return self._local

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [
            vector for each in self.local.embed(self._requests(texts)) for vector in each.vectors
        ]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return [
            vector
            for each in await self.local.embed_async(self._requests(texts))
            for vector in each.vectors
        ]

    async def aembed_query(self, text: str) -> list[float]:
        return (await self.aembed_documents([text]))[0]

    def _requests(self, texts: Sequence[str]) -> list[EmbedRequest]:
        most = self.local.limits.texts
        parts = [tuple(texts[start : start + most]) for start in range(0, len(texts), most)]
        return [EmbedRequest(NAME, part, self.dimensions, truncate=self.truncate) for part in parts]


By = Literal["words", "vectors", "both"]
_BY_WORDS: Ranking = bm25
# Held while a retriever opens its index, so that threads that share it get the same one.
_OPENING = threading.Lock()


class GroundupRetriever(BaseRetriever):
    """Opened by the first call; threads may share it. Raises GroundupError."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    index: str | Path
    """The folder that `groundup index` made."""
    k: int = 5
    """Also an argument of `invoke`."""
    by: By = "words"
    """words (BM25), vectors (of an index made with --vectors), or both."""
    embeddings: Embeddings | None = None
    """None: the encoder that made the vectors. Another one is refused."""

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
    """None where the index has none. Raises ModelError where another encoder made them, and what
    opening it raises.
    """
    known = read_vectors_info(folder)
    if known is None:
        return None
    return Vectors(known, embed_with(embeddings or GroundupEmbeddings(model=known.model)))


def embed_with(embeddings: Embeddings) -> Callable[..., Float[np.ndarray, "N C"]]:
    """With vectors of length 1."""

    def embed(texts: Any) -> Float[np.ndarray, "N C"]:
        rows = np.array(embeddings.embed_documents(list(texts)), dtype=np.float32)
        return rows / np.maximum(
            np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny
        )

    return embed


def document_of(passage: Passage) -> Document:
    plain = asdict(passage)
    metadata = {
        "source": plain.pop("address"),
        "start_index": plain.pop("start"),
        "passage": plain.pop("id"),
        **plain,
    }
    return Document(metadata.pop("text"), metadata=metadata, id=str(passage.id))
