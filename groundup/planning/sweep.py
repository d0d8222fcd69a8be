"""A scaling law for the user's own text: some tiny runs of several sizes and lengths, and the law that fits them.

    DIR/sweep.json        what was asked, the runs with what they came to, the law (the last to be written)
    DIR/runs/d3-s400/     each an ordinary run folder: resumed where it was stopped, never done twice
    DIR/shards/, data/    the texts, as a run folder has them

Every size is trained for a quarter, half and all of the steps, each a whole training: the middle of a longer run, its learning rate still
high, has not come to what a run of that length comes to.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from groundup.config import build_config, to_plain
from groundup.data.shards import ShardSet
from groundup.device import Compute
from groundup.errors import ConfigError, FormatError
from groundup.files import read_json, write_json
from groundup.model.shape_from_size import MAX_DEPTH, shape_of_depth
from groundup.planning.law import Law, LossPoint, fit_law
from groundup.planning.plan import Measured, measure
from groundup.planning.planner import (
    Candidate,
    CandidateForecast,
    TextStats,
    choose,
    family,
    fitting_context,
    text_stats,
    trained_as,
)
from groundup.planning.scaling import LAW
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.train.defaults import pretraining_config
from groundup.train.pretrain import pretrain

SWEEP_FILE, RUNS = "sweep.json", "runs"
FIRST_DEPTH = 2
# Shares of the most steps: each size is trained so long.
LENGTHS = (0.25, 0.5, 1.0)
# Of the shortest run: with fewer all is beginning. Of the longest: with more, larger models tell more in the same time.
FEWEST_STEPS, MOST_STEPS = 40, 4_000
# Evaluations, checkpoints and starts beside the steps, as a share of the budget.
BESIDE = 0.2
LOOK_S = 0.5
# Budgets that the law is asked about at the end, seconds.
ASKED_S = (600.0, 3_600.0, 28_800.0)
REMOVE = "Remove it and give the same sweep again: runs that are whole are not done twice."

T = TypeVar("T")


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep. Raises ConfigError for one that no sweep has."""

    name: str
    depth: int
    steps: int
    point: LossPoint | None = None
    """What it came to; None before it is done."""

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= MAX_DEPTH or self.steps < 1 or self.name != run_name(self.depth, self.steps):
            raise ConfigError(f"The run {self.name!r} of depth {self.depth} and {self.steps} steps is none of a sweep.")


def run_name(depth: int, steps: int) -> str:
    """Its folder's."""
    return f"d{depth}-s{steps}"


@dataclass(frozen=True)
class Planned:
    """What a sweep is going to do, as sweep.json keeps it. Raises ConfigError."""

    runs: tuple[SweepRun, ...]
    flops_per_s: float
    """Of the largest model, on this machine."""

    def __post_init__(self) -> None:
        if not 0 < self.flops_per_s < math.inf:
            raise ConfigError(f"flops_per_s must be above 0 and finite (got {self.flops_per_s}).")


@dataclass(frozen=True)
class Sweep:
    """All of it, when it is done."""

    runs: tuple[SweepRun, ...]
    law: Law
    flops_per_s: float
    """Of the largest model, on this machine."""
    text: TextStats

    @property
    def points(self) -> list[LossPoint]:
        return [run.point for run in self.runs if run.point is not None]


def read_law(folder: Path) -> Law:
    """The law in a sweep's folder. Raises ConfigError (no sweep, or not finished) and FormatError."""
    file = folder / SWEEP_FILE
    record = _read(file)
    if "law" not in record:
        raise ConfigError(f"{folder} holds no law.", fix="Finish it: groundup sweep DATA --out " + str(folder))
    law = _part(Law, record["law"], file, "law")
    numbers = [number for value in asdict(law).values() for number in (value if isinstance(value, tuple) else [value])]
    if not all(0 < number < math.inf for number in numbers):
        raise FormatError(file, "law", "has a number that is not above 0 and finite")
    return law


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    record = read_json(file)
    if not isinstance(record, dict):
        raise FormatError(file, "top", "is not a JSON object")
    return record


def _part(kind: type[T], value: object, file: Path, place: str) -> T:
    """One part of sweep.json. Raises FormatError."""
    if not isinstance(value, dict):
        raise FormatError(file, place, "is missing or no table", fix=REMOVE)
    try:
        return build_config(kind, value)
    except ConfigError as error:
        raise FormatError(file, place, error.message, fix=REMOVE) from error


@dataclass(frozen=True)
class SweepOptions:
    """What a sweep was asked for."""

    sizes: int
    """Models of the family, one after the other."""
    budget_s: float | None
    """For all runs together; None: `steps` says."""
    steps: int | None = None
    """Of the longest run of each size."""
    seed: int = 0


@dataclass(frozen=True)
class _SweepInputs:
    """What all runs of a sweep stand on."""

    shards: ShardSet
    tokenizer: Tokenizer
    text: TextStats
    seed: int
    compute: Compute

    def candidate(self, depth: int, steps: int = 1) -> Candidate:
        """A size as this sweep trains it. On a CPU in float32: models so small gain nothing from bf16, and finding that out takes seconds."""
        found = candidate_of(depth, self.tokenizer.vocab_size, self.text)
        fit = replace(found.fit, steps=steps, evaluate_every=steps, checkpoint_every=steps, seed=self.seed)
        return replace(found, fit=replace(fit, precision="float32" if self.compute.is_cpu else "auto"))

    def look(self, depth: int) -> Measured:
        candidate = self.candidate(depth)
        return measure(
            self.shards, self.tokenizer, candidate.shape, candidate.fit, compute=self.compute, seconds=LOOK_S
        )


