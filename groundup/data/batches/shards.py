"""Documents -> memory-mapped token files, one for each split, and a table that describes them.

    FOLDER/train.bin, validation.bin, test.bin
                                        little-endian uint16 (uint32 above 65,536 ids): document,
                                        end-of-text, document, end-of-text, ...
    FOLDER/shards.json                  dtype, vocabulary, tokenizer fingerprint; per split tokens,
                                        documents, UTF-8 bytes, SHA-256; the SHA-256 of the test
                                        documents as text, which no tokenizer changes
    FOLDER/sources.json                 the source of each token, where there are several (spans.py)
    FOLDER/manifest.json                size and SHA-256 of the files

A document is encoded at once, so that its ids are those of `Tokenizer.encode`; "<|endoftext|>" in a
document is encoded as text. UTF-8 bytes count the documents only: bits per byte = (summed loss in
nats / ln 2) / bytes.
"""

import hashlib
import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groundup.data.batches.spans import MAX_LABELS, MAX_MIXED, SPANS_FILE, SpanWriter
from groundup.data.documents import Document
from groundup.data.resumable_folder import Partial, partial_folder
from groundup.data.split import SPLITS, TEST, TRAIN, read_split, split_file, splits_in
from groundup.errors import DataError, FormatError
from groundup.files import MANIFEST, read_json, sha256_file, sha256_text, verify_folder, write_json
from groundup.progress import Progress
from groundup.tokenizer.fast import Tokenizer

TABLE_FILE = "shards.json"
FIELDS = {"dtype", "vocab_size", "tokenizer_fingerprint", "splits"}
TEST_TEXT = "test_text_sha256"
COUNTS = ("tokens", "documents", "utf8_bytes")
DTYPES: dict[str, np.dtype[Any]] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
# Text encoded in one call: enough to keep the encoder's threads busy, small enough for memory.
BATCH_CHARACTERS = 2**21
# Batches that are encoded at once.
AHEAD = 2
RUN_CHARACTERS = 2**22
# What a killed encoding does again at most: some seconds.
SAVE_BYTES = 64 * 2**20
# Below this size, opening verifies hashes (some 0.2 s); above, only lengths; `groundup verify`
# always verifies hashes.
HASH_AT_OPEN_BYTES = 256 * 2**20


@dataclass(frozen=True)
class SplitTable:
    tokens: int
    documents: int
    utf8_bytes: int
    sha256: str


