"""`GroundupRetriever`: the passages of an index as LangChain's documents. `GroundupEmbeddings`:
vectors of texts by an encoder or a language model of groundup.

A document's metadata has `source` (the address of the file or of the document in it), `title`,
`start_index`, and the other fields of a `retrieve.passages.Passage`, so that an answer can cite it
and `groundup verify` can check it.

`GroundupVectorStore`: an index with its vectors as LangChain's vector store.

    store = GroundupVectorStore("manuals.index")
            made by: groundup index DOCS --out manuals.index --vectors all-minilm-l6-v2-ask
    store = GroundupVectorStore.from_texts(texts, embeddings, index="notes.index")

Documents that are added become files of the index's own: INDEX/documents/NAME.txt, which the index
reads as it reads all files, and INDEX/metadata/NAME.json with id and metadata; NAME is the hash of
the id. So they survive, can be searched by words, too, and `groundup index` keeps them. Each costs
two files: many documents are better indexed by `groundup index`. Only what was added here can be
deleted here.
"""

import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from jaxtyping import Float
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from pydantic import BaseModel, ConfigDict, PrivateAttr

from groundup.data.reading.source_files import Source
from groundup.errors import ConfigError, DataError, require
from groundup.files import read_json, write_bytes, write_text
from groundup.progress import Silent
from groundup.retrieve.index import INDEX_FILE, Index, IndexConfig
from groundup.retrieve.passages import Passage
from groundup.retrieve.rankings import no_vectors
from groundup.retrieve.search import Ranking, bm25, find
from groundup.retrieve.update import DOCUMENTS, make_index, update_index
from groundup.retrieve.vectors import Rows, Vector, Vectors, make_vectors
from groundup.retrieve.vectors_info import read_vectors_info
from groundup.serve.local_server import NAME, LocalOptions, LocalServer, local_server
from groundup.serve.requests import EmbedRequest
from groundup.tokenizer.spec import well_formed
from groundup.weights.catalog import DEFAULT_ENCODER

By = Literal["words", "vectors", "both"]
_BY_WORDS: Ranking = bm25
# Held while a retriever opens its index, so that threads that share it get the same one.
_OPENING = threading.Lock()
# A document that was added is found as a whole, unless it is longer than this (and no encoder reads
# as much).
MAX_TOKENS = 4096
METADATA = "metadata"


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


