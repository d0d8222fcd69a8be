"""What the tokenizer reads and the small models are trained on: quickstart's Shakespeare; in quick mode some source files of ours."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

from measure import Skipped

import groundup
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import read_source
from groundup.errors import NetworkError

PACKAGE = Path(groundup.__file__).parent
QUICK_CHARACTERS = 100_000
QUICK_PARTS = 10


def read_texts(quick: bool) -> list[str]:
    """The documents. Raises Skipped when they can't be fetched."""
    if quick:
        text = "".join(file.read_text() for file in sorted(PACKAGE.glob("model/*.py")))[
            :QUICK_CHARACTERS
        ]
        size = len(text) // QUICK_PARTS
        return [text[start : start + size] for start in range(0, len(text), size)]
    recipe = tomllib.loads((PACKAGE / "recipes" / "quickstart.toml").read_text())
    source = Source(**recipe["data"]["sources"][0])
    try:
        return [document.text for document in read_source(source, SourceOptions(), SourceReport())]
    except NetworkError as error:
        raise Skipped(
            f"quickstart's text is neither in the cache nor to be had: {error}"
        ) from error


def megabytes(texts: Sequence[str]) -> float:
    """Their UTF-8 bytes."""
    return sum(len(text.encode()) for text in texts) / 1e6
