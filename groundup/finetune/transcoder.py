"""Training of a sparse transcoder (`lab/circuits/transcoder.py`) on the texts that its model was
trained on, within some minutes.

    rows of texts -> the frozen model -> what the block's network reads and gives -> fit()

    loss = |y - y'|^2 / variance of y  +  1/32 |e - e'|^2 / variance of y

The second term keeps features alive (AuxK of Gao et al. 2024, appendix A.2): e is y - y', and e'
what the features that no token of the batch has would write of it. It looks at this batch alone,
so that a resumed run is that of no stop. The folder is a run folder with checkpoints until
transcoder.json, its card, is written
"""

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from groundup.data.split import VALIDATION
from groundup.device import Compute, generator
from groundup.errors import ConfigError, DataError, require
from groundup.files import sha256_text
from groundup.lab.circuits.run_texts import run_rows
from groundup.lab.circuits.transcoder import (
    CARD_FILE,
    Replace,
    Transcoder,
    TranscoderCard,
    read_card,
    replaced,
    save_transcoder,
    weights_sha256,
)
from groundup.lab.stream import block_index, require_language_model
from groundup.model.heads import LanguageModel
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder
from groundup.train.loop import FitResult, fit
from groundup.train.monitor.callbacks import BEST_BY, Hooks
from groundup.train.monitor.time_budget import StepControl, TimeBudget
from groundup.train.optimizers.adamw import AdamW
from groundup.train.run_lifecycle import load_best
from groundup.train.steps.config import FitConfig, Schedule
from groundup.train.steps.precision import StepClock, measure_steps
from groundup.train.steps.step import LossSum
from groundup.weights.model_io import OpenModel

KIND = "transcoder"
# Of the rows: tokens, how many are drawn, how many a batch has, how many are held out.
ROW_TOKENS, TRAIN_ROWS, BATCH_ROWS, HELD_OUT_ROWS = 64, 8_000, 16, 128
# Of the tokens of a batch that begin the features, and of batches that are read for means.
SAMPLE_BATCHES = 8
# Best of 3e-3 and 6e-3 after 15 s (docs/log.md).
LEARNING_RATE = 6e-3
AUXILIARY_WEIGHT, AUXILIARY_FEATURES = 1 / 32, 64
# Of the minutes: what is measured before and after, and the page.
TRAINING_SHARE = 0.8
EVALUATIONS, MEASURED_S = 4, 1.0
LEAST_MINUTES = 0.05


@dataclass(frozen=True)
class TranscoderConfig:
    """Raises ConfigError."""

    block: int | None = None
    """Whose feed-forward network, from 1; None: the one that the model misses most."""
    minutes: float = 5.0
    features_per_width: int = 8
    """Features for each number of the model's width."""
    active: int = 16
    """Features at a token."""
    seed: int = 0

    def __post_init__(self) -> None:
        expected = f"{LEAST_MINUTES} to 1,440"
        require(LEAST_MINUTES <= self.minutes <= 1440, "minutes", self.minutes, expected)
        require(
            1 <= self.features_per_width <= 64,
            "features_per_width",
            self.features_per_width,
            "1 to 64",
        )
        require(1 <= self.active <= 256, "active", self.active, "1 to 256")


@dataclass(frozen=True)
class NetworkBatch:
    """What a feed-forward network read and gave at the tokens of some rows."""

    inputs: Float[Tensor, "N C"]
    outputs: Float[Tensor, "N C"]
    variance: Float[Tensor, ""]
    """Of the outputs, summed over their numbers: over all texts."""


