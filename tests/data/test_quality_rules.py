"""Quality rules: each threshold of the papers on both sides, by examples that can be counted by hand."""

import itertools
import math
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from processor_time import at_most_cpu_s

from groundup.data.processing.quality_rules import (
    RULES,
    SETS,
    LineRule,
    QualityRule,
    judge,
    rules_named,
)
from groundup.data.processing.text_measures import LARGEST_N, TextMeasures
from groundup.errors import ConfigError


def different(words: int, length: int = 5) -> list[str]:
    """Words of this length, all different, of letters."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    digits = max(1, length)
    return [
        "".join(letters[number // 26**place % 26] for place in range(digits))
        for number in range(words)
    ]


def lines(count: int, line: str) -> list[str]:
    """Lines that differ, each beginning or ending as `line` says at "#"."""
    return [line.replace("#", word) for word in different(count)]


# rule -> a text that is kept at the threshold, one that is dropped right beyond it
EDGES: dict[str, tuple[str, str]] = {
    "gopher-few-words": (" ".join(different(50)), " ".join(different(49))),
    "gopher-many-words": (" ".join(["word"] * 100_000), " ".join(["word"] * 100_001)),
    # 9 words of 3 characters and one of 2: mean 2.9
    "gopher-word-length": (" ".join(["abc"] * 10), " ".join(["abc"] * 9 + ["ab"])),
    "gopher-hashes": ("# " + " ".join(different(9)), "## " + " ".join(different(9))),
    "gopher-ellipses": (" ".join([*different(9), "end..."]), " ".join([*different(8), "one…", "end..."])),
    "gopher-bullets": ("\n".join([*lines(9, "• #"), "line"]), "\n".join(lines(10, "- #"))),
    "gopher-ellipsis-lines": ("\n".join([*lines(3, "# ..."), *lines(7, "#.")]), "\n".join([*lines(4, "#…"), *lines(6, "#.")])),
    "gopher-words-without-letters": ("a b c d 5", "a b c 4 5"),
    "gopher-stop-words": ("The man with a hat", "The man in the hat"),
    "c4-lorem-ipsum": ("Lorem, ipsum", "a LOREM ipsum text"),
    "c4-curly-bracket": ("if (a) [b]", "if (a) { b"),
    "c4-few-sentences": ("One two three four five. A b c d e? F g h i j!", "One two three four five. A b c d e?\nA b. C d."),
    # 3 of 24 lines are 12.5 %, 3 of 25 are 12 %
    "fineweb-line-ends": ("\n".join([*lines(3, "#."), *lines(21, "x #")]), "\n".join([*lines(3, "#."), *lines(22, "x #")])),
    # 66 of 100 lines, 67 of 100 lines; 30 characters are not short
    "fineweb-short-lines": (
        "\n".join([*lines(66, "#"), *lines(34, "#" + "x" * 25)]), "\n".join([*lines(67, "x" * 24 + "#"), *lines(33, "#" + "x" * 25)]),
    ),
    # "ab" twice in 22 and in 20 characters: 2/22, 2/20
    "fineweb-repeated-lines": ("ab\nab\n" + "c" * 18, "ab\nab\n" + "c" * 16),
    "gopher-repeated-lines": ("a\na\na\na\nb\nc\nd\ne\nf\ng", "a\na\na\na\na\nc\nd\ne\nf\ng"),
    "gopher-repeated-paragraphs": (
        "\n\n".join("aaaabcdefg"), "\n\n".join("aaaaacdefg"),
    ),
    "gopher-repeated-line-characters": ("ab\nab\n" + "c" * 6, "ab\nab\n" + "c" * 5),
    "gopher-repeated-paragraph-characters": ("ab\n\nab\n\n" + "c" * 6, "ab\n\nab\n\n" + "c" * 5),
    # "a b" twice: 4 of 20 characters are 0.2, 4 of 19 more
    "gopher-top-2-gram": ("a b " + "c" * 16 + " a b", "a b " + "c" * 15 + " a b"),
    # "a b c" twice, 6 characters, of 34: 0.176; of 33: 0.1818
    "gopher-top-3-gram": ("a b c " + "d" * 28 + " a b c", "a b c " + "d" * 27 + " a b c"),
    # 8 of 50: 0.16; of 49: 0.163
    "gopher-top-4-gram": ("a b c d " + "e" * 42 + " a b c d", "a b c d " + "e" * 41 + " a b c d"),
    "codex-mean-line": ("x" * 100 + "\n" + "y" * 100, "x" * 100 + "\n" + "y" * 101),
    "codex-longest-line": ("\n".join(["x" * 1000] + ["y"] * 20), "\n".join(["x" * 1001] + ["y"] * 20)),
    "starcoder-letters": ("a123", "a1234"),
}  # fmt: skip
# The n words a, b, ... again, after one long word: n of 2 n + c characters are repeated.
for _n, _share in {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}.items():
    _words = " ".join("abcdefghij"[:_n])
    _most = math.ceil(
        round(_n / _share, 6)
    )  # so many characters in all: n of them are the threshold at most
    EDGES[f"gopher-repeated-{_n}-grams"] = tuple(
        f"{_words} {'z' * (_most - 2 * _n - less)} {_words}" for less in (0, 1)
    )  # type: ignore[assignment]


def test_every_document_rule_has_its_edges() -> None:
    assert set(EDGES) == {name for name, rule in RULES.items() if isinstance(rule, QualityRule)}


@pytest.mark.parametrize("name", list(EDGES))
def test_a_rule_keeps_at_the_threshold_and_drops_beyond_it(name: str) -> None:
    kept, dropped = EDGES[name]
    rules = rules_named([name])
    assert judge(kept, rules).reason is None, judge(kept, rules, every=True)
    assert judge(dropped, rules).reason == name


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        (
            "c4-line-words",
            "one two three four\n\none two three four five",
            "\none two three four five",
        ),
        ("c4-line-javascript", "Please enable JavaScript.\nThe text.", "The text."),
        (
            "c4-line-policy",
            "We use cookies here.\nCookies are good.\nRead our Privacy Policy!",
            "Cookies are good.",
        ),
        ("c4-line-end", 'Yes.\nNo\n"Why?"\nWell...\nAh!', 'Yes.\n"Why?"\nAh!'),
    ],
)
def test_line_rules_remove_lines_and_keep_the_document(name: str, text: str, left: str) -> None:
    judged = judge(text, rules_named([name]))
    assert (judged.text, judged.reason) == (left, None)
    assert judged.removed_lines == {name: text.count("\n") - left.count("\n")}


def test_all_violations_or_the_first() -> None:
    rules = rules_named(["web"])
    text = "{ lorem ipsum }"
    every = [violation.rule.name for violation in judge(text, rules, every=True).violations]
    assert every[0] == judge(text, rules).reason == "gopher-few-words"
    assert {"c4-lorem-ipsum", "c4-curly-bracket", "gopher-stop-words", "c4-few-sentences"} < set(
        every
    )
    assert every == [name for name in RULES if name in every]


def test_rules_say_where_they_come_from_and_sets_hold_what_they_name() -> None:
    assert all(rule.source and rule.drops and rule.sets <= set(SETS) for rule in RULES.values())
    assert all(rules_named([each]) for each in SETS)
    assert not any(
        isinstance(rule, LineRule) for rule in (*rules_named(["books"]), *rules_named(["code"]))
    )
    assert rules_named(["books", "gopher-few-words"]) == rules_named(["books"])
    assert "c4-line-end" not in [rule.name for rule in rules_named(["web"])]


def test_the_docs_list_every_rule_with_its_source_and_sets() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "processing.md").read_text("utf-8")
    for rule in RULES.values():
        sets = ", ".join(each for each in SETS if each in rule.sets) or "none"
        assert f"| `{rule.name}` | {rule.drops} | {rule.source} | {sets} |" in docs


def test_a_wrong_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no rules 'boks'") as caught:
        rules_named(["boks"])
    assert "Did you mean 'books'?" in caught.value.fix


def test_rules_for_english_and_for_spaces_are_passed_over_in_other_languages() -> None:
    def names(language: str) -> set[str]:
        judged = judge("Ein Text.", rules_named(["web"]), language=language, every=True)
        return {each.rule.name for each in judged.violations}

    assert "gopher-stop-words" in names("en") and "gopher-stop-words" in names("unknown")
    assert "gopher-stop-words" not in names("de") and "gopher-few-words" in names("de")
    assert "gopher-few-words" not in names("zh")


@pytest.mark.parametrize("text", ["", " \n\t\n", "\n", "a", "…", "{"])
def test_degenerate_texts_are_judged(text: str) -> None:
    for each in SETS:
        judged = judge(text, rules_named([each]), every=True)
        assert judged.text == text or judged.removed_lines


def slow_repeated(words: list[str], n: int) -> float:
    """The definition, word by word."""
    seen: set[tuple[str, ...]] = set()
    covered: set[int] = set()
    for start in range(len(words) - n + 1):
        gram = tuple(words[start : start + n])
        if gram in seen:
            covered |= set(range(start, start + n))
        seen.add(gram)
    return sum(len(words[place]) for place in covered) / sum(map(len, words)) if words else 0.0


def slow_top(words: list[str], n: int) -> float:
    """The definition, gram by gram."""
    places: dict[tuple[str, ...], list[int]] = {}
    for start in range(len(words) - n + 1):
        places.setdefault(tuple(words[start : start + n]), []).append(start)
    often = {gram: at for gram, at in places.items() if len(at) > 1}
    if not often:
        return 0.0
    most = max(map(len, often.values()))
    longest = max(
        (gram for gram, at in often.items() if len(at) == most),
        key=lambda gram: sum(map(len, gram)),
    )
    covered = {place for at in often[longest] for place in range(at, at + n)}
    return sum(len(words[place]) for place in covered) / sum(map(len, words))


def check_repetition(words: list[str]) -> None:
    measures = TextMeasures(" ".join(words))
    for n in range(1, LARGEST_N + 1):
        assert measures.repeated_ngrams(n) == pytest.approx(slow_repeated(words, n)), (n, words)
        assert measures.top_ngram(n) == pytest.approx(slow_top(words, n)), (n, words)


def test_of_equally_common_and_long_ngrams_the_first_counts() -> None:
    assert TextMeasures("a d a a a d").top_ngram(2) == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    ("alphabet", "longest"), [(("a", "b"), 9), (("a", "b", "c"), 6), (("a", "bb", "b"), 6)]
)
def test_repetition_in_integers_is_the_slow_definition_for_all_short_texts(
    alphabet: tuple[str, ...], longest: int
) -> None:
    for length in range(longest + 1):
        for words in itertools.product(alphabet, repeat=length):
            check_repetition(list(words))


@hypothesis.settings(max_examples=300, derandomize=True, database=None)
@given(
    st.integers(1, 4).flatmap(
        lambda size: st.lists(st.sampled_from(["a", "bb", "ccc", "d"][:size]), max_size=60)
    )
)
def test_repetition_in_integers_is_the_slow_definition(words: list[str]) -> None:
    check_repetition(words)


def test_of_equally_common_ngrams_the_longest_counts() -> None:
    words = ["a", "b", "long", "words", "a", "b", "long", "words"]
    assert (
        TextMeasures(" ".join(words)).top_ngram(2)
        == pytest.approx(slow_top(words, 2))
        == pytest.approx(18 / 22)
    )


@pytest.mark.parametrize("part", ["a ", "a\n", "{", "#", "...", "a b c d e f g h i j k.\n", "。"])
def test_long_degenerate_texts_take_no_time(part: str) -> None:
    with at_most_cpu_s(10):
        judge(part * (500_000 // len(part)), rules_named(["web", "books", "code"]), every=True)
