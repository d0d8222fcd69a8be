"""`groundup pretrain` as a user meets it: texts in, a model folder out, one sentence where it can't be."""

import json
from difflib import SequenceMatcher
from pathlib import Path

import pytest
import torch

from groundup.cli.main import run
from groundup.data.batches.loader import Batch, Windows
from groundup.device import Compute
from groundup.errors import FormatError
from groundup.files import read_json, verify_folder, write_json
from groundup.planning.reproduce import recorded_changes
from groundup.runs import RunFolder, read_lines
from groundup.train.steps.step_schedule import Rescale, Threads
from groundup.weights.model_io import open_model

SMALL = [
    *("--set", "model.width=32", "--set", "model.num_layers=1", "--set", "model.context_tokens=16"),
    *(
        "--set",
        "model.vocab_size=280",
        "--set",
        "fit.precision=float32",
        "--set",
        "fit.batch_size=2",
    ),
]


def test_texts_become_a_model_folder_and_the_same_command_does_nothing(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = ["pretrain", str(texts), "--out", str(out), "--steps", "4", *SMALL, "--json"]
    assert run(command) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["steps"] == 4 and results["bits_per_byte"] > 0
    verify_folder(out)
    opened = open_model(out, Compute(torch.device("cpu")))
    assert (opened.config.width, opened.config.head_width, opened.config.vocab_size) == (32, 8, 280)
    assert run(command) == 0
    assert json.loads(capsys.readouterr().out) == results
    assert run([*command[:-1], "--set", "fit.optimizer.learning_rate=0.01"]) == 2
    said = capsys.readouterr().err
    assert "learning_rate was 0.006 and is 0.01" in said and "--fresh" in said
    assert run([*command[:-1], "--set", "fit.optimizer.learning_rate=0.01", "--fresh"]) == 0
    assert read_json(out / "fit.json")["identity"]["config"]["optimizer"]["learning_rate"] == 0.01
    shards = [
        "pretrain",
        str(out / "shards"),
        "--out",
        str(tmp_path / "again"),
        "--steps",
        "1",
        *SMALL,
    ]
    assert run(shards) == 0, "the shards of one run serve another, with its tokenizer"


def test_texts_are_read_and_split_as_the_options_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts, out = tmp_path / "texts", tmp_path / "run"
    texts.mkdir()
    for number in range(12):
        (texts / f"{number}.txt").write_bytes(
            (f"Сказка {number}. Лиса и курица поют о море. " * 20).encode("cp1251")
        )
    (texts / "empty.txt").write_text(" ")
    command = ["pretrain", str(texts), "--out", str(out), "--steps", "2", *SMALL]
    assert run(command) == 2
    assert "--charset cp1251" in " ".join(capsys.readouterr().err.split())
    assert (
        run(
            [
                *command,
                "--charset",
                "cp1251",
                "--test-fraction",
                "0.25",
                "--keep-dropped",
                "--json",
            ]
        )
        == 0
    )
    results = json.loads(capsys.readouterr().out)
    assert results["test"]["bits_per_byte"] > 0 and results["test"]["tokens"] > 0
    card = read_json(out / "data" / "data.json")
    assert (card["config"]["charset"], card["config"]["test_fraction"]) == ("cp1251", 0.25)
    assert card["sources"][0]["read"]["charsets"]["cp1251"]["count"] == 13
    dropped = [
        json.loads(line) for line in (out / "data" / "dropped.jsonl").read_text().splitlines()
    ]
    assert [(row["name"], row["reason"]) for row in dropped] == [("empty.txt", "empty")]
    verify_folder(out / "data")
    assert run([*command, "--charset", "cp1251", "--test-fraction", "0.25", "--keep-dropped"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    bits, test = results["bits_per_byte"], results["test"]
    assert (
        f"{test['bits_per_byte']:.3f} bits per byte of test text (n = {test['tokens']:,} tokens), {bits:.3f}"
        in said
    )
    assert run([*command, "--charset", "cp1251", "--test-fraction", "0", "--fresh", "--json"]) == 0
    assert (
        "test" not in json.loads(capsys.readouterr().out)
        and not (out / "data" / "test.jsonl").exists()
    )


@pytest.mark.parametrize(
    "extra", [[], ["--set", "fit.optimizer=muon", "--set", "fit.schedule=wsd"]]
)
def test_a_run_done_again_from_its_folder_is_the_same_byte_for_byte(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str]
) -> None:
    out, again = tmp_path / "run", tmp_path / "again"
    assert (
        run(
            [
                "pretrain",
                str(texts),
                "--out",
                str(out),
                "--steps",
                "6",
                *SMALL,
                *extra,
                "--seed",
                "5",
            ]
        )
        == 0
    )
    for file in texts.iterdir():
        file.unlink()  # the folder is enough
    capsys.readouterr()
    assert run(["pretrain", "--again", str(out), "--out", str(again), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same_weights"] is True
    first, second = (read_json(folder / "fit.json")["muon_precision"] for folder in (out, again))
    assert first == second == read_json(out / "results.json")["muon_precision"]
    assert (out / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()
    assert (out / "samples.jsonl").read_bytes() == (again / "samples.jsonl").read_bytes()
    if not extra:
        assert run(["pretrain", "--again", str(again), "--out", str(tmp_path / "third")]) == 0, (
            "its shards lie in the first"
        )


def test_a_run_with_muon_in_float32_is_done_again_so_on_a_processor_with_bf16(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, again = tmp_path / "run", tmp_path / "again"
    monkeypatch.setattr("groundup.device.cpu_has_bf16", lambda: False)
    assert (
        run(["pretrain", str(texts), "--out", str(out), "--steps", "6", *SMALL, "--seed", "5"]) == 0
    )
    assert "Muon orthogonalises in float32: a matrix product takes" in " ".join(
        capsys.readouterr().err.split()
    )
    monkeypatch.setattr("groundup.device.cpu_has_bf16", lambda: True)
    assert run(["pretrain", "--again", str(out), "--out", str(again), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same_weights"] is True


@pytest.mark.parametrize(("muon_s", "optimizer"), [(0.17, "muon"), (0.19, "adamw")])
def test_a_plan_for_a_time_takes_the_optimizer_that_pays_and_says_why(
    texts: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    muon_s: float,
    optimizer: str,
) -> None:
    monkeypatch.setattr(
        "groundup.planning.measure.Benchmark.optimizer_step_s",
        lambda *_, **__: {"muon": muon_s, "adamw": 0.1},
    )
    monkeypatch.setattr("groundup.planning.measure.MEASURED_S", 0.02)
    assert (
        run(["pretrain", str(texts), "--out", "nowhere", "--minutes", "0.5", "--dry-run", *SMALL])
        == 0
    )
    said = " ".join(capsys.readouterr().out.split())
    assert (
        f"{optimizer}: a step takes {1000 * muon_s:.0f} ms with Muon and 100 ms with AdamW" in said
    )
    assert f"learning rate {'0.006, muon' if optimizer == 'muon' else '0.002, adamw'}" in said


def test_a_run_is_not_done_again_with_other_data(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert run(["pretrain", str(texts), "--out", str(out), "--steps", "1", *SMALL]) == 0
    others = (["--charset", "cp1251"], ["--test-fraction", "0"], ["--keep-dropped"])
    for wrong in ([str(texts)], ["--steps", "3"], ["--seed", "2"], *others):
        assert run(["pretrain", *wrong, "--again", str(out), "--out", str(tmp_path / "b")]) == 2
        assert "--again takes all options" in capsys.readouterr().err
    assert run(["pretrain", "--again", str(out), "--out", str(out)]) == 2
    record = read_json(out / "run.json")
    record["inputs"]["shards"] = "0" * 64
    write_json(out / "run.json", record)
    assert run(["pretrain", "--again", str(out), "--out", str(tmp_path / "b")]) == 2
    assert "was trained with other shards" in " ".join(capsys.readouterr().err.split())
    assert run(["pretrain", "--again", str(texts), "--out", str(tmp_path / "b")]) == 2
    assert "is not a run" in " ".join(capsys.readouterr().err.split())
    assert run(["pretrain", "--out", str(tmp_path / "b")]) == 2
    assert not (tmp_path / "b").exists()


def test_a_time_becomes_a_plan_once_and_is_held_against_what_came(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.planning.measure.MEASURED_S", 0.05)
    monkeypatch.setattr("groundup.planning.prepare.steps_within", lambda *_: 3)
    out = tmp_path / "run"
    command = ["pretrain", str(texts), "--out", str(out), "--minutes", "0.5", *SMALL]
    assert run(command) == 0
    printed = capsys.readouterr().out
    assert all(
        words in printed
        for words in ("planned", "actual", "difference", "minutes", "memory, GB", "bits per byte")
    )
    samples = [*read_lines(out / "samples.jsonl")]
    last = [each["text"] for each in samples if each["prompt"] == samples[0]["prompt"]][-2:]
    assert SequenceMatcher(None, *last).ratio() < 0.5, "a step has random numbers of its own"
    words = samples[0]["prompt"].split()[:2]
    assert f"Try it: groundup generate {out} '{' '.join(words)}" in printed, (
        "a beginning from the user's own text"
    )
    results = read_json(out / "results.json")
    assert results["steps"] == 3
    assert set(results["planned"]) == {
        "minutes",
        "memory_bytes",
        "tokens_per_s",
        "bits_per_byte",
        "bits_per_byte_range",
    }
    assert set(results["actual"]) <= set(results["planned"])
    monkeypatch.setattr("groundup.planning.prepare.steps_within", lambda *_: 4)
    assert run(command) == 0, "the plan in the folder holds, so it is the same run"
    assert read_json(out / "plan.json")["fit"]["steps"] == 3


@pytest.mark.slow
def test_a_time_is_kept_over_a_stop_and_the_run_done_again_takes_the_same_turns(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planned are 64 steps; all of them, and as many again, take far less than the half minute."""
    monkeypatch.setattr("groundup.planning.measure.MEASURED_S", 0.05)
    monkeypatch.setattr("groundup.planning.prepare.steps_within", lambda *_: 64)
    monkeypatch.setattr("groundup.train.monitor.time_budget.MAX_SCALE", 2)
    monkeypatch.setattr("groundup.train.monitor.samples.SAMPLE_TOKENS", 4)
    seldom = ["--set", "fit.evaluate_every=32", "--set", "fit.checkpoints.every=16"]
    out, again = tmp_path / "run", tmp_path / "again"
    command = ["pretrain", str(texts), "--out", str(out), "--minutes", "0.5", *SMALL, *seldom]
    batch = Windows.batch

    def stopped(windows: Windows, position: int) -> Batch:
        if position == 20 and (out / "checkpoints" / "step-16").exists():
            raise KeyboardInterrupt
        return batch(windows, position)

    with monkeypatch.context() as patch:
        patch.setattr(Windows, "batch", stopped)
        assert run(command) == 130
    said = capsys.readouterr().err
    assert "Stopped after step 20 of 128" in said and "than expected" not in said
    assert run(command) == 0
    assert (
        capsys.readouterr().err.count(
            "faster than expected: 128 steps instead of 64 in the time budget."
        )
        == 1
    )
    results = read_json(out / "results.json")
    assert results["steps"] == results["rescales"][-1]["steps"] == 128
    capsys.readouterr()
    assert run(["pretrain", "--again", str(out), "--out", str(again), "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["same_weights"] is True and done["rescales"] == results["rescales"]
    assert (out / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()
    assert (out / "samples.jsonl").read_bytes() == (again / "samples.jsonl").read_bytes()


def test_turns_and_threads_of_a_run_are_read_from_its_results_or_its_newest_checkpoint(
    tmp_path: Path,
) -> None:
    folder = RunFolder(tmp_path / "run")
    assert recorded_changes(folder) == ((), ())
    for step in (8, 12):
        checkpoint = folder.checkpoints / f"step-{step}"
        checkpoint.mkdir(parents=True)
        changes = {
            "rescales": [{"step": 4, "place": 4.0, "steps": 2 * step}],
            "threads": [{"step": 0, "count": step}],
        }
        write_json(checkpoint / "state.json", {"identity": "", **changes})
    assert recorded_changes(folder) == ((Rescale(4, 4.0, 24),), (Threads(0, 12),))
    folder.write_results(
        {"rescales": [{"step": 4, "place": 4.0, "steps": 30}], "threads": [{"step": 0, "count": 2}]}
    )
    assert recorded_changes(folder) == ((Rescale(4, 4.0, 30),), (Threads(0, 2),))
    folder.write_results({"steps": 30})
    assert recorded_changes(folder) == ((), ())
    for wrong in (3, [{"step": 0}], [{"step": 0, "count": 0}], [{"step": 3, "count": 1}]):
        folder.write_results({"threads": wrong})
        with pytest.raises(FormatError, match=r"results\.json"):
            recorded_changes(folder)
    for wrong in (3, ["x"], [{"step": 4}], [{"step": 4, "place": 4.0, "steps": 4}]):
        folder.write_results({"rescales": wrong})
        with pytest.raises(FormatError, match=r"results\.json"):
            recorded_changes(folder)


def test_dry_run_prints_the_plan_and_writes_nothing(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.planning.measure.MEASURED_S", 0.05)
    out = tmp_path / "run"
    assert (
        run(["pretrain", str(texts), "--out", str(out), "--minutes", "1", *SMALL, "--dry-run"]) == 0
    )
    printed = capsys.readouterr().out
    assert all(
        word in printed
        for word in ("parameters", "tokens", "loss", "memory", "disk", "time", "note:")
    )
    assert not out.exists()


@pytest.mark.parametrize(
    ("extra", "word"),
    [
        (["--set", "fit.learning_rat=1"], "Did you mean 'fit.optimizer.learning_rate'"),
        (["--set", "speed=9"], "Fields begin with"),
        (["--preset", "quickstar"], "quickstart"),
        (["--steps", "3", "--minutes", "1"], "must be given once"),
        (["--tokens", "3", "--epochs", "1"], "must be given once"),
        (["--size", "3X", "--steps", "1"], "can't be read"),
        (["--size", "1M", "--depth", "3", "--steps", "1"], "both give the model's shape"),
        (["--depth", "99", "--steps", "1"], "depth must be 1 to"),
        (["--set", "model.num_kv_heads=3"], "3 key/value heads"),
        (["--set", "model.context_tokens=100000", "--steps", "1"], "are missing"),
    ],
)
def test_what_cannot_be_ends_in_one_sentence(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], word: str
) -> None:
    assert run(["pretrain", str(texts), "--out", str(tmp_path / "run"), *extra]) == 2
    assert word in " ".join(capsys.readouterr().err.split())


def test_a_folder_with_other_files_is_never_written_to(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "README.md").write_text("precious")
    assert run(["pretrain", str(texts), "--out", str(out), "--steps", "1", "--fresh"]) == 2
    assert "is not a run" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["README.md"]
