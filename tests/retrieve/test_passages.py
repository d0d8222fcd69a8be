"""Passages and sentences: nothing of a text is lost, and structure decides where it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.retrieve.passages import estimated_tokens, split
from groundup.retrieve.sentences import sentence_spans

PARTS = [
    "a",
    "Ab. ",
    "\n",
    "\n\n",
    "# ",
    "x" * 70,
    " ",
    "```\n",
    "。",
    "水",
    "1. ",
    "\r\n",
    "- ",
    "==\n",
    "---\n",
    "שלום",
    "e\u0301",
]


@given(st.lists(st.sampled_from(PARTS)).map("".join), st.integers(1, 12))
def test_the_passages_of_a_text_joined_are_the_text(text: str, max_tokens: int) -> None:
    pieces = split(text, max_tokens)
    assert "".join(text[each.start : each.end] for each in pieces) == (text if text.strip() else "")
    assert all(text[each.start : each.end].strip() for each in pieces[1:])


def test_a_passage_begins_at_a_heading_and_is_titled_by_those_above_it() -> None:
    text = "# Boiler\n\n## Cleaning\n\nWash it.\n\n## Warranty\n\nTwo years.\n\nRepair\n======\n\nSend it back.\n"
    found = [(text[each.start : each.end].split("\n")[0], each.title) for each in split(text)]
    assert found == [
        ("# Boiler", "Boiler > Cleaning"),
        ("## Warranty", "Boiler > Warranty"),
        ("Repair", "Repair"),
    ]


def test_a_comment_in_code_is_no_heading() -> None:
    text = "# Use\n\n```\n# not a heading\n\nrun()\n```\n\nDone.\n"
    assert [each.title for each in split(text)] == ["Use"]


def test_a_long_paragraph_is_cut_between_sentences_into_parts_of_about_equal_length() -> None:
    text = " ".join(
        f"This is sentence number {number} of a long paragraph." for number in range(60)
    )
    pieces = [text[each.start : each.end] for each in split(text, 100)]
    sizes = [estimated_tokens(piece) for piece in pieces]
    assert (
        all(piece.rstrip().endswith(".") for piece in pieces)
        and max(sizes) <= 100
        and min(sizes) > 30
    )


def test_a_text_without_spaces_is_cut_in_time() -> None:
    pieces = split("x" * 3_000_000 + "." * 200_000)
    assert max(each.end - each.start for each in pieces) <= 1024


def test_sentences_end_at_full_stops_but_not_at_abbreviations_or_initials() -> None:
    text = "Dr. A. Lee paid 3.50 euros (approx. 4 dollars). Why? “No.” She left.\n\nA title\n\n- one\n- two\n東京です。はい。"
    assert [text[start:end] for start, end in sentence_spans(text)] == [
        *(
            "Dr. A. Lee paid 3.50 euros (approx. 4 dollars).",
            "Why?",
            "“No.”",
            "She left.",
            "A title",
        ),
        *("- one", "- two\n東京です。", "はい。"),
    ]


@pytest.mark.parametrize(
    "sentences",
    [
        ("It runs on normal termination.", "atexit runs these functions in reverse order."),
        (
            "It copies the mode.",
            "copystat() never fails.",
            "os.chmod may.",
            "key_function is called.",
            "iOS has it.",
        ),
        (
            "See the list.",
            "`key` is a function (for example str.lower).",
            "key, if given, is called.",
        ),
        (
            "It is 5 euros incl. tax, resp. six, i.e. more, on 3. maj at example.com.",
            "Then it ends.",
        ),
        ("He said no. and left, e.g. at six p.m. on foot.", "“Stop!” he said."),
    ],
)
def test_a_small_letter_begins_a_sentence_where_it_is_a_name_in_code_or_follows_a_whole_word(
    sentences: tuple[str, ...],
) -> None:
    text = " ".join(sentences)
    assert [text[start:end] for start, end in sentence_spans(text)] == list(sentences)


def test_each_row_of_a_table_is_a_sentence() -> None:
    text = "Codes:\n| Code | Meaning |\n|---|---|\n| E1 | Tank empty. Fill it |\n| E4 | Jammed |\nCall us."
    found = [text[start:end] for start, end in sentence_spans(text)]
    assert found == [
        *(
            "Codes:",
            "| Code | Meaning |",
            "|---|---|",
            "| E1 | Tank empty. Fill it |",
            "| E4 | Jammed |",
            "Call us.",
        ),
    ]


def test_a_heading_is_one_with_and_without_a_blank_line_below() -> None:
    text = "# Washer\nRead this first.\n## Filter\nClean it.\n\nOften.\nCare\n----\nWipe it.\n"
    assert [(text[each.start : each.end].split("\n")[0], each.title) for each in split(text)] == [
        ("# Washer", "Washer"),
        ("## Filter", "Washer > Filter"),
    ]


def test_short_lines_of_a_pdf_are_sentences_and_wrapped_ones_are_not() -> None:
    text = "Polar 300\nTemperature\nWe recommend a temperature of 5 degrees for milk, butter, eggs and\nVienna sausages. Dear Ada,\nit rains."
    assert [text[start:end] for start, end in sentence_spans(text)] == [
        "Polar 300",
        "Temperature",
        "We recommend a temperature of 5 degrees for milk, butter, eggs and\nVienna sausages.",
        "Dear Ada,\nit rains.",
    ]
