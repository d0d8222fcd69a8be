"""2,000 damaged JSONL files, 2,000 CSV files, some of each other format: each is read, or refused in one sentence, by every reader of rows and texts.

The error is the class of unusable data (of a JSON array in a .jsonl, that of damaged files); everything else is a bug.
"""

import random
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

from mutations import mutant

from groundup.data.reading.example_splits import without_repeats
from groundup.data.reading.examples import read_examples
from groundup.data.reading.layouts import CHAT_LAYOUTS, LABELLED, LAYOUTS, PREFERENCE, Layout
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import read_source
from groundup.errors import DataError, FormatError

FOLDER = Path(__file__).parent / "layouts"
MUTANTS = {"jsonl": 2000, "csv": 2000, "json": 200, "tsv": 200, "parquet": 500, "txt": 50, "md": 20}


@pytest.mark.parametrize("suffix", MUTANTS)
@pytest.mark.parametrize("part", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_a_mutant_of_a_file_is_read_or_refused_in_one_sentence(
    tmp_path: Path, suffix: str, part: int
) -> None:
    files, chance, ends = sorted(FOLDER.glob(f"*.{suffix}")), random.Random(suffix), Counter[str]()
    contents = [file.read_bytes() for file in files]
    wanted: tuple[tuple[Layout, ...], ...] = (LABELLED, CHAT_LAYOUTS, PREFERENCE)
    count = MUTANTS[suffix] // part
    for number in range(count):
        place = number % len(files)
        file = tmp_path / files[place].name
        file.write_bytes(mutant(contents[place], contents, chance))
        try:
            if number % 4:
                without_repeats(
                    read_examples(Source(str(file)), SourceOptions(), wanted[number % 4 - 1])
                )
            else:
                list(read_source(Source(str(file)), SourceOptions(wanted=LAYOUTS), SourceReport()))
            ends["read"] += 1
        except (DataError, FormatError) as error:
            assert error.message and error.message.isprintable(), file.read_bytes()
            ends["refused"] += 1
    assert min(ends["read"], ends["refused"]) > count // 100, ends
