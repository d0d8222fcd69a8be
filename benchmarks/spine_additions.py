"""What safety and bookkeeping cost: fit() over a bare loop, its parts over one step, and opening a model with every hash checked.

In the rows of parts the ratio is the part's share of one training step (0.01: a hundredth; 2: as long as two steps).
"""

import itertools
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from measure import Contender, Row, compare
from peers import load_transformers, pulled_model
from spine_training import BATCH_SIZE, OURS, SHAPES, make_step, new_model, plain_step, repeat
from texts import read_texts
from transformers import AutoTokenizer

from groundup.data.batches.loader import Windows
from groundup.data.batches.shards import write_shards
from groundup.data.preparation.pipeline import prepare
from groundup.data.reading.source_files import Source
from groundup.data.split import TRAIN
from groundup.device import Compute
from groundup.files import known_hashes, verify_folder, write_manifest
from groundup.progress import Silent
from groundup.runs import LineLog, RunFolder
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer, train_tokenizer
from groundup.train.checkpoint.state import Retention, TrainState, save_checkpoint
from groundup.train.checkpoint.tensors import optimizer_tensors, random_states, weight_tensors
from groundup.train.loop import fit
from groundup.train.steps.config import FitConfig
from groundup.train.steps.losses import next_token_loss
from groundup.weights.model_io import open_model, save_model

TITLE = "what fit() and open_model() add; quickstart's text and shape, float32"
COMPUTE = Compute(torch.device("cpu"))
CONFIG = SHAPES["quickstart"]
# Calls in a row, of work that is over before a clock can tell.
CALLS = 100
NUMBERS = {
    "step": 1000,
    "tokens": 1024000,
    "loss": 3.14159,
    "learning_rate": 0.003,
    "grad_norm": 0.7071,
}
LOG_LINE = {**NUMBERS, "tokens_per_s": 16000.1, "elapsed_s": 61.3}


def rows(quick: bool) -> list[Row]:
    """Training first, then opening."""
    rounds = 2 if quick else 5
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        windows, tokenizer = prepared(read_texts(quick), folder)
        found = [
            *training(windows, folder, 5 if quick else 80, rounds),
            *parts(windows, folder, rounds),
        ]
        save_model(new_model(SHAPES["10M"]), folder / "model", tokenizer)
        write_manifest(folder / "model")
        found += opening("10M", folder / "model", rounds)
    pulled = None if quick else pulled_model()
    return found if pulled is None else found + opening("SmolLM2-135M", pulled, rounds)


def prepared(texts: list[str], folder: Path) -> tuple[Windows, Tokenizer]:
    """Texts through the stages data and tokenizer."""
    (folder / "texts").mkdir()
    for number, text in enumerate(texts):
        (folder / "texts" / f"{number:04}.txt").write_text(text)
    prepare([Source(str(folder / "texts"))], folder / "data", progress=Silent())
    tokenizer = train_tokenizer(texts, CONFIG.vocab_size)
    shards = write_shards(folder / "data", tokenizer, folder / "shards", progress=Silent())
    return Windows(shards, TRAIN, CONFIG.context_tokens, BATCH_SIZE, seed=0), tokenizer


def training(windows: Windows, folder: Path, steps: int, rounds: int) -> list[Row]:
    """The same model, batches and optimizer; fit() also reads the shards, writes its log and, at its end, one checkpoint."""
    tokens = steps * BATCH_SIZE * CONFIG.context_tokens
    contenders = [
        Contender("fit()", fit_once(windows, folder, steps), tokens),
        Contender("bare loop, batches in memory", bare_loop(windows, steps), tokens),
    ]
    return compare(f"{steps} steps with one checkpoint", "tokens/s", contenders, rounds=rounds)


def fit_once(windows: Windows, folder: Path, steps: int) -> Callable[[], object]:
    """A new run at each call."""
    config = FitConfig(steps, batch_size=BATCH_SIZE, precision="float32", evaluate_every=steps)
    model, numbers = new_model(CONFIG), itertools.count()
    return lambda: fit(
        model,
        windows,
        next_token_loss,
        config,
        RunFolder(folder / f"run-{next(numbers)}"),
        compute=COMPUTE,
    )


def bare_loop(windows: Windows, steps: int) -> Callable[[], object]:
    """Nothing but the steps."""
    batches = [windows.batch(position) for position in range(steps)]

    def run() -> None:
        for step in every:
            step()

    model = new_model(CONFIG)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    every = [
        plain_step(model, partial(model, batch.ids), batch.labels, optimizer) for batch in batches
    ]
    return run


def parts(windows: Windows, folder: Path, rounds: int) -> list[Row]:
    """What fit() does beside the step: a batch and a line at each, a checkpoint now and then."""
    step = make_step(OURS, CONFIG, windows.batch(0))
    log, positions = LineLog(folder / "metrics.jsonl"), itertools.count()
    contenders = [
        Contender("training step", partial(repeat, step, 5), 5),
        Contender(
            "one batch from the loader",
            partial(repeat, lambda: windows.batch(next(positions)), CALLS),
            CALLS,
        ),
        Contender(
            "one line of metrics.jsonl", partial(repeat, lambda: log.append(LOG_LINE), CALLS), CALLS
        ),
        Contender("one checkpoint, read back", checkpoint(folder / "checkpoints")),
    ]
    found = compare("parts of fit()", "ms", contenders, rounds=rounds)
    log.close()
    return found


def checkpoint(folder: Path) -> Callable[[], object]:
    """Weights, AdamW's moments and random states: written, synced, hashed, read back."""
    model = new_model(CONFIG)
    optimizer = FitConfig(1).optimizer.build(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    tensors = {**optimizer_tensors(model, optimizer), **random_states(COMPUTE.device)}
    numbers = itertools.count()
    return lambda: save_checkpoint(
        folder, TrainState("", next(numbers)), weight_tensors(model), tensors, Retention(2)
    )


def opening(name: str, folder: Path, rounds: int) -> list[Row]:
    """Files in the page cache; each gives the logits of one token, so that weights which are only mapped must be read too."""
    ids = torch.zeros(1, 1, dtype=torch.long)
    assert (folder / TOKENIZER_FILE).is_file()

    def ours() -> None:
        known_hashes.clear()  # as in a new process
        open_model(folder, COMPUTE).model(ids)

    def check() -> None:
        known_hashes.clear()
        verify_folder(folder)

    def theirs() -> None:
        AutoTokenizer.from_pretrained(folder)
        load_transformers(folder, torch.float32)(input_ids=ids)

    contenders = [
        Contender("groundup open_model", ours),
        Contender("its check of every hash, alone", check),
        Contender("its tokenizer, alone", lambda: Tokenizer.load(folder)),
        Contender("transformers from_pretrained", theirs),
    ]
    with torch.no_grad():
        return compare(f"opening {name}, with tokenizer", "s", contenders, rounds=rounds)
