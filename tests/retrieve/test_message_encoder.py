"""The encoder of customers' messages: its file, and what the package's one says."""

from pathlib import Path

import numpy as np
import pytest
import torch

from groundup.device import Compute, generator, select_compute
from groundup.engine.engine import Engine
from groundup.errors import FormatError, ModelError
from groundup.files import verify_folder, write_manifest
from groundup.model.lora import add_lora, lora_parameters, shared_copy
from groundup.progress import Silent
from groundup.retrieve.message_encoder import (
    ADAPTER_FILE,
    PACKAGED,
    find_message_encoder,
    open_message_encoder,
)
from groundup.retrieve.reader import encoder_of
from groundup.retrieve.vectors import open_encoder
from groundup.weights.catalog import SENTENCE_ENCODER
from groundup.weights.lora_file import encoder_hashes, write_lora_file
from groundup.weights.model_io import open_model
from tests.tiny_encoder import save_encoder

CPU = Compute(torch.device("cpu"))
SAID = ["the cat is on the mat", "on the mat"]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(open_model(save_encoder(tmp_path / "tiny", context_tokens=64), CPU), CPU)


def test_an_adapter_changes_the_vectors_of_wishes_and_no_others(
    engine: Engine, tmp_path: Path
) -> None:
    before = engine.embed(SAID).numpy()
    tuned, draw = shared_copy(encoder_of(engine)), generator(0, "messages")
    base = encoder_hashes(tuned.transformer)
    add_lora(tuned, rank=2, alpha=4.0, generator=draw)
    for each in lora_parameters(tuned):
        each.data.normal_(0.0, 0.5, generator=draw)
    file = tmp_path / ADAPTER_FILE
    write_lora_file(tuned, file, base, "drawn")
    write_manifest(tmp_path)
    opened = open_message_encoder(engine, tmp_path)
    assert np.array_equal(opened.texts(SAID), before)
    assert not np.allclose(opened.wishes(SAID), before, atol=0.01)
    assert opened.mark_names is None, "the package's reader of names is of another encoder"
    file.write_bytes(file.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(FormatError, match="altered or damaged"):
        open_message_encoder(engine, tmp_path)


def test_the_packages_adapter_is_of_another_encoder_than_a_users_own(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="another encoder"):
        open_message_encoder(engine)
    assert find_message_encoder(CPU, Silent(), engine) is None


def test_the_packages_file_is_whole_and_small() -> None:
    assert verify_folder(PACKAGED)[ADAPTER_FILE]["bytes"] < 190_000


@pytest.mark.network
def test_a_wish_is_near_an_order_and_a_question_about_it_is_not() -> None:
    encoder = open_message_encoder(open_encoder(SENTENCE_ENCODER, select_compute("cpu"), Silent()))
    assert encoder.mark_names is not None
    order, wish, question = encoder.wishes(
        [
            "I want to cancel my booking",
            "we won't be coming that week after all, take us off",
            "how much is it to cancel a booking?",
        ]
    )
    assert order @ wish > 0.3 + order @ question
