"""Bodies -> a SearchRequest: what is asked, of which model and index, and which passages are searched.

Perplexity's own model names stand for the first chat model that is served; without one, answers are quotations. What a body asks for answers
here can't have (tools, several at once) is refused, the rest of Perplexity's fields is ignored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from groundup.engine.structured_output import OutputConstraint
from groundup.serve.fields import Body, Number, Whole, read_fields
from groundup.serve.messages import ClientMessage, Part, conversation
from groundup.serve.openai.chat import JsonSchema, ResponseFormat, constraint_of_format
from groundup.serve.openai.fields import CompletionFields
from groundup.serve.perplexity.filters import SearchFilters
from groundup.serve.requests import Options, RequestError
from groundup.tokenizer.chat import Conversation

DEFAULT_MODEL = "sonar"
MODEL_NAMES = (DEFAULT_MODEL, "sonar-pro", "sonar-reasoning", "sonar-reasoning-pro", "sonar-deep-research")
PROVIDER = "perplexity/"
Size = Literal["low", "medium", "high"]
PASSAGES: dict[Size, int] = {"low": 3, "medium": 5, "high": 10}
MAX_PASSAGES = 50
TEXT_PARTS = ("input_text", "output_text", "text")
SEARCH_TOOLS = ("web_search", "web_search_preview", "file_search")


@dataclass(frozen=True)
class SearchRequest:
    """A conversation whose last turn is answered, from documents or not."""

    model: str
    """As the client wrote it."""
    conversation: Conversation
    searches: bool = True
    """Whether documents are searched, where an index is served."""
    index: str | None = None
    """The index; None: the first one."""
    filters: SearchFilters = field(default_factory=SearchFilters)
    size: Size = "medium"
    passages: int | None = None
    """How many documents are read; None: by `size`."""
    options: Options = field(default_factory=Options)
    stream: bool = False
    constraint: OutputConstraint | None = None
    """Of a plain answer; an answer from documents can't have one."""

    @property
    def num_passages(self) -> int:
        """How many documents are read."""
        return PASSAGES[self.size] if self.passages is None else max(1, min(self.passages, MAX_PASSAGES))


class WebSearchOptions(Body):
    """Options of a search."""

    search_context_size: Size = "medium"


class ChatBody(SearchFilters, CompletionFields):
    """The body of /chat/completions. `index` is ours."""

    model: str = Field(DEFAULT_MODEL, min_length=1)
    messages: list[ClientMessage] = Field(min_length=1)
    max_completion_tokens: Whole | None = Field(None, ge=0)
    response_format: ResponseFormat = ResponseFormat(type="text")
    tools: list[dict[str, Any]] = []
    disable_search: bool = False
    num_search_results: Whole | None = Field(None, ge=1)
    web_search_options: WebSearchOptions = WebSearchOptions()
    stream_mode: Literal["full", "concise"] = "full"
    index: str | None = None


def read_chat(value: dict[str, Any]) -> tuple[SearchRequest, bool]:
    """Return the request of a body, and whether its stream is concise. Raises RequestError."""
    body = read_fields(ChatBody, value)
    _refuse("tools", bool(body.tools), "an answer with tools")
    _refuse("n", body.n != 1, "more than one answer")
    limit = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    request = SearchRequest(
        body.model,
        _asked(body.messages, "messages"),
        not body.disable_search,
        body.index,
        SearchFilters.model_construct(**{name: getattr(body, name) for name in SearchFilters.model_fields}),
        body.web_search_options.search_context_size,
        body.num_search_results,
        body.options(limit),
        body.stream,
        body.constraint(constraint_of_format(body.response_format)),
    )
    return request, body.stream_mode == "concise"


def _refuse(param: str, is_asked: bool, what: str) -> None:
    """Raise RequestError for what this API does not have here."""
    if is_asked:
        raise RequestError(f"{param}: {what} is not to be had here; /v1/chat/completions has it", param=param)


