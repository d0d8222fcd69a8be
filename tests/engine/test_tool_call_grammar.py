"""Answers with calls kept to their form: a call that must be made is made, and in free text what follows an opening mark is a call that fits."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import pytest

from groundup.device import Compute
from groundup.engine.batch import BatchEngine
from groundup.engine.grammar import GrammarConstraint, Grammars
from groundup.engine.request import Request
from groundup.engine.sampling import Sampling
from groundup.engine.structured_output import OutputConstraint, constraint_with_calls
from groundup.engine.tool_calls import ToolCallParser
from groundup.errors import ConfigError
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.spec import AddedToken
from groundup.tokenizer.tools import FORMATS, CallFormat, Tool

TAGGED, BARE = FORMATS["tagged"], FORMATS["bare"]


def tool(name: str, **function: Any) -> Tool:
    return {"type": "function", "function": {"name": name, **function}}


CITY = {"type": "object", "properties": {"city": {"$ref": "#/$defs/city"}}, "required": ["city"]}
TOOLS = (
    tool("weather", parameters={**CITY, "$defs": {"city": {"enum": ["Ulm", "Paris"]}}}),
    tool('say "é"'),
)


def written(format: CallFormat, name: str, arguments: str) -> str:
    before, after = format.around(name)
    return f"{format.opening}{before}{arguments}{after}{format.closing}"


GOOD = {
    format: [written(format, "weather", '{"city": "Ulm"}'), written(format, 'say "é"', "{}")]
    for format in (TAGGED, BARE)
}
BAD = {
    format: [
        written(format, "weather", "{}"),
        written(format, "weather", '{"city": "Rome"}'),
        written(format, "weather", '{"city": "Ulm", "x": 1}'),
        written(format, "rain", "{}"),
        GOOD[format][0][:-2],
    ]
    for format in (TAGGED, BARE)
}


@pytest.fixture
def grammars(tokenizer: Tokenizer, model: LanguageModel) -> Grammars:
    return Grammars(tokenizer, model.config.vocab_size)


def takes(constraint: GrammarConstraint, tokenizer: Tokenizer, ids: Sequence[int]) -> bool:
    """May an answer be these ids, and then end?"""
    for id in ids:
        if constraint.finished or not constraint.mask()[id]:
            return False
        constraint.accept(id)
    return constraint.finished or bool(constraint.mask()[tokenizer.special.eos_id])


@pytest.mark.parametrize("format", [TAGGED, BARE], ids=lambda format: format.name)
def test_a_call_that_must_be_made_is_one_of_those_that_fit(
    tokenizer: Tokenizer, grammars: Grammars, format: CallFormat
) -> None:
    def may(text: str, **wanted: Any) -> bool:
        form = constraint_with_calls(format, TOOLS, **wanted)
        assert form is not None
        return takes(grammars.constraint(form), tokenizer, tokenizer.encode(text))

    any_of_them = ("weather", 'say "é"')
    assert all(may(text, must_call=any_of_them) for text in GOOD[format])
    assert not any(
        may(text, must_call=any_of_them)
        for text in [*BAD[format], "", "It rains.", "It rains.\n" + GOOD[format][0]]
    )
    assert may(GOOD[format][0], must_call=("weather",)) and not may(
        GOOD[format][1], must_call=("weather",)
    )
    both = "\n".join(GOOD[format])
    assert may(both, must_call=any_of_them) == format.several
    assert not may(both, must_call=any_of_them, one_call=True)
    answer = OutputConstraint.schema({"type": "boolean"})
    assert may("true", answer=answer) and may(GOOD[format][0], answer=answer)
    assert not may("It rains.", answer=answer) and not may(
        "true", answer=answer, must_call=("weather",)
    )


def test_in_free_text_only_what_follows_an_opening_is_kept_to_a_form(
    tokenizer: Tokenizer, grammars: Grammars
) -> None:
    def may(text: str, **wanted: Any) -> bool:
        form = constraint_with_calls(TAGGED, TOOLS, **wanted)
        assert form is not None
        return takes(grammars.constraint(form), tokenizer, tokenizer.encode(text))

    first, second = GOOD[TAGGED]
    for text in (
        "",
        "It rains.",
        "a <tool_cal",
        first,
        f"I look.\n{first}\n{second} So.",
        '{"name": "weather"}',
    ):
        assert may(text), text
    assert not any(may(f"I look. {text}") for text in BAD[TAGGED])
    assert may(f"a {first} b", one_call=True) and not may(f"{first}\n{second}", one_call=True)
    assert constraint_with_calls(BARE, TOOLS) is None


def test_marks_that_are_control_tokens_are_these_tokens(tokenizer: Tokenizer) -> None:
    marks = {"<|reserved_0|>": TAGGED.opening, "<|reserved_1|>": TAGGED.closing}
    added = {
        id: AddedToken(marks.get(each.text, each.text), each.control)
        for id, each in tokenizer.table.added.items()
    }
    hermes = Tokenizer(dataclasses.replace(tokenizer.table, added=added), tokenizer.config())
    grammars = Grammars(hermes, hermes.vocab_size)
    for wanted in ({}, {"must_call": ("weather",)}):
        form = constraint_with_calls(TAGGED, TOOLS, control=hermes.special.tokens, **wanted)  # type: ignore[arg-type]
        assert form is not None
        said = "" if wanted else "I look."
        ids = hermes.encode_control(said + GOOD[TAGGED][0])
        assert hermes.special.tokens[TAGGED.opening] in ids
        assert takes(grammars.constraint(form), hermes, ids)
        assert not takes(
            grammars.constraint(form), hermes, hermes.encode_control(said + BAD[TAGGED][0])
        )


def test_a_tools_schema_is_followed_as_far_as_it_can_be(
    tokenizer: Tokenizer, grammars: Grammars
) -> None:
    def may(parameters: dict[str, Any], arguments: str) -> bool:
        form = constraint_with_calls(BARE, [tool("f", parameters=parameters)], must_call=["f"])
        assert form is not None
        return takes(
            grammars.constraint(form), tokenizer, tokenizer.encode(written(BARE, "f", arguments))
        )

    odd = {"properties": {"x": {"type": "string", "format": "of-our-own", "not": {"const": "a"}}}}
    assert may(odd, '{"x": "a"}') and not may(odd, '{"y": 1}') and not may(odd, "5")
    assert may({"type": "object"}, '{"y": [1]}') and may({}, "{}") and not may({}, '{"y": 1}')
    with pytest.raises(ConfigError, match="call of a tool can't be followed"):
        may({"type": "nonsense"}, "{}")


@pytest.mark.parametrize("format", [TAGGED, BARE], ids=lambda format: format.name)
def test_a_random_model_that_must_call_calls_and_stops(
    model: LanguageModel,
    tokenizer: Tokenizer,
    compute: Compute,
    grammars: Grammars,
    format: CallFormat,
) -> None:
    longer = LanguageModel(dataclasses.replace(model.config, context_tokens=256))
    longer.load_state_dict(model.state_dict())
    engine = BatchEngine(longer.eval(), tokenizer, compute)
    form = constraint_with_calls(format, TOOLS, must_call=["weather"], one_call=True)
    assert form is not None
    prompt, stops = tuple(tokenizer.encode("To be")), tokenizer.special.stop_ids
    for seed in range(4):
        sampling = Sampling(temperature=3.0, seed=seed, max_tokens=120)
        engine.submit(
            Request(str(seed), prompt, sampling, stops, constraint=grammars.constraint(form))
        )
    splitters = {str(seed): ToolCallParser(format, ["weather"]) for seed in range(4)}
    called = []
    while engine.busy:
        for id, event in engine.step():
            parted = splitters[id].push(event.text)  # type: ignore[union-attr]
            assert parted.text == ""
            called += [json.dumps(call.arguments) for call in parted.calls]
            assert event.finish_reason in (None, "stop")  # type: ignore[union-attr]
    assert len(called) == 4 and set(called) <= {'{"city": "Ulm"}', '{"city": "Paris"}'}
