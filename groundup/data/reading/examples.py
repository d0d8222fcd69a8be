"""Examples for fine-tuning and evaluation: reading, deduplication, splits.

    read_examples(source, options, wanted) -> [Example | InstructionExample | ConversationExample |
        PreferenceExample]
    read_labelled(data), read_multi_labelled(data) -> [Example] -> without_repeats
            -> stratified_split or iterative_split (`label_splits`)
    read_splits(data, ...): all three
    read_chat(data) -> [InstructionExample | ConversationExample],
            read_preferences(data) -> [PreferenceExample]

A source with one label a text is never taken for one with several: a list beside a plain label is
only read where `label` names it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from groundup.data.documents import ChatExample, Example, MultiLabelExample, PreferenceExample
from groundup.data.reading.column_roles import split_labels
from groundup.data.reading.data import Data
from groundup.data.reading.decoding import NotTextError
from groundup.data.reading.distinct import same_text_key, without_repeats
from groundup.data.reading.example_rows import AnyExample, make_example
from groundup.data.reading.format_detection import sniff
from groundup.data.reading.label_splits import (
    drop_unlearned,
    iterative_split,
    keep_common_labels,
    require_classes,
    require_label_sets,
    stratified_split,
)
from groundup.data.reading.layouts import CHAT_LAYOUTS, LABELLED, MULTI_LABELLED, PREFERENCE, Layout
from groundup.data.reading.named_labels import has_name_labels, read_by_names
from groundup.data.reading.options import SourceOptions, options_of
from groundup.data.reading.records import BadRow, RecordRow, SourceFile
from groundup.data.reading.source_files import ROW_SUFFIXES, Source, source_files
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import describe_source, read_files, read_rows, source_of
from groundup.errors import ConfigError, DataError
from groundup.progress import Progress

# Of all texts that `read_splits` uses; the rest is the test set. The proportions of 1,600, 300
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
    options, report = replace(options, wanted=wanted), report or SourceReport()
    describe_source(source, options, progress=progress)
    seen: set[str] = set()

    def read(file: SourceFile) -> Iterator[AnyExample]:
        found = sniff(file, options).require()

        def make(row: RecordRow) -> AnyExample:
            if options.label_separator and "labels" in found.roles:
                row = split_labels(row, found.roles["labels"], options.label_separator)
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
    data: Data,
    *,
    report: SourceReport | None = None,
    progress: Progress | None = None,
) -> list[Example]:
    """Return the labelled texts of a source, cleaned: of rows, or by the names of files and
    folders.

    Raises DataError as `read_examples`, and for one class only.
    """
    source, options = source_of(data), options_of(data)
    if options.label_from == "name" or has_name_labels(source, options):
        return read_by_names(source, options, report=report or SourceReport(), progress=progress)
    found = read_examples(source, options, LABELLED, report=report, progress=progress)
    examples = [each for each in found if isinstance(each, Example)]
    require_classes(examples, source.spec)
    return examples


def read_multi_labelled(
    data: Data,
    *,
    report: SourceReport | None = None,
    progress: Progress | None = None,
) -> list[MultiLabelExample]:
    """Return the texts of a source that have lists of labels, or labels between separators.

    Raises DataError as `read_examples`.
    """
    source, options = source_of(data), options_of(data)
    if options.label_separator and not options.label:
        file = next(_row_files(source), None)
        if file:
            found = sniff(file, replace(options, wanted=LABELLED)).require()
            options = replace(options, label=found.roles["label"])
    examples = read_examples(source, options, MULTI_LABELLED, report=report, progress=progress)
    return [each for each in examples if isinstance(each, MultiLabelExample)]


def is_multi_label(data: Data) -> bool:
    """Return whether texts have lists of labels, by its first file with rows, or
    labels between separators.

    Raises ConfigError, DataError.
    """
    if data.label_from == "name":
        if data.label_separator:
            raise ConfigError(
                "`label_separator` divides the labels of a column, and `label_from` name reads none.",
                fix="Leave one of them out.",
            )
        return False
    if data.label_separator:
        return True
    options = options_of(data, (*LABELLED, *MULTI_LABELLED))
    for file in _row_files(source_of(data)):
        try:
            found = sniff(file, options)
        except NotTextError:
            continue
        if data.label:
            return isinstance(found.first.get("label"), list)
        return found.layout == "multi-labelled"
    return False


def _row_files(source: Source) -> Iterator[SourceFile]:
    for file in source_files(source, SourceReport(), None):
        if file.suffix in ROW_SUFFIXES:
            yield file


def read_chat(
    data: Data,
    *,
    report: SourceReport | None = None,
    progress: Progress | None = None,
) -> list[ChatExample]:
    """Return the instructions, prompts with completions and conversations of a source. Raises
    DataError as `read_examples`, and for none.

    Rows may have "id", "kind", "held_out" and "check" beside the columns of their layout.
    """
    source, options = source_of(data), options_of(data)
    found = read_examples(source, options, CHAT_LAYOUTS, report=report, progress=progress)
    examples = [each for each in found if isinstance(each, ChatExample)]
    if not examples:
        fix = 'A line: {"instruction": "...", "input": "", "output": "..."}'
        raise DataError(f"{source.spec} holds no instruction.", fix=fix)
    return examples


def read_preferences(
    data: Data,
    *,
    report: SourceReport | None = None,
    progress: Progress | None = None,
) -> list[PreferenceExample]:
    """Return the preference pairs of a source. Raises DataError as `read_examples`."""
    source, options = source_of(data), options_of(data)
    found = read_examples(source, options, PREFERENCE, report=report, progress=progress)
    return [each for each in found if isinstance(each, PreferenceExample)]


def read_splits(
    data: Data,
    *,
    texts: int,
    min_per_class: int = 0,
    given: Mapping[str, Data] | None = None,
    seed: int,
    progress: Progress,
) -> dict[str, list[Example]]:
    """Return the distinct labelled texts of `data`, at most `texts` of them, as "train",
    "validation" and "test". Raises DataError.

    Labels of fewer than `min_per_class` distinct texts are left out. `given` are the data of
    "validation", "test" or both, which are taken whole; a text that stands in several splits stays
    in the last of them, so that nothing is measured on what was learned.
    """
    own = {name: _read_distinct(each, progress) for name, each in (given or {}).items()}
    examples = _set_apart({"train": _read_distinct(data, progress), **own}, progress)
    has_label_sets = require_label_sets(examples)
    kept = keep_common_labels(examples["train"], min_per_class, str(data.path), progress)
    sizes = _sizes(min(texts, len(kept)), own)
    if has_label_sets:
        made = iterative_split(kept, sizes, seed)
    else:
        made = stratified_split(kept, sizes, seed)
    splits = drop_unlearned({**made, **{name: examples[name] for name in own}}, progress)
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


def _read_distinct(data: Data, progress: Progress) -> Sequence[Example]:
    """Return the distinct labelled texts, and say what was left out."""
    examples: Sequence[Example]
    if is_multi_label(data):
        examples = read_multi_labelled(data, progress=progress)
    else:
        examples = read_labelled(data, progress=progress)
    distinct = without_repeats(examples)
    progress.say(
        f"{data.path}: {len(examples):,} texts, {len(distinct.examples):,} distinct "
        f"({distinct.repeats:,} repeats, {distinct.conflicts:,} with two labels, "
        f"{distinct.empty:,} empty left out)."
    )
    return distinct.examples


def _set_apart(
    splits: Mapping[str, Sequence[Example]], progress: Progress
) -> dict[str, list[Example]]:
    """Return the splits without the texts that stand in a later one too, and say how many those
    are. Raises DataError where none is left.
    """
    kept: dict[str, list[Example]] = {}
    later: set[str] = set()
    for name, examples in reversed(list(splits.items())):
        kept[name] = [example for example in examples if same_text_key(example.text) not in later]
        later |= {same_text_key(example.text) for example in examples}
        repeated = len(examples) - len(kept[name])
        if repeated:
            progress.say(
                f"{repeated:,} {name} texts stand in a later split too and are left out: "
                "memorising would count as accuracy."
            )
        if not kept[name]:
            raise DataError(
                f"All {len(examples):,} {name} texts stand in a later split too.",
                fix="Give each split texts of its own.",
            )
    return kept
