"""`groundup finetune`, `evaluate` and `classify`, as a user types them."""

import csv
import json
import mailbox
import shlex
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.data.documents import Example, InstructionExample
from groundup.data.preparation.trained_on import read_trained_on
from groundup.runs import TRAINED_ON_FILE, RunFolder
from groundup.weights.model_io import OpenModel, save_model

OpenBase = Callable[[], OpenModel]


@pytest.fixture
def base(open_base: OpenBase, tmp_path: Path) -> Path:
    opened = open_base()
    save_model(opened.model, tmp_path / "base", opened.tokenizer)
    return tmp_path / "base"


@pytest.fixture
def labelled(splits: dict[str, list[Example]], tmp_path: Path) -> Path:
    file = tmp_path / "messages.csv"
    with file.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["body", "kind"])
        writer.writerows([e.text, e.label] for split in splits.values() for e in split)
    return file


@pytest.fixture
def tasks(instructions: list[InstructionExample], tmp_path: Path) -> Path:
    file = tmp_path / "tasks.jsonl"
    rows = [
        {"instruction": e.instruction, "output": e.output, "id": e.id, "held_out": e.held_out}
        | ({"check": {"type": "word", "answer": e.output}} if e.held_out and number % 2 else {})
        for number, e in enumerate(instructions)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def finished_spam(
    base: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Path:
    """A classifier of one epoch."""
    train = ("finetune", "classifier", base, labelled, "--out", tmp_path / "spam", *COLUMNS)
    told(capsys, *train, "--set", "epochs=1", "--set", "learning_rate=5e-3", "--train", "head")
    return tmp_path / "spam"


COLUMNS = ("--text-column", "body", "--label-column", "kind")


def told(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    """What a command that went well prints."""
    capsys.readouterr()
    code = run([str(arg) for arg in args])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


def refused(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    """The sentence of a command that ends with 2."""
    capsys.readouterr()
    assert run([str(arg) for arg in args]) == 2
    return " ".join(capsys.readouterr().err.split())


def test_from_a_csv_to_a_classifier_that_reads_a_file(
    base: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    train = ("finetune", "classifier", base, labelled, "--out", out, *COLUMNS)
    train = (*train, "--train", "last-block")
    shown = told(capsys, *train, "--set", "epochs=8", "--set", "learning_rate=5e-3")
    example = shlex.split(shown[shown.index("Try it:") :])[-1]
    assert len(example.split()) == 4 and example in labelled.read_text(), (
        "one of the user's own texts"
    )
    assert "fine-tuned classifier" in shown and "TF-IDF of words" in shown and "is \\ said" in shown
    again = told(capsys, *train, "--set", "epochs=8", "--set", "learning_rate=5e-3", "--json")
    results = json.loads(again)
    assert len(results["models"]) == 5 and results["models"][0]["accuracy"]["value"] > 0.85
    assert (
        told(capsys, *train, "--set", "epochs=8", "--set", "learning_rate=5e-3", "--json") == again
    )
    assert "holds another run" in refused(capsys, *train, "--set", "epochs=2")
    assert "holds another run" in refused(capsys, *train, "--set", "epochs=8", "--set", "windows=3")
    assert "Did you mean 'epochs'?" in refused(capsys, *train, "--set", "epoch=2")

    one = told(capsys, "classify", out, "see you at the prize station")
    assert one.split()[0] == "spam" and len(one.splitlines()) == 2
    (tmp_path / "lines.txt").write_text(
        "see you at the station\n\n\x1b[31mprize when we meet later today\n"
    )
    lines = told(capsys, "classify", out, tmp_path / "lines.txt")
    assert [line.split()[0] for line in lines.splitlines()] == [
        "ham",
        "spam",
    ] and "\x1b" not in lines
    found = json.loads(told(capsys, "classify", out, tmp_path / "lines.txt", "--json"))
    assert [each["label"] for each in found] == ["ham", "spam"]
    assert sum(found[0]["probabilities"].values()) == pytest.approx(1.0)

    shown = told(capsys, "classify", out, "see you at the prize station", "--why").splitlines()
    assert shown[2].startswith("  for spam: prize (") and "read 6 times more" in shown[-1]
    rows = json.loads(told(capsys, "classify", out, tmp_path / "lines.txt", "--why", "--json"))
    assert (
        rows[1]["why"]["words"][0]["word"].endswith("prize") and rows[1]["why"]["label"] == "spam"
    )

    (tmp_path / "empty.txt").write_text("\n\n")
    assert "no line with text" in refused(capsys, "classify", out, tmp_path / "empty.txt")

    measured = json.loads(
        told(capsys, "evaluate", out, base, "--data", labelled, *COLUMNS, "--items", "60", "--json")
    )
    assert {(row["task"], row["model"]) for row in measured["rows"]} == {
        ("classification", str(out)),
        ("zero-shot", str(base)),
    }
    assert all(row["n"] == 60 and row["thin"] for row in measured["rows"])
    left_out = measured["left_out"]  # two thirds and an eighth of the 300 messages
    assert (left_out["items"], left_out["of"], left_out["models"]) == (238, 300, {str(out): 238})
    table = told(capsys, "evaluate", base, out, "--data", labelled, *COLUMNS, "--items", "20")
    assert table.startswith(f"238 of 300 items are left out, as they were trained on ({out} 238).")
    told(capsys, "verify", out)
    told(capsys, "convert", out, "--to", "hf", "--out", tmp_path / "published")
    assert (out / TRAINED_ON_FILE).is_file() and not (
        tmp_path / "published" / TRAINED_ON_FILE
    ).exists()


@pytest.mark.slow
def test_a_rare_class_is_named_and_left_out_when_asked_to(
    base: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with labelled.open("a", newline="") as handle:
        csv.writer(handle).writerows([f"see {n} eggs", "eggs"] for n in range(2))
    train = (
        "finetune",
        "classifier",
        base,
        labelled,
        "--out",
        tmp_path / "run",
        *COLUMNS,
        "--set",
        "encoder=none",
        "--set",
        "epochs=1",
    )
    said = refused(capsys, *train)
    assert "'eggs' is too rare: 2 of 302" in said and said.endswith("--min-per-class 5")
    assert "merge rare ones (--merge-rare other)" in " ".join(said.split())
    results = json.loads(
        told(
            capsys,
            *train,
            "--set",
            "max_tokens=12",
            "--set",
            "windows=1",
            "--min-per-class",
            "5",
            "--json",
        )
    )
    assert results["labels"] == ["ham", "spam"]
    lengths = results["lengths"]
    assert (lengths["limit"], lengths["examples"]) == (12, 300) and 0 < lengths[
        "cut"
    ] < 300 < 20 * lengths["longest"]


def test_own_splits_costs_and_abstaining_from_the_command_to_the_answer(
    base: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header, *rows = labelled.read_text().splitlines()
    files = {"train": rows[:200], "dev": rows[200:250], "test": rows[240:]}
    for name, lines in files.items():
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *lines]) + "\n")
    given = ("--validation", tmp_path / "dev.csv", "--test", tmp_path / "test.csv")
    command = (
        "finetune",
        "classifier",
        base,
        tmp_path / "train.csv",
        "--out",
        tmp_path / "run",
        *COLUMNS,
        *given,
    )
    decisions = (
        "--cost-false-alarm",
        "5",
        "--max-error",
        "0.2",
        "--class-weights",
        "balanced",
        "--no-base",
        "--set",
        "epochs=2",
    )
    assert "train was" not in refused(
        capsys, *command, "--train", "tail"
    ) and "last-block" in refused(capsys, *command, "--train", "tail")
    shown = told(capsys, *command, *decisions, "--train", "head")
    assert (
        "calibration error" in shown
        and "false alarms and" in shown
        and "of the test texts" in shown
    )
    results = json.loads(told(capsys, *command, *decisions, "--train", "head", "--json"))
    assert (
        sum(results["splits"]["test"].values()) == 60
        and sum(results["splits"]["validation"].values()) == 20
        and sum(results["splits"]["calibration"].values()) == 20
    )
    assert "get a wrong label, with 95 % confidence, from 20 held-out texts" in shown
    assert results["trained"] == "head" and results["trained_parameters"] == 2 * 32
    assert "zero_shot" not in results and "few_shot" not in results
    assert not [row["name"] for row in results["models"] if "base model" in row["name"]]
    found = json.loads(
        told(capsys, "classify", tmp_path / "run", "see you at the station", "--json")
    )
    sure = (
        found["probability"] >= results["decision"]["abstain_below"]
        or max(found["probabilities"].values()) >= results["decision"]["abstain_below"]
    )
    assert (found["label"] != "unsure") is sure and ("guess" in found) is not sure
    told(capsys, "convert", tmp_path / "run", "--to", "hf", "--out", tmp_path / "published")
    kept = [(tmp_path / name / "classifier.json").read_text() for name in ("run", "published")]
    assert kept[0] == kept[1] and '"threshold": 0.83' in kept[0]


def test_the_same_instructions_are_never_on_both_sides_nor_measured_after_training(
    base: Path, tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.loads(line) for line in tasks.read_text().splitlines()]
    rows = [
        {"instruction": row["instruction"].upper(), "output": row["output"], "id": f"x{n}"}
        for n, row in enumerate(rows)
    ]
    rows += [
        {**row, "instruction": row["instruction"].lower() + " ", "id": f"y{n}"}
        for n, row in enumerate(rows[:20])
    ]
    twice = tmp_path / "twice.jsonl"
    twice.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "run"
    settings = ("--tokens", "500", "--set", "precision=float32", "--json")
    results = json.loads(told(capsys, "finetune", "chat", base, twice, "--out", out, *settings))
    assert results["examples"] == {"train": 43, "held_out": 5, "left_out": 0, "repeats": 20}
    assert results["lengths"]["cut"] == 0
    measured = json.loads(told(capsys, "evaluate", base, out, "--data", twice, "--json"))
    assert measured["left_out"] == {"items": 43, "of": 48, "models": {str(out): 43}}
    assert {row["n"] for row in measured["rows"]} == {5}
    (tmp_path / "trained.jsonl").write_text(
        "".join(json.dumps(each) + "\n" for each in trained(out, rows))
    )
    said = refused(capsys, "evaluate", out, "--data", tmp_path / "trained.jsonl")
    assert (
        f"is left to measure on: of its 43 item(s), models were trained on all ({out} on 43)"
        in said
    )


def trained(run_folder: Path, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The trained ones of these instructions, in another layout and with other answers."""
    known = read_trained_on(run_folder)
    assert known is not None
    asked = {row["instruction"].strip().lower() for row in rows}
    found = [text for text in sorted(asked) if known.has(InstructionExample(text, "", "", ""))]
    return [{"prompt": text, "completion": "Other."} for text in found]


def test_from_instructions_to_a_chat_model_that_is_measured_beside_its_base(
    base: Path, tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    settings = (
        "--tokens",
        "3000",
        "--epochs",
        "100",
        "--set",
        "learning_rate=1e-2",
        "--set",
        "precision=float32",
    )
    shown = told(capsys, "finetune", "chat", base, tasks, "--out", out, *settings)
    assert "% of the tokens were learned" in shown and "held-out loss" in shown
    table = told(capsys, "evaluate", base, out, "--data", tasks, "--out", tmp_path / "results.json")
    assert "loss_nats" in table and "(thin)" in table and str(out) in table
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    losses = [row["value"] for row in rows if row["metric"] == "loss_nats"]
    assert losses[1] < losses[0] and rows[0]["n"] == 8
    (tmp_path / "a.txt").write_text("see you at the station, call me when it is over")
    text = json.loads(told(capsys, "evaluate", base, "--data", tmp_path / "a.txt", "--json"))
    assert [row["metric"] for row in text["rows"]] == ["bits_per_byte"]


@pytest.mark.slow
def test_examples_in_another_encoding_are_read_once_it_is_named(
    base: Path, splits: dict[str, list[Example]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(f"{e.text} мы поём о море", e.label) for split in splits.values() for e in split]
    (tmp_path / "kinds.csv").write_bytes(
        "\n".join(["text,label", *(",".join(row) for row in rows)]).encode("cp1251")
    )
    asked = [f'{{"instruction": "Скажи {n}, пожалуйста", "output": "{n}"}}' for n in range(20)]
    (tmp_path / "asked.jsonl").write_bytes("\n".join(asked).encode("cp1251"))
    (tmp_path / "text.txt").write_bytes(("Лиса и курица поют о море. " * 30).encode("cp1251"))
    quick = ("--set", "precision=float32")
    commands = (
        (
            "finetune",
            "classifier",
            base,
            tmp_path / "kinds.csv",
            "--out",
            tmp_path / "spam",
            "--train",
            "last-block",
            "--set",
            "epochs=1",
        ),
        (
            "finetune",
            "chat",
            base,
            tmp_path / "asked.jsonl",
            "--out",
            tmp_path / "chat",
            "--tokens",
            "100",
            *quick,
        ),
        ("evaluate", base, "--data", tmp_path / "text.txt"),
    )
    for command in commands:
        assert " cp1251" in refused(capsys, *command)
        assert "'latin-99' is unknown" in refused(capsys, *command, "--charset", "latin-99")
        assert run([str(arg) for arg in (*command, "--charset", "cp1251")]) == 0
        assert "1 files read as cp1251" in " ".join(capsys.readouterr().err.split())


def test_what_can_not_be_done_is_one_sentence(
    base: Path, labelled: Path, tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert "body" in refused(
        capsys, "finetune", "classifier", base, labelled, "--out", out
    )  # no column "text"
    (tmp_path / "one.csv").write_text("text,label\n" + "".join(f"see {n},ham\n" for n in range(40)))
    assert "'ham'" in refused(
        capsys, "finetune", "classifier", base, tmp_path / "one.csv", "--out", out
    )
    nothing = refused(
        capsys, "finetune", "chat", base, tasks, "--out", out, "--set", "max_tokens=3"
    )
    assert "All answers are cut" in nothing
    assert "language model" in refused(capsys, "classify", base, "a text")
    assert "Known" in refused(capsys, "evaluate", base, "--as", "poems")
    assert "named twice" in refused(capsys, "evaluate", base, base)
    assert "--out" in refused(capsys, "finetune", "chat", base, tasks, "--out", tmp_path)
    assert not out.exists()


def mailbox_of(file: Path, examples: list[Example], label: str) -> None:
    """Write the messages of a label as e-mails, the first word as the subject."""
    box = mailbox.mbox(file)
    for example in examples:
        if example.label == label:
            mail = EmailMessage()
            subject, _, body = example.text.partition(" ")
            mail["Subject"], mail["From"] = subject, "me@example.org"
            mail.set_content(body)
            box.add(mail)
    box.close()


@pytest.mark.slow
def test_from_mailboxes_named_by_label_to_the_rows_of_an_inbox(
    base: Path, splits: dict[str, list[Example]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mail, out = tmp_path / "mail", tmp_path / "filter"
    mail.mkdir()
    for label in ("spam", "ham"):
        mailbox_of(mail / f"{label}.mbox", [e for split in splits.values() for e in split], label)
    (mail / "about.txt").write_text("What these mailboxes are.\n")
    train = (
        "finetune",
        "classifier",
        base,
        mail,
        "--out",
        out,
        "--train",
        "last-block",
        "--set",
        "epochs=8",
        "--set",
        "learning_rate=5e-3",
    )
    assert "Choose column or name" in refused(capsys, *train, "--label-from", "folder")
    assert "no rows of this kind" in refused(capsys, *train, "--label-from", "column")
    assert run([str(word) for word in train]) == 0
    said = capsys.readouterr()
    line = "labels are the names of files and folders: 'ham' 200, 'spam' 100; 1 not read, in no folder of a label."
    assert line in " ".join(said.err.split())
    assert "fine-tuned classifier" in said.out

    inbox = tmp_path / "inbox.mbox"
    mailbox_of(inbox, [Example("\x1b[31mHello see you at the prize station", "new")] * 2, "new")
    rows = told(capsys, "classify", out, inbox).splitlines()
    assert (
        len(rows) == 2
        and 'inbox.mbox:message 2 "' in rows[1]
        and "Hello" in rows[1]
        and "\x1b" not in rows[1]
    )
    found = json.loads(told(capsys, "classify", out, inbox, "--json"))
    assert [each["label"] for each in found] == ["spam", "spam"] and set(
        found[0]["probabilities"]
    ) == {"ham", "spam"}
    assert found[0]["name"].startswith('inbox.mbox:message 1 "') and "prize" in found[0]["text"]


def test_every_source_of_texts_is_classified_one_row_a_document(
    finished_spam: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["see you at the station", "prize when we meet later"]
    (tmp_path / "rows.csv").write_text("body,n\n" + "".join(f"{text},1\n" for text in texts))
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in texts)
    )
    (tmp_path / "folder").mkdir()
    for number, text in enumerate(texts):
        (tmp_path / "folder" / f"{number}.txt").write_text(text)
    names = {}
    for place, more in (
        ("rows.csv", ("--text-column", "body")),
        ("rows.jsonl", ()),
        ("folder", ()),
    ):
        found = json.loads(
            told(capsys, "classify", finished_spam, tmp_path / place, *more, "--json")
        )
        assert [each["text"] for each in found] == texts
        names[place] = [each["name"] for each in found]
    assert names == {
        "rows.csv": ["rows.csv:2", "rows.csv:3"],
        "rows.jsonl": ["rows.jsonl:1", "rows.jsonl:2"],
        "folder": ["0.txt", "1.txt"],
    }
    (tmp_path / "lines.txt").write_bytes("привет\n".encode("cp1251"))
    named = ("classify", finished_spam, tmp_path / "lines.txt", "--charset", "cp1251", "--json")
    assert json.loads(told(capsys, *named))[0]["text"] == "привет"
    (tmp_path / "none").mkdir()
    assert "no file to read" in refused(capsys, "classify", finished_spam, tmp_path / "none")


@pytest.mark.slow
def test_wrong_labels_are_listed_in_the_terminal_and_in_the_page(
    base: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header, first, *rows = labelled.read_text().splitlines()
    labelled.write_text("\n".join([header, first.replace(",spam", ",ham"), *rows]) + "\n")
    train = (
        "finetune",
        "classifier",
        base,
        labelled,
        "--out",
        tmp_path / "run",
        *COLUMNS,
        "--train",
        "last-block",
        "--find-wrong-labels",
    )
    shown = told(capsys, *train, "--set", "epochs=12", "--set", "learning_rate=5e-3")
    assert "labels (" in shown and "are probably wrong" in shown and "perhaps" in shown
    found = RunFolder(tmp_path / "run").read_results()["wrong_labels"]
    assert first.partition(",")[0] in [each["text"] for each in found["list"]]
    told(capsys, "report", tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    assert found["list"][0]["text"] in page
