"""`groundup pack check` of actions: held against the pack's documents, facts and other texts."""

import shutil
from pathlib import Path

import pytest

from groundup.actions.action_file import ACTIONS_FILE
from groundup.cli.main import run
from groundup.packs.check import check_pack
from groundup.packs.pack import new_pack

ACTIONS = """
[actions.hire]
title = "Hire a bicycle"
examples = [
  "I want to hire a bicycle for today", "Reserve an electric one for me", "Put my name down for it",
  "Keep a city model, reservation HB274", "Get me something to ride now",
]
not_examples = ["How much is a day?", "Is a helmet free?", "How old must I be?"]
confirm = "A bicycle for {holder} on {day}[, with this: {note}.] Shall I put it down?"
done = "The bicycle is yours on {day}. {reference}"

[actions.hire.slots.holder]
type = "name"
ask = "In whose name?"

[actions.hire.slots.day]
type = "date"
ask = "For which day?"

[actions.hire.slots.note]
type = "text"
optional = true

[actions.hire.slots.code]
type = "code"
pattern = "[A-Z]{2}[0-9]{3}"
example = "HB274"
optional = true

[[actions.hire.rules]]
refuse_if = "SELECT :day < :today"
say = "A helmet is free, but {day} is past."
document = "hire.md"
quote = "A helmet is free with every hire."

[actions.hire.effect]
sql = "INSERT INTO hires VALUES (:reference, :holder, :day, :note)"
"""
WORLD = "CREATE TABLE hires (reference TEXT, holder TEXT, day TEXT, note TEXT);\n"


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    new_pack("mine", tmp_path / "mine")
    (tmp_path / "mine" / ACTIONS_FILE).write_text(ACTIONS)
    (tmp_path / "mine" / "world.sql").write_text(WORLD)
    return tmp_path / "mine"


def objections(pack: Path) -> list[str]:
    return [str(each) for each in check_pack(pack).objections]


def test_actions_that_agree_with_the_pack_are_counted(
    pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert objections(pack) == [] and check_pack(pack).counts["actions"] == 1
    assert run(["pack", "check", str(pack)]) == 0
    assert "1 actions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("free with every hire.\"", "free on every hire.\"", "rules[0].quote: does not stand in hire.md word for word"),
        ('document = "hire.md"', 'document = "hiring.md"', "rules[0].document: there is no documents/hiring.md"),
        ("A helmet is free, but", "A helmet is £4, but", "rules[0].say: the amount '£4' is not in facts.toml"),
        ("The bicycle is yours", "The bicycle from Spokewall is yours", "done: the name Spokewall is not in facts.toml"),
        ("In whose name?", "In whose name? It costs £99.", "slots.holder.ask: the amount '£99'"),
        ('"Get me something to ride now",', "", "examples: has 4 messages, at least 5 are needed"),
        (', "How old must I be?"', "", "not_examples: has 2 messages, at least 3 are needed"),
        ('title = "Hire', 'intents = ["riding"]\ntitle = "Hire', "intents: names 'riding', which no message"),
        ("Put my name down for it", "I want to hire a bicycle for today, please", "nearly repeats actions.toml: actions.hire.examples[0]"),
        (":day < :today", ":da < :today", "actions.hire.rules[0].refuse_if: uses :da, which nothing gives"),
        (":day < :today", "1 FROM hire", "actions.hire.rules[0].refuse_if: is no valid SQL here (no such table: hire)"),
        ("title =", "titel =", "actions.toml: Unknown field 'actions.hire.titel'. Did you mean 'title'?"),
        ("[actions.hire]", "[actions.hire", "actions.toml: "),
    ],
)  # fmt: skip
def test_what_contradicts_the_pack_is_said_with_its_place(
    pack: Path, old: str, new: str, says: str
) -> None:
    file = pack / ACTIONS_FILE
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    [said] = objections(pack)
    assert said.startswith(f"{ACTIONS_FILE}: ") and says in said


def test_without_its_world_the_statements_of_an_action_fit_nothing(
    pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pack / "world.sql").unlink()
    [said] = objections(pack)
    assert "actions.hire.effect.sql[0]: is no valid SQL here (no such table: hires)" in said
    assert run(["pack", "check", str(pack)]) == 2
    shutil.rmtree(pack / "documents")
    assert check_pack(pack).blocking


def test_a_fault_of_form_is_said_with_its_form_and_not_to_be_put_into_the_facts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_pack("mine", tmp_path / "mine")
    file = tmp_path / "mine" / ACTIONS_FILE
    file.write_text(file.read_text().replace('type = "date"', 'type = "time"\nleast = "9:00"', 1))
    assert run(["pack", "check", str(tmp_path / "mine")]) == 2
    said = capsys.readouterr().err
    assert 'must be a time as HH:MM, such as "09:00" (got 9:00)' in said
    assert "nothing can be built before" in said and "facts.toml" not in said
    file.write_text(file.read_text().replace("type =", "typ =", 1))
    assert run(["pack", "check", str(tmp_path / "mine")]) == 2
    assert "Did you mean 'type'?.\n" not in capsys.readouterr().err
