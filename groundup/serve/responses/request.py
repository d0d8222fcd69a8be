"""Bodies -> a ResponsesRequest: the conversation, the functions that may be called, whether
documents are searched, and what the answer echoes.

Documents are searched where the tool `web_search` is given, where the model is an assistant
(`ServedIndexes.index_of`), and for Perplexity's own names of models, whose answers come from a
search there, too. Functions are OpenAI's flat ones. Tools that run on OpenAI's machines are
refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from groundup.engine.structured_output import ANY_OBJECT, OutputConstraint
from groundup.http.limits import Limits
from groundup.serve.fields import Body, Number, Whole, read_fields
from groundup.serve.messages import (
    ClientMessage,
    ToolBody,
    ToolChoice,
    ToolFunction,
    conversation,
    read_tools,
)
from groundup.serve.openai.chat import ResponseFormat, constraint_of_format
from groundup.serve.openai.fields import DEFAULTS
from groundup.serve.perplexity.filters import SearchFilters
from groundup.serve.perplexity.search_request import (
    DEFAULT_MODEL,
    Searches,
    SearchRequest,
    Size,
    is_own_name,
)
from groundup.serve.requests import GenerateRequest, Options, RequestError
from groundup.serve.responses.items import messages_of, resolved
from groundup.serve.responses.kept import JSON, KeptResponses

SEARCH_TOOLS = ("web_search", "web_search_preview", "file_search")
B = TypeVar("B", bound=Body)
MetadataText = Annotated[str, Field(max_length=512)]


class FunctionTool(Body):
    """A function; `strict` is always so."""

    name: str = Field(min_length=1, max_length=256)
    description: str = ""
    parameters: dict[str, Any] = {}

    def nested(self) -> ToolBody:
        """Return it as chats have it."""
        return ToolBody.model_validate({"function": self.model_dump(exclude_unset=True)})


class ToolFilters(SearchFilters):
    """Filters of a search; OpenAI's one, of domains, is Perplexity's."""

    allowed_domains: Annotated[list[str], Field(max_length=100)] = []

    def search_filters(self) -> SearchFilters:
        """Return them by Perplexity's names."""
        return self.model_copy(
            update={"search_domain_filter": [*self.search_domain_filter, *self.allowed_domains]}
        )


class SearchTool(Body):
    """The search in documents."""

    filters: ToolFilters = ToolFilters()
    search_context_size: Size = "medium"


class TextFormat(Body):
    """The format of the text; its schema is not nested, other than in chats."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    wanted: dict[str, Any] | None = Field(default=None, alias="schema")

    def constraint(self) -> OutputConstraint | None:
        """Return the constraint; None: any text. Raises RequestError."""
        if self.type == "json_schema":
            if self.wanted is None:
                raise RequestError("text.format.schema: is missing", param="text.format.schema")
            return OutputConstraint.schema(self.wanted)
        return ANY_OBJECT if self.type == "json_object" else None


class TextOptions(Body):
    """Options of the text."""

    format: TextFormat = Field(default_factory=lambda: TextFormat.model_validate({}))


class ResponsesBody(Body):
    """The body of /v1/responses. `disable_search`, `index` and `own_words` are ours; `models`,
    `preset` and `response_format` are Perplexity's.
    """

    model: str = Field(DEFAULT_MODEL, min_length=1)
    models: list[str] = []
    preset: str = ""
    input: Any
    instructions: str = ""
    stream: bool = False
    max_output_tokens: Whole | None = Field(None, ge=1)
    temperature: Number | None = Field(None, ge=0, le=100)
    top_p: Number | None = Field(None, ge=0, le=1)
    tools: list[dict[str, Any]] = []
    tool_choice: Any = "auto"
    parallel_tool_calls: bool | None = None
    text: TextOptions = TextOptions()
    response_format: ResponseFormat = ResponseFormat(type="text")
    truncation: Literal["auto", "disabled"] = "disabled"
    previous_response_id: str = ""
    store: bool = True
    metadata: Annotated[dict[str, MetadataText], Field(max_length=16)] = {}
    background: bool = False
    disable_search: bool = False
    index: str | None = None
    own_words: bool | None = None

    @property
    def asked_model(self) -> str:
        """The model; a preset of Perplexity's stands for its default."""
        return DEFAULT_MODEL if self.preset else self.models[0] if self.models else self.model


@dataclass(frozen=True)
class ToolUse:
    """Tools, and which of them are used."""

    functions: tuple[ToolBody, ...]
    search: SearchTool | None
    choice: Literal["none", "auto", "required"] | ToolChoice
    """Of the functions."""


@dataclass(frozen=True)
class ResponsesRequest:
    """A request, and what its response says of it."""

    search: SearchRequest
    echo: JSON
    """Fields of the response that repeat those of the request."""
    items: tuple[JSON, ...]
    """The conversation, without instructions."""
    keeps: bool
    """Whether the response is kept."""
    is_perplexitys: bool
    """Whether the client asks for a model by one of Perplexity's names, and reads what was found in
    Perplexity's form.
    """


def read_responses(value: JSON, kept: KeptResponses, limits: Limits) -> ResponsesRequest:
    """Return the request of a body. Raises RequestError."""
    body = read_fields(ResponsesBody, value)
    if body.background:
        raise RequestError(
            "background: an answer is made while its client waits", param="background"
        )
    used = _tool_use(body)
    items = _items(body, kept, limits)
    own_name = bool(body.preset) or is_own_name(body.asked_model)
    request = SearchRequest(
        _plain(body, used, items),
        _searches(body, used, own_name=own_name),
        body.index,
        (used.search or SearchTool()).filters.search_filters(),
        (used.search or SearchTool()).search_context_size,
        own_words=body.own_words,
        system_param="instructions" if body.instructions else "input",
    )
    return ResponsesRequest(request, _echo(body, value), tuple(items), body.store, own_name)


