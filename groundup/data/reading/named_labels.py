"""Labelled texts whose labels are the names of their files or folders: mailboxes and folders of
documents.

    mail/spam.mbox, mail/ham.mbox            an e-mail of spam.mbox has the label "spam"
    mail/spam/1.eml, mail/ham/2.eml          ... of the folder "spam" too; of a file within folders
                                             the first folder counts
    mail/2024/spam.mbox, mail/2024/ham.mbox  folders that all files have in common do not count

Only a mailbox stands for its label by its own name; another file at the top is one text, whose name
is no class. Without `label_from`, this is recognised in a folder on
disk in which nothing else gives labels: no rows, no lines of label, tab, text.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import PurePosixPath

from groundup.data.clean import clean
from groundup.data.documents import Example
from groundup.data.reading.containers import suffixes
from groundup.data.reading.decoding import NotTextError
from groundup.data.reading.description import TEXT_SUFFIXES
from groundup.data.reading.extract import EXTRACTORS
from groundup.data.reading.format_detection import sniff
from groundup.data.reading.layouts import LABELLED, TEXT
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.records import SourceFile
from groundup.data.reading.source_files import Source, source_files
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import read_files, read_texts
from groundup.errors import DataError
from groundup.progress import Progress

MAILBOX = ".mbox"
UNLABELLED = "in no folder of a label"
# The text files of a folder in which lines of label, tab, text are looked for.
LOOKED_AT = 20
SHOWN_LABELS = 20
FIX = "Give a folder with one mailbox or one folder of texts for each label: spam.mbox and ham.mbox, or spam/ and ham/."


def labels_of_names(names: Sequence[str]) -> dict[str, str]:
    """Return the label of each file that has one, given their names within a source.

    >>> labels_of_names(["2024/spam.mbox", "2024/ham/a.eml", "2024/about.txt"])
    {'2024/spam.mbox': 'spam', '2024/ham/a.eml': 'ham'}
    """
    paths = {name: PurePosixPath(name.replace("!", "/")).parts for name in names}
    levels = zip(*(parts[:-1] for parts in paths.values()), strict=False)
    common = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    found = {}
    for name, parts in paths.items():
        if len(parts) > common + 1:
            found[name] = parts[common]
        elif _is_mailbox(name):
            found[name] = _stem(parts[-1])
    return found


def _is_mailbox(name: str) -> bool:
    return suffixes(name)[0] == MAILBOX


def _stem(name: str) -> str:
    """The name of a file without the suffixes of its format and compression."""
    return name[: len(name) - len("".join(suffixes(name)))]


def has_name_labels(source: Source, options: SourceOptions) -> bool:
    """Return whether the names of a folder's files are the labels of its texts, where nothing was
    said of labels and columns.
    """
    named = options.label_from or options.label or options.text or options.columns
    if named or not source.is_local:
        return False
    files: list[str] = []
    for file in source_files(source, SourceReport(), None):
        if file.suffix not in (*TEXT_SUFFIXES, *EXTRACTORS):
            return False
        is_text = file.suffix in TEXT_SUFFIXES and len(files) < LOOKED_AT
        if is_text and _has_labelled_lines(file, options):
            return False
        files.append(file.name)
    return len(set(labels_of_names(files).values())) > 1


def _has_labelled_lines(file: SourceFile, options: SourceOptions) -> bool:
    try:
        return (
            sniff(file, dataclasses.replace(options, wanted=LABELLED)).require().layout
            == "labelled"
        )
    except (NotTextError, DataError):
        return False


def read_by_names(
    source: Source, options: SourceOptions, *, report: SourceReport, progress: Progress | None
) -> list[Example]:
    """Return the texts of a source with the labels of their names, and say how many of each.

    Raises DataError for fewer than two labels.
    """
    options = dataclasses.replace(options, wanted=TEXT)
    labels = labels_of_names([file.name for file in source_files(source, SourceReport(), progress)])

    def read(file: SourceFile) -> Iterator[Example]:
        if file.name not in labels:
            report.skip(UNLABELLED, file.name)
            return
        for _, text in read_texts(file, options, report):
            yield Example(clean(text).text, labels[file.name])

    if len(set(labels.values())) < 2:
        found = "no label"
        if labels:
            found = f"the label {next(iter(labels.values()))!r} only"
        raise DataError(
            f"The names of the files and folders in {source.spec} give {found}; two are needed.",
            fix=FIX,
        )
    examples = list(read_files(source, report, read, progress=progress))
    if progress:
        counts = Counter(example.label for example in examples)
        progress.say(f"{source.spec}: {describe_name_labels(counts, report)}.")
    return examples


def describe_name_labels(counts: Mapping[str, int], report: SourceReport) -> str:
    """Return in words the labels by the names of files and folders, and what is not read."""
    names = [f"{label!r} {count:,}" for label, count in sorted(counts.items())[:SHOWN_LABELS]]
    parts = [f"labels are the names of files and folders: {', '.join(names)}"]
    if len(counts) > SHOWN_LABELS:
        parts[0] += f" and {len(counts) - SHOWN_LABELS} more"
    parts += [f"{tally.count:,} not read, {reason}" for reason, tally in report.skipped.items()]
    if report.bad_files.count:
        parts.append(f"{report.bad_files.count:,} without text ({report.bad_files.shown()})")
    return "; ".join(parts)
