"""`finetune_encoder`: an encoder of sentences is tuned on pairs of texts, or on documents."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.api.training import card_of
from groundup.config import checked_arguments
from groundup.data.reading.data import Data, as_data
from groundup.finetune.config import EncoderConfig
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder

if TYPE_CHECKING:
    from groundup.finetune.encoder import EncoderResults
    from groundup.finetune.encoder_examples import EncoderExamples

AnyPath = str | Path


@checked_arguments
def finetune_encoder(
    model: AnyPath,
    data: AnyPath | Data,
    out: AnyPath,
    config: EncoderConfig = EncoderConfig(),
    *,
    device: str = "auto",
    fixed_choices: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
) -> "EncoderResults":
    """Tune an encoder of sentences on pairs of texts, or on documents (or an index's folder). Return
    what results.json holds.

    A row has two texts that belong together, and may have texts that do not fit; `Data.columns`
    names them (anchor, positive, negative) where they are not recognised. The folder is a whole
    encoder, for `index`, `embed` and sentence-transformers. Raises ConfigError, DataError,
    ModelError, NetworkError.

    >>> config = groundup.EncoderConfig(epochs=1)
    >>> results = groundup.finetune_encoder("encoder", "answers.jsonl", "runs/near", config)
    >>> sorted(results.recall)
    ['after', 'before', 'difference']
    """
    from groundup.device import select_compute
    from groundup.finetune.encoder import fit_encoder, require_encoder
    from groundup.finetune.time_limit import TimeLimit
    from groundup.train.run_lifecycle import claim_folder
    from groundup.weights.model_io import open_model, require_model

    limit = TimeLimit.of(config.budget)
    compute = select_compute(device, fixed_choices=fixed_choices)
    progress, run, data = progress or Silent(), RunFolder(Path(out)), as_data(data)
    require_model(model)
    examples = _encoder_examples(data, run, config, progress)
    examples.sides(config.seed)
    claim_folder(run, kind="encoder", fresh=fresh)
    opened = open_model(model, compute, progress=progress)
    require_encoder(opened)
    card = card_of(run, "Vectors of sentences, tuned on pairs.", data, model, opened.license)
    card = replace(
        card,
        task="sentence-similarity",
        library="sentence-transformers",
        use="Search, duplicates and classes of texts like those it was tuned on.",
        limits="What is near is alike, not true; texts of other kinds may be further apart than "
        "with the base model.",
    )
    return fit_encoder(
        opened, examples, run, config, compute=compute, progress=progress, card=card, limit=limit
    )


def _encoder_examples(
    data: Data, run: RunFolder, config: EncoderConfig, progress: Progress
) -> "EncoderExamples":
    """Pairs where all files have rows, else questions made from documents."""
    from groundup.api.questions import index_of
    from groundup.data.reading.examples import has_rows, read_pairs
    from groundup.finetune.encoder_examples import examples_of_pairs, examples_of_passages
    from groundup.retrieve.index import INDEX_FILE
    from groundup.retrieve.made_questions import passages_of

    if not (Path(data.path) / INDEX_FILE).is_file() and has_rows(data):
        return examples_of_pairs(read_pairs(data, progress=progress))
    with index_of(data, run.path, "words", "cpu", progress) as index:
        passages = list(passages_of(index))
    found = examples_of_passages(passages, config.seed)
    progress.say(
        f"{data.path}: documents without labels; {len(found.questions):,} questions are made of "
        f"{len(passages):,} passages."
    )
    return found
