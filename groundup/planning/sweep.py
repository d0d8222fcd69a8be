"""A scaling law for the user's own text: some tiny runs of several sizes and lengths, the law
fitted to them, and its picture.

    DIR/sweep.json        the options, the runs with their results, the law (written last)
    DIR/runs/d3-s400/     ordinary run folders: resumed where they were stopped, never done twice
    DIR/shards/, data/    the texts, as in a run folder

Every size is trained for a quarter, half and all of the steps, each time with a whole learning-rate
schedule: in the middle of a longer run, its learning rate still high, the loss is higher than at
the end of a run of that length.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from groundup.config import build_config, to_plain
from groundup.data.batches.shards import ShardSet
from groundup.device import Compute
from groundup.errors import ConfigError, FormatError, require
from groundup.files import read_json_object, write_json
from groundup.lab.style import LABEL_SIZE, SMALL_SIZE, WIDTH_INCHES, finish, plain, pyplot
from groundup.model.presets import MAX_DEPTH, shape_of_depth
from groundup.planning import planner
from groundup.planning.measure import Benchmark, Candidate, Measured
from groundup.planning.planner import TextStats
from groundup.planning.scaling_law import LAW, Law, LossPoint, fit_law
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.train.pretrain import pretrain
from groundup.train.steps.config import TrainPrecision, pretraining_config

SWEEP_FILE, RUNS = "sweep.json", "runs"
# Each size is trained for these shares of the steps.
LENGTHS = (0.25, 0.5, 1.0)
# Steps of the shortest run at least: fewer are warm-up. Steps of the longest at most: instead of
# more, larger models are trained.
MIN_STEPS, MAX_STEPS = 40, 4_000
# Evaluations, checkpoints and starts beside the steps, as a share of the budget.
BESIDE_STEPS_SHARE = 0.2
# Times for which the law's best model is shown at the end, seconds.
SHOWN_S = (600.0, 3_600.0, 28_800.0)
REMOVE = "Remove it and start the same sweep again: finished runs are kept."
# The picture: points of a line, and how many times beyond the longest run it goes on.
CURVE_POINTS, BEYOND = 80, 8.0

T = TypeVar("T")


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep. Raises ConfigError for impossible values."""

    name: str
    depth: int
    steps: int
    point: LossPoint | None = None
    """Its result; None before it is done."""

    def __post_init__(self) -> None:
        if (
            not 1 <= self.depth <= MAX_DEPTH
            or self.steps < 1
            or self.name != run_name(self.depth, self.steps)
        ):
            raise ConfigError(
                f"A sweep has no run {self.name!r} of depth {self.depth} and {self.steps} steps."
            )


def run_name(depth: int, steps: int) -> str:
    return f"d{depth}-s{steps}"


@dataclass(frozen=True)
class SweepPlan:
    """The runs of a sweep, as sweep.json keeps them. Raises ConfigError."""

    runs: tuple[SweepRun, ...]
    flops_per_s: float
    """Of the largest model, on this machine."""

    def __post_init__(self) -> None:
        require(
            0 < self.flops_per_s < math.inf, "flops_per_s", self.flops_per_s, "above 0 and finite"
        )


@dataclass(frozen=True)
class Sweep(SweepPlan):
    law: Law
    text: TextStats

    @property
    def points(self) -> list[LossPoint]:
        return [run.point for run in self.runs if run.point is not None]


def read_law(folder: Path) -> Law:
    """Raises ConfigError (no sweep, or not finished) and FormatError."""
    file = folder / SWEEP_FILE
    record = read_json_object(file) if file.is_file() else {}
    if "law" not in record:
        raise ConfigError(
            f"{folder} has no scaling law.", fix=f"Finish it: groundup sweep DATA --out {folder}"
        )
    law = _part(Law, record["law"], file, "law")
    if not all(0 < number < math.inf for number in np.hstack(list(asdict(law).values()))):
        raise FormatError(file, "law", "has a number that is not above 0 and finite")
    return law


def _part(kind: type[T], value: object, file: Path, place: str) -> T:
    """Raises FormatError."""
    if not isinstance(value, dict):
        raise FormatError(file, place, "is missing or is not a table", fix=REMOVE)
    try:
        return build_config(kind, value)
    except ConfigError as error:
        raise FormatError(file, place, error.message, fix=REMOVE) from error


@dataclass(frozen=True)
class SweepOptions:
    sizes: int
    """Number of models, of successive depths."""
    budget_s: float | None
    """For all runs together; None: `steps` is given."""
    steps: int | None = None
    """Of the longest run of each size."""
    seed: int = 0


