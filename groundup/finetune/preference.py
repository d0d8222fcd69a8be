"""Preference tuning (DPO): of two answers to a prompt the chosen one becomes more probable than the
rejected one, measured from the base model.

    prompt, chosen, rejected -> two conversations -> render() -> ids and masks -> the base's
        log-probabilities, once -> fit() -> folder

Nothing but the answers counts, as in `instruct`; LoRA or all weights are trained, and the folder is
the same kind. The reference is the model as it was opened: its log-probabilities are computed
before the first step, so that no second model is in memory (Rafailov et al. 2023).

results.json: held_out_loss (before: log 2, after), accuracy (share of held-out pairs whose chosen
answer gained more than the rejected one, with interval), margins and prefers (`preference_results`:
before, after, paired difference), pairs (some held-out ones, to be read), examples, lengths, beta,
tokens, epochs, steps, forgetting.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from groundup.config import to_plain
from groundup.data.documents import PreferenceExample
from groundup.data.preparation.trained_on import write_trained_on
from groundup.device import Compute
from groundup.errors import require
from groundup.evaluate.comparison.forgetting import compared, measure, suites
from groundup.evaluate.metrics import wilson_interval
from groundup.evaluate.task import as_measure, describe, language_model
from groundup.files import sha256_text
from groundup.finetune.adapters import ChatTraining, begin_training, finish_chat
from groundup.finetune.instruct import loss_before
from groundup.finetune.preference_data import (
    Pair,
    PreferenceBatches,
    PreferenceData,
    as_batch,
    prepare_pairs,
    with_reference,
)
from groundup.finetune.preference_results import compared_pairs, held_out_figures
from groundup.model.heads import LanguageModel
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder
from groundup.train.checkpoint.identity import frozen_fingerprint
from groundup.train.loop import FitResult, fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.optimizers.adamw import AdamW
from groundup.train.run_lifecycle import begin_or_finished
from groundup.train.steps.config import FitConfig
from groundup.train.steps.losses import answer_logprobs, finetune_loss
from groundup.weights.model_io import ModelCard, OpenModel

# A pair has two texts, and both are kept for the backward pass.
LONGEST_TOKENS = 512
LORA_RATE, ALL_RATE = 5e-5, 1e-6
EVALUATIONS = 4


@dataclass(frozen=True)
class PreferenceConfig(ChatTraining):
    """How a model is trained on preference pairs: the learning rate is 5e-5 for LoRA and 1e-6 for
    all weights, texts have at most 512 tokens.
    """

    beta: float = 0.1
    """How strongly the model is held to the base: the higher, the less it moves."""
    batch_size: int = 4
    """Pairs of one step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.beta < math.inf, "beta", self.beta, "above 0")
        finetune_loss("preference", self.loss)


@torch.no_grad()
def logprobs(
    model: LanguageModel,
    pairs: Sequence[Pair],
    batch_size: int,
    *,
    compute: Compute,
    progress: Progress,
    what: str,
) -> list[tuple[float, float]]:
    """Return the log-probabilities of both answers of each pair."""
    found: list[tuple[float, float]] = [(0.0, 0.0)] * len(pairs)
    order = sorted(range(len(pairs)), key=lambda place: pairs[place].num_tokens)
    with progress.track(what, len(pairs), "pairs") as advance:
        for start in range(0, len(pairs), batch_size):
            places = order[start : start + batch_size]
            batch = as_batch([pairs[place] for place in places], 0.0)
            ids, labels = (
                part.flatten(0, 1).to(compute.device) for part in (batch.ids, batch.labels)
            )
            sums = answer_logprobs(model, ids, labels).view(-1, 2).tolist()
            for place, (chosen, rejected) in zip(places, sums, strict=True):
                found[place] = chosen, rejected
            advance(len(places))
    return found


