"""The same texts in every format of rows that is read."""

import csv
import io
import json
from pathlib import Path

import pyarrow
from pyarrow import parquet

SUFFIXES = (".txt", ".jsonl", ".json", ".csv", ".tsv", ".parquet")


def write_rows(folder: Path, suffix: str, rows: list[str]) -> None:
    """Write texts as rows of one file, as .txt one file each."""
    if suffix == ".txt":
        for number, text in enumerate(rows):
            (folder / f"{number:03}.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
        return
    file = folder / f"a{suffix}"
    if suffix == ".parquet":
        parquet.write_table(pyarrow.table({"text": rows}), file)
    elif suffix == ".json":
        file.write_text(json.dumps([{"text": text} for text in rows]))
    elif suffix == ".jsonl":
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in rows))
    else:
        made = io.StringIO()
        writer = csv.writer(
            made, delimiter="\t" if suffix == ".tsv" else ",", quoting=csv.QUOTE_ALL
        )
        writer.writerows([["text", "other"], *([text, "x"] for text in rows)])
        file.write_bytes(made.getvalue().encode())
