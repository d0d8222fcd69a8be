"""Objects are closed where their properties are listed, and nothing else of a schema is changed."""

from typing import Any

import pytest

from groundup.engine.structured_output import ANY_OBJECT, OutputConstraint, close_objects

NAMED = {"properties": {"a": {"type": "string"}}}
CLOSED = {**NAMED, "additionalProperties": False}
PLACES: list[tuple[str, Any, Any]] = [
    ("at the top", NAMED, CLOSED),
    (
        "in a property",
        {"properties": {"b": NAMED}},
        {"properties": {"b": CLOSED}, "additionalProperties": False},
    ),
    ("in a list", {"items": NAMED}, {"items": CLOSED}),
    ("in a tuple", {"prefixItems": [NAMED, True]}, {"prefixItems": [CLOSED, True]}),
    ("in a choice", {"anyOf": [NAMED, {"type": "null"}]}, {"anyOf": [CLOSED, {"type": "null"}]}),
    (
        "in a definition",
        {"$ref": "#/$defs/x", "$defs": {"x": NAMED}},
        {"$ref": "#/$defs/x", "$defs": {"x": CLOSED}},
    ),
    ("in further properties", {"additionalProperties": NAMED}, {"additionalProperties": CLOSED}),
    ("as one part", {"allOf": [NAMED]}, {"allOf": [CLOSED]}),
]
OPEN: list[tuple[str, Any]] = [
    ("it says so", {**NAMED, "additionalProperties": True}),
    ("it gives their schema", {**NAMED, "additionalProperties": {"type": "string"}}),
    ("no property is listed", {"type": "object"}),
    ("parts are put together", {"allOf": [NAMED, {"properties": {"b": {}}}]}),
    (
        "parts have a name",
        {"allOf": [{"$ref": "#/$defs/x"}, {"properties": {"b": {}}}], "$defs": {"x": NAMED}},
    ),
    (
        "a choice adds to it",
        {**NAMED, "anyOf": [{"properties": {"b": {}}}, {"properties": {"c": {}}}]},
    ),
    ("it is a condition", {"not": NAMED, "if": NAMED}),
    ("it is data", {"enum": [NAMED], "const": NAMED, "default": NAMED}),
]


@pytest.mark.parametrize(
    ("given", "expected"), [each[1:] for each in PLACES], ids=[each[0] for each in PLACES]
)
def test_an_object_with_listed_properties_is_closed_wherever_it_stands(
    given: Any, expected: Any
) -> None:
    assert close_objects(given) == expected
    assert close_objects(close_objects(given)) == expected


@pytest.mark.parametrize("given", [each[1] for each in OPEN], ids=[each[0] for each in OPEN])
def test_an_object_stays_open_where(given: Any) -> None:
    assert close_objects(given) == given


def test_a_property_may_have_the_name_of_a_keyword() -> None:
    given = {
        "properties": {"properties": {"type": "string"}, "allOf": NAMED, "items": {"enum": [NAMED]}}
    }
    assert close_objects(given) == {
        "properties": {
            "properties": {"type": "string"},
            "allOf": CLOSED,
            "items": {"enum": [NAMED]},
        },
        "additionalProperties": False,
    }


def test_the_object_of_json_mode_stays_open() -> None:
    assert "additionalProperties" not in ANY_OBJECT.text
    assert '"additionalProperties": false' in OutputConstraint.schema(NAMED).text
