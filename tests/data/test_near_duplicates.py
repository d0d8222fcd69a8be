"""Near-duplicates: what MinHash proposes and exact Jaccard decides, against the comparison of all pairs."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted_pairs import Pair, jaccard, planted

import groundup
from groundup.data.documents import Document
from groundup.data.processing import near_duplicates, word_ngrams
from groundup.data.processing.near_duplicates import (
    NO_ONE,
    NearDuplicateConfig,
    NearDuplicates,
    SourceCount,
    all_pairs,
    bands_for,
    find_near_duplicates,
    read_clusters,
    recall,
)
from groundup.data.processing.word_ngrams import hash_ngrams, hash_words, ngrams, words
from groundup.data.split import SplitWriter
from groundup.errors import ConfigError, DataError, FormatError, MissingExtra
from groundup.progress import Silent

ROOT = Path(groundup.__file__).parents[1]
PROSE = "\n".join(page.read_text() for page in sorted((ROOT / "docs").glob("*.md")))
ANY = NearDuplicateConfig(max_dropped_share=1)
Find = Callable[..., NearDuplicates]


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """find(texts, config): what is found in a file of these documents; the record is tmp_path/record.jsonl."""

    def run(texts: Sequence[str | Document], config: NearDuplicateConfig = ANY) -> NearDuplicates:
        with SplitWriter(tmp_path, ("train",)) as writer:
            for number, text in enumerate(texts):
                writer.write(
                    "train",
                    text if isinstance(text, Document) else Document(text, "texts/", f"{number}"),
                )
        return find_near_duplicates(
            tmp_path / "train.jsonl", config, record=tmp_path / "record.jsonl", progress=Silent()
        )

    return run


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return planted(PROSE, 500, seed=3, levels=(0.74, 0.8, 0.85, 0.9, 0.93, 0.97))


def found_of(pairs: Sequence[Pair], find: Find) -> list[bool]:
    """Whether each pair lost one of its texts; the texts of all pairs are shuffled in one file."""
    texts = [text for pair in pairs for text in (pair.text, pair.copy)]
    order = random.Random(1).sample(range(len(texts)), len(texts))
    result = find([texts[place] for place in order])
    kept_of = {
        order[number]: order[other]
        for number, other in enumerate(result.kept_of.tolist())
        if other != NO_ONE
    }
    assert all(one // 2 == other // 2 for one, other in kept_of.items()), (
        "texts that were not planted together"
    )
    return [2 * number in kept_of or 2 * number + 1 in kept_of for number in range(len(pairs))]


def test_planted_pairs_are_found_and_no_others(find: Find, pairs: list[Pair]) -> None:
    found = found_of(pairs, find)
    for threshold, least in ((0.8, 0.95), (0.9, 0.99)):
        above = [was for pair, was in zip(pairs, found, strict=True) if pair.jaccard >= threshold]
        assert len(above) > 150 and sum(above) / len(above) >= least
    assert not any(was for pair, was in zip(pairs, found, strict=True) if pair.jaccard < 0.8)
    assert sum(0.7 < pair.jaccard < 0.8 for pair in pairs) > 60  # precision was tested


@pytest.mark.slow
def test_pairs_just_at_the_threshold_are_found_as_the_bands_promise(find: Find) -> None:
    near = [
        pair for pair in planted(PROSE, 600, seed=4, levels=(0.8,)) if 0.8 <= pair.jaccard < 0.83
    ]
    assert len(near) > 200
    assert sum(found_of(near, find)) / len(near) >= 0.95


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9, 1.0])
def test_bands_find_nineteen_of_twenty_at_the_threshold(threshold: float) -> None:
    bands, rows = bands_for(threshold)
    assert recall(threshold, bands, rows) >= 0.95 and bands * rows <= 128
    assert rows == 128 or recall(threshold, 128 // (rows + 1), rows + 1) < 0.95


def test_the_longest_is_kept_and_of_equal_ones_the_first(find: Find) -> None:
    text = " ".join(f"word{number}" for number in range(100))
    result = find(
        [f"{text}", f"{text} and three more", f"{text}", f"{text} and three MORE", "another text"]
    )
    assert result.kept_of.tolist() == [1, NO_ONE, 1, 1, NO_ONE]


def test_nothing_is_dropped_for_what_was_dropped_itself(find: Find) -> None:
    line = [f"word{number}" for number in range(400)]
    window = lambda start, length: " ".join(line[start : start + length])  # noqa: E731
    chain = [window(0, 130), window(10, 125), window(22, 120)]
    assert (
        jaccard(chain[0], chain[1]) >= 0.8 <= jaccard(chain[1], chain[2])
        and jaccard(chain[0], chain[2]) < 0.8
    )
    assert find(chain).kept_of.tolist() == [NO_ONE, 0, NO_ONE]


def test_short_documents_are_repeats_of_the_same_words_only(find: Find) -> None:
    texts = [
        "Thank you!",
        "thank you",
        "Thank you, sir",
        "---",
        "...",
        "",
        "you thank",
        "Thank you, SIR.",
    ]
    assert find(texts).kept_of.tolist() == [NO_ONE, 0, 7, NO_ONE, NO_ONE, NO_ONE, NO_ONE, NO_ONE]


def test_a_text_without_spaces_is_compared_by_characters(find: Find) -> None:
    text = "".join(chr(0x4E00 + number * 7 % 3000) for number in range(300))
    changed = f"{text[:150]}漢{text[151:]}"
    assert find([text, changed]).kept_of.tolist() == [NO_ONE, 0]


@pytest.mark.slow
def test_the_record_shows_why_and_gives_clusters(find: Find, tmp_path: Path) -> None:
    rng = random.Random(2)
    stories = [" ".join(rng.choice(PROSE.split()) for _ in range(150)) for _ in range(4)]
    texts = [
        f"{story} {end}" for end in ("the end of the story", "the end", "the") for story in stories
    ]
    result = find(
        [
            Document(text, f"source{number % 2}", f"{number}.txt")
            for number, text in enumerate(texts)
        ]
    )
    clusters = list(read_clusters(tmp_path / "record.jsonl"))
    assert [cluster[0].kept.name for cluster in clusters] == [
        f"{number}.txt" for number in range(4)
    ]
    for number, cluster in enumerate(clusters):
        assert [pair.dropped.line for pair in cluster] == [number + 5, number + 9]
        for pair in cluster:
            assert (
                pair.jaccard
                == jaccard(texts[pair.kept.line - 1], texts[pair.dropped.line - 1])
                >= 0.8
            )
            beginning = pair.passage.removesuffix(" ...")
            assert len(pair.passage) <= 200 and beginning in texts[pair.dropped.line - 1]
            assert pair.kept.source == f"source{number % 2}"
    assert result.dropped == 8 and result.is_dropped(4) and not result.is_dropped(0)
    assert result.sources["source0"] == SourceCount(6, 4) and len(result.kept_of) == 12
    assert "8 of 12 documents, of 4 that are kept" in result.summary()


def test_a_passage_is_the_longest_that_both_have() -> None:
    text = "One two three four five, SIX! Then other words, and: seven eight nine ten eleven twelve thirteen."
    of_kept = hash_ngrams(
        hash_words(["one two three four five six", "Seven eight nine ten eleven twelve"]), 5
    )
    shared = word_ngrams.shared_passage(text, np.unique(of_kept.hashes), 5)
    assert shared in ("One two three four five, SIX", "seven eight nine ten eleven twelve")
    assert (
        word_ngrams.shared_passage("no word of it is in there", np.unique(of_kept.hashes), 5) == ""
    )


def test_a_source_that_would_lose_more_than_half_stops_and_shows_why(
    find: Find, tmp_path: Path
) -> None:
    text = " ".join(f"word{number}" for number in range(50))
    documents = [Document(f"{text} {number}", "copies/", f"copy{number}") for number in range(5)]
    documents += [
        Document(f"{number} quite another text of {number} words", "others/", f"{number}")
        for number in range(9)
    ]
    with pytest.raises(DataError) as raised:
        find(documents, NearDuplicateConfig())
    assert "copies/ would lose 4 of its 5 documents" in raised.value.message
    assert raised.value.message.count("'copy0'") == 3 and "word0 word1" in raised.value.message
    assert "max_dropped_share=1" in raised.value.fix and not (tmp_path / "record.jsonl").exists()
    assert find(documents).dropped == 4
    half = [replace(document, source="half") for document in (documents[0], documents[1])]
    assert find(half, NearDuplicateConfig()).dropped == 1  # half is not more than half


def test_many_that_resemble_one_another_are_compared_within_limits(
    find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = " ".join(f"word{number}" for number in range(100))
    own = [" ".join(f"own{number}x{place}" for place in range(20)) for number in range(60)]
    texts = [
        f"{common} {each}" for each in own
    ]  # Jaccard 0.67: many share a band, none is a near-duplicate
    assert 0.6 < jaccard(texts[0], texts[1]) < 0.8
    every = find(texts)
    monkeypatch.setattr(near_duplicates, "MAX_RECENT", 4)
    monkeypatch.setattr(near_duplicates, "MAX_COMPARED", 5)
    some = find(texts)
    assert (
        every.dropped == some.dropped == 0 and every.documents_limited == 0 < some.documents_limited
    )
    assert some.pairs_compared <= 5 * len(texts) < every.pairs_compared
    assert "not compared with all" in some.summary()


WORDS = st.lists(st.sampled_from(list("abcdefgh")), max_size=9).map(" ".join)
LONG = st.builds(
    lambda start, length, cut: " ".join(f"w{n}" for n in range(start, start + length) if n != cut),
    st.integers(0, 12),
    st.integers(20, 40),
    st.integers(0, 60),
)


@given(st.lists(WORDS | LONG, min_size=1, max_size=14), st.sampled_from([0.5, 0.8, 1.0]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_result_is_that_of_all_pairs_less_those_that_share_no_band(
    find: Find, tmp_path: Path, texts: list[str], threshold: float
) -> None:
    result = find(texts, NearDuplicateConfig(threshold, max_dropped_share=1))
    kept = [number for number, other in enumerate(result.kept_of) if other == NO_ONE]
    for number, other in enumerate(result.kept_of.tolist()):
        if other != NO_ONE:
            assert result.kept_of[other] == NO_ONE, "dropped for a dropped one"
            assert jaccard(texts[number], texts[other]) >= threshold
            assert (-len(texts[other]), other) < (-len(texts[number]), number)
    if threshold == 1:  # the same n-grams share every band, so nothing is missed
        assert (result.kept_of != NO_ONE).tolist() == [
            other != NO_ONE for other in all_pairs(texts, threshold)
        ]
        assert len({frozenset(ngrams(texts[number], 5)) or number for number in kept}) == len(kept)
    assert (
        result.kept_of.tolist() == find(texts, NearDuplicateConfig(threshold, 1)).kept_of.tolist()
    )


@pytest.mark.slow
def test_all_that_was_proposed_and_kept_is_below_the_threshold(
    find: Find, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [text for pair in pairs[:300] for text in (pair.text, pair.copy)]
    compared: list[float] = []
    exact = near_duplicates.jaccard
    monkeypatch.setattr(near_duplicates, "jaccard", lambda *sets, **more: compared.append(exact(*sets)) or exact(*sets, **more))  # fmt: skip
    result = find(texts)
    reference = all_pairs(texts[:200])
    same = [a == b for a, b in zip(result.kept_of[:200].tolist(), reference, strict=True)]
    assert sum(same) >= 0.98 * len(same)
    decided = compared[: result.pairs_compared]  # what follows is for the record
    assert sum(value >= 0.8 for value in decided) == result.dropped > 100 and min(decided) < 0.8


@given(
    st.lists(
        st.text(
            st.characters(codec="utf-8") | st.sampled_from("ab Ça漢ไé́\U000e0001\n-"), max_size=60
        ),
        max_size=5,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hashed_words_are_the_readable_ones_whatever_stands_beside(texts: list[str]) -> None:
    for block in (4, word_ngrams.BLOCK_CHARACTERS):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(word_ngrams, "BLOCK_CHARACTERS", block)
            found = hash_words(texts)
            grams = hash_ngrams(found, 3)
        for number, text in enumerate(texts):
            own = slice(found.rows[number], found.rows[number + 1])
            plain = words(text)
            assert len(found.hashes[own]) == len(plain)
            for word, value, start, end in zip(
                plain, found.hashes[own], found.starts[own], found.ends[own], strict=True
            ):
                assert words(text[start:end]) == [word] and hash_words([word]).hashes[0] == value
            values = grams.hashes[grams.rows[number] : grams.rows[number + 1]]
            assert len(set(values.tolist())) == len(ngrams(text, 3))


def test_the_same_words_have_the_same_ngrams_at_any_place() -> None:
    text = "a word  as long as" + "x" * 100_000 + " and another, in the end of it."
    alone, beside = hash_words([text]), hash_words(["before " * 9999, text, ""])
    assert (
        beside.hashes[9999:].tolist() == alone.hashes.tolist()
        and beside.starts[9999:].tolist() == alone.starts.tolist()
    )
    assert np.diff(hash_ngrams(beside, 5).rows).tolist() == [9995, len(words(text)) - 4, 0]


@pytest.mark.slow
def test_the_result_does_not_depend_on_threads_and_hash_seed(
    find: Find, pairs: list[Pair], tmp_path: Path
) -> None:
    here = find([text for pair in pairs[:100] for text in (pair.text, pair.copy)])
    file, record = tmp_path / "train.jsonl", tmp_path / "record.jsonl"
    code = (
        "import sys; from pathlib import Path; from groundup.progress import Silent; from groundup.data.processing.near_duplicates import *\n"
        "found = find_near_duplicates(Path(sys.argv[1]), record=Path(sys.argv[2]), progress=Silent())\n"
        "print(found.kept_of.tolist())"
    )
    written = record.read_bytes()
    for threads in ("1", "4"):
        variables = {**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        run = [sys.executable, "-c", code, str(file), str(record)]
        done = subprocess.run(run, env=variables, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == here.kept_of.tolist() and record.read_bytes() == written


def test_what_is_wrong_is_said(find: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="threshold must be 0.3 to 1"):
        NearDuplicateConfig(threshold=80)
    with pytest.raises(ConfigError, match="max_dropped_share must be 0 to 1"):
        NearDuplicateConfig(max_dropped_share=2)
    file = tmp_path / "bad.jsonl"
    with pytest.raises(FormatError, match="is missing"):
        find_near_duplicates(file, record=tmp_path / "record.jsonl", progress=Silent())
    file.write_text('{"text": "a", "source": "b", "name": "c"}\n[]\n')
    with pytest.raises(FormatError, match="line 2: is not a document"):
        find_near_duplicates(file, record=tmp_path / "record.jsonl", progress=Silent())
    (tmp_path / "record.jsonl").write_text("{}\n")
    with pytest.raises(FormatError, match="line 1: is not a near-duplicate"):
        list(read_clusters(tmp_path / "record.jsonl"))
    assert len(find([]).kept_of) == 0 and list(read_clusters(tmp_path / "record.jsonl")) == []
    monkeypatch.setitem(sys.modules, "rensa", None)
    with pytest.raises(MissingExtra, match=r"groundup\[clean\]"):
        find(["a text"])
