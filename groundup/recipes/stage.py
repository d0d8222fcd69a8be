"""A stage of a build: its name, inputs, outputs, share of the budget, and a function from a context
to a result.

Each file in `stages/` defines one `STAGE`, or `stage(name, share)` where a recipe may have several.
A stage's `version` is raised whenever its result changes, so that older builds run it again.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup.data.reading.source_files import Source, content_hash
from groundup.device import Compute
from groundup.errors import GroundupError
from groundup.progress import Progress
from groundup.recipes.downloads import Download
from groundup.recipes.named_stages import N
from groundup.recipes.recipe import Recipe
from groundup.weights.model_io import OpenModel, open_model

BASE, CHAT = "base", "fine-tuned"
# Of a stage's time, what a measurement beside its work may take where none is left.
EXTRA_SHARE = 0.1


# Of a model that a stage makes, what later stages read.
MODEL_FILES = ("model.safetensors", "config.json", "tokenizer*.json", "results.json")


def source_content(source: Source) -> dict[str, str]:
    """Return the `outside` of a stage that reads one source: its hash, by its spec."""
    return {source.spec: content_hash(source)}


@dataclass(frozen=True)
class StageResult:
    """The result of a stage: one line for people, facts for scripts, notes on figures from little
    data (thin).
    """

    line: str
    facts: dict[str, Any] = field(default_factory=dict)
    thin: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageContext:
    """The input of a stage.

    `seconds` is its share of the budget, `folder` its own inside `build`; `spare_s`: what was left
    of the whole build's time at its start, but for the least that later stages have.
    """

    folder: Path
    build: Path
    recipe: Recipe
    seconds: float
    compute: Compute
    progress: Progress
    sizes: dict[str, int]
    record: Callable[[], None]
    spare_s: float = 0.0

    @property
    def name(self) -> str:
        return self.folder.name

    def table(self, kind: type[N]) -> N:
        """Return the table of a stage with a name of its own."""
        return self.recipe.of_kind(kind)[self.name]

    def models(self, chat: str) -> dict[str, OpenModel]:
        folders = {BASE: self.build / "base", CHAT: self.build / chat}
        return {name: open_model(folder, self.compute) for name, folder in folders.items()}

    def note(self, what: str, error: GroundupError, way: str) -> str:
        """Say what a stage went on without and why, and return it; `way`: "them", "it"."""
        note = f"{what}: {error.message} With {way}: redo {self.name}."
        self.progress.say(f"      note: {note}")
        return note

    @property
    def seed(self) -> int:
        return self.recipe.seed

    def fix(self, name: str, measure: Callable[[], float]) -> int:
        """Return a number that depends on the machine's speed (steps, messages): measured once,
        stored in build.json.

        A resumed build therefore does the same work, however busy the machine is then; only
        pretraining changes its steps during the run to keep its time budget
        (`train.monitor.time_budget`).
        """
        if name not in self.sizes:
            self.sizes[name] = max(1, int(measure()))
            self.record()
        return self.sizes[name]

    def lack_of_time(self, name: str, needed_s: float, started: float) -> str:
        """Return why something more is not measured; "" where there is time: that much is left of
        the build's, or it takes a tenth of the stage's. Decided once, by `name`.
        """
        left_s = max(self.seconds, self.spare_s) - (time.monotonic() - started)
        fits = needed_s <= max(left_s, EXTRA_SHARE * self.seconds)
        if self.fix(name, lambda: 1 + fits) == 2:
            return ""
        return f"it would have taken about {needed_s:.0f} s, and {max(0, left_s):.0f} s were left"


@dataclass(frozen=True)
class Stage:
    name: str
    version: int
    run: Callable[[StageContext], StageResult]
    share: float
    """Of the budget."""
    describe: Callable[[Recipe], str] = lambda recipe: ""
    """What it will do, in one line for the dry run."""
    memory_bytes: Callable[[Recipe], float] = lambda recipe: 0.0
    """The most that it will hold at once beside the program itself, where that is worth an
    estimate.
    """
    disk_bytes: Callable[[Recipe], float] = lambda recipe: 0.0
    """What it will leave in the build's folder, likewise."""
    needs: tuple[str, ...] = ()
    """Stages whose outputs it reads."""
    outputs: tuple[str, ...] = ()
    """Globs of the files that later stages read: their hashes are the keys of those stages."""
    sized_by_budget: bool = False
    """Whether a longer budget gives another result."""
    most_s: float = math.inf
    """It can't use a longer time."""
    outside: Callable[[Recipe], Mapping[str, str]] = lambda recipe: {}
    """Hashes of what it reads from outside the build, by name."""
    downloads: Callable[[Recipe], Sequence[Download]] = lambda recipe: ()
    """Of what it reads, that on other machines."""
    has_folder: bool = True
    """Whether it has a folder with a manifest (the report is a file beside the folders)."""
    kind: str = ""
    """What it makes, where that is not its name: "classifier" of `spam`."""


def stage_seconds(stages: Sequence[Stage], seconds: float) -> dict[str, float]:
    """Return what each stage is given of the time, in proportion to their shares; what is more than
    its `most_s` goes to the others.
    """
    found: dict[str, float] = {}
    while True:
        free = [stage for stage in stages if stage.name not in found]
        left_s, whole = seconds - sum(found.values()), sum(stage.share for stage in free)
        given = {stage.name: stage.share / whole * left_s for stage in free}
        over = {stage.name: stage.most_s for stage in free if stage.most_s < given[stage.name]}
        if not over:
            return found | given
        found |= over
