"""The page about a build or a run: its chapters in order.

write_page(folder)   ->  folder/report.html
"""

from pathlib import Path

from groundup.files import write_text
from groundup.html_nodes import node
from groundup.report.chapter import Chapter, fold, html_page
from groundup.report.report_data import ReportData, read_report_data
from groundup.report.sections.answers import answers_chapter, summaries_chapter
from groundup.report.sections.attention import ATTENTION
from groundup.report.sections.chat import PREFERENCE, chat_chapter
from groundup.report.sections.classifier import classifier_chapter
from groundup.report.sections.data import DATA, READERS
from groundup.report.sections.emergence import EMERGENCE
from groundup.report.sections.export import EXPORT
from groundup.report.sections.pretrain import PRETRAIN, SAMPLES
from groundup.report.sections.provenance import LINEAGE, REPEAT, TIMES
from groundup.report.sections.summary import opening
from groundup.report.sections.teach import TEACH
from groundup.report.sections.tokens import TOKENS
from groundup.report.terms import explain
from groundup.report.values import table

REPORT_NAME = "report.html"

# Of a model of one's own.
OF_TEXTS: tuple[Chapter, ...] = (
    DATA,
    READERS,
    TOKENS,
    PRETRAIN,
    SAMPLES,
    ATTENTION,
)


def chapters_of(report: ReportData) -> list[Chapter]:
    """The chapters of a build or run, in order."""
    chapters = [chapter for chapter in OF_TEXTS if chapter is not READERS or report.of_kind("base")]
    chapters += map(classifier_chapter, report.of_kind("classifier"))
    chapters.append(TEACH)
    chapters += [chat_chapter(stage, report) for stage in report.of_kind("chat")]
    chapters += [answers_chapter(stage, report) for stage in report.of_kind("answers")]
    chapters += map(summaries_chapter, report.of_kind("summaries"))
    chapters.append(PREFERENCE)
    if table(report.recipe, "evaluate").get("suites") != []:  # asked for none
        chapters.append(EMERGENCE)
    chapters += [EXPORT, TIMES, LINEAGE, REPEAT]
    return [chapter for chapter in chapters if chapter.belongs_to(report)]


def write_page(folder: Path, out: Path | None = None) -> Path:
    """Read a build or run folder and write its page (default: report.html inside it).

    Raises FormatError, DiskError.
    """
    path = out or folder / REPORT_NAME
    write_text(path, render_page(read_report_data(folder)))
    return path


def render_page(report: ReportData) -> str:
    shown = chapters_of(report)
    chapters = [chapter.draw(report) for chapter in shown]
    titles = [(chapter.get("id"), chapter.findtext("h2")) for chapter in chapters]
    links = [node("li", node("a", title, href=f"#{key}")) for key, title in titles]
    contents = node("nav", node("ol", links), class_="contents", aria_label="Contents")
    head = opening(report, contents, shown)
    explain([head, *chapters])
    folded = [fold(chapter, is_open=number == 0) for number, chapter in enumerate(chapters)]
    return html_page(report.name, head, node("main", folded, id="main"), skip_to="chapters")
