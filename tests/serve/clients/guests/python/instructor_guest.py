"""`instructor`: objects of a pydantic class, by JSON and by a forced call of a tool, in chat completions and in responses."""

import os
from typing import Literal

import instructor
import openai
import pytest
from pydantic import BaseModel

ADDRESS = os.environ["GROUNDUP_ADDRESS"]
ASKED = [{"role": "user", "content": "Weather?"}]


class Weather(BaseModel):
    """The weather in a city."""

    city: str
    degrees: int


class Mood(BaseModel):
    """A mood."""

    mood: Literal["sad", "glad"]
    sure: bool


def client(mode: instructor.Mode):
    return instructor.from_openai(openai.OpenAI(base_url=f"{ADDRESS}/v1", api_key="any"), mode=mode)


def test_json_mode_gives_what_the_model_says() -> None:
    found = client(instructor.Mode.JSON).create(
        model="clerk", messages=ASKED, response_model=Weather, temperature=0
    )
    assert (found.city, found.degrees) == ("Ulm", 21)


def test_the_object_of_a_call_in_a_response() -> None:
    for _ in range(3):
        found = client(instructor.Mode.RESPONSES_TOOLS).create(
            model="chatty", messages=ASKED, response_model=Mood, max_retries=0
        )
        assert found.mood in ("sad", "glad") and isinstance(found.sure, bool)


def test_the_object_of_a_call_in_a_streamed_response() -> None:
    asked = {"model": "chatty", "messages": ASKED, "response_model": Mood}
    parts = list(client(instructor.Mode.RESPONSES_TOOLS).create_partial(**asked))
    assert parts[-1].mood in ("sad", "glad") and isinstance(parts[-1].sure, bool)


@pytest.mark.parametrize("mode", [instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA])
def test_an_object_fits_whatever_the_model_knows(mode: instructor.Mode) -> None:
    for seed in range(3):
        found = client(mode).create(
            model="chatty", messages=ASKED, response_model=Mood, seed=seed, max_retries=0
        )
        assert found.mood in ("sad", "glad")


def test_tool_mode_streamed() -> None:
    parts = list(
        client(instructor.Mode.TOOLS).create_partial(
            model="chatty", messages=ASKED, response_model=Mood, seed=1
        )
    )
    assert parts[-1].mood in ("sad", "glad") and isinstance(parts[-1].sure, bool)


def test_several_objects_of_one_answer() -> None:
    class Moods(BaseModel):
        first: Mood
        second: Mood

    found = client(instructor.Mode.TOOLS).create(
        model="chatty", messages=ASKED, response_model=Moods, max_retries=0
    )
    assert found.first.mood in ("sad", "glad") and isinstance(found.second.sure, bool)
