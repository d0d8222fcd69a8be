"""Steps that see all documents: near-duplicates and decontamination, over the file of what the
steps before them kept.

Each writes the evidence for what it drops into the data folder, a line each:

    near_duplicates.jsonl     the kept document, the dropped one, Jaccard, a shared passage
    contamination.jsonl       the document, the evaluation item, the n-grams of it, a shared passage

Near-duplicates are decided on before documents are split: of a kept document none can be in another
split.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from groundup.data.documents import Document
from groundup.data.preparation.data_card import SourceCard
from groundup.data.processing.decontamination import (
    describe_items,
    evaluation_items,
    find_contaminated,
)
from groundup.data.processing.near_duplicates import (
    CLEAN_EXTRA,
    MODULE,
    find_near_duplicates,
    read_clusters,
)
from groundup.data.processing.repair import PACKAGE
from groundup.data.processing.steps import DECONTAMINATE, NEAR_DUPLICATES, REPAIR, ProcessConfig
from groundup.data.reading.source_files import Source
from groundup.data.reading.sources import read_sources
from groundup.data.split import SplitWriter, read_split, split_file
from groundup.errors import require_extra
from groundup.progress import Progress

# The file of all documents while they are decided on: no split.
ALL = "documents"
NEAR_DUPLICATE, CONTAMINATED = "near-duplicate", "evaluation item in it"
# Of the evidence, what the data card shows.
SHOWN_CLUSTERS, SHOWN_OF_CLUSTER, SHOWN_OVERLAPS = 20, 5, 20


@dataclass(frozen=True)
class Dropped:
    reason: str
    is_dropped: np.ndarray
    """[documents] bool."""
    found: dict[str, Any]
    """Figures, as JSON values."""
    summary: str
    """One line of text."""


def run_file_steps(
    folder: Path,
    cards: Sequence[SourceCard],
    config: ProcessConfig,
    dropped: Callable[[Document, str], None],
    progress: Progress,
) -> tuple[str, dict[str, dict[str, Any]]]:
    """Write what these steps keep of the file ALL of `folder` beside it, count the rest in `cards`
    and pass it to `dropped`.

    Return the name of the file (as `split.split_file` has it) and the figures of each step. Raises
    DataError, FormatError, DiskError, MissingExtra.
    """
    found, left, card_of = {}, ALL, {card.source.title: card for card in reversed(cards)}
    for name in config.file_steps:
        result = _STEPS[name](split_file(folder, left), folder, config, progress)
        kept = f"{left}-{name}"
        with SplitWriter(folder, (kept,)) as writer:
            for document, is_dropped in zip(
                read_split(folder, left), result.is_dropped, strict=True
            ):
                if is_dropped:
                    card_of[document.source].drop_kept(document, result.reason)
                    dropped(document, result.reason)
                else:
                    writer.write(kept, document)
        left, found[name] = kept, result.found
        progress.say(result.summary)
    return left, found


def items_of(config: ProcessConfig) -> tuple[Source, ...]:
    return read_sources(config.decontaminate)


def check_steps(config: ProcessConfig) -> None:
    """Raise before texts are read what steps would raise later: MissingExtra, DataError (no such
    file of evaluation items, rows in doubt).
    """
    for step, package in ((REPAIR, PACKAGE), (NEAR_DUPLICATES, MODULE)):
        if step in config.names:
            require_extra(CLEAN_EXTRA, package)
    for source in items_of(config):
        describe_items(source)


def _near_duplicates(
    file: Path, folder: Path, config: ProcessConfig, progress: Progress
) -> Dropped:
    record = folder / "near_duplicates.jsonl"
    found = find_near_duplicates(file, config.near_duplicates, record=record, progress=progress)
    sizes: Counter[int] = Counter()
    for cluster in read_clusters(record):
        sizes[cluster[0].kept.line] = len(cluster)  # two sources may have documents of one name
    shown = dict(sizes.most_common(SHOWN_CLUSTERS))
    clusters = [
        {
            "kept": cluster[0].kept.name,
            "dropped": len(cluster),
            "first": [
                {
                    "name": each.dropped.name,
                    "jaccard": round(each.jaccard, 3),
                    "passage": each.passage,
                }
                for each in cluster[:SHOWN_OF_CLUSTER]
            ],
        }
        for cluster in read_clusters(record)
        if cluster[0].kept.line in shown
    ]
    clusters.sort(key=lambda each: -int(str(each["dropped"])))
    return Dropped(
        NEAR_DUPLICATE,
        found.kept_of >= 0,
        {
            "documents": len(found.kept_of),
            "dropped": found.dropped,
            "sources": {name: asdict(count) for name, count in found.sources.items()},
            "pairs_compared": found.pairs_compared,
            "documents_limited": found.documents_limited,
            "config": asdict(found.config),
            "clusters": clusters,
        },
        found.summary(),
    )


def _decontaminate(file: Path, folder: Path, config: ProcessConfig, progress: Progress) -> Dropped:
    def items() -> Iterator[tuple[str, str]]:
        return chain.from_iterable(
            evaluation_items(source, progress=progress) for source in items_of(config)
        )

    record = folder / "contamination.jsonl"
    found = find_contaminated(
        file, items(), config.decontamination, record=record, progress=progress
    )
    with record.open("rb") as lines:
        overlaps = [json.loads(line) for line in islice(lines, SHOWN_OVERLAPS)]
    figures = {
        "documents": len(found.is_dropped),
        "dropped": found.dropped,
        "items": found.items,
        "items_found": found.items_found,
        "common_ngrams": found.common_ngrams,
        "config": asdict(found.config),
        "overlaps": overlaps,
    }
    return Dropped(CONTAMINATED, found.is_dropped, figures, found.summary())


_STEPS = {NEAR_DUPLICATES: _near_duplicates, DECONTAMINATE: _decontaminate}
