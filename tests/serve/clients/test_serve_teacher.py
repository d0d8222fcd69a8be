"""A teacher behind a real `groundup serve`, and a folder's model as one: its answers become the examples of a chat model."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import groundup
from groundup.api.teaching import TEACHER_FOLDER, taught_data
from groundup.data.reading.data import Data
from groundup.data.reading.examples import read_prompts
from groundup.device import Compute
from groundup.errors import ConfigError, DataError, NetworkError
from groundup.finetune.config import ChatConfig
from groundup.finetune.distillation import ANSWERS, PROVENANCE, TaughtData, teach
from groundup.finetune.teacher import KEY_VARIABLE, TaughtAnswer, TeacherIdentity, TeacherOutput
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.tokenizer.chat import Message

CPU = Compute(torch.device("cpu"))
WORDS = ("the fox", "a hen", "two dogs", "my cat", "her boat", "old trees")


def write_rows(file: Path, *rows: dict[str, Any]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def write_prompts(file: Path, count: int = 12) -> Path:
    return write_rows(
        file, *({"prompt": f"{WORDS[n % 6]} number {n * n} of {n}?"} for n in range(count))
    )


def asked(address: str, **fields: Any) -> ChatConfig:
    config = ChatConfig(teacher=f"{address}/v1", teacher_model="ender", teacher_tokens=150)
    return replace(config, **fields)


def taught(config: ChatConfig, prompts: Path, out: Path) -> TaughtData:
    return taught_data(Data(prompts), RunFolder(out), config, CPU, fresh=False, progress=Silent())


def test_answers_of_a_server_train_a_model_whose_card_names_the_teacher(
    address: str, models: Path, tmp_path: Path
) -> None:
    prompts, out = write_prompts(tmp_path / "prompts.jsonl", 24), tmp_path / "run"
    config = asked(address, teacher_temperature=2.0, tokens=100, answers=0, precision="float32")
    results = groundup.finetune_chat(models / "ender", prompts, out, config)
    said = json.loads((out / TEACHER_FOLDER / PROVENANCE).read_text())
    assert said["teacher"] == "ender" and said["source"] == f"{address}/v1"
    assert said["asked"] == 24 and said["kept"] == sum(results.examples.values()) > 2
    assert said["kept"] + sum(said["left_out"].values()) == 24
    card = (out / "README.md").read_text()
    assert "the teacher ender at" in card and said["sha256"][:16] in card and said["date"] in card
    rows = (out / TEACHER_FOLDER / "examples.jsonl").read_text().split("\n")
    first = json.loads(rows[0])
    assert [each["role"] for each in first["messages"]] == ["user", "assistant"]
    assert groundup.finetune_chat(models / "ender", prompts, out, config) == results
    with pytest.raises(ConfigError, match=r"begun with another teacher \(temperature\)"):
        groundup.finetune_chat(
            models / "ender", prompts, out, replace(config, teacher_temperature=1.0)
        )
    config = ChatConfig(teacher=str(models / "tiny"), teacher_tokens=3)
    with pytest.raises(DataError, match="24 cut at the limit of tokens"):
        taught(config, prompts, tmp_path / "other")


def test_each_fault_is_one_sentence(
    address: str, guarded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts, out = write_prompts(tmp_path / "prompts.jsonl", 2), tmp_path / "run"
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match="wants a key"):
        taught(asked(guarded.address), prompts, out)
    monkeypatch.setenv(KEY_VARIABLE, "wrong")
    with pytest.raises(ConfigError, match="refuses the key"):
        taught(asked(guarded.address), prompts, out)
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(NetworkError, match="does not answer"):
        taught(asked("http://127.0.0.1:9"), prompts, out)
    with pytest.raises(ConfigError, match="answers 404 to nobody"):
        taught(asked(address, teacher_model="nobody"), prompts, out)
    with pytest.raises(ConfigError, match="needs the name of a model"):
        taught(asked(address, teacher_model=""), prompts, out)
    for wrong in ("file:///etc", "https://me:secret@host", "ftp://host", "http://[host"):
        with pytest.raises(ConfigError, match="of the form https://HOST/v1") as refused:
            taught(asked(wrong), prompts, out)
        assert "me:secret" not in str(refused.value)
    with pytest.raises(DataError, match="not recognised as prompts"):
        taught(asked(address), write_rows(tmp_path / "bad.jsonl", {"said": "b"}), out)
    with pytest.raises(ConfigError, match="is the name of a model at an address"):
        ChatConfig(teacher_model="ender")
    long = write_rows(tmp_path / "long.jsonl", {"prompt": "far " * 5000})
    with pytest.raises(DataError, match="answers 400 to ender"):
        taught(asked(address), long, out)
    assert not (out / TEACHER_FOLDER / PROVENANCE).exists()


class Written:
    """A teacher whose answers are given; an exception is raised in its place."""

    def __init__(self, *outputs: str | BaseException) -> None:
        self.identity = TeacherIdentity("written", "of a test", 9, 0.0)
        self.outputs, self.asked = outputs, list[Sequence[Message]]()

    def answers(self, prompts: Sequence[Sequence[Message]]) -> Iterator[tuple[int, TeacherOutput]]:
        self.asked += prompts
        for place, output in enumerate(self.outputs):
            if isinstance(output, KeyboardInterrupt):
                raise output
            yield place, TaughtAnswer(output, True) if isinstance(output, str) else output


def test_what_was_answered_is_kept_and_asked_no_more(tmp_path: Path) -> None:
    prompts = read_prompts(Data(write_prompts(tmp_path / "prompts.jsonl", 4)))
    folder = tmp_path / "teacher"

    def ask(*outputs: str | BaseException) -> int:
        teacher = Written(*outputs)
        try:
            teach(teacher, prompts, "rows", folder, progress=Silent())
        except (KeyboardInterrupt, DataError):
            return -len(teacher.asked)
        return len(teacher.asked)

    assert ask("one", "two", KeyboardInterrupt()) == -4
    file = folder / ANSWERS
    file.write_text(file.read_text()[:-20])  # as after kill -9
    assert ask("three", DataError("too long"), "four") == 3
    provenance = (folder / PROVENANCE).read_bytes()
    assert json.loads(provenance)["left_out"] == {"not answered": 1}
    assert ask("five") == 1 and ask() == 0
    texts = [json.loads(line) for line in (folder / "examples.jsonl").read_text().split("\n")[:-1]]
    assert [row["messages"][-1]["content"] for row in texts] == ["one", "three", "five", "four"]
    folder = tmp_path / "silent"
    assert ask("", "", DataError("no"), "") == -4 and not (folder / PROVENANCE).exists()


def test_answers_are_held_against_their_context_and_their_check(tmp_path: Path) -> None:
    context = "Delivery costs 4 pounds. It takes two days."
    questions = write_rows(
        tmp_path / "questions.jsonl",
        {"question": "What does delivery cost?", "context": context, "value": "4 pounds"},
        {"question": "And by air?", "context": context},
    )
    sums = write_rows(
        tmp_path / "sums.jsonl",
        {"prompt": "2 + 2?", "check": {"type": "number", "answer": "4"}},
        {"prompt": "2 + 3?", "check": {"type": "number", "answer": "5"}, "held_out": True},
    )
    prompts = [*read_prompts(Data(questions)), *read_prompts(Data(sums))]
    said = Written("It is 4 pounds.", "It is 9 pounds.", "It is 7.", "It is 5.")
    found = teach(said, prompts, "rows", tmp_path / "t", progress=Silent())
    assert found.provenance["left_out"] == {
        "not supported by their context": 1,
        "failing their check": 1,
    }
    kept = [json.loads(line) for line in found.file.read_text().split("\n")[:-1]]
    assert [row["id"] for row in kept] == ["questions.jsonl:1", "sums.jsonl:2"]
    assert context in kept[0]["messages"][0]["content"] and kept[1]["held_out"]


@pytest.mark.parametrize(
    ("row", "turns"),
    [
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
            "a",
        ),
        ({"instruction": "Correct it.", "input": "I is.", "output": "b"}, "Correct it.\n\nI is."),
        ({"prompt": "a", "completion": "b", "system": "Be short."}, "Be short.|a"),
        ({"question": "a", "answer": "b", "context": "c"}, "a\n\nc"),
    ],
)
def test_prompts_of_several_forms_are_read(tmp_path: Path, row: Any, turns: str) -> None:
    (found,) = read_prompts(Data(write_rows(tmp_path / "rows.jsonl", row)))
    assert "|".join(each.content for each in found.prompt) == turns
    assert found.context == row.get("context", "")
