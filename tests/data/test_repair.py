"""Repair: wrongly decoded lines are found by a cheap test and repaired by ftfy; entities, ligatures, escapes; repeated lines."""

import importlib.util
from collections import Counter

import pytest
from processor_time import at_most_cpu_s

from groundup.data.clean import clean
from groundup.data.processing import repair as module
from groundup.data.processing.repair import (
    BREAKS,
    NOTICE,
    PAGE,
    is_suspicious,
    remove_repeated_lines,
    repair,
)
from groundup.errors import MissingExtra

needs_ftfy = pytest.mark.skipif(importlib.util.find_spec("ftfy") is None, reason="needs ftfy")

SENTENCES = [
    "La République était déjà là, où les garçons mangeaient des pâtes à Noël ; « voilà », dit‑elle…",
    "Die Straße über die Brücke führt nach Österreich, wo Käse größer ist – „schön“, sagte er.",
    "El niño comió piñas en el año más frío; ¿qué pasó? ¡Ánimo! La cigüeña voló.",
    "Zażółć gęślą jaźń. Święta są w kwietniu, a źdźbło trawy rośnie.",
    "Příliš žluťoučký kůň úpěl ďábelské ódy. Šťastný věk.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Η γρήγορη καφέ αλεπού πηδάει πάνω από το σκυλί, ώρα, ύπνος.",
    "Şişli’de güneşli bir öğle, çığ düştü; İstanbul’un ışıkları.",
    "吾輩は猫である。名前はまだ無い。「どこで生れたか」",
    "나는 한국어를 공부한다. 오늘 날씨가 좋다.",
    "في البدء كان الكلمة، والكلمة كان عند الله.",
    "Tiếng Việt là ngôn ngữ của người Việt.",
    "I love 🍕 and 🎉 – “really” … it’s 100 € ™",
]
WRONG = [
    "latin-1",
    "cp1252",
    "cp1251",
    "cp1250",
    "cp1253",
    "cp1254",
    "cp1257",
    "iso8859-2",
    "mac-roman",
    "cp437",
]


def wrongly_decoded(text: str, encoding: str, times: int = 1) -> str | None:
    try:
        for _ in range(times):
            text = text.encode().decode(encoding)
    except UnicodeDecodeError:
        return None
    return text


@needs_ftfy
@pytest.mark.parametrize("encoding", WRONG)
def test_the_cheap_test_misses_no_line_that_ftfy_would_repair(encoding: str) -> None:
    import ftfy

    repaired = 0
    for sentence in SENTENCES:
        for words in (sentence, *sentence.split(" ")):
            for times in (1, 2):
                wrong = wrongly_decoded(words, encoding, times)
                if wrong and ftfy.fix_encoding(wrong) == words != wrong:
                    assert is_suspicious(wrong), (words, wrong)
                    assert repair(wrong).text == words.replace("ﬁ", "fi")
                    repaired += 1
    assert repaired > 10


@pytest.mark.parametrize("sentence", SENTENCES)
def test_well_formed_text_is_left_as_it_is(sentence: str) -> None:
    assert repair(sentence).text == sentence and not repair(sentence).changes


def test_lines_of_real_languages_are_passed_over() -> None:
    words = [word for sentence in SENTENCES for word in sentence.split(" ") if not word.isascii()]
    assert sum(map(is_suspicious, words)) <= 0.02 * len(words)


@needs_ftfy
def test_only_the_suspicious_line_is_decoded_again_and_counted() -> None:
    repaired = repair("plain\ndÃ©jÃ\xa0 vu\nété\r\n“ok”")
    assert repaired.text == "plain\ndéjà vu\nété\r\n“ok”"
    assert repaired.changes == {"mojibake": 1}


@needs_ftfy
def test_repair_finds_what_it_needs_before_cleaning_and_after_it() -> None:
    wrong = wrongly_decoded("à la mode — vraiment", "latin-1")
    assert wrong and "\x80" in wrong, "cleaning makes a Windows-1252 character of it"
    assert clean(repair(wrong).text).text == "à la mode — vraiment"
    assert repair(clean(wrong).text).text == "à la mode — vraiment"


