"""A scaling law for the user's own text: some tiny runs of several sizes and lengths, and the law that fits them.

    DIR/sweep.json        what was asked, the runs with what they came to, the law (the last to be written)
    DIR/runs/d3-s400/     each an ordinary run folder: resumed where it was stopped, never done twice
    DIR/shards/, data/    the texts, as a run folder has them

Every size is trained for a quarter, half and all of the steps, each a whole training: the middle of a longer run, its learning rate still
high, has not come to what a run of that length comes to.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from groundup.config import build_config, to_plain
from groundup.data.shards import ShardSet
from groundup.device import Compute
from groundup.errors import ConfigError, FormatError
from groundup.files import read_json, write_json
from groundup.model.dial import shape_of_depth
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.train.config import FitConfig
from groundup.train.law import Law, Point, fit_law
from groundup.train.plan import Measured, measure
from groundup.train.planner import Candidate, Look, Text, choose, family, fitting_context, text_of, trained_as
from groundup.train.pretrain import pretrain
from groundup.train.scaling import LAW

SWEEP_FILE, RUNS = "sweep.json", "runs"
FIRST_DEPTH = 2
# Shares of the most steps: each size is trained so long.
LENGTHS = (0.25, 0.5, 1.0)
# With fewer steps the law's ends are all beginnings; with more than many, larger models tell more in the same time.
FEWEST_STEPS, MANY_STEPS = 40, 4_000
# Evaluations, checkpoints and starts beside the steps, as a share of the budget.
BESIDE = 0.2
LOOK_S = 0.5
# Budgets that the law is asked about at the end, seconds.
ASKED_S = (600, 3_600, 28_800)


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep."""

    name: str
    depth: int
    steps: int
    point: Point | None = None
    """What it came to; None before it is done."""


@dataclass(frozen=True)
class Sweep:
    """All of it, when it is done."""

    runs: tuple[SweepRun, ...]
    law: Law
    flops_per_s: float
    """Of the largest model, on this machine."""
    text: Text

    @property
    def points(self) -> list[Point]:
        return [run.point for run in self.runs if run.point is not None]


def read_law(folder: Path) -> Law:
    """The law in a sweep's folder. Raises ConfigError (no sweep, or not finished) and FormatError."""
    record = _read(folder / SWEEP_FILE)
    if "law" not in record:
        raise ConfigError(f"{folder} holds no law.", fix="Finish it: groundup sweep DATA --out " + str(folder))
    try:
        law = build_config(Law, record["law"])
    except ConfigError as error:
        raise FormatError(folder / SWEEP_FILE, "law", error.message) from error
    return law


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    record = read_json(file)
    if not isinstance(record, dict):
        raise FormatError(file, "top", "is not a JSON object")
    return record


def sweep(
    shards: ShardSet,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    sizes: int,
    budget_s: float,
    compute: Compute,
    progress: Progress,
    seed: int = 0,
) -> Sweep:
    """Do the runs that are not there, fit the law, write sweep.json. Raises ConfigError when the budget is too short for them."""
    text = text_of(shards, tokenizer.special.document_end_id)
    asked = {"sizes": sizes, "budget_s": budget_s, "seed": seed, "shards": shards.fingerprint}
    record = _read(folder / SWEEP_FILE)
    if record.get("asked") != asked:
        record = {"asked": asked, **_planned(shards, tokenizer, text, sizes, budget_s, compute, seed)}
        write_json(folder / SWEEP_FILE, record)
    runs = [SweepRun(str(run["name"]), int(run["depth"]), int(run["steps"])) for run in record["runs"]]
    done = [_done(run, shards, tokenizer, text, folder, compute, progress, seed) for run in runs]
    law = fit_law([run.point for run in done if run.point], LAW)
    result = Sweep(tuple(done), law, float(record["flops_per_s"]), text)
    write_json(folder / SWEEP_FILE, {**record, "runs": [asdict(run) for run in done], "law": to_plain(law)})
    return result


