"""The reader of names: its rows and marks, its file, and what the package's one reads."""

from pathlib import Path

import pytest
import torch

from groundup.device import Compute, generator, select_compute
from groundup.engine.engine import Engine
from groundup.errors import FormatError, ModelError
from groundup.files import verify_folder
from groundup.model.lora import add_lora
from groundup.progress import Silent
from groundup.retrieve.name_reader import (
    ADAPTER_FILE,
    KINDS,
    PACKAGED,
    THE_NAME,
    NameReader,
    NameScorer,
    find_name_reader,
    name_row,
    open_name_reader,
    spans_of,
    write_name_reader,
)
from groundup.retrieve.reader import encoder_of
from groundup.retrieve.vectors import open_encoder
from groundup.weights.lora_file import encoder_hashes
from groundup.weights.model_io import open_model
from tests.tiny_encoder import save_encoder, wordpiece

CPU = Compute(torch.device("cpu"))


def marked(message: str, *names: str) -> list[str]:
    """What is marked where the tokens of these parts have the highest score for a name."""
    row = name_row(wordpiece(), "", message)
    scores = torch.zeros(len(row.ids), len(KINDS))
    scores[:, 0] = 4.0
    for name in names:
        first = message.index(name)
        for place, (start, end) in enumerate(row.places):
            scores[place, THE_NAME] += 8.0 * (first <= start < end <= first + len(name))
    return [message[slice(*span)] for span in spans_of(message, row, scores)]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(open_model(save_encoder(tmp_path / "tiny", context_tokens=64), CPU), CPU)


def random_scorer(engine: Engine) -> NameScorer:
    """A scorer whose numbers are all drawn."""
    scorer, draw = (
        NameScorer(encoder_of(Engine(open_model(engine.path, CPU), CPU))),
        generator(0, "names"),
    )
    add_lora(scorer.transformer, rank=2, alpha=4.0, generator=draw)
    for name, each in scorer.named_parameters():
        if "lora_" in name or name.startswith(("score.", "writing.")):
            each.data.normal_(0.0, 0.5, generator=draw)
    return scorer


def test_a_row_has_the_question_and_how_each_word_is_written() -> None:
    tokenizer = wordpiece()
    row = name_row(tokenizer, "the cat?", "Mat, ON 7 mat")
    assert tokenizer.decode(row.ids) == "[CLS] the cat ?[SEP] mat , on 7 mat[SEP]"
    own = [(place, kind) for place, kind in zip(row.places, row.writing, strict=True) if any(place)]
    assert own == [((0, 3), 2), ((3, 4), 0), ((5, 7), 3), ((8, 9), 0), ((10, 13), 1)]
    long = name_row(tokenizer, "the " * 90, "cat " * 900)
    assert len(long.ids) == 256 and long.ids[-1] == tokenizer.end_ids[0]


def test_words_of_one_name_are_marked_together_and_two_names_apart() -> None:
    said = "for J. R. o'neill-bo, ann and mo"
    assert marked(said, "J. R. o'neill-bo", "ann", "mo") == ["J. R. o'neill-bo", "ann", "mo"]
    assert marked("joy. joy winter", "joy. joy winter") == ["joy", "joy winter"]
    assert marked("bartholomew", "ba") == [], "most of the word is none"
    assert marked("", "") == []


@torch.inference_mode()
def scores(reader: NameReader, asked: str, message: str) -> torch.Tensor:
    row = name_row(reader.tokenizer, asked, message)
    ids, writing = torch.tensor([row.ids]), torch.tensor([row.writing])
    found: torch.Tensor = reader.scorer(ids, torch.ones_like(ids, dtype=torch.bool), writing)
    return found[0]


def test_it_is_written_and_read_again_and_the_encoder_stays_as_it_was(
    engine: Engine, tmp_path: Path
) -> None:
    scorer = random_scorer(engine)
    before = encoder_hashes(encoder_of(engine).transformer)
    write_name_reader(scorer, tmp_path / "names", before, "drawn", torch.float32)
    again = open_name_reader(engine, tmp_path / "names")
    assert encoder_hashes(encoder_of(engine).transformer) == before
    expected = scores(NameReader(scorer, engine.tokenizer), "is it?", "on the Mat")
    torch.testing.assert_close(scores(again, "is it?", "on the Mat"), expected)
    others = [scores(again, "be it?", "on the Mat"), scores(again, "is it?", "on the mat")]
    assert not any(torch.allclose(each[-4:-1], expected[-4:-1]) for each in others)


def test_a_damaged_file_and_another_encoder_are_refused(engine: Engine, tmp_path: Path) -> None:
    assert find_name_reader(engine) is None
    with pytest.raises(ModelError, match="another encoder"):
        open_name_reader(engine)
    folder = tmp_path / "names"
    base = encoder_hashes(encoder_of(engine).transformer)
    write_name_reader(random_scorer(engine), folder, base, "drawn", torch.int8)
    file = folder / ADAPTER_FILE
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(FormatError, match="altered or damaged"):
        open_name_reader(engine, folder)


def test_the_packages_file_is_whole_and_small() -> None:
    assert verify_folder(PACKAGED)[ADAPTER_FILE]["bytes"] < 250_000


@pytest.mark.network
@pytest.mark.parametrize(
    ("asked", "message", "names"),
    [
        ("", "2 more sutcases on QTRZWD pls, surname quayle", ["quayle"]),
        ("In what name?", "delaney, im a student", ["delaney"]),
        ("", "its for tom harris is there parking", ["tom harris"]),
        ("In what name?", "Mrs O'Neill-van der Berg, please", ["O'Neill-van der Berg"]),
        ("In what name?", "why do you need that", []),
        ("", "will the bus to chelsea still go at 8 in may, mark my words", []),
    ],
)
def test_names_are_read_as_people_type_them(asked: str, message: str, names: list[str]) -> None:
    engine = open_encoder("all-minilm-l6-v2", select_compute("cpu"), Silent())
    reader = find_name_reader(engine)
    assert reader is not None
    assert [message[slice(*span)] for span in reader.mark(asked, message)] == names
