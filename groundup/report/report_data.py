"""The data of the page, read once from a folder. A missing file is empty; a damaged one is listed in `damaged` and skipped.

read_report_data(build folder)   recipe.toml, build.json and the files of each stage
read_report_data(run folder)     run.json and the files next to it: one training run
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from groundup.config import read_toml
from groundup.errors import ConfigError, FormatError
from groundup.files import read_json
from groundup.report.downsampling import DownsampledCurve, EvenSample
from groundup.report.values import JsonObject, number, table, tables, text, texts
from groundup.runs import RunFolder, read_lines

# The stage that makes the page is still running meanwhile; it is left out, so that a page made later is the same.
OWN_STAGE = "report"


@dataclass(frozen=True)
class Stage:
    """One stage of a build, from build.json."""

    name: str
    record: JsonObject

    @property
    def status(self) -> str:
        return text(self.record, "status") or "unknown"

    @property
    def line(self) -> str:
        return text(self.record, "line")

    @property
    def planned_s(self) -> float | None:
        return number(self.record, "planned_s")

    @property
    def elapsed_s(self) -> float | None:
        return number(self.record, "elapsed_s")

    @property
    def peak_memory_bytes(self) -> float | None:
        return number(self.record, "peak_memory_bytes")

    @property
    def thin(self) -> list[str]:
        return texts(self.record, "thin")


@dataclass(frozen=True)
class RunRecord:
    """The files of a run folder: provenance and config, metrics, samples, results."""

    run: JsonObject = field(default_factory=dict)
    results: JsonObject = field(default_factory=dict)
    losses: list[tuple[float, float]] = field(default_factory=list)  # (step, training loss)
    evaluations: list[JsonObject] = field(default_factory=list)
    samples: list[JsonObject] = field(default_factory=list)
    last_step: JsonObject = field(default_factory=dict)


@dataclass(frozen=True)
class ReportData:
    """The files of a build or of a single run."""

    name: str
    is_build: bool
    build: JsonObject = field(default_factory=dict)
    recipe: JsonObject = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)
    data: JsonObject = field(default_factory=dict)
    tokenizer: JsonObject = field(default_factory=dict)
    base: JsonObject = field(default_factory=dict)
    evaluate: JsonObject = field(default_factory=dict)
    export: JsonObject = field(default_factory=dict)
    attention: JsonObject = field(default_factory=dict)
    pretrain: RunRecord = field(default_factory=RunRecord)
    spam: RunRecord = field(default_factory=RunRecord)
    chat: RunRecord = field(default_factory=RunRecord)
    damaged: list[str] = field(default_factory=list)

    @property
    def elapsed_s(self) -> float | None:
        """Total seconds of all stages, or None before the first has ended."""
        spent = [stage.elapsed_s for stage in self.stages if stage.elapsed_s is not None]
        return sum(spent) if spent else None

    @property
    def texts(self) -> str:
        """How the page refers to the texts of stage 1: "these texts" for packaged ones, else "your texts"."""
        specs = [text(source, "spec") for source in tables(self.recipe, "data", "sources")]
        return "these texts" if specs and all(spec.startswith("pypi:") for spec in specs) else "your texts"

    def stage(self, name: str) -> Stage | None:
        """The stage of that name, if build.json has it."""
        return next((stage for stage in self.stages if stage.name == name), None)


def read_report_data(folder: Path) -> ReportData:
    """Read a build folder or a run folder. Raises FormatError when it is neither."""
    if (folder / "build.json").is_file() or (folder / "recipe.toml").is_file():
        return _read_build(folder)
    if (folder / "run.json").is_file():
        return _read_single_run(folder)
    problem = "does not exist"
    if folder.exists():
        problem = "has neither build.json nor run.json" if folder.is_dir() else "is not a folder"
    fix = "Give the folder of a build (runs/NAME) or of one of its training stages."
    raise FormatError(folder, "folder", problem, fix=fix)


def _read_build(folder: Path) -> ReportData:
    reader = _Reader(folder)
    build = reader.json("build.json")
    stages = {name: record for name, record in table(build, "stages").items() if isinstance(record, dict)}
    return ReportData(
        name=text(build, "recipe") or folder.resolve().name,
        is_build=True,
        build=build,
        recipe=reader.toml("recipe.toml"),
        stages=[Stage(name, record) for name, record in stages.items() if name != OWN_STAGE],
        data=reader.json("data/data.json"),
        tokenizer=reader.json("tokenizer/report.json"),
        base=reader.json("base/manifest.json"),
        evaluate=reader.json("evaluate/results.json"),
        export=reader.json("export/results.json") or _failed_gate(reader),
        attention=reader.json("evaluate/attention.json"),
        pretrain=reader.run("pretrain"),
        spam=reader.run("spam"),
        chat=reader.run("chat"),
        damaged=reader.damaged,
    )


def _failed_gate(reader: "_Reader") -> JsonObject:
    """The record of a failed parity gate: a failed export has no folder."""
    failed = reader.json("gate-failed.json")
    return {"gates": [failed]} if failed else {}


def _read_single_run(folder: Path) -> ReportData:
    reader = _Reader(folder)
    record = reader.run(".")
    kind = text(record.run, "kind")
    alone = ReportData(name=folder.resolve().name, is_build=False, damaged=reader.damaged)
    if kind == "classifier":
        return replace(alone, spam=record)
    return replace(alone, chat=record) if kind == "chat" else replace(alone, pretrain=record)


class _Reader:
    """Reads the files of one folder and lists those that could not be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: list[str] = []

    def json(self, name: str) -> JsonObject:
        """A JSON object, or an empty dict."""
        path = self.folder / name
        if not path.is_file():
            return {}
        try:
            value = read_json(path)
        except FormatError as error:
            self.damaged.append(f"{name}: {error.place}: {error.reason}")
            return {}
        if not isinstance(value, dict):
            self.damaged.append(f"{name}: top: is not a JSON object")
            return {}
        return value

    def toml(self, name: str) -> JsonObject:
        """A TOML table, or an empty dict."""
        if not (self.folder / name).is_file():
            return {}
        try:
            return read_toml(self.folder / name)
        except ConfigError:
            self.damaged.append(f"{name}: is not TOML")
            return {}

    def run(self, name: str) -> RunRecord:
        """A run folder below this one."""
        run = RunFolder(self.folder / name)
        losses, evaluations, last = _read_metrics(run.metrics_file)
        return RunRecord(
            run=self.json(f"{name}/{run.run_file.name}"),
            results=self.json(f"{name}/{run.results_file.name}"),
            losses=losses,
            evaluations=evaluations,
            samples=_read_samples(run.samples_file),
            last_step=last,
        )


def _read_metrics(path: Path) -> tuple[list[tuple[float, float]], list[JsonObject], JsonObject]:
    curve, evaluations, last = DownsampledCurve(), EvenSample(), {}
    for record in read_lines(path):
        step, loss = number(record, "step"), number(record, "loss")
        if record.get("event") == "evaluation":
            evaluations.add(record)
        elif "event" not in record and step is not None and loss is not None:
            curve.add(step, loss)
            last = record
    return curve.points(), evaluations.records(), last


def _read_samples(path: Path) -> list[JsonObject]:
    kept = EvenSample()
    for record in read_lines(path):
        kept.add(record)
    return kept.records()
