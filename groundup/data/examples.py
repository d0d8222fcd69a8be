"""Labelled texts and instructions for fine-tuning: reading, deduplication, stratified splits.

    read_labelled(source) -> [Example] -> without_repeats -> stratified_split(examples, {"train": 1600, "test": 500}, seed)
    read_splits(source, ...): all three
    read_instructions(path) -> [InstructionExample]

Repeats are removed before the split: else a text could be in train and test, and memorisation would count as accuracy. Two texts are the same when
they differ in case and white space only.
"""

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.data.clean import clean
from groundup.data.decoding import numbered_lines, text_pieces
from groundup.data.documents import Example, InstructionExample
from groundup.data.records import json_objects
from groundup.data.source_report import LineTally, SourceReport
from groundup.data.sources import Source, SourceFile, SourceOptions, read_files, read_rows
from groundup.errors import DataError
from groundup.progress import Progress

CHECK_TYPES = ("number", "label", "word")
INSTRUCTION_SUFFIX = ".jsonl"
LABEL_SUFFIXES = (".csv", ".tsv", ".txt")
# Of all messages that `read_splits` uses; the rest is the test set. The proportions of 1,600, 300 and 500.
TRAIN_SHARE, VALIDATION_SHARE = 2 / 3, 1 / 8


@dataclass(frozen=True)
class Distinct:
    """Examples with distinct texts, and counts of the removed ones."""

    examples: list[Example]
    repeats: int
    """Examples whose text occurred before with the same label."""
    conflicts: int
    """Examples whose text occurs with different labels; all of them are removed."""
    empty: int
    """Examples without text."""


def read_labelled(
    source: Source,
    options: SourceOptions | None = None,
    *,
    label_column: str = "label",
    report: SourceReport | None = None,
    progress: Progress | None = None,
) -> list[Example]:
    """Return the labelled texts of a source, cleaned.

    .jsonl, .parquet, and .csv or .tsv with a header are read by column; without a header each line is label, tab, text, without quoting.
    Raises DataError (no data, no such column, too many bad lines, one class only).
    """
    options, report = options or SourceOptions(), report or SourceReport()

    def read(file: SourceFile) -> Iterator[Example]:
        columns = (options.text_column, label_column)
        if file.suffix in LABEL_SUFFIXES and _has_no_header(file, columns, options):
            return _tabbed(file, options, report)
        return (Example(row.values[0], row.values[1].strip()) for row in read_rows(file, columns, options, report))

    examples = [Example(clean(e.text).text, e.label) for e in read_files(source, report, read, progress=progress)]
    require_classes(examples, source.spec)
    return examples


def require_classes(examples: Sequence[Example], where: str) -> None:
    """Raise DataError for examples of fewer than two classes."""
    labels = sorted({example.label for example in examples})
    if len(labels) < 2:
        found = f"only the class {labels[0]!r}" if labels else "no labelled text"
        raise DataError(f"{where} has {found}; a classifier needs two classes or more.", fix="Check the label column.")


def _has_no_header(file: SourceFile, columns: Sequence[str], options: SourceOptions) -> bool:
    """Return whether the first line is label, tab, text and not the names of the columns."""
    with file.open() as stream:
        lines = numbered_lines(text_pieces(stream, file.name, options.encoding_errors, SourceReport()))
        first = next(lines, (1, ""))[1] or ""
    return first.count("\t") >= 1 and not {field.strip().strip('"') for field in first.split("\t")} & set(columns)


def _tabbed(file: SourceFile, options: SourceOptions, report: SourceReport) -> Iterator[Example]:
    """Yield examples from lines of label, tab, text; quotation marks are text."""
    tally = LineTally(file.name, report, strict=options.strict)
    with file.open() as stream:
        for number, line in numbered_lines(text_pieces(stream, file.name, options.encoding_errors, report)):
            label, tab, text = (line or "").partition("\t")
            if tab and label.strip():
                tally.good()
                yield Example(text, label.strip())
            elif line is None or line.strip():
                tally.bad_line(number, "is not label, tab, text")
    tally.close()


def same_text_key(text: str) -> str:
    """Return a key that is equal for texts that differ in case and white space only.

    >>> same_text_key(" Free  ENTRY\\n") == same_text_key("free entry")
    True
    """
    return " ".join(unicodedata.normalize("NFC", text.casefold()).split())


def without_repeats(examples: Sequence[Example]) -> Distinct:
    """Return the first example of each distinct text, and none of a text with different labels."""
    labels: dict[str, set[str]] = defaultdict(set)
    keys = [same_text_key(example.text) for example in examples]
    for key, example in zip(keys, examples, strict=True):
        labels[key].add(example.label)
    firsts: dict[str, Example] = {}
    removed: Counter[str] = Counter()
    for key, example in zip(keys, examples, strict=True):
        if not key:
            removed["empty"] += 1
        elif len(labels[key]) > 1:
            removed["conflict"] += 1
        elif key in firsts:
            removed["repeat"] += 1
        else:
            firsts[key] = example
    return Distinct(list(firsts.values()), removed["repeat"], removed["conflict"], removed["empty"])


