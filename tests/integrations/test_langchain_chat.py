"""ChatGroundup and GroundupLLM: the answers of the engine, whole, streamed, in batches, in any event loop; and refusals in a sentence."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    trim_messages,
)
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field
from small_models import save_caller, save_classifier, save_language
from typing_extensions import TypedDict

from groundup.errors import ConfigError, GroundupError, ModelError
from groundup.integrations import langchain
from groundup.integrations.langchain import ChatGroundup, GroundupLLM
from groundup.tokenizer.chat import Message
from groundup.tokenizer.special import CHATML_TEMPLATE
from groundup.tokenizer.tools import ToolCall


def weather(city: Literal["Ulm", "Paris"]) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


class Answer(BaseModel):
    """An answer."""

    sure: bool
    word: Literal["be", "not"]
    count: int = Field(ge=0, le=99)


TURNS = (
    Message("user", "Weather?"),
    Message("assistant", "I look.", (ToolCall("weather", {"city": "Ulm"}),)),
    Message("tool", "sunny in Ulm"),
    Message("assistant", "It is sunny."),
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny writes for ever; chatty has a chat template; caller has learnt a conversation with a call by heart."""
    folder = tmp_path_factory.mktemp("langchain")
    save_language(folder / "tiny", context_tokens=1024)
    save_language(folder / "chatty", context_tokens=2048, template=CHATML_TEMPLATE)
    save_caller(folder / "caller", TURNS, [[convert_to_openai_tool(weather)]])
    save_classifier(folder / "sorter")
    return folder


@pytest.fixture
def chat(models: Path) -> Callable[..., ChatGroundup]:
    return lambda name="chatty", **fields: ChatGroundup(
        model=str(models / name), **{"max_tokens": 12, "seed": 1, **fields}
    )


def batch_engine(model: Any) -> Any:
    (loaded,) = model.local.server.loaded_models.current().values()
    return loaded.session.engine


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_an_answer_is_the_same_whole_streamed_and_in_a_batch(
    chat: Callable[..., ChatGroundup],
) -> None:
    model = chat(temperature=0.8)
    whole = model.invoke("To be?")
    chunks = list(model.stream("To be?"))
    assert (
        len(chunks) > 2 and "".join(str(chunk.content) for chunk in chunks) == whole.content != ""
    )
    others = model.batch(
        ["To be?", "Or not?", [SystemMessage("Brief."), HumanMessage("To be?")], "To be?"]
    )
    assert [others[0].content, others[3].content] == [whole.content] * 2 and others[
        1
    ].content != whole.content
    assert asyncio.run(model.ainvoke("To be?")).content == whole.content
    assert [each.content for each in asyncio.run(model.abatch(["To be?"] * 3))] == [
        whole.content
    ] * 3


def test_the_end_of_an_answer_counts_its_tokens_and_names_its_model(
    chat: Callable[..., ChatGroundup],
) -> None:
    model = chat()
    whole = model.invoke("To be?")
    assert whole.usage_metadata is not None and whole.usage_metadata["output_tokens"] == 12
    assert whole.usage_metadata["total_tokens"] == whole.usage_metadata["input_tokens"] + 12
    told = whole.response_metadata
    assert (told["finish_reason"], told["model_provider"], told["model_name"]) == (
        "length",
        "groundup",
        model.model,
    )
    *before, last = model.stream("To be?")
    assert (
        not any(chunk.usage_metadata for chunk in before)
        and last.usage_metadata == whole.usage_metadata
    )


def test_the_inputs_of_a_batch_run_together(
    chat: Callable[..., ChatGroundup], models: Path
) -> None:
    model = chat("tiny", max_tokens=40)
    model.invoke("warm")
    engine, step, running = batch_engine(model), batch_engine(model).step, []

    def counting() -> Any:
        running.append(len(engine.outputs.running))
        return step()

    engine.step = counting
    try:
        assert len(model.batch([f"{number} to be" for number in range(20)])) == 20
        assert max(running) == 20
        running.clear()
        continued = GroundupLLM(model=str(models / "tiny"), max_tokens=40).batch(
            [f"{n} or not" for n in range(20)]
        )
        assert len(continued) == 20 and max(running) == 20
    finally:
        engine.step = step


def test_the_same_model_is_in_memory_once(chat: Callable[..., ChatGroundup], models: Path) -> None:
    first, second = chat("tiny"), chat("tiny", temperature=0)
    assert first.local is second.local is GroundupLLM(model=str(models / "tiny")).local
    assert first.local is not chat("tiny", precision="bf16").local