class NetworkBatches:
    """Rows in a random order, epoch after epoch, as a frozen model's network reads them."""

    def __init__(
        self, model: LanguageModel, block: int, rows: Int[Tensor, "R T"], *, seed: int
    ) -> None:
        self._model, self._block, self._rows, self._seed = model, block, rows, seed
        self._variance = torch.ones(())
        self.fingerprint = sha256_text(f"{weights_sha256(model)} {block} {seed} {rows.tolist()}")
        sample = [self.batch(position) for position in range(SAMPLE_BATCHES)]
        self.inputs = torch.cat([batch.inputs for batch in sample])
        self.outputs = torch.cat([batch.outputs for batch in sample])
        self.mean = self.outputs.mean(dim=0)
        self._variance = (self.outputs - self.mean).square().sum(dim=1).mean()

    @property
    def tokens(self) -> int:
        """Of a batch."""
        return min(BATCH_ROWS, len(self._rows)) * (self._rows.shape[1] - 1)

    def batch(self, position: int) -> NetworkBatch:
        per_epoch = max(1, len(self._rows) // BATCH_ROWS)
        epoch, place = divmod(position, per_epoch)
        order = torch.randperm(
            len(self._rows), generator=generator(self._seed, f"order of epoch {epoch}")
        )
        chosen = order[place * BATCH_ROWS : (place + 1) * BATCH_ROWS]
        return NetworkBatch(
            *network_values(self._model, self._block, self._rows[chosen]), self._variance
        )


@torch.no_grad()
def network_values(
    model: LanguageModel, block: int, rows: Int[Tensor, "R T"]
) -> tuple[Float[Tensor, "N C"], Float[Tensor, "N C"]]:
    """What the feed-forward network of a block reads and gives at all tokens but the first ones."""
    seen: list[Tensor] = []

    def keep(inputs: Tensor, output: Tensor) -> Tensor:
        seen.extend([inputs[:, 1:].flatten(0, 1).float(), output[:, 1:].flatten(0, 1).float()])
        return output

    with replaced(model, block, keep):
        model.transformer(rows.to(model.transformer.embedding.weight.device))
    return seen[0], seen[1]


def transcoder_loss(model: nn.Module, batch: NetworkBatch) -> LossSum:
    """The share of the variance that is not explained and the auxiliary term, over all tokens."""
    assert isinstance(model, Transcoder)
    features, output = model(batch.inputs)
    error = batch.outputs - output
    total = error.square().sum() / batch.variance
    unused = ~(features > 0).any(dim=0)
    count = min(AUXILIARY_FEATURES, int(unused.sum()))
    if count:
        scores = model.encoder(batch.inputs).masked_fill(~unused, -torch.inf)
        values, places = scores.topk(count, dim=-1)
        others = torch.zeros_like(scores).scatter(-1, places, values.relu())
        left = error.detach() - others @ model.directions
        total = total + AUXILIARY_WEIGHT * left.square().sum() / batch.variance
    return LossSum(total, len(batch.inputs))


def train_transcoder(
    opened: OpenModel,
    folder: Path,
    config: TranscoderConfig = TranscoderConfig(),
    *,
    compute: Compute,
    progress: Progress | None = None,
) -> TranscoderCard:
    """Train a transcoder of a model into `folder`, or go on where it was stopped; a finished one of
    the same model and config is returned as it is.

    Raises ConfigError (another one in the folder), DataError (the texts are gone), ModelError (no
    language model, no such block), DiskError, and KeyboardInterrupt after saving.
    """
    model, said = require_language_model(opened.model).eval(), progress or Silent()
    if config.block is not None:
        block_index(model, config.block)
    identity = {**asdict(config), "model_sha256": weights_sha256(model)}
    run = RunFolder(folder)
    if run.run_file.exists():
        _require_same(run, identity)
        if (folder / CARD_FILE).exists():
            said.say(f"{folder} has it already.")
            return read_card(folder)
    rows = _rows(opened, said)
    held_out = torch.tensor(
        run_rows(opened, HELD_OUT_ROWS, rows.shape[1], split=VALIDATION)
        or rows[:HELD_OUT_ROWS].tolist()
    )
    if not run.run_file.exists():
        run.create(KIND, identity, {"model": str(opened.path)})
    block = config.block or _most_needed(model, rows, held_out, said)
    batches = NetworkBatches(model, block, rows, seed=config.seed)
    width = model.config.width
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        transcoder = Transcoder(width, config.features_per_width * width, min(config.active, width))
    transcoder.begin(batches.inputs, batches.outputs)
    fitted = _fit(
        transcoder.to(compute.device), batches, (model, block, held_out), run, config, compute, said
    )
    card = _measured(transcoder.eval(), batches, (model, block, held_out), fitted, identity)
    save_transcoder(transcoder, card, folder)
    shutil.rmtree(run.checkpoints, ignore_errors=True)
    return card


def _require_same(run: RunFolder, identity: dict[str, Any]) -> None:
    before = run.read_run()
    if before.get("kind") != KIND or before.get("config") != identity:
        raise ConfigError(
            f"{run.path} holds another run: another model, block, number of minutes or features.",
            fix="Name another place, or remove the folder.",
        )


def _rows(opened: OpenModel, progress: Progress) -> Int[Tensor, "R T"]:
    """Raises DataError."""
    tokens = min(ROW_TOKENS, opened.config.context_tokens)
    rows = run_rows(opened, TRAIN_ROWS, tokens, progress=progress)
    if len(rows) < BATCH_ROWS:
        raise DataError(
            f"A transcoder is trained on the texts of its model's run, and those of {opened.path} "
            "are not there or too short.",
            fix="Use a pretraining run or a build that still has its data folder.",
        )
    return torch.tensor(rows)


Measured = tuple[LanguageModel, int, Tensor]
"""Model, block, held-out rows."""


@torch.no_grad()
def _loss(measured: Measured, change: Replace | None = None) -> float:
    """Nats per token of the held-out rows, with something else in place of the network's output at
    all tokens but the first.
    """
    model, block, rows = measured

    def put(inputs: Tensor, output: Tensor) -> Tensor:
        if change is None:
            return output
        return torch.cat([output[:, :1], change(inputs[:, 1:], output[:, 1:])], dim=1)

    losses = []
    with replaced(model, block, put):
        for batch in rows.to(model.transformer.embedding.weight.device).split(BATCH_ROWS):
            logits = model(batch)[:, :-1].float()
            losses.append(F.cross_entropy(logits.transpose(1, 2), batch[:, 1:], reduction="none"))
    return float(torch.cat(losses).mean())


def _constant(vector: Float[Tensor, " C"]) -> Replace:
    return lambda inputs, output: vector.to(output).expand_as(output)


def _most_needed(model: LanguageModel, rows: Tensor, held_out: Tensor, progress: Progress) -> int:
    """The block whose network's mean output costs most."""
    losses = []
    with progress.track("which block is needed most", model.config.num_layers, "blocks") as advance:
        for block in range(1, model.config.num_layers + 1):
            mean = network_values(model, block, rows[:BATCH_ROWS])[1].mean(dim=0)
            losses.append(_loss((model, block, held_out), _constant(mean)))
            advance(1, f"block {block}")
    block = 1 + losses.index(max(losses))
    progress.say(
        f"Block {block}: without its feed-forward network the model loses most "
        f"({_loss((model, block, held_out)):.2f} to {max(losses):.2f} nats per token)."
    )
    return block


def _fit(
    transcoder: Transcoder,
    batches: NetworkBatches,
    measured: Measured,
    run: RunFolder,
    config: TranscoderConfig,
    compute: Compute,
    progress: Progress,
) -> FitResult:
    def evaluate() -> dict[str, float]:
        return {BEST_BY: unexplained(transcoder, *network_values(*measured))}

    seconds = 60 * config.minutes * TRAINING_SHARE
    plan = run.read_plan()
    if plan is None:
        steps = planned_steps(transcoder, batches, seconds, compute)
        run.write_plan({"minutes": config.minutes}, model={}, fit={}, planned={"steps": steps})
    else:
        steps = int(plan["planned"]["steps"])
    control = StepControl(TimeBudget(seconds))
    hooks = Hooks(evaluate, best_by=BEST_BY, progress=progress, control=control)
    fit_config = _fit_config(steps, config.seed)
    fitted = fit(
        transcoder, batches, transcoder_loss, fit_config, run, compute=compute, hooks=hooks
    )
    load_best(transcoder, fitted, run, progress, "The variance that is not explained")
    return fitted


def planned_steps(
    transcoder: Transcoder, batches: NetworkBatches, seconds: float, compute: Compute
) -> int:
    """A quarter of those that there would be time for as measured: few can become many."""
    begun = time.perf_counter()
    batch = batches.batch(0)
    batch_s = time.perf_counter() - begun
    trial = _fit_config(1, 0)
    clock = StepClock(transcoder, [batch], transcoder_loss, trial, compute=compute)
    step_s = measure_steps(clock, [False], seconds=min(MEASURED_S, seconds / 10))[False]
    return max(EVALUATIONS, int(seconds / (batch_s + step_s) / 4))


def _fit_config(steps: int, seed: int) -> FitConfig:
    return FitConfig(
        steps,
        batch_size=BATCH_ROWS,
        precision="float32",
        compile="off",
        evaluate_every=-(-steps // EVALUATIONS),
        optimizer=AdamW(learning_rate=LEARNING_RATE, weight_decay=0.0),
        schedule=Schedule("wsd"),
        seed=seed,
    )


@torch.no_grad()
def unexplained(
    transcoder: Transcoder, inputs: Float[Tensor, "N C"], outputs: Float[Tensor, "N C"]
) -> float:
    """Share of the variance of the outputs: 0 all is explained, 1 as little as by their mean."""
    error = (outputs - transcoder(inputs)[1]).square().sum()
    return float(error / (outputs - outputs.mean(dim=0)).square().sum())


@torch.no_grad()
def _measured(
    transcoder: Transcoder,
    batches: NetworkBatches,
    measured: Measured,
    fitted: FitResult,
    identity: dict[str, Any],
) -> TranscoderCard:
    inputs, outputs = network_values(*measured)
    features = transcoder.features(inputs)
    return TranscoderCard(
        block=measured[1],
        width=inputs.shape[1],
        features=features.shape[1],
        active=transcoder.active,
        model_sha256=identity["model_sha256"],
        minutes=identity["minutes"],
        steps=fitted.steps,
        tokens=fitted.steps * batches.tokens,
        unexplained=round(unexplained(transcoder, inputs, outputs), 5),
        mean_active=round(float((features > 0).sum(dim=1).float().mean()), 3),
        never_active=round(float((features <= 0).all(dim=0).float().mean()), 4),
        measured_tokens=len(inputs),
        loss=round(_loss(measured), 5),
        loss_replaced=round(_loss(measured, lambda x, y: transcoder(x.float())[1].to(y)), 5),
        loss_mean=round(_loss(measured, _constant(batches.mean)), 5),
        loss_zero=round(_loss(measured, _constant(torch.zeros_like(batches.mean))), 5),
        elapsed_s=round(fitted.state.elapsed_s, 1),
    )
