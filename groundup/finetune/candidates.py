"""`train = auto`: several ways to train a classifier, of which the validation texts choose one.

The candidates, the simplest first: the last block, whose folder other programs open whole; a
stacked classifier; a stacked one that reads an encoder's vectors, too. All learn from one reading
of the texts. The one whose loss on the validation texts is the lowest, each at its temperature, is
taken, or a simpler one whose mean loss is within a standard error of it, that of their paired
differences (the one-standard-error rule of Breiman et al. 1984, Classification and Regression
Trees, section 3.4.3): with few validation texts the lowest loss is partly luck.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np
import torch

from groundup.errors import FormatError, MissingExtra, ModelError, NetworkError
from groundup.evaluate.calibration import label_temperature, softmax
from groundup.evaluate.metrics import Interval, wilson_interval
from groundup.finetune.classifier_training import (
    ClassifierJob,
    Learned,
    Learner,
    Scorer,
    Stacking,
)
from groundup.finetune.config import NO_ENCODER, Trained
from groundup.finetune.features import Features
from groundup.finetune.messages import Messages
from groundup.finetune.stacked import require_scikit_learn
from groundup.runs import RunFolder
from groundup.weights.catalog import SENTENCE_ENCODER

LAST_BLOCK: Trained = "last-block"


def learner_of(job: ClassifierJob, run: RunFolder) -> Learner:
    """Return what `train` asks for. Raises what `ClassifierJob.learner` raises."""
    if job.config.train == "auto":
        return ChosenLearner(job, run)
    return job.learner(run)


@dataclass(frozen=True)
class TrainedCandidate:
    """A way to train, trained on all training texts."""

    name: str
    learner: Learner
    learned: Learned
    elapsed_s: float
    """Beside the reading of the texts, which is the same for all."""
    losses: np.ndarray
    """Of each validation text, in nats, at its own temperature."""
    right: Sequence[bool]
    """Which validation texts have the label, or exactly the labels, that it finds most probable."""


@dataclass(frozen=True)
class TriedTraining:
    """A row of `ClassifierResults.tried`."""

    train: str
    validation_loss: float
    """Nats a text."""
    behind: float
    """Over the lowest loss."""
    standard_error: float
    """Of `behind`."""
    right: Interval
    """Share of the validation texts."""
    elapsed_s: float
    chosen: bool


class ChosenLearner:
    """The candidates of `train = auto`, and the one that is chosen: a `Learner`."""

    def __init__(self, job: ClassifierJob, run: RunFolder) -> None:
        self._job, self._run = job, run

    def trained_on(self, rows: Sequence[int], folder: RunFolder) -> Scorer:
        """Train the chosen candidate on some rows."""
        return self.chosen.learner.trained_on(rows, folder)

    def final(self, run: RunFolder) -> Learned:
        rows = [self._row(each) for each in self.candidates]
        listed = ", ".join(f"{row.train} ({row.validation_loss:.4f})" for row in rows)
        self._job.progress.say(
            f"Trained, with the loss on the validation texts: {listed}. Chosen: "
            f"{self.chosen.name}, the simplest within a standard error of the lowest loss."
        )
        learned = self.chosen.learned
        return replace(learned, figures={**learned.figures, "tried": list(map(asdict, rows))})

    @cached_property
    def chosen(self) -> TrainedCandidate:
        return self.candidates[simplest(self._losses)]

    @property
    def _losses(self) -> list[np.ndarray]:
        return [each.losses for each in self.candidates]

    def _row(self, candidate: TrainedCandidate) -> TriedTraining:
        lowest = min(self._losses, key=np.mean)
        return TriedTraining(
            train=candidate.name,
            validation_loss=float(candidate.losses.mean()),
            behind=float((candidate.losses - lowest).mean()),
            standard_error=standard_error(candidate.losses - lowest),
            right=wilson_interval(sum(candidate.right), len(candidate.right)),
            elapsed_s=round(candidate.elapsed_s, 1),
            chosen=candidate is self.chosen,
        )

    @cached_property
    def candidates(self) -> list[TrainedCandidate]:
        """All of them, trained, the simplest first."""
        job = self._job
        last_block = replace(job, config=replace(job.config, train=LAST_BLOCK, encoder=""))
        stacked = self._stacked_job()
        if stacked is None:
            return [self._trained(LAST_BLOCK, last_block, None)]
        model = job.classifier()
        frozen = [each for one in (last_block, stacked) if (each := one.frozen(model))]
        of_last_block, pooled = job.keep(frozen)
        found = [self._trained(LAST_BLOCK, last_block, of_last_block)]
        found.append(self._trained("stacked", stacked, pooled))
        with_encoder = self._with_encoder(stacked, found[1].learner)
        return [*found, *with_encoder]

    def _stacked_job(self) -> ClassifierJob | None:
        """None where a stacked classifier can't be trained, which is said."""
        config, progress = self._job.config, self._job.progress
        try:
            require_scikit_learn()
        except MissingExtra as missing:
            progress.say(f"Left out: stacked. {missing}")
            return None
        if config.loss is not None:
            progress.say(f"Left out: stacked, whose regressions have no loss {config.loss!r}.")
            return None
        return replace(self._job, config=replace(config, train="stacked", encoder=NO_ENCODER))

    def _with_encoder(self, stacked: ClassifierJob, learner: Learner) -> list[TrainedCandidate]:
        """Return none where no encoder is wanted, or the default one can't be had, which is said. Raises
        ModelError, NetworkError, FormatError for one that is named.
        """
        named, begun = self._job.config.encoder, time.monotonic()
        if named == NO_ENCODER:
            return []
        name = named or SENTENCE_ENCODER
        job = replace(stacked, config=replace(stacked.config, encoder=name))
        try:
            folder, vectors = job.vectors()
        except (ModelError, NetworkError, FormatError) as error:
            if named:
                raise
            job.progress.say(f"Left out: stacked with {name}. {error}")
            return []
        assert isinstance(learner, Stacking)
        training = replace(learner.training, encoder=folder, vectors=vectors)
        return [self._measured(f"stacked with {name}", Stacking(job.classifier(), training), begun)]

    def _trained(
        self, name: str, job: ClassifierJob, features: Features | None
    ) -> TrainedCandidate:
        begun = time.monotonic()
        return self._measured(name, job.learner(self._run, features), begun)

    def _measured(self, name: str, learner: Learner, begun: float) -> TrainedCandidate:
        learned = learner.final(self._run)
        messages = self._job.messages
        scores = learned.scores(messages.rows["validation"])
        losses, right = text_losses(scores, messages), texts_right(scores, messages)
        return TrainedCandidate(name, learner, learned, time.monotonic() - begun, losses, right)


