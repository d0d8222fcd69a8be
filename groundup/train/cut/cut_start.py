"""The folder that a run on a cut model starts from: RUN/cut, a Hugging Face folder with cut.json.

    source, own tokenizer, shards, shape -> importance on a sample of the shards' text -> RUN/cut

A run that resumes finds it as it was, and goes on from its checkpoints.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from groundup.config import to_plain
from groundup.data.batches.shards import ShardSet
from groundup.data.split import TRAIN
from groundup.device import Compute
from groundup.errors import FormatError
from groundup.evaluate.task import language_model
from groundup.files import atomic_folder, read_json_object, verify_folder, write_json
from groundup.model.config import ModelConfig
from groundup.model.sizes import parameter_count
from groundup.progress import Progress
from groundup.tokenizer.fast import Tokenizer
from groundup.train.cut.cut import cut_model, require_cuttable
from groundup.train.cut.importance import measure_importance
from groundup.train.cut.vocabulary import token_pieces
from groundup.train.starting_model import PREFER, StartingModel, starting_model
from groundup.weights.card import ModelCard
from groundup.weights.model_io import open_model, save_model

CUT_FOLDER, RECORD = "cut", "cut.json"
VERSION = 1
# A pass of 135 million parameters over these takes 3.5 s of one core; four times as many choose the
# same blocks, 96 % of the heads and 89 % of the units (docs/log.md).
SAMPLED_ROWS, ROW_TOKENS = 8, 128
# Tokens at the start of the training split, in which own tokens are counted.
COUNTED_TOKENS = 4_000_000


def cut_start(
    source: StartingModel,
    shape: ModelConfig,
    shards: ShardSet,
    tokenizer: Tokenizer,
    folder: Path,
    progress: Progress,
) -> StartingModel:
    """Cut `source` to `shape` (as of `cut.cut_shape`) in `folder`, unless it is there. Raises
    ConfigError where it can't be cut, DiskError.
    """
    key = {
        "version": VERSION,
        "source": source.plain(),
        "shape": to_plain(shape),
        "tokenizer": tokenizer.fingerprint,
        "shards": shards.fingerprint,
    }
    if not _is_there(folder, key):
        _make(source, shape, shards, tokenizer, folder, key, progress)
    return cut_in(folder, source)


def cut_in(folder: Path, source: StartingModel) -> StartingModel:
    """The model that was cut from `source` in this folder."""
    return replace(starting_model(folder), cut_from=source.address, license=source.license)


def cut_card(
    name: str, source: StartingModel, texts: tuple[tuple[str, str], ...] = ()
) -> ModelCard:
    """Licence and lineage are those of the source."""
    summary = (
        f"Cut from {source.base}, by what is important on its texts, with a vocabulary of its own, "
        "and trained on them."
    )
    return ModelCard(name, summary, texts, base=source.base, license=source.license)


def _is_there(folder: Path, key: dict[str, Any]) -> bool:
    with suppress(FormatError):
        verify_folder(folder)
        return read_json_object(folder / RECORD)["key"] == key
    return False


def _make(
    source: StartingModel,
    shape: ModelConfig,
    shards: ShardSet,
    tokenizer: Tokenizer,
    folder: Path,
    key: dict[str, Any],
    progress: Progress,
) -> None:
    require_cuttable(source.config, source.name)
    pieces = token_pieces(tokenizer, source.tokenizer)
    progress.say(
        f"Cutting {source.name} to {parameter_count(shape).total:,} parameters by what is "
        "important on the texts."
    )
    opened = open_model(source.name, Compute(torch.device("cpu")), prefer=PREFER)
    model, _ = language_model(opened)
    rows = list(sample_rows(shards, tokenizer, source))
    importance = measure_importance(model, rows)
    tokens = np.asarray(shards.tokens(TRAIN)[:COUNTED_TOKENS])
    counts = torch.from_numpy(np.bincount(tokens, minlength=tokenizer.vocab_size))
    made, parts = cut_model(model, shape, importance, pieces, counts)
    card = replace(
        cut_card(folder.resolve().parent.name, source),
        summary=f"Cut from {source.name}, not trained since.",
    )
    with atomic_folder(folder) as temporary:
        save_model(made, temporary, tokenizer, card=card)
        write_json(temporary / RECORD, {"key": key, "parts": asdict(parts)})


def sample_rows(
    shards: ShardSet, own: Tokenizer, source: StartingModel
) -> Iterator[Int[Tensor, " T"]]:
    """Rows of training text, evenly spread, in the source's ids."""
    tokens, length = shards.tokens(TRAIN), min(ROW_TOKENS, source.config.context_tokens)
    starts = np.linspace(0, max(0, len(tokens) - ROW_TOKENS), SAMPLED_ROWS).astype(int)
    for start in sorted(set(starts.tolist())):
        text = own.decode(tokens[start : start + ROW_TOKENS].tolist(), skip_control=True)
        ids = source.tokenizer.encode(text)[:length]
        if ids:
            yield torch.tensor(ids)