def test_fields_of_sampling_and_of_a_call_are_those_of_the_api(
    chat: Callable[..., ChatGroundup],
) -> None:
    model = chat(temperature=0, repetition_penalty=1.3, logprobs=True, top_logprobs=2)
    whole = model.invoke("To be?")
    tokens = whole.response_metadata["logprobs"]["content"]
    assert len(tokens) == 12 and all(
        len(each["top_logprobs"]) == 2 and each["logprob"] <= 0 for each in tokens
    )
    assert (
        "".join(bytes(b for each in tokens for b in each["bytes"]).decode("utf-8", "replace"))
        == whole.content
    )
    stopped = model.invoke("To be?", stop=[str(whole.content)[3:6]])
    assert (
        stopped.content == str(whole.content)[: str(whole.content).index(str(whole.content)[3:6])]
    )
    assert stopped.response_metadata["finish_reason"] == "stop"
    assert model.bind(max_tokens=3).invoke("To be?").usage_metadata["output_tokens"] == 3


def test_structured_output_fits_its_schema_whatever_the_model(
    chat: Callable[..., ChatGroundup],
) -> None:
    class Dict(TypedDict):
        """An answer."""

        sure: bool

    model = chat(max_tokens=200)
    for method in ("json_schema", "function_calling"):
        assert isinstance(
            model.with_structured_output(Answer, method=method).invoke("To be?"), Answer
        )
        assert set(model.with_structured_output(Dict, method=method).invoke("To be?")) == {"sure"}
        assert isinstance(
            model.with_structured_output(Answer.model_json_schema(), method=method).invoke("?"),
            dict,
        )
    raw = model.with_structured_output(Answer, include_raw=True).invoke("To be?")
    assert (
        raw["parsed"] == Answer.model_validate_json(raw["raw"].content)
        and raw["parsing_error"] is None
    )
    cut = chat(max_tokens=3).with_structured_output(Answer, include_raw=True).invoke("To be?")
    assert cut["parsed"] is None and cut["parsing_error"] is not None
    assert isinstance(list(model.with_structured_output(Answer).stream("To be?"))[-1], Answer)


def test_a_model_that_was_taught_calls_calls_and_answers(chat: Callable[..., ChatGroundup]) -> None:
    model = chat("caller", temperature=0, max_tokens=80).bind_tools([weather])
    asked = [HumanMessage("Weather?")]
    said = model.invoke(asked)
    (call,) = said.tool_calls
    assert (call["name"], call["args"], said.content) == ("weather", {"city": "Ulm"}, "I look.")
    assert said.response_metadata["finish_reason"] == "tool_calls"
    streamed: Any = None
    for chunk in model.stream(asked):
        streamed = chunk if streamed is None else streamed + chunk
    assert [(each["name"], each["args"]) for each in streamed.tool_calls] == [
        ("weather", {"city": "Ulm"})
    ]
    last = model.invoke(
        [*asked, said, ToolMessage(weather(**call["args"]), tool_call_id=call["id"])]
    )
    assert (last.content, last.tool_calls) == ("It is sunny.", [])


def test_a_forced_call_is_made_by_any_chat_model(chat: Callable[..., ChatGroundup]) -> None:
    for choice in ("any", "weather", True):
        said = chat(max_tokens=100).bind_tools([weather], tool_choice=choice).invoke("Weather?")
        assert [call["name"] for call in said.tool_calls][:1] == ["weather"] and isinstance(
            said, AIMessage
        )
    with pytest.raises(GroundupError, match="does not support tools"):
        chat(tools="off").bind_tools([weather]).invoke("Weather?")


@pytest.mark.parametrize("ends", ["closed", "cancelled"])
def test_a_stream_that_is_left_frees_its_pages(
    chat: Callable[..., ChatGroundup], ends: str
) -> None:
    model = chat("tiny", max_tokens=900)

    async def cancelled() -> None:
        async def read() -> None:
            async for _ in model.astream("To be?"):
                began.set()

        began = asyncio.Event()
        task = asyncio.create_task(read())
        await began.wait()
        assert batch_engine(model).pages.owned > 0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    if ends == "closed":
        stream = model.stream("To be?")
        next(stream)
        assert batch_engine(model).pages.owned > 0
        stream.close()
    else:
        asyncio.run(cancelled())
    wait_until(lambda: batch_engine(model).pages.owned == 0 and not batch_engine(model).busy)
    assert model.local.server.worker.num_answers == 0


def test_everything_works_inside_an_event_loop_that_runs(chat: Callable[..., ChatGroundup]) -> None:
    async def cell() -> list[str]:
        model = chat(temperature=0)
        streamed = "".join([str(chunk.content) async for chunk in model.astream("To be?")])
        several = await asyncio.gather(*[model.ainvoke("To be?") for _ in range(3)])
        return [model.invoke("To be?").content, streamed, *[str(each.content) for each in several]]  # type: ignore[list-item]

    assert len(set(asyncio.run(cell()))) == 1
    assert len(set(asyncio.run(cell()))) == 1  # and in another loop


