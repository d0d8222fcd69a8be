"""`groundup pack`: the pack that `new` writes passes, and each thing that can be wrong with one is said with its line."""

import json
from pathlib import Path
from typing import Any

import pytest
from processor_time import at_most_cpu_s

from groundup.cli.main import run
from groundup.errors import ConfigError, DataError
from groundup.packs.check import check_pack
from groundup.packs.known import known_of, quantities
from groundup.packs.pack import new_pack, pack_folder, packaged_packs, read_pack
from groundup.packs.repeats import Text, repeats

Row = dict[str, Any]


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A whole small pack."""
    new_pack("mine", tmp_path / "mine")
    return tmp_path / "mine"


def objections(pack: Path) -> list[str]:
    return [str(each) for each in check_pack(pack).objections]


def add(pack: Path, part: str, **values: Any) -> None:
    with (pack / f"{part}.jsonl").open("a") as file:
        file.write(json.dumps(values) + "\n")


def add_questions(pack: Path, count: int) -> None:
    for number in range(count):
        words = " ".join(f"w{number}x{place}" for place in range(9))
        add(
            pack,
            "instructions",
            instruction=f"Is it {words}?",
            input="",
            output="No.",
            document="hire.md",
        )


def replace(pack: Path, file: str, old: str, new: str) -> None:
    text = (pack / file).read_text()
    assert old in text
    (pack / file).write_text(text.replace(old, new, 1))


def test_a_pattern_of_documents_for_staff_that_fits_none_is_named(pack: Path) -> None:
    replace(pack, "pack.toml", "[assistant]", '[assistant]\nstaff_documents = ["hire*", "staf-*"]')
    [found] = objections(pack)
    assert "assistant.staff_documents" in found and "'staf-*'" in found


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("rota.md", "# Rota (staff only)\n\nThe big gate has a code.\n", "says 'staff only'"),
        ("internal-only.md", "# Rota\n\nThe big gate has a code.\n", "says 'internal-only'"),
        (
            "mail.md",
            "# Ready\n\nDear {first_name}, come to {{ shop }}.\n",
            "{first_name}, {{ shop }}",
        ),
    ],
)
def test_a_document_that_is_not_for_customers_as_it_stands_is_named(
    pack: Path, file: str, text: str, says: str
) -> None:
    (pack / "documents" / file).write_text(text)
    assert any(f"documents/{file}" in each and says in each for each in objections(pack))
    replace(pack, "pack.toml", "[assistant]", f'[assistant]\nstaff_documents = ["{file}"]')
    assert not any("staff_documents" in each for each in objections(pack))


def test_a_new_pack_is_whole_and_passes_its_check(pack: Path) -> None:
    checked = check_pack(pack)
    assert (checked.objections, checked.pack.head.name) == ((), "mine")
    [note] = checked.notes
    assert "With at least 20 the evidence that an answer needs is chosen" in note, (
        "a few lines are no test"
    )
    add_questions(pack, 20)
    assert check_pack(pack).notes == ()
    assert checked.pack.counts == {
        "documents": 4,
        "instructions": 12,
        "messages": 30,
        "questions": 9,
    }
    with pytest.raises(ConfigError, match="exists already"):
        new_pack("mine", pack)
    with pytest.raises(ConfigError, match="letters, digits"):
        new_pack("../mine", pack / "x")


@pytest.mark.parametrize("name", packaged_packs())
def test_a_packaged_pack_has_no_objection(name: str) -> None:
    checked = check_pack(packaged_packs()[name])
    assert [str(each) for each in checked.objections] == [] and checked.pack.head.name == name


@pytest.mark.parametrize("wrong", ["£99", "£57"])
def test_a_wrong_amount_in_any_text_of_a_packaged_pack_is_found(wrong: str) -> None:
    """In a summary, its text, an instruction, a question: wherever there is a number, or at the end."""
    pack, _ = read_pack(packaged_packs()["writing"])
    known = known_of(pack)
    fields = [
        (row, field)
        for rows in pack.parts.values()
        for row in rows
        for field in ("summary", "text", "output")
    ]
    texts = [row.values[field] for row, field in fields if row.values.get(field)]
    assert len(texts) > 100
    for text in texts:
        amounts = [each.written for each in quantities(text)]
        for changed in (
            text.replace(amounts[0], wrong, 1) if amounts else text,
            f"{text} It costs {wrong}.",
        ):
            assert wrong not in changed or [
                each for each in known.objections(changed) if wrong in each
            ], changed


def test_a_summary_that_says_another_number_than_its_text_is_found(pack: Path) -> None:
    """Also where it is the number of another fact: £9 for £16."""
    facts = {"document": None, "key_facts": ["repair"]}
    add(
        pack,
        "summaries",
        text="A repair costs £16 in two parts.",
        summary="A repair: £16, two parts.",
        **facts,
    )
    add(
        pack,
        "summaries",
        text="One repair is £16, by 5 working days.",
        summary="A repair is £9 now, two parts.",
        **facts,
    )
    assert objections(pack) == ["summaries.jsonl:2: the summary says '£9', which its text does not"]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("£9", "£8", "repairs.md:9: the amount '£8' is not in facts.toml"),
        (
            "£110",
            "€110",
            "repairs.md:11: the amount '€110' is not in facts.toml, which has it as an amount in £",
        ),
        (
            "service covers",
            "service of 45% covers",
            "repairs.md:13: the percentage '45%' is not in facts.toml, which has it as",
        ),
        (
            "2 working days",
            "seven working days",
            "repairs.md:10: the number 'seven' is not in facts.toml",
        ),
        ("until 4 pm", "until 4:30 pm", "repairs.md:3: the time '4:30 pm' is not in facts.toml"),
        (
            "Canal Walk, Ferrowby",
            "Canal Walk, Harrogate",
            "repairs.md:3: the name Harrogate is not in facts.toml",
        ),
        (
            "If we find",
            "Spokewall finds",
            "repairs.md:15: the name Spokewall is not in facts.toml: is Spokewell meant?",
        ),
        ("# Repairs and prices", "Repairs and prices", "repairs.md:1: the first line is no title"),
    ],
)
def test_what_a_document_says_beside_the_facts_is_found_with_its_line(
    pack: Path, old: str, new: str, reason: str
) -> None:
    replace(pack, "documents/repairs.md", old, new)
    assert [each for each in objections(pack) if reason in each]


@pytest.mark.parametrize(
    "said",
    [
        "Open 9:00 to 17:30",
        "from 9 to 5:30",
        "forty-five pounds",
        "£45.00",
        "ON SUNDAY, closed",
        "Spokewell's",
    ],
)
def test_a_fact_may_be_said_in_another_way(pack: Path, said: str) -> None:
    (pack / "documents/repairs.md").write_text(
        f"# Repairs\n\nWe say: {said}. Until 4 pm, 5 working days.\n"
    )
    assert objections(pack) == []


def test_what_is_free_may_be_said(pack: Path) -> None:
    add(pack, "messages", text="I am Brigitta, 47, and come from Yolk at 6:20 am", label="hire")
    assert len(objections(pack)) == 4
    replace(pack, "pack.toml", "numbers = [3, 15]", 'numbers = [47, "6:20 am"]')
    replace(pack, "pack.toml", '"Hi", "YES"', '"Brigitta", "Yolk", "Hi", "YES"')
    assert len(objections(pack)) == 2, "three and fifteen are free no more"


@pytest.mark.parametrize(
    ("part", "row", "reason"),
    [
        (
            "questions",
            {"question": "Whose?", "answer": "5 pm", "document": "x.md"},
            "questions.jsonl:10: there is no documents/x.md",
        ),
        (
            "questions",
            {"question": "Whose?", "answer": "90 days", "document": "hire.md"},
            "hire.md does not contain the answer '90 days'",
        ),
        (
            "questions",
            {"question": "Whose?", "answer": None, "document": "hire.md"},
            "or a document without an answer",
        ),
        (
            "questions",
            {"question": "Which days are you closed, please?", "answer": None, "document": None},
            "nearly repeats",
        ),
        ("questions", {"question": "Whose?"}, "has no field 'answer'"),
        (
            "messages",
            {"text": "flat tyre again!! Can I bring it in this afternoon", "label": "repair"},
            "nearly repeats messages.jsonl:2",
        ),
        (
            "messages",
            {"text": "Hi", "label": "greeting"},
            "the intent 'greeting' has 1 messages, at least 10 are needed",
        ),
        ("messages", {"text": "", "label": "hire"}, "'text' is empty"),
        ("messages", {"text": " \n", "label": "hire"}, "'text' is empty"),
        ("messages", {"text": "Hi \ud800", "label": "hire"}, "'text' has a lone surrogate"),
        ("messages", {"text": "Hi", "label": "hire", "by": "me"}, "has an unknown field 'by'"),
        (
            "instructions",
            {"instruction": "Say.", "input": 3, "output": "No.", "document": None},
            "'input' is no text",
        ),
        (
            "summaries",
            {"document": None, "text": "A hen sat.", "summary": "It sat.", "key_facts": ["hen"]},
            "the summary does not contain",
        ),
    ],
)
def test_what_is_wrong_with_a_line_is_one_objection(
    pack: Path, part: str, row: Row, reason: str
) -> None:
    add(pack, part, **row)
    (found,) = objections(pack)
    assert reason in found and found.startswith(f"{part}.jsonl")


def test_a_document_that_is_not_checked_is_named(pack: Path) -> None:
    (pack / "documents/old").mkdir()
    for name in ("prices.txt", "old/prices.md", ".hidden.txt"):
        (pack / "documents" / name).write_text("A lamp costs £999.")
    places = [each.split(":")[0] for each in objections(pack)]
    assert places == ["documents/old/prices.md", "documents/prices.txt"]


@pytest.mark.parametrize("key_facts", [[], ["90 days", ""]])
def test_a_summary_without_key_facts_is_refused(pack: Path, key_facts: list[str]) -> None:
    add(
        pack,
        "summaries",
        document=None,
        text="It has 90 days.",
        summary="90 days.",
        key_facts=key_facts,
    )
    assert "summaries.jsonl:1: 'key_facts' is empty" in objections(pack)


def test_a_line_ends_at_its_newline_and_at_no_other_separator(pack: Path) -> None:
    with (pack / "messages.jsonl").open("a", encoding="utf-8", newline="") as file:
        file.write('{"text": "Good\u2028morning\u0085everyone", "label": "hire"}\r\n')
    assert objections(pack) == []


def test_a_line_that_is_no_json_and_a_file_that_is_no_text_are_named(pack: Path) -> None:
    with (pack / "messages.jsonl").open("ab") as file:
        file.write(b"{'text'}\n[1]\n")
    (pack / "documents/old.md").write_bytes(b"# \xff\xfe")
    found = objections(pack)
    assert [each.partition(": ")[0] for each in found] == [
        "documents/old.md",
        "messages.jsonl:31",
        "messages.jsonl:32",
    ]


def test_a_pack_without_documents_can_not_be_built(pack: Path) -> None:
    for file in (pack / "documents").iterdir():
        file.unlink()
    checked = check_pack(pack)
    assert (
        str(checked.blocking[0]) == "documents: the pack has no documents: write at least one *.md"
    )
    assert len(checked.blocking) > 7, "and each question's document is missing"


def test_facts_that_are_given_twice_and_broken_heads_are_one_sentence(pack: Path) -> None:
    replace(pack, "facts.toml", "[repairs]", 'closed = "never"\n[repairs]')
    with pytest.raises(
        DataError, match=r"facts.toml can't be read. A fact is given twice.*line 11"
    ):
        check_pack(pack)
    replace(pack, "pack.toml", "organisation", "organization")
    with pytest.raises(DataError, match=r"pack.toml: Unknown field 'organization'") as caught:
        check_pack(pack)
    assert "'organisation'" in caught.value.fix
    (pack / "facts.toml").unlink()


def test_a_folder_of_texts_is_told_from_a_pack(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not a pack: it has no pack.toml") as caught:
        pack_folder(str(tmp_path))
    assert f"groundup build {tmp_path}" in caught.value.fix
    with pytest.raises(DataError, match="There is no pack 'zzz'"):
        pack_folder("zzz")


def test_another_language_than_english_is_noted(pack: Path) -> None:
    replace(pack, "pack.toml", 'language = "en"', 'language = "de"')
    assert "'de'" in check_pack(pack).notes[0]


def test_the_verbs_end_with_2_where_there_is_an_objection(
    pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pack", "check", str(pack), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert (plain["objections"], plain["labels"], plain["unanswerable"]) == (
        [],
        {"repair": 10, "hire": 10, "none of these": 10},
        2,
    )
    replace(pack, "documents/hire.md", "£16", "£17")
    assert run(["pack", "check", str(pack)]) == 2
    said = capsys.readouterr()
    assert "documents/hire.md:3: the amount '£17'" in said.out and "1 objection;" in said.err
    assert run(["pack", "new", str(pack.name), "--out", str(pack)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_runs_that_stand_everywhere_cost_nothing_and_near_repeats_are_found_among_them() -> None:
    greeting = "Dear all of you at the bank I hope that this finds you well and that you have a moment for me today"
    texts = [
        Text(f"m:{n}", f"{greeting} {' '.join(f'word{n}x{i}' for i in range(30))}")
        for n in range(3000)
    ]
    near = Text("m:near", texts[7].text.replace("word7x29", "other"))
    with at_most_cpu_s(10):  # every text with every other one takes longer
        found = [(text.place, other.place) for text, other, _ in repeats([*texts, near, texts[9]])]
    assert found == [("m:near", "m:7"), ("m:9", "m:9")]


def test_dates_and_times_of_toml_are_facts(pack: Path) -> None:
    with (pack / "facts.toml").open("a") as file:
        file.write("\n[fair]\nopens = 2027-03-04T10:45:00\nday = 2027-03-09\nends = 16:20:00\n")
    (pack / "documents/fair.md").write_text(
        "# Fair\n\nFrom 10:45 am on 4 March 2027 to 4:20 pm on 9 March 2027.\n"
    )
    assert not [str(each) for each in check_pack(pack).objections if "fair.md" in each.place]
