"""The model from which continued pretraining starts: any language model that opens, with its own
tokenizer and shape. The hash of its weights is part of the run's identity
(`FitConfig.initial_weights`): a run is not resumed from others.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from groundup.device import Compute
from groundup.errors import ConfigError
from groundup.evaluate.task import language_model
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.progress import Progress
from groundup.tokenizer.fast import Tokenizer
from groundup.train.checkpoint.identity import frozen_fingerprint
from groundup.weights.model_io import open_model

PREFER: Literal["pretrain"] = "pretrain"


@dataclass(frozen=True)
class StartingModel:
    name: str
    """As it was asked for."""
    config: ModelConfig
    tokenizer: Tokenizer
    weights: str
    """SHA-256."""
    license: str = ""
    cut_from: str = ""
    """The model that this one was cut from (`train/cut`); "": it is continued as it is."""

    @property
    def address(self) -> str:
        """Its name in the catalog, or its absolute path."""
        return str(Path(self.name).resolve()) if os.path.exists(self.name) else self.name

    def model(self, compute: Compute) -> LanguageModel:
        """Ready for training. Raises ConfigError where its weights have changed."""
        opened = open_model(self.name, Compute(compute.device), prefer=PREFER)
        model, _ = language_model(opened)
        if frozen_fingerprint(model.requires_grad_(False)) != self.weights:
            raise ConfigError(
                f"{self.name} was changed while the run was prepared.", fix="Run the command again."
            )
        return model.requires_grad_(True)

    def shape(self, context_tokens: int) -> ModelConfig:
        """With rows of `context_tokens`; the model keeps its own context."""
        return replace(self.config, context_tokens=context_tokens)

    def plain(self) -> dict[str, str]:
        """For run.json and results.json."""
        record = {"model": self.address, "weights": self.weights}
        if self.cut_from:
            record["cut_from"] = self.cut_from
        return record

    @property
    def base(self) -> str:
        """For the model card."""
        return self.cut_from or self.name


def starting_model(name_or_path: str | Path, progress: Progress | None = None) -> StartingModel:
    """Raises ModelError (a classifier, no tokenizer) and what `open_model` raises."""
    opened = open_model(
        name_or_path, Compute(torch.device("cpu")), prefer=PREFER, progress=progress
    )
    model, tokenizer = language_model(opened)
    weights = frozen_fingerprint(model.requires_grad_(False))
    return StartingModel(str(name_or_path), opened.config, tokenizer, weights, opened.license)
