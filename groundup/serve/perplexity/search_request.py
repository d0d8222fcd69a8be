"""Bodies -> a SearchRequest: what is asked, of which model and index, and which passages are
searched.

Perplexity's own model names stand for the first chat model that is served; without one, answers are
quotations. What a body asks for answers here can't have (tools, several at once) is refused, the
rest of Perplexity's fields is ignored.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from groundup.http.responses import JsonObject
from groundup.serve.fields import Body, Whole, read_fields
from groundup.serve.messages import conversation, require_contents
from groundup.serve.openai.chat import ChatFields, constraint_of_format
from groundup.serve.openai.fields import DEFAULTS
from groundup.serve.perplexity.filters import SearchFilters
from groundup.serve.requests import GenerateRequest, RequestError
from groundup.tokenizer.chat import Conversation

DEFAULT_MODEL = "sonar"
MODEL_NAMES = (
    DEFAULT_MODEL,
    "sonar-pro",
    "sonar-reasoning",
    "sonar-reasoning-pro",
    "sonar-deep-research",
)
PROVIDER = "perplexity/"
Size = Literal["low", "medium", "high"]
PASSAGES: dict[Size, int] = {"low": 3, "medium": 5, "high": 10}
MAX_PASSAGES = 50
Searches = Literal["always", "assistant", "never"]


@dataclass(frozen=True)
class SearchRequest:
    """A conversation whose last turn is answered, from documents or not."""

    plain: GenerateRequest
    """The conversation, and how a model answers it that reads no documents; `model` is as the
    client wrote it.
    """
    searches: Searches = "always"
    """When documents are searched, where an index is served: "assistant" is for a model that has
    one of its own.
    """
    index: str | None = None
    """The index; None: that of the model, else the first one."""
    filters: SearchFilters = field(default_factory=SearchFilters)
    size: Size = "medium"
    passages: int | None = None
    """How many documents are read; None: by `size`."""
    own_words: bool | None = None
    """Whether an answer from documents also has the model's own sentences; None: as the server has
    it.
    """
    system_param: str = "messages"
    """The field that has the system messages."""

    @property
    def conversation(self) -> Conversation:
        [prompt] = self.plain.prompts
        assert isinstance(prompt, Conversation)
        return prompt

    @property
    def instructions(self) -> str:
        """The system messages, joined."""
        return "\n\n".join(
            each.content for each in self.conversation.messages if each.role == "system"
        )

    @property
    def num_passages(self) -> int:
        """How many documents are read."""
        if self.passages is None:
            return PASSAGES[self.size]
        return max(1, min(self.passages, MAX_PASSAGES))


class WebSearchOptions(Body):
    """Options of a search."""

    search_context_size: Size = "medium"


class PerplexityChatBody(SearchFilters, ChatFields):
    """The body of /chat/completions. `index` and `own_words` are ours."""

    model: str = Field(DEFAULT_MODEL, min_length=1)
    tools: list[dict[str, Any]] = []
    disable_search: bool = False
    num_search_results: Whole | None = Field(None, ge=1)
    web_search_options: WebSearchOptions = WebSearchOptions()
    stream_mode: Literal["full", "concise"] = "full"
    index: str | None = None
    own_words: bool | None = None


def read_chat(value: JsonObject) -> tuple[SearchRequest, bool]:
    """Return the request of a body, and whether its stream is concise. Raises RequestError."""
    body = read_fields(PerplexityChatBody, value)
    _refuse("tools", bool(body.tools), "an answer with tools")
    _refuse("n", body.n != 1, "more than one answer")
    require_contents(body.messages)
    messages = conversation(body.messages)
    if not any(message.role == "user" for message in messages.messages):
        raise RequestError("messages: no message of a user is among them", param="messages")
    plain = GenerateRequest(
        body.model,
        (messages,),
        body.options(body.longest_answer),
        DEFAULTS,
        stream=body.stream,
        constraint=body.constraint(constraint_of_format(body.response_format)),
        names=body.names(),
    )
    request = SearchRequest(
        plain,
        "never" if body.disable_search else "always",
        body.index,
        SearchFilters.model_construct(
            **{name: getattr(body, name) for name in SearchFilters.model_fields}
        ),
        body.web_search_options.search_context_size,
        body.num_search_results,
        body.own_words,
    )
    return request, body.stream_mode == "concise"


def _refuse(param: str, is_asked: bool, what: str) -> None:
    """Raise RequestError for what this API does not have here."""
    if is_asked:
        raise RequestError(
            f"{param}: {what} is not to be had here; /v1/chat/completions has it", param=param
        )


def is_own_name(model: str) -> bool:
    """Whether a name is one of Perplexity's, which stands for the default model."""
    return model.removeprefix(PROVIDER) in MODEL_NAMES
