"""The whole story, told once through the command line: a few small texts become a model that writes, chats, classifies and runs in llama.cpp.

Every verb but `build` and `pull` (which fetch: `tests/recipes` and the tests marked network have them) on a corpus of some kilobytes,
offline, with real llama.cpp in the middle. What each verb says is taken from its `--json`, as a script would.
"""

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundup.cli.main import run

pytest.importorskip("xllamacpp")

Tell = Callable[..., Any]

SENTENCES = """The miller keeps a grey cat that sleeps on the flour sacks.
In spring the river carries branches and cold water down to the mill.
A boat with a red sail passes every morning at nine.
The baker buys forty sacks of flour and pays with bread and coins.
At night the wheel stands still and the frogs begin to sing.
Nobody in the village knows how old the mill is.
The stones were brought from the hills on a cart with six oxen.
When it rains for a week, the path to the mill is under water.
The cat has caught 12 mice since Sunday, and the miller counts them.
His daughter reads aloud while the stones turn: "To be, or not to be."
The café by the bridge sells warm rolls made of this flour.
In winter the wheel is covered with ice, and the mill is silent.""".splitlines()

HAM = (
    "See you at the mill at {} o'clock.",
    "I left {} keys with the baker.",
    "The boat was late by {} minutes.",
    "Please bring {} sacks of flour.",
)
SPAM = (
    "WIN {} coins now, call free!!!",
    "Your prize number {} waits, claim it now!!!",
    "FREE coins, text {} to win!!!",
    "URGENT: {} coins are yours, call now!!!",
)

ANSWERS = {
    "Who sleeps on the flour sacks?": "The grey cat.",
    "What does the river carry in spring?": "Branches and cold water.",
    "What passes every morning?": "A boat with a red sail.",
    "How does the baker pay?": "With bread and coins.",
    "Who sings at night?": "The frogs.",
    "How old is the mill?": "Nobody knows.",
    "Where do the stones come from?": "From the hills.",
    "How many mice has the cat caught?": "12.",
    "Who reads aloud?": "The miller's daughter.",
    "What does the café sell?": "Warm rolls.",
    "What is the mill in winter?": "Silent.",
    "What colour is the sail?": "Red.",
}

