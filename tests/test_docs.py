"""The pages of docs/: links and anchors exist, commands are those of the parser, the page of verbs is what the parser says."""

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from groundup.cli.main import VERBS, load_verb
from groundup.cli.usage import BEFORE_THE_VERB

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "notebooks" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def script(file: str, folder: str = "docs/site") -> ModuleType:
    """A script of the documents as a module."""
    found = importlib.util.spec_from_file_location(file, ROOT / folder / f"{file}.py")
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def without_code(text: str) -> str:
    return re.sub(
        r"^```.*?^```$|^(?: {4}|>>> ).*$|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE
    )


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges and the site name them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r" ", "-", re.sub(r"[^\w\- ]", "", heading.lower())) for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_anchors(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def commands(page: Path) -> list[str]:
    """What a page's blocks of code tell the reader to type."""
    blocks = re.findall(r"^```(?:sh|text)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", "").splitlines()
    return [line.split(" #")[0] for line in lines if line.startswith("groundup ")]


CODE = re.compile(r"^```.*?^```|^ {4}\S.*$", re.DOTALL | re.MULTILINE)
CUT = r"^(?: {4})?+(?=.{81}).*\S +# .+$"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_comment_beside_code_ends_at_80_columns(page: Path) -> None:
    """Longer ones stand above, where a narrow screen does not cut them off."""
    if page.name not in {"README.md", "verbs.md", "log.md"}:
        code = "\n".join(CODE.findall(page.read_text()))
        assert re.findall(CUT, code, re.MULTILINE) == []


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name)
def test_commands_exist_with_their_options(page: Path) -> None:
    for command in commands(page):
        words = shlex.split(command)[1:]
        while words[0] in BEFORE_THE_VERB:
            del words[0]
        assert words[0] in VERBS, command
        verb = load_verb(words[0])
        verb = getattr(verb, "commands", {}).get(words[1] if len(words) > 1 else "", verb)
        options = {
            option for each in verb.params for option in (*each.opts, *each.secondary_opts)
        } | {"--help"}
        assert {word.split("=")[0] for word in words if word.startswith("-")} <= options, command


def test_readme_and_every_guide_have_commands_to_type() -> None:
    pages = {ROOT / "README.md", *(ROOT / "docs" / "howto").glob("*.md")} - {
        ROOT / "docs/howto/README.md"
    }
    assert not [name(page) for page in pages if not commands(page)]


def test_page_of_verbs_is_what_the_parser_says() -> None:
    verbs = script("verbs")
    assert verbs.PAGE.read_text() == verbs.page(), "run: python docs/site/verbs.py --write"


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    configuration = (ROOT / "docs/site/zensical.toml").read_text()
    listed = set(re.findall(r'"([\w/-]+\.md)"', configuration)) | {"concepts/course.md"}
    assert {
        page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")
    } == listed


def test_a_dead_link_a_missing_anchor_and_a_foreign_script_of_the_site_are_found(
    tmp_path: Path,
) -> None:
    links = script("links")
    (tmp_path / "b.html").write_text('<h2 id="here">b</h2>')
    good = '<a href="b.html#here">b</a> <a href="https://example.org">elsewhere</a> <img src="data:image/png;base64,AA">'
    (tmp_path / "a.html").write_text(good)
    assert links.faults_of_site(tmp_path) == []
    bad = '<a href="c.html">c</a> <a href="b.html#there">b</a> <script src="https://example.org/x.js"></script>'
    (tmp_path / "a.html").write_text(bad)
    (tmp_path / "a.css").write_text("@font-face { src: url(https://example.org/f.woff) }")
    faults = links.faults_of_site(tmp_path)
    assert [fault.split(": ", 1)[1] for fault in faults] == [
        "no such file: c.html",
        "no such anchor: b.html#there",
        "loads https://example.org/x.js",
        "loads https://example.org/f.woff",
    ]


def test_a_docstring_is_shown_with_its_columns_as_a_list_and_its_tags_as_text() -> None:
    pytest.importorskip("griffe", reason="make docs installs it")
    pages = script("markdown_text")
    written = "Of pages:\n\ncode     each <pre> is a word, as `<b>` in\n         running text\nthe end  the rest\nAnd more."
    listed = "Of pages:\n\n\n- **code**: each <pre> is a word, as `<b>` in running text\n- **the end**: the rest\n\nAnd more."
    assert pages.lists_of_columns(written) == listed
    assert pages.lists_of_columns("Two  spaces once.\nAnd no columns.") == (
        "Two  spaces once.\nAnd no columns."
    )
    assert pages.plain_brackets("<pre> of `<b>`\n\n    <code>") == (
        "&#60;pre> of `<b>`\n\n    <code>"
    )


def test_a_built_page_keeps_options_whole_and_ends_figures_on_the_right() -> None:
    typeset_page = script("typesetting").typeset_page
    whole = '<code>pull <span class="whole">--quick</span> a-b</code>'
    assert typeset_page("<code>pull --quick a-b</code>") == whole
    code = "<pre><span></span><code>ls --all</code></pre>"
    assert typeset_page(code) == code
    named = '<span class="doc doc-object-name doc-class-name">'
    assert typeset_page(f"{named}data.of_a</span>") == f"{named}data.<wbr>of_<wbr>a</span>"
    assert typeset_page("5 % of") == "5\N{NO-BREAK SPACE}% of"

    def table(*rows: str) -> str:
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"

    right = ' style="text-align: right;"'
    written = table(
        "<th></th><th>loss</th><th>of</th>",
        "<td>1</td><td>1.5</td><td>2</td>",
        "<td>2</td><td><strong>12</strong></td><td>two</td>",
        "<td>3</td><td></td><td></td>",
    )
    assert typeset_page(written) == table(
        f"<td></td><th{right}>loss</th><th>of</th>",
        f"<td>1</td><td{right}>1.5</td><td>2</td>",
        f"<td>2</td><td{right}><strong>12</strong></td><td>two</td>",
        f"<td>3</td><td{right}></td><td></td>",
    )
