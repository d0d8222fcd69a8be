"""Examples for fine-tuning and evaluation: reading, deduplication, stratified splits.

    read_examples(source, options, wanted) -> [Example | InstructionExample | ConversationExample | PreferenceExample]
    read_labelled(source) -> [Example] -> without_repeats -> stratified_split(examples, {"train": 1600, "test": 500}, seed)
    read_splits(source, ...): all three
    read_chat(source) -> [InstructionExample | ConversationExample],  read_preferences(source) -> [PreferenceExample]

Repeats are removed before the split: else a text could be in train and test, and memorisation would count as accuracy. Two texts are the same when
they differ in case and white space only.
"""

import dataclasses
import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from groundup.data.documents import ChatExample, Example, PreferenceExample
from groundup.data.example_rows import AnyExample, make_example
from groundup.data.layouts import CHAT_LAYOUTS, LABELLED, PREFERENCE, Layout
from groundup.data.records import BadRow, Row, SourceFile
from groundup.data.source_files import Source
from groundup.data.source_report import SourceReport
from groundup.data.sources import SourceOptions, describe_source, read_files, read_rows
from groundup.errors import DataError
from groundup.progress import Progress

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


def read_examples(
    source: Source,
    options: SourceOptions,
    wanted: Collection[Layout],
    *,
    report: SourceReport | None = None,
    progress: Progress | None = None,
) -> list[AnyExample]:
    """Return the examples of a source, each file read as `sniff` describes it, and say what was understood.

    Raises DataError (no data, none of the wanted layouts, a doubt, no such column, too many bad rows). A row whose id occurred before is bad.
    """
    options, report = dataclasses.replace(options, wanted=wanted), report or SourceReport()
    describe_source(source, options, progress=progress)
    seen: set[str] = set()

    def read(file: SourceFile) -> Iterator[AnyExample]:
        found = options.describe(file)

        def make(row: Row) -> AnyExample:
            example = make_example(row, found, file.name)
            if not isinstance(example, Example):
                if example.id in seen:
                    raise BadRow(f"its id {example.id[:80]!r} occurred before")
                seen.add(example.id)
            return example

        yield from read_rows(file, found, make, options, report)

    examples = list(read_files(source, report, read, progress=progress))
    if progress:
        for line in report.decoded_lines():
            progress.say(f"{source.spec}: {line}.")
    return examples


def read_labelled(
    source: Source,
    options: SourceOptions | None = None,
    *,
    report: SourceReport | None = None,
    progress: Progress | None = None,
) -> list[Example]:
    """Return the labelled texts of a source, cleaned. Raises DataError as `read_examples`, and for one class only."""
    found = read_examples(source, options or SourceOptions(), LABELLED, report=report, progress=progress)
    examples = [each for each in found if isinstance(each, Example)]
    require_classes(examples, source.spec)
    return examples


def read_chat(
    source: Source,
    options: SourceOptions | None = None,
    *,
    report: SourceReport | None = None,
    progress: Progress | None = None,
) -> list[ChatExample]:
    """Return the instructions, prompts with completions and conversations of a source. Raises DataError as `read_examples`, and for none.

    Rows may have "id", "kind", "held_out" and "check" beside the columns of their layout.
    """
    found = read_examples(source, options or SourceOptions(), CHAT_LAYOUTS, report=report, progress=progress)
    examples = [each for each in found if isinstance(each, ChatExample)]
    if not examples:
        fix = 'A line: {"instruction": "...", "input": "", "output": "..."}'
        raise DataError(f"{source.spec} holds no instruction.", fix=fix)
    return examples


def read_preferences(
    source: Source,
    options: SourceOptions | None = None,
    *,
    report: SourceReport | None = None,
    progress: Progress | None = None,
) -> list[PreferenceExample]:
    """Return the preference pairs of a source. Raises DataError as `read_examples`."""
    found = read_examples(source, options or SourceOptions(), PREFERENCE, report=report, progress=progress)
    return [each for each in found if isinstance(each, PreferenceExample)]


def require_classes(examples: Sequence[Example], where: str) -> None:
    """Raise DataError for examples of fewer than two classes."""
    labels = sorted({example.label for example in examples})
    if len(labels) < 2:
        found = f"only the class {labels[0]!r}" if labels else "no labelled text"
        raise DataError(f"{where} has {found}; a classifier needs two classes or more.", fix="Check the label column.")


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
    messages: int,
    seed: int,
    progress: Progress,
) -> dict[str, list[Example]]:
    """The distinct labelled texts of a source, at most `messages` of them, as "train", "validation" and "test". Raises DataError."""
    examples = read_labelled(source, options, progress=progress)
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