def _asked(messages: Sequence[ClientMessage], param: str) -> Conversation:
    """Return the conversation. Raises RequestError for one that asks nothing."""
    for place, message in enumerate(messages):
        if message.content is None and not message.tool_calls:
            raise RequestError(f"{param}.{place}.content: is missing", param=f"{param}.{place}.content")
    found = conversation(messages)
    if not any(message.role == "user" for message in found.messages):
        raise RequestError(f"{param}: no message of a user is among them", param=param)
    return found


class InputItem(Body):
    """One item of the input of /v1/responses."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"] = "user"
    content: str | list[Part] | None = None

    def message(self) -> ClientMessage:
        """Return it as a message; parts of other kinds than text are refused when it is read."""
        if not isinstance(self.content, list):
            return ClientMessage(role=self.role, content=self.content)
        parts = [Part(type="text" if each.type in TEXT_PARTS else each.type, text=each.text) for each in self.content]
        return ClientMessage(role=self.role, content=parts)


class Tool(Body):
    """A tool of the server; the only one is the search."""

    type: str
    filters: SearchFilters = SearchFilters()
    search_context_size: Size = "medium"


class TextFormat(Body):
    """The format of the text; its schema is not nested, other than in chats."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    wanted: dict[str, Any] | None = Field(default=None, alias="schema")

    def nested(self) -> ResponseFormat:
        """Return it as chats have it."""
        return ResponseFormat(
            type=self.type, json_schema=None if self.wanted is None else JsonSchema(schema=self.wanted)
        )


class TextOptions(Body):
    """Options of the text."""

    format: TextFormat = Field(default_factory=lambda: TextFormat.model_validate({}))


class ResponsesBody(Body):
    """The body of /v1/responses. `disable_search` and `index` are ours."""

    model: str = Field(DEFAULT_MODEL, min_length=1)
    models: list[str] = []
    preset: str = ""
    input: str | list[InputItem]
    instructions: str = ""
    stream: bool = False
    max_output_tokens: Whole | None = Field(None, ge=1)
    temperature: Number | None = Field(None, ge=0, le=100)
    top_p: Number | None = Field(None, ge=0, le=1)
    tools: list[Tool] = []
    tool_choice: str | dict[str, Any] = "auto"
    text: TextOptions = TextOptions()
    response_format: ResponseFormat = ResponseFormat(type="text")
    previous_response_id: str = ""
    background: bool = False
    disable_search: bool = False
    index: str | None = None


def read_responses(value: dict[str, Any]) -> SearchRequest:
    """Return the request of a body. Raises RequestError."""
    body = read_fields(ResponsesBody, value)
    given = body.response_format if body.text.format.type == "text" else body.text.format.nested()
    for name in ("previous_response_id", "background"):
        if getattr(body, name):
            raise RequestError(f"{name}: responses are not kept here; send the whole conversation", param=name)
    others = [tool.type for tool in body.tools if tool.type not in SEARCH_TOOLS]
    if others:
        message = (
            f"tools: {others[0][:40]!r} is not one of {', '.join(SEARCH_TOOLS)}; /v1/chat/completions has functions"
        )
        raise RequestError(message, param="tools")
    tool = body.tools[0] if body.tools else Tool(type=SEARCH_TOOLS[0])
    items = [InputItem(content=body.input)] if isinstance(body.input, str) else body.input
    system = [ClientMessage(role="system", content=body.instructions)] if body.instructions else []
    return SearchRequest(
        DEFAULT_MODEL if body.preset else body.models[0] if body.models else body.model,
        _asked([*system, *(item.message() for item in items)], "input"),
        not body.disable_search and body.tool_choice != "none",
        body.index,
        tool.filters,
        tool.search_context_size,
        None,
        Options(temperature=body.temperature, top_p=body.top_p, max_tokens=body.max_output_tokens),
        body.stream,
        constraint_of_format(given),
    )


def is_own_name(model: str) -> bool:
    """Whether a name is one of Perplexity's, which stands for the default model."""
    return model.removeprefix(PROVIDER) in MODEL_NAMES
