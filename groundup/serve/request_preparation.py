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
from groundup.engine.structured_output import OutputConstraint
from groundup.http.limits import Limits
from groundup.serve.context import continued_ids
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
    marks = (
        ()
        if (calls := format_of_calls(request, tokenizer)) is None
        else (calls.opening, calls.closing)
    )
    require_biased_ids(options, tokenizer)
    shown_ids = frozenset(id for text, id in tokenizer.special.tokens.items() if text in marks)
    prepared = []
    for prompt in request.prompts:
        if isinstance(prompt, Conversation):
            own = call_format(tokenizer.chat_template)
            if request.tools and own is None:
                prompt = with_general_tools(prompt, request.tools)
            else:
                prompt = replace(with_call_format(prompt, own), tools=request.tools)
        fitter = _PromptFitter(
            tokenizer, context_tokens, options.max_tokens, request.public("messages")
        )
        ids, dropped = fitter.ids(prompt, truncate=request.truncate)
        sampling = sampling_of(options, context_tokens - len(ids))
        for choice in range(request.choices):
            seed = (
                None if sampling.seed is None else sampling.seed + choice
            )  # the choices of one seed differ
            id, of_choice, stop_ids = (
                uuid.uuid4().hex,
                replace(sampling, seed=seed),
                tokenizer.special.stop_ids,
            )
            prepared.append(
                Request(
                    *(id, tuple(ids), of_choice, stop_ids, request.logprobs, request.echo),
                    constraint=constraint(), shown_ids=shown_ids, dropped_messages=dropped,
                )
            )  # fmt: skip
    return prepared


def format_of_calls(request: GenerateRequest, tokenizer: Tokenizer) -> CallFormat | None:
    """Return the format of tool calls in the answers to a request, or None when it has no tools."""
    return (call_format(tokenizer.chat_template) or GENERAL) if request.tools else None


def require_within(request: GenerateRequest, options: Options, limits: Limits) -> None:
    """Raise RequestError when a request exceeds a limit of the server."""
    stops = options.stop or ()
    for value, limit, name, what in (
        (len(request.prompts) * request.choices, limits.choices, "n", "answers to one request"),
        (
            sum(map(_characters, request.prompts)),
            limits.prompt_characters,
            "messages",
            "characters of prompts",
        ),
        (request.logprobs or 0, limits.logprobs, "top_logprobs", "alternatives per token"),
        (len(stops), limits.stop_strings, "stop", "stop strings"),
        (len(json.dumps(request.tools)), limits.tools_characters, "tools", "characters of tools"),
        (
            max(map(len, stops), default=0),
            limits.stop_characters,
            "stop",
            "characters in a stop string",
        ),
        *_constraint_limits(request.constraint, limits),
        (
            sum(map(len, _expressions(list(request.tools)))),
            limits.regex_characters,
            "tools",
            f"{IN_SCHEMA} of tools",
        ),
    ):
        if value > limit:
            param = request.public(name)
            raise RequestError(
                f"{param}: at most {limit} {what} are allowed, this request has {value}",
                param=param,
            )


def _constraint_limits(
    constraint: OutputConstraint | None, limits: Limits
) -> list[tuple[int, int, str, str]]:
    if constraint is None:
        return []
    by_kind = {"regular expression": limits.regex_characters, "grammar": limits.grammar_characters}
    limit = by_kind.get(constraint.kind, limits.schema_characters)
    rows = [(len(constraint.text), limit, "response_format", f"characters of a {constraint.kind}")]
    if constraint.kind == "JSON schema":
        in_schema = sum(map(len, _expressions(json.loads(constraint.text))))
        rows.append((in_schema, limits.regex_characters, "response_format", IN_SCHEMA))
    return rows


def _expressions(schema: Any) -> Iterator[str]:
    """Yield every regular expression in a JSON schema."""
    if isinstance(schema, list):
        for each in schema:
            yield from _expressions(each)
    elif isinstance(schema, dict):
        pattern, properties = schema.get("pattern"), schema.get("patternProperties")
        yield from [pattern] if isinstance(pattern, str) else []
        yield from properties if isinstance(properties, dict) else []
        yield from _expressions(list(schema.values()))


def _characters(prompt: Prompt) -> int:
    if isinstance(prompt, ContinuedPrompt):
        return len(prompt.ids) + _characters(prompt.conversation)
    if not isinstance(prompt, Conversation):
        return len(prompt.text if isinstance(prompt, TextPrompt) else prompt.ids)
    calls = (call for message in prompt.messages for call in message.calls)
    return sum(len(each.content) for each in prompt.messages) + sum(
        len(json.dumps(call.arguments)) for call in calls
    )


