"""Terms: what must find each other has the same ones."""

import re

import pytest

from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import SNOWBALL, fold, stems, terms, words
from groundup.retrieve.passages import language_of_text


@pytest.mark.parametrize(
    ("typed", "stands"),
    [
        ("strasse", "Straße"),
        ("find", "ﬁnd"),
        ("cafe", "Café"),
        ("cafe", "Cafe\u0301"),
        ("שלום", "שָׁלוֹם"),
        ("عربي", "عَرَبِيّ"),
        ("VIII", "Ⅷ"),
        ("ΣΟΦΟΣ", "σοφός"),
        ("1000", "1,000"),
        ("soft", "so\u00adft"),
    ],
)
def test_one_writing_finds_the_other(typed: str, stands: str) -> None:
    assert words(typed) == words(stands)


def test_voiced_kana_and_indian_vowel_signs_are_kept() -> None:
    assert fold("が") != fold("か") and words("में") == ["में"]


@pytest.mark.parametrize(
    "text",
    [
        "v1.5 kg 1.5kg 1.5.2, a1.5 c++1.5 _1.5 1,000_000 1.5+ 3d",
        "£1,000.50 – Straße_7, naïve 1.5µm मे३.५ e\u0301t\u00e9 ١.٥٥ #1 C# " + "é" * 70,
    ],
)
def test_words_are_the_same_beside_a_run_without_spaces(text: str) -> None:
    """Such texts are read by the general pattern, others by a faster one."""
    assert words(f"{text} 東") == [*words(text), "東"] and words(text)


def test_any_character_of_a_run_without_spaces_begins_a_term() -> None:
    run = "東京都の水道"
    assert all(any(term.startswith(character) for term in words(run)) for character in run)


def test_english_stems_are_those_of_fts5s_porter_and_kept() -> None:
    once = stems(["flights", "relational", "c++", "1000", "caresses"], "en")
    assert (
        once
        == ["flight", "relat", "c++", "1000", "caress"]
        == stems(["flights", "relational", "c++", "1000", "caresses"], "en")
    )


def test_german_stems_join_forms_of_a_word() -> None:
    pytest.importorskip(SNOWBALL)
    assert terms("Die Garantien", "de") == terms("die Garantie", "de")


def test_a_language_without_stemmer_keeps_its_words() -> None:
    assert terms("kissa kissat", "xx") == ["kissa", "kissat"]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The cat sat on the mat and was happy about it.", "en"),
        ("Die Katze saß auf der Matte und war sehr froh darüber.", "de"),
        ("Le chat est sur le tapis et il est content de son sort.", "fr"),
        ("El gato está sobre la alfombra y es muy feliz con eso.", "es"),
        ("Pump PX-20 2 kg", "en"),
    ],
)
def test_the_language_of_a_text_is_found_by_its_stop_words(text: str, language: str) -> None:
    assert language_of_text(text) == language


def test_stop_words_are_folded_as_texts_are() -> None:
    assert all(
        words(word) == [word]
        for listed in STOP_WORDS.values()
        for word in listed
        if re.fullmatch(r"\w+", word)
    )
