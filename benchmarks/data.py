"""Reading, tokenizing and preparing texts, against a plain loop, tiktoken and `datasets`.

python benchmarks/data.py [--quick] [--only reading|tokenizing|preparing|memory|engines] [--json OUT]

The text is quickstart's Shakespeare, repeated with a number in each paragraph to the size of the table (so that no document repeats another). A core
each where the table says so: `datasets` and ours read in one process. `preparing` goes from .jsonl to token files with the same tokenizer: ours also
cleans, removes repeats and splits; `datasets` maps and saves. `memory` is the peak of a process that prepares 100 MB, 1 GB and 2 GB. `engines` makes
a data folder of small files by one process, by one on each core, and by Ray, whose cluster runs already; once with cleaning alone, once with steps.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.update(
    HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="true", HF_DATASETS_DISABLE_PROGRESS_BARS="1"
)

from measure import Contender, Row, command, compare, costs, machine, table
from spine import describe
from texts import read_texts

from groundup.data.batches.shards import write_shards
from groundup.data.clean import clean
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.pipeline import prepare
from groundup.data.processing.steps import ProcessConfig
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import read_source
from groundup.progress import Silent
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer, rank_encoder, train_tokenizer

TABLES = ("reading", "tokenizing", "preparing", "memory", "engines")
STEPS = ProcessConfig(("repair", "personal-data"), rules=("books",))
DOCUMENT_CHARACTERS = 20_000
VOCABULARY = 4096
SUFFIXES = (".txt", ".jsonl", ".parquet")


def documents(megabytes: int, quick: bool) -> Iterator[str]:
    """Yield texts of about DOCUMENT_CHARACTERS, no two of them the same."""
    whole, number, left = "\n\n".join(read_texts(quick)), 0, megabytes * 10**6
    while left > 0:
        for start in range(0, len(whole), DOCUMENT_CHARACTERS):
            text = f"Part {number}.\n\n{whole[start : start + DOCUMENT_CHARACTERS]}"
            number, left = number + 1, left - len(text)
            yield text
            if left <= 0:
                return


def write_texts(folder: Path, suffix: str, megabytes: int, quick: bool) -> Path:
    """Write the documents as files, or as one file of rows; return what a source names."""
    if suffix == ".txt":
        (folder / "texts").mkdir()
        for number, text in enumerate(documents(megabytes, quick)):
            (folder / "texts" / f"{number:06}.txt").write_text(text)
        return folder / "texts"
    file = folder / f"texts{suffix}"
    if suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"text": list(documents(megabytes, quick))}), file)
        return file
    with file.open("w") as out:
        for text in documents(megabytes, quick):
            out.write(json.dumps({"text": text}) + "\n")
    return file


def reading(quick: bool, folder: Path) -> list[Row]:
    """MB/s from files to texts, in one process."""
    megabytes, rows = (5 if quick else 100), []
    for suffix in SUFFIXES:
        place = write_texts(folder, suffix, megabytes, quick)
        source = Source(str(place))
        contenders = [
            Contender("groundup, read", lambda s=source: consume(s, lambda text: text), megabytes),
            Contender("groundup, read and clean", lambda s=source: consume(s, clean), megabytes),
        ]
        if suffix == ".txt":
            contenders.append(Contender("open().read()", lambda p=place: plain_loop(p), megabytes))
        contenders.append(
            Contender("datasets.load_dataset", lambda p=place, s=suffix: load(p, s), megabytes)
        )
        rows += compare(f"reading {suffix}", "MB/s", contenders, rounds=2 if quick else 5)
    return rows


def consume(source: Source, use: Callable[[str], Any]) -> int:
    """Read a source; return its characters."""
    report = SourceReport()
    for document in read_source(source, SourceOptions(), report):
        use(document.text)
    return report.characters


def plain_loop(folder: Path) -> int:
    """Read every file with open()."""
    return sum(
        len(open(folder / name, encoding="utf-8").read()) for name in sorted(os.listdir(folder))
    )


def load(place: Path, suffix: str) -> int:
    """Read with `datasets` into a fresh cache, and go through the texts once, as ours does."""
    import datasets

    kind = {".txt": "text", ".jsonl": "json", ".parquet": "parquet"}[suffix]
    files = str(place / "*.txt") if suffix == ".txt" else str(place)
    more = {"sample_by": "document"} if suffix == ".txt" else {}
    with tempfile.TemporaryDirectory() as cache:
        loaded = datasets.load_dataset(
            kind, data_files=files, split="train", cache_dir=cache, **more
        )
        return sum(len(text) for batch in loaded.iter(batch_size=64) for text in batch["text"])


def tokenizing(quick: bool, folder: Path) -> list[Row]:
    """MB/s from texts to ids, with every core."""
    megabytes = 2 if quick else 40
    texts = list(documents(megabytes, quick))
    ours = train_tokenizer(texts[:100], VOCABULARY)
    ours.save(folder / "tokenizer")
    encoding = rank_encoder(ours.table)
    assert encoding is not None
    assert ours.encode_batch(texts[:2]) == encoding.encode_ordinary_batch(texts[:2])
    cores = os.cpu_count() or 1
    contenders = [
        Contender("groundup encode_batch", lambda: ours.encode_batch(texts), megabytes),
        Contender(
            "tiktoken, its own threads",
            lambda: encoding.encode_ordinary_batch(texts, num_threads=cores),
            megabytes,
        ),
        Contender("datasets.map", lambda: mapped(texts, folder / "tokenizer", cores), megabytes),
    ]
    return compare("tokenizing", "MB/s", contenders, rounds=2 if quick else 5)


def mapped(texts: list[str], folder: Path, cores: int) -> int:
    """Tokenize with `datasets.map` and the `tokenizers` library, in batches, with as many processes as cores."""
    import datasets
    import tokenizers

    library = tokenizers.Tokenizer.from_file(str(folder / TOKENIZER_FILE))

    def encode(batch: dict[str, list[str]]) -> dict[str, Any]:
        return {
            "ids": [
                each.ids
                for each in library.encode_batch_fast(batch["text"], add_special_tokens=False)
            ]
        }

    made = datasets.Dataset.from_dict({"text": texts})
    return len(made.map(encode, batched=True, remove_columns=["text"], num_proc=cores))


def preparing(quick: bool, folder: Path) -> list[Row]:
    """MB/s from one .jsonl to token files."""
    megabytes = 3 if quick else 200
    file = write_texts(folder, ".jsonl", megabytes, quick)
    train_tokenizer(list(documents(2, quick)), VOCABULARY).save(folder / "tokenizer")
    contenders = [
        Contender(
            "groundup", lambda: prepared(file, folder / "tokenizer", folder / "ours"), megabytes
        ),
        Contender(
            "datasets, load, map, save",
            lambda: saved(file, folder / "tokenizer", folder / "theirs"),
            megabytes,
        ),
    ]
    return compare("preparing .jsonl", "MB/s", contenders, rounds=2 if quick else 3)


def prepared(file: Path, tokenizer: Path, out: Path) -> None:
    """Read, clean, remove repeats, split, encode."""
    shutil.rmtree(out, ignore_errors=True)
    prepare([Source(str(file))], out / "data", DataConfig(), progress=Silent())
    write_shards(out / "data", Tokenizer.load(tokenizer), out / "shards", progress=Silent())


def saved(file: Path, tokenizer: Path, out: Path) -> None:
    """The same with `datasets`, without cleaning, repeats and split."""
    import datasets
    import tokenizers

    library = tokenizers.Tokenizer.from_file(str(tokenizer / TOKENIZER_FILE))

    def encode(batch: dict[str, list[str]]) -> dict[str, Any]:
        return {
            "ids": [
                each.ids
                for each in library.encode_batch_fast(batch["text"], add_special_tokens=False)
            ]
        }

    shutil.rmtree(out, ignore_errors=True)
    loaded = datasets.load_dataset(
        "json", data_files=str(file), split="train", cache_dir=str(out / "cache")
    )
    mapped = loaded.map(encode, batched=True, remove_columns=["text"], num_proc=os.cpu_count())
    mapped.save_to_disk(str(out / "saved"))


def memory(quick: bool, folder: Path) -> list[Row]:
    """Peak MB of a process that prepares so much text."""
    train_tokenizer(list(documents(2, quick)), VOCABULARY).save(folder / "tokenizer")
    peaks = {}
    for megabytes in (2, 4) if quick else (100, 1000, 2000):
        file = write_texts(folder, ".jsonl", megabytes, quick)
        peaks[f"groundup, {megabytes:,} MB"] = (
            float(command(sys.executable, __file__, "--peak", file, folder)) * 1e-3
        )
        shutil.rmtree(folder / "ours")
    return costs("peak memory of preparing", "MB", peaks)


def print_peak(file: Path, folder: Path) -> None:
    """Prepare `file` and print this process's peak memory in kB."""
    import resource

    prepared(file, folder / "tokenizer", folder / "ours")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def engines(quick: bool, folder: Path) -> list[Row]:
    """MB/s from small files to a data folder."""
    rows, names = [], ["one", "processes"]
    if find_spec("ray"):
        import ray

        ray.init(
            num_cpus=os.cpu_count(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
        names.append("ray")
    for what, process, megabytes in (
        ("cleaning", ProcessConfig(), 100),
        ("repair, rules, personal data", STEPS, 12),
    ):
        megabytes = 1 if quick else megabytes
        place = folder / what.partition(",")[0]
        place.mkdir()
        source, config = (
            Source(str(write_texts(place, ".txt", megabytes, quick))),
            DataConfig(process=process),
        )
        contenders = [
            Contender(
                f"engine {name}",
                lambda n=name, s=source, c=config: made(s, c, n, folder / "ours"),
                megabytes,
            )
            for name in names
        ]
        rows += compare(what, "MB/s", contenders, rounds=2 if quick else 3)
    return rows


def made(source: Source, config: DataConfig, runner: str, out: Path) -> None:
    """Write a data folder."""
    shutil.rmtree(out, ignore_errors=True)
    prepare([source], out, config, runner=runner, progress=Silent())


def main() -> None:
    """Measure, print, and write the JSON where it is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, two rounds")
    parser.add_argument("--only", choices=TABLES, help="one table")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    parser.add_argument("--peak", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print_peak(*options.peak)
        return
    results: dict[str, Any] = {"machine": machine(), "quick": options.quick, "tables": {}}
    print(describe(results["machine"]))
    for name in TABLES if options.only is None else (options.only,):
        with tempfile.TemporaryDirectory() as folder:
            rows = globals()[name](options.quick, Path(folder))
        results["tables"][name] = [asdict(row) for row in rows]
        print(f"\n{name}\n\n{table(rows)}", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