def fit_preference(
    opened: OpenModel,
    examples: Sequence[PreferenceExample],
    run: RunFolder,
    config: PreferenceConfig,
    *,
    compute: Compute,
    progress: Progress | None = None,
    card: ModelCard | None = None,
    general: str | Path | None = None,
) -> dict[str, Any]:
    """Train on the pairs that are not held out and save the model or adapter into the run folder;
    returns the contents of results.json.

    A stopped run is resumed, a finished one only read. `opened` is changed. `general`: as in
    `fit_chat`. Raises DataError, ModelError, ConfigError, and what `fit` raises.
    """
    progress = progress or Silent()
    model, tokenizer = language_model(opened)
    tasks = suites(general, progress)
    max_tokens = min(config.max_tokens or LONGEST_TOKENS, opened.config.context_tokens)
    data = prepare_pairs(examples, tokenizer, max_tokens=max_tokens, seed=config.seed)
    held_out = sha256_text(repr([(pair.chosen.ids, pair.rejected.ids) for pair in data.held_out]))
    plain = PreferenceBatches(
        data.train, beta=config.beta, batch_size=config.batch_size, seed=config.seed
    )
    inputs = {
        "base": frozen_fingerprint(model.requires_grad_(False)),
        "examples": plain.fingerprint,
        "held_out": held_out,
    }
    finished = begin_or_finished(run, "preference", to_plain(config), inputs)
    if finished is not None:
        return finished
    report_data(data, progress)
    progress.say(plain.line(config.epochs, config.tokens))

    def measured(pairs: Sequence[Pair], what: str) -> list[tuple[float, float]]:
        return logprobs(
            model, pairs, config.batch_size, compute=compute, progress=progress, what=what
        )

    train, aside = (
        with_reference(pairs, measured(pairs, "reference")) for pairs in (data.train, data.held_out)
    )
    before = measure(tasks, opened, compute, progress)
    trained = begin_training(opened, config)
    batches = PreferenceBatches(
        train, beta=config.beta, batch_size=config.batch_size, seed=config.seed
    )

    def evaluate() -> dict[str, float]:
        return held_out_figures(aside, measured(aside, "held-out pairs"), config.beta)

    hooks = Hooks(evaluate, progress=progress)
    loss = finetune_loss("preference", config.loss)
    fitted = fit(
        model, batches, loss, fit_config_of(batches, config), run, compute=compute, hooks=hooks
    )
    results = described(data, batches, fitted, run, model, config)
    results |= compared_pairs(aside, data.aside, measured(aside, "held-out pairs"), config.beta)
    results["forgetting"] = compared(before, measure(tasks, opened, compute, progress))
    progress.say(f"held-out pairs whose chosen answer gained more: {results['accuracy_line']}")
    write_trained_on(run.path, data.learned, base=opened.path)
    figures = {
        f"chosen answers that gained more, of {len(aside)} held-out pairs": results["accuracy_line"]
    }
    finish_chat(run, opened, trained, results, card, figures, merge=config.merge)
    return results


def report_data(data: PreferenceData, progress: Progress) -> None:
    """Report how many pairs there are and how long they are."""
    repeats = f", {data.repeats:,} repeats left out" if data.repeats else ""
    same = (
        f", {data.left_out:,} left out that are the same within the limit" if data.left_out else ""
    )
    progress.say(data.lengths.line())
    progress.say(
        f"{len(data.train):,} pairs to learn from, {len(data.held_out):,} held out{repeats}{same}."
    )


def fit_config_of(batches: PreferenceBatches, config: PreferenceConfig) -> FitConfig:
    """Return `fit()`'s config."""
    steps = batches.steps(config.epochs, config.tokens)
    return FitConfig(
        steps=steps,
        batch_size=config.batch_size,
        precision=config.precision,
        recompute=config.recompute,
        compile="off",
        evaluate_every=-(-steps // EVALUATIONS),
        seed=config.seed,
        optimizer=AdamW(
            learning_rate=config.learning_rate
            or (LORA_RATE if config.train == "lora" else ALL_RATE),
            weight_decay=0.0,
        ),
    )


def described(
    data: PreferenceData,
    batches: PreferenceBatches,
    fitted: FitResult,
    run: RunFolder,
    model: LanguageModel,
    config: PreferenceConfig,
) -> dict[str, Any]:
    """Return the contents of results.json, but for what `compared_pairs` and `forgetting` say."""
    found, n = fitted.state.evaluation, len(data.held_out)
    accuracy = as_measure(
        "accuracy", wilson_interval(round(found["accuracy"] * n), n), n, chance=0.5
    )
    parameters = sum(
        parameter.numel() for parameter in model.parameters() if parameter.requires_grad
    )
    counts = {
        "train": len(data.train),
        "held_out": n,
        "left_out": data.left_out,
        "repeats": data.repeats,
    }
    return {
        "held_out_loss": {"before": loss_before(run), "after": found["held_out_loss"]},
        "accuracy": accuracy.plain(),
        "accuracy_line": describe(accuracy),
        "margin": found["margin"],
        "beta": config.beta,
        "examples": counts,
        "lengths": data.lengths.plain(),
        "epochs": round(fitted.steps / batches.batches_per_epoch, 3),
        "tokens": sum(batches.num_tokens(position) for position in range(fitted.steps)),
        "steps": fitted.steps,
        "train_loss": fitted.last_loss,
        "train": config.train,
        "lora": {"rank": config.rank, "alpha": config.alpha, "parameters": parameters}
        if config.train == "lora"
        else None,
        "parameters": parameters,
        "precision": fitted.precision,
        "elapsed_s": round(fitted.state.elapsed_s, 1),
    }
