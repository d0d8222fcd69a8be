"""The sealed test split: which text it is, and how often it was opened.

The SHA-256 of the test documents stands in a run's run.json (`inputs.test`) before the first step.
The split is opened when a figure is measured on it: at the end of pretraining, by an evaluation on
the run's text, at the end of a research. Each opening adds a line (time, by) to
CACHE/test_splits/SHA256.jsonl, and results and page say how many there are: who chooses between
runs by such figures makes the split one of validation. It counts this machine alone, since its cache
was last emptied.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from groundup.data.documents import Document
from groundup.data.split import TEST, read_split, split_file, splits_in
from groundup.errors import DiskError
from groundup.files import cache_folder, json_bytes, sha256_file

FOLDER = "test_splits"


def note_opening(sha256: str, by: Path) -> int:
    """Record that the test split with this hash was opened, and return how often it was, this time
    included; 0 where the hash is not known or the cache can't be written: no figure is lost for
    that.
    """
    if not sha256:
        return 0
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "by": str(by.resolve())}
    with suppress(DiskError, OSError):
        file = cache_folder(FOLDER) / f"{sha256}.jsonl"
        with file.open("ab") as handle:
            handle.write(json_bytes(line) + b"\n")
        return file.read_bytes().count(b"\n")
    return 0


def opened_split(folder: Path, by: Path) -> Iterator[Document]:
    """Return the documents of a data folder that a model is judged on: its test split, which is
    thereby opened, or validation where there is none. Raises FormatError.
    """
    split = splits_in(folder)[-1]
    if split == TEST:
        note_opening(sha256_file(split_file(folder, TEST)), by)
    return read_split(folder, split)
