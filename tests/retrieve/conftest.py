"""A folder of documents, and an index of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from groundup.data.reading.source_files import Source
from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.progress import Silent
from groundup.retrieve.index import Index
from groundup.retrieve.update import UpdateReport, update_index
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.model_io import open_model, save_model

BOILER = """# Boiler PX-20

## Cleaning

Clean the filter every 6 months. Use warm water only.

## Warranty

The warranty lasts 24 months from the day of purchase. Dr. Ada Lovelace signed it on 3 May 2021.
"""
HOSTEL = "The hostel in Straßburg closes at 23:00. Flights to Oslo leave from gate 12.\n\nBreakfast costs 9 euros.\n"
Update = Callable[..., UpdateReport]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "boiler.md").write_text(BOILER)
    (folder / "hostel.txt").write_text(HOSTEL)
    return folder


@pytest.fixture
def update(tmp_path: Path, docs: Path) -> Update:
    """Bring the index of `docs` up to date."""
    return lambda *sources: update_index(
        tmp_path / "index", [Source(str(each)) for each in sources or (docs,)], progress=Silent()
    )


@pytest.fixture
def index(tmp_path: Path, update: Update) -> Iterator[Index]:
    update()
    with Index(tmp_path / "index") as opened:
        yield opened


@pytest.fixture(scope="session")
def compute() -> Compute:
    return Compute(torch.device("cpu"))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, compute: Compute) -> Engine:
    """A tiny model with random weights: it writes nonsense, which is what the checks are for."""
    tokenizer = train_tokenizer([(BOILER + HOSTEL + 'It says "so". ') * 5], 500)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        context_tokens=1024,
        width=32,
        num_layers=1,
        num_heads=2,
        feedforward_width=64,
    )
    model = LanguageModel(config)
    initialise(model, torch.Generator().manual_seed(1))
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_model(model.eval(), folder, tokenizer)
    return Engine(open_model(folder, compute), compute)
