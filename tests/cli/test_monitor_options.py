"""--log, --prompts and --task: what they make, and one sentence where they can't."""

import json
from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.cli.options import MonitorOptions, read_prompts
from groundup.progress import Silent
from groundup.runs import RunFolder, read_lines

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


def test_prompts_tasks_and_logs_are_seen_in_the_run(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(
        "tensorboard", reason="needs tensorboard: pip install 'groundup[tensorboard]'"
    )
    (tmp_path / "prompts.txt").write_text("The fox\n\nThe hen\n")
    other = tmp_path / "other.txt"
    other.write_text("The hen sang. " * 20)
    looks = [
        "--prompts",
        str(tmp_path / "prompts.txt"),
        "--task",
        f"text={other}",
        "--log",
        "tensorboard",
    ]
    out = tmp_path / "run"
    assert (
        run(["pretrain", str(texts), "--out", str(out), "--steps", "2", *SMALL, *looks, "--json"])
        == 0
    )
    results = json.loads(capsys.readouterr().out)
    assert results[f"{other}:bits_per_byte"] > 0 and results["evaluation_s"] >= 0
    assert {line["prompt"] for line in read_lines(RunFolder(out).samples_file)} == {
        "The fox",
        "The hen",
    }
    assert list((out / "logs" / "tensorboard").glob("events*"))
    assert run(["verify", str(out)]) == 0


@pytest.mark.parametrize(
    ("extra", "word"),
    [
        (["--log", "tensorbord"], "Did you mean 'tensorboard'"),
        (["--task", "poems"], "Known: answers, labels, text"),
        (["--task", "text"], "--task text=FILE"),
        (["--task", "text=nowhere"], "nowhere"),
        (["--task", "answers", "--task", "answers"], "is named twice"),
        (["--prompts", "nowhere.txt"], "can't be read"),
    ],
)
def test_what_cannot_be_looked_at_is_one_sentence(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], word: str
) -> None:
    out = tmp_path / "run"
    assert run(["pretrain", str(texts), "--out", str(out), *extra]) == 2
    assert word in " ".join(capsys.readouterr().err.split()) and not out.exists()


@pytest.mark.parametrize("data", [b"\n \n", b"\xff\xfe", b"x" * (2**20 + 1)])
def test_prompts_that_are_none_are_refused(tmp_path: Path, data: bytes) -> None:
    from groundup.errors import DataError

    (tmp_path / "prompts").write_bytes(data)
    with pytest.raises(DataError, match="--prompts"):
        read_prompts(tmp_path / "prompts")


def test_the_packaged_questions_are_a_task(tmp_path: Path) -> None:
    (tmp_path / "mail.csv").write_text(
        "text,label\n" + "".join(f"t{n},{'ab'[n % 2]}\n" for n in range(8))
    )
    options = MonitorOptions(task=["answers", f"labels={tmp_path / 'mail.csv'}"])
    looks = options.config(seed=0, progress=Silent())
    assert [task.name for task in looks.tasks] == ["answers", "checked answers", "zero-shot"]
