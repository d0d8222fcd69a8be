"""Answers kept to a JSON schema: every one of them fits, and one of a finite language ends by itself."""

import json
from typing import Any

import pytest

from groundup.device import Compute
from groundup.engine.batch import BatchEngine
from groundup.engine.grammar import ANY_OBJECT, Grammars, as_schema
from groundup.engine.request import Request
from groundup.engine.sampling import Sampling
from groundup.errors import ConfigError
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer

FINITE: list[tuple[dict[str, Any], list[str]]] = [
    ({"const": {"a": [1, None]}}, ['{"a": [1, null]}']),
    ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, ["null", "true", "false"]),
    ({"enum": ["é", 5]}, ['"é"', "5"]),
    ({"type": "array", "items": {"enum": [0]}, "minItems": 1, "maxItems": 2}, ["[0]", "[0, 0]"]),
    ({"$ref": "#/$defs/x", "$defs": {"x": {"const": "y"}}}, ['"y"']),
    (
        {"type": "object", "properties": {"k": {"enum": ["a", "b"]}}, "required": ["k"], "additionalProperties": False},
        ['{"k": "a"}', '{"k": "b"}'],
    ),
]


@pytest.fixture
def grammars(tokenizer: Tokenizer, model: LanguageModel) -> Grammars:
    return Grammars(tokenizer, model.config.vocab_size)


def answers(
    model: LanguageModel, tokenizer: Tokenizer, compute: Compute, grammars: Grammars, schema: dict[str, Any], count: int
) -> list[tuple[str, str]]:
    """(text, reason) of several answers at once, hot."""
    engine = BatchEngine(model, tokenizer, compute)
    prompt, stops = tuple(tokenizer.encode("To be")), tokenizer.special.stop_ids
    for seed in range(count):
        sampling = Sampling(temperature=3.0, seed=seed, max_tokens=40)
        engine.submit(Request(str(seed), prompt, sampling, stops, constraint=grammars.schema(schema)))
    texts, reasons = dict.fromkeys(map(str, range(count)), ""), {}
    while engine.busy:
        for id, event in engine.step():
            texts[id] += event.text  # type: ignore[union-attr]
            reasons[id] = event.finish_reason  # type: ignore[union-attr]
    return [(texts[id], reasons[id]) for id in texts]


@pytest.mark.parametrize(("schema", "language"), FINITE, ids=lambda value: json.dumps(value)[:40])
def test_an_answer_of_a_finite_language_is_one_of_its_texts_and_stops(
    model: LanguageModel,
    tokenizer: Tokenizer,
    compute: Compute,
    grammars: Grammars,
    schema: dict[str, Any],
    language: list[str],
) -> None:
    found = answers(model, tokenizer, compute, grammars, schema, 8)
    assert {text for text, _ in found} <= set(language)
    assert {reason for _, reason in found} == {"stop"}


def test_no_control_token_stands_inside_a_text(tokenizer: Tokenizer, grammars: Grammars) -> None:
    constraint = grammars.schema({"type": "string"})
    [quote] = tokenizer.encode('"')
    constraint.accept(quote)
    mask = constraint.mask()
    assert not mask[list(tokenizer.special.tokens.values())].any()
    assert mask[tokenizer.encode("a")[0]]


def test_a_schema_that_can_not_be_followed_is_refused_in_words(grammars: Grammars) -> None:
    for schema in ({"type": "nonsense"}, {"not": {}}, {"$ref": "http://127.0.0.1:9/x"}, {"type": 5}):
        with pytest.raises(ConfigError, match="JSON schema"):
            grammars.schema(schema)


def test_json_means_any_object() -> None:
    assert as_schema("json") == ANY_OBJECT
    assert as_schema({"type": "null"}) == {"type": "null"}
