"""Examples for fine-tuning and evaluation: reading, deduplication, stratified splits.

    read_examples(source, options, wanted) -> [Example | InstructionExample | ConversationExample |
        PreferenceExample]
    read_labelled(source) -> [Example] -> without_repeats -> stratified_split(examples, {"train":
        1600, "test": 500}, seed)
    read_splits(source, ...): all three
    read_chat(source) -> [InstructionExample | ConversationExample],
            read_preferences(source) -> [PreferenceExample]

Repeats are removed before the split (see `distinct`): else a text could be in train and test, and
memorisation would count as accuracy.
"""

import dataclasses
import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from groundup.data.documents import ChatExample, Example, MultiLabelExample, PreferenceExample
from groundup.data.reading.distinct import same_text_key, without_repeats
from groundup.data.reading.example_rows import AnyExample, make_example
from groundup.data.reading.layouts import CHAT_LAYOUTS, LABELLED, MULTI_LABELLED, PREFERENCE, Layout
from groundup.data.reading.multi_label import (
    divided,
    is_multi_label,
    iterative_split,
    require_label_sets,
    with_label_column,
    without_rare_labels,
    without_unlearned,
)
from groundup.data.reading.named_labels import read_by_names, recognised
from groundup.data.reading.records import BadRow, RecordRow, SourceFile
from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import SourceOptions, describe_source, read_files, read_rows
from groundup.errors import DataError
from groundup.progress import Progress

# Of all messages that `read_splits` uses; the rest is the test set. The proportions of 1,600, 300
# and 500.
TRAIN_SHARE, VALIDATION_SHARE = 2 / 3, 1 / 8
SPLITS = ("train", "validation", "test")


def read_examples(
    source: Source,
    options: SourceOptions,
    wanted: Collection[Layout],
    *,
    report: SourceReport | None = None,
    progress: Progress | None = None,
) -> list[AnyExample]:
    """Return the examples of a source, each file read as `sniff` describes it, and say what was
    understood.

    Raises DataError (no data, none of the wanted layouts, a doubt, no such column, too many bad
    rows). A row whose id occurred before is bad.
    """
    options, report = dataclasses.replace(options, wanted=wanted), report or SourceReport()
    describe_source(source, options, progress=progress)
    seen: set[str] = set()

    def read(file: SourceFile) -> Iterator[AnyExample]:
        found = options.describe(file)

        def make(row: RecordRow) -> AnyExample:
            if options.label_separator and "labels" in found.roles:
                row = divided(row, found.roles["labels"], options.label_separator)
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
    """Return the labelled texts of a source, cleaned: of rows, or by the names of files and
    folders.

    Raises DataError as `read_examples`, and for one class only.
    """
    options = options or SourceOptions()
    if options.label_from == "name" or (not options.label_from and recognised(source, options)):
        return read_by_names(source, options, report=report or SourceReport(), progress=progress)
    found = read_examples(source, options, LABELLED, report=report, progress=progress)
    examples = [each for each in found if isinstance(each, Example)]
    require_classes(examples, source.spec)
    return examples


def read_multi_labelled(
    source: Source,
    options: SourceOptions,
    *,
    report: SourceReport | None = None,
    progress: Progress | None = None,
) -> list[MultiLabelExample]:
    """Return the texts of a source that have lists of labels, or labels between separators.

    Raises DataError as `read_examples`.
    """
    options = with_label_column(source, options)
    found = read_examples(source, options, MULTI_LABELLED, report=report, progress=progress)
    return [each for each in found if isinstance(each, MultiLabelExample)]


def read_chat(
    source: Source,
    options: SourceOptions | None = None,
    *,
    report: SourceReport | None = None,
    progress: Progress | None = None,
) -> list[ChatExample]:
    """Return the instructions, prompts with completions and conversations of a source. Raises
    DataError as `read_examples`, and for none.

    Rows may have "id", "kind", "held_out" and "check" beside the columns of their layout.
    """
    found = read_examples(
        source, options or SourceOptions(), CHAT_LAYOUTS, report=report, progress=progress
    )
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
    found = read_examples(
        source, options or SourceOptions(), PREFERENCE, report=report, progress=progress
    )
    return [each for each in found if isinstance(each, PreferenceExample)]