def text_losses(scores: torch.Tensor, messages: Messages) -> np.ndarray:
    """Nats of each validation text at the best temperature of all of them; of several labels the
    sum over the labels.
    """
    values, classes = scores.double().numpy(), validation_classes(messages)
    temperature = label_temperature(values, classes)
    if messages.several:
        scaled = values / temperature
        return np.asarray((np.logaddexp(0, scaled) - classes * scaled).sum(axis=1))
    probabilities = softmax(values, temperature)
    return np.asarray(-np.log(probabilities[np.arange(len(classes)), classes]))


def texts_right(scores: torch.Tensor, messages: Messages) -> list[bool]:
    """Of each validation text; of several labels those from 0.5, all of them."""
    values, classes = scores.numpy(), validation_classes(messages)
    if messages.several:
        return list(((values > 0) == (classes > 0)).all(axis=1).tolist())
    return list((values.argmax(axis=1) == classes).tolist())


def validation_classes(messages: Messages) -> np.ndarray:
    """[n], or of several labels [n, N]."""
    rows = messages.rows["validation"]
    return np.array(messages.classes[rows.start : rows.stop])


def standard_error(differences: np.ndarray) -> float:
    """Of their mean; 0 of fewer than two."""
    if len(differences) < 2:
        return 0.0
    return float(differences.std(ddof=1)) / math.sqrt(len(differences))


def simplest(losses: Sequence[np.ndarray]) -> int:
    """The place of the first candidate whose mean loss is within a standard error of the lowest.

    >>> simplest([np.array([0.5, 0.1, 0.3]), np.array([0.1, 0.2, 0.3]), np.array([0.2, 0.2, 0.2])])
    0
    """
    lowest = min(losses, key=np.mean)
    return next(
        place
        for place, each in enumerate(losses)
        if float((each - lowest).mean()) <= standard_error(each - lowest)
    )