def _items(body: ResponsesBody, kept: KeptResponses, limits: Limits) -> list[JSON]:
    """Return the conversation so far and the input. Raises RequestError."""
    given = [{"role": "user", "content": body.input}] if isinstance(body.input, str) else body.input
    if not isinstance(given, list) or not given:
        raise RequestError("input: expected a text or a list of items", param="input")
    before = (
        kept.find(body.previous_response_id, "previous_response_id").items
        if body.previous_response_id
        else ()
    )
    if len(before) + len(given) > limits.messages:
        message = (
            f"input: at most {limits.messages:,} items allowed, got {len(before) + len(given):,}"
        )
        raise RequestError(message, param="input")
    return [*before, *resolved(given, kept.item)]


def _plain(body: ResponsesBody, used: ToolUse, items: Sequence[JSON]) -> GenerateRequest:
    """Return the request to a model alone. Raises RequestError."""
    system = [ClientMessage(role="system", content=body.instructions)] if body.instructions else []
    parallel = body.parallel_tool_calls
    own = constraint_of_format(body.response_format)
    return GenerateRequest(
        body.asked_model,
        (conversation([*system, *messages_of(items)]),),
        Options(temperature=body.temperature, top_p=body.top_p, max_tokens=body.max_output_tokens),
        DEFAULTS,
        stream=body.stream,
        constraint=body.text.format.constraint() or own,
        **read_tools(
            used.functions,
            used.choice,
            parallel=used.choice != "required" if parallel is None else parallel,
        ),
        truncate=body.truncation == "auto",
        names={"messages": "input"} | ({"response_format": "text.format"} if own is None else {}),
    )


def _searches(body: ResponsesBody, used: ToolUse, *, own_name: bool) -> Searches:
    """Return when documents are searched.

    Functions are only called by a model that reads no documents.
    """
    if body.disable_search or body.tool_choice == "none":
        return "never"
    if used.search is not None:
        return "always"
    if used.functions:
        return "never"
    return "always" if own_name else "assistant"


def _tool_use(body: ResponsesBody) -> ToolUse:
    """Return the tools.

    Raises RequestError for one that is unknown, or a choice of none that is given.
    """
    functions: list[ToolBody] = []
    search: SearchTool | None = None
    for place, tool in enumerate(body.tools):
        if tool.get("type") == "function":
            functions.append(_read_tool(FunctionTool, tool, place).nested())
        elif _is_search(tool.get("type")):
            search = _read_tool(SearchTool, tool, place)
        else:
            message = f"tools.{place}.type: expected function, {', '.join(SEARCH_TOOLS)}; no other tool is to be had here"
            raise RequestError(message, param=f"tools.{place}.type")
    used = _chosen(body.tool_choice, ToolUse(tuple(functions), search, "auto"))
    if used.functions and used.search is not None and used.choice != "none":
        message = "tools: an answer from documents calls no functions; give web_search or functions, or choose one by tool_choice"
        raise RequestError(message, param="tools")
    return used


def _is_search(kind: Any) -> bool:
    """Whether a type is that of a search, also with a date behind it (web_search_2025_08_26)."""
    return isinstance(kind, str) and (kind in SEARCH_TOOLS or kind.startswith("web_search_"))


def _read_tool(body_type: type[B], tool: JSON, place: int) -> B:
    try:
        return read_fields(body_type, tool)
    except RequestError as error:
        raise RequestError(
            f"tools.{place}.{error.message}", param=f"tools.{place}.{error.param}"
        ) from None


def _chosen(choice: Any, given: ToolUse) -> ToolUse:
    """Return the tools that a choice leaves. Raises RequestError."""
    if choice in ("none", "auto"):
        return replace(given, choice=choice)
    if choice == "required" and given.functions:
        return replace(given, choice=choice)
    if choice == "required" and given.search is not None:
        return given
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind == "allowed_tools" and choice.get("mode") in ("auto", "required"):
        return _chosen(choice["mode"], _allowed(choice.get("tools"), given))
    if _is_search(kind) and given.search is not None:
        return replace(given, functions=())
    for function in (each.function for each in given.functions) if kind == "function" else ():
        if function.name == choice.get("name"):
            return replace(
                given, search=None, choice=ToolChoice(function=ToolFunction(name=function.name))
            )
    raise RequestError("tool_choice: tools has no such tool", param="tool_choice")


def _allowed(listed: Any, given: ToolUse) -> ToolUse:
    """Return the tools that are also in the list of a choice."""
    allowed = (
        [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    )
    names = [each.get("name") for each in allowed if each.get("type") == "function"]
    searches = any(_is_search(each.get("type")) for each in allowed)
    functions = tuple(each for each in given.functions if each.function.name in names)
    return replace(given, functions=functions, search=given.search if searches else None)


def _echo(body: ResponsesBody, value: JSON) -> JSON:
    """Return what the response repeats; where the request is silent, what holds."""
    parallel = body.parallel_tool_calls
    return {
        "instructions": value.get("instructions"),
        "max_output_tokens": body.max_output_tokens,
        "metadata": body.metadata,
        "parallel_tool_calls": body.tool_choice != "required" if parallel is None else parallel,
        "previous_response_id": body.previous_response_id or None,
        "store": body.store,
        "temperature": body.temperature,
        "text": value.get("text") or {"format": {"type": "text"}},
        "tool_choice": value.get("tool_choice") or "auto",
        "tools": body.tools,
        "top_p": body.top_p,
        "truncation": body.truncation,
    }
