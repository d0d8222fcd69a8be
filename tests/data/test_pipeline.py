"""The data folder: what is kept, dropped and split, and that nobody crosses the line."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from groundup.config import to_plain
from groundup.data.batches.shards import open_shards, write_shards
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.data_card import DataCard
from groundup.data.preparation.pipeline import CARD_FILE, prepare
from groundup.data.reading.source_files import Source
from groundup.data.split import SPLITS, cut_place, read_split, split_of, splits_in
from groundup.errors import ConfigError, DataError, FormatError
from groundup.files import json_bytes, verify_folder
from groundup.progress import Silent
from groundup.tokenizer.fast import Tokenizer

Texts = Callable[..., Path]
Story = Callable[..., str]


def run(source: Path, out: Path, config: DataConfig | None = None, *, seed: int = 0) -> DataCard:
    return prepare([Source(str(source), licence="mine")], out, config, seed=seed, progress=Silent())


def sides(out: Path) -> dict[str, set[str]]:
    return {
        split: {document.text for document in read_split(out, split)} for split in splits_in(out)
    }


def write_stories(folder: Path, story: Story, count: int) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"{number:03}.txt").write_text(story(number))
    return folder


def test_documents_are_cleaned_and_dropped_with_a_reason(
    texts: Texts, story: Story, tmp_path: Path
) -> None:
    root = write_stories(
        texts(a_txt=story(1).replace("\n", "\r\n"), b_txt="", c_txt=" \n"), story, 3
    )
    card = to_plain(run(root, tmp_path / "out"))
    source = card["sources"][0]
    assert source["dropped"]["empty"] == {"count": 2, "examples": ["b.txt", "c.txt"]}
    assert source["dropped"]["exact repeat"]["count"] == 1
    assert (source["read"]["documents"], source["kept_documents"]) == (6, 3)
    assert source["source"]["licence"] == "mine"
    assert json.loads((tmp_path / "out" / CARD_FILE).read_text()) == json.loads(json_bytes(card))


def test_changes_of_cleaning_are_added_up(texts: Texts, story: Story, tmp_path: Path) -> None:
    root = texts(
        a_txt=story(1).replace("\n", "\r\n"), b_txt=story(2) + "\0\0\n", c_txt=story(3) + "\0"
    )
    changed = run(root, tmp_path / "out").sources[0].changed
    assert changed == {"newlines": 10, "control_characters": 3, "outer_newlines": 1}


def test_the_folder_has_a_manifest_that_holds(data_folder: Path) -> None:
    files = verify_folder(data_folder)
    assert set(files) == {"train.jsonl", "validation.jsonl", "test.jsonl", CARD_FILE}


def test_all_splits_are_there_and_share_no_document(data_folder: Path) -> None:
    found = sides(data_folder)
    assert set(found) == set(SPLITS) and all(found.values())
    assert len(set().union(*found.values())) == sum(map(len, found.values()))


def test_without_a_test_fraction_the_folder_is_that_of_older_versions(
    texts: Texts, story: Story, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    root = write_stories(texts(), story, 60)
    card = run(root, tmp_path / "two", DataConfig(test_fraction=0))
    run(root, tmp_path / "three")
    assert (
        set(card.splits) == {"train", "validation"}
        and not (tmp_path / "two" / "test.jsonl").exists()
    )
    two, three = sides(tmp_path / "two"), sides(tmp_path / "three")
    assert (
        two["validation"] == three["validation"] and two["train"] == three["train"] | three["test"]
    )
    for name, splits in (("two", SPLITS[:2]), ("three", SPLITS)):
        write_shards(tmp_path / name, tokenizer, tmp_path / "shards" / name, progress=Silent())
        shards = open_shards(tmp_path / "shards" / name)
        assert tuple(shards.splits) == splits and all(shards.num_tokens(split) for split in splits)


def test_the_same_sources_give_the_same_bytes(texts: Texts, story: Story, tmp_path: Path) -> None:
    root = write_stories(texts(), story, 20)
    run(root, tmp_path / "one")
    run(root, tmp_path / "two")
    for split in SPLITS:
        assert (tmp_path / "one" / f"{split}.jsonl").read_bytes() == (
            tmp_path / "two" / f"{split}.jsonl"
        ).read_bytes()


def test_adding_a_document_moves_no_other_across(story: Story, tmp_path: Path) -> None:
    run(write_stories(tmp_path / "texts", story, 60), tmp_path / "before")
    run(write_stories(tmp_path / "texts", story, 90), tmp_path / "after")
    before, after = sides(tmp_path / "before"), sides(tmp_path / "after")
    assert all(before[split] <= after[split] for split in SPLITS)


def test_the_share_of_a_split_is_its_fraction() -> None:
    for fractions in ({"validation": 0.05, "test": 0.1}, {"validation": 0.3, "test": 0.05}):
        found = Counter(split_of(f"text {n}", fractions, seed=1) for n in range(4_000))
        for split, fraction in fractions.items():
            assert found[split] == pytest.approx(4_000 * fraction, rel=0.2)


def test_a_single_document_gives_its_end_to_validation_and_test_and_the_card_says_so(
    texts: Texts, story: Story, tmp_path: Path
) -> None:
    text = story(5, paragraphs=40)
    card = run(texts(play_txt=text), tmp_path / "out")
    (beginning,), (end,), (middle,) = (
        list(read_split(tmp_path / "out", split)) for split in SPLITS
    )
    assert "\n\n".join((beginning.text, middle.text, end.text)) == text
    assert [(cut.name, cut.split) for cut in card.cuts] == [
        ("play.txt", "validation"),
        ("play.txt", "test"),
    ]
    assert card.cuts[1].at_character == len(beginning.text)
    for split, part in (("validation", end), ("test", middle)):
        assert 0.04 < len(part.text) / len(text) < 0.16
        assert card.splits[split].characters == len(part.text)


@pytest.mark.parametrize("seed", range(8))
def test_few_documents_always_give_every_split_enough(
    texts: Texts, story: Story, tmp_path: Path, seed: int
) -> None:
    root = texts(a_txt=story(1, 20), b_txt=story(2, 10), c_txt="Tiny.")
    card = run(root, tmp_path / "out", seed=seed)
    characters = {split: counts.characters for split, counts in card.splits.items()}
    assert characters["train"] >= 0.5 * sum(characters.values())
    assert min(characters["validation"], characters["test"]) >= 0.02 * sum(characters.values())
    written = [d.text for split in SPLITS for d in read_split(tmp_path / "out", split)]
    assert sum(map(len, written)) == sum(characters.values())


def test_the_cut_prefers_paragraphs_then_lines_then_spaces() -> None:
    assert cut_place("a" * 50 + "\n\n" + "b" * 30 + "\n" + "c" * 17, 40) == 50
    assert cut_place("a" * 50 + "\n" + "b" * 30 + " " + "c" * 18, 40) == 50
    assert cut_place("one two", 1) == 3
    assert cut_place("word", 1) is None


def test_a_file_of_one_word_is_one_sentence(texts: Texts, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 document\(s\), 5 characters"):
        run(texts(a_txt="Hello"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["", " \n \n"])
def test_an_empty_file_is_one_sentence(texts: Texts, tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match=r"No document of .* is left: 1 read, 1 empty"):
        run(texts(a_txt=content), tmp_path / "out")


def test_a_failed_preparation_leaves_the_old_folder(
    texts: Texts, story: Story, tmp_path: Path
) -> None:
    run(write_stories(texts(), story, 5), tmp_path / "out")
    before = sides(tmp_path / "out")
    with pytest.raises(DataError):
        run(texts(folder="empty", a_txt=""), tmp_path / "out")
    assert sides(tmp_path / "out") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "out", "texts"]


def test_several_sources_share_the_repeat_check(texts: Texts, story: Story, tmp_path: Path) -> None:
    one, two = (
        texts(folder="one", a_txt=story(1), b_txt=story(2)),
        texts(folder="two", a_txt=story(1), c_txt=story(3)),
    )
    card = prepare([Source(str(one)), Source(str(two))], tmp_path / "out", progress=Silent())
    assert [source.kept_documents for source in card.sources] == [2, 1]


def test_a_line_that_is_no_document_is_a_format_error(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(
        '{"text": "a", "source": "s", "name": "n"}\n{"text": "b"}\n'
    )
    with pytest.raises(FormatError, match="line 2"):
        list(read_split(tmp_path, "train"))
    with pytest.raises(FormatError, match="is missing"):
        list(read_split(tmp_path, "validation"))


def test_the_fraction_has_bounds() -> None:
    with pytest.raises(ConfigError, match=r"0\.5"):
        DataConfig(validation_fraction=0.9)
    with pytest.raises(ConfigError, match=r"test_fraction 0\.6"):
        DataConfig(test_fraction=0.6)
    with pytest.raises(ConfigError, match=r"together at most 0\.8"):
        DataConfig(validation_fraction=0.5, test_fraction=0.4)
