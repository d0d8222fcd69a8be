"""Bodies -> a SearchRequest: what is asked, of which model and index, and which passages are
searched.

Perplexity's own model names stand for the first chat model that is served; without one, answers are
quotations. What a body asks for answers here can't have (tools, several at once) is refused, the
rest of Perplexity's fields is ignored.

`search_domain_filter` names documents: a part of the document's place within its source
("boilers/", ".pdf"), with "-" before it those to leave out. A file has no date of publication, so
all date filters mean its last change, in UTC; a document elsewhere has no such time and passes none
of them.
"""

import os
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from groundup.http.json_object import JsonObject
from groundup.retrieve.passages import Passage
from groundup.retrieve.search import Keep
from groundup.serve.fields import Body, Whole, read_fields
from groundup.serve.messages import conversation, require_contents
from groundup.serve.openai.chat import ChatFields, constraint_of_format
from groundup.serve.openai.fields import DEFAULTS
from groundup.serve.requests import GenerateRequest, RequestError
from groundup.tokenizer.chat import Conversation

RECENT_DAYS = {"hour": 1 / 24, "day": 1.0, "week": 7.0, "month": 31.0, "year": 366.0}
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


def _day(value: object) -> date:
    try:
        return datetime.strptime(str(value), "%m/%d/%Y").date()
    except ValueError:
        raise ValueError("expected a day as MM/DD/YYYY") from None


Day = Annotated[date, BeforeValidator(_day)]


class SearchFilters(Body):
    """The fields of filters, which chats, searches and the tool `web_search` have."""

    search_domain_filter: Annotated[list[str], Field(max_length=100)] = []
    search_after_date_filter: Day | None = None
    search_before_date_filter: Day | None = None
    last_updated_after_filter: Day | None = None
    last_updated_before_filter: Day | None = None
    search_recency_filter: Literal["hour", "day", "week", "month", "year"] | None = None

    def keep(self) -> Keep:
        """Return which passages are searched: of each document the best one, where these fields
        allow it.
        """
        seen: set[int] = set()
        now = datetime.now(UTC)

        def keep(passage: Passage) -> bool:
            if passage.document_id in seen or not self.allows(passage, now):
                return False
            seen.add(passage.document_id)
            return True

        return keep

    def allows(self, passage: Passage, now: datetime) -> bool:
        name = passage.document.lower()
        given = [each.lower() for each in self.search_domain_filter]
        wanted = [each for each in given if not each.startswith("-")]
        unwanted = [each[1:] for each in given if len(each) > 1 and each.startswith("-")]
        named = any(each in name for each in wanted) or not wanted
        if not named or any(each in name for each in unwanted):
            return False
        return self._is_in_time(passage, now)

    def _is_in_time(self, passage: Passage, now: datetime) -> bool:
        after = list(filter(None, (self.search_after_date_filter, self.last_updated_after_filter)))
        before = list(
            filter(None, (self.search_before_date_filter, self.last_updated_before_filter))
        )
        recent = self.search_recency_filter
        if not (after or before or recent):
            return True
        changed = changed_at(passage)
        if changed is None or (recent and now - changed > timedelta(days=RECENT_DAYS[recent])):
            return False
        day = changed.date()
        return all(day > each for each in after) and all(day < each for each in before)


def changed_at(passage: Passage) -> datetime | None:
    """Return when the file of a passage was last changed; None for one that is not on this disk, or
    whose time is no date.
    """
    if not os.path.isabs(passage.file):
        return None
    try:
        return datetime.fromtimestamp(os.stat(passage.file).st_mtime, UTC)
    except (OSError, OverflowError, ValueError):
        return None


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