def require_classes(examples: Sequence[Example], where: str) -> None:
    """Raise DataError for examples of fewer than two classes."""
    labels = sorted({example.label for example in examples})
    if len(labels) < 2:
        found = f"only the class {labels[0]!r}" if labels else "no labelled text"
        raise DataError(
            f"{where} has {found}; a classifier needs two classes or more.",
            fix="Check the label column.",
        )


def stratified_split(
    examples: Sequence[Example], sizes: Mapping[str, int], seed: int, *, every_class: bool = True
) -> dict[str, list[Example]]:
    """Return disjoint stratified splits of exactly these sizes: each class has its overall
    proportion in each. Repeats are removed before.

    The split of an example depends on its text and the seed, not on the order in the file. Raises
    DataError for too few examples, fewer than two classes, or, with `every_class`, a class too
    small to be in every split.
    """
    examples, wanted = without_repeats(examples).examples, sum(sizes.values())
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
    counts = {label: len(members) for label, members in sorted(by_label.items())}
    quotas = apportion(wanted, counts)
    splits: dict[str, list[Example]] = {}
    for name, size in sizes.items():
        shares = apportion(size, quotas)
        if every_class and size:
            _require_every_class(shares, counts, sizes, name)
        chosen = [by_label[label].pop() for label, share in shares.items() for _ in range(share)]
        splits[name] = sorted(chosen, key=lambda e: _order_key(e, seed))
        quotas = {label: quotas[label] - share for label, share in shares.items()}
    return splits


def read_splits(
    source: Source,
    options: SourceOptions,
    *,
    messages: int,
    min_per_class: int = 0,
    given: Mapping[str, Source] | None = None,
    seed: int,
    progress: Progress,
) -> dict[str, list[Example]]:
    """The distinct labelled texts of a source, at most `messages` of them, as "train", "validation"
    and "test". Raises DataError.

    Classes of fewer than `min_per_class` distinct texts are left out. `given` are sources of
    "validation", "test" or both, which are taken whole; a text that stands in several splits stays
    in the last of them, so that nothing is measured on what was learned.
    """
    own = {name: _distinct(each, options, progress) for name, each in (given or {}).items()}
    examples = _apart([("train", _distinct(source, options, progress)), *own.items()], progress)
    multi = require_label_sets(examples)
    common, split = (
        (without_rare_labels, iterative_split) if multi else (_common_classes, stratified_split)
    )
    kept = common(examples["train"], min_per_class, source.spec, progress)
    used = min(messages, len(kept))
    sizes = _sizes(used, own)
    splits = without_unlearned(
        {**split(kept, sizes, seed), **{name: examples[name] for name in own}}, progress
    )
    progress.say("Used: " + ", ".join(f"{len(splits[name]):,} {name}" for name in SPLITS) + ".")
    return {name: splits[name] for name in SPLITS}


def _sizes(used: int, given: Collection[str]) -> dict[str, int]:
    """Return the sizes of the splits that are not given."""
    shares = {
        "train": TRAIN_SHARE,
        "validation": VALIDATION_SHARE,
        "test": 1 - TRAIN_SHARE - VALIDATION_SHARE,
    }
    left = {name: share for name, share in shares.items() if name not in given}
    sizes = {name: round(used * share / sum(left.values())) for name, share in left.items()}
    last = list(sizes)[-1]
    return sizes | {last: used - sum(size for name, size in sizes.items() if name != last)}


def _distinct(source: Source, options: SourceOptions, progress: Progress) -> Sequence[Example]:
    """Return the distinct labelled texts of a source, and say what was left out."""
    read = read_multi_labelled if is_multi_label(source, options) else read_labelled
    distinct = without_repeats(examples := read(source, options, progress=progress))
    progress.say(
        f"{source.spec}: {len(examples):,} texts, {len(distinct.examples):,} distinct ({distinct.repeats:,} repeats, "
        f"{distinct.conflicts:,} with two labels, {distinct.empty:,} empty left out)."
    )
    return distinct.examples