def test_an_llm_continues_a_text(models: Path) -> None:
    model = GroundupLLM(model=str(models / "tiny"), temperature=0, max_tokens=10, logprobs=1)
    whole = model.invoke("To be")
    assert (
        whole == "".join(model.stream("To be")) != ""
        and asyncio.run(model.ainvoke("To be")) == whole
    )
    result = model.generate(["To be", "Or not"])
    assert result.llm_output is not None and result.llm_output["token_usage"]["output_tokens"] == 20
    told = result.generations[0][0].generation_info or {}
    assert told["finish_reason"] == "length" and len(told["logprobs"]["content"]) == 10


def test_bad_input_is_one_sentence(
    chat: Callable[..., ChatGroundup], models: Path, tmp_path: Path
) -> None:
    for message, ask in {
        "There is no model .*nowhere": lambda: ChatGroundup(model="nowhere").invoke("Hi"),
        "does not support completion": lambda: chat("sorter").invoke("Hi"),
        "has no option 'temprature'.* Did you mean 'temperature'": lambda: chat().invoke(
            "Hi", temprature=1
        ),
        r"temperature: expected 0 .greedy. to 100": lambda: chat(temperature=1e3).invoke("Hi"),
        "'image_url' can't be read here, only text": lambda: chat().invoke(
            [
                HumanMessage(
                    [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
                )
            ]
        ),
        "exceeds the context length": lambda: chat().invoke("to be " * 5000),
        "call of a tool can't be followed": lambda: (
            chat()
            .bind_tools(
                [{**convert_to_openai_tool(weather)["function"], "parameters": BAD_SCHEMA}],
                tool_choice="any",
            )
            .invoke("Hi")
        ),
        "JSON schema can't be followed": lambda: (
            chat().with_structured_output(BAD_SCHEMA).invoke("Hi")
        ),
        "Structured output by 'guess'": lambda: chat().with_structured_output(
            Answer, method="guess"
        ),
    }.items():
        with pytest.raises(GroundupError, match=message) as raised:
            ask()
        assert "\n" not in str(raised.value), message


BAD_SCHEMA = {
    "title": "bad",
    "description": "x",
    "type": "object",
    "properties": {"x": {"$ref": "#/$defs/missing"}},
}


def test_a_model_without_a_tokenizer_is_refused_by_its_name(models: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in (models / "tiny").iterdir():
        if "tokenizer" not in file.name and file.name != "manifest.json":
            (bare / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ModelError, match="tokenizer"):
        ChatGroundup(model=str(bare)).invoke("Hi")


def test_without_the_extra_the_install_command_is_named() -> None:
    script = (
        "import sys; sys.modules['langchain_core'] = None\n"
        "from groundup.integrations import langchain\n"
        "for name in langchain.CLASSES:\n"
        "    try: getattr(langchain, name)\n"
        "    except langchain.MissingExtra as error: print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    sentence = "needs the package 'langchain-core', which is not installed. Install it with: pip install 'groundup[langchain]'"
    assert said.count(sentence) == len(langchain.CLASSES)
    with pytest.raises(AttributeError):
        langchain.ChatGroundp  # noqa: B018


def test_a_long_prompt_is_cut_where_that_is_asked_for(chat: Callable[..., ChatGroundup]) -> None:
    assert chat(truncate=True).invoke("to be " * 5000).content
    assert json.dumps(chat().settings()) == '{"max_tokens": 12, "seed": 1}'


def test_tokens_are_counted_by_the_models_own_tokenizer(chat: Callable[..., ChatGroundup]) -> None:
    asked = [SystemMessage("Brief."), HumanMessage("To be, or not to be?")]
    for model, tools in ((chat(), None), (chat().bind_tools([weather]), [weather])):
        usage = model.invoke(asked).usage_metadata
        assert usage is not None and usage["input_tokens"] == chat().get_num_tokens_from_messages(
            asked, tools
        )
    long = [HumanMessage("to be " * 5000), HumanMessage("Or not?")]
    kept = trim_messages(long, max_tokens=100, token_counter=chat(), strategy="last")
    assert [each.content for each in kept] == ["Or not?"]
    assert chat().get_num_tokens("to be") == len(chat().get_token_ids("to be")) > 0


def test_an_unknown_field_is_refused(models: Path) -> None:
    with pytest.raises(ValueError, match="temprature"):
        ChatGroundup(model="x", temprature=1)
    with pytest.raises(ConfigError, match="n: one answer"):
        ChatGroundup(model=str(models / "tiny")).invoke("Hi", n=2)
