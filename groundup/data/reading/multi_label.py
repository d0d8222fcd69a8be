"""Texts that have none, one or several labels: are the labels of a source such, how they are cut
from a column, and their split.

    is_multi_label(source, options)      lists in a column, {"labels": ["delivery", "complaint"]},
                                         or a separator that was named: "delivery;complaint"
    iterative_split(examples, sizes, seed)     every label has about its overall share in each split
                                               (Sechidis, Tsoumakas & Vlahavas 2011)

A source with one label a text is never taken for one with several: a list beside a plain label is
only read where --label-column names it.
"""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from groundup.data.documents import Example, MultiLabelExample
from groundup.data.reading.decoding import NotTextError
from groundup.data.reading.distinct import same_text_key, without_repeats
from groundup.data.reading.format_detection import sniff
from groundup.data.reading.layouts import LABELLED, MULTI_LABELLED
from groundup.data.reading.records import BadRow, RecordRow, SourceFile
from groundup.data.reading.source_files import ROW_SUFFIXES, Source, source_files
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import SourceOptions
from groundup.errors import ConfigError, DataError
from groundup.progress import Progress

# What is in no split; no name of one.
REST = ""


def is_multi_label(source: Source, options: SourceOptions) -> bool:
    """Return whether the texts of a source have lists of labels, by its first file with rows.

    Raises ConfigError, DataError.
    """
    if options.label_from == "name":
        if options.label_separator:
            raise ConfigError(
                "--label-separator divides the labels of a column, and --label-from name reads none.",
                fix="Leave one of them out.",
            )
        return False
    if options.label_separator:
        return True
    for file in source_files(source, SourceReport(), None):
        if file.suffix in ROW_SUFFIXES:
            try:
                return has_label_lists(file, options)
            except NotTextError:
                continue
    return False


def has_label_lists(file: SourceFile, options: SourceOptions) -> bool:
    """Return whether the column that was named has lists, or else whether there is such a column
    and none with one label a text.
    """
    single = sniff(file, dataclasses.replace(options, wanted=LABELLED).asked)
    if options.label_column:
        return isinstance(single.first.get("label"), list)
    return not single.layout and bool(
        sniff(file, dataclasses.replace(options, wanted=MULTI_LABELLED).asked).layout
    )


def with_label_column(source: Source, options: SourceOptions) -> SourceOptions:
    """Return the options with the column whose texts are divided at the separator: the one that was
    named or looks like a label's.
    """
    if not options.label_separator or options.label_column:
        return options
    for file in source_files(source, SourceReport(), None):
        if file.suffix in ROW_SUFFIXES:
            found = sniff(file, dataclasses.replace(options, wanted=LABELLED).asked).require()
            return dataclasses.replace(options, label_column=found.roles["label"])
    return options


def divided(row: RecordRow, column: str, separator: str) -> RecordRow:
    """Return a row with the text in a column as a list of labels; an empty one has none. Raises
    BadRow.

    >>> divided(Row(1, {"tags": "late; rude"}), "tags", ";").values
    {'tags': ['late', 'rude']}
    """
    value = row.values.get(column)
    if not isinstance(value, str | None):
        raise BadRow(f"'{column}' is not a text with labels but {type(value).__name__}")
    parts = [part.strip() for part in (value or "").split(separator)]
    return dataclasses.replace(row, values={**row.values, column: [part for part in parts if part]})


def label_counts(examples: Sequence[Example]) -> dict[str, int]:
    """Return label -> how many texts have it, in alphabetical order."""
    return dict(
        sorted(
            Counter(label for example in examples for label in labels_of_example(example)).items()
        )
    )


def labels_of_example(example: Example) -> tuple[str, ...]:
    """Return the labels of a text, be it of one or of several."""
    return example.labels if isinstance(example, MultiLabelExample) else (example.label,)


def require_label_sets(splits: Mapping[str, Sequence[Example]]) -> bool:
    """Return whether the splits have several labels a text.

    Raises DataError where only some of them do.
    """
    kinds = {
        name: isinstance(examples[0], MultiLabelExample)
        for name, examples in splits.items()
        if examples
    }
    if len(set(kinds.values())) > 1:
        several = ", ".join(name for name, is_multi in kinds.items() if is_multi)
        others = ", ".join(name for name, is_multi in kinds.items() if not is_multi)
        raise DataError(
            f"The {several} texts have lists of labels, the {others} texts one label each.",
            fix="Give them in the same form.",
        )
    return any(kinds.values())


