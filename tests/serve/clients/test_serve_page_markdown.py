"""The page's Markdown parser, in a real Chromium: what it makes of a text, and that no text makes it fail, lie or hang."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser

OUTLINE = """
  async (source) => {
    const { parse } = await import("/page/markdown.js");
    const inner = ({ href, children }) => `${href ? `<${href}>` : ""}(${children.map(told).join(" ")})`;
    const told = (part) => part.tag === undefined ? JSON.stringify(part.text) : part.tag + inner(part);
    return parse(source).map(told).join(" ");
  }
"""
# For each source: how long it took, and what is wrong with what came of it.
CHECK = """
  async (sources) => {
    const { parse, TAGS, safeTarget } = await import("/page/markdown.js");
    const found = [];
    for (const source of sources) {
      const problems = [];
      const look = (part) => {
        if (part.tag === undefined) {
          if (source.slice(part.at, part.at + part.text.length) !== part.text) problems.push(`not in its place: ${part.text}`);
          return;
        }
        if (!TAGS.includes(part.tag)) problems.push(`tag ${part.tag}`);
        if (part.href && !/^(https?:|mailto:)/i.test(part.href)) problems.push(`address ${part.href}`);
        part.children.forEach(look);
      };
      parse(source).forEach(look);
      found.push(problems.slice(0, 3));
    }
    return found;
  }
"""
CASES = {
    "plain <b>text</b>": 'p("plain <b>text</b>")',
    "# Title #\n\nand": 'h1("Title") p("and")',
    "a **b *c* d** _e_ ~~f~~": 'p("a " strong("b " em("c") " d") " " em("e") " " del("f"))',
    "2 * 3 * 4 and snake_case_name": 'p("2 * 3 * 4 and snake_case_name")',
    "`a **b**` ``c`d``": 'p(code("a **b**") " " code("c`d"))',
    r"\*a\* \\ \x": 'p("*" "a" "*" " " "\\\\" " \\\\x")',
    "- a\n- b\n  - c\n\n1. d\n2. e": 'ul(li("a") li("b" ul(li("c")))) ol(li("d") li("e"))',
    "> a\n> b\n\nc": 'blockquote(p("a\\n" "b")) p("c")',
    "```py\n# x <i>\n```\nafter": 'pre("# x <i>") p("after")',
    "```\nopen": 'pre("open")',
    "| a | b |\n|---|:-:|\n| c | *d* |": 'table(tr(th("a") th("b")) tr(td("c") td(em("d"))))',
    "a\n\n---\n\nb": 'p("a") hr() p("b")',
    "[x](https://a.org/b) ![y](https://a.org/c.png)": 'p(a<https://a.org/b>("x") " " a<https://a.org/c.png>("y"))',
    "see https://a.org/b_c_d.": 'p("see " a<https://a.org/b_c_d>("https://a.org/b_c_d") ".")',
    "[x](javascript:alert(1)) [y](JaVaScRiPt:a) [z](//a) [w](data:text/html,a)": (
        'p("[x](javascript:alert(1)) [y](JaVaScRiPt:a) [z](//a) [w](data:text/html,a)")'
    ),
    "[x](java\tscript:alert(1))": 'p("[x](java\\tscript:alert(1))")',
    "<a href='javascript:x'>y</a>": "p(\"<a href='javascript:x'>y</a>\")",
    "": "",
    "   \n \n": "",
}
MANY = 20_000
HOSTILE = [
    *(mark * MANY for mark in ("*", "**a ", "_", "__a ", "`", "[", "](", "[a](", "!", "~~", "\\", ">", "> ", "- ", "|", "#", "h", "<")),
    *(mark * MANY for mark in ("*a ", "`a` `` ", "[[a](b) ", "http://", "ahttp://", "* * * x\n", "| a ", "- \n", "1. \n", "```\n", "\n", "  ")),
    "".join("`" * n + " " for n in range(300)),
    "| a |\n" + " " * MANY + "x",
    "| a |\n" + "|-" * MANY + "x",
    "# a" + " " * MANY + "b",
    "# " + "#" * MANY + "b",
    "```" + " " * MANY + "`",
    "".join("  " * n + "- a\n" for n in range(200)),
    ">" * MANY + "a\n" + ">" * MANY + "b",
    "*a **b " * 5000,
    "[" * 5000 + "a](https://a.org)" * 5000,
    "*a\n" * MANY,
    "\u2028\u202e\0\ufffd😀" * 1000,
]  # fmt: skip


@pytest.fixture
def page(opened: Callable[..., Any], address: str) -> Any:
    return opened(address)


def test_markdown_is_read_as_people_write_it(page: Any) -> None:
    for source, outline in CASES.items():
        assert page.evaluate(OUTLINE, source) == outline, source


def test_no_text_makes_the_parser_slow_or_wrong(page: Any) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def processor_s() -> float:
        found = session.send("Performance.getMetrics")["metrics"]
        return next(float(each["value"]) for each in found if each["name"] == "ThreadTime")

    for source in HOSTILE:
        before = processor_s()
        assert page.evaluate(CHECK, [source]) == [[]], source[:40]
        assert processor_s() - before < 2, source[:40]


def test_any_mixture_of_marks_is_read_with_every_letter_in_its_place(page: Any) -> None:
    draw = random.Random(5)
    marks = "* ** _ ` ``` - 1. > # | --- [ ]( ) https://a.b/c \\ ~~ a é😀"
    parts = [*marks.split(" "), "\n", "\n\n", " ", "  ", "- "]
    sources = ["".join(draw.choices(parts, k=draw.randint(1, 60))) for _ in range(3000)]
    for source, problems in zip(sources, page.evaluate(CHECK, sources), strict=True):
        assert problems == [], json.dumps(source)
