"""Definition lists, permalinks and code of HTML pages: the text keeps together what belongs together."""

from pathlib import Path

import pytest

from groundup.data.reading.extract import html_text
from groundup.data.reading.source_files import Source
from groundup.progress import Silent
from groundup.retrieve.answer import Answer, ask
from groundup.retrieve.index import Index
from groundup.retrieve.update import update_index

PROSE = "<p>The lamp module switches the lamps of a house.  Each lamp\nhas a name, and each of them is known by it.</p>"


def signature(name: str, arguments: str) -> str:
    """A signature as Sphinx 8 writes it."""
    module, _, function = name.rpartition(".")
    parts = (
        f'<span class="sig-prename descclassname"><span class="pre">{module}.</span></span>'
        f'<span class="sig-name descname"><span class="pre">{function}</span></span>'
        f'<span class="sig-paren">(</span><em class="sig-param"><span class="pre">{arguments}</span></em>'
    )
    links = (
        '<a class="reference internal" href="_modules/lamp.html"><span class="viewcode-link">[source]</span></a>'
        f'<a class="headerlink" href="#{name}" title="Link to this definition">¶</a>'
    )
    return f'<dt class="sig sig-object py" id="{name}">{parts}<span class="sig-paren">)</span>{links}</dt>'


SPHINX = f"""<html><body><div class="body" role="main"><section id="lamp">
<h1>lamp — The lamps of a house<a class="headerlink" href="#lamp" title="Link to this heading">¶</a></h1>{PROSE}
<dl class="py function">
{signature("lamp.dim", "name, share=0.5")}
<dd><p>Dim the lamp of this name to a share of its light.  share is a number from 0 to 1.</p>
<p>A lamp that is off stays off.  A second call undoes nothing that the first one did to the lamp.</p></dd></dl>
<dl class="py class">
{signature("lamp.Group", "lamps")}
<dd><p>Several lamps that are switched together.</p>
<dl class="py method">{signature("lamp.add", "other")}<dd><p>Add another lamp to the group.</p></dd></dl></dd></dl>
<h2>Example<a class="headerlink" href="#example">¶</a></h2><p>A group is made of lamps, as in this example:</p>
<div class="highlight-python3"><div class="highlight"><pre><span></span><span class="kn">import</span> lamp
<span class="c1"># not a heading</span>
lamp.dim("hall")
</pre></div></div>
<dl class="simple"><dt>watt</dt><dt>W</dt><dd>The unit of power.</dd><dt>lux</dt><dd><ul><li>A unit</li><li>of light</li></ul></dd></dl>
</section></div></body></html>"""


def test_a_term_and_its_definition_are_one_paragraph() -> None:
    for headings in (True, False):
        lines = html_text(SPHINX, headings).splitlines()
        dim = "lamp.dim(name, share=0.5): Dim the lamp of this name to a share of its light. share is a number from 0 to 1."
        assert dim in lines
        assert "lamp.Group(lamps): Several lamps that are switched together." in lines
        assert "lamp.add(other): Add another lamp to the group." in lines
        assert "watt; W: The unit of power." in lines
        assert [each for each in lines[lines.index("lux:") :] if each][:3] == [
            "lux:",
            "- A unit",
            "- of light",
        ]
        assert (
            "The lamp module switches the lamps of a house. Each lamp has a name, and each of them is known by it."
            in lines
        )


def test_permalinks_and_links_to_the_source_are_no_text() -> None:
    for headings in (True, False):
        text = html_text(SPHINX, headings)
        assert "¶" not in text and "[source]" not in text
        assert "lamp — The lamps of a house" in text


def test_signatures_are_headings_below_their_section_and_code_has_none() -> None:
    text = html_text(SPHINX, headings=True)
    headings = [
        line for line in text.replace("\n# not a heading", "").splitlines() if line.startswith("#")
    ]
    assert headings == [
        "# lamp — The lamps of a house",
        "## lamp.dim",
        "## lamp.Group",
        "### lamp.add",
        "## Example",
    ]
    assert '```\nimport lamp\n# not a heading\nlamp.dim("hall")\n```' in text
    assert "#" not in html_text(SPHINX, headings=False).replace("# not a heading", "")


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("<dl></dl>", ""),
        ("<dl><dt>alone</dt></dl>", "alone"),
        ("<dl><dd>only this</dd></dl>", "only this"),
        ("<dl>loose<dt>a</dt><dd></dd></dl>", "loose"),
        ("<dl><dt>a</dt><dd></dd></dl>", "a:"),
        (
            "<dl><div><dt>a</dt><dd>one</dd></div><div><dt>b</dt><dd><em>two</em> three</dd></div></dl>",
            "b: two three",
        ),
        ("<dl><dt>Who?</dt><dd><p>You.</p><p>Me.</p></dd></dl>", "Who? You."),
        ("<dl><dt>a</dt><dd>x</dd></dl>behind it", "behind it"),
        ("<dl><dd>" * 300 + "deep" + "</dd></dl>" * 300, ""),
    ],
)
def test_every_definition_list_is_read(page: str, says: str) -> None:
    for headings in (True, False):
        lines = html_text(
            f"<html><body><article>{PROSE * 4}{page}{PROSE}</article></body></html>", headings
        )
        assert says in " ".join(lines.split("\n"))


def test_what_a_function_does_is_quoted_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "lamp.html").write_text(SPHINX)
    update_index(tmp_path / "index", [Source(str(tmp_path / "docs"))], progress=Silent())
    with Index(tmp_path / "index") as index:
        *_, answer = ask(index, "What does lamp.add do to the group?")
        assert isinstance(answer, Answer) and answer.found
        assert answer.quotes[0].text == "lamp.add(other): Add another lamp to the group."
        assert "lamp.Group > lamp.add" in answer.sources[answer.quotes[0].source - 1].title


def test_two_rows_of_a_head_and_cells_over_several_rows_are_levelled_for_an_index() -> None:
    rows = (
        "<tr><th rowspan=2>Boat</th><th colspan=2>Weekend</th></tr><tr><th>hour</th><th>day</th></tr>"
        "<tr><td rowspan=2>Canoe</td><td>£12</td><td>£50</td></tr><tr><td>£15</td><td>£60</td></tr>"
    )
    page = f"<html><body><main><h1>Prices</h1>{PROSE}<table>{rows}</table></main></body></html>"
    text = "\n".join(map(str.strip, html_text(page, headings=True).splitlines()))
    shown = "| Canoe | £12 | £50 |\n| Canoe | £15 | £60 |"
    assert f"| Boat | Weekend, hour | Weekend, day |\n|---|---|---|\n{shown}" in text
    assert "Weekend, hour" not in html_text(page)