TINY = {
    "model.width": 64,
    "model.num_layers": 2,
    "model.num_heads": 4,
    "model.num_kv_heads": 2,
    "model.feedforward_width": 128,
    "fit.batch_size": 8,
    "fit.optimizer.learning_rate": 0.004,
    "fit.evaluate_every": 60,
    "fit.precision": "float32",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the user's own files: texts, labelled messages, instructions."""
    monkeypatch.chdir(tmp_path)
    draw = random.Random(7)
    texts = tmp_path / "texts"
    texts.mkdir()
    for name in ("spring.txt", "summer.txt", "autumn.md"):
        (texts / name).write_text(
            "\n\n".join(" ".join(draw.sample(SENTENCES, 6)) for _ in range(14)), encoding="utf-8"
        )
    notes = [{"text": f"Day {day}. " + " ".join(draw.sample(SENTENCES, 3))} for day in range(60)]
    write_lines(texts / "diary.jsonl", notes)
    messages = [("ham", HAM), ("ham", HAM), ("spam", SPAM)]
    labelled = [
        {"text": kind[i % 4].format(3 * i + n), "label": label}
        for i in range(32)
        for n, (label, kind) in enumerate(messages)
    ]
    write_lines(tmp_path / "messages.jsonl", labelled)
    asked = [{"instruction": q, "input": "", "output": a} for q, a in ANSWERS.items()]
    held_out = [
        {**each, "instruction": f"Tell me: {each['instruction']}", "held_out": True}
        for each in asked[::3]
    ]
    write_lines(tmp_path / "instructions.jsonl", [*asked, *held_out])
    return tmp_path


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text(
        "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records),
        encoding="utf-8",
    )


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Run a verb with --json; what it says on stdout, which is JSON and nothing else (`lines`: one value a line)."""

    def told(command: str, *more: str, stdin: str = "", lines: bool = False) -> Any:
        monkeypatch.setattr(
            "sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
        )
        code = run([*command.split(), *more, "--json"])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        assert "Traceback" not in printed.err
        return (
            [json.loads(line) for line in printed.out.splitlines()]
            if lines
            else json.loads(printed.out)
        )

    return told


@pytest.mark.slow
def test_from_texts_to_a_model_that_writes_chats_classifies_and_runs_in_llama_cpp(
    place: Path, tell: Tell
) -> None:
    it_learns_to_write(tell)
    it_runs_in_llama_cpp(place, tell)
    it_learns_to_classify(tell)
    it_learns_to_answer(tell)
    everything_can_be_seen_and_checked(place, tell)


def it_learns_to_write(tell: Tell) -> None:
    """Texts -> tokenizer -> own model, which afterwards knows these texts better than chance."""
    seen = tell("data inspect texts")
    assert (seen["read"]["files"], seen["documents"]) == (4, 63)

    tokenizer = tell("tokenizer train texts --out tokenizer --vocab-size 512")
    assert tokenizer["vocab_size"] == 512
    shown = tell("tokenizer show tokenizer", "The café <|im_end|>")
    assert (
        b"".join(bytes(token["bytes"]) for token in shown["tokens"]).decode()
        == "The café <|im_end|>"
    )

    sets = [part for name, value in TINY.items() for part in ("--set", f"{name}={value}")]
    own = tell("pretrain texts --out own --steps 120 --tokenizer tokenizer", *sets)
    assert own["bits_per_byte"] < 1.2  # before the first step it is above 3
    assert (
        tell("pretrain texts --out own --steps 120 --tokenizer tokenizer", *sets) == own
    )  # done: nothing is done again

    said = tell("generate own --temperature 0 --max-tokens 12", "The miller keeps")
    assert said["text"].startswith(" a grey cat")
    assert said["completion_tokens"] <= 12


def it_runs_in_llama_cpp(place: Path, tell: Tell) -> None:
    """Own model -> GGUF, which real llama.cpp computes as we do; and back again."""
    for encoding in ("f16", "q8_0"):
        told = tell(f"convert own --to gguf --out own-{encoding}.gguf --quantization {encoding}")
        assert told["checked"]["passed"], told
    ollama = tell("convert own --to ollama --out ollama --no-check")
    assert "FROM ./" in (Path(ollama["path"]) / "Modelfile").read_text()
    tell("convert own-f16.gguf --to hf --out back")
    ours, back = (
        tell(f"generate {model} --temperature 0 --max-tokens 8", "A boat")["text"]
        for model in ("own", "back")
    )
    assert ours == back


def it_learns_to_classify(tell: Tell) -> None:
    """Labelled messages -> a classifier beside its baselines, better than the commonest label."""
    spam = tell(
        "finetune classifier own messages.jsonl --out spam --set epochs=8 --set learning_rate=0.003 --set precision=float32 --train last-block"
    )
    rows = {row["name"]: row["accuracy"]["value"] for row in spam["models"]}
    assert rows["fine-tuned classifier"] > rows["always the commonest label"]
    assert tell("classify spam", "WIN 77 coins now, call free!!!")["label"] == "spam"
    Path("inbox.txt").write_text(
        "See you at the mill at 99 o'clock.\n\nFREE coins, text 77 to win!!!\n"
    )
    assert [found["label"] for found in tell("classify spam inbox.txt")] == ["ham", "spam"]


def it_learns_to_answer(tell: Tell) -> None:
    """Instructions -> a chat model whose loss on held-out answers has fallen, and which keeps a conversation."""
    chat = tell(
        "finetune chat own instructions.jsonl --out chat --epochs 100 --tokens 12000 "
        "--set learning_rate=0.01 --set rank=16 --set precision=float32"
    )
    assert chat["held_out_loss"]["after"] < chat["held_out_loss"]["before"] / 2
    first, second = tell(
        "chat chat --temperature 0 --max-tokens 16",
        stdin="Who sings at night?\nWhat colour is the sail?\n",
        lines=True,
    )
    assert (first["question"], first["answer"], first["finish_reason"]) == (
        "Who sings at night?",
        "The frogs.",
        "stop",
    )
    assert second["prompt_tokens"] > first["prompt_tokens"]  # the first turn is part of it

    answers = tell("evaluate own chat --data instructions.jsonl --out answers.json")
    before, after = (row["value"] for row in answers["rows"] if row["metric"] == "loss_nats")
    assert after < before
    assert json.loads(Path("answers.json").read_text()) == answers
    assert tell("evaluate spam --data messages.jsonl --items 30")["rows"][0]["value"] > 0.8
    text = tell("evaluate own chat --data texts")
    assert text["rows"][0]["metric"] == "bits_per_byte"
    seen, of = (
        text["left_out"]["items"],
        text["left_out"]["of"],
    )  # chat was made of own, which was trained on most of them
    assert 0 < seen < of == 63 and text["left_out"]["models"] == {"own": seen, "chat": seen}
    assert run(["evaluate", "own", "--data", "texts/autumn.md"]) == 2


def everything_can_be_seen_and_checked(place: Path, tell: Tell) -> None:
    """Each run has its page, every byte is as its manifest says, and an altered one is found."""
    for name in ("own", "spam", "chat"):
        page = Path(tell(f"report {name}")["page"]).read_text(encoding="utf-8")
        assert (
            page.startswith("<!DOCTYPE html>")
            and "://" not in page.split("</head>")[0]
            and "src=" not in page
        )
        tell(f"verify {name}")
    assert tell("verify .")["manifests"] > 8
    assert any(row["what"] == "memory" for row in tell("doctor")["machine"])
    damaged = place / "own" / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    assert run(["verify", "own"]) == run(["generate", "own", "The"]) == 2
