"""Attention and embeddings over a training run: two pictures of a model, the same at every kept
step (the snapshots of the run or, where it has fewer than two, its checkpoints).

Attention: the heads with the clearest patterns at the *last* step, and their scores for these
patterns from the first step on. Embeddings: rows of the embedding table as points. At every step
the axes are the two principal components of the last step and the origin is its mean, so that a
point moves only if its row changes. The tokens are of four groups defined by their spelling, which
the model never sees; `apart` is the share of the rows' variance, in all C dimensions, that is
between the groups: eta^2 = sum_g n_g |mean_g - mean|^2 / sum_i |row_i - mean|^2
"""

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from groundup.device import Compute
from groundup.errors import DataError, FormatError
from groundup.files import verify_folder
from groundup.lab.attention import (
    DECIMALS,
    attention_maps,
    clearest_heads,
    pattern_scores,
    patterns,
    round_matrix,
)
from groundup.lab.stream import ids_of, require_tokenizer
from groundup.lab.tokens import beginning, pieces_of, token_text
from groundup.lab.values import (
    AttentionFilm,
    AttentionFrame,
    EmbeddingsFilm,
    EmbeddingsFrame,
    FilmToken,
)
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder, read_lines, step_folders
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model
from groundup.weights.hf import WEIGHTS_FILE
from groundup.weights.model_io import OpenModel, open_model
from groundup.weights.safetensors_header import read_header

# Most tokens along an axis of a frame that can be read.
FILM_TOKENS = 14
MIN_TOKENS = 3
GROUP_TOKENS = 16
# Shorter ones are mostly intermediate merges, which rarely occur.
MIN_LETTERS = 3
AVERAGED_STEPS = 8
STEPS = (
    "{count} steps of one training run, denser at its beginning. Training loss: the mean of up to "
    "{averaged} steps."
)
GROUPS = WORDS, CAPITALS, PIECES, MARKS = "words", "with a capital", "parts of words", "marks"
MIN_STEPS = 2
HOW = (
    "Train one that keeps them: groundup pretrain TEXTS --out RUN --set "
    "fit.checkpoints.snapshots=16"
)


def attention_film(
    opened: OpenModel, text: str, *, progress: Progress | None = None
) -> AttentionFilm:
    """The clearest heads at every kept step of a model's training run, on the beginning of a text.

    Raises DataError (no run, fewer than two steps that can be read, a text of fewer than three
    tokens), ModelError (no tokenizer).
    """
    tokenizer = require_tokenizer(opened.tokenizer)
    shown = beginning(tokenizer, text, min(FILM_TOKENS, opened.config.context_tokens - 1))
    ids = ids_of(opened.model, tokenizer, shown, fewest=MIN_TOKENS)
    maps = {
        step: attention_maps(model, ids)
        for step, model in kept_models(opened, progress or Silent())
    }
    found, places = clearest_heads(maps[max(maps)], ids), patterns(ids)
    losses = _training_losses(opened, list(maps))
    frames: list[AttentionFrame] = [
        {
            "step": step,
            "training_loss": losses[step],
            "scores": [
                round(float(pattern_scores(of_step, places[kind])[layer, head]), DECIMALS)
                for kind, layer, head, _ in found
            ],
            "weights": [round_matrix(of_step[layer, head]) for _, layer, head, _ in found],
        }
        for step, of_step in maps.items()
    ]
    caption = (
        "The heads with the clearest patterns after the last step, on one text, and the "
        "share of their attention that follows the pattern. "
        f"{STEPS.format(count=len(frames), averaged=AVERAGED_STEPS)}"
    )
    return {
        "text": shown,
        "pieces": pieces_of(tokenizer, ids),
        "heads": [
            {"block": layer + 1, "head": head + 1, "kind": kind} for kind, layer, head, _ in found
        ],
        "frames": frames,
        "caption": caption,
    }


def embeddings_film(opened: OpenModel, *, progress: Progress | None = None) -> EmbeddingsFilm:
    """Tokens of four groups on one plane at every kept step of a model's training run.

    Raises DataError (no run, fewer than two steps that can be read, a vocabulary without words),
    ModelError (no tokenizer).
    """
    tokens = map_tokens(require_tokenizer(opened.tokenizer))
    ids = torch.tensor([token["id"] for token in tokens])
    groups = [token["group"] for token in tokens]
    rows = {
        step: model.transformer.embedding.weight.detach()[ids].float().cpu()
        for step, model in kept_models(opened, progress or Silent())
    }
    last = rows[max(rows)]
    origin = last.mean(dim=0)
    _, spread, directions = torch.linalg.svd(last - origin, full_matrices=False)  # X = U S V^T
    explained = float(spread[:2].square().sum() / spread.square().sum().clamp(min=1e-12))
    losses = _training_losses(opened, list(rows))
    frames: list[EmbeddingsFrame] = [
        {
            "step": step,
            "training_loss": losses[step],
            "apart": round(apart(of_step, groups), DECIMALS),
            "places": round_matrix((of_step - origin) @ directions[:2].T),  # [n, C] [C, 2]
        }
        for step, of_step in rows.items()
    ]
    chance = (len(set(groups)) - 1) / (len(tokens) - 1)
    caption = (
        f"{len(tokens)} rows of {last.shape[1]} numbers of the embedding table on the first "
        "two principal components of the last step, the same axes at every step "
        f"({100 * explained:.0f} % of the last step's variance). Apart: the share of the "
        f"rows' variance, in all dimensions, that is between the groups; {100 * chance:.0f} % "
        f"by chance. {STEPS.format(count=len(frames), averaged=AVERAGED_STEPS)}"
    )
    return {
        "tokens": tokens,
        "explained": round(explained, DECIMALS),
        "frames": frames,
        "caption": caption,
    }


