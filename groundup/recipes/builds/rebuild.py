"""A build made again from its recipe and texts, and compared: `groundup verify --rebuild BUILD`.

    BUILD/recipe.toml, build.json -> the stages that make something, in a temporary folder
        -> each file of a stage against the first build's, byte for byte, up to one that differs

What was measured for the first build is not measured again: numbers of steps and of examples come
from build.json, the precision and the changes of a pretraining run from its folder (`reproduce`).
Precision, threads and compilation of other training are the same only where the build was made with
`--fixed-choices`; bits are promised for the same instruction set, packages and number of threads
alone.

Not compared: what holds times (RECORDS), and the stages that only measure (MEASURE). Of an index,
whose file differs with the moments of its commits, the passages with their hashes are compared; of
an adapter's two files that say where its base lies all but the folder of that place.
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from groundup.device import Compute, choose_threads, release_memory, select_compute
from groundup.errors import ConfigError
from groundup.files import read_json_object, read_manifest, require_free_bytes
from groundup.locks import temporary_folder
from groundup.planning.reproduce import reproduce
from groundup.progress import Progress, StageProgress, stage_of
from groundup.recipes.builds.build import changed_parts, digest, key_parts
from groundup.recipes.builds.pipeline import stages_of
from groundup.recipes.recipe import Recipe, load_recipe
from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.retrieve.index import INDEX_FILE, Index
from groundup.runs import (
    BUILD_FILE,
    RECIPE_FILE,
    BuildResults,
    BuiltStage,
    RunFolder,
    provenance,
    read_build,
)
from groundup.weights.verify import ADAPTER_CONFIG, BASE_FILE

FIXED = "fixed"
PRETRAIN = "pretrain"
# Stages whose results are figures and pages.
MEASURE = ("evaluate", "answers", "summaries", "report")
# Files that hold times, and those that say in words what others hold.
RECORDS = {
    *("results.json", "run.json", "fit.json", "plan.json", "metrics.jsonl", "report.html"),
    *("README.md", "data.json", "shards.json", "evidence.json", "card.json"),
}
# In an adapter's two JSON files the path of the model that it is of.
BASE_FIELDS = {"base", "base_model_name_or_path"}
RECORD_FOLDERS = {"checkpoints", "snapshots", "logs", "learning-rates"}


@dataclass(frozen=True)
class Rebuilt:
    """What became of a build that was made again."""

    stages: tuple[str, ...]
    """Those that were made and compared."""
    files: int
    """Of these, the files that are the same byte for byte."""
    stage: str = ""
    """The first stage that differs; "": none."""
    file: str = ""
    """The first file of it that differs."""
    differences: tuple[str, ...] = ()
    """What differs between then and now, by which bits may differ."""

    @property
    def same(self) -> bool:
        return not self.stage


def rebuild(build: Path, compute: Compute, progress: Progress) -> Rebuilt:
    """Make a build again beside it and compare; the build itself is only read.

    `compute`: as the build was made with (`made_with_fixed_choices`). Raises ConfigError where it
    is not whole, or its texts, recipe or code are not those that it was made from; DiskError, and
    what its stages raise.
    """
    results, recipe = read_build(build), load_recipe(str(build / RECIPE_FILE))
    stages = [stage for stage in stages_of(recipe) if _kind(stage) not in MEASURE]
    _require_unchanged(build, results, recipe, stages, fixed=compute.fixed_choices)
    differences = tuple(differences_of(results, compute))
    for each in differences:
        progress.say(f"note: bits may differ: {each}")
    elapsed_s = [results.stages[stage.name].elapsed_s for stage in stages]
    files = 0
    require_free_bytes(build, _bytes_of(build, stages))
    with temporary_folder(build.absolute().parent) as again:
        for number, stage in enumerate(stages):
            left = f"about {sum(elapsed_s[number:]) / 60:.0f} min left"
            title = f"[{number + 1}/{len(stages)}] {stage.name}, {left}"
            with stage_of(progress, title) as shown:
                _make(stage, results.stages[stage.name], recipe, build, again, compute, shown)
                same, differing = compare_stage(build / stage.name, again / stage.name)
                files += same
                shown.end(f"{same} files are the same")
            if differing:
                made = tuple(each.name for each in stages[: number + 1])
                return Rebuilt(made, files, stage.name, differing, differences)
    return Rebuilt(tuple(stage.name for stage in stages), files, differences=differences)


def rebuild_recorded(build: Path, progress: Progress) -> Rebuilt:
    """`rebuild` with the choices that the build was made with. Raises ConfigError for what is no
    build, too.
    """
    if not (build / BUILD_FILE).is_file():
        raise ConfigError(
            f"{build} is no build, so there is no recipe to make it again from.",
            fix="Give a build's folder. Of a pretraining run: groundup pretrain --again RUN --out NEW.",
        )
    compute = select_compute(fixed_choices=made_with_fixed_choices(read_build(build)))
    try:
        return rebuild(build, compute, progress)
    except KeyboardInterrupt:
        progress.say(f"Stopped: {build} is as it was, and what was made for comparison is removed.")
        raise


def rebuild_lines(build: Path, made: Rebuilt) -> list[str]:
    """Return what came of it, in sentences."""
    count = f"{made.files:,} files of {', '.join(made.stages)}"
    lines = [f"Made again: {count} are the same byte for byte."]
    if not made.same:
        lines = [f"Made again: {count} are the same; {made.stage}/{made.file} is not."]
    if made.differences:
        lines.append(f"Bits may differ: {'; '.join(made.differences)}.")
    return lines


def made_with_fixed_choices(results: BuildResults) -> bool:
    """Whether nothing but amounts was chosen by measuring."""
    return all(stage.key_parts.get("choices") == FIXED for stage in results.stages.values())


def _kind(stage: Stage) -> str:
    return stage.kind or stage.name


def _require_unchanged(
    build: Path, results: BuildResults, recipe: Recipe, stages: Sequence[Stage], *, fixed: bool
) -> None:
    """Raise ConfigError, naming the stage and what changed, where a build can't be made again."""
    for stage in stages:
        built = results.stages.get(stage.name)
        if built is None or built.status != "done":
            fix = "Let it end: the same command goes on from there."
            raise ConfigError(f"The stage {stage.name} of {build} is not done.", fix=fix)
        now = key_parts(stage, recipe, results)
        if fixed:
            now["choices"] = FIXED
        if digest(now) == built.key:
            continue
        what = changed_parts(built.key_parts, now)
        named = ", ".join(_changed_outside(built, now))
        if named:
            what += f" ({named})"
        raise ConfigError(
            f"{build} can't be made again: {what} changed since its stage {stage.name} was made.",
            fix="Put it back as it was, or build anew: the same command makes what changed.",
        )


