"""Bits per byte of a build's test text: its own model, a public one as it is, and compressors that were given the training text.

    pip install pyppmd brotli
    python benchmarks/compressors.py BUILD [--public smollm2-135m-instruct] [--json OUT]

A compressor has read the training text when the test text comes: what this adds to the compressed
size is counted (xz and PPMd see all of the training text, brotli its last 16 MB). Models see windows
of at most 256 tokens (`evaluate/tasks/text.py`). All measure the same passages at random places of the
test documents: their beginnings often stand in other documents word for word.
"""

import argparse
import json
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import brotli
import pyppmd
from measure import machine

from groundup.cli.console import console_progress, table
from groundup.data.split import TEST, TRAIN, read_split
from groundup.device import select_compute
from groundup.evaluate.tasks.text import BitsPerByte
from groundup.weights.model_io import open_model

PASSAGES, CHARACTERS = 64, 1_024
PPMD_ORDER, PPMD_BYTES = 10, 2_000_000_000
XZ = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 28}]


def xz(text: bytes) -> int:
    return len(lzma.compress(text, lzma.FORMAT_RAW, filters=XZ))


def ppmd(text: bytes) -> int:
    encoder = pyppmd.Ppmd7Encoder(max_order=PPMD_ORDER, mem_size=PPMD_BYTES)
    return len(encoder.encode(text)) + len(encoder.flush())


def by_brotli(text: bytes) -> int:
    return len(brotli.compress(text, quality=11, lgwin=24))


def added(compress: Callable[[bytes], int], before: bytes, text: bytes) -> float:
    """Bits per byte that a text adds to what is compressed before it."""
    return 8 * (compress(before + text) - compress(before)) / len(text)


def passages(documents: list[str]) -> list[str]:
    """PASSAGES of a length at random places, a long document's as likely as it is long."""
    draw = random.Random(0)
    lengths = [max(0, len(each) - CHARACTERS) for each in documents]
    chosen = draw.choices(documents, lengths, k=PASSAGES)
    starts = [draw.randrange(len(each) - CHARACTERS) for each in chosen]
    return [each[at : at + CHARACTERS] for each, at in zip(chosen, starts, strict=True)]


def main() -> None:
    """Measure, print the table, and write the JSON where it is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("build", type=Path)
    parser.add_argument("--public", default="smollm2-135m-instruct")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    asked = parser.parse_args()
    compute, progress = select_compute("cpu"), console_progress()
    data = asked.build / "data"
    texts = passages([each.text for each in read_split(data, TEST)])
    text = "\n".join(texts).encode()
    found: dict[str, float] = {}
    for name in (str(asked.build / "pretrain"), asked.public):
        result = BitsPerByte(texts).measure(
            open_model(name, compute), compute=compute, progress=progress
        )
        found[Path(name).name] = result.measures[0].value
    before = "\n".join(each.text for each in read_split(data, TRAIN)).encode()
    last = before[-(1 << 24) :]
    for name, compress, given in (
        ("xz", xz, before),
        ("brotli", by_brotli, last),
        ("PPMd", ppmd, before),
    ):
        progress.say(f"{name}: {len(given):,} bytes, then {len(text):,}")
        found[name] = added(compress, given, text)
    print(
        "\n".join(
            table(["", "bits per byte"], [[name, f"{each:.3f}"] for name, each in found.items()])
        )
    )
    if asked.json is not None:
        results = {"machine": machine(), "test_bytes": len(text), "bits_per_byte": found}
        asked.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
