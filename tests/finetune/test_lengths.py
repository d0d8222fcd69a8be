"""What is cut is counted: the lengths of examples, cut ones, answers that lose their end, and those left out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from groundup.data.documents import Example, InstructionExample
from groundup.device import Compute
from groundup.errors import DataError
from groundup.finetune.classifier import fit_classifier
from groundup.finetune.config import ChatConfig, ClassifierConfig
from groundup.finetune.instruct import fit_chat
from groundup.finetune.order import Lengths, shortest_limit
from groundup.runs import RunFolder
from groundup.tokenizer.chat import Rendered
from groundup.weights.model_io import OpenModel

OpenBase = Callable[[], OpenModel]


def rendered(prompt: int, answer: int) -> Rendered:
    return Rendered("", list(range(prompt + answer)), [False] * prompt + [True] * answer)


class Said:
    """Progress that keeps what is said; training may not begin before the lengths are."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def track(self, what: str, total: float, unit: str) -> object:
        from groundup.progress import Silent

        return Silent().track(what, total, unit)


def test_an_answer_that_loses_its_end_is_not_one_that_is_left_out() -> None:
    some = [
        rendered(4, 4),
        rendered(4, 6),
        rendered(4, 7),
        rendered(9, 3),
        rendered(10, 3),
        rendered(30, 2),
    ]
    found = Lengths.of_answers(some, 10)
    assert found == Lengths(10, 6, median=12, longest=32, cut=4, answers_cut=2, left_out=2)
    assert found.line() == (
        "Lengths in tokens: median 12, longest 32; 4 of 6 are longer than 10 and are cut (max_tokens), "
        "2 of their answers lose the end, 2 are left out (the answer lies behind the cut)."
    )
    assert Lengths.of_texts([3, 9], 10).line().endswith("none is longer than 10, none is cut.")


def test_windows_read_what_a_limit_would_cut() -> None:
    found = Lengths.of_texts([3, 9, 25, 90], 10, 8)
    assert (found.several, found.cut) == (2, 1)
    assert found.line().endswith(
        "2 of 4 are longer than 10 and are read in up to 8 windows, 1 of them are cut after 80 (windows)."
    )
    assert Lengths.of_texts([3, 25], 10, 1).cut == 1


def test_the_limit_is_the_shortest_that_holds_nearly_all() -> None:
    limits = (64, 128, 256, 512)
    assert shortest_limit([20] * 95 + [400] * 5, limits) == 64
    assert shortest_limit([20] * 94 + [400] * 6, limits) == 512
    assert shortest_limit([2000], limits) == 512


def test_what_is_cut_is_said_before_the_first_step_and_is_in_the_results(
    open_base: OpenBase,
    splits: dict[str, list[Example]],
    instructions: list[InstructionExample],
    compute: Compute,
    tmp_path: Path,
) -> None:
    said = Said()
    config = ClassifierConfig(
        train="last-block", max_tokens=8, windows=1, epochs=1, learning_rate=5e-4
    )
    results = fit_classifier(
        open_base(), splits, RunFolder(tmp_path / "a"), config, compute=compute, progress=said
    )
    assert results.lengths == RunFolder(tmp_path / "a").read_results()["lengths"]
    assert results.lengths["limit"] == 8 and results.lengths["cut"] > 100
    assert (
        said.lines[0].startswith("Lengths in tokens: median ")
        and "are longer than 8 and are cut" in said.lines[0]
    )

    said, chat = Said(), ChatConfig(tokens=300, max_tokens=24, precision="float32")
    long = InstructionExample("see you", "", "down " * 30, "long")
    late = InstructionExample("see you " * 30, "", "down", "late")
    examples = [*instructions, long, late]
    results = fit_chat(
        open_base(), examples, RunFolder(tmp_path / "b"), chat, compute=compute, progress=said
    )
    lengths = results.lengths
    assert (lengths["limit"], lengths["examples"], lengths["answers_cut"], lengths["left_out"]) == (
        24,
        42,
        1,
        1,
    )
    assert results.examples["left_out"] == 1 and "1 of their answers lose the end" in said.lines[0]


def test_splits_that_share_a_text_are_refused(
    open_base: OpenBase, splits: dict[str, list[Example]], compute: Compute, tmp_path: Path
) -> None:
    first = splits["train"][0]
    shared = {**splits, "test": [*splits["test"], Example(first.text.upper(), first.label)]}
    with pytest.raises(DataError, match="1 messages occur more than once"):
        fit_classifier(
            open_base(),
            shared,
            RunFolder(tmp_path / "run"),
            ClassifierConfig(train="last-block"),
            compute=compute,
        )
