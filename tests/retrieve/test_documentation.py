"""Answers from documentation: code on its lines, names as they are spelled, no tables of contents."""

from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.retrieve.answer import Answer, ask
from groundup.retrieve.answer_text import part_text
from groundup.retrieve.choice import asks_how, is_pointer
from groundup.retrieve.cite import QUALIFIES, Quote, statements
from groundup.retrieve.composition import compose
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage, split
from groundup.retrieve.saved import save_answer, verify_answer
from groundup.retrieve.table_rows import cells

from .conftest import Update

UNDO = """# Undo

Take the last commit back, with its changes kept:

```sh
git reset --soft HEAD^
git status
```

A commit that others have is better undone by another one.

```
    git revert HEAD
    # and then
    git push
```
"""
PATH = "# A path\n\n| step | question | minutes |\n|---|---|---|\n| 5 | [What is an attention score?](attention.md) | 10 |\n"
SCORE = "# Attention\n\nAn attention score says how much one token attends to another.\n"


def passage(text: str, number: int = 1, title: str = "") -> Passage:
    return Passage(number, text, title, f"{number}.md", "", "", "", 0, len(text), "en", number)


def composed(question: str, *texts: str, values: list[list[float]]) -> list[Quote]:
    """What is shown of these texts, with these values of their statements."""
    passages = [passage(text, number) for number, text in enumerate(texts, start=1)]
    assert [len(statements(each)) for each in passages] == [len(each) for each in values]
    return compose(question, passages, values)


def test_a_line_before_code_is_shown_with_the_code() -> None:
    (quote,) = composed("what about the last commit", UNDO, values=[[1.0, 0.1, 0.1, 0.1]])
    assert quote.is_code and quote.text == "git reset --soft HEAD^\ngit status"
    assert quote.head is not None and quote.head.text.startswith("Take the last commit back")
    said = '"Take the last commit back, with its changes kept:" [1]\n\n```\n'
    assert part_text(quote) == f"{said}{quote.text}\n```"


def test_a_line_with_a_colon_is_shown_with_what_it_announces() -> None:
    text = "# Undo\n\nOne file is taken back so, for example:\n\ngit restore a.txt\n\n## More\n\nIn short:\n\n## Last\n\nNo more."
    (quote,) = composed("undo", text, values=[[1.0, 0.2, 0.1, 0.1]])
    assert part_text(quote) == '"One file is taken back so, for example: … git restore a.txt" [1]'
    assert composed("undo", text, values=[[0.1, 0.1, 1.0, 0.1]])[0].text == "In short:"


def test_code_behind_a_sentence_follows_where_a_way_is_asked_for() -> None:
    values = [[0.1, 0.1, 1.0, 0.1]]
    first, second = composed("how do i undo a commit that others have", UNDO, values=values)
    assert first.text.startswith("A commit that others") and second.role == QUALIFIES
    assert second.text == "    git revert HEAD\n    # and then\n    git push"
    assert part_text(second) == "[1]\n\n```\ngit revert HEAD\n# and then\ngit push\n```"
    (alone,) = composed("is a commit that others have undone", UNDO, values=values)
    assert not alone.is_code


def test_code_is_preferred_where_a_way_is_asked_for() -> None:
    text = "# Undo\n\nGit remembers commits for 30 days.\n\nA commit is data.\n\n```\ngit revert HEAD\n```\n"
    values = [[1.0, 0.5, 0.9]]
    assert composed("how do i undo a commit", text, values=values)[0].is_code
    assert not composed("what is a commit", text, values=values)[0].is_code
    assert asks_how("which command undoes it") and not asks_how("how much is it")


def test_a_table_of_contents_does_not_answer(docs: Path, update: Update, tmp_path: Path) -> None:
    values = [[1.0], [0.7]]
    quotes = composed("what is an attention score", PATH, SCORE, values=values)
    assert quotes[0].text.startswith("An attention score says")
    assert composed("what is an attention score", PATH, SCORE, values=[[1.0], [0.2]])[0].in_words
    (docs / "path.md").write_text(PATH)
    (docs / "attention.md").write_text(SCORE)
    update()
    with Index(tmp_path / "index") as index:
        *_, answer = ask(index, "what is an attention score")
    assert isinstance(answer, Answer) and answer.quotes[0].text.startswith("An attention score")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("See [What is a token?](tokens.md).", True),
        ("- [`token`](b.md#token)", True),
        ("| learn what that is | the [course](course.md), the [glossary](glossary.md) |", True),
        ("A token is a piece of a text, see [the course](course.md).", False),
        ("| token | a piece of a text ([more](tokens.md)) |", False),
        ("See [What is a token?](https://example.org).", False),
        ("See [What is a token?](#tokens).", False),
        ("A token is a piece of a text.", False),
    ],
)
def test_a_pointer_only_names_another_document(text: str, is_one: bool) -> None:
    assert is_pointer("what is a token?", text) is is_one