def candidate_of(depth: int, vocab_size: int, text: Text, seed: int = 0, steps: int = 1) -> Candidate:
    """A size of the family as a sweep trains it: always the reference's batch."""
    shape = shape_of_depth(depth, vocab_size=vocab_size)
    shape = shape_of_depth(depth, vocab_size=vocab_size, context_tokens=fitting_context(shape, text))
    return trained_as(shape, FitConfig(steps, seed=seed, evaluate_every=steps, checkpoint_every=steps), {})


def _planned(
    shards: ShardSet, tokenizer: Tokenizer, text: Text, sizes: int, budget_s: float, compute: Compute, seed: int
) -> dict[str, Any]:
    """Which depths for how many steps: the larger the faster this machine is."""
    clock: dict[int, Measured] = {}
    for first in range(FIRST_DEPTH, FIRST_DEPTH + 20):
        depths = range(first, first + sizes)
        for depth in depths:
            if depth not in clock:
                clock[depth] = _look(candidate_of(depth, tokenizer.vocab_size, text, seed), shards, tokenizer, compute)
        steps = int(budget_s * (1 - BESIDE) / sum(LENGTHS) / sum(clock[depth].step_s for depth in depths))
        if steps < MANY_STEPS:
            break
    if steps * LENGTHS[0] < FEWEST_STEPS:
        needed = budget_s * FEWEST_STEPS / LENGTHS[0] / max(1, steps)
        raise ConfigError(
            f"A budget of {budget_s:g} s is too short for {sizes} sizes.",
            fix=f"Give at least {needed:.0f}s, or fewer --sizes.",
        )
    plans = [(depth, round(share * steps)) for share in LENGTHS for depth in depths]
    largest = candidate_of(depths[-1], tokenizer.vocab_size, text, seed)
    return {
        "runs": [{"name": f"d{depth}-s{count}", "depth": depth, "steps": count} for depth, count in plans],
        "flops_per_s": largest.step_flops / clock[depths[-1]].step_s,
    }


def _look(candidate: Candidate, shards: ShardSet, tokenizer: Tokenizer, compute: Compute) -> Measured:
    return measure(shards, tokenizer, candidate.shape, candidate.fit, compute=compute, seconds=LOOK_S)


def _done(
    run: SweepRun,
    shards: ShardSet,
    tokenizer: Tokenizer,
    text: Text,
    folder: Path,
    compute: Compute,
    progress: Progress,
    seed: int,
) -> SweepRun:
    """The run, done now or before."""
    candidate = candidate_of(run.depth, tokenizer.vocab_size, text, seed, run.steps)
    progress.say(f"{run.name}: {candidate.parameters:,} parameters, {run.steps} steps")
    results = pretrain(
        shards,
        tokenizer,
        candidate.shape,
        candidate.fit,
        RunFolder(folder / RUNS / run.name),
        compute=compute,
        progress=progress,
    )
    return SweepRun(run.name, run.depth, run.steps, point_of(candidate, results, text))


def point_of(candidate: Candidate, results: dict[str, Any], text: Text) -> Point:
    """A finished run as a point to fit."""
    a_token = text.bytes_per_token
    return Point(
        candidate.parameters,
        results["tokens"] * a_token,
        float(text.num_bytes),
        candidate.step_tokens * a_token,
        float(results["bits_per_byte"]),
    )


def best_for(found: Sweep, vocab_size: int, budgets_s: Sequence[float] = ASKED_S) -> list[tuple[float, Look]]:
    """What the law says to train in each of some times, at the speed of the largest run."""
    shapes = family(vocab_size, float("inf"))
    candidates = [candidate_of(shape.num_layers, vocab_size, found.text) for shape in shapes]

    def clock(candidate: Candidate) -> Measured:
        return Measured(candidate.step_flops / found.flops_per_s, 0.0)

    return [(seconds, choose(seconds, candidates, found.text, found.law, clock)[0]) for seconds in budgets_s]
