"""A JSON schema -> the same with closed objects: further properties only where
`additionalProperties` allows them.

JSON Schema itself leaves objects open, but an answer of a model that may add properties adds them
without end. OpenAI's strict mode and llama.cpp's converter close them, too. An object without
`properties` stays open, as there `{}` would be the only answer. Also open stay objects that are put
together from several schemas (`allOf`, or `properties` beside `anyOf`, `oneOf` or `$ref`): each
would exclude the properties of the others.
"""

from collections.abc import Iterator, Mapping
from typing import Any

# Keys of a schema whose value is a schema, a list of schemas, or a table of schemas. `not`, `if` and
# the like are conditions and stay as they are.
_ONE = ("items", "additionalItems", "additionalProperties")
_SEVERAL = ("prefixItems", "items", "anyOf", "oneOf", "allOf")
_TABLES = ("properties", "patternProperties", "$defs", "definitions")
_CHOICES = ("anyOf", "oneOf", "$ref")
_SAYS = ("additionalProperties", "unevaluatedProperties")


def close_objects(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema with every object closed whose properties it lists.

    >>> close_objects({"properties": {"a": {"type": "object"}}})
    {'properties': {'a': {'type': 'object'}}, 'additionalProperties': False}
    """
    closed: dict[str, Any] = _close(
        schema, frozenset(_joined_refs(schema)), is_part=False, place="#"
    )
    return closed


def _close(schema: Any, joined: frozenset[str], *, is_part: bool, place: str = "") -> Any:
    """Close the objects of a part of a schema. `joined`: the places that `$ref`s within a joined
    object name; `is_part`: this schema is a part of one, at `place`.
    """
    if not isinstance(schema, Mapping):
        return schema
    closed = dict(schema)
    joins = is_part or place in joined or _joins(schema)
    for name, value in schema.items():
        part = joins and name in ("allOf", "anyOf", "oneOf")
        if name in _TABLES and isinstance(value, Mapping):
            closed[name] = {
                key: _close(each, joined, is_part=False, place=f"{place}/{name}/{key}")
                for key, each in value.items()
            }
        elif name in _SEVERAL and isinstance(value, list):
            closed[name] = [_close(each, joined, is_part=part) for each in value]
        elif name in _ONE:
            closed[name] = _close(value, joined, is_part=False)
    if "properties" in schema and not joins and not any(name in schema for name in _SAYS):
        closed["additionalProperties"] = False
    return closed


def _joins(schema: Mapping[str, Any]) -> bool:
    """Whether an object is put together from several schemas."""
    parts = schema.get("allOf")
    several = isinstance(parts, list) and len(parts) + ("properties" in schema) > 1
    return several or ("properties" in schema and any(name in schema for name in _CHOICES))


def _joined_refs(schema: Any, *, is_part: bool = False) -> Iterator[str]:
    """Yield the `$ref`s of parts of joined objects."""
    if isinstance(schema, list):
        for each in schema:
            yield from _joined_refs(each, is_part=is_part)
    elif isinstance(schema, Mapping):
        joins = is_part or _joins(schema)
        if joins and isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for name, value in schema.items():
            yield from _joined_refs(value, is_part=joins and name in ("allOf", "anyOf", "oneOf"))
