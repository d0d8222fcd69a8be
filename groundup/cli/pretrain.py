"""`groundup pretrain`: a language model of one's own, from random weights."""

import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundup.cli.console import console_progress, print_result
from groundup.cli.options import DeviceOption, DryRunOption, FreshOption, JsonOption, OutOption, SeedOption, SetOption
from groundup.config import apply_sets, build_config, to_plain
from groundup.errors import ConfigError
from groundup.runs import RunFolder

if TYPE_CHECKING:
    from groundup.data.shards import ShardSet
    from groundup.device import Compute
    from groundup.model.config import ModelConfig
    from groundup.progress import Progress
    from groundup.tokenizer.fast import Tokenizer
    from groundup.train.config import FitConfig
    from groundup.train.plan import Plan

DEFAULT_MINUTES = 3.0
PRESET = "quickstart"
TABLES = ("fit", "model", "data")


def command(
    data: Annotated[
        str | None, typer.Argument(help="A folder of token shards, a data folder, or texts: a folder, file or glob.")
    ] = None,
    *,
    out: OutOption,
    again: Annotated[
        Path | None, typer.Option("--again", help="Instead of DATA: do this run once more, from its folder.")
    ] = None,
    preset: Annotated[str, typer.Option("--preset", help="The model's shape by name.")] = PRESET,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Updates of the weights.")] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0.05, help="Or as many steps as this time holds; by default 3.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option("--tokenizer", help="A tokenizer's folder; by default one is trained on the texts.")
    ] = None,
    sets: SetOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    fresh: FreshOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a language model from random weights; the run folder is a Hugging Face folder at the end.

    The same command again goes on where it stopped. --set reaches the training (fit.learning_rate, fit.batch_size,
    fit.accumulation, fit.precision, fit.snapshots, ...), the shape (model.width, model.num_layers, model.vocab_size, ...) and the reading of
    texts (data.text_column, data.strict, ...).

    Examples:

        groundup pretrain my-texts/ --out runs/mine --minutes 10

        groundup pretrain runs/quickstart/data --out runs/wide --set model.width=192 --steps 2000

        groundup pretrain my-texts/ --out runs/mine --dry-run

        groundup pretrain --again runs/mine --out runs/mine-again
    """
    from groundup.device import select_compute

    if steps is not None and minutes is not None:
        raise ConfigError("--steps and --minutes both say how long the training is.", fix="Give one of them.")
    if again is not None:
        if any((data, tokenizer, steps, minutes, sets, seed, dry_run, preset != PRESET)):
            raise ConfigError("--again takes everything from the run's folder.", fix="Give --out and --device only.")
        results = done_again(RunFolder(again), RunFolder(out), select_compute(device), console_progress(), fresh=fresh)
        print_result(summary(results, out), {**results, "folder": str(out)}, as_json)
        return
    if data is None:
        raise ConfigError(
            "There is nothing to train on.", fix="Name texts, a data folder or shards, or a run with --again."
        )
    wish = Wish(data, preset, tokenizer, seed, tables(sets or []), steps, minutes or DEFAULT_MINUTES)
    compute, progress = select_compute(device), console_progress()
    if dry_run:
        with tempfile.TemporaryDirectory() as folder:
            plan = made_plan(wish, RunFolder(Path(folder)), compute, progress)
        print_result(plan.lines(), {**dataclasses.asdict(plan), "warnings": plan.warnings}, as_json)
        return
    results = carried_out(wish, RunFolder(out), compute, progress, fresh=fresh)
    print_result(summary(results, out), {**results, "folder": str(out)}, as_json)


@dataclasses.dataclass(frozen=True)
class Wish:
    """What the command line asked for."""

    data: str
    preset: str
    tokenizer: Path | None
    seed: int
    tables: dict[str, dict[str, Any]]
    steps: int | None
    minutes: float


def tables(sets: list[str]) -> dict[str, dict[str, Any]]:
    """--set as one table a subject, {} where nothing was said. Raises ConfigError for a subject there is not."""
    found = apply_sets({}, sets)
    for name, value in found.items():
        if name not in TABLES or not isinstance(value, dict):
            known = ", ".join(f"{table}." for table in TABLES)
            raise ConfigError(
                f"--set {name}: no such field.", fix=f"Fields begin with {known}: fit.learning_rate=0.001."
            )
    return {**{name: {} for name in TABLES}, **found}


def made_plan(wish: Wish, run: RunFolder, compute: "Compute", progress: "Progress") -> "Plan":
    """What the run would be, its step measured."""
    from groundup.train.plan import make_plan, measure

    shards, tokenizer, shape, config = parts(wish, run, compute, progress)
    measured = measure(shards, tokenizer, shape, config, compute=compute)
    return make_plan(shards, shape, config, measured, device=compute.device.type)


def carried_out(wish: Wish, run: RunFolder, compute: "Compute", progress: "Progress", *, fresh: bool) -> dict[str, Any]:
    """Train into the run folder; what results.json holds."""
    from groundup.train.plan import make_plan
    from groundup.train.pretrain import pretrain
    from groundup.weights.card import ModelCard

    require_ours(run)
    if fresh:
        clear(run)
    shards, tokenizer, shape, config = parts(wish, run, compute, progress)
    for warning in make_plan(shards, shape, config).warnings:
        progress.say(f"note: {warning}")
    card = ModelCard(run.path.resolve().name, "Trained from random weights.", data=((wish.data, "the user's own"),))
    return pretrain(shards, tokenizer, shape, config, run, compute=compute, progress=progress, card=card)


def done_again(
    run: RunFolder, out: RunFolder, compute: "Compute", progress: "Progress", *, fresh: bool
) -> dict[str, Any]:
    """Train as `run` was trained, into `out`; says whether the weights came out the same."""
    from groundup.train.again import parts_of, same_weights
    from groundup.train.pretrain import pretrain
    from groundup.weights.card import ModelCard

    if out.path.resolve() == run.path.resolve():
        raise ConfigError(f"--out {out.path} is the run itself.", fix="Name another folder.")
    require_ours(out)
    made = parts_of(run, compute)
    if fresh:
        clear(out)
    if made.changes:
        progress.say(f"note: not the machine of the first time ({', '.join(made.changes)}): the last bits may differ.")
    card = ModelCard(out.path.resolve().name, f"Trained from random weights, as {run.path.resolve().name} was.")
    results = pretrain(
        made.shards,
        made.tokenizer,
        made.model_config,
        made.fit_config,
        out,
        compute=compute,
        progress=progress,
        card=card,
    )
    same = same_weights(run, out)
    if same is not None:
        progress.say(
            f"The weights are {'the same' if same else 'NOT the same'}, byte for byte, as those of {run.path}."
        )
    return {**results, "same_weights": same}


def parts(
    wish: Wish, run: RunFolder, compute: "Compute", progress: "Progress"
) -> tuple["ShardSet", "Tokenizer", "ModelConfig", "FitConfig"]:
    """All that a run is made of; steps that a time stands for are counted here, once."""
    from groundup.data.pipeline import DataConfig
    from groundup.model.presets import preset
    from groundup.train.corpus import corpus
    from groundup.train.defaults import pretraining_config
    from groundup.train.plan import fixed_steps, steps_for

    data_config = build_config(DataConfig, wish.tables["data"], where="data.")
    base = preset(wish.preset)
    vocab_size = shape_of(base, wish.tables["model"]).vocab_size
    config = pretraining_config(wish.steps or 1, {"seed": wish.seed, **wish.tables["fit"]})
    shards, tokenizer = corpus(
        wish.data, run, data_config, tokenizer=wish.tokenizer, vocab_size=vocab_size, progress=progress
    )
    shape = shape_of(base, {**wish.tables["model"], "vocab_size": tokenizer.vocab_size})
    if wish.steps is None and "steps" not in wish.tables["fit"]:
        budget_s = 60 * wish.minutes
        count = lambda: steps_for(budget_s, shards, tokenizer, shape, config, compute=compute, progress=progress)  # noqa: E731
        config = dataclasses.replace(config, steps=fixed_steps(run, wish.minutes, count))
    return shards, tokenizer, shape, config


def shape_of(base: "ModelConfig", table: dict[str, Any]) -> "ModelConfig":
    """A preset with some fields changed; heads share out a changed width, where they shared out the preset's."""
    values = {**to_plain(base), **table}
    if "head_width" not in table and base.head_width * base.num_heads == base.width:
        values["head_width"] = 0
    return build_config(type(base), values, where="model.")


