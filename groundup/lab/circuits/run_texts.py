"""Rows of the texts that a model was trained on, for what is looked at on many texts."""

import torch

from groundup.data.preparation.trained_on import data_folder
from groundup.data.split import TRAIN, DocumentFile, split_file
from groundup.device import generator
from groundup.lab.stream import begin_id
from groundup.progress import Progress, Silent
from groundup.weights.model_io import OpenModel

# Of a longer file only the beginning is read.
MAX_CHARACTERS = 20_000_000
# Of a document at once: a token has about four characters, hardly ever more than ten.
CHARACTERS_PER_TOKEN = 10


def run_rows(
    opened: OpenModel,
    count: int,
    tokens: int,
    *,
    split: str = TRAIN,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[list[int]]:
    """Return `count` rows of `tokens` ids, each the token that begins a document and then a passage
    from a random place of the run's texts; [] where these are gone, fewer where they are short.

    Raises ModelError without a tokenizer, FormatError.
    """
    folder, tokenizer = data_folder(opened.path), opened.require_tokenizer()
    if folder is None or not split_file(folder, split).is_file():
        return []
    texts, read = [], 0
    with DocumentFile(split_file(folder, split)) as documents:
        for batch in documents.batches("reading texts", progress or Silent()):
            texts += [document.text for document in batch]
            read += sum(len(document.text) for document in batch)
            if read > MAX_CHARACTERS:
                break
    lengths = torch.tensor([len(text) for text in texts], dtype=torch.float64)
    if not int(lengths.sum()):
        return []
    draw = generator(seed, f"{split} rows")
    places = lengths.cumsum(0) / lengths.sum()
    chosen = torch.searchsorted(places, torch.rand(2 * count, generator=draw, dtype=torch.float64))
    starts = torch.rand(2 * count, generator=draw, dtype=torch.float64)
    rows: list[list[int]] = []
    for number, share in zip(chosen.tolist(), starts.tolist(), strict=True):
        if len(rows) == count:
            break
        text = texts[number]
        start = int(share * len(text))
        part = text[start : start + tokens * CHARACTERS_PER_TOKEN]
        ids = tokenizer.encode(part)[1:tokens]  # the first may begin inside a word
        if len(ids) == tokens - 1:
            rows.append([begin_id(tokenizer), *ids])
    return rows