def sweep(
    shards: ShardSet, tokenizer: Tokenizer, folder: Path, asked: SweepOptions, *, compute: Compute, progress: Progress
) -> Sweep:
    """Do the runs that are not there, fit the law, write sweep.json.

    Raises ConfigError (the budget is too short for them) and FormatError (sweep.json is damaged).
    """
    ground = _SweepInputs(shards, tokenizer, text_stats(shards, tokenizer.special.document_end_id), asked.seed, compute)
    file, known = folder / SWEEP_FILE, {**asdict(asked), "shards": shards.fingerprint}
    record = _read(file)
    if record.get("asked") != known:
        record = {"asked": known, **asdict(_planned(ground, asked))}
        write_json(file, record)
    planned = _kept(record, asked, file)
    done = [_done(run, ground, folder / RUNS / run.name, progress) for run in planned.runs]
    law = fit_law([run.point for run in done if run.point], LAW)
    write_json(file, {**record, "runs": [asdict(run) for run in done], "law": to_plain(law)})
    return Sweep(tuple(done), law, planned.flops_per_s, ground.text)


def _kept(record: dict[str, Any], asked: SweepOptions, file: Path) -> Planned:
    """What sweep.json says is to be done. Raises FormatError."""
    planned = _part(Planned, {name: record[name] for name in ("runs", "flops_per_s") if name in record}, file, "runs")
    expected = asked.sizes * len(LENGTHS)
    if len(planned.runs) != expected:
        raise FormatError(file, "runs", f"are {len(planned.runs)}, expected {expected}", fix=REMOVE)
    return planned


def candidate_of(depth: int, vocab_size: int, text: TextStats) -> Candidate:
    """A size of the family with the reference's batch."""
    shape = shape_of_depth(depth, vocab_size=vocab_size)
    shape = shape_of_depth(depth, vocab_size=vocab_size, context_tokens=fitting_context(shape, text))
    return trained_as(shape, pretraining_config(1), {})


def _planned(ground: _SweepInputs, asked: SweepOptions) -> Planned:
    """Which depths for how many steps."""
    depths, steps = _depths_and_steps(ground, asked)
    plans = [(depth, max(1, round(share * steps))) for share in LENGTHS for depth in depths]
    runs = tuple(SweepRun(run_name(depth, count), depth, count) for depth, count in plans)
    return Planned(runs, ground.candidate(depths[-1]).step_flops / ground.look(depths[-1]).step_s)


def _depths_and_steps(ground: _SweepInputs, asked: SweepOptions) -> tuple[range, int]:
    """The steps asked for, of the smallest sizes; or what the budget holds, of larger ones the faster this machine is."""
    depths = range(FIRST_DEPTH, FIRST_DEPTH + asked.sizes)
    if asked.budget_s is None:
        assert asked.steps is not None
        return depths, asked.steps
    step_s = {depth: ground.look(depth).step_s for depth in depths}
    while True:
        a_step_of_all = sum(LENGTHS) * sum(step_s[depth] for depth in depths)
        steps = int(asked.budget_s * (1 - BESIDE) / a_step_of_all)
        if steps <= MOST_STEPS or depths[-1] == MAX_DEPTH:
            break
        depths = range(depths[0] + 1, depths[-1] + 2)
        step_s[depths[-1]] = ground.look(depths[-1]).step_s
    if steps * LENGTHS[0] < FEWEST_STEPS:
        needed = FEWEST_STEPS / LENGTHS[0] * a_step_of_all / (1 - BESIDE)
        raise ConfigError(
            f"A budget of {asked.budget_s:g} s is too short for {asked.sizes} sizes.",
            fix=f"Give at least {math.ceil(needed)}s, or fewer --sizes.",
        )
    return depths, steps


def _done(run: SweepRun, ground: _SweepInputs, folder: Path, progress: Progress) -> SweepRun:
    """The run, done now or before."""
    candidate = ground.candidate(run.depth, run.steps)
    progress.say(f"{run.name}: {candidate.parameters:,} parameters, {run.steps} steps")
    parts = (ground.shards, ground.tokenizer, candidate.shape, candidate.fit)
    results = pretrain(*parts, RunFolder(folder), compute=ground.compute, progress=progress)
    return replace(run, point=point_of(candidate, results, ground.text))


def point_of(candidate: Candidate, results: dict[str, Any], text: TextStats) -> LossPoint:
    """A finished run as a point to fit."""
    a_token = text.bytes_per_token
    return LossPoint(
        candidate.parameters,
        results["tokens"] * a_token,
        float(text.num_bytes),
        candidate.step_tokens * a_token,
        float(results["bits_per_byte"]),
    )


def best_for(
    found: Sweep, vocab_size: int, budgets_s: Sequence[float] = ASKED_S
) -> list[tuple[float, CandidateForecast]]:
    """What the law says to train in each of some times, at the speed of the largest run."""
    shapes = family(vocab_size, float("inf"))
    candidates = [candidate_of(shape.num_layers, vocab_size, found.text) for shape in shapes]

    def clock(candidate: Candidate) -> Measured:
        return Measured(candidate.step_flops / found.flops_per_s, 0.0)

    return [(seconds, choose(seconds, candidates, found.text, found.law, clock)[0]) for seconds in budgets_s]
