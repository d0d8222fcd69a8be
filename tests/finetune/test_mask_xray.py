"""The loss mask of every format of conversations, as golden pieces; what it lacks is counted, and what trains nothing refused."""

import json
from pathlib import Path

import pytest

from groundup.data.documents import ConversationExample, to_conversation
from groundup.data.reading.data import Data
from groundup.data.reading.examples import read_chat
from groundup.errors import DataError, ModelError
from groundup.finetune.instruction_data import (
    MaskXray,
    Piece,
    make_instruction_data,
    pieces,
    render_to_learn,
    what_they_teach,
)
from groundup.tokenizer.chat import Conversation, Message, Rendered
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.special import CHATML_TEMPLATE, our_special_tokens_config

TOOLS = (Path(__file__).parents[1] / "tool_templates" / "tagged.jinja").read_text()
WITHOUT_EARLIER_THOUGHTS = (
    "{% for message in messages %}{% set content = message.content %}"
    "{% if message.role == 'assistant' %}{% set content = content.split('</think>')[-1] %}{% endif %}"
    "{{ '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}{% endfor %}"
)
START, END = "<|im_start|>", "<|im_end|>"


def with_template(tokenizer: Tokenizer, template: str) -> Tokenizer:
    return Tokenizer(tokenizer.table, {**our_special_tokens_config(), "chat_template": template})


def masked(row: dict[str, object], tokenizer: Tokenizer, folder: Path) -> tuple[Piece, ...]:
    """The pieces of the one row of a file, as `finetune chat` reads it."""
    (folder / "a.jsonl").write_text(json.dumps(row) + "\n")
    (example,) = read_chat(Data(folder / "a.jsonl"))
    return pieces(render_to_learn(to_conversation(example), tokenizer), tokenizer)


def asked(text: str) -> list[Piece]:
    return [("template", f"{START}user\n"), ("read only", text)]


def said(text: str) -> list[Piece]:
    return [("template", f"{END}\n{START}assistant\n"), ("trained", f"{text}{END}")]


ONE_TURN: list[Piece] = [*asked("2+2?"), *said("4"), ("template", "\n")]
TWO_TURNS: list[Piece] = [
    ("template", f"{START}system\n"),
    ("read only", "Be brief."),
    ("template", f"{END}\n{START}user\n"),
    ("read only", "2+2?"),
    *said("4"),
    ("template", f"\n{START}user\n"),
    ("read only", "And 3?"),
    *said("5 <|im_end|>"),
    ("template", "\n"),
]
MESSAGES = [("system", "Be brief."), ("user", "2+2?"), ("assistant", "4"), ("user", "And 3?"), ("assistant", "5 <|im_end|>")]  # fmt: skip
SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}
FORMATS: dict[str, tuple[dict[str, object], list[Piece]]] = {
    "alpaca": ({"instruction": "2+2?", "input": "", "output": "4"}, ONE_TURN),
    "alpaca with input": (
        {"instruction": "Add.", "input": "2, 2", "output": "4"},
        [*asked("Add.\n\n2, 2"), *said("4"), ("template", "\n")],
    ),
    "prompt and completion": ({"prompt": "2+2?", "completion": "4"}, ONE_TURN),
    "alpaca with history": (
        {
            "instruction": "And 3?",
            "input": "",
            "output": "5 <|im_end|>",
            "system": "Be brief.",
            "history": [["2+2?", "4"]],
        },
        TWO_TURNS,
    ),
    "messages": (
        {"messages": [{"role": role, "content": text} for role, text in MESSAGES]},
        TWO_TURNS,
    ),
    "sharegpt": (
        {"conversations": [{"from": SHAREGPT[role], "value": text} for role, text in MESSAGES]},
        TWO_TURNS,
    ),
    "sharegpt with its system": (
        {
            "system": "Be brief.",
            "conversations": [
                {"from": SHAREGPT[role], "value": text} for role, text in MESSAGES[1:]
            ],
        },
        TWO_TURNS,
    ),
    "completion of messages": (
        {
            "prompt": [{"role": role, "content": text} for role, text in MESSAGES[:4]],
            "completion": [{"role": "assistant", "content": "5 <|im_end|>"}],
        },
        TWO_TURNS,
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_its_golden_mask(name: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    row, expected = FORMATS[name]
    assert list(masked(row, tokenizer, tmp_path)) == expected
    assert list(masked(row, with_template(tokenizer, CHATML_TEMPLATE), tmp_path)) == expected


WEATHER = {
    "name": "weather",
    "description": "Of a place.",
    "parameters": {"type": "object", "properties": {}},
}
CALL = '\n<tool_call>\n{"name": "weather", "arguments": {"city": "Bern"}}\n</tool_call>'
TOOL_ROWS: dict[str, dict[str, object]] = {
    "openai": {
        "messages": [
            {"role": "user", "content": "Rain?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city": "Bern"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "1", "name": "weather", "content": "Rain."},
            {"role": "assistant", "content": "Yes."},
        ],
        "tools": [{"type": "function", "function": WEATHER}],
    },
    "sharegpt": {
        "conversations": [
            {"from": "human", "value": "Rain?"},
            {
                "from": "function_call",
                "value": '{"name": "weather", "arguments": {"city": "Bern"}}',
            },
            {"from": "observation", "value": "Rain."},
            {"from": "gpt", "value": "Yes."},
        ],
        "tools": json.dumps([WEATHER]),
    },
}


@pytest.mark.parametrize("name", TOOL_ROWS)
def test_tool_calls_are_trained_and_what_tools_say_is_read(
    name: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    found = masked(TOOL_ROWS[name], with_template(tokenizer, TOOLS), tmp_path)
    assert [text for kind, text in found if kind == "trained"] == [f"{CALL[1:]}{END}", f"Yes.{END}"]
    assert [text for kind, text in found if kind == "read only"] == ["Rain?", "Rain."]
    assert '"weather"' in found[0][1], "the tools stand before the first turn"
    with pytest.raises(ModelError, match="chat template does not write them"):
        masked(TOOL_ROWS[name], tokenizer, tmp_path)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (
            {
                "messages": [
                    {"role": "user", "content": "x"},
                    {"role": "assistant", "tool_calls": [{"id": "1"}]},
                ]
            },
            "name",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "x", "tool_calls": [{"function": {"name": "f"}}]}
                ]
            },
            "is the user's",
        ),
        (
            {
                "messages": [
                    {"role": "narrator", "content": "x"},
                    {"role": "assistant", "content": "y"},
                ]
            },
            "'narrator'",
        ),
    ],
)
def test_a_turn_that_is_none_is_one_sentence(
    row: dict[str, object], why: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=why):
        masked(row, tokenizer, tmp_path)


