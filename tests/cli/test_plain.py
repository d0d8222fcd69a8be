"""No text of a model or a document gives a terminal an order or turns its lines around, now or when a file or pipe is shown later."""

import json
from pathlib import Path

import pytest

from groundup.cli.console import PlainProgress, print_result
from groundup.cli.main import run
from groundup.cli.plain import json_safe, terminal_safe
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.model_io import save_model

ORDER = "\x1b[31m"  # red from here on
MARKS = "\u200f\u200e\u061c\u202e\u202a\u2066\u2069"
HOSTILE = f"a{ORDER}b\x9b2Jc\x07\x7f{MARKS}d\x08\r"


def is_harmless(printed: str) -> bool:
    return not any(
        c in MARKS or (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 for c in printed
    )


def test_orders_are_replaced_marks_of_direction_removed_and_other_text_stays() -> None:
    assert terminal_safe(HOSTILE) == "a\ufffd[31mb\ufffd2Jc\ufffd\ufffdd\ufffd\ufffd"
    kept = "שלום, مرحبا\n\tñ 😀 \u200d \u00a0 \u2028"
    assert terminal_safe(kept) == kept


def test_json_has_them_escaped_with_the_same_value() -> None:
    value = {"text": HOSTILE, "é": ["\u2067", "plain"]}
    printed = json_safe(json.dumps(value, ensure_ascii=False, indent=2))
    assert is_harmless(printed) and "é" in printed and json.loads(printed) == value


def test_lines_json_and_messages_of_every_verb_are_harmless(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_result([HOSTILE], None, False)
    print_result([], {"text": HOSTILE}, True)
    PlainProgress().say(HOSTILE)
    printed = capsys.readouterr()
    assert is_harmless(printed.out) and is_harmless(printed.err)
    assert "[31m" in printed.out and "[31m" in printed.err


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = train_tokenizer([HOSTILE * 3 + "to be or not to be"], 300)
    folder = tmp_path_factory.mktemp("model")
    save_model(LanguageModel(ModelConfig(words.vocab_size, 256, 32, 2, 4, 64)), folder, words)
    return folder


def test_a_models_text_is_harmless_in_a_pipe_and_whole_in_json(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(["generate", str(model), "to be", "--regex", r"a\x1b\[31m\x{9b}\x{200f}\x{61c}d"]) == 0
    )
    assert capsys.readouterr().out == "a\ufffd[31m\ufffdd\n"
    assert (
        run(
            [
                "generate",
                str(model),
                "to be",
                "--regex",
                r"a\x1b\[31m\x{9b}\x{200f}\x{61c}d",
                "--json",
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert is_harmless(printed) and json.loads(printed)["text"] == "a\x1b[31m\x9b\u200f\u061cd"


def test_a_documents_text_is_harmless_where_it_is_searched_and_quoted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text(
        f"The gate is {MARKS}green and opens at nine.\n", encoding="utf-8"
    )
    index = str(tmp_path / "x.index")
    assert run(["index", str(tmp_path / "a.txt"), "--out", index]) == 0
    for verb in ("search", "ask"):
        for options in ([], ["--json"]):
            capsys.readouterr()
            assert run([verb, index, "When does the gate open?", *options]) == 0
            printed = capsys.readouterr().out
            assert "green and opens" in printed and is_harmless(printed)