def test_a_name_in_a_table_is_spelled_as_it_is() -> None:
    row = r"| `max_tokens` | train/process_group.py, tests/test_a_b.py | shift\_jis | *args | **Bold** £5\* | `a*b*c` |"
    assert cells(row) == [
        "max_tokens",
        "train/process_group.py, tests/test_a_b.py",
        "shift_jis",
        "*args",
        "Bold £5",
        "a*b*c",
    ]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("**Rank.** It is 8, see [lora](lora.md#rank).", "Rank. It is 8, see lora."),
        ("Give `--max_tokens *` or max\\_tokens.", "Give `--max_tokens *` or max_tokens."),
        ('A leading "**" and "**/foo" match; so do a**b and *.py or *.md.', None),
        ("Call f(*args) with handlers[0](x), 2 * 3 * 4 and C:\\new\\*.", None),
    ],
)
def test_marks_of_markdown_are_not_read(text: str, read: str | None) -> None:
    (quote,) = composed("rank tokens leading call", f"# A\n\n{text}", values=[[1.0]])
    assert quote.text == text and quote.readable == (read or text)
    shown = quote.readable.replace('"', "'")
    assert part_text(quote) == f'"{shown}" [1]'


def test_an_answer_with_code_is_verified(
    docs: Path, update: Update, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (docs / "undo.md").write_text(UNDO)
    update()
    with Index(tmp_path / "index") as index:
        *_, answer = ask(index, "how do i take the last commit back")
        assert isinstance(answer, Answer) and answer.quotes[0].is_code
        save_answer(answer, index, tmp_path / "answer.json")
    assert {each.state for each in verify_answer(tmp_path / "answer.json")} == {"as cited"}
    assert run(["ask", str(tmp_path / "index"), "how do i take the last commit back"]) == 0
    assert "\ngit reset --soft HEAD^\ngit status\n" in capsys.readouterr().out


OPTIONS = """# Options

--depth <depth>: Make a shallow clone. It implies --single-branch.

gc.auto; gc.<pattern>.auto: Loose objects are packed. The default is 6700.

max_connections (integer): How many may connect. The default is 100.

shutil.copy(src, dst): Copy a file. It returns the new name.

Opening hours: Monday to Friday. We are closed on Sunday.

e.g. this: It is so. And so on.
"""


def test_a_sentence_on_an_option_is_shown_with_its_name() -> None:
    (options,) = [passage(OPTIONS)]
    heads = {
        each.text: options.text[slice(*each.term)] for each in statements(options) if each.term
    }
    assert heads == {
        "It implies --single-branch.": "--depth <depth>",
        "The default is 6700.": "gc.auto; gc.<pattern>.auto",
        "The default is 100.": "max_connections (integer)",
        "It returns the new name.": "shutil.copy(src, dst)",
    }
    said = {each.text: each.above for each in statements(options)}
    assert said["The default is 6700."].endswith("gc.auto; gc.<pattern>.auto")
    values = [[0.1, 0.1, 0.1, 1.0, *[0.1] * 8]]
    (quote,) = composed("after how many objects does gc run", OPTIONS, values=values)
    assert part_text(quote) == '"gc.auto; gc.<pattern>.auto … The default is 6700." [1]'


def test_a_notice_on_a_version_answers_who_asks_about_versions() -> None:
    text = "# Limit\n\nset_limit sets the limit of recursion.\n\nChanged in version 3.5: an error is raised if the limit is low.\n"
    values = [[0.8, 1.0]]
    assert composed("how to set the limit", text, values=values)[0].text.startswith("set_limit")
    changed = composed("what changed for the limit", text, values=values)
    assert changed[0].text.startswith("Changed in version")


def test_a_short_line_before_code_is_no_heading() -> None:
    text = f"# Lists\n\n{'A list has items. ' * 60}\n\nThis will print\n\n```\n[1]\n```\n\nMore of it\n\n{'It is long. ' * 90}"
    titles = [each.title for each in split(text)]
    assert "Lists > More of it" in titles and not any("This will print" in each for each in titles)
    said = [each.text for each in statements(passage("# A\n\nThis will print\n\n```\n[1]\n```\n"))]
    assert said == ["This will print", "[1]"]
