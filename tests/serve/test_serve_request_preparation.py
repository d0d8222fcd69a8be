"""A request and a model's name -> jobs: what is filled in, what is cut, what is refused."""

import dataclasses
import json

import pytest
from small_models import TOOL_TEMPLATES
from small_models import tokenizer as small_tokenizer

from groundup.engine.request import Request
from groundup.engine.structured_output import OutputConstraint
from groundup.errors import ConfigError
from groundup.http.limits import Limits
from groundup.serve.model_registry import ModelAlias
from groundup.serve.request_preparation import prepare, require_within, with_name
from groundup.serve.requests import GenerateRequest, Options, Prompt, RequestError, TextPrompt
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.special import END_OF_TEXT
from groundup.tokenizer.tools import ToolCall

CONTEXT = 64
LONG = Conversation(
    (Message("system", "Be."), *(Message("user", "to be or not " * 3) for _ in range(9)))
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return small_tokenizer()


def jobs(
    tokenizer: Tokenizer,
    *prompts: Prompt,
    truncate: bool = True,
    choices: int = 1,
    **options: object,
) -> list[Request]:
    request = GenerateRequest("m", prompts, truncate=truncate, choices=choices)
    return prepare(request, Options(**options), tokenizer, CONTEXT, lambda: None)  # type: ignore[arg-type]


def test_each_prompt_has_its_choices_and_each_choice_its_seed(tokenizer: Tokenizer) -> None:
    made = jobs(tokenizer, TextPrompt("a"), TextPrompt("b"), choices=2, seed=7)
    assert [job.sampling.seed for job in made] == [7, 8, 7, 8]
    assert [job.prompt_ids for job in made] == [tuple(tokenizer.encode(text)) for text in "aabb"]
    assert len({job.id for job in made}) == 4
    assert {job.sampling.seed for job in jobs(tokenizer, TextPrompt("a"), choices=2)} == {None}


def test_an_answer_has_the_rest_of_the_context_or_what_was_asked_for(tokenizer: Tokenizer) -> None:
    [job] = jobs(tokenizer, TextPrompt("To be"))
    assert job.sampling.max_tokens == CONTEXT - len(job.prompt_ids)
    assert jobs(tokenizer, TextPrompt("To be"), max_tokens=5)[0].sampling.max_tokens == 5
    assert jobs(tokenizer, TextPrompt("To be"), context_tokens=10)[
        0
    ].sampling.max_tokens == 10 - len(job.prompt_ids)
    assert jobs(tokenizer, TextPrompt("To be"), context_tokens=10**9)[0].sampling == job.sampling


def test_what_is_too_long_loses_turns_then_the_beginning_of_the_last_message(
    tokenizer: Tokenizer,
) -> None:
    [job] = jobs(tokenizer, LONG, max_tokens=8)
    assert job.dropped_messages > 0 and len(job.prompt_ids) + 8 <= CONTEXT
    text = tokenizer.decode(job.prompt_ids)
    assert text.startswith("<|im_start|>system\nBe.")
    [last] = jobs(
        tokenizer,
        Conversation((Message("user", "to be " * 200 + "that is the question"),)),
        max_tokens=8,
    )
    assert CONTEXT - 16 <= len(last.prompt_ids) <= CONTEXT - 8
    assert "that is the question<|im_end|>" in tokenizer.decode(last.prompt_ids)
    later = (
        Message("user", "to be " * 200 + "that is the question"),
        Message("assistant", "It is"),
    )
    [begun] = jobs(tokenizer, Conversation(later), max_tokens=8)
    assert (
        "that is the question<|im_end|>" in tokenizer.decode(begun.prompt_ids)
        and len(begun.prompt_ids) <= 56
    )
    [plain] = jobs(tokenizer, TextPrompt("x " * 500 + "end"), max_tokens=8)
    assert len(plain.prompt_ids) == CONTEXT - 9 and tokenizer.decode(plain.prompt_ids).endswith(
        "end"
    )


@pytest.mark.parametrize("prompt", [LONG, TextPrompt("x " * 500)], ids=["turns", "text"])
def test_what_must_not_be_cut_is_refused(tokenizer: Tokenizer, prompt: Prompt) -> None:
    with pytest.raises(RequestError, match="exceeds the context length of 64") as refused:
        jobs(tokenizer, prompt, truncate=False)
    assert refused.value.code == "context_length_exceeded"


def test_a_context_too_small_for_any_answer_is_refused(tokenizer: Tokenizer) -> None:
    for prompt in (Conversation((Message("user", "To be"),)), TextPrompt("To be or not to be")):
        with pytest.raises(RequestError, match="context length of 2"):
            jobs(tokenizer, prompt, context_tokens=2)


def test_numbers_out_of_range_are_refused_and_special_ones_understood(tokenizer: Tokenizer) -> None:
    for options in ({"temperature": -1.0}, {"min_p": 2.0}, {"repetition_penalty": 0.0}):
        with pytest.raises(ConfigError):
            jobs(tokenizer, TextPrompt("a"), **options)
    [job] = jobs(tokenizer, TextPrompt("a"), top_p=0.0, repeat_last_n=-5, seed=-3)
    assert 0 < job.sampling.top_p < 1e-6 and job.sampling.repeat_last_n == -1


def test_a_names_own_texts_stand_before_the_conversation(tokenizer: Tokenizer) -> None:
    named = ModelAlias(
        "poet:latest",
        "m:latest",
        system="Rhyme.",
        messages=(Message("user", "Hi"), Message("assistant", "Ho")),
    )
    asked = Conversation((Message("user", "To be"),))
    [prompt] = with_name(GenerateRequest("poet", (asked,)), named).prompts
    assert isinstance(prompt, Conversation)
    assert [(m.role, m.content) for m in prompt.messages] == [
        ("system", "Rhyme."), ("user", "Hi"), ("assistant", "Ho"), ("user", "To be")
    ]  # fmt: skip
    own = Conversation((Message("system", "No."), *asked.messages))
    [prompt] = with_name(GenerateRequest("poet", (own,)), named).prompts
    assert isinstance(prompt, Conversation) and [
        m.content for m in prompt.messages if m.role == "system"
    ] == ["No."]
    [text] = with_name(GenerateRequest("poet", (TextPrompt("a"),)), named).prompts
    assert text == TextPrompt("a")


def test_a_model_that_knows_no_turns_goes_on_with_a_text(tokenizer: Tokenizer) -> None:
    added = {id: token for id, token in tokenizer.table.added.items() if token.text == END_OF_TEXT}
    base = Tokenizer(dataclasses.replace(tokenizer.table, added=added), {"eos_token": END_OF_TEXT})
    one = Conversation((Message("user", "To be"),))
    assert jobs(base, one)[0].prompt_ids == tuple(base.encode("To be"))
    with pytest.raises(RequestError, match="no chat template"):
        jobs(base, LONG)
    assert jobs(tokenizer, one)[0].prompt_ids == tuple(
        render(one, tokenizer, add_generation_prompt=True).ids
    )


def test_tools_stay_when_turns_are_cut_and_calls_stay_with_their_answers() -> None:
    tokenizer = small_tokenizer(TOOL_TEMPLATES["tagged"])
    call = Message("assistant", "", (ToolCall("f", {"x": 1}),))
    turns = (
        *[Message("user", "to be or not " * 9)] * 4,
        Message("user", "f?"),
        call,
        Message("tool", "7"),
    )
    tool = {"type": "function", "function": {"name": "f"}}
    request = GenerateRequest("m", (Conversation(turns),), tools=(tool,))
    [job] = prepare(request, Options(max_tokens=8), tokenizer, 420, lambda: None)
    text = tokenizer.decode(job.prompt_ids)
    assert json.dumps(tool) in text and 0 < job.dropped_messages < 5
    assert '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>' in text
    assert text.endswith("<tool_response>\n7\n</tool_response><|im_end|>\n<|im_start|>assistant\n")
    plain = prepare(
        GenerateRequest("m", (Conversation(turns[-3:]),)),
        Options(),
        small_tokenizer(),
        420,
        lambda: None,
    )
    assert "The tool answered: 7" in tokenizer.decode(plain[0].prompt_ids)


def test_marks_of_calls_that_are_control_tokens_are_shown() -> None:
    marked = TOOL_TEMPLATES["tagged"]
    tokenizer = small_tokenizer(marked)
    names = {"<|reserved_0|>": "<tool_call>", "<|reserved_1|>": "</tool_call>"}
    added = {
        id: each._replace(text=names.get(each.text, each.text))
        for id, each in tokenizer.table.added.items()
    }
    tokenizer = Tokenizer(dataclasses.replace(tokenizer.table, added=added), tokenizer.config())
    tools = ({"type": "function", "function": {"name": "f"}},)
    asked = Conversation((Message("user", "f?"),))
    shown = [
        prepare(
            GenerateRequest("m", (asked,), tools=given), Options(), tokenizer, 900, lambda: None
        )[0].shown_ids
        for given in (tools, ())
    ]
    assert shown == [{tokenizer.special.tokens[each] for each in names.values()}, frozenset()]


def test_more_than_the_server_gives_is_refused() -> None:
    limits = Limits(
        choices=4,
        stop_strings=2,
        stop_characters=8,
        logprobs=5,
        schema_characters=115,
        tools_characters=99,
        prompt_characters=99,
        regex_characters=9,
        grammar_characters=20,
    )
    wants = (
        GenerateRequest("m", (TextPrompt("a"),) * 3, choices=2),
        GenerateRequest("m", (TextPrompt("a"),), logprobs=6),
        GenerateRequest(
            "m", (TextPrompt("a"),), tools=({"type": "function", "function": {"name": "x" * 200}},)
        ),
        GenerateRequest(
            "m", (TextPrompt("a"),), tools=({"function": {"parameters": {"pattern": "x" * 10}}},)
        ),
        GenerateRequest(
            "m", (Conversation((Message("assistant", "", (ToolCall("f", {"x": "x" * 200}),)),)),)
        ),
        GenerateRequest(
            "m", (TextPrompt("a"),), constraint=OutputConstraint.schema({"enum": ["x" * 200]})
        ),
        GenerateRequest(
            "m",
            (TextPrompt("a"),),
            constraint=OutputConstraint.schema(
                {"items": [{"pattern": "x" * 5}, {"pattern": "x" * 5}]}
            ),
        ),
        GenerateRequest(
            "m",
            (TextPrompt("a"),),
            constraint=OutputConstraint.schema({"patternProperties": {"x" * 10: {}}}),
        ),
        GenerateRequest("m", (TextPrompt("a"),), constraint=OutputConstraint.regex("x" * 10)),
        GenerateRequest(
            "m", (TextPrompt("a"),), constraint=OutputConstraint.grammar("start: " + "x" * 20)
        ),
        GenerateRequest(
            "m", (TextPrompt("a"),), constraint=OutputConstraint.choice(["x" * 60, "y" * 60])
        ),
    )
    for request in wants:
        with pytest.raises(RequestError, match="at most"):
            require_within(request, Options(), limits)
    require_within(
        GenerateRequest("m", (TextPrompt("a"),), constraint=OutputConstraint.choice(["x" * 60])),
        Options(),
        limits,
    )
    plain = {"properties": {"pattern": {"type": "string"}, "b": {"pattern": "x" * 9}}}
    require_within(
        GenerateRequest("m", (TextPrompt("a"),), constraint=OutputConstraint.schema(plain)),
        Options(),
        limits,
    )
    for stop in (("a", "b", "c"), ("x" * 9,)):
        with pytest.raises(RequestError, match="at most"):
            require_within(GenerateRequest("m", (TextPrompt("a"),)), Options(stop=stop), limits)
