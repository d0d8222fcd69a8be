"""Calls parted from text: none leaks, none is lost, and what is no call comes back to the letter, wherever the pieces are cut."""

import itertools
import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.engine.tool_calls import ToolCallParser
from groundup.tokenizer.tools import FORMATS, CallFormat, ToolCall

TAGGED, BARE = FORMATS["tagged"], FORMATS["bare"]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
HARD = st.sampled_from(
    ['"', "\\", "}", "{", "]", "</tool_call>", "<tool_call>", "<tool", "\n", "é"]
)
CALLS = st.builds(
    ToolCall,
    st.sampled_from(["f", "g", 'h"\\']),
    st.dictionaries(st.text(), JSON | st.lists(HARD, max_size=5).map("".join), max_size=3),
)
# Words that are no space at either end and that hold no opening.
WORDS = st.lists(
    st.sampled_from(["a", "{}", "<", "<tool_cal", "<<tool_", ">", "é", '{"name": 1}', "b c"]),
    min_size=1,
)
FRAGMENTS = [
    "<tool_call>",
    "</tool_call>",
    '{"name": "f"',
    ', "arguments": {',
    "}",
    '"',
    "\\",
    "\n",
    " ",
    "x",
    "<tool",
    "```json",
    "```",
    "[",
    "]",
    ";",
]


def write(format: CallFormat, call: ToolCall) -> str:
    before, after = format.around(call.name)
    return (
        format.opening
        + before
        + json.dumps(call.arguments, ensure_ascii=False)
        + after
        + format.closing
    )


def part(format: CallFormat, pieces: Sequence[str]) -> tuple[str, list[ToolCall]]:
    splitter = ToolCallParser(format, ["f", "g", 'h"\\'])
    found = [*map(splitter.push, pieces), splitter.finish()]
    return "".join(each.text for each in found), [call for each in found for call in each.calls]


def cut(text: str, places: Sequence[int]) -> list[str]:
    bounds = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(bounds)]


PLACES = st.lists(st.integers(0, 10_000), max_size=12)


@given(
    st.lists(st.tuples(WORDS.map("".join), st.lists(CALLS, min_size=1, max_size=2)), max_size=3),
    WORDS,
    PLACES,
)
def test_calls_between_words_are_found_and_the_words_are_left(
    parts: list[tuple[str, list[ToolCall]]], last: list[str], places: list[int]
) -> None:
    text = "".join(
        words + "".join("\n" + write(TAGGED, call) for call in calls) for words, calls in parts
    )
    said, calls = part(TAGGED, cut(text + "".join(last), places))
    assert said == "".join(words for words, _ in parts) + "".join(last)
    assert calls == [call for _, several in parts for call in several]


@given(st.lists(CALLS, min_size=1, max_size=3), st.sampled_from(["; ", "\n", "", ";"]), PLACES)
def test_bare_calls_are_an_answer_of_their_own(
    calls: list[ToolCall], between: str, places: list[int]
) -> None:
    text = between.join(write(BARE, call) for call in calls)
    assert part(BARE, cut(f"\n{text}{between}", places)) == ("", calls)
    assert part(BARE, cut(f"{text} and so on", places)) == (" and so on", calls)
    assert part(BARE, cut(f"Look: {text}", places)) == (f"Look: {text}", [])


@pytest.mark.parametrize("format", FORMATS.values(), ids=lambda format: format.name)
@given(pieces=st.lists(st.sampled_from(FRAGMENTS), max_size=20), places=PLACES)
def test_where_the_pieces_are_cut_changes_nothing_and_what_is_no_call_is_text(
    format: CallFormat, pieces: list[str], places: list[int]
) -> None:
    text = "".join(pieces)
    whole = part(format, [text])
    assert part(format, cut(text, places)) == part(format, list(text)) == whole
    assert whole[1] or whole[0] == text