@dataclass(frozen=True)
class _SweepInputs:
    """What all runs of a sweep share."""

    benchmark: Benchmark
    text: TextStats
    seed: int

    def candidate(self, depth: int, steps: int = 1) -> Candidate:
        """A size as this sweep trains it.

        On a CPU in float32: models so small gain nothing from bf16, and measuring that takes
        seconds.
        """
        found = candidate_of(depth, self.benchmark.tokenizer.vocab_size, self.text)
        precision: TrainPrecision = "auto"
        if self.benchmark.compute.is_cpu:
            precision = "float32"
        fit = replace(
            found.fit,
            steps=steps,
            evaluate_every=steps,
            checkpoints=replace(found.fit.checkpoints, every=steps),
            seed=self.seed,
            precision=precision,
        )
        return replace(found, fit=fit)

    def step_s(self, depth: int) -> float:
        return self.benchmark.trial(self.candidate(depth)).step_s


def sweep(
    shards: ShardSet,
    tokenizer: Tokenizer,
    folder: Path,
    asked: SweepOptions,
    *,
    compute: Compute,
    progress: Progress,
) -> Sweep:
    """Do the runs that are missing, fit the law, write sweep.json.

    Raises ConfigError (the budget is too short for them) and FormatError (sweep.json is damaged).
    """
    text = planner.text_stats(shards, tokenizer.special.document_end_id)
    inputs = _SweepInputs(Benchmark(shards, tokenizer, compute), text, asked.seed)
    file, known = folder / SWEEP_FILE, {**asdict(asked), "shards": shards.fingerprint}
    record = read_json_object(file) if file.is_file() else {}
    if record.get("asked") != known:
        record = {"asked": known, **asdict(_plan(inputs, asked))}
        write_json(file, record)
    plan = _part(
        SweepPlan,
        {name: record[name] for name in ("runs", "flops_per_s") if name in record},
        file,
        "runs",
    )
    expected = asked.sizes * len(LENGTHS)
    if len(plan.runs) != expected:
        raise FormatError(file, "runs", f"are {len(plan.runs)}, expected {expected}", fix=REMOVE)
    done = [_train(run, inputs, folder / RUNS / run.name, progress) for run in plan.runs]
    law = fit_law([run.point for run in done if run.point], LAW)
    write_json(file, {**record, "runs": [asdict(run) for run in done], "law": to_plain(law)})
    return Sweep(tuple(done), plan.flops_per_s, law, text)


def candidate_of(depth: int, vocab_size: int, text: TextStats) -> Candidate:
    """A size of the family with the reference's batch."""
    shape = shape_of_depth(depth, vocab_size=vocab_size)
    shape = shape_of_depth(
        depth, vocab_size=vocab_size, context_tokens=planner.fitting_context(shape, text)
    )
    return planner.family_candidate(shape, pretraining_config(1), {})


def _plan(inputs: _SweepInputs, asked: SweepOptions) -> SweepPlan:
    """Choose depths and steps: the given steps of the smallest sizes; or those that the budget has
    room for, of larger sizes on a faster machine.
    """
    depths, steps = range(planner.MIN_BLOCKS, planner.MIN_BLOCKS + asked.sizes), asked.steps
    if asked.budget_s is not None:
        depths, steps = _within(asked.budget_s, depths, inputs.step_s)
    assert steps is not None
    sizes = [(depth, max(1, round(share * steps))) for share in LENGTHS for depth in depths]
    runs = tuple(SweepRun(run_name(depth, count), depth, count) for depth, count in sizes)
    return SweepPlan(runs, inputs.candidate(depths[-1]).step_flops / inputs.step_s(depths[-1]))


def _within(budget_s: float, depths: range, step_s: Callable[[int], float]) -> tuple[range, int]:
    """Return depths, those given or larger, and steps of the longest runs for a time.

    Raises ConfigError where it is too short.
    """
    times_s = {depth: step_s(depth) for depth in depths}
    while True:
        each_step_s = sum(LENGTHS) * sum(times_s[depth] for depth in depths)
        steps = int(budget_s * (1 - BESIDE_STEPS_SHARE) / each_step_s)
        if steps <= MAX_STEPS or depths[-1] == MAX_DEPTH:
            break
        depths = range(depths[0] + 1, depths[-1] + 2)
        times_s[depths[-1]] = step_s(depths[-1])
    if steps * LENGTHS[0] < MIN_STEPS:
        needed = MIN_STEPS / LENGTHS[0] * each_step_s / (1 - BESIDE_STEPS_SHARE)
        message = f"A budget of {budget_s:g} s is too short for {len(depths)} sizes."
        raise ConfigError(message, fix=f"Give at least {math.ceil(needed)}s, or fewer `sizes`.")
    return depths, steps


