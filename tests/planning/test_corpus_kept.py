"""Prepared texts lie beside the run: the same command again reads none of them, unless they were changed."""

import os
import shutil
from pathlib import Path

import pytest

import groundup
from groundup.data.batches.shards import ShardSet
from groundup.data.preparation.config import DataConfig
from groundup.data.processing.steps import ProcessConfig
from groundup.errors import ConfigError, DataError
from groundup.planning import corpus as module
from groundup.planning.corpus import PREPARED, corpus
from groundup.planning.pretrain_options import pretrain_options
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer

PARTS = {"prepare", "train_tokenizer", "write_shards"}
SMALL = [
    *(
        "model.width=16",
        "model.num_layers=1",
        "model.num_heads=2",
        "model.num_kv_heads=1",
        "model.context_tokens=16",
    ),
    *("model.vocab_size=280", "fit.precision=float32", "fit.batch_size=2"),
]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.txt").write_text(
            f"Tale {number}. The fox and the hen sang of the sea. " * 20
        )
    return folder


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the parts that were made, in order."""
    made: list[str] = []

    def recorded(name: str) -> None:
        original = getattr(module, name)

        def call(*values: object, **named: object) -> object:
            made.append(name)
            return original(*values, **named)

        monkeypatch.setattr(module, name, call)

    for name in PARTS:
        recorded(name)
    return made


def prepared(
    texts: Path, config: DataConfig = DataConfig(), tokenizer: Path | None = None
) -> tuple[ShardSet, Tokenizer]:
    run = RunFolder(texts.parent / "run")
    return corpus([str(texts)], run, config, tokenizer=tokenizer, vocab_size=280, progress=Silent())


def test_the_second_call_makes_nothing_and_gives_the_same(texts: Path, done: list[str]) -> None:
    first, encoder = prepared(texts)
    assert done == ["prepare", "train_tokenizer", "write_shards"]
    again, same = prepared(texts)
    assert (
        len(done) == 3
        and again.fingerprint == first.fingerprint
        and same.fingerprint == encoder.fingerprint
    )
    assert {path.name for path in (texts.parent / "run").iterdir()} <= set(PREPARED)


def test_steps_over_documents_are_made_once(texts: Path, done: list[str]) -> None:
    config = DataConfig(
        process=ProcessConfig(("personal-data",), decontaminate=(str(texts / "3.txt"),))
    )
    for expected in (3, 3):
        prepared(texts, config)
        assert len(done) == expected
    prepared(texts)
    assert len(done) == 6


def test_changed_evaluation_items_make_it_again(texts: Path, done: list[str]) -> None:
    items = texts.parent / "items.txt"
    config = DataConfig(process=ProcessConfig(decontaminate=(str(items),)))
    for expected, text in (
        (3, "No text has this sentence of more than eight words in it."),
        (6, "Of owls. " * 9),
    ):
        items.write_text(text)
        prepared(texts, config)
        assert len(done) == expected


def test_rules_are_applied_again_once_languages_are_detected(
    texts: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = DataConfig(process=ProcessConfig(rules=("codex-longest-line",)))
    for detects, expected in ((False, 3), (False, 3), (True, 6)):
        monkeypatch.setattr(
            "groundup.data.processing.steps.can_detect", lambda detects=detects: detects
        )
        prepared(texts, config)
        assert len(done) == expected


@pytest.mark.parametrize("part", ["data", "shards"])
def test_steps_over_prepared_texts_are_refused(texts: Path, part: str) -> None:
    prepared(texts)
    with pytest.raises(ConfigError, match="prepared already: no steps"):
        prepared(texts.parent / "run" / part, DataConfig(process=ProcessConfig(("personal-data",))))


def test_another_engine_makes_nothing_again(texts: Path, done: list[str]) -> None:
    first, _ = prepared(texts)
    run = RunFolder(texts.parent / "run")
    again, _ = corpus(
        [str(texts)],
        run,
        DataConfig(),
        tokenizer=None,
        vocab_size=280,
        runner="processes",
        progress=Silent(),
    )
    assert len(done) == 3 and again.fingerprint == first.fingerprint
    plans = [
        pretrain_options(
            str(texts),
            groundup.PretrainConfig(steps=2, texts=groundup.TextPreparation(runner=runner)),
        ).key()
        for runner in ("auto", "processes")
    ]
    assert plans[0] == plans[1]


def test_new_times_alone_make_nothing_again(texts: Path, done: list[str]) -> None:
    prepared(texts)
    os.utime(texts / "3.txt", (1, 1))
    prepared(texts)
    assert len(done) == 3


def test_changed_texts_options_or_tokenizer_do(texts: Path, done: list[str]) -> None:
    first, encoder = prepared(texts)
    before = (texts / "3.txt").stat()
    (texts / "3.txt").write_text("A new tale of the sea. " * 40)
    os.utime(texts / "3.txt", ns=(before.st_atime_ns, before.st_mtime_ns))  # the size tells
    changed, _ = prepared(texts)
    assert len(done) == 6 and changed.fingerprint != first.fingerprint
    prepared(texts, DataConfig(validation_fraction=0.3))
    assert len(done) == 9
    encoder.save(texts.parent / "other")
    prepared(texts, tokenizer=texts.parent / "other")
    assert done[9:] == ["prepare", "write_shards"]


@pytest.mark.parametrize(
    ("part", "file", "made"),
    [
        ("shards", "train.bin", ["write_shards"]),
        ("tokenizer", "tokenizer.json", ["train_tokenizer"]),
        ("shards", "", ["write_shards"]),
    ],
)
def test_a_part_that_is_damaged_or_missing_is_made_again(
    texts: Path, done: list[str], part: str, file: str, made: list[str]
) -> None:
    first, _ = prepared(texts)
    if file:
        path = texts.parent / "run" / part / file
        path.write_bytes(path.read_bytes()[:-3] + b"abc")
    else:
        shutil.rmtree(texts.parent / "run" / part)
    again, _ = prepared(texts)
    assert done[3:] == made and again.fingerprint == first.fingerprint


def test_what_was_done_before_a_stop_is_not_done_again(
    texts: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*values: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, "write_shards", stopped)
        prepared(texts)
    prepared(texts)
    assert done == ["prepare", "train_tokenizer", "write_shards"]


def test_texts_that_are_gone_are_needed_no_more_and_never_found_is_an_error(
    texts: Path, done: list[str]
) -> None:
    first, _ = prepared(texts)
    texts.rename(texts.parent / "elsewhere")
    again, _ = prepared(texts)
    assert len(done) == 3 and again.fingerprint == first.fingerprint
    with pytest.raises(DataError, match="does not exist"):
        prepared(texts.parent / "nowhere")


def test_a_finished_run_answers_without_its_texts(texts: Path, done: list[str]) -> None:
    out = texts.parent / "run"
    first = groundup.pretrain(texts, out, groundup.PretrainConfig(steps=2, settings=SMALL))
    count = len(done)
    assert (
        groundup.pretrain(texts, out, groundup.PretrainConfig(steps=2, settings=SMALL)) == first
        and len(done) == count
    )
    shutil.rmtree(texts)
    assert (
        groundup.pretrain(texts, out, groundup.PretrainConfig(steps=2, settings=SMALL)) == first
        and len(done) == count
    )