def require_able(request: GenerateRequest, info: ModelInfo) -> None:
    """Raise RequestError for what this model does not support."""
    if request.tools and info.tools == "forced" and not request.must_call:
        error = unsupported(request.model, "tools")
        raise RequestError(
            f"{error.message} unless a call is forced (tool_choice); groundup serve --tools any allows them",
            param="tools",
        )
    if request.tools and info.tools == "none":
        raise unsupported(request.model, "tools")
    if (
        request.tools
        and request.constraint is not None
        and request.constraint.kind != "JSON schema"
    ):
        raise RequestError(
            f"tools: with tools an answer can be constrained by a JSON schema, not by a {request.constraint.kind}",
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
    """Raise RequestError for a token id that the model has not."""
    most = tokenizer.vocab_size - 1
    if beyond := [id for id in ids if not 0 <= id <= most]:
        raise RequestError(
            f"{param}: this model's token ids are 0 to {most}, not {beyond[0]}", param=param
        )


def require_biased_ids(options: Options, tokenizer: Tokenizer) -> None:
    """Raise RequestError for a `logit_bias` of a token id that the model has not."""
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
        # A truncated prompt leaves this much room for the answer, at least one token.
        self.answer_tokens = max(1, share if max_tokens is None else min(max_tokens, share))
        self.least_tokens = 0 if max_tokens == 0 else 1

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
            return self._fitted(self._ids_of(prompt), truncate=truncate), 0
        ids = render(prompt, self.tokenizer, add_generation_prompt=True).ids
        longest = self.context_tokens - (self.answer_tokens if truncate else 1)
        if len(ids) <= longest:
            return ids, 0
        if not truncate:
            raise self._too_long(len(ids))
        rendered, dropped = fit_conversation(
            prompt, self.tokenizer, self.context_tokens, self.answer_tokens
        )
        return (
            (rendered.ids, dropped)
            if len(rendered.ids) < self.context_tokens
            else self._truncated(prompt)
        )

    def _without_template(self, prompt: Conversation | ContinuedPrompt) -> TextPrompt | TokenPrompt:
        """Return the prompt of a model that only continues texts. Raises RequestError."""
        given = prompt if isinstance(prompt, Conversation) else prompt.conversation
        if len(given.messages) != 1:
            raise RequestError(
                "this model has no chat template: it continues a single text, and can't hold a conversation",
                param=self.param,
            )
        text = given.messages[0].content
        if isinstance(prompt, Conversation):
            return TextPrompt(text)
        return TokenPrompt(
            (
                *prompt.ids,
                *self.tokenizer.encode(text, starts=self.tokenizer.starts_after(prompt.ids)),
            )
        )

    def _ids_of(self, prompt: TextPrompt | TokenPrompt | ContinuedPrompt) -> list[int]:
        if not isinstance(prompt, TextPrompt):
            name = "prompt" if isinstance(prompt, TokenPrompt) else "context"
            require_ids(prompt.ids, name, self.tokenizer)
            return (
                list(prompt.ids)
                if isinstance(prompt, TokenPrompt)
                else continued_ids(prompt, self.tokenizer)
            )
        ids = (
            self.tokenizer.encode_control(prompt.text)
            if prompt.rendered
            else self.tokenizer.encode(prompt.text)
        )
        return self.tokenizer.with_bos(ids) or [self.tokenizer.special.document_end_id]

    def _fitted(self, ids: list[int], *, truncate: bool) -> list[int]:
        if len(ids) + self.least_tokens <= self.context_tokens:
            return ids
        if not truncate or self.context_tokens <= self.answer_tokens + 1:
            raise self._too_long(len(ids))
        return self.tokenizer.with_bos(ids[-(self.context_tokens - self.answer_tokens - 1) :])

    def _truncated(self, given: Conversation) -> tuple[list[int], int]:
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
        while True:
            found = ids_from(places[-room_tokens] if room_tokens else len(content))
            if len(found) <= most_tokens:
                return found, place - len(before)
            room_tokens = max(
                0, room_tokens - (len(found) - most_tokens)
            )  # the cut may add a token or two

    def _too_long(self, tokens: int) -> RequestError:
        return RequestError(
            f"the prompt of {tokens} tokens exceeds the context length of {self.context_tokens}",
            code="context_length_exceeded",
            param=self.param,
        )