def _train(run: SweepRun, inputs: _SweepInputs, folder: Path, progress: Progress) -> SweepRun:
    """The run with its result; a finished run is not trained again."""
    candidate, benchmark = inputs.candidate(run.depth, run.steps), inputs.benchmark
    progress.say(f"{run.name}: {candidate.parameters:,} parameters, {run.steps} steps")
    results = pretrain(
        benchmark.inputs(candidate),
        RunFolder(folder),
        compute=benchmark.compute,
        progress=progress,
    )
    per_token = inputs.text.bytes_per_token
    point = LossPoint(
        parameters=candidate.parameters,
        read_bytes=results.tokens * per_token,
        unique_bytes=float(inputs.text.num_bytes),
        batch_bytes=candidate.step_tokens * per_token,
        bits_per_byte=results.bits_per_byte,
    )
    return replace(run, point=point)


def best_for(found: Sweep, vocab_size: int) -> list[dict[str, Any]]:
    """Return the best model by the law for each time of SHOWN_S, at the FLOP/s of the largest run,
    as plain values.
    """
    shapes = planner.family(vocab_size, float("inf"))
    candidates = [candidate_of(shape.num_layers, vocab_size, found.text) for shape in shapes]
    rows = []
    for seconds in SHOWN_S:
        best = planner.choose(
            seconds,
            candidates,
            found.text,
            found.law,
            lambda each: Measured(each.step_flops / found.flops_per_s, 0.0),
        )[0]
        candidate, tokens = best.candidate, best.steps * best.candidate.step_tokens
        low, high = found.law.range(
            candidate.parameters, tokens * found.text.bytes_per_token, best.bits_per_byte
        )
        rows.append(
            {
                "minutes": seconds / 60,
                "shape": f"{candidate.shape.num_layers} x {candidate.shape.width}",
                "depth": candidate.shape.num_layers,
                "parameters": candidate.parameters,
                "steps": best.steps,
                "epochs": tokens / found.text.tokens,
                "bits_per_byte": best.bits_per_byte,
                "expected": f"{best.bits_per_byte:.2f} ({low:.2f} to {high:.2f})",
            }
        )
    return rows


def draw_sweep(found: Sweep) -> Any:
    """The picture of a sweep: loss against text read, a line of the law for each size, a dot for
    each run. Raises MissingExtra (matplotlib).
    """
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(WIDTH_INCHES, 4.6))
    sizes = sorted({point.parameters for point in found.points})
    end = BEYOND * max(point.read_bytes for point in found.points)
    shades = plt.get_cmap("viridis")
    for number, parameters in enumerate(sizes):
        colour = shades(0.82 * number / max(1, len(sizes) - 1))
        _draw_size(
            axes, found.law, [p for p in found.points if p.parameters == parameters], end, colour
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    axes.tick_params(axis="x", which="both", labelsize=SMALL_SIZE)
    axes.set_xlabel("text read, megabytes (repeats counted)", fontsize=LABEL_SIZE)
    axes.set_ylabel("bits per byte of held-out text", fontsize=LABEL_SIZE)
    axes.legend(frameon=False, fontsize=SMALL_SIZE, title="parameters", title_fontsize=SMALL_SIZE)
    plain(axes)
    return finish(
        figure, title="The loss by model size and amount of text", caption=_caption(found)
    )


def _draw_size(axes: Any, law: Law, points: list[LossPoint], end: float, colour: Any) -> None:
    """Dots for runs; the law solid between them, and dashed up to `end` bytes."""
    read = [point.read_bytes for point in points]
    inside = _curve(law, points[0], 0.9 * min(read), max(read))
    ahead = _curve(law, points[0], max(read), end)
    axes.plot(*inside, color=colour, linewidth=1.3)
    axes.plot(*ahead, color=colour, linewidth=1.0, linestyle="--")
    losses = [point.bits_per_byte for point in points]
    axes.plot(
        [b / 1e6 for b in read],
        losses,
        "o",
        color=colour,
        markersize=4.5,
        label=f"{points[0].parameters:,}",
    )


def _curve(law: Law, point: LossPoint, low: float, high: float) -> tuple[list[float], list[float]]:
    """Megabytes and expected loss of one size, evenly spaced on a logarithmic axis."""
    read = [low * (high / low) ** (i / (CURVE_POINTS - 1)) for i in range(CURVE_POINTS)]
    losses = [law.expected(replace(point, read_bytes=num_bytes)) for num_bytes in read]
    return [num_bytes / 1e6 for num_bytes in read], losses


def _caption(found: Sweep) -> str:
    within = 100 * math.expm1(2 * found.law.spread)
    return (
        f"Dots: {len(found.points)} runs, each trained to its end. Lines: the law fitted to them, "
        f"{found.law.words()} (Hoffmann et al. 2022), dashed beyond the longest run. Each run is "
        f"predicted from the others within {within:.0f} % (two standard deviations)."
    )
