"""The texts of a run: one source or several, joined before they are split; prepared ones alone."""

import json
from pathlib import Path

import pytest

from groundup.data.batches.shards import ShardSet
from groundup.data.preparation.config import DataConfig
from groundup.errors import ConfigError
from groundup.planning.corpus import corpus, licences
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer


def made(folder: Path, *specs: str) -> tuple[ShardSet, Tokenizer]:
    run = RunFolder(folder / "run")
    return corpus(specs, run, DataConfig(), tokenizer=None, vocab_size=280, progress=Silent())


@pytest.fixture
def specs(tmp_path: Path) -> list[str]:
    """A folder of texts, and a data set laid out as the hub lays it."""
    (tmp_path / "letters").mkdir()
    for number in range(8):
        (tmp_path / "letters" / f"{number}.txt").write_text(
            f"Letter {number}. The fox sang of the sea. " * 20
        )
    (tmp_path / "tales").mkdir()
    rows = (
        json.dumps({"text": f"Tale {number}. The hen sang of the sea. " * 20})
        for number in range(8)
    )
    (tmp_path / "tales" / "train.jsonl").write_text("\n".join(rows))
    return [str(tmp_path / "letters"), f"hf:{tmp_path / 'tales'}"]


def test_several_sources_are_one_corpus(tmp_path: Path, specs: list[str]) -> None:
    made(tmp_path, *specs)
    card = json.loads((tmp_path / "run" / "data" / "data.json").read_text())
    assert [(each["source"]["spec"], each["kept_documents"]) for each in card["sources"]] == [
        (s, 8) for s in specs
    ]


def test_prepared_texts_are_not_joined_to_others(tmp_path: Path, specs: list[str]) -> None:
    made(tmp_path, *specs)
    for prepared in ("data", "shards"):
        with pytest.raises(ConfigError, match="is prepared already and can't be joined"):
            made(tmp_path, specs[0], str(tmp_path / "run" / prepared))
    assert made(tmp_path, str(tmp_path / "run" / "data"))


def test_options_of_reading_are_refused_for_prepared_texts(
    tmp_path: Path, specs: list[str]
) -> None:
    made(tmp_path, *specs)
    config = DataConfig(text="body", test_fraction=0.2)
    with pytest.raises(ConfigError, match="its texts are not read again") as caught:
        other = RunFolder(tmp_path / "other")
        corpus(
            [str(tmp_path / "run" / "data")],
            other,
            config,
            tokenizer=None,
            vocab_size=280,
            progress=Silent(),
        )
    assert caught.value.fix and caught.value.fix.startswith("Leave `text` and `test_fraction` out")


def test_the_licences_for_the_model_card_are_those_stated(tmp_path: Path) -> None:
    table = "[[data.sources]]\nspec = 's3://shelf/a'\nname = 'shelf'\nlicence = 'CC0-1.0'\n"
    (tmp_path / "list.toml").write_text(table)
    found = licences(["letters", "hf:a/b", str(tmp_path / "list.toml")])
    assert found == (("letters", "the user's own"), ("hf:a/b", "not stated"), ("shelf", "CC0-1.0"))
