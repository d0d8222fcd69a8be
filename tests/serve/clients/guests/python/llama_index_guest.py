"""`llama-index`: its classes for Ollama and for OpenAI-like servers, language models and embeddings."""

import asyncio
import json
import os

import pytest
from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.llms import ChatMessage
from llama_index.embeddings.ollama import OllamaEmbedding
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.ollama import Ollama
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

ADDRESS = os.environ["GROUNDUP_ADDRESS"]
HELLO = [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content="Hello")]
SAID = "Good day to you."


def llms(name: str) -> dict:
    openai = {
        "api_base": f"{ADDRESS}/v1",
        "api_key": "any",
        "is_chat_model": True,
        "is_function_calling_model": True,
    }
    return {
        "ollama": Ollama(model=name, base_url=ADDRESS, temperature=0, context_window=4096),
        "openai": OpenAILike(model=name, temperature=0, context_window=4096, **openai),
    }


EMBEDDINGS: dict[str, BaseEmbedding] = {
    "ollama": OllamaEmbedding("greeter", base_url=ADDRESS),
    "openai": OpenAILikeEmbedding("greeter", api_base=f"{ADDRESS}/v1", api_key="any"),
}


@pytest.mark.parametrize("way", ["ollama", "openai"])
def test_chat_and_complete_whole_streamed_and_asynchronous(way: str) -> None:
    llm = llms("greeter")[way]
    assert llm.chat(HELLO).message.content == SAID
    assert llm.complete("Hello").text == SAID
    assert [*llm.stream_chat(HELLO)][-1].message.content == SAID
    assert [*llm.stream_complete("Hello")][-1].text == SAID
    assert asyncio.run(llm.achat(HELLO)).message.content == SAID


class Weather(BaseModel):
    """The weather in a city."""

    city: str
    degrees: int


def test_objects_of_a_class() -> None:
    found = llms("clerk")["ollama"].as_structured_llm(Weather).complete("Weather?").raw
    assert found == Weather(city="Ulm", degrees=21)


def test_a_tool_is_called() -> None:
    from llama_index.core.tools import FunctionTool

    def weather(city: str) -> str:
        """The weather in a city."""
        return f"sunny in {city}"

    tool = FunctionTool.from_defaults(weather)
    for llm in llms("helper").values():
        answer = llm.chat_with_tools([tool], user_msg="How is the weather?")
        [call] = llm.get_tool_calls_from_response(answer)
        assert (call.tool_name, call.tool_kwargs) == ("weather", {"city": "Ulm"})


def test_embeddings_of_both_are_the_same() -> None:
    ollama, openai = (each.get_text_embedding("Hello") for each in EMBEDDINGS.values())
    assert len(ollama) == 64 and ollama == pytest.approx(openai, abs=1e-5)
    assert len(EMBEDDINGS["ollama"].get_text_embedding_batch(["Hello", "Good day"])) == 2


@pytest.mark.parametrize("way", ["ollama", "openai"])
def test_a_query_over_an_index_of_vectors(way: str) -> None:
    Settings.embed_model, Settings.llm = EMBEDDINGS[way], llms("greeter")[way]
    index = VectorStoreIndex.from_documents(
        [Document(text="To be, or not to be."), Document(text="Good day.")]
    )
    answer = index.as_query_engine(similarity_top_k=1).query("Good day.")
    assert str(answer) == SAID and answer.source_nodes[0].node.get_content() == "Good day."
    assert json.dumps(answer.metadata)
