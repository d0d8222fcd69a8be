"""A real small model behind the official clients. Needs the model that `groundup pull smollm2-135m-instruct` fetches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lazy_module import LazyModule

ollama = LazyModule("ollama")
openai = LazyModule("openai")

pytestmark = pytest.mark.network
NAME = "smollm2-135m-instruct"
CAPITAL: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def real(serve: Callable[..., Any]) -> Any:
    return serve(NAME)


@pytest.fixture(scope="module")
def client(real: Any) -> Iterator[ollama.Client]:
    with ollama.Client(host=real.address) as opened:
        yield opened


def test_it_knows_the_capital_of_france_in_both_dialects(client: ollama.Client, real: Any) -> None:
    said = client.chat(NAME, CAPITAL, options={"temperature": 0, "num_predict": 40})
    assert "Paris" in (said.message.content or "")
    assert said.done_reason == "stop"
    with openai.OpenAI(base_url=f"{real.address}/v1", api_key="any") as other:
        same = other.chat.completions.create(
            model=NAME, messages=CAPITAL, temperature=0, max_tokens=40
        )
        assert same.choices[0].message.content == said.message.content


def test_it_fills_in_a_schema(client: ollama.Client) -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"enum": ["Rome", "Paris", "Berlin"]},
            "country": {"const": "France"},
        },
        "required": ["city", "country"],
        "additionalProperties": False,
    }
    said = client.chat(NAME, CAPITAL, format=schema, options={"temperature": 0})
    assert json.loads(said.message.content or "") == {"city": "Paris", "country": "France"}


def test_near_texts_have_near_vectors(client: ollama.Client) -> None:
    cat, kitten, tax = client.embed(
        NAME, ["The cat sleeps.", "A kitten is asleep.", "Tax is due in April."]
    ).embeddings

    def product(left: Any, right: Any) -> float:
        return sum(x * y for x, y in zip(left, right, strict=True))

    assert product(cat, kitten) > product(cat, tax)
