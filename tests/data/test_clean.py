"""Cleaning: uniform text, every change counted, nothing left to change."""

import re
import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processor_time import at_most_cpu_s

from groundup.data.clean import clean
from groundup.data.documents import Document
from groundup.data.processing.filters import ExactRepeats, reason_to_drop


@pytest.mark.parametrize(
    ("text", "expected", "changes"),
    [
        ("a\r\nb\rc\n", "a\nb\nc", {"newlines": 2, "outer_newlines": 1}),
        ("page\fpage\u2028line", "page\npage\nline", {"newlines": 2}),
        ("a\x00b\x1b[0m\tc", "ab[0m\tc", {"control_characters": 2}),
        ("I\x92m \x93here\x94\x85", "I’m “here”…", {"windows_1252": 4}),
        ("\x80 5 \x96 7\x81\x9d", "€ 5 – 7", {"windows_1252": 2, "control_characters": 2}),
        ("in\ufeffside", "inside", {"control_characters": 1}),
        ("a  \n\tb \t\n", "a\n\tb", {"trailing_spaces": 4, "outer_newlines": 1}),
        ("\ud83d alone", "\ufffd alone", {"lone_surrogates": 1}),
        ("cafe\u0301", "café", {"composed": 1}),
        ("x² 👩‍👩‍👧 ﬁ", "x² 👩‍👩‍👧 ﬁ", {}),
    ],
)
def test_changes_are_made_and_counted(text: str, expected: str, changes: dict[str, int]) -> None:
    cleaned = clean(text)
    assert (cleaned.text, dict(cleaned.changes)) == (expected, changes)


def readable(text: str) -> tuple[str, Counter[str]]:
    """Cleaning without the quick tests that leave steps out."""
    changes: Counter[str] = Counter()
    shown = {
        code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)
    }  # "" for five of them
    changes["windows_1252"] = sum(bool(shown.get(ord(each))) for each in text)
    text = "".join(shown.get(ord(each)) or each for each in text)
    text, changes["newlines"] = re.subn("\r\n?|[\v\f\u2028\u2029]", "\n", text)
    text, changes["control_characters"] = re.subn("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff]", "", text)
    text, changes["lone_surrogates"] = re.subn("[\ud800-\udfff]", "\ufffd", text)
    shorter = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    stripped = shorter.strip("\n")
    composed = unicodedata.normalize("NFC", stripped)
    changes["trailing_spaces"], changes["outer_newlines"] = (
        len(text) - len(shorter),
        len(shorter) - len(stripped),
    )
    changes["composed"] = int(composed != stripped)
    return composed, +changes


@given(
    st.text(
        st.sampled_from(
            "ab \t\n\r\v\f\x85\u2028\x00\x1f\x7f\x81\x92\x9f\xa0é\u0301e\ud800\udfff\ufeff한"
        ),
        max_size=12,
    )
)
def test_cleaning_with_quick_tests_is_the_readable_one(text: str) -> None:
    cleaned = clean(text)
    assert (cleaned.text, cleaned.changes) == readable(text)


@given(st.text(st.characters(exclude_categories=())))
def test_cleaning_twice_is_cleaning_once_and_gives_utf8(text: str) -> None:
    once = clean(text)
    assert clean(once.text).text == once.text
    assert not clean(once.text).changes
    once.text.encode()


def test_a_million_spaces_take_no_time() -> None:
    with at_most_cpu_s(5):
        assert clean("a" + " " * 1_000_000 + "b").text.endswith(" b")


def test_white_space_is_empty() -> None:
    assert reason_to_drop(Document(" \n\t", "s", "n")) == "empty"
    assert reason_to_drop(Document("a", "s", "n")) is None


def test_the_first_of_equal_texts_is_no_repeat() -> None:
    repeats = ExactRepeats()
    assert [repeats.is_repeat(text) for text in ("a", "b", "a", "A", "a")] == [
        False,
        False,
        True,
        False,
        True,
    ]
