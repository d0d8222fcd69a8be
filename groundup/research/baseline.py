"""The recipe that tries begin from: what `pretrain` would train on these texts in this time, chosen
once, and with it each switch.

    PretrainOptions -> choose() -> BaseRecipe, kept in research.jsonl -> inputs(settings) of a try
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from groundup.config import build_config, to_plain
from groundup.data.batches.shards import ShardSet
from groundup.data.preparation.config import DataConfig
from groundup.data.split import TEST
from groundup.device import Compute
from groundup.errors import ConfigError, DataError, FormatError
from groundup.model.config import ModelConfig
from groundup.planning.corpus import corpus
from groundup.planning.measure import Benchmark, Candidate
from groundup.planning.planner import (
    choose_model,
    choose_optimizer,
    family_candidate,
    text_stats,
)
from groundup.planning.pretrain_config import PretrainConfig, set_tables
from groundup.planning.pretrain_options import AnyData, PretrainOptions, pretrain_options
from groundup.planning.scaling_law import LAW
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.train.optimizers.muon import Muon
from groundup.train.pretrain import PretrainInputs, new_model, train_windows, training_batches
from groundup.train.steps.config import optimizer_fields
from groundup.train.steps.precision import decide_muon


def possible_options(data: AnyData, asked: PretrainConfig) -> PretrainOptions:
    """Raises ConfigError for what can't be fulfilled, before texts are read."""
    options = pretrain_options(data, asked)
    options.fit()
    options.shape(options.vocab_size)
    return options


def remove_empty(folders: Sequence[Path]) -> None:
    """Remove those that have nothing in them."""
    for path in folders:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


class Texts:
    """The texts as shards, for each size of the vocabulary that a recipe asks for."""

    def __init__(self, folder: Path, options: PretrainOptions, progress: Progress) -> None:
        self._folder, self._options, self._progress = folder, options, progress
        self._open: dict[int, tuple[ShardSet, Tokenizer]] = {}

    def of(self, vocab_size: int) -> tuple[ShardSet, Tokenizer]:
        """Raises what reading texts raises."""
        if vocab_size not in self._open:
            options = self._options
            self._open[vocab_size] = corpus(
                options.data,
                RunFolder(self._folder / str(vocab_size)),
                build_config(DataConfig, options.tables["data"], where="data."),
                tokenizer=options.tokenizer,
                vocab_size=vocab_size,
                runner=options.runner,
                progress=self._progress,
            )
        return self._open[vocab_size]

    def whole(self, tokenizer: Tokenizer) -> ShardSet:
        """The shards that were made with this tokenizer, the test split among them."""
        return next(
            shards
            for shards, own in self._open.values()
            if own.fingerprint == tokenizer.fingerprint
        )


def without_test(shards: ShardSet) -> ShardSet:
    """What a try sees: the test split stays sealed."""
    splits = {name: split for name, split in shards.splits.items() if name != TEST}
    return replace(shards, splits=splits)


@dataclass(frozen=True)
class BaseRecipe:
    options: PretrainOptions
    texts: Texts
    shape: ModelConfig
    fit: Mapping[str, Any]
    """The fields of training that are given or were chosen; others follow from the shape."""

    def plain(self) -> Mapping[str, Any]:
        return {"shape": to_plain(self.shape), "fit": self.fit}

    def inputs(self, settings: Sequence[str] = ()) -> PretrainInputs:
        """What a recipe with these settings is trained from, its number of steps unknown; rows are
        laid out, so that what does not go together is refused. Raises ConfigError, DataError.
        """
        tables = set_tables(settings, {**self.options.tables, "fit": dict(self.fit)})
        options = replace(self.options, tables=tables)
        shards, tokenizer = self.texts.of(options.vocab_size)
        shape, fit = options.with_fields(self.shape, tokenizer.vocab_size), options.fit()
        if self.options.in_family:
            fit = family_candidate(shape, fit, tables["fit"]).fit
        inputs = PretrainInputs(without_test(shards), tokenizer, shape, fit)
        inputs.require_fitting()
        training_batches(train_windows(inputs.shards, shape, fit), fit)
        return inputs


def choose(
    options: PretrainOptions, texts: Texts, compute: Compute, progress: Progress
) -> BaseRecipe:
    """What `groundup pretrain` would train. Raises ConfigError, DataError."""
    shards, tokenizer = texts.of(options.vocab_size)
    run_s = options.length.seconds or float("inf")
    benchmark = Benchmark(shards, tokenizer, compute, progress, run_s=run_s)
    text = text_stats(shards, tokenizer.special.document_end_id)
    candidate, _ = choose_model(options, text, LAW, benchmark)
    candidate, _ = choose_optimizer(options, candidate, benchmark)
    candidate, _ = benchmark.with_precision(candidate)
    return BaseRecipe(options, texts, candidate.shape, _chosen(options, candidate, compute))


def _chosen(options: PretrainOptions, candidate: Candidate, compute: Compute) -> Mapping[str, Any]:
    """The fields that are given, and those that were measured or follow from the first shape."""
    given, fit = options.tables["fit"], candidate.fit
    optimizer = {**optimizer_fields(given), "name": fit.optimizer.name}
    if isinstance(fit.optimizer, Muon):
        model = new_model(candidate.shape, fit.seed, compute)
        closed = decide_muon(fit, model, compute=compute).closed(fit).optimizer
        optimizer["precision"] = to_plain(closed)["precision"]
    return {
        **given,
        "optimizer": optimizer,
        "batch_size": fit.batch_size,
        "precision": fit.precision,
        "compile": "off",
    }


def kept(options: PretrainOptions, texts: Texts, record: dict[str, Any], file: Path) -> BaseRecipe:
    """The baseline that an earlier call chose. Raises FormatError."""
    try:
        shape = build_config(ModelConfig, record["shape"], where="model.")
        return BaseRecipe(options, texts, shape, dict(record["fit"]))
    except (ConfigError, AttributeError, KeyError, TypeError, ValueError) as error:
        fix = "Start again with `fresh`."
        raise FormatError(file, "baseline", f"is damaged: {error}", fix=fix) from error


def differs(one: PretrainInputs, two: PretrainInputs) -> bool:
    """Whether they train otherwise."""
    same = one.shape == two.shape and one.fit == two.fit
    return not same or one.tokenizer.fingerprint != two.tokenizer.fingerprint


def usable(
    baseline: BaseRecipe, settings: Sequence[str], base: PretrainInputs
) -> tuple[PretrainInputs | None, str]:
    """The inputs of a switch; or None and the reason why it is of no use here."""
    try:
        inputs = baseline.inputs(settings)
    except (ConfigError, DataError) as error:
        return None, str(error)
    if not differs(inputs, base):
        return None, "It changes nothing here."
    return inputs, ""
