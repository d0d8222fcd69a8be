"""What the data room's tests share: a small real tokenizer, texts, a data folder."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from groundup.data.batches.shards import ShardSet, write_shards
from groundup.data.preparation.pipeline import prepare
from groundup.data.reading.source_files import Source
from groundup.progress import Silent
from groundup.tokenizer.fast import Tokenizer, train_tokenizer

sys.path.insert(0, str(Path(__file__).parent))  # planted_pairs
PARAGRAPH = "The {n}th traveller came to the inn at dusk, asked for bread and water, and told a story about number {n}."


def tell(number: int, paragraphs: int = 6) -> str:
    """A text that no other number gives."""
    return "\n\n".join(PARAGRAPH.format(n=number * 100 + part) for part in range(paragraphs))


@pytest.fixture(scope="session")
def story() -> Callable[..., str]:
    """story(number, paragraphs=6): a text that no other number gives."""
    return tell


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer([tell(number) for number in range(30)], vocab_size=400)


@pytest.fixture
def texts(tmp_path: Path) -> Callable[..., Path]:
    """Write files into a folder: texts(a_txt="...") makes a.txt; returns the folder."""

    def write(folder: str = "texts", **files: str | bytes) -> Path:
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        for name, content in files.items():
            path = root / name.replace("_", ".")
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return write


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty stories, prepared."""
    root = tmp_path_factory.mktemp("stories")
    for number in range(30):
        (root / f"{number:02}.txt").write_text(tell(number))
    out = tmp_path_factory.mktemp("prepared") / "data"
    prepare([Source(str(root))], out, progress=Silent())
    return out


@pytest.fixture(scope="session")
def shards(
    data_folder: Path, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> ShardSet:
    return write_shards(
        data_folder, tokenizer, tmp_path_factory.mktemp("shards") / "shards", progress=Silent()
    )
