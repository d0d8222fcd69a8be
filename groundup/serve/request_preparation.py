"""A request and the model it names -> jobs for the engine: options filled in and bounded, prompts rendered and cut to the context.

What is too long loses, in this order: the oldest turns (a system turn stays), then the beginning of the last message. With `truncate` false it is
refused.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from groundup.engine.engine import ANSWER_SHARE, fit_conversation
from groundup.engine.request import Constraint, Request
from groundup.engine.sampling import Sampling
from groundup.engine.structured_output import OutputConstraint
from groundup.http.limits import Limits
from groundup.serve.messages import with_call_format
from groundup.serve.model_info import ModelInfo
from groundup.serve.model_registry import ModelAlias
from groundup.serve.requests import GenerateRequest, Options, Prompt, RequestError, TextPrompt, unsupported
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.special import TURN_END, TURN_START
from groundup.tokenizer.tools import CallFormat, call_format

# Below any probability: keeps the best token only, which always stays.
MIN_TOP_P = 1e-9
IN_SCHEMA = "characters of regular expressions in a JSON schema"


def prepare(
    request: GenerateRequest,
    options: Options,
    tokenizer: Tokenizer,
    model_context_tokens: int,
    constraint: Callable[[], Constraint | None],
) -> list[Request]:
    """The jobs of a request, `choices` for each prompt, those of the first prompt first, each with a constraint of its own.

    Raises RequestError, ConfigError, ModelError.
    """
    context_tokens = min(options.context_tokens or model_context_tokens, model_context_tokens)
    marks = () if (calls := format_of_calls(request, tokenizer)) is None else (calls.opening, calls.closing)
    shown_ids = frozenset(id for text, id in tokenizer.special.tokens.items() if text in marks)
    jobs = []
    for prompt in request.prompts:
        asked = prompt if isinstance(prompt, TextPrompt) else _with_tools(prompt, request, tokenizer)
        ids, dropped = _Fitting(tokenizer, context_tokens, options.max_tokens).ids(asked, truncate=request.truncate)
        sampling = sampling_of(options, context_tokens - len(ids))
        for choice in range(request.choices):
            jobs.append(
                Request(
                    uuid.uuid4().hex,
                    tuple(ids),
                    _of_choice(sampling, choice),
                    tokenizer.special.stop_ids,
                    request.logprobs,
                    constraint(),
                    shown_ids,
                    dropped,
                )
            )
    return jobs


def format_of_calls(request: GenerateRequest, tokenizer: Tokenizer) -> CallFormat | None:
    """How calls are written in the answers to a request; None: it has no tools."""
    return call_format(tokenizer.chat_template) if request.tools else None


def _with_tools(prompt: Conversation, request: GenerateRequest, tokenizer: Tokenizer) -> Conversation:
    return replace(with_call_format(prompt, call_format(tokenizer.chat_template)), tools=request.tools)


def require_within(request: GenerateRequest, options: Options, limits: Limits) -> None:
    """Raises RequestError where more is asked for than the server gives."""
    stops = options.stop or ()
    for given, bound, param, what in (
        (len(request.prompts) * request.choices, limits.choices, "n", "answers to one request"),
        (sum(map(_characters, request.prompts)), limits.prompt_characters, "prompt", "characters of prompts"),
        (request.logprobs or 0, limits.logprobs, "top_logprobs", "alternatives a token"),
        (len(stops), limits.stop_strings, "stop", "stop strings"),
        (len(json.dumps(request.tools)), limits.tools_characters, "tools", "characters of tools"),
        (max(map(len, stops), default=0), limits.stop_characters, "stop", "characters in a stop string"),
        *_form_bounds(request.form, limits),
        (_expression_characters(list(request.tools)), limits.regex_characters, "tools", f"{IN_SCHEMA} of tools"),
    ):
        if given > bound:
            raise RequestError(f"{param}: at most {bound} {what} are given, {given} were asked for", param=param)


def _form_bounds(form: OutputConstraint | None, limits: Limits) -> list[tuple[int, int, str, str]]:
    if form is None:
        return []
    bounds = {"regular expression": limits.regex_characters, "grammar": limits.grammar_characters}
    rows = [(len(form.text), bounds.get(form.kind, limits.schema_characters), "format", f"characters of a {form.kind}")]
    if form.kind == "JSON schema":
        inside = _expression_characters(json.loads(form.text))
        rows.append((inside, limits.regex_characters, "format", IN_SCHEMA))
    return rows


def _expression_characters(schema: Any) -> int:
    return sum(map(len, _expressions(schema)))


def _expressions(schema: Any) -> Iterator[str]:
    """Every regular expression in a JSON schema."""
    if isinstance(schema, list):
        for each in schema:
            yield from _expressions(each)
    elif isinstance(schema, dict):
        pattern, properties = schema.get("pattern"), schema.get("patternProperties")
        yield from [pattern] if isinstance(pattern, str) else []
        yield from properties if isinstance(properties, dict) else []
        yield from _expressions(list(schema.values()))


def _characters(prompt: Prompt) -> int:
    return len(prompt.text) if isinstance(prompt, TextPrompt) else sum(map(_message_characters, prompt.messages))


def _message_characters(message: Message) -> int:
    return len(message.content) + sum(len(json.dumps(call.arguments)) for call in message.calls)


def require_able(request: GenerateRequest, facts: ModelInfo) -> None:
    """Raises RequestError for what this model can't do."""
    if request.tools and "tools" not in facts.capabilities:
        raise unsupported(request.model, "tools")
    if request.tools and request.form is not None and request.form.kind != "JSON schema":
        raise RequestError(
            f"tools: beside them an answer may be kept to a JSON schema, and to no {request.form.kind}", param="tools"
        )


