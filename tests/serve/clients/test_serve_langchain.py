"""LangChain's chat models, language models and embeddings, unchanged, against a real server."""

import gc
from collections.abc import Iterator
from typing import Any, Literal

import pydantic
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from lazy_module import LazyModule

langchain_ollama = LazyModule("langchain_ollama")
langchain_openai = LazyModule("langchain_openai")

# LangChain closes none of its connections.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
TURNS = [SystemMessage("Be brief."), HumanMessage("To be")]
TOOL_TURNS = [
    HumanMessage("weather?"),
    AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Ulm"}, "id": "1"}]),
    ToolMessage("sunny", tool_call_id="1", name="weather"),
    HumanMessage("Thanks."),
]


@pytest.fixture(scope="module", autouse=True)
def nothing_left_open() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def chats(address: str) -> dict[str, Any]:
    return {
        "ollama": langchain_ollama.ChatOllama(
            model="tiny", base_url=address, seed=3, num_predict=10
        ),
        "openai": langchain_openai.ChatOpenAI(
            model="tiny",
            base_url=f"{address}/v1",
            api_key="any",
            seed=3,
            max_tokens=10,
            max_retries=0,
        ),
    }


@pytest.mark.parametrize("kind", ["ollama", "openai"])
def test_a_chat_model_answers_streams_and_counts(chats: dict[str, Any], kind: str) -> None:
    chat = chats[kind]
    whole = chat.invoke(TURNS)
    assert whole.content
    assert whole.usage_metadata["output_tokens"] == 10
    assert "".join(piece.content for piece in chat.stream(TURNS)) == whole.content


@pytest.mark.parametrize("kind", ["ollama", "openai"])
def test_tool_turns_of_a_history_are_accepted(chats: dict[str, Any], kind: str) -> None:
    assert chats[kind].invoke(TOOL_TURNS).content


@pytest.mark.parametrize("kind", ["ollama", "openai"])
def test_tools_are_refused_in_words(chats: dict[str, Any], kind: str) -> None:
    def weather(city: str) -> str:
        """The weather in a city."""
        return city

    with pytest.raises(Exception, match="does not support tools"):
        chats[kind].bind_tools([weather]).invoke("weather?")


class Verdict(pydantic.BaseModel):
    """Whether a message is spam."""

    spam: bool
    kind: Literal["prize", "invoice"]


@pytest.mark.parametrize("kind", ["ollama", "openai"])
def test_structured_output_is_of_the_class(address: str, kind: str) -> None:
    chat: Any = (
        langchain_ollama.ChatOllama(model="tiny", base_url=address, seed=3)
        if kind == "ollama"
        else langchain_openai.ChatOpenAI(
            model="tiny", base_url=f"{address}/v1", api_key="any", seed=3
        )
    )
    assert isinstance(
        chat.with_structured_output(Verdict, method="json_schema").invoke("Spam?"), Verdict
    )


def test_plain_language_models_go_on_with_a_text(address: str) -> None:
    ollama = langchain_ollama.OllamaLLM(
        model="tiny", base_url=address, seed=3, num_predict=8, stop=["zzz"]
    )
    assert ollama.invoke("To be")
    openai = langchain_openai.OpenAI(
        model="tiny", base_url=f"{address}/v1", api_key="any", seed=3, max_tokens=8
    )
    assert openai.invoke("To be") == "".join(openai.stream("To be")) != ""


def test_embeddings_of_both_agree(address: str) -> None:
    ollama = langchain_ollama.OllamaEmbeddings(model="tiny", base_url=address)
    openai = langchain_openai.OpenAIEmbeddings(
        model="tiny", base_url=f"{address}/v1", api_key="any", check_embedding_ctx_length=False
    )
    one, other = (
        ollama.embed_documents(["to be", "or not"]),
        openai.embed_documents(["to be", "or not"]),
    )
    for left, right in zip(one, other, strict=True):
        assert left == pytest.approx(right, abs=1e-5)
    assert ollama.embed_query("to be") == pytest.approx(one[0], abs=1e-5)
