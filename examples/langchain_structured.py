"""Structured output into pydantic classes: no other text can be written, so that even a very small model fills them.

python examples/langchain_structured.py smollm2-135m-instruct "Ada Lovelace, born 1815, wrote the first program."
"""

import sys
from typing import Literal

from pydantic import BaseModel, Field

from groundup.integrations.langchain import ChatGroundup


class Work(BaseModel):
    """Something that a person made."""

    kind: Literal["program", "book", "song"]
    title: str = Field(max_length=40)


class Person(BaseModel):
    """A person in a text."""

    name: str = Field(max_length=40)
    born: int = Field(ge=1000, le=2100)
    works: list[Work] = Field(min_length=1, max_length=2)


def main() -> None:
    path, text = sys.argv[1:]
    model = ChatGroundup(model=path, temperature=0, seed=1)
    person = model.with_structured_output(Person).invoke(f"Who is this?\n\n{text}")
    assert isinstance(person, Person)
    print(person)

    # The same by a forced call of a tool, with the model's message beside it.
    answer = model.with_structured_output(
        Person, method="function_calling", include_raw=True
    ).invoke(text)
    print(answer["parsed"], answer["raw"].usage_metadata)


if __name__ == "__main__":
    main()
