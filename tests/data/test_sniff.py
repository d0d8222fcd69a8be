"""The sniffer: every layout from the field is recognised or asked about, never misread; what it recognises is what is read."""

import dataclasses
import gzip
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundup.cli.main import run
from groundup.data.reading.data import Data
from groundup.data.reading.examples import read_chat, read_examples, read_labelled, read_preferences
from groundup.data.reading.format_detection import shorten, sniff
from groundup.data.reading.layouts import (
    CHAT_LAYOUTS,
    LABELLED,
    LAYOUTS,
    OF_TEXTS,
    PREFERENCE,
    TEXT,
    Layout,
)
from groundup.data.reading.options import SourceOptions, parse_columns
from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import describe_source, read_source
from groundup.errors import ConfigError, DataError, FormatError
from groundup.tokenizer.chat import Message

Texts = Callable[..., Path]
FOLDER = Path(__file__).parent / "layouts"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text())
SURE = {name: each for name, each in EXPECTED.items() if "layout" in each}
ASKS = {name: each for name, each in EXPECTED.items() if "asks" in each}
WITH_EXAMPLES = {name: each for name, each in SURE.items() if each["layout"] != "text"}


def test_the_table_names_every_file_and_ten_are_ambiguous() -> None:
    assert set(EXPECTED) == {path.name for path in FOLDER.iterdir()} - {"expected.json"}
    assert len(SURE) >= 40 and len(ASKS) >= 10
    assert {each["layout"] for each in SURE.values()} == set(LAYOUTS)


@pytest.mark.parametrize("name", SURE)
def test_a_layout_is_recognised_with_its_columns_and_first_row(name: str) -> None:
    found, expected = sniff(FOLDER / name), SURE[name]
    assert (found.doubt, found.layout, dict(found.roles)) == (
        "",
        expected["layout"],
        expected["roles"],
    )
    assert (found.form.kind, found.form.has_header) == (
        expected["kind"],
        expected.get("header", True),
    )
    assert {role: shorten(value) for role, value in found.first.items()} == expected.get(
        "first", {}
    )
    assert list(found.unused) == expected.get("unused", [])