class GroundupVectorStore(VectorStore):
    def __init__(self, index: str | Path, embedding: Embeddings | None = None) -> None:
        """`index`: a folder, made if missing; `embedding` None: the encoder that made its vectors.
        Raises FormatError, ModelError.
        """
        self.folder = Path(index)
        if not (self.folder / INDEX_FILE).exists():
            make_index(self.folder, IndexConfig(MAX_TOKENS))
        self._index, self._given, self._writing = Index(self.folder), embedding, threading.Lock()
        self._vectors = vectors_of(self.folder, embedding)

    @property
    def embeddings(self) -> Embeddings | None:
        return self._given

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        index: str | Path = "",
        **kwargs: Any,
    ) -> Self:
        """Raises ConfigError without a folder."""
        if not index:
            raise ConfigError(
                "from_texts needs a folder for the index.", fix='Name one: index="notes.index".'
            )
        store = cls(index, embedding)
        store.add_texts(texts, metadatas, **kwargs)
        return store

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """In the place of those with the same id; return their ids. Raises DataError, DiskError,
        ModelError.
        """
        given = list(texts)
        names = [each or uuid.uuid4().hex for each in ids or [None] * len(given)]
        if metadatas is None:
            metadatas = [{} for _ in given]
        if not len(given) == len(metadatas) == len(names):
            raise DataError(
                f"There are {len(given)} texts, {len(metadatas)} metadatas and {len(names)} ids."
            )
        entries = [_entry(id, metadata) for id, metadata in zip(names, metadatas, strict=True)]
        with self._writing:
            for place in (DOCUMENTS, METADATA):
                (self.folder / place).mkdir(exist_ok=True)
            for id, text, entry in zip(names, given, entries, strict=True):
                write_bytes(self._entry_file(id), entry)
                write_text(self._text_file(id), well_formed(text))
            if given:
                self._update()
        return names

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool | None:
        """None: all that were added. Unknown ids are passed over."""
        files: Iterable[Path] = (self.folder / DOCUMENTS).glob("*.txt")
        if ids is not None:
            files = map(self._text_file, ids)
        with self._writing:
            found = [file for file in set(files) if file.exists()]
            for file in found:
                file.unlink()
                self._entry_of(file).unlink(missing_ok=True)
            if found:
                self._update()
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        files = [self._text_file(id) for id in dict.fromkeys(ids)]
        return [
            Document(file.read_bytes().decode(), **read_json(self._entry_of(file)))
            for file in files
            if file.exists()
        ]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        return [document for document, _ in self.similarity_search_with_score(query, k)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Each with its cosine. Raises ConfigError for an index whose passages have no vectors."""
        return [(self._document(each), each.score) for each in self._near_text(query, k)]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        vectors = self._open()
        if vectors is None:
            return []
        return [self._document(each) for each in self._near(vectors, unit(embedding), k)]

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Near to a text and far from one another, of the `fetch_k` nearest; `lambda_mult` 1: only
        near.
        """
        found, vectors = self._near_text(query, fetch_k), self._vectors
        if vectors is None or not found:
            return []
        rows = vectors.rows_of(found)
        chosen = most_relevant(np.array([each.score for each in found]), rows, k, lambda_mult)
        return [self._document(found[place]) for place in chosen]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return lambda cosine: max(0.0, cosine)

    def _near(self, vectors: Vectors, vector: Vector, k: int) -> list[Passage]:
        """Without those of files that were changed since."""

        def rank(index: Index, _: str, limit: int) -> Any:
            return vectors.nearest_live(index, vector, limit)

        return list(find(self._index, "", k, rank).passages)

    def _near_text(self, text: str, k: int) -> list[Passage]:
        vectors = self._open()
        if vectors is None:
            return []
        return self._near(vectors, vectors.query_rows([text])[0], k)

    def _open(self) -> Vectors | None:
        """None where there are no passages. Raises ConfigError for passages without vectors."""
        if self._vectors is None and self._index.passage_count:
            raise no_vectors(self.folder)
        return self._vectors

    def _update(self) -> None:
        """The index with its own documents, and its vectors with the index."""
        documents, sources = (self.folder / DOCUMENTS).absolute(), []
        if any(documents.iterdir()):
            sources.append(Source(str(documents)))
        update_index(self.folder, sources, progress=Silent())
        known, encoder = read_vectors_info(self.folder), DEFAULT_ENCODER
        if known is not None:
            encoder = known.model
        embedding = self._given or GroundupEmbeddings(model=encoder)
        name = str(getattr(embedding, "model", type(embedding).__name__))
        make_vectors(self.folder, embed_with(embedding), name, progress=Silent())
        self._vectors = vectors_of(self.folder, embedding)

    def _document(self, passage: Passage) -> Document:
        """One that was added has its own id and metadata."""
        if Path(passage.file).parent != (self.folder / DOCUMENTS).absolute():
            return document_of(passage)
        return Document(passage.text, **read_json(self._entry_of(Path(passage.file))))

    def _text_file(self, id: str) -> Path:
        return self.folder / DOCUMENTS / f"{hashlib.sha256(id.encode()).hexdigest()[:40]}.txt"

    def _entry_file(self, id: str) -> Path:
        return self._entry_of(self._text_file(id))

    def _entry_of(self, text_file: Path) -> Path:
        return self.folder / METADATA / f"{text_file.stem}.json"


def _entry(id: str, metadata: dict[str, Any]) -> bytes:
    """What is kept beside a text, as JSON. Raises DataError."""
    try:
        return json.dumps({"id": id, "metadata": metadata}, indent=2, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(
            f"The metadata of {id!r} can't be written as JSON: {error}.",
            fix="Leave that field out.",
        ) from error


def unit(vector: Sequence[float]) -> Vector:
    found = np.array(vector, dtype=np.float32)
    return found / max(float(np.linalg.norm(found)), float(np.finfo(np.float32).tiny))


def most_relevant(
    cosines: Float[np.ndarray, " N"], rows: Rows, k: int, lambda_mult: float
) -> list[int]:
    """Maximal marginal relevance (Carbonell and Goldstein 1998): lambda cosine - (1 - lambda) max
    cosine to a chosen one.
    """
    chosen: list[int] = []
    same = np.zeros(len(rows))
    while len(chosen) < min(k, len(rows)):
        if chosen:
            same = (rows @ rows[chosen].T).max(axis=1)
        gains = lambda_mult * cosines - (1 - lambda_mult) * same
        gains[chosen] = -np.inf
        chosen.append(int(gains.argmax()))
    return chosen