def talk(*texts: str) -> Conversation:
    turns = [
        Message("assistant" if place % 2 else "user", text) for place, text in enumerate(texts)
    ]
    return Conversation(tuple(turns))


def xray(tokenizer: Tokenizer, limit: int, *talks: Conversation) -> MaskXray:
    return MaskXray.of(
        talks, [render_to_learn(each, tokenizer) for each in talks], limit, tokenizer
    )


def test_turns_that_are_not_trained_are_counted(tokenizer: Tokenizer) -> None:
    whole = xray(tokenizer, 100, talk("a", "b", "c", "d"), talk("e", "f"))
    assert (whole.turns, whole.dropped, whole.cut, whole.endless) == (3, 0, 0, 0)
    assert whole.line.startswith(
        "Loss mask: all 3 turns of the assistant are trained, each with its end token"
    )
    first = render_to_learn(talk("a", "b"), tokenizer).turns[0]
    assert xray(tokenizer, first.end, talk("a", "b", "c", "d")).cut == 1
    cut = xray(tokenizer, first.end - 1, talk("a", "b", "c", "d"))
    assert cut.cut == 2 and "2 lose their end to the limit of tokens" in cut.line
    thinking = with_template(tokenizer, WITHOUT_EARLIER_THOUGHTS)
    dropped = xray(thinking, 100, talk("a", "<think>so</think>b"), talk("a", "b"))
    assert (dropped.turns, dropped.dropped) == (2, 1) and "1 are not trained" in dropped.line


def test_a_template_that_ends_no_turn_is_refused(tokenizer: Tokenizer) -> None:
    endless = with_template(
        tokenizer, "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
    )
    with pytest.raises(ModelError, match="would not stop"):
        xray(endless, 100, talk("a", "b"))


def test_a_cut_keeps_turns_and_contents_in_step(tokenizer: Tokenizer) -> None:
    rendered = render_to_learn(talk("a", "b", "c", "d"), tokenizer)
    for limit in range(len(rendered.ids) + 1):
        part: Rendered = rendered.cut(limit)
        assert len(part.ids) == len(part.mask) == len(part.contents) == limit
        assert all(turn.ended == (turn in rendered.turns) for turn in part.turns)
    for turn in rendered.turns:
        assert all(rendered.mask[turn.start : turn.end]) and not rendered.mask[turn.start - 1]
        assert rendered.ids[turn.end - 1] in tokenizer.special.stop_ids


def test_conversations_are_learned_from_in_every_turn(tokenizer: Tokenizer) -> None:
    examples = [
        ConversationExample(talk(f"a{n}", "b", "c", "d").messages, str(n)) for n in range(4)
    ]
    data = make_instruction_data(examples, tokenizer, max_tokens=100, seed=0)
    assert data.mask.turns == 6 and data.mask.shown[0].count(("trained", f"d{END}")) == 1
    assert json.loads(json.dumps(data.mask.plain()))["shown"][0]["pieces"][3]["text"] == f"b{END}"


def test_what_examples_can_teach_is_said() -> None:
    assert "form and tone, not facts" in what_they_teach(27) and "retrieval" in what_they_teach(27)
    assert "kinds of tasks" in what_they_teach(5000) and "retrieval" in what_they_teach(50_000)
