"""Bodies -> requests: what is understood, what is refused, and in which words."""

import json
from typing import Any

import pytest

from groundup.engine.structured_output import ANY_OBJECT, OutputConstraint
from groundup.serve.ollama import routes as naming
from groundup.serve.ollama.generation import keep_alive_s, read_chat, read_embed, read_generate
from groundup.serve.openai.chat import read_chat_completion
from groundup.serve.openai.completions import read_completion
from groundup.serve.openai.routes import read_classify, read_embedding
from groundup.serve.requests import FOREVER_S, GenerateRequest, LoadRequest, Options, RequestError

HI = [{"role": "user", "content": "Hi"}]


def refusal(read: Any, body: dict[str, Any]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read(body)
    return caught.value


@pytest.mark.parametrize("value", [float("nan"), "0.5", True, [], {}, 10**400], ids=str)
def test_numbers_are_numbers_in_every_dialect(value: Any) -> None:
    asked = {"model": "m", "messages": HI}
    assert "temperature" in refusal(read_chat, {**asked, "options": {"temperature": value}}).message
    assert "temperature" in refusal(read_chat_completion, {**asked, "temperature": value}).message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messages", []),
        ("messages", "Hi"),
        ("messages", [{"role": "wizard", "content": "Hi"}]),
        ("messages", [{"role": "user", "content": 5}]),
        ("messages", [{"role": "user"}]),
        (
            "messages",
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}],
        ),
        ("max_tokens", -1),
        ("max_tokens", 1.5),
        ("top_p", 2),
        ("temperature", -1),
        ("seed", "1"),
        ("stop", 5),
        ("stop", [5]),
        ("stream", "yes"),
        ("top_logprobs", 21),
        ("top_logprobs", -1),
        ("response_format", {"type": "xml"}),
        ("response_format", {"type": "json_schema"}),
        ("structured_outputs", "json"),
        ("structured_outputs", {}),
        ("structured_outputs", {"regex": 5}),
        ("structured_outputs", {"choice": []}),
        ("structured_outputs", {"choice": ["a", 5]}),
        ("structured_outputs", {"choices": ["a"]}),
        ("structured_outputs", {"structural_tag": "{}"}),
        ("structured_outputs", {"regex": "a", "choice": ["a"]}),
        ("structured_outputs", {"json": '{"type": "boolean"}'}),
        ("guided_choice", "a"),
        ("guided_regex", ["a"]),
        ("grammar", {"root": "a"}),
        ("json_schema", 5),
        ("n", 0),
        ("model", ""),
        ("model", 5),
    ],
    ids=str,
)
def test_a_chat_completion_names_the_field_at_fault(field: str, value: Any) -> None:
    error = refusal(read_chat_completion, {"model": "m", "messages": HI, field: value})
    assert error.status == 400
    assert (error.param or "").split(".")[0] == field
    assert field in error.message


def test_what_was_sent_is_never_repeated() -> None:
    error = refusal(
        read_chat_completion, {"model": "m", "messages": HI, "temperature": "my secret"}
    )
    assert "secret" not in error.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"suffix": "x"}, "does not support insert"),
        ({"images": ["x"]}, "does not support vision"),
        ({"think": True}, "does not support thinking"),
        ({"think": "high"}, "does not support thinking"),
        ({"raw": True, "system": "s"}, "raw mode"),
        ({"raw": True, "context": [1]}, "raw mode"),
        ({"raw": True, "template": "t"}, "raw mode"),
        ({"template": 5}, "template"),
        ({"context": [1, "2"]}, "context"),
        ({"context": "1 2"}, "context"),
        ({"format": "xml"}, "JSON schema"),
        ({"options": []}, "options"),
        ({"options": {"num_predict": "5"}}, "num_predict"),
        ({"keep_alive": "soon"}, "keep_alive"),
        ({"keep_alive": True}, "keep_alive"),
        ({"top_logprobs": 21}, "top_logprobs"),
    ],
    ids=str,
)
def test_what_generate_can_not_do_is_said(body: dict[str, Any], words: str) -> None:
    assert words in refusal(read_generate, {"model": "m", "prompt": "p", **body}).message


