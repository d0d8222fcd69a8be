"""`GroundupEmbeddings`: vectors of texts by an encoder or a language model of groundup, as
LangChain's embeddings.
"""

from collections.abc import Sequence

from langchain_core.embeddings import Embeddings
from pydantic import BaseModel, ConfigDict, PrivateAttr

from groundup.serve.local_server import NAME, LocalOptions, LocalServer, local_server
from groundup.serve.requests import EmbedRequest


class GroundupEmbeddings(BaseModel, Embeddings):
    """Vectors of length 1. The model is opened by the first call. Raises GroundupError."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str
    """A name that `groundup pull` knows (all-minilm-l6-v2), or the path of a model."""
    device: str = "auto"
    precision: str = "float32"
    dimensions: int | None = None
    """Keep only this number of components, the first ones, normalised again."""
    truncate: bool = True
    """Embed the beginning of a text that is too long; False: refuse it."""

    _local: LocalServer | None = PrivateAttr(default=None)

    @property
    def local(self) -> LocalServer:
        """The server of the model. Raises ConfigError, FormatError, ModelError, NetworkError."""
        if self._local is None:
            self._local = local_server(self.model, LocalOptions(self.device, self.precision))
        return self._local

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vector of each text."""
        return [
            vector for each in self.local.embed(self._requests(texts)) for vector in each.vectors
        ]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """`embed_documents`, in the event loop of the caller."""
        return [
            vector
            for each in await self.local.embed_async(self._requests(texts))
            for vector in each.vectors
        ]

    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query`, in the event loop of the caller."""
        return (await self.aembed_documents([text]))[0]

    def _requests(self, texts: Sequence[str]) -> list[EmbedRequest]:
        most = self.local.limits.texts
        parts = [tuple(texts[start : start + most]) for start in range(0, len(texts), most)]
        return [EmbedRequest(NAME, part, self.dimensions, truncate=self.truncate) for part in parts]