def stratified_split(examples: Sequence[Example], sizes: Mapping[str, int], seed: int) -> dict[str, list[Example]]:
    """Return disjoint stratified splits of exactly these sizes: each class has its overall proportion in each.

    The split of an example depends on its text and the seed, not on the order in the file. Raises DataError for too few examples, fewer than
    two classes, or a class too small to be in every split.
    """
    wanted = sum(sizes.values())
    if len(examples) < wanted:
        parts = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise DataError(
            f"There are {len(examples)} distinct examples, {wanted} are needed ({parts}).",
            fix="Make the splits smaller.",
        )
    require_classes(examples, "The data")
    by_label: dict[str, list[Example]] = defaultdict(list)
    for example in sorted(examples, key=lambda e: _order_key(e, seed)):
        by_label[example.label].append(example)
    quotas = apportion(wanted, {label: len(members) for label, members in sorted(by_label.items())})
    splits: dict[str, list[Example]] = {}
    for name, size in sizes.items():
        shares = apportion(size, quotas)
        _require_every_class(shares, {label: len(members) for label, members in by_label.items()}, name, size)
        chosen = [by_label[label].pop() for label, share in shares.items() for _ in range(share)]
        splits[name] = sorted(chosen, key=lambda e: _order_key(e, seed))
        quotas = {label: quotas[label] - share for label, share in shares.items()}
    return splits


def read_splits(
    source: Source,
    options: SourceOptions,
    *,
    label_column: str,
    messages: int,
    seed: int,
    progress: Progress,
) -> dict[str, list[Example]]:
    """The distinct labelled texts of a source, at most `messages` of them, as "train", "validation" and "test". Raises DataError."""
    examples = read_labelled(source, options, label_column=label_column, progress=progress)
    distinct = without_repeats(examples)
    used = min(messages, len(distinct.examples))
    train, validation = round(used * TRAIN_SHARE), round(used * VALIDATION_SHARE)
    sizes = {"train": train, "validation": validation, "test": used - train - validation}
    progress.say(
        f"{len(examples):,} texts, {len(distinct.examples):,} distinct ({distinct.repeats:,} repeats, "
        f"{distinct.conflicts:,} with two labels, {distinct.empty:,} empty left out); used: "
        + ", ".join(f"{size:,} {name}" for name, size in sizes.items())
    )
    return stratified_split(distinct.examples, sizes, seed)


def _order_key(example: Example, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{same_text_key(example.text)}".encode()).hexdigest()


def _require_every_class(shares: Mapping[str, int], left: Mapping[str, int], split: str, size: int) -> None:
    for label, share in shares.items():
        if size and not share:
            reason = f"The class {label!r} is too small to be among the {size} examples of '{split}'"
            raise DataError(
                f"{reason} ({left[label]} examples of it are left).", fix="Add examples of it, or leave the class out."
            )


def apportion(size: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Return `size` divided in proportion to `weights` (largest remainder method); no share exceeds its weight while size <= sum(weights).

    >>> apportion(10, {"ham": 87, "spam": 13})
    {'ham': 9, 'spam': 1}
    """
    total = sum(weights.values())
    shares = {name: size * weight // total for name, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda name: (-(size * weights[name] % total), name))
    for name in by_remainder[: size - sum(shares.values())]:
        shares[name] += 1
    return shares


def read_instructions(
    path: Path,
    *,
    strict: bool = False,
    follow_links: bool = False,
    report: SourceReport | None = None,
    progress: Progress | None = None,
) -> list[InstructionExample]:
    """Return the instruction examples of a .jsonl file, or of all in a folder. Raises DataError (none, too many bad lines, or strict).

    A line is an object with "instruction" and "output", and may have "input", "id", "kind", "held_out" and "check".
    """
    report = report or SourceReport()
    seen: set[str] = set()

    def read(file: SourceFile) -> Iterator[InstructionExample]:
        if file.suffix != INSTRUCTION_SUFFIX:
            raise DataError(f"{file.name}: instructions are read from {INSTRUCTION_SUFFIX} files only.")
        tally = LineTally(file.name, report, strict=strict)
        with file.open() as stream:
            for number, value in json_objects(text_pieces(stream, file.name, "replace", report), tally):
                value.setdefault("id", f"{file.name}:{number}")
                fault = _instruction_fault(value, seen)
                if fault:
                    tally.bad_line(number, fault)
                    continue
                tally.good()
                seen.add(value["id"])
                yield _instruction(value)
        tally.close()

    examples = list(read_files(Source(str(path), follow_links=follow_links), report, read, progress=progress))
    if not examples:
        raise DataError(
            f"{path} holds no instruction.", fix='A line: {"instruction": "...", "input": "", "output": "..."}'
        )
    return examples


def _instruction_fault(value: Mapping[str, Any], seen: set[str]) -> str:
    """Return what is wrong with one line, or ""."""
    for field in ("instruction", "output"):
        if not isinstance(value.get(field), str) or not value[field].strip():
            return f"has no '{field}' text"
    for field in ("input", "id", "kind"):
        if not isinstance(value.get(field, ""), str):
            return f"'{field}' is not a text"
    if not isinstance(value.get("held_out", False), bool):
        return "'held_out' is not true or false"
    if value["id"] in seen:
        return f"its id {value['id'][:80]!r} occurred before"
    return _check_fault(value.get("check"))


def _check_fault(check: Any) -> str:
    if check is None:
        return ""
    if not isinstance(check, dict) or check.get("type") not in CHECK_TYPES or not isinstance(check.get("answer"), str):
        return f'\'check\' is not {{"type": one of {", ".join(CHECK_TYPES)}, "answer": text}}'
    labels = check.get("labels", [check["answer"]])
    if not isinstance(labels, list) or not all(isinstance(label, str) and label for label in labels):
        return "'labels' of its check is not a list of texts"
    if check["answer"] not in labels:
        return f"the answer of its check, {check['answer'][:40]!r}, is not one of its labels"
    return ""


def _instruction(value: Mapping[str, Any]) -> InstructionExample:
    return InstructionExample(
        instruction=clean(value["instruction"]).text,
        input=clean(value.get("input", "")).text,
        output=clean(value["output"]).text,
        id=value["id"],
        kind=value.get("kind", ""),
        held_out=value.get("held_out", False),
        check=value.get("check"),
    )