@dataclass(frozen=True)
class ShardSet:
    """Open token files, from `write_shards` or `open_shards`."""

    folder: Path
    dtype: str
    vocab_size: int
    tokenizer_fingerprint: str
    splits: dict[str, SplitTable]
    test_text_sha256: str = ""
    """Of the file of test documents; "" where there are none, or the shards are older."""

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of everything that determines the tokens; equal exactly when the token files
        are.
        """
        values = {**asdict(self), "folder": ""}
        del values[TEST_TEXT]
        return sha256_text(json.dumps(values, sort_keys=True))

    def tokens(self, split: str) -> np.ndarray:
        """Return the memory-mapped ids of a split: [num_tokens], read-only.

        Raises DataError for an unknown split.
        """
        if self.num_tokens(split) == 0:
            return np.zeros(0, DTYPES[self.dtype])
        return np.memmap(token_file(self.folder, split), DTYPES[self.dtype], mode="r")

    def num_tokens(self, split: str) -> int:
        """Return the tokens of a split, end-of-text tokens included."""
        return self._table(split).tokens

    def num_bytes(self, split: str) -> int:
        return self._table(split).utf8_bytes

    def _table(self, split: str) -> SplitTable:
        if split not in self.splits:
            raise DataError(
                f"The shards in {self.folder} have no split '{split}'; they have: {', '.join(self.splits)}."
            )
        return self.splits[split]


def token_file(folder: Path, split: str) -> Path:
    return folder / f"{split}.bin"


def write_shards(
    data_folder: Path, tokenizer: Tokenizer, out: Path, *, progress: Progress
) -> ShardSet:
    """Encode the splits of a data folder into `out`, created atomically.

    Raises FormatError, DiskError.
    """
    dtype = "uint32"
    if tokenizer.vocab_size <= 2**16:
        dtype = "uint16"
    splits = splits_in(data_folder)
    files = [split_file(data_folder, split) for split in splits]
    size_bytes = sum(file.stat().st_size for file in files if file.is_file())
    key = sha256_text(repr((data_key(data_folder), tokenizer.fingerprint)))
    # A token of two bytes encodes some three or four of text, so the size of the text is an upper
    # bound.
    with partial_folder(out, key, needed_bytes=size_bytes) as partial:
        done = partial.state.get("splits", {})
        tables = {split: SplitTable(**each) for split, each in done.items()}
        with progress.track("Encoding", size_bytes / 1e6, "MB") as advance:
            for split in splits[len(done) :]:
                with _Encoded(partial, split, tables, DTYPES[dtype], tokenizer) as encoded:
                    advance(encoded.utf8_bytes / 1e6)
                    documents = read_split(data_folder, split, passed=encoded.documents)
                    for batch, ids in _encode_ahead(batches(documents), tokenizer):
                        encoded.write(batch, ids)
                        advance(sum(len(document.text) for document in batch) / 1e6)
                    tables[split] = encoded.table()
                    encoded.save()
        if partial.state["spans"]:
            write_json(partial.folder / SPANS_FILE, partial.state["spans"])
        test_text = sha256_file(split_file(data_folder, TEST)) if TEST in splits else ""
        shards = ShardSet(
            out, dtype, tokenizer.vocab_size, tokenizer.fingerprint, tables, test_text
        )
        table = asdict(shards)
        del table["folder"]
        write_json(partial.folder / TABLE_FILE, table)
    progress.say(_summary(shards))
    return shards


def data_key(folder: Path) -> str:
    """Return what changes whenever the splits do: the manifest's hash, or of a folder without one
    sizes and times.
    """
    if (folder / MANIFEST).is_file():
        return sha256_file(folder / MANIFEST)
    files = [split_file(folder, split) for split in splits_in(folder)]
    found = [(file.name, file.stat()) for file in files if file.is_file()]
    return repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in found])


def _encode_ahead(
    found: Iterator[list[Document]], tokenizer: Tokenizer
) -> Iterator[tuple[list[Document], list[list[int]]]]:
    """Yield each batch with its ids; the next AHEAD are encoded meanwhile.

    So no core waits for reading and writing, or for another that encodes a single long document.
    One without spaces, which takes most memory, is encoded alone.
    """
    waiting: deque[tuple[list[Document], Future[list[list[int]]]]] = deque()

    def oldest() -> tuple[list[Document], list[list[int]]]:
        batch, ids = waiting.popleft()
        return batch, ids.result()

    with ThreadPoolExecutor(AHEAD) as pool:
        for batch in found:
            texts = [document.text for document in batch]
            is_alone = any(map(unbroken, texts))
            while is_alone and waiting:
                yield oldest()
            waiting.append((batch, pool.submit(tokenizer.encode_batch, texts)))
            if is_alone or len(waiting) > AHEAD:
                yield oldest()
        while waiting:
            yield oldest()


def unbroken(text: str) -> bool:
    """Return whether `text` has RUN_CHARACTERS in a row without a space or line end, from a
    multiple of it on; so has every run of twice as many.
    """
    starts = range(0, len(text) - RUN_CHARACTERS + 1, RUN_CHARACTERS)
    return any(all(text.find(mark, at, at + RUN_CHARACTERS) < 0 for mark in " \n") for at in starts)


def _summary(shards: ShardSet) -> str:
    counts = ", ".join(f"{split} {table.tokens:,}" for split, table in shards.splits.items())
    tokens = sum(table.tokens for table in shards.splits.values())
    utf8_bytes = sum(table.utf8_bytes for table in shards.splits.values())
    mean = utf8_bytes / max(1, tokens)
    return f"Tokens: {counts} ({mean:.2f} bytes each, stored as {shards.dtype})."


def batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
    """Yield documents in groups of about BATCH_CHARACTERS; a larger one is alone."""
    batch: list[Document] = []
    characters = 0
    for document in documents:
        if batch and characters + len(document.text) > BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
        batch.append(document)
        characters += len(document.text)
    if batch:
        yield batch


class _Encoded:
    """A context manager: the token file of a split that is being written, with its counts and hash,
    from where an earlier call came to.
    """

    def __init__(
        self,
        partial: Partial,
        split: str,
        tables: dict[str, SplitTable],
        dtype: np.dtype[Any],
        tokenizer: Tokenizer,
    ) -> None:
        self.partial, self.split, self.tables, self.dtype = partial, split, tables, dtype
        self.end = tokenizer.special.document_end_id
        self.hash, self.spans = hashlib.sha256(), SpanWriter()
        self.tokens = self.documents = self.utf8_bytes = self.saved_bytes = 0
        self.file = token_file(partial.folder, split)
        state = partial.state.get("part", {})
        if state.get("split") == split:
            self.tokens, self.documents = state["tokens"], state["documents"]
            self.utf8_bytes = state["utf8_bytes"]
            spans = [(source, folder, count) for source, folder, count in state["spans"]]
            self.spans = SpanWriter(spans, state["full"])
            with self.file.open("rb") as handle:
                self.hash = hashlib.file_digest(handle, "sha256")
            self.saved_bytes = self.utf8_bytes
        self.handle = self.file.open("ab")

    def __enter__(self) -> "_Encoded":
        return self

    def __exit__(self, *exc: object) -> None:
        self.handle.close()

    def write(self, documents: list[Document], encoded: list[list[int]]) -> None:
        flat: list[int] = []
        for document, ids in zip(documents, encoded, strict=True):
            flat += ids
            flat.append(self.end)
            self.spans.add(document, len(ids) + 1)
            self.utf8_bytes += len(document.text.encode())
        data = np.array(flat, self.dtype).tobytes()
        self.handle.write(data)
        self.hash.update(data)
        self.tokens += len(flat)
        self.documents += len(documents)
        if self.utf8_bytes - self.saved_bytes >= SAVE_BYTES:
            self.save()

    def save(self) -> None:
        """Keep what was encoded: a later call goes on behind it."""
        self.handle.flush()
        self.saved_bytes = self.utf8_bytes
        part = {
            "split": self.split,
            "tokens": self.tokens,
            "documents": self.documents,
            "utf8_bytes": self.utf8_bytes,
            "spans": self.spans.spans,
            "full": self.spans.full,
        }
        most = MAX_LABELS
        if self.split == TRAIN:
            most = MAX_MIXED
        spans, labelled = dict(self.partial.state.get("spans", {})), self.spans.labelled(most)
        if labelled:
            spans[self.split] = labelled
        done = {split: asdict(table) for split, table in self.tables.items()}
        names = dict.fromkeys([*done, self.split])
        files = [token_file(self.partial.folder, split) for split in names]
        self.partial.save({"splits": done, "part": part, "spans": spans}, files)

    def table(self) -> SplitTable:
        return SplitTable(self.tokens, self.documents, self.utf8_bytes, self.hash.hexdigest())


def open_shards(folder: Path) -> ShardSet:
    """Open the shards in `folder`; lengths are verified, and hashes below HASH_AT_OPEN_BYTES.
    Raises FormatError.
    """
    shards = _read_table(folder)
    entries = verify_folder(folder, hashes=False)
    names = {TABLE_FILE, *(token_file(folder, split).name for split in shards.splits)}
    unlisted = ", ".join(sorted(names - set(entries)))
    if unlisted:
        raise FormatError(folder / MANIFEST, "files", f"does not name {unlisted}")
    hash_all = sum(entry["bytes"] for entry in entries.values()) < HASH_AT_OPEN_BYTES
    for name, entry in entries.items():
        if (hash_all or name == TABLE_FILE) and sha256_file(folder / name) != entry["sha256"]:
            reason = "differs from the manifest: the file was altered or damaged"
            raise FormatError(folder / name, "sha256", reason)
    for split, table in shards.splits.items():
        file = token_file(folder, split)
        expected = table.tokens * DTYPES[shards.dtype].itemsize
        if file.stat().st_size != expected:
            raise FormatError(file, "size", f"is not the {expected} bytes that {TABLE_FILE} says")
    return shards


def _read_table(folder: Path) -> ShardSet:
    """Read shards.json and validate types and ranges of its values."""
    file = folder / TABLE_FILE
    value = read_json(file)
    if not isinstance(value, dict) or set(value) - {TEST_TEXT} != FIELDS:
        raise FormatError(file, "fields", f"are not {', '.join(sorted(FIELDS))}")
    dtype, vocab_size = value["dtype"], value["vocab_size"]
    fingerprint, splits = value["tokenizer_fingerprint"], value["splits"]
    test_text = value.get(TEST_TEXT, "")
    is_text = isinstance(fingerprint, str) and isinstance(test_text, str)
    if dtype not in list(DTYPES) or not _is_count(vocab_size) or not is_text:
        names = f"dtype, vocab_size, tokenizer_fingerprint, {TEST_TEXT}"
        raise FormatError(file, names, "have wrong values")
    if not isinstance(splits, dict) or {*splits} | {TEST} != {*SPLITS}:
        raise FormatError(file, "splits", f"are not {', '.join(SPLITS)}, or these without {TEST}")
    for split, entry in splits.items():
        is_table = isinstance(entry, dict) and set(entry) == {*COUNTS, "sha256"}
        if not is_table or not all(_is_count(entry[name]) for name in COUNTS):
            raise FormatError(
                file, f"splits.{split}", f"is not a table of {', '.join(COUNTS)} and sha256"
            )
    tables = {split: SplitTable(**entry) for split, entry in splits.items()}
    return ShardSet(folder, dtype, vocab_size, fingerprint, tables, test_text)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