@pytest.mark.parametrize(
    ("text", "expected", "changes"),
    [
        ("Tom &amp; Jerry &#233; &#x20ac; &eacute;", "Tom & Jerry é € é", {"html_entities": 4}),
        ("&notanentity; AT&T; x&y", "&notanentity; AT&T; x&y", {}),
        ("<p>1 &lt; 2</p>", "<p>1 &lt; 2</p>", {}),
        ('s.replace("&lt;", "<")', 's.replace("&lt;", "<")', {}),
        ("ﬁne ﬂow", "fine flow", {"ligatures": 2}),
        ("\x1b[1;31mred\x1b[0m", "red", {"terminal_escapes": 2}),
        ("“quoted” ，全角（１２）", "“quoted” ，全角（１２）", {}),
    ],
)
def test_entities_ligatures_and_escapes(text: str, expected: str, changes: dict[str, int]) -> None:
    repaired = repair(text)
    assert (repaired.text, repaired.changes) == (expected, changes)
    assert repair(expected).text == expected


def test_without_ftfy_the_install_command_is_given_when_a_line_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PACKAGE", "no_such_package")
    module._ftfy.cache_clear()
    assert repair("Ünïcödé is fine").text == "Ünïcödé is fine"
    with pytest.raises(MissingExtra) as caught:
        repair("dÃ©jÃ vu")
    assert "groundup[clean]" in caught.value.fix
    module._ftfy.cache_clear()


PARAGRAPH = "The miller went out in the evening and looked at the water\n{}\nin the brook, which had risen.\n"


def test_headers_footers_and_page_numbers_of_pages_are_removed() -> None:
    pages = [
        f"A History of Mills\n\nText {'abcdefg'[at]} of a page\nthat goes on.\n{at} lines more\n\nPage {at + 7} of 99\n"
        for at in range(6)
    ]
    text, removed = remove_repeated_lines("\f".join(pages))
    assert removed == {PAGE: 12}
    assert (
        "History" not in text
        and "Page" not in text
        and text.count("that goes on.") == 6
        and text.count("\f") == 5
    )


def test_titles_of_sonnets_one_a_page_stay() -> None:
    text = "\f".join(f"Sonnet {at}\n\nLines of {at * 7}\nand more {at}" for at in range(8))
    assert remove_repeated_lines(text) == (text, Counter())


def test_a_header_that_breaks_sentences_is_removed_without_form_feeds() -> None:
    text = "".join(PARAGRAPH.format("THE OLD MILL") for _ in range(4)).replace(
        "brook", "brook, he said"
    )
    assert remove_repeated_lines(text)[1][BREAKS] == 4
    three = "".join(PARAGRAPH.format("THE OLD MILL") for _ in range(3))
    assert remove_repeated_lines(three) == (three, Counter())


def test_long_notices_stay_once_beyond_the_limit() -> None:
    notice = "Subscribe to our newsletter for news about mills."
    ten = "".join(f"Story {at}.\n{notice}\n" for at in range(10))
    assert remove_repeated_lines(ten) == (ten, Counter())
    text, removed = remove_repeated_lines(ten + notice)
    assert (text.count(notice), removed) == (1, {NOTICE: 10})


REFRAIN = "Quoth the Raven, “Nevermore.”"


@pytest.mark.parametrize(
    "text",
    [
        "".join(
            f"Once upon a midnight dreary, line {at},\nWhile I pondered, weak and weary,\n{REFRAIN}\n\n"
            for at in range(18)
        ),
        "".join(
            f"HAMLET\nTo be, or not to be, that is number {at}:\n\nOPHELIA\nMy lord?\n\n"
            for at in range(60)
        ),
        "".join(
            f"O give thanks unto the Lord; number {at}:\nFor his mercy endureth for ever.\n"
            for at in range(26)
        ),
        "".join(
            f"def test_{at}() -> None:\n    assert the_value_of(something) is not None and more\n    return None\n\n"
            for at in range(30)
        ),
        "".join(
            f"int f{at}(void) {{\n  return call_the_other_function(with, many, arguments);\n}}\n\f\n"
            for at in range(30)
        ),
        "- [ ] item\n" * 50,
        "0, 0, 0, 0\n" * 50,
        "\f\f\f\f",
        "",
    ],
)
def test_verse_plays_code_and_lists_are_left_alone(text: str) -> None:
    assert remove_repeated_lines(text) == (text, Counter())


@pytest.mark.parametrize("part", ["Ã", "é »", "&", "&amp;", "a\n", "\f\n", "\x1b[", "Page 1\n\f"])
def test_long_degenerate_texts_take_no_time(part: str) -> None:
    text = part * (200_000 // len(part))
    with at_most_cpu_s(10):
        repair(text)
        remove_repeated_lines(text)