@pytest.mark.parametrize("name", ASKS)
def test_an_ambiguous_file_is_asked_about_in_one_sentence(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = sniff(FOLDER / name)
    for part in ASKS[name]["asks"]:
        assert part in f"{found.doubt} {found.fix}"
    assert run(["data", "inspect", str(FOLDER / name)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert name in said and "Traceback" not in said and len(said) < 600
    for wanted in (LABELLED, CHAT_LAYOUTS, PREFERENCE):
        for_one = sniff(FOLDER / name, SourceOptions(wanted=wanted))
        assert for_one.doubt or for_one.layout in ASKS[name].get("sure_for", [])


def plain(example: Any) -> dict[str, Any]:
    """The fields of an example that are not empty; messages as [role, content]."""
    fields = {name.name: getattr(example, name.name) for name in dataclasses.fields(example)}
    return {
        name: [
            [each.role, each.content]
            if isinstance(each, Message)
            else each
            if isinstance(each, str)
            else each["function"]["name"]
            for each in value
        ]
        if isinstance(value, tuple)
        else value
        for name, value in fields.items()
        if value not in ("", None, False, ())
    }


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_are_those_of_the_description(name: str) -> None:
    layout: Layout = WITH_EXAMPLES[name]["layout"]
    examples = read_examples(Source(str(FOLDER / name)), SourceOptions(), [layout])
    assert plain(examples[0]) == WITH_EXAMPLES[name]["example"]
    assert len(examples) == WITH_EXAMPLES[name]["rows"]


@pytest.mark.parametrize("name", SURE)
def test_data_of_another_layout_are_refused_not_read(name: str) -> None:
    layout = SURE[name]["layout"]
    for wanted in (LABELLED, CHAT_LAYOUTS, PREFERENCE):
        if not {layout, *SURE[name].get("also", [])} & set(wanted):
            assert sniff(FOLDER / name, SourceOptions(wanted=wanted)).doubt, wanted
    if layout not in OF_TEXTS and "text" not in json.dumps(SURE[name].get("unused", [])):
        assert sniff(FOLDER / name, SourceOptions(wanted=TEXT)).doubt


@pytest.mark.parametrize("name", [name for name in WITH_EXAMPLES if name.endswith(".jsonl")])
def test_under_names_that_nobody_uses_the_same_rows_are_asked_about_until_named(
    name: str, tmp_path: Path
) -> None:
    roles = SURE[name]["roles"]
    names = {column: f"x{number}" for number, column in enumerate(dict.fromkeys(roles.values()))}
    rows = [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]
    kept = [{names[column]: row[column] for column in names if column in row} for row in rows]
    (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in kept))
    assert "'x0'" in sniff(tmp_path / name).doubt
    given = {role: names[column] for role, column in roles.items()}
    found = sniff(tmp_path / name, SourceOptions(wanted=LAYOUTS, columns=given))
    assert (found.doubt, found.layout, dict(found.roles)) == ("", SURE[name]["layout"], given)


@pytest.mark.parametrize("name", [name for name in WITH_EXAMPLES if name.endswith(".jsonl")])
def test_the_order_of_the_columns_does_not_matter_nor_a_bad_first_line(
    name: str, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]
    turned = [dict(reversed(row.items())) for row in rows]
    (tmp_path / name).write_text("not json\n" + "".join(json.dumps(row) + "\n" for row in turned))
    found = sniff(tmp_path / name)
    assert (found.layout, dict(found.roles)) == (SURE[name]["layout"], SURE[name]["roles"])


def test_what_was_asked_is_answered_by_the_option_that_the_sentence_names() -> None:
    def chosen(name: str, **options: Any) -> tuple[str | None, dict[str, str]]:
        (found,) = describe_source(
            Source(str(FOLDER / name)), SourceOptions(wanted=LAYOUTS, **options)
        )
        return found.layout, dict(found.roles)

    columns = {"prompt": "question", "completion": "answer"}
    assert chosen("asks_text_and_question.jsonl", layout="text") == ("text", {"text": "text"})
    assert chosen("asks_text_and_question.jsonl", layout="prompt-completion") == (
        "prompt-completion",
        columns,
    )
    assert chosen("asks_text_and_question.jsonl", columns=columns) == ("prompt-completion", columns)
    named = {"text": "text", "label": "sentiment"}
    assert chosen("asks_two_labels.csv", **named) == (
        "labelled",
        {"text": "text", "label": "sentiment"},
    )
    numbered = {"text": "3", "label": "2"}
    assert chosen("asks_three_fields.tsv", **numbered) == ("labelled", {"text": "3", "label": "2"})
    assert chosen("asks_three_fields.csv", text="3") == ("text", {"text": "3"})
    with pytest.raises(ConfigError, match="`layout` 'poem' is unknown"):
        SourceOptions(layout="poem")
    with pytest.raises(ConfigError, match="'poem' is not one of the roles"):
        parse_columns("poem=a")


def test_integer_labels_are_labels_and_an_empty_label_is_a_bad_row(texts: Texts) -> None:
    rows = [{"text": f"Message number {n}", "label": n % 3} for n in range(300)]
    rows[7]["label"], rows[8]["label"] = None, "  "
    report = SourceReport()
    root = texts(a_jsonl="\n".join(map(json.dumps, rows)))
    examples = read_labelled(Data(root), report=report)
    assert {example.label for example in examples} == {"0", "1", "2"} and len(examples) == 298
    assert (
        report.bad_lines.count == 2
        and "its label ('label') is empty" in report.bad_lines.examples[0]
    )
    table = "text,label\n" + "".join(
        f"Message number {n},{n % 2 if n else ''}\n" for n in range(200)
    )
    report = SourceReport()
    assert {
        e.label for e in read_labelled(Data(texts(folder="csv", a_csv=table)), report=report)
    } == {"0", "1"}
    assert report.bad_lines.count == 1


def test_a_stray_readme_and_config_beside_examples_are_passed_over_with_a_count(
    texts: Texts,
) -> None:
    root = texts(
        README_md="# About\n", LICENSE_txt="Free.\n", config_json='{"a": 1}', cat_png=b"\x89PNG"
    )
    shutil.copy(FOLDER / "sharegpt.json", root / "train.json")
    said: list[str] = []

    class Said:
        say = said.append

    assert len(read_chat(Data(root), progress=Said())) == 5  # type: ignore[arg-type]
    assert "passed over, no rows of this kind: 3 (LICENSE.txt, README.md, config.json)" in said[0]
    assert (
        "train.json: conversations (json); messages in 'conversations'" in said[0]
        and "cat.png" in said[0]
    )
    (found,) = describe_source(Source(str(root)), SourceOptions())[:1]
    assert found.layout == "text"


def test_files_of_a_folder_that_differ_are_each_read_as_they_are(texts: Texts) -> None:
    root = texts(a_csv='question,answer\n"How many?",4 of them\n')
    shutil.copy(FOLDER / "messages.jsonl", root)
    examples = read_chat(Data(root))
    assert [type(each).__name__ for each in examples[:2]] == [
        "InstructionExample",
        "ConversationExample",
    ]
    described = describe_source(Source(str(root)), SourceOptions(wanted=LAYOUTS))
    assert [each.layout for each in described] == ["prompt-completion", "conversation"]


def test_files_in_an_archive_and_compressed_ones_are_recognised(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
        for name in (
            "messages.jsonl",
            "sharegpt.json",
            "prompt_response.csv",
            "messages.parquet",
            "notes.md",
        ):
            archive.add(FOLDER / name, name)
    (tmp_path / "alpaca.jsonl.gz").write_bytes(
        gzip.compress((FOLDER / "alpaca.jsonl").read_bytes())
    )
    assert len(read_chat(Data(tmp_path))) == 6 + 4 * 5


def test_a_conversation_ends_with_its_last_answer_and_bad_ones_are_counted(texts: Texts) -> None:
    good = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    rows = [{"messages": [*good, {"role": "user", "content": "Bye"}]}] + [{"messages": good}] * 199
    bad: list[Any] = [
        {"messages": good[:1]},
        {"messages": [{"role": "npc", "content": "Hi"}, *good]},
    ]
    report = SourceReport()
    examples = read_chat(Data(texts(a_jsonl="\n".join(map(json.dumps, rows + bad)))), report=report)
    assert len(examples) == 200 and examples[0].output == "Ho" and examples[0].instruction == "Hi"
    reasons = " ".join(report.bad_lines.examples)
    assert "has no answer of an assistant" in reasons and "unknown role 'npc'" in reasons


def test_preferences_share_the_prompt(texts: Texts) -> None:
    (first, *_) = read_preferences(Data(FOLDER / "preference_transcripts.jsonl"))
    assert first.prompt == (Message("user", "How many legs has a spider?"),)
    rows = [{"prompt": f"q{n}", "chosen": "yes", "rejected": "no"} for n in range(200)]
    rows[3]["rejected"] = "yes"
    report = SourceReport()
    assert (
        len(read_preferences(Data(texts(a_jsonl="\n".join(map(json.dumps, rows)))), report=report))
        == 199
    )
    assert "two answers are the same" in report.bad_lines.examples[0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('[{"text": "a b"}, {"text": ', "cut, or not JSON"),
        ('[{"text": "a b"}', "no end"),
        ('[{"text": "a b"} {"text": "c"}]', "element 1: is followed by '{'"),
        ('[{"text": "a b"}]\n[{"text": "c"}]', r"element 1: is followed by '\['"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_a_damaged_array_is_refused_with_its_place(texts: Texts, content: str, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        list(
            read_source(
                Source(str(texts(a_json=content) / "a.json")), SourceOptions(), SourceReport()
            )
        )


def test_an_array_is_read_across_pieces_and_an_empty_one_has_no_row(
    texts: Texts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.data.reading.decoding.PIECE_BYTES", 7)
    rows = [{"text": f'Line "{n}" [of] {{many}}, é'} for n in range(50)]
    for indent in (None, 2):
        root = texts(a_json=json.dumps(rows, indent=indent, ensure_ascii=False))
        found = read_source(Source(str(root)), SourceOptions(), SourceReport())
        assert [document.text for document in found] == [row["text"] for row in rows]
    assert not list(
        read_source(Source(str(texts(a_json=" [ ] "))), SourceOptions(), SourceReport())
    )


def test_every_verb_says_what_it_understood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "inspect", str(FOLDER / "review_rating.csv")]) == 0
    out = capsys.readouterr().out
    assert (
        "review_rating.csv: labelled texts (csv); text in 'Review Text', label in 'Rating'" in out
    )
    assert "First: text 'A slow film that I was glad to leave early.'; label '1'" in out
    assert run(["data", "inspect", str(FOLDER / "messages.jsonl"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["understood"][0]["layout"] == "conversation" and found["documents"] == 5
    assert (
        run(["tokenizer", "train", str(FOLDER / "texts.json"), "--out", str(tmp_path / "t")]) == 0
    )
    assert "texts.json: texts (json); text in 'text'" in capsys.readouterr().err
    assert (
        run(["tokenizer", "train", str(FOLDER / "messages.jsonl"), "--out", str(tmp_path / "u")])
        == 2
    )
    assert "it holds conversations (messages 'messages'), not texts" in " ".join(
        capsys.readouterr().err.split()
    )


def test_a_column_beside_the_text_whose_values_recur_is_proposed_as_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"Sentence number {number} of some book.,{number % 3}a" for number in range(30)]
    (tmp_path / "own.csv").write_text("\n".join(["sentence,part", *rows]))
    words = ["finetune", "classifier", "smollm2-135m-instruct", str(tmp_path / "own.csv")]
    assert run([*words, "--out", str(tmp_path / "run")]) == 2
    assert "Say which is the label: --label-column part." in capsys.readouterr().err


def test_two_columns_of_one_name_and_a_list_of_messages_a_line_are_asked_about(
    texts: Texts,
) -> None:
    root = texts(
        a_csv="text,label,text\nA long night,sad,Another text\nA short day,glad,And one more\n"
    )
    assert "several columns called 'text'" in sniff(root / "a.csv").doubt
    line = json.dumps(
        [{"role": "user", "content": "Hi there"}, {"role": "assistant", "content": "Ho there"}]
    )
    root = texts(folder="lines", a_jsonl=f"{line}\n{line}\n")
    with pytest.raises(FormatError, match="element 2: is followed by"):
        list(read_source(Source(str(root)), SourceOptions(), SourceReport()))


def test_numbered_rows_of_two_files_are_not_taken_for_repeats(texts: Texts) -> None:
    rows = "".join(
        json.dumps({"id": n, "prompt": f"q{n}", "completion": "yes"}) + "\n" for n in range(20)
    )
    assert len({example.id for example in read_chat(Data(texts(a_jsonl=rows, b_jsonl=rows)))}) == 40


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "x"]), inner)
    ),
    max_leaves=6,
)
COLUMNS = st.sampled_from(
    [
        "text",
        "label",
        "prompt",
        "completion",
        "messages",
        "chosen",
        "rejected",
        "instruction",
        "output",
        "input",
        "id",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.dictionaries(COLUMNS, VALUES, max_size=4), max_size=6),
    st.sampled_from(["jsonl", "json"]),
)
def test_whatever_the_rows_hold_they_are_read_or_refused_in_one_sentence(
    tmp_path: Path, rows: list[dict[str, Any]], suffix: str
) -> None:
    file = tmp_path / f"a.{suffix}"
    file.write_text(
        json.dumps(rows) if suffix == "json" else "".join(json.dumps(row) + "\n" for row in rows)
    )
    for wanted in (TEXT, LABELLED, CHAT_LAYOUTS, PREFERENCE, LAYOUTS):
        try:
            found = sniff(file, SourceOptions(wanted=wanted)).require()
            assert found.layout in (*wanted, None) and found.line().isprintable()
            if wanted == LAYOUTS:
                list(read_source(Source(str(file)), SourceOptions(wanted=LAYOUTS), SourceReport()))
            elif wanted != TEXT:
                read_examples(Source(str(file)), SourceOptions(), wanted)
        except DataError as error:
            assert error.message
