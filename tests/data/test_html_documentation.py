"""Pages of documentation: nothing that their reader sees is lost, and nothing that is none of their text is read."""

import pytest

from groundup.data.reading.extract import html_text
from groundup.data.reading.html_documentation import put_code
from groundup.retrieve.passages import split

PROSE = "<p>The pump moves water from the tank to the beds. It runs when the soil is drier than its limit, and stops after the time that is set.</p>"


def text_of(body: str) -> str:
    """The text of a page, read for an index."""
    return html_text(f"<html><body>{body}</body></html>", headings=True)


def test_a_page_without_an_article_keeps_headings_and_small_tables() -> None:
    rows = "<tr><th>Option</th><th>Default</th></tr><tr><td>port</td><td>8811</td></tr>"
    page = f"<div><h1>Pump</h1>{PROSE}<div><div><h2><a id=o></a>Options</h2></div></div>{PROSE}<table>{rows}</table></div>"
    text = text_of(page)
    assert "# Pump\n" in text and "## Options\n" in text
    assert "| port | 8811 |" in text
    assert "8811" in text_of(f"<nav><a href=a.html>Home</a></nav>{page}")


def test_code_stands_on_lines_of_its_own_whatever_is_behind_it() -> None:
    code = "<pre># no heading\n\npump start</pre>"
    page = f"<main><h1>Pump</h1>{PROSE}<div>{code} and then <pre>pump stop<br>exit</pre></div><h2>More</h2>{PROSE}</main>"
    text = text_of(page)
    assert "\n\n```\n# no heading\n\npump start\n```\n\n" in text
    assert "\n\n```\npump stop\nexit\n```\n\n## More\n\n" in text
    assert [each.title for each in split(text, max_tokens=60)][-1] == "Pump > More"
    assert "zqcode" not in text


def test_code_of_a_list_and_of_a_table_stays_with_it() -> None:
    rows = "<tr><th>Do</th><th>Type</th></tr><tr><td>start</td><td><pre>pump start\n  --now</pre></td></tr>"
    page = f"<main><h1>Pump</h1>{PROSE}<ul><li>Stop it: <pre>pump stop</pre></li><li><pre>1\n2\n3</pre></li></ul>{PROSE}<table>{rows}</table></main>"
    text = text_of(page)
    assert "- Stop it:\n\n```\npump stop\n```" in "\n".join(map(str.rstrip, text.splitlines()))
    assert "| start | pump start --now |" in text
    assert "1\n2" not in text


def test_a_word_of_a_page_that_is_no_code_stays() -> None:
    assert put_code("see zqcode0qz", ["a"]) == "see \n\n```\na\n```\n\n"
    assert "zqcode7qz" in put_code("see zqcode7qz", ["a"])


@pytest.mark.parametrize(
    ("contents", "is_kept"),
    [
        ("<div class=toc><p>Contents</p><ul><li>1. <a href='#a'>Wiring it</a></li><li>2. <a href='p.html#b'>Filling</a></li></ul></div>", False),
        ("<dl><dt><a href='#a'>Wiring it</a></dt><dt><a href='#b'>Filling it</a></dt></dl>", False),
        ("<ul><li><a href='#a'>Wiring it</a>: done by an electrician</li><li><a href='#b'>Filling it</a></li></ul>", True),
        ("<p>To do:</p><ul><li><a href='wiring.html'>Wiring it</a></li><li><a href='fill.html#b'>Filling it</a></li></ul>", True),
    ],
)  # fmt: skip
def test_a_table_of_contents_is_no_text(contents: str, is_kept: bool) -> None:
    text = text_of(
        f"<main><h1>Pump</h1>{PROSE}{contents}<h2 id=a>A</h2>{PROSE}<h2><a name=b>B</a></h2>{PROSE}</main>"
    )
    assert ("Wiring it" in text) is is_kept
    assert "Contents" not in text and "## B\n" in text


@pytest.mark.parametrize(
    "label",
    [
        "<div class='admonition warning'><p class=title>Warning</p><p>Never run it dry.</p><p>It breaks.</p></div>",
        "<div class=warning><h3>Warning</h3><p>Never run it dry.</p><p>It breaks.</p></div>",
        "<div class=admonitionblock><table><tr><td><div>Warning</div></td><td>Never run it dry.<p>It breaks.</p></td></tr></table></div>",
        "<div class=admonitionblock><table><tr><td class=icon><img alt=Warning></td><td>Never run it dry.<p>It breaks.</p></td></tr></table></div>",
    ],
)  # fmt: skip
def test_a_warning_stands_before_what_it_warns_of(label: str) -> None:
    text = text_of(f"<main><h1>Pump</h1>{PROSE}{label}{PROSE}</main>")
    assert "Warning: Never run it dry.\n" in text.replace(" \n", "\n")
    assert text.count("Warning") == 1 and "\nIt breaks." in text


def test_each_option_is_a_paragraph_with_all_of_its_forms() -> None:
    options = (
        "<dl><dt><span>-q</span><br><span>--quiet</span></dt><dd><p>Say nothing.</p></dd>"
        "<dt>--force</dt><dd><p>Ask nothing.</p></dd></dl>"
    )
    lines = text_of(f"<main><h1>Pump</h1>{PROSE}{options}{PROSE}</main>").split("\n")
    place = [line.strip() for line in lines].index("-q, --quiet: Say nothing.")
    assert not lines[place + 1].strip() and lines[place + 2].strip() == "--force: Ask nothing."


def test_the_name_of_a_manual_page_is_read_with_its_title() -> None:
    head = "<div id=header><h1>pump(1)</h1><h2>NAME</h2><div><p>pump - move water</p></div></div>"
    text = text_of(f"{head}<div id=content><h2>DESCRIPTION</h2>{PROSE * 3}</div>")
    assert text.startswith("# pump(1)\n\n## NAME\n\npump - move water\n\n## DESCRIPTION")
