"""The way into every verb: exit codes, what goes to which stream, and that nothing from outside can give the terminal an order."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from groundup import __version__
from groundup.cli import main
from groundup.cli.main import DEBUG_VARIABLE, VERBS, console_escape, run
from groundup.errors import ConfigError, FormatError, did_you_mean

CONTENTS = {
    "Begin": "build pack learn fetch",
    "Data": "data tokenizer",
    "Train": "model plan pretrain sweep research watch pull finetune",
    "Look": "evaluate lab report",
    "Use": "generate chat classify index search ask",
    "Serve": "serve connect actions",
    "Keep": "convert app sign verify cache doctor",
}
PROGRAM = (sys.executable, "-m", "groundup")


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> "type[Verb]":
    """`groundup doctor` does what `Verb.does` says."""
    monkeypatch.setattr(main, "load_verb", lambda name: typer_command(Verb))
    return Verb


class Verb:
    does: BaseException | None = None


def typer_command(verb: "type[Verb]") -> object:
    import typer

    app = typer.Typer(add_completion=False)

    @app.command("doctor")
    def command() -> None:
        if verb.does is not None:
            raise verb.does

    return typer.main.get_command(app)


def test_the_table_of_contents_lists_the_verbs_in_the_order_of_a_models_life(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert {heading: " ".join(verbs) for heading, verbs in main.CONTENTS.items()} == CONTENTS
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    titles = [rf"^\W+{title} \W+$" for title in CONTENTS]
    headed = [
        part
        for title, verbs in zip(titles, CONTENTS.values(), strict=True)
        for part in (title, *verbs.split())
    ]
    places = [
        re.search(part if part.startswith("^") else rf"^\W+{part}  ", out, re.MULTILINE)
        for part in headed
    ]
    assert all(places) and [found.start() for found in places if found] == sorted(
        f.start() for f in places if f
    )
    assert all(line in out for line in VERBS.values())  # on one line of 80 characters each


def test_each_example_in_the_help_is_one_whole_command() -> None:
    for name in VERBS:
        verb = main.load_verb(name)
        for command in (verb, *getattr(verb, "commands", {}).values()):
            examples = command.help.partition("Examples:\n\n")[2].split("\n\n")
            words = [example.split() for example in examples if example]
            assert words or hasattr(command, "commands"), f"{name} has no examples"
            for each in words:
                assert each[0] in ("groundup", "printf", "torchrun"), each
                assert each.count("groundup") == 1, each


def test_without_arguments_the_help_is_shown_and_no_error_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in ([], ["data"], ["tokenizer"], ["finetune"]):
        assert run(words) == 2
        shown = capsys.readouterr()
        assert shown.err == "" and "Usage: groundup" in shown.out


def test_an_option_without_a_value_has_no_type_in_the_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in ([], ["build"], ["finetune"], ["finetune", "chat"], ["serve"]):
        assert run([*words, "--help"]) == 0
        shown = capsys.readouterr().out
        assert "--help" in shown and "bool" not in shown.lower()


def test_help_of_build_says_that_it_takes_a_pack(capsys: pytest.CaptureFixture[str]) -> None:
    assert "PACK" in VERBS["build"]
    assert run(["build", "--help"]) == 0
    assert "RECIPE|PACK|FOLDER" in capsys.readouterr().out.partition("Arguments")[0]


def test_the_version_is_one_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_an_error_of_the_user_is_two_lines_and_exit_code_2(
    verb: type[Verb], capsys: pytest.CaptureFixture[str]
) -> None:
    verb.does = ConfigError("The width is 7, expected 8", fix="Write --set width=8.")
    assert run(["doctor"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "error: The width is 7, expected 8.\n       Write --set width=8.\n"


def test_a_name_in_an_error_stays_as_it_is(
    verb: type[Verb], capsys: pytest.CaptureFixture[str]
) -> None:
    verb.does = ConfigError("There is no notes:x: and no [bold]", fix="Name it.")
    assert run(["doctor"]) == 2
    assert "There is no notes:x: and no [bold]." in capsys.readouterr().err


def test_a_damaged_file_always_comes_with_what_to_do(
    verb: type[Verb], capsys: pytest.CaptureFixture[str]
) -> None:
    verb.does = FormatError("model.gguf", "header", "is cut")
    assert run(["doctor"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: model.gguf: header: is cut.\n       Get or make the file again"
    )


def test_debug_shows_the_traceback_of_such_an_error(
    verb: type[Verb], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DEBUG_VARIABLE, "")  # so that what --debug sets is taken back
    verb.does = ConfigError("wrong")
    with pytest.raises(ConfigError, match="wrong"):
        run(["--debug", "doctor"])


def test_a_bug_keeps_its_traceback(verb: type[Verb]) -> None:
    verb.does = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        run(["doctor"])


def test_a_bug_ends_the_process_with_1() -> None:
    program = (
        "from groundup.cli import doctor, main\n"
        "doctor.examine = lambda: 1 / 0\n"
        "doctor.command.__globals__['examine'] = doctor.examine\n"
        "main.main(['doctor'])\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 1 and ended.stdout == ""
    assert "Traceback" in ended.stderr and "ZeroDivisionError" in ended.stderr


def test_ctrl_c_is_130(verb: type[Verb], capsys: pytest.CaptureFixture[str]) -> None:
    verb.does = KeyboardInterrupt()
    assert run(["doctor"]) == 130
    assert capsys.readouterr().err == "Stopped.\n"


def test_a_file_without_the_right_to_read_it_is_no_bug(
    verb: type[Verb], capsys: pytest.CaptureFixture[str]
) -> None:
    verb.does = PermissionError(13, "Permission denied", "secret.txt")
    assert run(["doctor"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: secret.txt can't be opened: Permission denied.\n"
    )


def test_a_reader_that_leaves_early_is_no_error() -> None:
    for words in (["pull"], ["pull", "--json"], ["--help"]):
        read, write = os.pipe()
        os.close(read)
        ended = subprocess.run([*PROGRAM, *words], stdout=write, stderr=subprocess.PIPE, text=True)
        os.close(write)
        assert ended.returncode == 0 and ended.stderr == "", words


def test_usage_errors_name_the_help_of_the_verb_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for words, named in (
        (["tokenizer", "train", "texts", "--sise", "3"], "groundup tokenizer train --help"),
        (["tokenizer", "trian"], "groundup tokenizer --help"),
        (["verify"], "groundup verify --help"),
        (["--loud"], "groundup --help"),
    ):
        assert run(words) == 2
        assert f"See {named}." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("serve x --port 80x", "--port must be a whole number from 0 to 65535 (got '80x')."),
        ("generate x y --temperature hot", "--temperature must be a number (got 'hot')."),
        (
            "pretrain x --out y --tokens 0",
            "--tokens must be a whole number from 1 to 1,000,000,000,000,000 (got '0').",
        ),
        ("learn two", "NUMBER must be a whole number (got 'two')."),
        ("generate x y z", "groundup generate takes no further argument (got 'z')."),
        ("generate x", "groundup generate needs PROMPT: the text to continue."),
        ("generate x y --tmperature 1", "groundup generate has no option --tmperature."),
        ("evaluate x --data", "--data needs a value."),
        ("build --fresh=3", "--fresh takes no value."),
        (
            "finetune classifer x",
            "There is no verb 'finetune classifer'.\n       Did you mean 'classifier'?",
        ),
    ],
)
def test_usage_errors_are_sentences_of_ours(
    words: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith(f"error: {told}")
    assert f"See groundup {words.split()[0]}" in shown.err


def test_a_port_that_is_taken_is_said_before_any_model_is_looked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["serve", "no-such-model", "--port", str(port)]) == 2
    assert f"error: Port {port} of 127.0.0.1 is taken" in capsys.readouterr().err


def test_an_option_of_the_program_after_the_verb_is_told_where_it_stands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["generate", "x", "y", "--debug"]) == 2
    assert "It stands before the verb: groundup --debug generate ..." in capsys.readouterr().err


def test_unknown_verbs_are_answered_with_the_nearest_or_with_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["clasify"]) == 2
    assert "There is no verb 'clasify'.\n       Did you mean 'classify'?" in capsys.readouterr().err
    assert run(["xyz"]) == 2
    assert did_you_mean("xyz", VERBS) in capsys.readouterr().err
    assert run(["export"]) == 2  # what others call it
    assert "Did you mean 'convert'?" in capsys.readouterr().err
    assert run(["reproduce", "decoding"]) == 2  # what is no verb
    assert "make claim ID=... (docs/benchmarks.md#claims)" in capsys.readouterr().err


def test_a_folder_in_place_of_a_verb_is_told_what_to_do_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my notes").mkdir()
    assert run(["my notes"]) == 2
    assert "texts: groundup build 'my notes'. Answers" in capsys.readouterr().err


def test_what_is_said_about_foreign_names_is_harmless_and_unchanged(
    verb: type[Verb], capsys: pytest.CaptureFixture[str]
) -> None:
    verb.does = ConfigError(
        "No [bold]field[/bold] \x1b[31mred\x1b[0m\x07 in [data]: expected [a, b]"
    )
    assert run(["doctor"]) == 2
    err = capsys.readouterr().err
    assert "\x1b" not in err and "\x07" not in err
    assert r"No [bold]field[/bold] \x1b[31mred\x1b[0m\x07 in [data]: expected [a, b]." in err
    assert console_escape("one\ntwo") == "one\ntwo"


def test_help_and_lists_of_names_come_without_torch() -> None:
    code = f"""
import sys
from groundup.cli.main import run
for verb in {list(VERBS)}:
    assert run([verb, "--help"]) == 0
    assert "torch" not in sys.modules, verb
assert (run(["pull"]), run(["pull", "nothing"])) == (0, 2)
assert "torch" not in sys.modules, "pull"
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert told.returncode == 0, told.stderr
    assert (
        "HuggingFaceTB/SmolLM2-135M-Instruct" in told.stdout
        and "smollm2-135m-instruct" in told.stderr
    )


LIBC = "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.98' not found (required by {})"


@pytest.mark.parametrize("kind", [OSError, ImportError])
def test_a_package_built_for_a_newer_system_is_one_sentence(
    kind: type[Exception], verb: "type[Verb]", capsys: pytest.CaptureFixture[str]
) -> None:
    """What torch said on Debian 12 of a build for a newer one; its first library is an OSError."""
    said = LIBC.format("/opt/g/lib/python3.11/site-packages/torch/lib/libtorch_cpu.so")
    verb.does = kind(said)
    assert run(["doctor"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: torch needs the GNU C library 2.98 or newer; this")
    verb.does = kind("libgomp.so.1: cannot open shared object file")
    with pytest.raises(kind, match="libgomp"):
        run(["doctor"])
