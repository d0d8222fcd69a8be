"""The official `ollama` client, unchanged, against a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from lazy_module import LazyModule

ollama = LazyModule("ollama")

HI = [{"role": "user", "content": "To be"}]
DRAW = {"seed": 7, "num_predict": 24}


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[ollama.Client]:
    with ollama.Client(host=address) as opened:
        yield opened


def test_chat_streamed_is_chat_whole(client: ollama.Client) -> None:
    whole = client.chat("tiny", HI, options=DRAW)
    pieces = list(client.chat("tiny", HI, options=DRAW, stream=True))
    assert "".join(piece.message.content or "" for piece in pieces) == whole.message.content
    assert whole.message.content
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert pieces[-1].eval_count == whole.eval_count == 24
    assert pieces[-1].prompt_eval_count == whole.prompt_eval_count > 2
    assert all(piece.eval_count is None for piece in pieces[:-1])
    assert whole.done_reason == "length"
    assert whole.total_duration > 0


def test_a_seed_gives_the_same_text_and_none_another(client: ollama.Client) -> None:
    def text(**options: float) -> str:
        return client.chat("tiny", HI, options={"num_predict": 16, **options}).message.content or ""

    assert text(seed=1) == text(seed=1) != text(seed=2)
    assert text() != text()
    assert text(seed=1, temperature=0) == text(seed=2, temperature=0) == text(temperature=0)


def test_generate_is_chat_of_one_turn_and_raw_is_not_rendered(client: ollama.Client) -> None:
    asked = client.generate("tiny", "To be", system="Be brief.", options=DRAW)
    turns = [{"role": "system", "content": "Be brief."}, *HI]
    assert asked.response == client.chat("tiny", turns, options=DRAW).message.content
    raw = client.generate(
        "tiny", "<|im_start|>user\nTo be<|im_end|>\n<|im_start|>assistant\n", raw=True, options=DRAW
    )
    assert raw.response == client.chat("tiny", HI, options=DRAW).message.content
    plain = client.generate("tiny", "<|im_start|>", options=DRAW)
    assert (
        plain.prompt_eval_count > raw.prompt_eval_count - 10
    )  # typed by a user it is text of several tokens


def test_context_goes_on_as_a_chat_with_the_same_turns(client: ollama.Client) -> None:
    for model, limit in (
        ("tiny", 12),
        ("ender", 60),
    ):  # an answer that is cut, and one that ends its turn
        first = client.generate(
            model, "To be", system="Be brief.", options={**DRAW, "num_predict": limit}
        )
        assert first.context
        *_, last = client.generate(
            model, "To be", system="Be brief.", options={**DRAW, "num_predict": limit}, stream=True
        )
        assert last.context == first.context
        second = client.generate(model, "or not?", context=first.context, options=DRAW)
        turns = [
            {"role": "system", "content": "Be brief."},
            *HI,
            {"role": "assistant", "content": first.response},
        ]
        turns.append({"role": "user", "content": "or not?"})
        assert second.response == client.chat(model, turns, options=DRAW).message.content
        assert second.context and list(second.context)[: len(first.context)] == list(first.context)
    assert client.generate("tiny", "To be", raw=True, options=DRAW).context is None


def test_a_context_that_is_too_long_loses_its_beginning_and_may_refuse_to(
    client: ollama.Client,
) -> None:
    long = list(range(97, 105)) * 40
    answer = client.generate("tiny", "To be", context=long, options={"num_predict": 4})
    assert 200 < answer.prompt_eval_count <= 252
    with pytest.raises(ollama.ResponseError, match="context: this model's token ids are 0 to"):
        client.generate("tiny", "To be", context=[10**6])


LOUD = "{% for each in messages %}{{ each.role | upper }}: {{ each.content }}\n{% endfor %}ANSWER:"


def test_a_chat_template_of_the_client_is_used_in_one_request_or_by_a_name(
    client: ollama.Client,
) -> None:
    raw = client.generate("tiny", "SYSTEM: Be brief.\nUSER: To be\nANSWER:", raw=True, options=DRAW)
    once = client.generate("tiny", "To be", system="Be brief.", template=LOUD, options=DRAW)
    assert (once.response, once.prompt_eval_count) == (raw.response, raw.prompt_eval_count)
    client.create("loud", from_="tiny", template=LOUD, system="Be brief.")
    assert client.chat("loud", HI, options=DRAW).message.content == raw.response
    shown = client.show("loud")
    assert shown.template == LOUD and LOUD in (shown.modelfile or "")
    assert client.show("tiny").template != LOUD
    client.delete("loud")


def test_a_chat_template_in_gos_language_says_the_same(client: ollama.Client) -> None:
    raw = client.generate("tiny", "SYSTEM: Be brief.\nUSER: To be\nANSWER:", raw=True, options=DRAW)
    turns = "{{ if .System }}SYSTEM: {{ .System }}\n{{ end }}USER: {{ .Prompt }}\nANSWER:{{ .Response }}"
    each = "{{ range .Messages }}{{ if eq .Role `user` }}USER{{ else }}SYSTEM{{ end }}: {{ .Content }}\n{{ end }}ANSWER:"
    for template in (turns, each):
        once = client.generate("tiny", "To be", system="Be brief.", template=template, options=DRAW)
        assert (once.response, once.prompt_eval_count) == (raw.response, raw.prompt_eval_count)
        client.create("gopher", from_="tiny", template=template, system="Be brief.")
        assert client.chat("gopher", HI, options=DRAW).message.content == raw.response
        client.delete("gopher")
    first = client.generate("tiny", "To be", template=turns, options=DRAW)
    onwards = client.generate("tiny", "And?", context=first.context, template=turns, options=DRAW)
    assert onwards.prompt_eval_count is not None and onwards.response


def test_a_chat_template_in_jinja_may_have_the_words_of_gos_actions(client: ollama.Client) -> None:
    template = "{% set end = '!' %}{{ range(3) | join }}{{- range (2) | last }}{{ messages[-1].content }}{{ end }}"
    raw = client.generate("tiny", "0121To be!", raw=True, options=DRAW)
    assert (
        client.generate("tiny", "To be", template=template, options=DRAW).response == raw.response
    )


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (
            "{{ if .System }}{{ .System }}{{ end }}{{ .Unknown }}{{ .Prompt }}",
            "Go's template language.*not {{ .Unknown }}",
        ),
        ("{{ block }}{{ end }}", "Go's template language.*not {{ block }}"),
        ("{{ .System }}", "leaves out the user's message"),
        ("{% for each in messages %}", "raised an error"),
        ("{{ range(3) }}{% for each in messages %}", "raised an error"),
        ("Hello.", "leaves out the user's message"),
        ("{{ 'x' * 10**10 }}", "template"),
    ],
)
def test_a_template_that_can_not_be_used_is_refused_in_words(
    client: ollama.Client, template: str, words: str
) -> None:
    for refused in (
        lambda: client.generate("tiny", "To be", template=template),
        lambda: client.create("loud", from_="tiny", template=template),
    ):
        with pytest.raises(ollama.ResponseError, match=words) as caught:
            refused()
        assert caught.value.status_code == 400
    assert "loud:latest" not in {model.model for model in client.list().models}


def test_stop_strings_end_an_answer_and_no_part_of_them_is_told(client: ollama.Client) -> None:
    free = client.generate("tiny", "To be", options={**DRAW, "num_predict": 60}).response
    stop = free[20:23]
    options = {**DRAW, "num_predict": 60, "stop": [stop, "never written"]}
    stopped = client.generate("tiny", "To be", options=options)
    assert stopped.response == free[: free.index(stop)]
    assert stopped.done_reason == "stop"
    pieces = client.generate("tiny", "To be", options=options, stream=True)
    assert "".join(piece.response for piece in pieces) == stopped.response


def test_unicode_is_never_cut(client: ollama.Client) -> None:
    options = {"temperature": 2.0, "seed": 5, "num_predict": 120}
    whole = client.generate("tiny", "😀 中文", options=options)
    pieces = [
        piece.response for piece in client.generate("tiny", "😀 中文", options=options, stream=True)
    ]
    assert "".join(pieces) == whole.response
    assert any(ord(character) > 255 and character != "\ufffd" for character in whole.response)


def test_a_model_that_ends_its_turn_says_stop(client: ollama.Client) -> None:
    answers = [
        client.chat("ender", HI, options={"seed": seed, "temperature": 3.0}) for seed in range(3)
    ]
    assert "stop" in {answer.done_reason for answer in answers}
    assert not any("<|im_end|>" in (answer.message.content or "") for answer in answers)


def test_limits_are_exact(client: ollama.Client) -> None:
    for limit in (0, 1, 5):
        answer = client.generate("tiny", "To be", options={"num_predict": limit, "temperature": 0})
        assert (answer.eval_count or 0, answer.done_reason) == (limit, "length")


def test_without_a_limit_an_answer_fills_the_context(client: ollama.Client) -> None:
    answer = client.generate("tiny", "To be", options={"num_predict": -1, "temperature": 0})
    assert answer.prompt_eval_count + answer.eval_count == 256
    assert (
        client.generate("tiny", "To be", options={"num_ctx": 40, "temperature": 0}).eval_count
        == 40 - answer.prompt_eval_count
    )


def test_a_long_conversation_loses_its_oldest_turns_and_may_refuse_to(
    client: ollama.Client,
) -> None:
    long = [{"role": "system", "content": "Be."}]
    long += [
        {"role": role, "content": "to be or not " * 4}
        for _ in range(20)
        for role in ("user", "assistant")
    ]
    long += HI
    answer = client.chat("tiny", long, options={"num_predict": 4})
    assert 20 < answer.prompt_eval_count <= 252
    huge = client.chat(
        "tiny", [{"role": "user", "content": "to be or not " * 400}], options={"num_predict": 4}
    )
    assert 150 < huge.prompt_eval_count <= 252
    assert (
        client.generate("tiny", "x " * 3000, raw=True, options={"num_predict": 4}).prompt_eval_count
        > 150
    )


def test_loading_and_unloading_are_seen_in_ps(client: ollama.Client) -> None:
    assert client.generate("other", keep_alive="10m").done_reason == "load"
    assert "other:latest" in {model.model for model in client.ps().models}
    assert client.generate("other", keep_alive=0).done_reason == "unload"
    assert "other:latest" not in {model.model for model in client.ps().models}
    client.chat("other", HI, options=DRAW, keep_alive=-1)
    [entry] = [model for model in client.ps().models if model.model == "other:latest"]
    assert entry.expires_at and entry.expires_at.year > 2100
    assert (entry.size_vram or 0) <= (entry.size or 0)
    client.chat("other", HI, options=DRAW, keep_alive=0)
    assert "other:latest" not in {model.model for model in client.ps().models}


def test_lists_and_details_are_true(client: ollama.Client) -> None:
    listed = {model.model: model for model in client.list().models}
    assert {"tiny:latest", "ender:latest", "sorter:latest"} <= set(listed)
    assert all(len(model.digest or "") == 64 and model.modified_at for model in listed.values())
    shown = client.show("tiny")
    assert shown.capabilities == ["completion", "embedding"]
    assert shown.modelinfo["llama.context_length"] == 256
    assert shown.modelinfo["general.parameter_count"] > 10_000
    assert "<|im_end|>" in (shown.parameters or "")
    assert client.show("sorter").capabilities == ["classification"]


def test_copy_create_and_delete(client: ollama.Client) -> None:
    client.copy("tiny", "gpt-3.5-turbo")
    same = client.chat("gpt-3.5-turbo", HI, options=DRAW).message.content
    assert same == client.chat("tiny", HI, options=DRAW).message.content
    client.create(
        "brief", from_="tiny", system="Be brief.", parameters={"num_predict": 3, "seed": 1}
    )
    answer = client.chat("brief", HI)
    assert answer.eval_count == 3
    assert client.chat("brief", HI, options={"num_predict": 4}).eval_count == 4
    turns = [{"role": "system", "content": "Be brief."}, *HI]
    assert (
        answer.message.content
        == client.chat("tiny", turns, options={"num_predict": 3, "seed": 1}).message.content
    )
    assert "SYSTEM" in (client.show("brief").modelfile or "")
    for name in ("brief", "gpt-3.5-turbo"):
        client.delete(name)
    with pytest.raises(ollama.ResponseError) as gone:
        client.chat("brief", HI)
    assert gone.value.status_code == 404


def test_embeddings_have_unit_length_and_their_own_order(client: ollama.Client) -> None:
    texts = ["to be", "", "not to be, that is the question " * 80]
    together = client.embed("tiny", texts)
    assert together.prompt_eval_count > 3
    for text, vector in zip(texts, together.embeddings, strict=True):
        alone = client.embed("tiny", [text]).embeddings[0]
        assert vector == pytest.approx(alone, abs=1e-4)
        assert sum(x * x for x in vector) == pytest.approx(1, abs=1e-4)
    short = client.embed("tiny", "to be", dimensions=8).embeddings[0]
    assert len(short) == 8 and sum(x * x for x in short) == pytest.approx(1, abs=1e-4)
    assert client.embed("tiny", []).embeddings == []
    assert list(client.embeddings("tiny", "to be").embedding) == pytest.approx(
        together.embeddings[0], abs=1e-4
    )
    with pytest.raises(ollama.ResponseError, match="exceeds the context length"):
        client.embed("tiny", texts, truncate=False)


SCHEMA = {
    "$defs": {"mood": {"enum": ["sad", "glad", None, 5]}},
    "type": "object",
    "properties": {
        "mood": {"$ref": "#/$defs/mood"},
        "sure": {"type": "boolean"},
        "of": {"anyOf": [{"const": "x"}, {"type": "null"}]},
    },
    "required": ["mood", "sure", "of"],
    "additionalProperties": False,
}


def test_an_answer_fits_the_schema_and_ends_by_itself(client: ollama.Client) -> None:
    for seed in range(4):
        answer = client.chat("tiny", HI, format=SCHEMA, options={"seed": seed, "temperature": 2.0})
        found = json.loads(answer.message.content or "")
        assert found.keys() == {"mood", "sure", "of"}
        assert found["mood"] in ("sad", "glad", None, 5) and isinstance(found["sure"], bool)
        assert answer.done_reason == "stop"
        pieces = client.chat(
            "tiny", HI, format=SCHEMA, options={"seed": seed, "temperature": 2.0}, stream=True
        )
        assert "".join(piece.message.content or "" for piece in pieces) == answer.message.content
    anything = client.generate(
        "ender", "To be", format="json", options={"seed": 1, "temperature": 1.5}
    )
    assert anything.response.startswith("{")
    with pytest.raises(ollama.ResponseError, match="can't be followed") as refused:
        client.chat("tiny", HI, format={"type": "nonsense"})
    assert refused.value.status_code == 400


def test_what_is_local_can_be_pulled_and_nothing_pushed(client: ollama.Client) -> None:
    assert client.pull("tiny").status == "success"
    assert [part.status for part in client.pull("tiny", stream=True)][-1] == "success"
    for refused, status in (
        (lambda: client.pull("llama3"), 404),
        (lambda: client.push("tiny"), 501),
    ):
        with pytest.raises(ollama.ResponseError) as caught:
            refused()
        assert caught.value.status_code == status


def test_refusals_say_what_a_model_lacks(client: ollama.Client) -> None:
    tool = {
        "type": "function",
        "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
    }
    for refused, words in (
        (lambda: client.chat("tiny", HI, tools=[tool]), "does not support tools"),
        (lambda: client.chat("tiny", HI, think=True), "does not support thinking"),
        (lambda: client.chat("sorter", HI), "does not support completion"),
        (lambda: client.embed("sorter", "x"), "does not support embedding"),
        (lambda: client.generate("tiny", "x", suffix="y"), "does not support insert"),
    ):
        with pytest.raises(ollama.ResponseError, match=words) as caught:
            refused()
        assert caught.value.status_code == 400
    for stream in (False, True):
        with pytest.raises(ollama.ResponseError, match='"nobody" not found') as missing:
            list(client.chat("nobody", HI, stream=stream))
        assert missing.value.status_code == 404


def test_the_asynchronous_client_works_too(address: str, client: ollama.Client) -> None:
    async def ask() -> str:
        async with ollama.AsyncClient(host=address) as opened:
            stream = await opened.chat("tiny", HI, options=DRAW, stream=True)
            return "".join([part.message.content or "" async for part in stream])

    assert asyncio.run(ask()) == client.chat("tiny", HI, options=DRAW).message.content