def test_null_is_the_same_as_absent_and_unknown_fields_are_passed_over() -> None:
    nulls = dict.fromkeys(
        ("options", "format", "tools", "keep_alive", "think", "logprobs", "stream", "suffix")
    )
    body = {"model": "m", "prompt": "p", "messages": HI}
    assert read_generate({**body, **nulls, "numa": 3}) == read_generate(body)
    assert read_chat({**body, **nulls, "numa": 3}) == read_chat(body)
    nulls = dict.fromkeys(
        ("max_tokens", "stop", "seed", "n", "response_format", "tool_choice", "stream_options")
    )
    assert read_chat_completion({**body, **nulls, "store": 1}) == read_chat_completion(body)


def test_the_limit_of_newer_clients_wins_and_both_are_read() -> None:
    body = {"model": "m", "messages": HI}
    limits = [
        {"max_tokens": 3},
        {"max_completion_tokens": 3},
        {"max_tokens": 9, "max_completion_tokens": 3},
    ]
    assert {read_chat_completion({**body, **each}).options.max_tokens for each in limits} == {3}
    assert read_chat_completion(body).options.max_tokens is None
    assert read_completion({"model": "m", "prompt": "p"}).options.max_tokens == 16


def test_no_prompt_means_load_and_keep_alive_0_unload() -> None:
    assert read_generate({"model": "m"}) == LoadRequest("m", None)
    assert read_generate({"model": "m", "prompt": "", "keep_alive": 0}) == LoadRequest("m", 0.0)
    assert read_chat({"model": "m", "messages": [], "keep_alive": "-1m"}) == LoadRequest(
        "m", FOREVER_S
    )


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, None),
        (0, 0),
        (300, 300),
        (-1, FOREVER_S),
        ("5m", 300),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("0", 0),
    ],
)
def test_keep_alive_is_seconds_or_a_length_of_time(given: Any, seconds: float | None) -> None:
    assert keep_alive_s(given) == seconds


@pytest.mark.parametrize("given", ["", "m", "5 m", "1e9", "5x", "--1", "9" * 400, "1m" * 40])
def test_a_keep_alive_that_is_no_time_is_refused(given: str) -> None:
    assert "keep_alive" in refusal(lambda body: keep_alive_s(body), given).message  # type: ignore[arg-type]


def test_tools_are_told_to_models_as_they_have_seen_them() -> None:
    function = {
        "strict": True,
        "parameters": {"b": 1, "a": 2},
        "description": None,
        "name": "f",
        "x": 1,
    }
    body = {"model": "m", "messages": HI, "tools": [{"function": function, "type": "function"}]}
    [tool] = read_chat_completion(body).tools
    assert (
        json.dumps(tool)
        == '{"type": "function", "function": {"name": "f", "parameters": {"b": 1, "a": 2}}}'
    )
    asked = read_chat(body)
    assert isinstance(asked, GenerateRequest) and asked.tools == (tool,)


@pytest.mark.parametrize(
    ("choice", "must_call", "one_call"),
    [
        ("auto", (), False),
        ("required", ("f", "g"), True),
        ({"type": "function", "function": {"name": "g"}}, ("g",), True),
    ],
    ids=str,
)
def test_a_choice_says_what_must_be_called(
    choice: Any, must_call: tuple[str, ...], one_call: bool
) -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in "fg"]
    body = {"model": "m", "messages": HI, "tools": tools, "tool_choice": choice}
    asked = read_chat_completion(body)
    assert (asked.must_call, asked.one_call) == (must_call, one_call)
    assert read_chat_completion({**body, "parallel_tool_calls": False}).one_call
    assert read_chat_completion({**body, "parallel_tool_calls": True}).one_call is isinstance(
        choice, dict
    )


SCHEMA = {"type": "boolean"}


