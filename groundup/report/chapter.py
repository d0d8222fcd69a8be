"""A chapter of the page, its parts (facts, tables, figures, notes), and the page around them. What
they are given as a title or label is said in the language of the page; what stands in cells is not.

A file in `sections/` ends with its `Chapter`; `build_page.chapters_of` has the order. The content
security policy of a page is `default-src 'none'` plus the SHA-256 of its one style sheet: even if
the escaping failed, injected markup could neither run nor load anything.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from string import Formatter

from groundup import __version__
from groundup.html_nodes import (
    Child,
    Node,
    flatten,
    node,
    policy_hash,
    read_asset,
    to_html,
    verbatim,
)
from groundup.language.page_texts import language_of_page, say
from groundup.palette import page_style
from groundup.report.drawing import scale_cell, whisker
from groundup.report.report_data import ReportData
from groundup.report.stored_sentences import as_stored
from groundup.report.values import (
    MISSING,
    Format,
    JsonObject,
    MeasuredFraction,
    interval,
    number,
    numbers,
    signed,
    span,
    table,
    text,
    three_decimals,
    whole_percent,
)

# A longer value is a sentence, or a figure with its interval.
FIGURE_CHARACTERS = 16
# What a remark of a kind begins with.
LABELS = {"thin": "Caution: ", "warning": "Warning: "}


@dataclass(frozen=True)
class StageCard:
    """A stage at the head of the page, with a link to the chapter that shows it.

    `stage` is its name in build.json; `what`, what it does, is shown until it has a result.
    """

    stage: str
    title: str
    what: str


@dataclass(frozen=True)
class Chapter:
    """A section of the page: its id, a small line above the title ("": the stage and its number),
    the title, one line on what to look for, and its parts.

    In the title, {texts} is replaced by "these texts" or "your texts". `parts` returns the contents
    or, where a stage wrote no files, a clause that says what is missing. `cards` are of the stages
    that it shows; their thin figures are noted at its end. `stages` are those that it is about, by
    default those of the cards: a build without any of them has no such chapter, and a training run
    on a page of its own has it where its kind is among `runs`.
    """

    key: str
    kicker: str
    title: str
    see: str
    parts: Callable[[ReportData], Sequence[Child] | str]
    cards: Sequence[StageCard] = ()
    runs: Sequence[str] = ()
    stages: Sequence[str] = ()

    def belongs_to(self, report: ReportData) -> bool:
        if not report.is_build:
            return any(kind in self.runs for kind in report.kinds.values())
        return not self._about or any(stage in report.kinds for stage in self._about)

    @property
    def _about(self) -> Sequence[str]:
        return self.stages or [card.stage for card in self.cards]

    def _above(self, report: ReportData) -> str:
        if self.kicker:
            return self.kicker
        if not report.is_build:
            return say("Training run · {kinds}", kinds=", ".join(report.kinds))
        stage = next(stage for stage in self._about if stage in report.kinds)
        number = list(report.kinds).index(stage) + 1
        return say("Stage {number} · {stage}", number=number, stage=stage)

    def draw(self, report: ReportData) -> Node:
        """The section, or one of a single line where its stage wrote no files."""
        found, title = self.parts(report), say(self.title, texts=report.texts)
        if isinstance(found, str):
            missing = say("Not in this build: {what}.", what=say(found))
            return section(self.key, self._above(report), title, missing, [])
        stages = [stage for card in self.cards if (stage := report.stage(card.stage))]
        parts = [*found, *notes_of([words for stage in stages for words in stage.thin])]
        return section(self.key, self._above(report), title, self.see, parts)


def section(key: str, kicker: str, title: Child, see: str, parts: Sequence[Child]) -> Node:
    """A section with its head; `key` is its id."""
    head = [
        node("p", say(kicker), class_="kicker"),
        node("h2", said(title), id=f"{key}-title"),
        node("p", say(see), class_="see"),
    ]
    return node("section", *head, *parts, id=key, aria_labelledby=f"{key}-title")


def fold(chapter: Node, *, is_open: bool) -> Node:
    """A section as details, whose summary is its head.

    A link to the section opens it, without a script; on paper it is open.
    """
    kicker, title = chapter[0], chapter[1]
    chapter.remove(kicker)
    chapter.remove(title)
    kicker.tag = "span"
    return _details(node("summary", kicker, title), chapter, is_open=is_open, class_="chapter")


def _details(summary: Node, *children: Child, is_open: bool, class_: str | None = None) -> Node:
    return node("details", summary, *children, class_=class_, open={True: ""}.get(is_open))


def facts(*pairs: tuple[str, str]) -> Node | None:
    """(figure, label) pairs: short figures as a row of large numbers, longer ones as lines
    below; missing ones are left out.
    """
    shown = [pair for pair in pairs if pair[0] not in ("", MISSING)]
    groups = {
        "facts": [pair for pair in shown if len(pair[0]) <= FIGURE_CHARACTERS],
        "findings": [pair for pair in shown if len(pair[0]) > FIGURE_CHARACTERS],
    }
    lists = [
        node(
            "dl",
            [node("div", node("dt", say(name)), node("dd", value)) for value, name in group],
            class_=class_,
        )
        for class_, group in groups.items()
        if group
    ]
    if len(lists) > 1:
        return node("div", lists)
    return next(iter(lists), None)


def data_table(
    caption: str,
    head: Sequence[Child],
    rows: Sequence[Sequence[Child]],
    *,
    figures: Sequence[int] = (),
    class_: str = "stacked",
) -> Node | None:
    """A table whose first column names the row; `figures` are the numeric columns, aligned right.
    None without rows.

    On a phone the style sheet shows a row as a block, each cell under its column's title
    (`data-label`). The ARIA roles are explicit because browsers drop the table semantics when the
    layout changes.
    """
    if not rows:
        return None
    classes: list[str | None] = [None] * len(head)
    for column in figures:
        classes[column] = "figure"
    caption = say(caption)
    titles = [
        node("th", said(title), scope="col", role="columnheader", class_=each)
        for title, each in zip(head, classes, strict=True)
    ]
    labels = ["".join(title.itertext()) for title in titles]
    body = [node("tr", _cells(row, labels, classes), role="row") for row in rows]
    above = node("thead", node("tr", titles, role="row"), role="rowgroup")
    parts = [node("caption", caption), above, node("tbody", body, role="rowgroup")]
    made = node("table", parts, class_=class_ or None, role="table")
    return node("div", made, class_="table", role="region", aria_label=caption, tabindex="0")


def _cells(
    row: Sequence[Child], labels: Sequence[str], classes: Sequence[str | None]
) -> list[Node]:
    name, *rest = row
    named = zip(rest, labels[1:], classes[1:], strict=True)
    cells = [
        node("td", each, role="cell", class_=class_, data_label=label or None)
        for each, label, class_ in named
    ]
    return [node("th", name, scope="row", role="rowheader"), *cells]


def whisker_table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[tuple[Child, MeasuredFraction, Sequence[Child]]],
    *,
    low: float = 0.0,
    levels: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
) -> Node | None:
    """A table of measured fractions: name, drawing (from `low` to 1), cells of further
    `columns`.
    """
    axis = (low, 1.0)
    drawn = [
        node("span", say("drawn"), class_="away"),
        scale_cell(axis, levels, map(whole_percent, levels)),
    ]
    head: list[Child] = ["model", drawn, *columns]
    body = [[name, whisker(found, axis), *cells] for name, found, cells in rows]
    return data_table(caption, head, body, figures=range(2, len(head)), class_="bars whiskers")


def paired_points(difference: JsonObject) -> str:
    """A paired difference of two shares in points of percent with its interval; "" without one."""
    return paired_figure(difference, lambda share: signed(100 * share, 1))


def paired_figure(difference: JsonObject, form: Format) -> str:
    """A paired difference as "VALUE (LOW to HIGH)"; "" without a value or an interval."""
    value, bounds = number(difference, "value"), interval(difference, form)
    if value is None or not bounds:
        return ""
    return f"{form(value)} ({bounds})"


def meaning(difference: JsonObject) -> str:
    """What the interval of a paired difference says of "after"."""
    return say(text(difference, "verdict").replace("unclear", "no clear difference"))


def paired_change(difference: JsonObject, digits: int = 2) -> str:
    """A paired difference with its interval and what it says; "" without one."""
    value = number(difference, "value")
    if value is None:
        return ""

    def form(figure: float) -> str:
        return signed(figure, digits)

    return f"{paired_figure(difference, form) or form(value)}, {meaning(difference)}"


def before_and_after(found: JsonObject) -> str:
    """A measure before and after a training with the paired difference; "" without them."""
    before, after = numbers(found, "before", "after")
    if before is None or after is None:
        return ""
    change = paired_change(table(found, "difference"), digits=3)
    return with_colon(span(three_decimals(before), three_decimals(after)), change)


def with_colon(name: str, value: str) -> str:
    """The colon as the language of the page sets it: in French behind a space."""
    return say("{name}: {value}", name=name, value=value)


def in_a_row(sentences: Iterable[str]) -> str:
    """Those that are not empty, with semicolons between."""
    between = say("{first}; {second}", first="", second="")
    return between.join(filter(None, sentences))


def figure(caption: Child, *children: Child, class_: str = "wide") -> Node | None:
    """None where there is nothing to show."""
    shown = list(flatten(children))
    if not shown:
        return None
    if caption:
        shown.append(node("figcaption", said(caption)))
    return node("figure", shown, class_=class_ or None)


def said(text_or_node: Child) -> Child:
    """A text of the code in the language of the page; a node as it is."""
    if isinstance(text_or_node, str):
        return say(text_or_node)
    return text_or_node


def sentence(english: str, **values: Child) -> list[Child]:
    """A sentence in the language of the page with nodes among its values.

    >>> sentence("{count} of {what}", count="3", what=None)
    ['', '3', ' of ', None]
    """
    parts: list[Child] = []
    for words, name, _, _ in Formatter().parse(say(english)):
        parts.append(words)
        if name is not None:
            parts.append(values[name])
    return parts


def note(*children: Child, kind: str = "note") -> Node:
    """`kind` is "note", "thin" (a figure from little data), "warning" or "good"."""
    label = None
    if kind in LABELS:
        label = node("strong", say(LABELS[kind]))
    return node("p", label, *map(said, children), class_=f"remark {kind}")


def mark(right: bool, yes: str = "", no: str = "") -> Node:
    if right:
        return node("span", f"✓ {say(yes)}", class_="yes")
    return node("span", f"✗ {say(no)}", class_="no")


def more(summary: str, *children: Child, is_open: bool = False) -> Node | None:
    """Closed until clicked unless `is_open`; None where there is nothing in them."""
    shown = list(flatten(children))
    if not shown:
        return None
    return _details(node("summary", say(summary)), shown, is_open=is_open)


def notes_of(thin: Sequence[str]) -> list[Node]:
    return [note(as_stored(words), kind="thin") for words in thin]


def page_header(kicker: str, title: str, lead: Child, *parts: Child) -> Node:
    """The head of a page: a small line, the title, what it says in a sentence."""
    head = [node("p", kicker, class_="kicker"), node("h1", say(title))]
    head.append(node("p", said(lead), class_="lead"))
    return node("header", head, parts, id="top")


def cards(*shown: Child) -> Node:
    """Cards side by side, as the width allows."""
    return node("div", shown, class_="answers")


def expected(answer: Child, label: str = "expected") -> Node:
    """What an answer is compared with."""
    return node("p", node("span", f"{say(label)} ", class_="quiet"), answer, class_="expected")


def side(name: Child, words: Node, look: str = "") -> Node:
    """One of two texts side by side."""
    return node("div", node("h4", said(name)), words, class_=f"side {look}".rstrip())


def html_page(title: str, *parts: Child, skip_to: str = "", script: str = "") -> str:
    """A document with these parts as its body; `skip_to` names what the first link skips to.
    `script`: one of the package's own, which alone may run.
    """
    made = say(
        "Made by groundup {version}. This page is self-contained: "
        "it loads nothing from the network.",
        version=__version__,
    )
    skip = None
    if skip_to:
        skip = node("a", say(f"Skip to the {skip_to}"), href="#main", class_="skip")
    body = node("body", skip, *parts, node("footer", node("p", made)))
    if script:
        body.append(verbatim("script", script))
    return to_html(node("html", _head(title, script), body, lang=language_of_page()))


def _head(title: str, script: str) -> Node:
    sheet = page_style() + read_asset("groundup.report", "page.css")
    policy = f"default-src 'none'; style-src '{policy_hash(sheet)}'; font-src data:"
    if script:
        policy += f"; script-src '{policy_hash(script)}'"
    policy += "; base-uri 'none'; form-action 'none'"
    return node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", http_equiv="Content-Security-Policy", content=policy),
        node("meta", name="viewport", content="width=device-width, initial-scale=1"),
        node("meta", name="color-scheme", content="light dark"),
        node("meta", name="referrer", content="no-referrer"),
        node("title", f"groundup: {title}"),
        node("style", sheet),
    )