def map_tokens(tokenizer: Tokenizer) -> list[FilmToken]:
    """Return up to 16 tokens of each group, the first of the vocabulary: earlier merges are more
    frequent.

    Raises DataError where there are fewer than three.
    """
    control = set(tokenizer.special.tokens.values())
    found: dict[str, list[FilmToken]] = {name: [] for name in GROUPS}
    for id in range(tokenizer.vocab_size):
        text = token_text(tokenizer, id)
        group = group_of(text)
        if group and id not in control and len(found[group]) < GROUP_TOKENS:
            found[group].append({"id": id, "text": text, "group": group})
    tokens = [token for group in found.values() for token in group]
    if len(tokens) < MIN_TOKENS:
        raise DataError(
            f"A map needs at least {MIN_TOKENS} tokens, "
            f"the vocabulary has {len(tokens)} that can be shown."
        )
    return tokens


def group_of(text: str) -> str:
    """The group of a token by its spelling; "" for one of no group, such as a single letter.

    >>> group_of(" the"), group_of("The"), group_of("ing"), group_of(",")
    ('words', 'with a capital', 'parts of words', 'marks')"""
    word = text.strip()
    if word and all(mark in ".,;:!?'\"-()" for mark in word):
        return MARKS
    if not word.isalpha() or len(word) < MIN_LETTERS or text not in (word, f" {word}"):
        return ""
    if word != word.lower():
        return CAPITALS
    if text.startswith(" "):
        return WORDS
    return PIECES


def apart(rows: Float[Tensor, "n C"], groups: Sequence[str]) -> float:
    """The share of the rows' variance that is between their groups (eta^2); 0 where all rows are
    equal.
    """
    centred = rows - rows.mean(dim=0)
    total, between = float(centred.square().sum()), 0.0
    if total <= 0:
        return 0.0
    for group in dict.fromkeys(groups):
        members = centred[[name == group for name in groups]]
        between += len(members) * float(members.mean(dim=0).square().sum())
    return between / total


def _training_losses(opened: OpenModel, steps: Sequence[int]) -> dict[int, float | None]:
    """The training loss at each step, a mean of up to `AVERAGED_STEPS` (None where the log has
    none).

    Not the validation loss, which is measured at a few steps only.
    """
    losses = {}
    for line in read_lines(RunFolder(opened.path).metrics_file):
        step, loss = line.get("step"), line.get("loss")
        if "event" not in line and isinstance(step, int) and isinstance(loss, int | float):
            losses[step] = float(loss)
    found: dict[int, float | None] = dict.fromkeys(steps)
    for step in steps:
        # Line n of the log was measured before update n, with the weights of step n - 1.
        lines = range(step + 2 - AVERAGED_STEPS, step + 2)
        near = [losses[line] for line in lines if line in losses]
        if near:
            found[step] = round(sum(near) / len(near), DECIMALS)
    return found


def kept_steps(opened: OpenModel) -> list[tuple[int, Path]]:
    """Return step and folder of each snapshot or checkpoint of a model's run.

    Raises DataError where there are fewer than two.
    """
    run = RunFolder(opened.path)
    if not run.run_file.is_file():
        raise DataError(
            f"{opened.path.name} is not from a training run, so it has no earlier steps.", fix=HOW
        )
    snapshots, checkpoints = step_folders(run.snapshots), []
    if run.read_run().get("kind") == "pretrain":  # checkpoints of a fine-tuning run are partial
        checkpoints = step_folders(run.checkpoints)
    for found in (snapshots, checkpoints):
        if len(found) >= MIN_STEPS:
            return found
    raise DataError(
        f"The run {opened.path.name} kept {len(snapshots)} snapshots and {len(checkpoints)} "
        f"checkpoints; a film needs at least {MIN_STEPS} of them.",
        fix=HOW,
    )


def kept_models(opened: OpenModel, progress: Progress) -> Iterator[tuple[int, Model]]:
    """Yield each kept step and the model at it, oldest first, one in memory at a time.

    Raises DataError where fewer than two can be read.
    """
    found = kept_steps(opened)
    held = 0
    with progress.track("film", len(found), "steps") as advance:
        for step, folder in found:
            try:
                model = _read(opened, folder)
            except FormatError as error:
                progress.say(f"Step {step} is skipped: {error.message}.")
            else:
                held += 1
                yield step, model
            advance(1, f"step {step}")
    if held < MIN_STEPS:
        raise DataError(
            f"Only {held} of the {len(found)} steps that {opened.path.name} kept can be read.",
            fix=HOW,
        )


def _read(opened: OpenModel, folder: Path) -> Model:
    """Read a snapshot (a model folder) or a checkpoint (the trained weights).

    Raises FormatError.
    """
    if folder.parent == RunFolder(opened.path).snapshots:
        model = open_model(folder, Compute(opened.model.transformer.embedding.weight.device)).model
        if model.config != opened.config:
            raise FormatError(folder, "config.json", "is another model's")
        return model
    verify_folder(folder)
    file, model = folder / WEIGHTS_FILE, copy.deepcopy(opened.model)
    read_header(file)
    try:
        model.load_state_dict(load_file(file))
    except (SafetensorError, RuntimeError) as error:
        raise FormatError(file, "tensors", "are not those of the whole model") from error
    return model