@pytest.mark.parametrize(
    ("fields", "form"),
    [
        ({}, None),
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, ANY_OBJECT),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
            OutputConstraint.schema(SCHEMA),
        ),
        ({"structured_outputs": {"regex": "a+"}}, OutputConstraint.regex("a+")),
        ({"structured_outputs": {"regex": ""}}, OutputConstraint.regex("")),
        (
            {"structured_outputs": {"choice": ["a", "b"]}, "response_format": {"type": "text"}},
            OutputConstraint.choice(["a", "b"]),
        ),
        (
            {"structured_outputs": {"grammar": "start: /a/", "regex": None}},
            OutputConstraint.grammar("start: /a/"),
        ),
        ({"structured_outputs": {"json": SCHEMA}}, OutputConstraint.schema(SCHEMA)),
        ({"structured_outputs": {"json_object": True}}, ANY_OBJECT),
        ({"guided_regex": "a+"}, OutputConstraint.regex("a+")),
        ({"guided_choice": ["a.b"]}, OutputConstraint("choice", r"a\.b")),
        ({"guided_json": SCHEMA}, OutputConstraint.schema(SCHEMA)),
        ({"guided_grammar": 'root ::= "a"'}, OutputConstraint.grammar('root ::= "a"')),
        ({"grammar": 'root ::= "a"'}, OutputConstraint.grammar('root ::= "a"')),
        ({"grammar": ""}, None),
        ({"json_schema": SCHEMA}, OutputConstraint.schema(SCHEMA)),
    ],
    ids=str,
)
def test_a_form_is_asked_for_in_the_words_of_any_server_of_this_api(
    fields: dict[str, Any], form: OutputConstraint | None
) -> None:
    assert read_chat_completion({"model": "m", "messages": HI, **fields}).constraint == form
    if "response_format" not in fields:
        assert read_completion({"model": "m", "prompt": "p", **fields}).constraint == form


def test_two_forms_of_one_answer_are_refused() -> None:
    regex, grammar = {"structured_outputs": {"regex": "a"}}, {"grammar": "start: /a/"}
    wants: list[tuple[dict[str, Any], str]] = [
        ({**regex, **grammar}, "grammar and structured_outputs.regex"),
        (
            {**regex, "response_format": {"type": "json_object"}},
            "response_format and structured_outputs.regex",
        ),
        ({"structured_outputs": {"json": {}, "json_object": True}}, "structured_outputs.json and"),
        ({**grammar, "json_schema": {}}, "json_schema and grammar"),
    ]
    for fields, words in wants:
        error = refusal(read_chat_completion, {"model": "m", "messages": HI, **fields})
        assert (
            words in error.message and "can't be combined" in error.message and error.status == 400
        )


def test_tool_choice_none_means_no_tools() -> None:
    body = {
        "model": "m",
        "messages": HI,
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }
    assert read_chat_completion(body).tools
    assert read_chat_completion({**body, "tool_choice": "none"}).tools == ()


def test_what_a_request_leaves_open_comes_from_the_name_and_then_from_the_dialect() -> None:
    request, name, dialect = (
        Options(seed=1),
        Options(seed=2, temperature=0.5),
        Options(temperature=1.0, top_k=0),
    )
    merged = request.over(name).over(dialect)
    assert (merged.seed, merged.temperature, merged.top_k, merged.top_p) == (1, 0.5, 0, None)
    assert Options(temperature=0.0, stop=()).over(name).temperature == 0.0


@pytest.mark.parametrize("value", [5, [5], [[1, 2]], {"a": "b"}], ids=str)
def test_only_texts_are_embedded_and_classified_and_with_openai_ids(value: Any) -> None:
    for read in (read_embed, read_classify):
        assert "input" in refusal(read, {"model": "m", "input": value}).message
    if isinstance(value, list):
        assert read_embedding({"model": "m", "input": value})[0].texts in (((5,),), ((1, 2),))
    else:
        assert "input" in refusal(read_embedding, {"model": "m", "input": value}).message


def test_older_clients_name_models_by_name() -> None:
    assert naming.read_name({"name": "m"}).model == naming.read_name({"model": "m"}).model == "m"
    assert refusal(naming.read_name, {}).status == 400


@pytest.mark.parametrize("field", ["files", "adapters", "quantize"])
def test_create_from_elsewhere_is_not_done(field: str) -> None:
    value: Any = "q4_0" if field == "quantize" else {"a": "sha256:0"}
    assert refusal(naming.read_create, {"model": "m", "from": "n", field: value}).status == 501
    assert refusal(naming.read_create, {"model": "m"}).param == "from"
