"""What a run repeats of its training text: planted personal data is found in an overfitted run,
and one pass finds what greedy decoding writes."""

import json
from pathlib import Path

import pytest

import groundup
from groundup.cli.main import run
from groundup.data.documents import Document
from groundup.data.split import SplitWriter
from groundup.device import Compute
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.engine.score import score
from groundup.evaluate.memorisation import PASSAGES, find_memorised
from groundup.evaluate.task import language_model
from groundup.progress import Silent
from groundup.weights.model_io import OpenModel, save_model

SECRET = "For the keys of the boat write to jane.doe@example.org before noon."
SETTINGS = (
    "model.width=48",
    "model.num_layers=2",
    "model.num_heads=4",
    "model.vocab_size=300",
    "model.context_tokens=64",
    "fit.batch_size=8",
)


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that read one line some 200 times, and other lines that no step ever saw."""
    folder = tmp_path_factory.mktemp("memorised")
    (folder / "texts").mkdir()
    (folder / "texts" / "a.txt").write_text(f"{SECRET}\n" * 30)
    (folder / "texts" / "b.txt").write_text(
        "Seven grey herons stand beside the old lock; call 555-0100 or mail bob@example.com.\n" * 9
    )
    config = groundup.PretrainConfig(steps=60, settings=SETTINGS)
    groundup.pretrain(folder / "texts", folder / "run", config, fixed_choices=True)
    return folder / "run"


def test_an_overfitted_run_repeats_the_personal_data_that_it_read(
    overfitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "memorised.json"
    assert run(["evaluate", str(overfitted), "--memorised", "--out", str(out)]) == 0
    shown, written = capsys.readouterr().out, json.loads(out.read_text())
    assert written == json.loads(json.dumps(groundup.run_memorised(overfitted).to_plain()))
    first = written["rows"][0]
    assert (first["kind"], first["split"]) == ("email", "train")
    assert first["repeated"] >= 1 and first["low"] > 0
    assert any("jane.doe@example.org" in each["text"] for each in written["repeated"])
    assert "personal data: email" in shown and "jane.doe@example.org" in shown
    assert "write to" in shown, "with the prompt before it"


def test_one_pass_finds_as_many_tokens_as_greedy_decoding_writes(
    opened: OpenModel, compute: Compute
) -> None:
    model, tokenizer = language_model(opened)
    ids = tokenizer.encode("See you at the station, call now to win a prize.")
    sampling = Sampling(temperature=0, max_tokens=8)
    greedy = list(generate_ids(model, ids[:6], sampling, (), compute=compute))
    for right in range(9):
        continuation = [*greedy[:right], *((token + 1) % 300 for token in greedy[right:])]
        [result] = score(model, [(ids[:6], continuation)], compute=compute)
        assert result.greedy_tokens == right
        assert result.is_greedy == (right == 8)


def test_held_out_personal_data_is_the_control_and_what_is_in_training_is_left_out(
    opened: OpenModel, compute: Compute, tmp_path: Path
) -> None:
    with SplitWriter(tmp_path, ("train", "validation")) as writer:
        writer.write("train", Document(f"{SECRET} Or to eve@example.net today.", "here", "one"))
        writer.write("validation", Document(f"{SECRET} Or to bob@example.com, too.", "here", "two"))
    found = find_memorised(opened, tmp_path, items=10, seed=0, compute=compute, progress=Silent())
    counted = {(row.kind, row.split): row.tried for row in found.rows}
    assert counted["email", "train"] == 2 and counted["email", "validation"] == 1
    assert {split for kind, split in counted if kind == PASSAGES} <= {"train", "validation"}
    with pytest.MonkeyPatch.context() as patch:  # a batch is read whole
        patch.setattr("groundup.evaluate.memorisation.MAX_BYTES", 8)
        patch.setattr("groundup.data.split.BATCH_BYTES", 1)
        (tmp_path / "long").mkdir()
        with SplitWriter(tmp_path / "long", ("train", "validation")) as writer:
            for name in ("one", "two"):
                document = Document(f"Write to {name}@example.org before noon.", "here", name)
                writer.write("train", document)
                writer.write("validation", Document("Nothing.", "here", name))
        part = find_memorised(
            opened, tmp_path / "long", items=9, seed=0, compute=compute, progress=Silent()
        )
        assert [row.tried for row in part.rows if row.kind == "email"] == [1], "of the first batch"
    fewer = find_memorised(opened, tmp_path, items=1, seed=0, compute=compute, progress=Silent())
    assert all(row.tried == 1 for row in fewer.rows)


def test_without_the_training_text_or_with_other_options_it_is_one_sentence(
    opened: OpenModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(opened.model, tmp_path / "m", opened.tokenizer)
    for args, said in (
        ([], "its training text is not there"),
        (["--tasks", "grammar"], "--memorised is measured of one run"),
        ([str(tmp_path / "m")], "--memorised is measured of one run"),
    ):
        assert run(["evaluate", str(tmp_path / "m"), *args, "--memorised"]) == 2
        assert said in " ".join(capsys.readouterr().err.split())
