"""The page: chapters in order, one style sheet, and a content security policy.

    write_page(folder)   ->  folder/report.html

The policy is `default-src 'none'` plus the style sheet's SHA-256: no scripts, fonts, external images, form targets or style attributes.
Even if the escaping failed, injected markup could neither run nor load anything.
"""

from importlib import resources
from pathlib import Path

from groundup import __version__
from groundup.files import write_text
from groundup.markup import Node, node, policy_hash, to_html
from groundup.palette import PRINT, custom_properties
from groundup.report.chapter import Chapter
from groundup.report.report_data import ReportData, read_report_data
from groundup.report.sections.attention import ATTENTION
from groundup.report.sections.chat import CHAT
from groundup.report.sections.data import DATA
from groundup.report.sections.export import EXPORT
from groundup.report.sections.lineage import LINEAGE, REPEAT
from groundup.report.sections.opening import opening
from groundup.report.sections.pretrain import PRETRAIN, SAMPLES
from groundup.report.sections.readers import READERS
from groundup.report.sections.spam import SPAM
from groundup.report.sections.times import TIMES
from groundup.report.sections.tokens import TOKENS
from groundup.report.terms import explain

REPORT_NAME = "report.html"

CHAPTERS: tuple[Chapter, ...] = (
    TIMES,
    READERS,
    DATA,
    TOKENS,
    PRETRAIN,
    SAMPLES,
    ATTENTION,
    SPAM,
    CHAT,
    EXPORT,
    LINEAGE,
    REPEAT,
)


def write_page(folder: Path, out: Path | None = None) -> Path:
    """Read a build or run folder and write its page (default: report.html inside it). Raises FormatError, DiskError."""
    path = out or folder / REPORT_NAME
    write_text(path, render_page(read_report_data(folder)))
    return path


def render_page(report: ReportData) -> str:
    """Return the page as HTML text."""
    shown = [chapter for chapter in CHAPTERS if report.is_build or report.run_stage in chapter.runs]
    chapters = [chapter.draw(report) for chapter in shown]
    titles = [(chapter.get("id"), chapter.findtext("h2")) for chapter in chapters]
    links = [node("li", node("a", title, href=f"#{key}")) for key, title in titles]
    contents = node("nav", node("ol", links), class_="contents", aria_label="Contents")
    head = opening(report, contents, CHAPTERS)
    explain([head, *chapters])
    skip = node("a", "Skip to the chapters", href="#main", class_="skip")
    footer = node(
        "footer",
        node("p", f"Made by groundup {__version__}. This page is self-contained: it loads nothing from the network."),
    )
    body = node("body", skip, head, node("main", chapters, id="main"), footer)
    return to_html(node("html", _head(report), body, lang="en"))


def _head(report: ReportData) -> Node:
    rules = resources.files("groundup.report").joinpath("page.css").read_text(encoding="utf-8").replace("\r\n", "\n")
    sheet = custom_properties(printed=PRINT) + rules
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