def with_name(request: GenerateRequest, named: ModelAlias) -> GenerateRequest:
    """With the texts that belong to the name: its messages first, and its system text where the conversation has none."""
    return replace(request, prompts=tuple(_after(named, prompt) for prompt in request.prompts))


def _after(named: ModelAlias, prompt: Prompt) -> Prompt:
    if isinstance(prompt, TextPrompt):
        return prompt
    messages = (*named.messages, *prompt.messages)
    if named.system and not any(message.role == "system" for message in messages):
        messages = (Message("system", named.system), *messages)
    return replace(prompt, messages=messages)


def sampling_of(options: Options, room_tokens: int) -> Sampling:
    """Options as the engine takes them; None: its own default. Raises ConfigError for a number out of range."""
    given = {
        "temperature": options.temperature,
        "top_k": options.top_k,
        "top_p": None if options.top_p is None else max(options.top_p, MIN_TOP_P),
        "min_p": options.min_p,
        "repetition_penalty": options.repetition_penalty,
        "repeat_last_n": None if options.repeat_last_n is None else max(options.repeat_last_n, -1),
        "presence_penalty": options.presence_penalty,
        "frequency_penalty": options.frequency_penalty,
        "stop": options.stop,
        "seed": options.seed,
    }
    limit = room_tokens if options.max_tokens is None else min(options.max_tokens, room_tokens)
    return Sampling(max_tokens=limit, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def _of_choice(sampling: Sampling, choice: int) -> Sampling:
    """Several answers to one prompt and seed are not the same answer."""
    return sampling if sampling.seed is None else replace(sampling, seed=sampling.seed + choice)


def can_chat(tokenizer: Tokenizer) -> bool:
    """Does the model have a way to tell turns apart?"""
    return tokenizer.chat_template is not None or {TURN_START, TURN_END} <= tokenizer.special.tokens.keys()


class _Fitting:
    """Prompts -> ids for one context."""

    def __init__(self, tokenizer: Tokenizer, context_tokens: int, max_tokens: int | None) -> None:
        self.tokenizer = tokenizer
        self.context_tokens = context_tokens
        share = int(context_tokens * ANSWER_SHARE)
        # What is cut is cut so far that an answer has this much room, and at least a token.
        self.answer_tokens = max(1, share if max_tokens is None else min(max_tokens, share))

    def ids(self, prompt: Prompt, *, truncate: bool) -> tuple[list[int], int]:
        """The ids and how many messages were left out. Raises RequestError."""
        if isinstance(prompt, Conversation) and not can_chat(self.tokenizer):
            prompt = _as_text(prompt)
        if isinstance(prompt, TextPrompt):
            return self._text_ids(prompt, truncate=truncate), 0
        whole = render(prompt, self.tokenizer, add_generation_prompt=True).ids
        if len(whole) < self.context_tokens and (
            not truncate or len(whole) + self.answer_tokens <= self.context_tokens
        ):
            return whole, 0
        if not truncate:
            raise self._too_long(len(whole))
        return self._cut(prompt)

    def _text_ids(self, prompt: TextPrompt, *, truncate: bool) -> list[int]:
        ids = self.tokenizer.encode_control(prompt.text) if prompt.rendered else self.tokenizer.encode(prompt.text)
        whole = self.tokenizer.with_bos(ids) or [self.tokenizer.special.document_end_id]
        if len(whole) < self.context_tokens:
            return whole
        if not truncate or self.context_tokens <= self.answer_tokens + 1:
            raise self._too_long(len(whole))
        return self.tokenizer.with_bos(ids[-(self.context_tokens - self.answer_tokens - 1) :])

    def _cut(self, conversation: Conversation) -> tuple[list[int], int]:
        """The oldest turns first, then the last message from its beginning."""
        rendered, dropped = fit_conversation(conversation, self.tokenizer, self.context_tokens, self.answer_tokens)
        if len(rendered.ids) < self.context_tokens:
            return rendered.ids, dropped
        return self._shortened(conversation)

    def _shortened(self, asked: Conversation) -> tuple[list[int], int]:
        """Ids of the system's messages and the last turn, with as much of the end of what the user says there as there is room for.

        Raises RequestError where even without it they are too long.
        """
        messages = asked.messages
        place = max((i for i, each in enumerate(messages) if each.role == "user"), default=len(messages) - 1)
        before = [each for each in messages[:place] if each.role == "system"]
        content = messages[place].content

        def ids_from(start: int) -> list[int]:
            turns = (*before, replace(messages[place], content=content[start:]), *messages[place + 1 :])
            return render(replace(asked, messages=turns), self.tokenizer, add_generation_prompt=True).ids

        places = [start for start, _ in self.tokenizer.encode_offsets(content)[1]]
        most_tokens = self.context_tokens - self.answer_tokens
        room_tokens = min(most_tokens - len(ids_from(len(content))), len(places))
        if room_tokens < 0:
            raise self._too_long(len(ids_from(0)))
        while True:
            found = ids_from(places[-room_tokens] if room_tokens else len(content))
            if len(found) <= most_tokens:
                return found, place - len(before)
            room_tokens = max(0, room_tokens - (len(found) - most_tokens))  # at the cut another token or two may appear

    def _too_long(self, tokens: int) -> RequestError:
        return RequestError(
            f"the prompt of {tokens} tokens exceeds the context length of {self.context_tokens}",
            code="context_length_exceeded",
        )


def _as_text(conversation: Conversation) -> TextPrompt:
    """For a model that knows no turns: one message is a text to go on from. Raises RequestError for more."""
    if len(conversation.messages) == 1:
        return TextPrompt(conversation.messages[0].content)
    raise RequestError("this model has no chat template: it goes on with a single text, and can't hold a conversation")
