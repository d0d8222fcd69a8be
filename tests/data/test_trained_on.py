"""What a model was trained on is known by hashes in its run folder, whatever the layout of the same text."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.data.documents import ConversationExample, Example, InstructionExample
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.pipeline import prepare
from groundup.data.preparation.trained_on import (
    HASH_BYTES,
    keep_trained_on,
    read_trained_on,
    write_trained_on,
)
from groundup.data.processing.steps import ProcessConfig
from groundup.data.reading.source_files import Source
from groundup.data.split import SPLITS, TRAIN, read_split
from groundup.errors import FormatError
from groundup.progress import Silent
from groundup.runs import TRAINED_ON_FILE, RunFolder
from groundup.tokenizer.chat import Message

ASKED = InstructionExample("Correct this.", "I is.", "I am.", "1")


def talk(*said: str) -> ConversationExample:
    turns = tuple(
        turn for text in said for turn in (Message("user", text), Message("assistant", "Yes."))
    )
    return ConversationExample(turns, "2")


def test_an_example_is_known_again_in_another_layout_and_case(tmp_path: Path) -> None:
    write_trained_on(
        tmp_path, [ASKED, talk("Hi", "Ho"), Example("See you there", "ham")], base=tmp_path / "base"
    )
    known = read_trained_on(tmp_path)
    assert known is not None and len(known.hashes) == 4
    assert known.has(talk("correct THIS. i is.")) and known.has(
        InstructionExample("Hi", "", "Other", "9")
    )
    assert (
        known.has(talk("hi", "ho"))
        and known.has(Example("see  you there", "spam"))
        and known.has("See you THERE\n")
    )
    for new in (
        talk("Ho"),
        talk("Hi", "Ho", "More"),
        InstructionExample("Correct this.", "", "x", "1"),
        "See you",
    ):
        assert not known.has(new)
    record = json.loads((tmp_path / TRAINED_ON_FILE).read_text())
    assert len(record["hashes"]) == 4 * 2 * HASH_BYTES
    assert "you" not in (tmp_path / TRAINED_ON_FILE).read_text()


def test_what_the_base_was_trained_on_is_kept(tmp_path: Path) -> None:
    write_trained_on(tmp_path / "a", [talk("Hi")], base=tmp_path)
    write_trained_on(tmp_path / "b", [talk("Ho")], base=tmp_path / "a")
    known = read_trained_on(tmp_path / "b")
    assert known is not None and known.has(talk("Hi")) and known.has(talk("Ho"))


def test_a_pretraining_run_knows_its_training_documents(
    tmp_path: Path, texts: Callable[..., Path], story: Callable[..., str]
) -> None:
    root = texts(**{f"n{number}_txt": story(number) + " \r\n" for number in range(30)})
    RunFolder(tmp_path / "run").create("pretrain", {}, {})
    assert read_trained_on(tmp_path / "run") is None
    prepare([Source(str(root))], tmp_path / "run" / "data", progress=Silent())
    known = read_trained_on(tmp_path / "run")
    assert known is not None
    for split in SPLITS:
        documents = list(read_split(tmp_path / "run" / "data", split))
        assert documents and all(
            known.has(document.text) == (split == TRAIN) for document in documents
        )
    seen = sum(known.has((root / f"n{number}.txt").read_text()) for number in range(30))
    assert seen == len(list(read_split(tmp_path / "run" / "data", TRAIN)))


def test_documents_that_steps_changed_are_known_as_they_were_written(
    tmp_path: Path, texts: Callable[..., Path], story: Callable[..., str]
) -> None:
    raw = {
        f"n{number}.txt": f"Share\n{story(number)} Write to a{number}@example.org."
        for number in range(12)
    }
    root = texts(**{name.replace(".", "_"): text for name, text in raw.items()})
    RunFolder(tmp_path / "run").create("pretrain", {}, {})
    process = ProcessConfig(("personal-data",), rules=("c4-line-words",))
    prepare(
        [Source(str(root))],
        tmp_path / "run" / "data",
        DataConfig(process=process),
        progress=Silent(),
    )
    trained = {document.name for document in read_split(tmp_path / "run" / "data", TRAIN)}
    write_trained_on(tmp_path / "tuned", [talk("Hi")], base=tmp_path / "run")
    for model in ("run", "tuned"):
        known = read_trained_on(tmp_path / model)
        assert known is not None and 0 < len(trained) < len(raw)
        assert {name for name, text in raw.items() if known.has(text)} == trained


def test_a_run_still_knows_its_documents_when_its_data_were_removed(
    tmp_path: Path,
    texts: Callable[..., Path],
    story: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    root = texts(**{f"n{number}_txt": story(number) for number in range(30)})
    folder = RunFolder(tmp_path / "run")
    folder.create("pretrain", {}, {})
    prepare([Source(str(root))], folder.path / "data", progress=Silent())
    before = read_trained_on(folder.path)
    assert run(["cache", str(tmp_path), "--limit", "0", "--prune"]) == 0
    assert not (folder.path / "data").exists() and read_trained_on(folder.path) == before
    folder.clear()
    assert not (folder.path / TRAINED_ON_FILE).exists()
    keep_trained_on(tmp_path)  # of no run nothing is known
    assert not (tmp_path / TRAINED_ON_FILE).exists()


@pytest.mark.parametrize("test_fraction", [0.0, 0.1])
def test_of_one_document_that_was_cut_the_whole_is_known(
    tmp_path: Path, texts: Callable[..., Path], story: Callable[..., str], test_fraction: float
) -> None:
    root = texts(a_txt=story(1, paragraphs=80))
    RunFolder(tmp_path / "run").create("pretrain", {}, {})
    prepare(
        [Source(str(root))],
        tmp_path / "run" / "data",
        DataConfig(test_fraction=test_fraction),
        progress=Silent(),
    )
    known = read_trained_on(tmp_path / "run")
    assert known is not None and known.has((root / "a.txt").read_text())
    assert not known.has(story(2, paragraphs=80))


def test_a_stage_of_a_build_knows_the_data_stage_beside_it(
    tmp_path: Path, data_folder: Path
) -> None:
    RunFolder(tmp_path / "pretrain").create("pretrain", {}, {})
    RunFolder(tmp_path / "chat").create("chat", {}, {})
    (tmp_path / "data").symlink_to(data_folder)
    assert (
        read_trained_on(tmp_path / "pretrain") is None
    )  # a folder of that name beside a run is not its own
    (tmp_path / "build.json").write_text("{}")
    known = read_trained_on(tmp_path / "pretrain")
    assert known is not None and known.has(next(read_split(data_folder, TRAIN)).text)
    assert read_trained_on(tmp_path / "chat") is None


@pytest.mark.parametrize(
    "content",
    [
        "[]", "{}", '{"format": 2}', '{"format": 1}', '{"format": 1, "hashes": "xx", "beginnings": []}',
        '{"format": 1, "hashes": "00", "beginnings": []}', '{"format": 1, "hashes": "", "beginnings": [true]}',
        '{"format": 1, "hashes": 5, "beginnings": []}', "not json",
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / TRAINED_ON_FILE).write_text(content)
    with pytest.raises(FormatError, match=TRAINED_ON_FILE):
        read_trained_on(tmp_path)
