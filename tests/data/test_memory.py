"""The memory of preparing texts does not grow with them: a process for each kind of text, at two sizes."""

import subprocess
import sys
from pathlib import Path

import pytest

# Writes texts of a kind, prepares them, trains a tokenizer and encodes; prints the peak of memory in MB.
PROGRAM = """
import json, random, resource, sys
from pathlib import Path
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.pipeline import prepare
from groundup.data.batches.shards import write_shards
from groundup.data.reading.source_files import Source
from groundup.data.split import read_split
from groundup.progress import Silent
from groundup.tokenizer import training_sample
from groundup.tokenizer.fast import train_tokenizer

kind, megabytes, root = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
training_sample.MAX_DISTINCT_BYTES, training_sample.PROBE_BYTES = 2**20, 2**19
texts = root / "texts"
texts.mkdir()
drawn = random.Random(0)
if kind == "files":
    for number in range(400 * megabytes):
        (texts / f"{number}.txt").write_text(f"file {number} says something of {number * 7}. " * 60)
elif kind == "rows":
    with open(texts / "a.jsonl", "w") as out:
        for number in range(14_000 * megabytes):
            out.write(json.dumps({"text": f"row {number} says something of {number * 7 % 1000}. "}) + chr(10))
elif kind == "line":
    with open(texts / "a.jsonl", "w") as out:
        out.write(json.dumps({"text": "word " * (200_000 * megabytes)}) + chr(10))
        for number in range(200):  # one bad line of them is within the limit
            out.write(json.dumps({"text": f"row {number} says something. " * 20}) + chr(10))
elif kind == "dna":
    block = "".join(drawn.choices("ACGT", k=2**20))
    for number in range(megabytes):
        place = drawn.randrange(2**20)
        (texts / f"{number}.txt").write_text(block[place:] + block[:place])
fractions = DataConfig(validation_fraction=0.3, test_fraction=0.3)  # no document is cut, as there is no space in some
prepare([Source(str(texts))], root / "data", fractions, progress=Silent())
sample = 8 * 10**6
tokenizer = train_tokenizer(
    (document.text for document in read_split(root / "data", "train")), 400, sample_bytes=sample, progress=Silent()
)
write_shards(root / "data", tokenizer, root / "shards", progress=Silent())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak_mb(kind: str, megabytes: int, root: Path) -> int:
    root.mkdir()
    command = [sys.executable, "-c", PROGRAM, kind, str(megabytes), str(root)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "sizes"),
    [("files", (5, 20)), ("rows", (10, 40)), ("line", (20, 90)), ("dna", (10, 40))],
)
def test_memory_does_not_grow_with_the_texts(
    tmp_path: Path, kind: str, sizes: tuple[int, int]
) -> None:
    small, large = (peak_mb(kind, megabytes, tmp_path / str(megabytes)) for megabytes in sizes)
    assert large <= 1.25 * small + 30, (
        f"{small} MB for {sizes[0]} MB of text, {large} MB for {sizes[1]} MB"
    )
