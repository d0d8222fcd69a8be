"""The page about a build or a run: its chapters in order.

write_page(folder)   ->  folder/report.html

Technical terms are defined in the part of the page that first uses them. The finished page is
searched for them, so that terms in a stage's result are found too. Documents, messages, answers and
code are not searched.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from groundup.files import write_text
from groundup.html_nodes import Node, node
from groundup.language.messages import SOURCE
from groundup.language.page_texts import page_language, say
from groundup.report.chapter import Chapter, fold, html_page
from groundup.report.report_data import ReportData, read_report_data
from groundup.report.sections.answers import answers_chapter, summaries_chapter
from groundup.report.sections.attention import ATTENTION
from groundup.report.sections.chat import PREFERENCE, chat_chapter
from groundup.report.sections.classifier import classifier_chapter
from groundup.report.sections.data import DATA, READERS
from groundup.report.sections.emergence import EMERGENCE
from groundup.report.sections.export import EXPORT
from groundup.report.sections.pretrain import PRETRAIN
from groundup.report.sections.provenance import LINEAGE, REPEAT, TIMES
from groundup.report.sections.reward import REWARD
from groundup.report.sections.summary import opening
from groundup.report.sections.teach import TEACH
from groundup.report.sections.tokens import TOKENS
from groundup.report.values import table

REPORT_NAME = "report.html"

RESULTS, DETAILS = "What came out", "How it was made and measured"


def chapters_of(report: ReportData) -> dict[str, list[Chapter]]:
    """The chapters of a build or run: first what came out, read in three minutes, then the
    details. Classifiers are results where nothing was trained that writes.
    """
    results = [PRETRAIN, TEACH]
    results += [chat_chapter(stage, report) for stage in report.of_kind("chat")]
    results += [answers_chapter(stage, report) for stage in report.of_kind("answers")]
    results += map(summaries_chapter, report.of_kind("summaries"))
    results += [PREFERENCE, REWARD]
    if table(report.recipe, "evaluate").get("suites") != []:  # asked for none
        results.append(EMERGENCE)
    classifiers = list(map(classifier_chapter, report.of_kind("classifier")))
    details = [DATA, READERS, TOKENS, ATTENTION]
    if not report.of_kind("base"):
        details.remove(READERS)
    if any(chapter.belongs_to(report) for chapter in results):
        details += classifiers
    else:
        results += classifiers
    details += [EXPORT, TIMES, LINEAGE, REPEAT]
    groups = {RESULTS: results, DETAILS: details}
    return {
        title: [chapter for chapter in group if chapter.belongs_to(report)]
        for title, group in groups.items()
    }


def write_page(folder: Path, out: Path | None = None, *, language: str = SOURCE) -> Path:
    """Read a build or run folder and write its page (default: report.html inside it), in a language
    that there are texts of.

    Raises FormatError, DiskError.
    """
    path = out or folder / REPORT_NAME
    beside = path.resolve().parent == folder.resolve()
    with page_language(language):
        write_text(path, render_page(read_report_data(folder), beside=beside))
    return path


def render_page(report: ReportData, *, beside: bool = True) -> str:
    """`beside`: the page lies in the folder that it is about, and may link its files."""
    groups = {title: group for title, group in chapters_of(report).items() if group}
    drawn = {title: [each.draw(report) for each in group] for title, group in groups.items()}
    shown = [chapter for group in groups.values() for chapter in group]
    head = opening(report, _contents(drawn), shown, beside=beside)
    explain([head, *[chapter for group in drawn.values() for chapter in group]])
    main = node("main", id="main")
    for title, group in drawn.items():
        main.append(node("p", say(title), class_="group"))
        main.extend(fold(chapter, is_open=title == RESULTS) for chapter in group)
    return html_page(report.name, head, main, skip_to="chapters")


def _contents(drawn: Mapping[str, Sequence[Node]]) -> Node:
    """The links to all chapters, in their groups."""
    groups = []
    for title, group in drawn.items():
        titles = [(chapter.get("id"), chapter.findtext("h2")) for chapter in group]
        links = [node("li", node("a", words, href=f"#{key}")) for key, words in titles]
        groups.append(node("div", node("p", say(title)), node("ol", links)))
    return node("nav", groups, class_="contents", aria_label=say("Contents"))


# term as the page shows it: (regular expression, definition); a language has its own of each
TERMS: dict[str, tuple[str, str]] = {
    "parameters": (r"\bparameters\b", "the numbers that training adjusts; with the architecture they make up the model"),
    "token": (r"\btokens?\b", "a word or a part of one; each has an integer id"),
    "vocabulary": (r"\bvocabular(?:y|ies)\b", "all tokens that a model knows"),
    "loss": (r"\bloss\b", "cross-entropy: minus the logarithm of the probability that the model gave to the actual token; lower is better"),
    "nats": (r"\bnats?\b", "the unit of a loss computed with the natural logarithm; 1 nat is 1.44 bits"),
    "bits per byte": (r"\bbits (?:per|a) byte\b", "the loss per byte of text, in bits: comparable between models with different vocabularies"),
    "validation, held-out": (r"\bvalidation\b|\bheld[- ]out\b", "text that is never trained on, so that memorisation does not count"),
    "95 % interval": (r"95\s% interval|, n = \d", "a range that contains the true value in 95 of 100 such measurements; wider with fewer examples"),
    "fine-tuning": (r"\bfine-tun(?:ing|ed)\b", "further training of a pretrained model on one task"),
    "LoRA": (r"(?i:\blora\b)", "fine-tuning of two small matrices next to each large one, which stays frozen"),
    "baseline": (r"\bbaselines?\b", "a simpler method, measured on the same examples"),
    "TF-IDF": (r"\bTF-IDF\b", "how often each word (or group of letters) occurs in a text, weighted by how rare it is in the others"),
    "logistic regression": (r"\blogistic regression\b", "a classifier that sums weighted counts and turns the sum into a probability"),
    "ham": (r"\bham\b", "a message that is not spam"),
    "F1": (r"\bF1\b", "the harmonic mean of recall (how much of it is found) and precision (how much of what is found is right); 1 is perfect"),
    "llama.cpp": (r"\bllama\.cpp\b", "a widely used program that runs models on ordinary computers"),
    "GGUF": (r"\bGGUF\b", "the file format that llama.cpp and Ollama read: weights, vocabulary and settings in one file"),
    "Modelfile": (r"\bModelfile\b", "Ollama's description of a model: its file and its chat template"),
    "SHA-256": (r"\bSHA-256\b", "a hash of a file: 64 hexadecimal digits that change if any byte changes"),
}  # fmt: skip
# Elements with foreign text, or code.
NOT_SEARCHED = ("blockquote", "article", "q", "pre", "code")
# A name of a model or a file is shorter, a message is longer.
NAME_CHARACTERS = 60


def explain(parts: Sequence[Node]) -> None:
    """Add to each part of the page the terms that it is the first to use: below its first line
    (`see`), or at its end.
    """
    known: set[str] = set()
    for part in parts:
        found = terms_in(_words(part), known)
        if not found:
            continue
        known.update(found)
        rows = [
            node("div", node("dt", say(term)), node("dd", say(TERMS[term][1]))) for term in found
        ]
        place = next(
            (index + 1 for index, child in enumerate(part) if child.get("class") == "see"),
            len(part),
        )
        terms = node("dl", rows, class_="terms")
        if part.tag == "header":
            terms = node("details", node("summary", say("The terms used above")), terms)
        part.insert(place, terms)


def terms_in(words: str, known: set[str]) -> list[str]:
    """The terms of a text that are not in `known`, and those that their definitions use, in the
    order of TERMS.
    """
    found: set[str] = set()
    searched = words
    while new := {
        term for term in TERMS if term not in known | found and pattern_of(term).search(searched)
    }:
        found |= new
        searched = " ".join(say(TERMS[term][1]) for term in new)
    return [term for term in TERMS if term in found]


def pattern_of(term: str) -> re.Pattern[str]:
    """Return what a term is found by in the language of the page."""
    return re.compile(say(TERMS[term][0]))


def _words(part: Node) -> str:
    """A part's own text, without foreign text."""
    if part.tag in NOT_SEARCHED or (part.tag == "bdi" and len(part.text or "") > NAME_CHARACTERS):
        return ""
    pieces = [part.text or ""]
    for child in part:
        pieces += [_words(child), child.tail or ""]
    return " ".join(pieces)