def _changed_outside(built: BuiltStage, now: Mapping[str, object]) -> Iterator[str]:
    before, after = built.key_parts.get("outside"), now["outside"]
    assert isinstance(before, Mapping) and isinstance(after, Mapping)
    for name in {**before, **after}:
        if before.get(name) != after.get(name):
            yield str(name)


def differences_of(results: BuildResults, compute: Compute) -> Iterator[str]:
    """Yield what differs between the build's record and now that may change the last bits, one
    phrase each.
    """
    now = provenance()
    before = {"groundup": results.groundup, "Python": results.python, **results.packages}
    after = {"groundup": now.groundup, "Python": now.python, **now.packages}
    machine = {**now.machine, **compute.arithmetic()}
    for name in ("processor", "instruction_set", "cores", "threads"):
        if name in results.machine:
            before[name], after[name] = str(results.machine[name]), str(machine.get(name))
        else:
            yield f"the build does not record its {name.replace('_', ' ')}"
    for name, value in before.items():
        if after.get(name) != value:
            yield f"{name.replace('_', ' ')} was {value}, now {after.get(name, 'missing')}"
    if not compute.fixed_choices:
        yield "precision and threads were chosen by measuring (no --fixed-choices)"


def _bytes_of(build: Path, stages: Sequence[Stage]) -> int:
    entries = (read_manifest(build / stage.name)["files"].values() for stage in stages)
    return sum(int(entry["bytes"]) for listed in entries for entry in listed)


def _make(
    stage: Stage,
    built: BuiltStage,
    recipe: Recipe,
    build: Path,
    again: Path,
    compute: Compute,
    shown: StageProgress,
) -> StageResult | None:
    """Run a stage as it was run, with the numbers that were measured then."""
    choose_threads(compute)
    folder = again / stage.name
    try:
        if stage.name == PRETRAIN:
            reproduce(RunFolder(build / PRETRAIN), RunFolder(folder), compute, shown, fresh=False)
            return None
        context = StageContext(
            folder, again, recipe, built.planned_s, compute, shown, dict(built.sizes), lambda: None
        )
        return stage.run(context)
    finally:
        gc.collect()
        release_memory()


def compare_stage(before: Path, after: Path) -> tuple[int, str]:
    """Return how many files of two stage folders are the same, and the first that differs, is
    missing or new; "": none.
    """
    files = [read_manifest(folder)["files"] for folder in (before, after)]
    count = 0
    for name in sorted({*files[0], *files[1]}):
        path = Path(name)
        if path.name in RECORDS or {*path.parts} & RECORD_FOLDERS:
            continue
        hashes = [listed.get(name, {}).get("sha256") for listed in files]
        same = hashes[0] == hashes[1]
        if not same and None not in hashes:
            if name == INDEX_FILE:
                same = _same_passages(before, after)
            elif path.name in (ADAPTER_CONFIG, BASE_FILE):
                same = _without_place(before / name) == _without_place(after / name)
        if not same:
            return count, name
        count += 1
    return count, ""


def _without_place(file: Path) -> dict[str, object]:
    """Return what an adapter's JSON says, of the place of its base the last part alone: a build
    that is made again lies elsewhere.
    """
    found = read_json_object(file)
    return found | {name: Path(str(found[name])).name for name in BASE_FIELDS & found.keys()}


def _same_passages(before: Path, after: Path) -> bool:
    """Whether two indexes have the same passages in the same order; each has a hash of its own."""
    query = "SELECT id, hash FROM passage_hash ORDER BY id"
    with Index(before) as first, Index(after) as second:
        return first.rows(query) == second.rows(query)
