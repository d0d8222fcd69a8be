"""Examples for fine-tuning and evaluation.

    read_examples(source, options, wanted) -> [Example | InstructionExample | ConversationExample |
        PreferenceExample]
    read_labelled(data), read_multi_labelled(data) -> [Example] -> without_repeats
            -> stratified_split or iterative_split (`example_splits`)
    read_splits(data, ...): all three
    read_chat(data) -> [InstructionExample | ConversationExample],
            read_preferences(data) -> [PreferenceExample],
            read_compared(data): these, or [RatedExample] of a feedback.jsonl

A source with one label a text is never taken for one with several: a list beside a plain label is
only read where `label` names it.

Labels may also be the names of files or folders, mailboxes and folders of documents:

    mail/spam.mbox, mail/ham.mbox            an e-mail of spam.mbox has the label "spam"
    mail/spam/1.eml, mail/ham/2.eml          ... of the folder "spam" too; of a file within folders
                                             the first folder counts
    mail/2024/spam.mbox, mail/2024/ham.mbox  folders that all files have in common do not count

Without `label_from`, this is recognised in a folder on disk in which nothing else gives labels: no
rows, no lines of label, tab, text.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path, PurePosixPath

from groundup.data.clean import clean
from groundup.data.documents import (
    ChatExample,
    Example,
    MultiLabelExample,
    PreferenceExample,
    PromptExample,
    RatedExample,
    TextPair,
)
from groundup.data.reading.containers import suffixes
from groundup.data.reading.data import Data
from groundup.data.reading.decoding import NotTextError
from groundup.data.reading.example_rows import RowExample, make_example, split_labels
from groundup.data.reading.example_splits import (
    drop_unlearned,
    iterative_split,
    keep_common_labels,
    merge_rare_labels,
    require_classes,
    require_label_sets,
    same_text_key,
    stratified_split,
    without_repeats,
)
from groundup.data.reading.extract import EXTRACTORS
from groundup.data.reading.format_detection import sniff
from groundup.data.reading.layouts import (
    CHAT_LAYOUTS,
    LABELLED,
    MULTI_LABELLED,
    PAIR,
    PREFERENCE,
    PROMPT,
    TEXT,
    Layout,
)
from groundup.data.reading.markup_text import TEXT_SUFFIXES
from groundup.data.reading.options import SourceOptions, options_of
from groundup.data.reading.records import BadRow, RecordRow, SourceFile
from groundup.data.reading.source_files import ROW_SUFFIXES, Source, source_files
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import (
    describe_source,
    read_files,
    read_rows,
    read_texts,
    source_of,
)
from groundup.errors import ConfigError, DataError
from groundup.packs.feedback import UP, is_feedback, read_feedback
from groundup.progress import Progress
from groundup.tokenizer.chat import Message

# Of all texts that `read_splits` uses; the rest is the test set. The proportions of 1,600, 300
# and 500.
TRAIN_SHARE, VALIDATION_SHARE = 2 / 3, 1 / 8
SPLITS = ("train", "validation", "test")
MAILBOX = ".mbox"
UNLABELLED = "in no folder of a label"
# The text files of a folder in which lines of label, tab, text are looked for.
LOOKED_AT = 20
SHOWN_LABELS = 20
NAMES_FIX = "Give a folder with one mailbox or one folder of texts for each label: spam.mbox and ham.mbox, or spam/ and ham/."


def read_examples(
    source: Source,
    options: SourceOptions,
    wanted: Collection[Layout],
    *,
    report: SourceReport | None = None,
    progress: Progress | None = None,
) -> list[RowExample]:
    """Return the examples of a source, each file read as `sniff` describes it, and say what was
    understood.

    Raises DataError (no data, none of the wanted layouts, a doubt, no such column, too many bad
    rows). A row whose id occurred before is bad.
    """
    options, report = replace(options, wanted=wanted), report or SourceReport()
    describe_source(source, options, progress=progress)
    seen: set[str] = set()

    def read(file: SourceFile) -> Iterator[RowExample]:
        found = sniff(file, options).require()

        def make(row: RecordRow) -> RowExample:
            if options.label_separator and "labels" in found.roles:
                row = split_labels(row, found.roles["labels"], options.label_separator)
            example = make_example(row, found.layout or "text", found.roles, file.name)
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


def read_multi_labelled(data: Data, *, progress: Progress | None = None) -> list[MultiLabelExample]:
    """Return the texts of a source that have lists of labels, or labels between separators.

    Raises DataError as `read_examples`.
    """
    source, options = source_of(data), options_of(data)
    if options.label_separator and not options.label:
        file = next(_row_files(source), None)
        if file:
            found = sniff(file, replace(options, wanted=LABELLED)).require()
            options = replace(options, label=found.roles["label"])
    examples = read_examples(source, options, MULTI_LABELLED, progress=progress)
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


def read_compared(
    data: Data, *, progress: Progress | None = None
) -> Sequence[PreferenceExample] | Sequence[RatedExample]:
    """Return pairs of answers, or the rated answers of a feedback.jsonl. Raises DataError as
    `read_examples`, and where a feedback.jsonl has no rating; FormatError.
    """
    file = Path(data.path)
    if is_feedback(file):
        return read_rated(file)
    return read_preferences(data, progress=progress)


def read_rated(file: Path) -> list[RatedExample]:
    """Return the answers of a feedback.jsonl that readers rated, each after its question alone.
    Raises DataError, FormatError.
    """
    events = read_feedback(file).events
    rated = [
        RatedExample(
            (Message("user", clean(event.question).text),),
            clean(event.answer).text,
            event.rating == UP,
            event.reply,
        )
        for event in events
        if event.rating is not None and event.answer.strip()
    ]
    good = sum(each.is_good for each in rated)
    if not 0 < good < len(rated):
        raise DataError(
            f"{file} has {good:,} answers rated up and {len(rated) - good:,} rated down, of "
            f"{len(events):,} replies; both kinds are needed.",
            fix="Collect more (groundup serve RUN --feedback FILE).",
        )
    return rated


def read_preferences(
    data: Data,
    *,
    report: SourceReport | None = None,
    progress: Progress | None = None,
) -> list[PreferenceExample]:
    """Raises DataError as `read_examples`."""
    source, options = source_of(data), options_of(data)
    found = read_examples(source, options, PREFERENCE, report=report, progress=progress)
    return [each for each in found if isinstance(each, PreferenceExample)]


def read_pairs(data: Data, *, progress: Progress | None = None) -> list[TextPair]:
    """Return the pairs of texts of a source, with the texts that do not fit where it has some.
    Raises DataError as `read_examples`.
    """
    found = read_examples(source_of(data), options_of(data), PAIR, progress=progress)
    return [each for each in found if isinstance(each, TextPair)]


def read_prompts(data: Data, *, progress: Progress | None = None) -> list[PromptExample]:
    """Return the prompts of a source, in messages, prompt, instruction with input, or question with
    the context that answers it. Raises DataError as `read_examples`.
    """
    found = read_examples(source_of(data), options_of(data), PROMPT, progress=progress)
    return [each for each in found if isinstance(each, PromptExample)]


def has_rows(data: Data) -> bool:
    """Return whether all files of a source have rows (.jsonl, .csv, ...): else it is documents.
    Raises DataError.
    """
    files = source_files(source_of(data), SourceReport(), None)
    return all(file.suffix in ROW_SUFFIXES for file in files)


def read_splits(
    data: Data,
    *,
    texts: int,
    min_per_class: int = 0,
    merge_rare: str = "",
    given: Mapping[str, Data] | None = None,
    seed: int,
    progress: Progress,
) -> dict[str, list[Example]]:
    """Return the distinct labelled texts of `data`, at most `texts` of them, as "train",
    "validation" and "test". Raises DataError.

    Labels of fewer than `min_per_class` distinct texts are left out, or called `merge_rare`; that
    alone merges as few as it takes to have all labels in all splits. `given` are the data of
    "validation", "test" or both, which are taken whole; a text that stands in several splits stays
    in the last of them, so that nothing is measured on what was learned.
    """
    own = {name: _read_distinct(each, progress) for name, each in (given or {}).items()}
    examples = _set_apart({"train": _read_distinct(data, progress), **own}, progress)
    has_label_sets = require_label_sets(examples)
    if merge_rare:
        if has_label_sets and not min_per_class:
            what = "merge_rare of texts with several labels needs the count that is too rare."
            raise ConfigError(what, fix="Give `min_per_class` too.")
        sizes = _sizes(min(texts, len(examples["train"])), own)
        examples = merge_rare_labels(examples, merge_rare, min_per_class, sizes, progress)
        min_per_class = 0
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
        elif suffixes(name)[0] == MAILBOX:
            found[name] = _stem(parts[-1])
    return found


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
        return sniff(file, replace(options, wanted=LABELLED)).require().layout == "labelled"
    except (NotTextError, DataError):
        return False


def read_by_names(
    source: Source, options: SourceOptions, *, report: SourceReport, progress: Progress | None
) -> list[Example]:
    """Return the texts of a source with the labels of their names, and say how many of each.

    Raises DataError for fewer than two labels.
    """
    options = replace(options, wanted=TEXT)
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
            fix=NAMES_FIX,
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
