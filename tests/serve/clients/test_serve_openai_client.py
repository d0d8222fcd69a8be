"""The official `openai` client, unchanged, against a real server."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import pydantic
import pytest
from lazy_module import LazyModule

openai = LazyModule("openai")

HI: list[Any] = [{"role": "user", "content": "To be"}]


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0) as opened:
        yield opened


def test_chat_streamed_is_chat_whole(client: openai.OpenAI) -> None:
    ask = client.chat.completions.create
    whole = ask(model="tiny", messages=HI, seed=3, max_tokens=20)
    chunks = list(ask(model="tiny", messages=HI, seed=3, max_tokens=20, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content != ""
    assert chunks[0].choices[0].delta.role == "assistant"
    assert {(chunk.id, chunk.created, chunk.object) for chunk in chunks} == {
        (chunks[0].id, chunks[0].created, "chat.completion.chunk")
    }
    reasons = [chunk.choices[0].finish_reason for chunk in chunks]
    assert reasons == [None] * (len(chunks) - 1) + ["length"]
    assert all(chunk.usage is None for chunk in chunks)
    assert whole.usage and whole.usage.completion_tokens == 20
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + 20
    assert whole.id != ask(model="tiny", messages=HI, max_tokens=1).id


def test_usage_comes_last_where_it_was_asked_for(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="tiny",
            messages=HI,
            seed=3,
            max_tokens=4,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens == 4


def test_it_says_what_ollamas_api_says(client: openai.OpenAI, server: Any) -> None:
    drawn = {"temperature": 0.7, "seed": 11}
    ours = client.chat.completions.create(
        model="tiny", messages=HI, max_completion_tokens=12, top_p=0.9, **drawn
    )
    options = {**drawn, "top_p": 0.9, "top_k": 0, "num_predict": 12}
    theirs = server.post(
        "/api/chat", {"model": "tiny", "messages": HI, "stream": False, "options": options}
    ).json()
    assert ours.choices[0].message.content == theirs["message"]["content"]


def test_several_choices_are_drawn_apart_and_streamed_together(client: openai.OpenAI) -> None:
    ask = client.chat.completions.create
    whole = ask(model="tiny", messages=HI, n=3, seed=1, max_tokens=8)
    texts = [choice.message.content for choice in whole.choices]
    assert len(set(texts)) == 3
    joined = ["", "", ""]
    for chunk in ask(model="tiny", messages=HI, n=3, seed=1, max_tokens=8, stream=True):
        [choice] = chunk.choices
        joined[choice.index] += choice.delta.content or ""
    assert joined == texts
    assert whole.usage and whole.usage.completion_tokens == 24


def test_stop_strings_are_one_text_or_several(client: openai.OpenAI) -> None:
    ask = client.chat.completions.create
    free = ask(model="tiny", messages=HI, seed=3, max_tokens=40).choices[0].message.content or ""
    stop = free[10:13]
    for given in (stop, [stop, "zzz"]):
        choice = ask(model="tiny", messages=HI, seed=3, max_tokens=40, stop=given).choices[0]
        assert (choice.message.content, choice.finish_reason) == (free[: free.index(stop)], "stop")


def test_completions_go_on_with_each_prompt(client: openai.OpenAI) -> None:
    both = client.completions.create(model="tiny", prompt=["To be", "or not"], seed=5, max_tokens=6)
    assert [choice.index for choice in both.choices] == [0, 1]
    for prompt, choice in zip(("To be", "or not"), both.choices, strict=True):
        alone = client.completions.create(model="tiny", prompt=prompt, seed=5, max_tokens=6)
        assert choice.text == alone.choices[0].text
        pieces = client.completions.create(
            model="tiny", prompt=prompt, seed=5, max_tokens=6, stream=True
        )
        assert "".join(piece.choices[0].text for piece in pieces) == choice.text
    assert both.usage and both.usage.completion_tokens == 12
    assert (
        client.completions.create(
            model="tiny", prompt="To be", temperature=0
        ).usage.completion_tokens
        == 16
    )  # type: ignore[union-attr]


def test_logprobs_are_those_of_the_distribution_before_temperature(
    client: openai.OpenAI, server: Any
) -> None:
    ask = client.chat.completions.create
    drawn = ask(
        model="tiny",
        messages=HI,
        seed=4,
        max_tokens=6,
        temperature=2.0,
        logprobs=True,
        top_logprobs=20,
    )
    content = drawn.choices[0].logprobs.content  # type: ignore[union-attr]
    assert content and len(content) == 6
    for place in content:
        ranked = [each.logprob for each in place.top_logprobs]
        assert ranked == sorted(ranked, reverse=True) and len(ranked) == 20
        assert sum(map(math.exp, ranked)) <= 1 + 1e-5
        assert place.logprob <= ranked[0] + 1e-6
        assert place.logprob in ranked or place.logprob <= ranked[-1]
        assert bytes(place.bytes or []).decode("utf-8", "replace") == place.token
    greedy = ask(
        model="tiny", messages=HI, max_tokens=6, temperature=0, logprobs=True, top_logprobs=1
    )
    assert all(
        place.token == place.top_logprobs[0].token for place in greedy.choices[0].logprobs.content
    )  # type: ignore
    streamed = ask(
        model="tiny", messages=HI, seed=4, max_tokens=6, temperature=2.0, logprobs=True, stream=True
    )
    told = [
        place
        for chunk in streamed
        if chunk.choices[0].logprobs
        for place in chunk.choices[0].logprobs.content or []
    ]
    # by rounding: the second request reads its prompt from the cache, or not, as the first one ends
    assert [place.token for place in told] == [place.token for place in content]
    expected = pytest.approx([place.logprob for place in content], abs=1e-5)
    assert [place.logprob for place in told] == expected
    old = client.completions.create(
        model="tiny", prompt="To be", max_tokens=4, temperature=0, logprobs=2
    )
    assert [
        len(each) for each in (old.choices[0].logprobs.tokens, old.choices[0].logprobs.top_logprobs)
    ] == [4, 4]  # type: ignore
    options = {"temperature": 0, "num_predict": 6}
    body = {
        "model": "tiny",
        "messages": HI,
        "stream": False,
        "logprobs": True,
        "top_logprobs": 1,
        "options": options,
    }
    theirs = server.post("/api/chat", body).json()["logprobs"]
    mine = greedy.choices[0].logprobs.content  # type: ignore[union-attr]
    assert [each["logprob"] for each in theirs] == [place.logprob for place in mine or []]


def test_penalties_change_what_is_said(client: openai.OpenAI) -> None:
    def text(**penalty: float) -> str:
        asked = client.completions.create(
            model="tiny", prompt="To be", max_tokens=40, temperature=0, **penalty
        )  # type: ignore[arg-type]
        return asked.choices[0].text

    assert len({text(), text(presence_penalty=2.0), text(frequency_penalty=2.0)}) > 1
    assert len(set(text(frequency_penalty=2.0))) > len(set(text()))


def test_embeddings_are_the_same_as_floats_and_as_base64(client: openai.OpenAI) -> None:
    packed = client.embeddings.create(
        model="tiny", input=["to be", "or not"]
    )  # base64 is the client's default
    plain = client.embeddings.create(
        model="tiny", input=["to be", "or not"], encoding_format="float"
    )
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert packed.usage.prompt_tokens == plain.usage.total_tokens > 1
    assert (
        len(client.embeddings.create(model="tiny", input="x", dimensions=4).data[0].embedding) == 4
    )
    ids = client.embeddings.create(model="tiny", input=[[1, 2], [3]])  # ids of its own tokenizer
    assert [len(each.embedding) for each in ids.data] == [32, 32] and ids.usage.prompt_tokens == 3
    with pytest.raises(openai.BadRequestError, match="input: this model's token ids are 0 to"):
        client.embeddings.create(model="tiny", input=[[100_256]])  # of OpenAI's
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        client.embeddings.create(model="tiny", input="x", dimensions=4000)


class Verdict(pydantic.BaseModel):
    spam: bool
    kind: Literal["prize", "invoice"]


def test_answers_are_parsed_as_the_class_that_was_asked_for(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(
        model="tiny", messages=HI, response_format=Verdict, seed=1
    )
    assert isinstance(parsed.choices[0].message.parsed, Verdict)
    assert parsed.choices[0].finish_reason == "stop"
    format: Any = {"type": "json_object"}
    text = client.chat.completions.create(
        model="tiny", messages=HI, response_format=format, seed=1, max_tokens=30
    )
    assert (text.choices[0].message.content or "").startswith("{")


def said(client: openai.OpenAI, seed: int = 1, **extra: Any) -> str:
    asked = client.chat.completions.create(
        model="tiny", messages=HI, seed=seed, temperature=2.0, extra_body=extra
    )
    assert asked.choices[0].finish_reason == "stop"
    return asked.choices[0].message.content or ""


@pytest.mark.parametrize(
    ("extra", "pattern"),
    [
        ({"structured_outputs": {"regex": r"[a-z]{2,8}\.[0-9]"}}, r"[a-z]{2,8}\.[0-9]"),
        ({"structured_outputs": {"choice": ["positive", "negative"]}}, "positive|negative"),
        (
            {"structured_outputs": {"grammar": 'root ::= "SELECT " ("a" | "b") [0-9]'}},
            "SELECT [ab][0-9]",
        ),
        (
            {"structured_outputs": {"grammar": 'start: "is " x\nx: "(" x? ")"', "json": None}},
            r"is \(+\)+",
        ),
        ({"structured_outputs": {"json": {"enum": [1, True]}}}, "1|true"),
        ({"guided_choice": ["yes", "no"]}, "yes|no"),
        ({"grammar": 'root ::= [ab] "é"'}, "[ab]é"),
        ({"json_schema": {"type": "null"}}, "null"),
    ],
    ids=str,
)
def test_an_answer_has_the_form_that_another_servers_fields_ask_for(
    client: openai.OpenAI, extra: dict[str, Any], pattern: str
) -> None:
    for seed in range(4):
        text = said(client, seed, **extra)
        assert re.fullmatch(pattern, text), text


def test_a_form_holds_for_every_choice_in_a_stream_and_for_text_completions(
    client: openai.OpenAI,
) -> None:
    form: Any = {"structured_outputs": {"choice": ["spam", "ham"]}}
    joined = ["", "", ""]
    for chunk in client.chat.completions.create(
        model="tiny", messages=HI, n=3, seed=1, temperature=2.0, stream=True, extra_body=form
    ):
        [choice] = chunk.choices
        joined[choice.index] += choice.delta.content or ""
    assert set(joined) <= {"spam", "ham"}
    both = client.completions.create(
        model="tiny", prompt=["To be", "or not"], seed=5, extra_body=form
    )
    assert {choice.text for choice in both.choices} <= {"spam", "ham"}


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"structured_outputs": {"regex": "("}}, "unclosed group"),
        ({"structured_outputs": {"regex": "a", "choice": ["b"]}}, "can't be combined"),
        ({"structured_outputs": {"grammar": "start: y"}}, "unknown name"),
        ({"structured_outputs": {"choices": ["b"]}}, "structured_outputs.choices"),
        ({"structured_outputs": {"json": {"type": "nothing"}}}, "JSON schema"),
        (
            {"structured_outputs": {"json": {"type": "string", "pattern": ".*" * 9000}}},
            "regular expressions in",
        ),
        ({"structured_outputs": {"regex": "a" * 100_000}}, "at most"),
        ({"structured_outputs": {"grammar": "start: start"}}, "no text that fits"),
        (
            {"response_format": {"type": "json_object"}, "grammar": "start: /a/"},
            "can't be combined",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_form_that_can_not_be_had_is_refused_before_the_stream(
    client: openai.OpenAI, extra: dict[str, Any], words: str
) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match=words):
            client.chat.completions.create(
                model="tiny", messages=HI, stream=stream, extra_body=extra
            )


@pytest.mark.parametrize("pattern", ["(a{1,1000}){1,1000}", "a{1000000000}", "(.*){2000}"])
def test_a_catastrophic_expression_costs_the_others_little(
    client: openai.OpenAI, server: Any, pattern: str
) -> None:
    hard: Any = {"structured_outputs": {"regex": pattern}}
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(said, client, seed, **hard) for seed in range(3)]
        assert server.get("/healthz").status_code == 200
        assert said(client, structured_outputs={"choice": ["yes"]}) == "yes"
    for each in asked:
        assert isinstance(each.exception(), openai.BadRequestError | AssertionError | None)
    assert "groundup_answers_in_hand 0.0" in server.get("/metrics").text


def test_models_are_those_of_the_other_api(client: openai.OpenAI, server: Any) -> None:
    listed = [model.id for model in client.models.list()]
    assert listed == [model["name"] for model in server.get("/api/tags").json()["models"]]
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


def test_errors_have_a_type_and_a_code(client: openai.OpenAI) -> None:
    ask: Any = client.chat.completions.create
    with pytest.raises(openai.NotFoundError) as missing:
        ask(model="nobody", messages=HI, stream=True)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as long:
        ask(model="tiny", messages=[{"role": "user", "content": "to be or not " * 400}])
    assert long.value.code == "context_length_exceeded"
    for given, param in (
        ({"temperature": -1}, "temperature"),
        ({"messages": []}, "messages"),
        ({"n": 1000}, "n"),
        ({"stop": ["x"] * 50}, "stop"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            ask(**{"model": "tiny", "messages": HI, **given})
        assert (refused.value.param, refused.value.type) == (param, "invalid_request_error")


def test_texts_are_classified(server: Any) -> None:
    answer = server.post(
        "/v1/classify", {"model": "sorter", "input": ["to be", "not to be"]}
    ).json()
    assert [each["index"] for each in answer["data"]] == [0, 1]
    for each in answer["data"]:
        assert each["probabilities"].keys() == {"ham", "spam"}
        assert sum(each["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert (
            each["probability"]
            == max(each["probabilities"].values())
            == each["probabilities"][each["label"]]
        )
    refused = server.post("/v1/classify", {"model": "tiny", "input": "x"})
    assert (refused.status_code, "does not support classification" in refused.text) == (400, True)
