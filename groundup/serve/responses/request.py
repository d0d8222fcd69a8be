"""Bodies -> a ResponsesRequest: the conversation, the functions that may be called, whether
documents are searched, and what the answer echoes.

Documents are searched where the tool `web_search` is given, where the model is an assistant
(`ServedIndexes.index_of`), and for Perplexity's own names of models, whose answers come from a
search there, too. Functions are OpenAI's flat ones. Tools that run on OpenAI's machines are
refused. Items of the conversation become messages:

    {"role": "user", "content": "How is the weather?"}
            a message, also as {"type": "message", ...} and with parts
    {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"}
            the assistant's; one message together with its text before the call
    {"type": "function_call_output", "call_id": "c", "output": "sunny"}          the result
    {"type": "item_reference", "id": "msg_1"}
            an item of a response that is kept

What models here have no use for (reasoning, what a search found) is passed over: clients send back
the whole output.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from groundup.engine.structured_output import ANY_OBJECT, OutputConstraint
from groundup.http.json_object import JsonObject
from groundup.http.limits import Limits
from groundup.serve.fields import Body, Number, Whole, read_fields
from groundup.serve.messages import (
    ClientMessage,
    ClientToolCall,
    ToolBody,
    ToolChoice,
    ToolFunction,
    conversation,
    with_tools,
)
from groundup.serve.openai.chat import ResponseFormat, constraint_of_format
from groundup.serve.openai.fields import DEFAULTS, ConversationFields
from groundup.serve.perplexity.search_request import (
    DEFAULT_MODEL,
    Searches,
    SearchFilters,
    SearchRequest,
    Size,
    is_own_name,
)
from groundup.serve.requests import GenerateRequest, Options, RequestError
from groundup.serve.responses.kept import KeptResponses

SEARCH_TOOLS = ("web_search", "web_search_preview", "file_search")
MetadataText = Annotated[str, Field(max_length=512)]
# The field with the text of a part, by the part's type.
TEXT_OF_PART = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "refusal": "refusal",
}
PASSED_OVER = (
    "reasoning",
    "web_search_call",
    "file_search_call",
    "search_results",
    "fetch_url_results",
)
B = TypeVar("B", bound=Body)


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
        if self.type == "json_object":
            return ANY_OBJECT
        if self.type == "text":
            return None
        if self.wanted is None:
            raise RequestError("text.format.schema: is missing", param="text.format.schema")
        return OutputConstraint.schema(self.wanted)


class TextOptions(Body):
    """Options of the text."""

    format: TextFormat = Field(default_factory=lambda: TextFormat.model_validate({}))


class ResponsesBody(ConversationFields):
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
        if self.preset:
            return DEFAULT_MODEL
        return [*self.models, self.model][0]

    @property
    def calls_in_parallel(self) -> bool:
        """Whether several calls are allowed; by default unless a call is forced."""
        if self.parallel_tool_calls is None:
            return bool(self.tool_choice != "required")
        return self.parallel_tool_calls


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
    echo: JsonObject
    """Fields of the response that repeat those of the request."""
    items: tuple[JsonObject, ...]
    """The conversation, without instructions."""
    keeps: bool
    """Whether the response is kept."""
    is_perplexitys: bool
    """Whether the client asks for a model by one of Perplexity's names, and reads what was found in
    Perplexity's form.
    """


def read_responses(value: JsonObject, kept: KeptResponses, limits: Limits) -> ResponsesRequest:
    """Return the request of a body. Raises RequestError."""
    body = read_fields(ResponsesBody, value)
    if body.background:
        raise RequestError(
            "background: an answer is made while its client waits", param="background"
        )
    used = _tool_use(body)
    items = _items(body, kept, limits)
    own_name = bool(body.preset) or is_own_name(body.asked_model)
    search = used.search or SearchTool()
    request = SearchRequest(
        _plain(body, used, items),
        _searches(body, used, own_name=own_name),
        body.index,
        search.filters.search_filters(),
        search.search_context_size,
        own_words=body.own_words,
        system_param="instructions" if body.instructions else "input",
    )
    return ResponsesRequest(request, _echo(body, value), tuple(items), body.store, own_name)


def _items(body: ResponsesBody, kept: KeptResponses, limits: Limits) -> list[JsonObject]:
    """Return the conversation so far and the input. Raises RequestError."""
    given, before = body.input, []
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise RequestError("input: expected a text or a list of items", param="input")
    if body.previous_response_id:
        before = list(kept.find(body.previous_response_id, "previous_response_id").items)
    count = len(before) + len(given)
    if count > limits.messages:
        raise RequestError(
            f"input: at most {limits.messages:,} items allowed, got {count:,}", param="input"
        )
    return [*before, *resolve_references(given, kept.item)]


def _plain(body: ResponsesBody, used: ToolUse, items: Sequence[JsonObject]) -> GenerateRequest:
    """Return the request to a model alone. Raises RequestError."""
    own, names = constraint_of_format(body.response_format), {"messages": "input"}
    if own is None:
        names["response_format"] = "text.format"
    messages = messages_of(items)
    if body.instructions:
        messages.insert(0, ClientMessage(role="system", content=body.instructions))
    request = GenerateRequest(
        body.asked_model,
        (conversation(messages),),
        Options(temperature=body.temperature, top_p=body.top_p, max_tokens=body.max_output_tokens),
        DEFAULTS,
        stream=body.stream,
        constraint=body.text.format.constraint() or own,
        truncate=body.truncation == "auto",
        names=names,
        caller=body.caller,
    )
    parallel = body.parallel_tool_calls
    if parallel is None:
        parallel = used.choice != "required"
    return with_tools(request, used.functions, used.choice, parallel=parallel)


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
            functions.append(read_fields(FunctionTool, tool, f"tools.{place}.").nested())
        elif _is_search(tool.get("type")):
            search = read_fields(SearchTool, tool, f"tools.{place}.")
        else:
            param, known = f"tools.{place}.type", ", ".join(("function", *SEARCH_TOOLS))
            raise RequestError(
                f"{param}: expected {known}; no other tool is to be had here", param=param
            )
    used = _choose(body.tool_choice, ToolUse(tuple(functions), search, "auto"))
    if used.functions and used.search is not None and used.choice != "none":
        raise RequestError(
            "tools: an answer from documents calls no functions; "
            "give web_search or functions, or choose one by tool_choice",
            param="tools",
        )
    return used


def _is_search(type_name: Any) -> bool:
    """Whether a type is that of a search, also with a date behind it (web_search_2025_08_26)."""
    return isinstance(type_name, str) and (
        type_name in SEARCH_TOOLS or type_name.startswith("web_search_")
    )


def _choose(choice: Any, given: ToolUse) -> ToolUse:
    """Return the tools that a choice leaves. Raises RequestError."""
    if choice in ("none", "auto"):
        return replace(given, choice=choice)
    if choice == "required" and given.functions:
        return replace(given, choice=choice)
    if choice == "required" and given.search is not None:
        return given
    if not isinstance(choice, dict):
        choice = {}
    type_name, name = choice.get("type"), choice.get("name")
    if type_name == "allowed_tools" and choice.get("mode") in ("auto", "required"):
        return _choose(choice["mode"], _keep_allowed(choice.get("tools"), given))
    if _is_search(type_name) and given.search is not None:
        return replace(given, functions=())
    if type_name == "function" and name in [each.function.name for each in given.functions]:
        return replace(given, search=None, choice=ToolChoice(function=ToolFunction(name=name)))
    raise RequestError("tool_choice: tools has no such tool", param="tool_choice")


def _keep_allowed(listed: Any, given: ToolUse) -> ToolUse:
    """Return the tools that are also in the list of a choice."""
    if not isinstance(listed, list):
        listed = []
    allowed = [each for each in listed if isinstance(each, dict)]
    names = [each.get("name") for each in allowed if each.get("type") == "function"]
    functions = tuple(each for each in given.functions if each.function.name in names)
    if not any(_is_search(each.get("type")) for each in allowed):
        given = replace(given, search=None)
    return replace(given, functions=functions)


def _echo(body: ResponsesBody, value: JsonObject) -> JsonObject:
    """Return what the response repeats; where the request is silent, what holds."""
    return {
        "instructions": value.get("instructions"),
        "max_output_tokens": body.max_output_tokens,
        "metadata": body.metadata,
        "parallel_tool_calls": body.calls_in_parallel,
        "previous_response_id": body.previous_response_id or None,
        "store": body.store,
        "temperature": body.temperature,
        "text": value.get("text") or {"format": {"type": "text"}},
        "tool_choice": value.get("tool_choice") or "auto",
        "tools": body.tools,
        "top_p": body.top_p,
        "truncation": body.truncation,
    }


class MessageItem(Body):
    """A message."""

    role: Literal["system", "developer", "user", "assistant"] = "user"
    content: Any


class CallItem(Body):
    """A call of a function; its arguments are JSON in a text."""

    call_id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    arguments: str = ""


class ResultItem(Body):
    """The result of a call."""

    call_id: str = Field(min_length=1)
    output: Any


class ReferenceItem(Body):
    """An item of an earlier response."""

    id: str = Field(min_length=1)


def resolve_references(
    items: Sequence[Any], kept: Callable[[str], JsonObject | None]
) -> list[JsonObject]:
    """Return the items, with those of earlier responses in the place of references to them.

    Raises RequestError.
    """
    found: list[JsonObject] = []
    for place, item in enumerate(items):
        if not isinstance(item, dict):
            raise RequestError(f"input.{place}: is not an object", param=f"input.{place}")
        if _type_of(item) == "item_reference":
            id = _read(ReferenceItem, item, place).id
            earlier = kept(id)
            if earlier is None:
                param = f"input.{place}.id"
                problem = f"{param}: item {id[:120]!r} not found; send the item itself"
                raise RequestError(problem, status=404, code="item_not_found", param=param)
            item = earlier
        found.append(item)
    return found


def messages_of(items: Sequence[JsonObject]) -> list[ClientMessage]:
    """Return the messages of resolved items. Raises RequestError."""
    messages: list[ClientMessage] = []
    names: dict[str, str] = {}
    for place, item in enumerate(items):
        type_name = _type_of(item)
        if type_name == "message":
            message = _read(MessageItem, item, place)
            text = _text(message.content, f"input.{place}.content")
            messages.append(ClientMessage(role=message.role, content=text))
        elif type_name == "function_call":
            call = _read(CallItem, item, place)
            names[call.call_id] = call.name
            _add_call(messages, call)
        elif type_name == "function_call_output":
            result = _read(ResultItem, item, place)
            text = _text(result.output, f"input.{place}.output")
            name = names.get(result.call_id, "")
            messages.append(
                ClientMessage(role="tool", content=text, name=name, tool_call_id=result.call_id)
            )
        elif type_name not in PASSED_OVER:
            problem = f"an item of type {type_name[:40]!r} can't be read here"
            raise RequestError(f"input.{place}.type: {problem}", param=f"input.{place}.type")
    return messages


def _type_of(item: JsonObject) -> str:
    given = item.get("type")
    if given is not None:
        return str(given)
    if "id" in item and "role" not in item:
        return "item_reference"
    return "message"


def _read(body_type: type[B], item: JsonObject, place: int) -> B:
    """Return an item's fields. Raises RequestError that names the item."""
    return read_fields(body_type, item, f"input.{place}.")


def _add_call(messages: list[ClientMessage], item: CallItem) -> None:
    """Add a call to the assistant's message that it follows, or as one of its own."""
    call = ClientToolCall(
        id=item.call_id, function=ToolFunction(name=item.name, arguments=item.arguments)
    )
    if messages and messages[-1].role == "assistant":
        before = messages.pop()
        messages.append(before.model_copy(update={"tool_calls": [*before.tool_calls, call]}))
    else:
        messages.append(ClientMessage(role="assistant", tool_calls=[call]))


def _text(content: Any, param: str) -> str:
    """Return the text of a content: a text, or a list of parts.

    Raises RequestError for parts that are not text.
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        content = [content]
    return "".join(_part_text(part, param) for part in content)


def _part_text(part: Any, param: str) -> str:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise RequestError(f"{param}: expected a text or a list of parts with a type", param=param)
    type_name = part["type"]
    text = part.get(TEXT_OF_PART.get(type_name))
    if not isinstance(text, str):
        raise RequestError(
            f"{param}: a part of type {type_name[:40]!r} can't be read here, only text", param=param
        )
    return text
