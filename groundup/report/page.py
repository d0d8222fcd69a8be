"""The page: chapters in order, one style sheet, and a content security policy.

    write_page(folder)   ->  folder/report.html

The policy is `default-src 'none'` plus the style sheet's SHA-256: no scripts, fonts, external images, form targets or style attributes.
Even if the escaping failed, injected markup could neither run nor load anything.
"""

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from groundup import __version__
from groundup.files import write_text
from groundup.markup import Node, node, policy_hash, to_html
from groundup.palette import PRINT, custom_properties
from groundup.report.report_data import ReportData, read_report_data
from groundup.report.sections.attention import attention
from groundup.report.sections.chat import chat
from groundup.report.sections.data import data
from groundup.report.sections.export import export
from groundup.report.sections.lineage import lineage
from groundup.report.sections.opening import opening
from groundup.report.sections.pretrain import pretrain
from groundup.report.sections.readers import readers
from groundup.report.sections.repeat import repeat
from groundup.report.sections.samples import samples
from groundup.report.sections.spam import spam
from groundup.report.sections.times import times
from groundup.report.sections.tokens import tokens
from groundup.report.terms import explain

REPORT_NAME = "report.html"

CHAPTERS = (times, readers, data, tokens, pretrain, samples, attention, spam, chat, export, lineage, repeat)
# The chapters of a page about a single training run.
PRETRAIN_CHAPTERS = (pretrain, samples, lineage, repeat)
CLASSIFIER_CHAPTERS, CHAT_CHAPTERS = (spam, lineage, repeat), (chat, lineage, repeat)


def write_page(folder: Path, out: Path | None = None) -> Path:
    """Read a build or run folder and write its page (default: report.html inside it). Raises FormatError, DiskError."""
    path = out or folder / REPORT_NAME
    write_text(path, render_page(read_report_data(folder)))
    return path


def render_page(report: ReportData) -> str:
    """Return the page as HTML text."""
    chapters = [chapter(report) for chapter in _chapters(report)]
    head = opening(report, _contents(chapters))
    explain([head, *chapters])
    skip = node("a", "Skip to the chapters", href="#main", class_="skip")
    footer = node(
        "footer",
        node("p", f"Made by groundup {__version__}. This page is self-contained: it loads nothing from the network."),
    )
    body = node("body", skip, head, node("main", chapters, id="main"), footer)
    return to_html(node("html", _head(report), body, lang="en"))


def _contents(chapters: Sequence[Node]) -> Node:
    """Links to the chapters, by title."""
    titles = [(chapter.get("id"), chapter.findtext("h2")) for chapter in chapters]
    links = [node("li", node("a", title, href=f"#{key}")) for key, title in titles]
    return node("nav", node("ol", links), class_="contents", aria_label="Contents")


def _chapters(report: ReportData) -> tuple[Callable[[ReportData], Node], ...]:
    if report.is_build:
        return CHAPTERS
    if report.spam.run:
        return CLASSIFIER_CHAPTERS
    return CHAT_CHAPTERS if report.chat.run else PRETRAIN_CHAPTERS


def _head(report: ReportData) -> Node:
    sheet = style_sheet()
    policy = f"default-src 'none'; style-src '{policy_hash(sheet)}'; base-uri 'none'; form-action 'none'"
    return node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", http_equiv="Content-Security-Policy", content=policy),
        node("meta", name="viewport", content="width=device-width, initial-scale=1"),
        node("meta", name="color-scheme", content="light dark"),
        node("meta", name="referrer", content="no-referrer"),
        node("title", f"groundup: {report.name}"),
        node("style", sheet),
    )


def style_sheet() -> str:
    """Return the page's style sheet: the palette, and the rules packaged beside this file."""
    rules = resources.files("groundup.report").joinpath("page.css").read_text(encoding="utf-8").replace("\r\n", "\n")
    return custom_properties(printed=PRINT) + rules