@given(CALLS, st.sampled_from([TAGGED, BARE]), st.data())
def test_an_unfinished_call_is_text(
    call: ToolCall, format: CallFormat, data: st.DataObject
) -> None:
    written = write(format, call)
    begun = written[: data.draw(st.integers(0, len(written) - 1))]
    assert part(format, list(begun)) == (begun, [])


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>\nweather\n</tool_call>",
        '<tool_call>{"arguments": {}}</tool_call>',
        '<tool_call>{"name": "", "arguments": {}}</tool_call>',
        '<tool_call>{"name": 5, "arguments": {}}</tool_call>',
        '<tool_call>{"name": "f", "arguments": "x"}</tool_call>',
        '<tool_call>{"name": "f", "arguments": {"x": NaN}}</tool_call>',
        '<tool_call>{"name": "f", "arguments": {"x": 1e999}}</tool_call>',
        '<tool_call>{"name": "f", "arguments": {}</tool_call>',
        '<tool_call>{"name": "f", "arguments": {}} </tool>',
        "<tool_call>[]</tool_call>",
        '<tool_call>[{"name": "f"}, 5]</tool_call>',
        '<tool_call>{"name": "f", "arguments": {"x": ' + "[" * 63 + "]" * 63 + "}}</tool_call>",
        "<tool_call>" + "[" * 20_000 + "]" * 20_000 + "</tool_call>",
    ],
    ids=lambda text: text[:60],
)
def test_a_malformed_call_is_text(text: str) -> None:
    assert part(TAGGED, [text]) == (text, [])


def test_a_call_after_a_malformed_one_is_found() -> None:
    call = ToolCall("f", {"x": 1})
    assert part(TAGGED, ["<tool_call>" + write(TAGGED, call)]) == ("<tool_call>", [call])
    assert part(TAGGED, ['<tool_call>{"x": 1}\n' + write(TAGGED, call)]) == (
        '<tool_call>{"x": 1}\n',
        [call],
    )


def test_what_models_write_besides_is_read_too() -> None:
    several = '<tool_call>[{"name": "f", "arguments": {"x": 1}}, {"parameters": {}, "name": "g"}]</tool_call>'
    assert part(TAGGED, [several]) == ("", [ToolCall("f", {"x": 1}), ToolCall("g")])
    assert part(TAGGED, ['<tool_call>{"name": "f"}</tool_call>\n']) == ("", [ToolCall("f")])
    assert part(TAGGED, ['<tool_call>{"name": "f", "arguments": {"code": "a\nb"}}</tool_call>'])[
        1
    ] == [ToolCall("f", {"code": "a\nb"})]
    assert part(TAGGED, [write(TAGGED, ToolCall("unknown"))]) == ("", [ToolCall("unknown")])


def test_json_without_marks_is_a_call_only_of_a_tool_that_was_given() -> None:
    text = '{"name": "Anna", "parameters": {"age": 7}}'
    assert part(BARE, list(text)) == (text, [])
    assert part(BARE, ['{"age": 7} it is']) == ('{"age": 7} it is', [])


def test_text_is_said_as_soon_as_it_can_not_be_a_call() -> None:
    splitter = ToolCallParser(TAGGED, ["f"])
    assert [splitter.push(piece).text for piece in ("It", " rains", ". ", "<", "tool_", "x")] == [
        "It", " rains", ".", "", "", " <tool_x"
    ]  # fmt: skip
    assert ToolCallParser(BARE, ["f"]).push("It").text == "It"


@given(st.lists(CALLS, min_size=1, max_size=2), st.lists(st.integers(0, 500)))
def test_a_fence_of_code_whose_json_is_a_call_of_a_known_tool_is_a_call(
    calls: list[ToolCall], places: list[int]
) -> None:
    """As Qwen2.5-Coder answers where its template asks for <tool_call>."""
    objects = [{"name": each.name, "arguments": dict(each.arguments)} for each in calls]
    whole = objects if len(objects) > 1 else objects[0]
    fence = f"```json\n{json.dumps(whole, indent=2)}\n```"
    text, found = part(TAGGED, cut(f"Let me see.\n\n{fence}", places))
    assert (text, found) == ("Let me see.", calls)
    text, found = part(BARE, cut(f"Let me see.\n\n{fence}", places))
    assert (text, found) == (f"Let me see.\n\n{fence}", []), "of another format"


@given(st.lists(st.integers(0, 500)))
def test_a_fence_with_anything_else_is_text(places: list[int]) -> None:
    for inside in ('{"name": "unknown", "arguments": {}}', '{"a": 1}', "[1, 2]", "not JSON", ""):
        shown = f"So:\n```json\n{inside}\n```\nDone. ```python\nx\n```"
        assert part(TAGGED, cut(shown, places)) == (shown, [])
    cut_off = '```json\n{"name": "f", "arguments": {"x"'
    assert part(TAGGED, cut(cut_off, places)) == (cut_off, [])
