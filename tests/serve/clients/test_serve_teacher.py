"""A teacher behind a real `groundup serve`, and a folder's model as one: its answers become the examples of a chat model."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import groundup
from groundup.api.teaching import TEACHER_FOLDER, taught_data
from groundup.data.reading.data import Data
from groundup.device import Compute
from groundup.errors import ConfigError, DataError, NetworkError
from groundup.finetune.config import ChatConfig
from groundup.finetune.teacher import ANSWERS, PROVENANCE, ServedTeacher, TaughtAnswer, teach
from groundup.finetune.teacher_prompts import TeacherPrompt, read_prompts
from groundup.finetune.teacher_server import KEY_VARIABLE, RemoteTeacher
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.tokenizer.chat import Message

CPU = Compute(torch.device("cpu"))


def write_prompts(file: Path, count: int = 12) -> Path:
    words = ("the fox", "a hen", "two dogs", "my cat", "her boat", "old trees")
    rows = [{"prompt": f"{words[n % 6]} number {n * n} of {n}?"} for n in range(count)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def asked(address: str, **fields: Any) -> ChatConfig:
    config = ChatConfig(teacher=f"{address}/v1", teacher_model="ender", teacher_tokens=150)
    return replace(config, **fields)


def taught(config: ChatConfig, prompts: Path, out: Path) -> Any:
    return taught_data(Data(prompts), RunFolder(out), config, CPU, Silent())


def test_answers_of_a_server_train_a_model_whose_card_names_the_teacher(
    address: str, models: Path, tmp_path: Path
) -> None:
    prompts, out = write_prompts(tmp_path / "prompts.jsonl", 40), tmp_path / "run"
    config = asked(address, teacher_temperature=2.0, tokens=100, answers=0, precision="float32")
    results = groundup.finetune_chat(models / "ender", prompts, out, config)
    said = json.loads((out / TEACHER_FOLDER / PROVENANCE).read_text())
    assert said["teacher"] == "ender" and said["address"] == f"{address}/v1"
    assert said["asked"] == 40 and said["kept"] == sum(results.examples.values()) > 2
    assert said["kept"] + sum(said["left_out"].values()) == 40
    card = (out / "README.md").read_text()
    assert "the teacher ender at" in card and said["sha256"][:16] in card and said["date"] in card
    rows = (out / TEACHER_FOLDER / "examples.jsonl").read_text().split("\n")
    first = json.loads(rows[0])
    assert [each["role"] for each in first["messages"]] == ["user", "assistant"]
    assert groundup.finetune_chat(models / "ender", prompts, out, config) == results


def test_what_was_answered_is_kept_and_asked_no_more(address: str, tmp_path: Path) -> None:
    prompts, out = write_prompts(tmp_path / "prompts.jsonl", 40), tmp_path / "run"
    config = asked(address, teacher_temperature=2.0)
    taught(config, prompts, out)
    file = out / TEACHER_FOLDER / ANSWERS
    whole = [line for line in file.read_text().split("\n") if line]
    assert len(whole) == 40
    file.write_text("\n".join(whole[:7]) + "\n" + whole[7][:20])  # as after kill -9
    again = taught(config, prompts, out)
    lines = file.read_text().split("\n")
    assert lines[:7] == whole[:7] and again.provenance["asked"] == 40
    before = file.read_bytes()
    dead = RemoteTeacher(f"{address}/v1", "ender", "", 150, 2.0)
    object.__setattr__(dead, "ask", None)  # would fail if it were asked
    found = teach(
        ServedTeacher(dead), read_prompts(prompts, {}), "p", file.parent, progress=Silent()
    )
    assert found.provenance["sha256"] == again.provenance["sha256"]
    assert file.read_bytes() == before


def test_a_folder_is_a_teacher_and_cut_answers_are_left_out(models: Path, tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl")
    config = ChatConfig(teacher=str(models / "tiny"), teacher_tokens=3)
    with pytest.raises(DataError, match="12 cut at the limit of tokens"):
        taught(config, prompts, tmp_path / "run")


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
    (tmp_path / "bad.jsonl").write_text('{"prompt": "a"}\n{"text": "b"}\n')
    with pytest.raises(DataError, match="line 2 is no prompt"):
        taught(asked(address), tmp_path / "bad.jsonl", out)
    assert not (out / TEACHER_FOLDER / PROVENANCE).exists()


class Written:
    """A teacher whose answers are given."""

    def __init__(self, *texts: str) -> None:
        self.texts, self.identity = texts, {"teacher": "written", "temperature": 0, "max_tokens": 9}

    def answers(self, prompts: list[TeacherPrompt]) -> Any:
        yield from ((place, TaughtAnswer(self.texts[place], True)) for place in range(len(prompts)))


def test_answers_are_held_against_their_text_their_check_and_one_another(tmp_path: Path) -> None:
    context = "Delivery costs 4 pounds. It takes two days."
    rows = [
        {"question": "What does delivery cost?", "context": context, "value": "4 pounds"},
        {"question": "And by air?", "context": context},
        {"prompt": "2 + 2?", "check": {"type": "number", "answer": "4"}},
        {"prompt": "2 + 3?", "check": {"type": "number", "answer": "5"}, "held_out": True},
        {"prompt": "Tell me about the old hen in the yard."},
        {"prompt": "Tell me about the old hen in the yard!"},
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    hen = "The old hen in the yard is brown."
    said = Written("It is 4 pounds.", "It is 9 pounds.", "It is 7.", "It is 5.", hen, hen)
    found = teach(said, read_prompts(file, {}), "rows", tmp_path / "t", progress=Silent())
    assert {why: count for why, count in found.provenance["left_out"].items() if count} == {
        "not supported by their text": 1,
        "failing their check": 1,
        "near-repeats": 1,
    }
    kept = [json.loads(line) for line in found.file.read_text().split("\n")[:-1]]
    assert [row["id"] for row in kept] == ["rows.jsonl:1", "rows.jsonl:4", "rows.jsonl:5"]
    assert context in kept[0]["messages"][0]["content"] and kept[1]["held_out"]
    silent = Written(*[""] * 6)
    with pytest.raises(DataError, match="said nothing"):
        teach(silent, read_prompts(file, {}), "rows", tmp_path / "s", progress=Silent())


def test_prompts_of_several_forms_are_read(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        {"instruction": "Correct it.", "input": "I is.", "output": "not read"},
        {"said": "hello"},
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_prompts(file, {"prompt": "said"})
    assert [each.messages for each in found] == [
        (Message("user", "a"),),
        (Message("user", "Correct it.\n\nI is."),),
        (Message("user", "hello"),),
    ]
