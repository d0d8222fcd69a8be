"""The files of a folder, as the chapters ask for them. A missing file is empty; a damaged one is
listed in `damaged`.

read_report_data(build folder)   recipe.toml, build.json and the files of each stage
read_report_data(run folder)     run.json and the files next to it: one training run
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup.config import read_toml
from groundup.errors import ConfigError, FormatError
from groundup.files import read_json
from groundup.language.page_texts import say
from groundup.report.downsampling import DownsampledCurve, EvenSample
from groundup.report.values import JsonObject, number, numbers, table, tables, text, texts
from groundup.runs import RunFolder, read_lines

# The stage that makes the page is still running meanwhile; it is left out, so that a page made
# later is the same.
OWN_STAGE = "report"
# The kinds of training runs in their run.json; one of a later version is shown as the first.
RUN_KINDS = ("pretrain", "chat", "classifier", "preference", "reward")
# The stage of a build that goes on with a model, and the kind of such runs.
CONTINUED = "teach"


class StageRecord:
    """One stage of a build, from build.json."""

    def __init__(self, name: str, record: JsonObject) -> None:
        self.name, self.record = name, record
        self.status, self.line = text(record, "status") or "unknown", text(record, "line")
        figures = (number(record, key) for key in ("planned_s", "elapsed_s", "peak_memory_bytes"))
        self.planned_s, self.elapsed_s, self.peak_memory_bytes = figures
        self.thin = texts(record, "thin")


@dataclass(frozen=True)
class RunRecord:
    """The files of a run folder: provenance and config, metrics, samples, results."""

    run: JsonObject = field(default_factory=dict)
    results: JsonObject = field(default_factory=dict)
    losses: list[tuple[float, float]] = field(default_factory=list)  # (step, training loss)
    evaluations: list[JsonObject] = field(default_factory=list)
    samples: list[JsonObject] = field(default_factory=list)
    last_step: JsonObject = field(default_factory=dict)
    choices: JsonObject = field(default_factory=dict)
    """fit.json: precision and compilation, with the seconds a step that decided them."""
    rounds: list[JsonObject] = field(default_factory=list)
    """The lines of steps whose answers were sampled."""


class ReportData:
    """A build or a single run. Each file is read when it is first asked for, and once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_build = (folder / "build.json").is_file() or (folder / "recipe.toml").is_file()
        self.damaged: list[str] = []
        """The files asked for so far that could not be read, each with the reason."""
        self._tables: dict[str, JsonObject] = {}
        self._runs: dict[str, RunRecord] = {}
        self.build = self.json("build.json")
        self.recipe: JsonObject = {}
        if self.is_build:
            self.recipe = self._table("recipe.toml", read_toml)
        self.name = text(self.build, "recipe") or folder.resolve().name
        self.stages = [
            StageRecord(name, record)
            for name, record in table(self.build, "stages").items()
            if isinstance(record, dict) and name != OWN_STAGE
        ]
        self.kinds = self._kinds()
        """The stages that this build has or will have, and what each makes; of a single run
        itself.
        """

    def json(self, name: str) -> JsonObject:
        """A JSON object of the build ("evaluate/results.json"), or an empty one."""
        if not self.is_build:
            return {}
        return self._table(name, read_json)

    # The results of stages that train no model.

    @property
    def data_card(self) -> JsonObject:
        return self.json("data/data.json")

    @property
    def tokenizer(self) -> JsonObject:
        return self.json("tokenizer/report.json")

    @property
    def evaluation(self) -> JsonObject:
        return self.json("evaluate/results.json")

    @property
    def suites(self) -> JsonObject:
        return self.json("evaluate/suites.json")

    @property
    def attention(self) -> JsonObject:
        return self.json("evaluate/attention.json")

    @property
    def export(self) -> JsonObject:
        """The files and gates of the stage; of a failed export, which has no folder, the failed
        gate.
        """
        found, failed = self.json("export/results.json"), self.json("gate-failed.json")
        if found or not failed:
            return found
        return {"gates": [failed]}

    def chat_evaluation(self, stage: str) -> JsonObject:
        """What was measured of a chat model; that of the first is the evaluation itself."""
        if self.of_kind("chat")[:1] == [stage]:
            return self.evaluation
        return table(self.evaluation, "chats", stage)

    def facts(self, stage: str) -> JsonObject:
        return table(self.build, "stages", stage, "facts")

    def of_kind(self, kind: str) -> list[str]:
        """The stages that make such things: "classifier", "chat"."""
        return [name for name, made in self.kinds.items() if made == kind]

    def run(self, stage: str) -> RunRecord:
        """The training run of a stage; in a single run's folder, whose stage is named like its
        kind, an empty one for any other.
        """
        if not self.is_build and stage not in self.kinds:
            return RunRecord()
        if stage not in self._runs:
            self._runs[stage] = self._read_run(stage)
        return self._runs[stage]

    def _kinds(self) -> dict[str, str]:
        if self.is_build:
            kinds = table(self.build, "kinds")
            return {name: kind for name, kind in kinds.items() if isinstance(kind, str)}
        run = self._table("./run.json", read_json)
        kind = text(run, "kind")
        if kind not in RUN_KINDS:
            kind = RUN_KINDS[0]
        if kind == "pretrain" and table(run, "inputs", "start"):
            kind = CONTINUED
        return {kind: kind}

    def stage(self, name: str) -> StageRecord | None:
        """The stage of that name, if build.json has it."""
        return next((stage for stage in self.stages if stage.name == name), None)

    @property
    def elapsed_s(self) -> float | None:
        """Total seconds of all stages, or None before the first has ended."""
        spent = [stage.elapsed_s for stage in self.stages if stage.elapsed_s is not None]
        if not spent:
            return None
        return sum(spent)

    @property
    def texts(self) -> str:
        """How the page refers to the texts of stage 1: "these texts" for packaged ones, else
        "your texts".
        """
        specs = [text(source, "spec") for source in tables(self.recipe, "data", "sources")]
        if specs and all(spec.startswith("pypi:") for spec in specs):
            return say("these texts")
        return say("your texts")

    @property
    def base_name(self) -> str:
        """The name of the pulled model, or "a public model"."""
        pulled = text(self.json("base/manifest.json"), "pulled")
        return pulled or text(self.recipe, "base", "model") or say("a public model")

    def _read_run(self, stage: str) -> RunRecord:
        name = "."
        if self.is_build:
            name = stage
        run = RunFolder(self.folder / name)
        curve, evaluations, samples, last = DownsampledCurve(), EvenSample(), EvenSample(), {}
        rounds = EvenSample()
        for record in read_lines(run.metrics_file):
            step, loss = numbers(record, "step", "loss")
            if record.get("event") == "evaluation":
                evaluations.add(record)
            elif "event" not in record and step is not None and loss is not None:
                curve.add(step, loss)
                last = record
                if "reward" in record:
                    rounds.add(record)
        for record in read_lines(run.samples_file):
            samples.add(record)
        provenance, results, choices = (
            self._table(f"{name}/{file.name}", read_json)
            for file in (run.run_file, run.results_file, run.fit_file)
        )
        return RunRecord(
            provenance,
            results,
            curve.points(),
            evaluations.records(),
            samples.records(),
            last,
            choices,
            rounds.records(),
        )

    def _table(self, name: str, read: Callable[[Path], Any]) -> JsonObject:
        """The table of a file; an empty one where it is missing or damaged."""
        if name not in self._tables:
            self._tables[name] = {}
            path = self.folder / name
            problem = "top: is not a JSON object"
            try:
                value = read(path) if path.is_file() else {}
                if isinstance(value, dict):
                    self._tables[name], problem = value, ""
            except FormatError as error:
                problem = f"{error.place}: {error.reason}"
            except ConfigError:
                problem = "is not TOML"
            if problem:
                self.damaged.append(f"{name}: {problem}")
        return self._tables[name]


def read_report_data(folder: Path) -> ReportData:
    """Read a build folder or a run folder. Raises FormatError when it is neither."""
    report = ReportData(folder)
    if report.is_build or (folder / "run.json").is_file():
        return report
    problem = "has neither build.json nor run.json"
    if not folder.exists():
        problem = "does not exist"
    elif not folder.is_dir():
        problem = "is not a folder"
    fix = "Give the folder of a build (runs/NAME) or of one of its training stages."
    raise FormatError(folder, "folder", problem, fix=fix)