def require_ours(run: RunFolder) -> None:
    """Refuse to write among files that no run of this verb made. Raises ConfigError."""
    from groundup.files import TMP_PREFIX
    from groundup.train.corpus import DATA, SHARDS
    from groundup.train.plan import PLAN_FILE

    if run.run_file.exists() or not run.path.exists():
        return
    own = {DATA, SHARDS, PLAN_FILE}
    others = [p.name for p in run.path.iterdir() if p.name not in own and not p.name.startswith(TMP_PREFIX)]
    if others:
        raise ConfigError(
            f"{run.path} has files in it ('{others[0]}') but is no run.", fix="Choose another folder with --out."
        )


def clear(run: RunFolder) -> None:
    """Remove what an earlier run of this verb left (--fresh)."""
    from groundup.train.corpus import DATA, SHARDS
    from groundup.train.plan import PLAN_FILE

    run.clear()
    for name in (DATA, SHARDS):
        shutil.rmtree(run.path / name, ignore_errors=True)
    (run.path / PLAN_FILE).unlink(missing_ok=True)


def summary(results: dict[str, Any], out: Path) -> list[str]:
    """The results for people."""
    return [
        f"{results['parameters']:,} parameters, {results['steps']:,} steps, {results['tokens']:,} tokens in {results['elapsed_s']:.0f} s",
        f"training loss {results['train_loss']:.3f}, validation loss {results['validation_loss']:.3f} nats a token",
        f"{results['bits_per_byte']:.3f} bits per byte of held-out text",
        f"Try it: groundup generate {out} 'Once'",
    ]