def _apart(
    splits: Sequence[tuple[str, Sequence[Example]]], progress: Progress
) -> dict[str, list[Example]]:
    """Return the splits without the texts that stand in a later one too, and say how many those
    are. Raises DataError where none is left.
    """
    kept: dict[str, list[Example]] = {}
    later: set[str] = set()
    for name, examples in reversed(splits):
        kept[name] = [example for example in examples if same_text_key(example.text) not in later]
        later |= {same_text_key(example.text) for example in examples}
        repeated = len(examples) - len(kept[name])
        if repeated:
            progress.say(
                f"{repeated:,} {name} texts stand in a later split too and are left out: memorising would count as accuracy."
            )
        if not kept[name]:
            raise DataError(
                f"All {len(examples):,} {name} texts stand in a later split too.",
                fix="Give each split texts of its own.",
            )
    return kept


def _common_classes(
    examples: Sequence[Example], min_per_class: int, where: str, progress: Progress
) -> Sequence[Example]:
    """Return the examples of the classes that have `min_per_class`, and say which are left out.

    Raises DataError for fewer than two classes.
    """
    counts = Counter(example.label for example in examples)
    rare = {label: count for label, count in sorted(counts.items()) if count < min_per_class}
    if not rare:
        return examples
    named = ", ".join(f"{label!r} ({count})" for label, count in rare.items())
    kept = [example for example in examples if example.label not in rare]
    if len(counts) - len(rare) < 2:
        largest = sorted(counts.values())[-2] if len(counts) > 1 else 0
        raise DataError(
            f"{where} has fewer than two classes with {min_per_class} distinct texts; left out: {named[:500]}.",
            fix=f"Lower --min-per-class (two classes have {largest}), or add examples.",
        )
    progress.say(
        f"Classes of fewer than {min_per_class} texts are left out, {sum(rare.values()):,} texts: {named}."
    )
    return kept


def _order_key(example: Example, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{same_text_key(example.text)}".encode()).hexdigest()


def _require_every_class(
    shares: Mapping[str, int], counts: Mapping[str, int], sizes: Mapping[str, int], split: str
) -> None:
    """Raise DataError for a class without a share in a split; it names the count that is enough for
    all splits.
    """
    missing = [label for label, share in shares.items() if not share]
    if not missing:
        return
    label = min(missing, key=lambda each: (counts[each], each))
    enough = _enough(label, counts, sizes)
    others = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    needed = f"; {enough} are enough to be in each of {', '.join(sizes)}" if enough else ""
    flag = f"leave out classes with fewer: finetune classifier --min-per-class {enough}"
    raise DataError(
        f"The class {label!r}{others} is too rare: {counts[label]} of {sum(counts.values()):,} distinct examples, none of it among "
        f"the {sizes[split]:,} of '{split}'{needed}.",
        fix=f"Add examples of it, or {flag if enough else 'make the splits larger (finetune classifier --messages)'}",
    )


def _enough(label: str, counts: Mapping[str, int], sizes: Mapping[str, int]) -> int:
    """Return how many examples of a class are enough to be in every split, among the classes that
    have as many; 0 where there are none.
    """
    for enough in range(counts[label] + 1, max(counts.values()) + 1):
        kept = {each: count for each, count in counts.items() if count >= enough}
        if len(kept) < 2:
            return 0
        if _all_in_all(kept, sizes) and _all_in_all({**kept, label: enough}, sizes):
            return enough
    return 0


def _all_in_all(counts: Mapping[str, int], sizes: Mapping[str, int]) -> bool:
    """Return whether all classes are in all splits; of fewer examples than `sizes`, splits in the
    same proportion.
    """
    used = min(sum(sizes.values()), sum(counts.values()))
    quotas = apportion(used, counts)
    for size in apportion(used, sizes).values():
        shares = apportion(size, quotas)
        if size and not all(shares.values()):
            return False
        quotas = {label: quotas[label] - share for label, share in shares.items()}
    return True


def apportion(size: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Return `size` divided in proportion to `weights` (largest remainder method); no share exceeds
    its weight while size <= sum(weights).

    >>> apportion(10, {"ham": 87, "spam": 13})
    {'ham': 9, 'spam': 1}
    """
    total = sum(weights.values())
    shares = {name: size * weight // total for name, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda name: (-(size * weights[name] % total), name))
    for name in by_remainder[: size - sum(shares.values())]:
        shares[name] += 1
    return shares
