"""A request and its model -> requests for the engine: limits checked, options resolved, prompts
rendered and truncated to the context.

A prompt that is too long loses first its oldest messages (except the system message), then the
beginning of its last user message. With `truncate` false it is refused.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from groundup.engine.engine import ANSWER_SHARE, fit_conversation
from groundup.engine.request import Constraint, Request
from groundup.engine.sampling import Sampling
from groundup.http.limits import Limits
from groundup.serve.messages import with_call_format
from groundup.serve.model_registry import ModelAlias, ModelInfo
from groundup.serve.requests import (
    ContinuedPrompt,
    GenerateRequest,
    Options,
    Prompt,
    RequestError,
    TextPrompt,
    TokenPrompt,
    ids_after_context,
    unsupported,
)
from groundup.serve.tool_prompt import GENERAL, with_general_tools
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.special import TURN_END, TURN_START
from groundup.tokenizer.tools import CallFormat, call_format

# Below any probability: only the most probable token is kept, as it always is.
MIN_TOP_P = 1e-9
IN_SCHEMA = "characters of regular expressions in a JSON schema"


def prepare(
    request: GenerateRequest,
    options: Options,
    tokenizer: Tokenizer,
    model_context_tokens: int,
    constraint: Callable[[], Constraint | None],
) -> list[Request]:
    """Return the engine's requests, `choices` for each prompt in the order of the prompts, each
    with its own constraint.

    Raises RequestError, ConfigError, ModelError.
    """
    context_tokens = min(options.context_tokens or model_context_tokens, model_context_tokens)
    require_biased_ids(options, tokenizer)
    shown_ids = _shown_ids(request, tokenizer)
    fitter = _PromptFitter(
        tokenizer, context_tokens, options.max_tokens, request.public("messages")
    )
    prepared = []
    for prompt in request.prompts:
        if isinstance(prompt, Conversation):
            prompt = _with_tools(prompt, request, call_format(tokenizer.chat_template))
        ids, dropped = fitter.ids(prompt, truncate=request.truncate)
        sampling = sampling_of(options, context_tokens - len(ids))
        for choice in range(request.choices):
            prepared.append(
                Request(
                    uuid.uuid4().hex,
                    tuple(ids),
                    _sampling_of_choice(sampling, choice),
                    tokenizer.special.stop_ids,
                    request.logprobs,
                    request.echo,
                    constraint=constraint(),
                    shown_ids=shown_ids,
                    dropped_messages=dropped,
                )
            )
    return prepared


def _with_tools(
    prompt: Conversation, request: GenerateRequest, own_format: CallFormat | None
) -> Conversation:
    """Return the conversation with the request's tools, in the template's own format or ours."""
    if request.tools and own_format is None:
        return with_general_tools(prompt, request.tools)
    return replace(with_call_format(prompt, own_format), tools=request.tools)


def _shown_ids(request: GenerateRequest, tokenizer: Tokenizer) -> frozenset[int]:
    """Return the control tokens around a tool call, which are kept in the text."""
    calls = format_of_calls(request, tokenizer)
    if calls is None:
        return frozenset()
    marks = (calls.opening, calls.closing)
    return frozenset(id for text, id in tokenizer.special.tokens.items() if text in marks)


def _sampling_of_choice(sampling: Sampling, choice: int) -> Sampling:
    """Return the sampling of one choice: those of one seed differ."""
    if sampling.seed is None:
        return sampling
    return replace(sampling, seed=sampling.seed + choice)


def format_of_calls(request: GenerateRequest, tokenizer: Tokenizer) -> CallFormat | None:
    """Return the format of tool calls in the answers to a request, or None when it has no tools."""
    if not request.tools:
        return None
    return call_format(tokenizer.chat_template) or GENERAL


def require_within(request: GenerateRequest, options: Options, limits: Limits) -> None:
    """Raise RequestError when a request exceeds a limit of the server."""
    stops = options.stop or ()
    characters = sum(map(_characters, request.prompts))
    longest_stop = max(map(len, stops), default=0)
    tools_characters = len(json.dumps(request.tools))
    in_tools = sum(map(len, _expressions(list(request.tools))))

    def require_at_most(limit: int, value: int, name: str, what: str) -> None:
        if value > limit:
            param = request.public(name)
            problem = f"at most {limit} {what} are allowed, this request has {value}"
            raise RequestError(f"{param}: {problem}", param=param)

    answers = len(request.prompts) * request.choices
    require_at_most(limits.choices, answers, "n", "answers to one request")
    require_at_most(limits.prompt_characters, characters, "messages", "characters of prompts")
    logprobs = request.logprobs or 0
    require_at_most(limits.logprobs, logprobs, "top_logprobs", "alternatives per token")
    require_at_most(limits.stop_strings, len(stops), "stop", "stop strings")
    require_at_most(limits.tools_characters, tools_characters, "tools", "characters of tools")
    require_at_most(limits.stop_characters, longest_stop, "stop", "characters in a stop string")
    if request.constraint is not None:
        text, what = request.constraint.text, request.constraint.kind
        limit = limits.schema_characters
        if what == "regular expression":
            limit = limits.regex_characters
        elif what == "grammar":
            limit = limits.grammar_characters
        require_at_most(limit, len(text), "response_format", f"characters of a {what}")
        if what == "JSON schema":
            in_schema = sum(map(len, _expressions(json.loads(text))))
            require_at_most(limits.regex_characters, in_schema, "response_format", IN_SCHEMA)
    require_at_most(limits.regex_characters, in_tools, "tools", f"{IN_SCHEMA} of tools")


def _expressions(schema: Any) -> Iterator[str]:
    """Yield every regular expression in a JSON schema."""
    if isinstance(schema, list):
        for each in schema:
            yield from _expressions(each)
    elif isinstance(schema, dict):
        pattern, properties = schema.get("pattern"), schema.get("patternProperties")
        if isinstance(pattern, str):
            yield pattern
        if isinstance(properties, dict):
            yield from properties
        yield from _expressions(list(schema.values()))


def _characters(prompt: Prompt) -> int:
    if isinstance(prompt, ContinuedPrompt):
        return len(prompt.ids) + _characters(prompt.conversation)
    if isinstance(prompt, TextPrompt):
        return len(prompt.text)
    if isinstance(prompt, TokenPrompt):
        return len(prompt.ids)
    calls = (call for message in prompt.messages for call in message.calls)
    return sum(len(each.content) for each in prompt.messages) + sum(
        len(json.dumps(call.arguments)) for call in calls
    )


def require_able(request: GenerateRequest, info: ModelInfo) -> None:
    """Raise RequestError for what this model does not support."""
    if request.tools and info.tools == "forced" and not request.must_call:
        problem = unsupported(request.model, "tools").message
        way = "unless a call is forced (tool_choice); groundup serve --tools any allows them"
        raise RequestError(f"{problem} {way}", param="tools")
    if request.tools and info.tools == "none":
        raise unsupported(request.model, "tools")
    constraint = request.constraint
    if request.tools and constraint is not None and constraint.kind != "JSON schema":
        raise RequestError(
            "tools: with tools an answer can be constrained by a JSON schema, "
            f"not by a {constraint.kind}",
            param="tools",
        )


def with_name(request: GenerateRequest, alias: ModelAlias) -> GenerateRequest:
    """Return the request with the alias's messages first, and its system prompt where the
    conversation has none.
    """
    return replace(
        request, prompts=tuple(_with_alias_messages(alias, prompt) for prompt in request.prompts)
    )


def _with_alias_messages(alias: ModelAlias, prompt: Prompt) -> Prompt:
    if not isinstance(prompt, Conversation):
        return prompt
    messages = (*alias.messages, *prompt.messages)
    if alias.system and not any(message.role == "system" for message in messages):
        messages = (Message("system", alias.system), *messages)
    return replace(prompt, messages=messages)


def require_ids(ids: Sequence[int], param: str, tokenizer: Tokenizer) -> None:
    """Raise RequestError for a token id that the model does not have."""
    most = tokenizer.vocab_size - 1
    if beyond := [id for id in ids if not 0 <= id <= most]:
        raise RequestError(
            f"{param}: this model's token ids are 0 to {most}, not {beyond[0]}", param=param
        )


def require_biased_ids(options: Options, tokenizer: Tokenizer) -> None:
    """Raise RequestError for a `logit_bias` of a token id that the model does not have."""
    require_ids([id for id, _ in options.logit_bias or ()], "logit_bias", tokenizer)


def sampling_of(options: Options, room_tokens: int) -> Sampling:
    """Return the options as the engine's Sampling; None becomes its default.

    Raises ConfigError for a value out of range.
    """
    values: dict[str, Any] = {
        name: value for name, value in asdict(options).items() if value is not None
    }
    values.pop("context_tokens", None)
    for name, least in (("top_p", MIN_TOP_P), ("repeat_last_n", -1)):
        if name in values:
            values[name] = max(values[name], least)
    return Sampling(
        **{**values, "max_tokens": min(values.get("max_tokens", room_tokens), room_tokens)}
    )


class _PromptFitter:
    """Prompts -> ids that fit into one context."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        context_tokens: int,
        max_tokens: int | None,
        param: str = "messages",
    ) -> None:
        """`param`: what the client calls the prompt."""
        self.tokenizer, self.param = tokenizer, param
        self.context_tokens = context_tokens
        share = int(context_tokens * ANSWER_SHARE)
        if max_tokens is not None:
            share = min(max_tokens, share)
        # A truncated prompt leaves this much room for the answer, at least one token.
        self.answer_tokens = max(1, share)
        self.least_tokens = int(max_tokens != 0)

    def ids(self, prompt: Prompt, *, truncate: bool) -> tuple[list[int], int]:
        """Return the ids and the number of dropped messages. Raises RequestError."""
        marks_turns = {TURN_START, TURN_END} <= self.tokenizer.special.tokens.keys()
        if (
            isinstance(prompt, Conversation | ContinuedPrompt)
            and self.tokenizer.chat_template is None
            and not marks_turns
        ):
            prompt = self._without_template(prompt)
        if not isinstance(prompt, Conversation):
            return self._fit(self._ids_of(prompt), truncate=truncate), 0
        ids = render(prompt, self.tokenizer, add_generation_prompt=True).ids
        if not truncate and len(ids) >= self.context_tokens:
            raise self._too_long(len(ids))
        if not truncate or len(ids) <= self.context_tokens - self.answer_tokens:
            return ids, 0
        rendered, dropped = fit_conversation(
            prompt, self.tokenizer, self.context_tokens, self.answer_tokens
        )
        if len(rendered.ids) < self.context_tokens:
            return rendered.ids, dropped
        return self._truncate(prompt)

    def _without_template(self, prompt: Conversation | ContinuedPrompt) -> TextPrompt | TokenPrompt:
        """Return the prompt of a model that only continues texts. Raises RequestError."""
        given = prompt
        if isinstance(given, ContinuedPrompt):
            given = given.conversation
        if len(given.messages) != 1:
            raise RequestError(
                "this model has no chat template: it continues a single text, "
                "and can't hold a conversation",
                param=self.param,
            )
        text = given.messages[0].content
        if isinstance(prompt, Conversation):
            return TextPrompt(text)
        starts = self.tokenizer.starts_after(prompt.ids)
        return TokenPrompt((*prompt.ids, *self.tokenizer.encode(text, starts=starts)))

    def _ids_of(self, prompt: TextPrompt | TokenPrompt | ContinuedPrompt) -> list[int]:
        if isinstance(prompt, TokenPrompt):
            require_ids(prompt.ids, "prompt", self.tokenizer)
            return list(prompt.ids)
        if isinstance(prompt, ContinuedPrompt):
            require_ids(prompt.ids, "context", self.tokenizer)
            return ids_after_context(prompt, self.tokenizer)
        ids = self.tokenizer.encode(prompt.text)
        if prompt.rendered:
            ids = self.tokenizer.encode_control(prompt.text)
        return self.tokenizer.with_bos(ids) or [self.tokenizer.special.document_end_id]

    def _fit(self, ids: list[int], *, truncate: bool) -> list[int]:
        if len(ids) + self.least_tokens <= self.context_tokens:
            return ids
        if not truncate or self.context_tokens <= self.answer_tokens + 1:
            raise self._too_long(len(ids))
        return self.tokenizer.with_bos(ids[-(self.context_tokens - self.answer_tokens - 1) :])

    def _truncate(self, given: Conversation) -> tuple[list[int], int]:
        """Return the ids of the system messages and the last turn, with as much of the end of its
        user message as fits.

        Raises RequestError when they are too long even without that message's text.
        """
        messages = given.messages
        place = max(
            (i for i, each in enumerate(messages) if each.role == "user"), default=len(messages) - 1
        )
        before = [each for each in messages[:place] if each.role == "system"]
        content = messages[place].content

        def ids_from(start: int) -> list[int]:
            turns = (
                *before,
                replace(messages[place], content=content[start:]),
                *messages[place + 1 :],
            )
            return render(
                replace(given, messages=turns), self.tokenizer, add_generation_prompt=True
            ).ids

        places = [start for start, _ in self.tokenizer.encode_offsets(content)[1]]
        most_tokens = self.context_tokens - self.answer_tokens
        room_tokens = min(most_tokens - len(ids_from(len(content))), len(places))
        if room_tokens < 0:
            raise self._too_long(len(ids_from(0)))
        places.append(len(content))
        while True:
            found = ids_from(places[-1 - room_tokens])
            if len(found) <= most_tokens:
                return found, place - len(before)
            # the cut may add a token or two
            room_tokens = max(0, room_tokens - (len(found) - most_tokens))

    def _too_long(self, tokens: int) -> RequestError:
        return RequestError(
            f"the prompt of {tokens} tokens exceeds the context length of {self.context_tokens}",
            code="context_length_exceeded",
            param=self.param,
        )
