"""Personal data: 300 written examples, half of them look-alikes; precision and recall by kind, as the docs say them."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processor_time import at_most_cpu_s

from groundup.data.processing.personal_data import (
    KINDS,
    PersonalDataMatch,
    check_kinds,
    find,
    reason_to_drop,
    replace,
)
from groundup.errors import ConfigError

EXAMPLES: list[dict[str, Any]] = [
    json.loads(line)
    for line in (Path(__file__).parent / "personal_data.jsonl").read_text("utf-8").splitlines()
]
DOCS = Path(__file__).parents[2] / "docs" / "processing.md"


def test_the_examples_are_300_and_half_of_them_are_look_alikes() -> None:
    assert len({each["text"] for each in EXAMPLES}) == 300
    assert sum(not each["spans"] for each in EXAMPLES) == 150
    assert len({each["language"] for each in EXAMPLES}) >= 20
    assert {span["kind"] for each in EXAMPLES for span in each["spans"]} == set(KINDS)


def table() -> str:
    """The table of the docs: a line a kind."""
    right, wanted, given = Counter[str](), Counter[str](), Counter[str]()
    for each in EXAMPLES:
        spans = {
            PersonalDataMatch(span["kind"], span["start"], span["end"]) for span in each["spans"]
        }
        found = set(find(each["text"]))
        right.update(span.kind for span in spans & found)
        wanted.update(span.kind for span in spans)
        given.update(span.kind for span in found)
    lines = ["| kind | in the examples | found | precision | recall |", "|---|---|---|---|---|"]
    for kind in KINDS:
        shares = f"{right[kind] / given[kind]:.3f} | {right[kind] / wanted[kind]:.3f}"
        lines.append(f"| {kind} | {wanted[kind]} | {given[kind]} | {shares} |")
    return "\n".join(lines)


def test_the_docs_give_the_precision_and_recall_that_are_measured() -> None:
    assert table() in DOCS.read_text("utf-8"), f"docs/processing.md must say:\n{table()}"


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("Mail jane@example.org, call +1 415 555 0132.", "Mail <email>, call <phone>."),
        ("Pay DE89 3704 0044 0532 0130 00 or 4111-1111-1111-1111.", "Pay <iban> or <card>."),
        ("From 93.184.216.34 and 2606:4700::6810:84e5", "From <ip> and <ip>"),
        ("nothing here", "nothing here"),
    ],
)
def test_each_piece_is_replaced_by_a_typed_mark_and_counted(text: str, marked: str) -> None:
    replaced = replace(text)
    assert replaced.text == marked
    assert replaced.counts == Counter(re.findall(r"<(\w+)>", marked))
    assert replace(replaced.text).text == marked


def test_only_the_kinds_asked_for_are_replaced_and_the_others_stay_what_they_are() -> None:
    text = "Card 4111 1111 1111 1111, mail a@example.org"
    assert replace(text, ["email"]).text == "Card 4111 1111 1111 1111, mail <email>"
    assert replace(text, ["phone"]).text == text  # a card number doesn't become a phone number


def test_the_reason_names_the_kinds() -> None:
    assert reason_to_drop("tel. 030 23125 014, a@example.org") == "personal data: email, phone"
    assert reason_to_drop("nothing") is None


def test_a_wrong_kind_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no kind 'emial'") as caught:
        check_kinds(["phone", "emial"])
    assert "Did you mean 'email'?" in caught.value.fix


@pytest.mark.parametrize(
    "text",
    [
        "DE89 3704 0044 0532 0130 01",  # mod 97 is not 1
        "DE89 3704 0044 0532 0130",  # too short for Germany
        "XX89 3704 0044 0532 0130 00",  # no such country
        "4111 1111 1111 1112",  # Luhn
        "9111 1111 1111 1111",  # no card begins so
        "411 1111111111111",  # no card is printed so
        "192.168.0.1 10.0.0.1 127.0.0.1 ::1 fe80::1 2001:db8::1",
        "Date: Sun Jan 25 10:41:00 2025 -0500",
        "Foundation, Boston, MA 02110-1301 USA",
        "items[1::2] and c10::Scalar and add::face",
        "logs\n@functools.cache\ndef f(): ...",
        "105 (2004) and +539.3 (2014 est.)",
        "0000035596 00000 n",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert find(text) == []


@given(st.text(st.sampled_from(list("0123456789 -./()+@:aD\n")), max_size=80))
def test_what_is_found_never_overlaps_and_lies_in_the_text(text: str) -> None:
    found = find(text)
    ends = [0, *(each.end for each in found)]
    assert all(
        end <= each.start < each.end <= len(text) for each, end in zip(found, ends, strict=False)
    )


@pytest.mark.parametrize("part", ["1 ", "@", "a@", "1.", "::", "1-", "DE89 ", "(1) ", "a", "1"])
def test_degenerate_texts_take_no_time(part: str) -> None:
    with at_most_cpu_s(5):
        find(part * (300_000 // len(part)))
