"""`groundup data inspect`: figures for people and for scripts, one sentence where it can't go on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from groundup.cli.main import load_verb, run


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_bytes(
        b"One two three\x00 four.\nSecond line caf\xe9 here and more.\n"
    )
    (tmp_path / "b.txt").write_text("The same.")
    (tmp_path / "c.txt").write_text("The same.\r\n")
    (tmp_path / "program.txt").write_bytes(bytes(range(256)) * 8)
    lines = ['{"text": "A line."}'] * 199 + ["not json"]
    (tmp_path / "lines.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_the_figures_are_all_there(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "inspect", str(texts), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["documents"], found["repeats"], found["read"]["files"]) == (202, 199, 4)
    assert found["words"] == 10 + 2 + 2 + 2 * 199
    assert found["longest"]["name"] == "a.txt"
    assert found["changed"]["control_characters"] == 1
    assert found["read"]["invalid_bytes"] == 1
    assert found["read"]["bad_lines"]["examples"][0].startswith("lines.jsonl line 200")
    assert found["read"]["skipped"]["binary"]["examples"] == ["program.txt"]


def test_people_see_the_same_and_how_texts_begin(
    texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "inspect", str(texts), "--show", "1"]) == 0
    out = capsys.readouterr().out
    for part in (
        "1 skipped, binary: program.txt",
        "a.txt (1 bytes)",
        "lines.jsonl line 200",
        "    Second line caf",
    ):
        assert part in out
    assert "The same." not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["{texts}/program.txt"], "looks binary"),
        (["{texts}/lines.jsonl", "--strict"], "lines.jsonl line 200"),
        (["{texts}/lines.jsonl", "--text-column", "body"], "has no column 'body'"),
        (["{texts}", "--errors", "explode"], "--errors 'explode' is not one of replace, drop"),
        (["pypi:a==1!*"], "needs the SHA-256"),
        (
            ["{texts}/a.txt", "--sha256", "0" * 64],
            "hash of one pypi: or https: address; 0 are named",
        ),
        (
            ["https://localhost:1/a.txt#sha256=" + "1" * 64, "--sha256", "0" * 64],
            "another SHA-256 than the one given",
        ),
    ],
)
def test_what_cant_be_read_is_one_sentence_and_exit_code_2(
    texts: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["data", "inspect", *(argument.format(texts=texts) for argument in arguments)]) == 2
    err = capsys.readouterr().err
    assert message in err.replace("\n", " ") and "Traceback" not in err


def test_a_source_of_which_nothing_can_be_read_is_one_sentence_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.docx").write_bytes(b"PK no word file")
    assert run(["data", "inspect", str(tmp_path / "broken.docx")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "Nothing could be read." in said and "broken.docx can't be read" in said
    assert "FormatError" not in said and "Traceback" not in said
    (tmp_path / "a.txt").write_text("A text beside it.")
    assert run(["data", "inspect", str(tmp_path)]) == 0


def test_the_page_is_written_though_nobody_reads_the_lines(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"text{number}.txt").write_text(f"Text number {number} of all of them.\n" * 300)
    out = tmp_path / "page.html"
    command = [
        sys.executable,
        "-m",
        "groundup",
        "data",
        "inspect",
        str(tmp_path),
        "--show",
        "100",
        "--out",
        str(out),
    ]
    reader, writer = os.pipe()
    os.close(reader)  # as `| head` does
    with os.fdopen(writer, "wb") as closed:
        subprocess.run(command, stdout=closed, stderr=subprocess.DEVNULL, check=False)
    assert out.read_text("utf-8").rstrip().endswith("</html>")


def test_the_column_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("id,review\n1,A fine film.\n")
    assert (
        run(["data", "inspect", str(tmp_path / "a.csv"), "--text-column", "review", "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["beginnings"] == [
        {"name": "a.csv:2", "lines": ["A fine film."]}
    ]


def test_sources_can_be_listed_in_a_file(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (texts / "sources.toml").write_text(
        f"[[data.sources]]\nspec = '{texts}/b.txt'\nname = 'letters'\nlicence = 'my own'\n"
    )
    assert (
        run(["data", "inspect", str(texts / "sources.toml"), str(texts / "c.txt"), "--json"]) == 0
    )
    first, second = json.loads(capsys.readouterr().out)["sources"]
    assert (first["source"]["name"], first["source"]["licence"]) == ("letters", "my own")
    assert second["dropped"]["exact repeat"]["count"] == 1


def test_fields_of_the_steps_can_be_set(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (texts / "b.txt").write_text("Write to jane@example.org, please.")
    steps = ["--process", "personal-data", "--set", "data.process.personal_data=drop"]
    assert run(["data", "inspect", str(texts / "b.txt"), *steps, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dropped"]["personal data: email"]["count"] == 1
    for wrong in ("data.strict=true", "data.process=5", "data=5", "fit.steps=2"):
        assert run(["data", "inspect", str(texts / "b.txt"), "--set", wrong]) == 2
        assert "sets fields of data.process here" in capsys.readouterr().err.replace("\n", " ")
    assert run(["data", "inspect", str(texts / "b.txt"), "--set", "data.process.rule=web"]) == 2
    assert "data.process.rule" in capsys.readouterr().err


def test_a_sweep_sets_fields_of_the_texts_only(
    texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["sweep", str(texts / "b.txt"), "--out", str(texts / "law"), "--set"]
    assert (
        run([*sweep, "fit.optimizer.learning_rate=1"]) == 2
        and "fields of data. only" in capsys.readouterr().err
    )
    assert (
        run([*sweep, "data.process=5", "--rules", "web"]) == 2
        and "data.process must be a dictionary" in capsys.readouterr().err
    )
    assert run([*sweep, "data.process.near_duplicates.threshold=7"]) == 2
    assert "0.3 to 1" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("verb", ["pretrain", "plan", "sweep"])
def test_the_verbs_that_prepare_texts_have_an_engine_and_name_the_nearest_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    (tmp_path / "a.txt").write_text("A tale. " * 99)
    out = [] if verb == "plan" else ["--out", str(tmp_path / "out")]
    assert run([verb, str(tmp_path), *out, "--runner", "process"]) == 2
    assert "There is no runner 'process'. Did you mean 'processes'?" in " ".join(
        capsys.readouterr().err.split()
    ).replace("error: ", "")


def test_its_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "inspect", "--help"]) == 0
    assert "groundup data inspect my-texts/" in capsys.readouterr().out


def test_inspect_does_not_show_a_file_outside_and_every_verb_that_reads_texts_can_follow_links(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("mine")
    (tmp_path / "secret.txt").write_text("not meant")
    (tmp_path / "texts" / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert run(["data", "inspect", str(tmp_path / "texts")]) == 0
    said = capsys.readouterr()
    assert (
        "not meant" not in said.out
        and "1 skipped, a link that leaves the folder: link.txt" in said.out
    )
    assert "1 links skipped (first: link.txt); to read them, follow links" in said.err
    assert run(["data", "inspect", str(tmp_path / "texts"), "--follow-links"]) == 0
    assert "not meant" in capsys.readouterr().out
    for verb in (
        "data inspect",
        "tokenizer train",
        "pretrain",
        "plan",
        "sweep",
        "evaluate",
        "build",
        "finetune classifier",
        "finetune chat",
    ):
        name, *below = verb.split()
        command = load_verb(name)
        for word in below:
            command = command.commands[word]
        assert any("--follow-links" in option.opts for option in command.params), verb
