"""Search: what a user types finds what is meant, and BM25 is BM25."""

import json
import math
from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.errors import ConfigError
from groundup.retrieve import search as searching
from groundup.retrieve.index import Index
from groundup.retrieve.question_terms import question_terms
from groundup.retrieve.search import bm25, search

from .conftest import Update


@pytest.mark.parametrize(
    "query",
    [
        "don't",
        "C++",
        "flight?",
        "co-operate",
        '"',
        "a AND (b",
        "NEAR(",
        "*",
        "^x",
        "-",
        "",
        "☃",
        "\0",
        "x" * 9000,
    ],
)
def test_nothing_that_is_typed_is_a_syntax_error(index: Index, query: str) -> None:
    assert isinstance(search(index, query), list)


@pytest.mark.parametrize(
    ("query", "document"),
    [
        ("strassburg", "hostel.txt"),
        ("a flight?", "hostel.txt"),
        ("filters", "boiler.md"),
        ("CLEANED", "boiler.md"),
    ],
)
def test_other_forms_of_a_word_find_it(index: Index, query: str, document: str) -> None:
    assert search(index, query)[0].document == document


def test_parts_of_a_chinese_or_japanese_run_are_found(
    docs: Path, update: Update, index: Index
) -> None:
    (docs / "zh.txt").write_text("本手册介绍锅炉的清洁方法。滤网每六个月清洗一次。")
    (docs / "ja.txt").write_text("東京都の水道は安全です。")
    update()
    for query, document in (
        ("清洁", "zh.txt"),
        ("滤网 清洗", "zh.txt"),
        ("法", "zh.txt"),
        ("水道", "ja.txt"),
        ("水", "ja.txt"),
        ("東京", "ja.txt"),
    ):
        assert search(index, query)[0].document == document, query


def test_a_question_in_each_language_of_the_index_finds_its_document(
    docs: Path, update: Update, index: Index
) -> None:
    pytest.importorskip("snowballstemmer")
    (docs / "de.txt").write_text(
        "Die Garantien für die Pumpe gelten zwei Jahre und sind nicht übertragbar."
    )
    (docs / "fr.txt").write_text(
        "Les garanties de la pompe sont valables pendant deux ans et ne sont pas transmissibles."
    )
    update()
    assert set(index.languages) == {"en", "de", "fr"}
    assert search(index, "Wie lange gilt die Garantie?")[0].document == "de.txt"
    assert search(index, "Quelle est la garantie de la pompe ?")[0].document == "fr.txt"


def test_words_of_grammar_are_left_out_of_a_question_unless_there_is_nothing_else(
    docs: Path, update: Update, index: Index
) -> None:
    (docs / "hamlet.txt").write_text("To be, or not to be, that is the question.")
    update()
    assert [each.terms for each in question_terms(index, "What is the warranty?")] == [
        ("warranti",)
    ]
    assert search(index, "to be or not to be")[0].document == "hamlet.txt"


def test_scores_are_those_of_the_formula(
    docs: Path, update: Update, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in docs.iterdir():
        file.unlink()
    for number, text in enumerate(["walrus walrus seal", "walrus one two three", "nothing here"]):
        (docs / f"{number}.txt").write_text(text)
    update()
    monkeypatch.setattr(searching, "COVERAGE_POWER", 0.0)
    found = {passage.document: passage.score for passage in search(index, "walrus")}
    idf, mean = math.log(1 + 1.5 / 2.5), 9 / 3  # two of three passages have it

    def expected(count: int, length: int) -> float:
        return idf * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length / mean))

    assert found == pytest.approx({"0.txt": expected(2, 3), "1.txt": expected(1, 4)})


def test_frequent_words_find_no_candidates_but_count_in_their_score(
    docs: Path, update: Update, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        (docs / f"{number}.txt").write_text(
            f"Common words of text {number}."
            + " Rare." * (number in (3, 4))
            + " Common." * (number == 4)
        )
    update()
    everything = search(index, "common rare", 30)
    monkeypatch.setattr(searching, "MAX_MATCHES", 5)
    few = search(index, "common rare", 30)
    assert {each.document for each in few} == {"3.txt", "4.txt"} and len(everything) == 30
    assert few == everything[:2]


def test_another_ranking_takes_the_place_of_bm25(index: Index) -> None:
    ids = [id for id, _ in bm25(index, "filter breakfast", 10)]
    found = searching.find(
        index,
        "anything",
        2,
        rank_by=lambda *_: [(id, -place) for place, id in enumerate(reversed(ids))],
    )
    assert [each.id for each in found.passages] == ids[::-1][:2] and found.passages[1].score == -1


def test_the_number_of_passages_is_checked(index: Index) -> None:
    with pytest.raises(ConfigError, match="1 to 1000"):
        search(index, "x", 0)


def test_the_verb_shows_passages_with_place_and_score(
    index: Index, docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["search", str(index.folder), "warranty"]) == 0
    shown = capsys.readouterr().out
    assert "boiler.md, characters" in shown and "Boiler PX-20 > Warranty" in shown
    (docs / "boiler.md").unlink()
    assert run(["search", str(index.folder), "warranty", "--json"]) == 0
    out = capsys.readouterr()
    assert json.loads(out.out)["passages"] == [] and "left out: " in out.err
    assert run(["search", str(docs), "warranty"]) == 2