def without_rare_labels(
    examples: Sequence[Example], fewest: int, where: str, progress: Progress
) -> list[Example]:
    """Return the examples without the labels that fewer than `fewest` texts have, and say which.

    Raises DataError for fewer than two labels left.
    """
    counts = label_counts(examples)
    kept = {label for label, count in counts.items() if count >= fewest}
    if len(kept) < 2:
        largest = ", ".join(
            f"{label!r} ({count})" for label, count in Counter(counts).most_common(3)
        )
        raise DataError(
            f"{where} has fewer than two labels with {max(1, fewest)} distinct texts (the most common: {largest or 'none'}).",
            fix="Lower --min-per-class, or add examples.",
        )
    if rare := {label: count for label, count in counts.items() if label not in kept}:
        named = ", ".join(f"{label!r} ({count})" for label, count in rare.items())
        progress.say(
            f"Labels of fewer than {fewest} texts are left out, the texts stay: {named[:500]}."
        )
    return [
        MultiLabelExample.of(
            each.text, [label for label in labels_of_example(each) if label in kept]
        )
        for each in examples
    ]


def without_unlearned(
    splits: Mapping[str, Sequence[Example]], progress: Progress
) -> dict[str, list[Example]]:
    """Return the splits without the labels that no training text has, and say which.

    Texts with one label go with it; texts with several stay, without it.
    """
    known = set(label_counts(splits["train"]))
    lacking = {name: set(label_counts(examples)) - known for name, examples in splits.items()}
    places = [f"{label!r} ({name})" for name, labels in lacking.items() for label in sorted(labels)]
    if not places:
        return {name: list(examples) for name, examples in splits.items()}
    progress.say(f"Left out, since no training text has them: {', '.join(places)[:500]}.")
    kept: dict[str, list[Example]] = {}
    for name, examples in splits.items():
        kept[name] = [
            each for each in examples if isinstance(each, MultiLabelExample) or each.label in known
        ]
        kept[name] = [
            MultiLabelExample.of(each.text, known.intersection(each.labels))
            if isinstance(each, MultiLabelExample)
            else each
            for each in kept[name]
        ]
    return kept


def iterative_split(
    examples: Sequence[Example], sizes: Mapping[str, int], seed: int
) -> dict[str, list[Example]]:
    """Return disjoint splits of exactly these sizes in which every label has about its overall
    share; repeats are removed before.

    The rarest label first: each text with it goes where most of that label is missing. The order
    depends on texts and seed, not on the file. Raises DataError for too few examples.
    """
    examples, wanted = without_repeats(examples).examples, sum(sizes.values())
    if len(examples) < wanted:
        raise DataError(
            f"There are {len(examples)} distinct texts, {wanted} are needed.",
            fix="Make the splits smaller.",
        )
    waiting = sorted(examples, key=lambda each: _order_key(each, seed))
    room = {**sizes, REST: len(examples) - wanted}
    missing = {
        label: {part: count * size / len(examples) for part, size in room.items()}
        for label, count in label_counts(waiting).items()
    }
    splits: dict[str, list[Example]] = {part: [] for part in room}
    while waiting:
        left = label_counts(waiting)
        rarest = min(left, key=lambda label: (left[label], label), default=None)
        now = [each for each in waiting if rarest is None or rarest in labels_of_example(each)]
        for example in now:
            open_parts = [part for part in room if len(splits[part]) < room[part]]
            lacking = missing.get(rarest or "", {})
            part = max(
                open_parts,
                key=lambda each: (lacking.get(each, 0.0), room[each] - len(splits[each])),
            )
            splits[part].append(example)
            for label in labels_of_example(example):
                missing[label][part] -= 1
        done = set(map(id, now))
        waiting = [each for each in waiting if id(each) not in done]
    return {name: sorted(splits[name], key=lambda each: _order_key(each, seed)) for name in sizes}


def _order_key(example: Example, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{same_text_key(example.text)}".encode()).hexdigest()
