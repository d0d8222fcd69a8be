"""The build's promises, kept with small real stages: nothing is done twice, nothing altered is built on, a kill loses nothing."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import torch

from groundup.cli.console import PlainStage
from groundup.cli.main import run
from groundup.device import Compute, keep_freed_memory, memory_bytes
from groundup.errors import ConfigError, DataError, FormatError
from groundup.files import atomic_folder, read_json, write_json
from groundup.migrations import BUILD
from groundup.progress import Silent, StageProgress
from groundup.recipes.build_config import BuildConfig
from groundup.recipes.builds.build import LOG_FILE, build
from groundup.recipes.recipe import Recipe, load_recipe
from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.runs import BuildResults
from groundup.weights.verify import verify_path

CPU = Compute(torch.device("cpu"))


class FakePipeline:
    """Two stages that write files and remember how often each ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.fail_in: str | None = None
        self.measured = 7

    def stages(self, *, tokenizer_version: int = 1) -> list[Stage]:
        return [
            Stage(
                "data",
                1,
                self.writer("data", lambda c: c.recipe.data.text),
                0.1,
                outputs=("*.txt",),
            ),
            Stage(
                "tokenizer",
                tokenizer_version,
                self.writer(
                    "tokenizer",
                    lambda c: (
                        (c.build / "data" / "out.txt").read_text()
                        + str(c.recipe.tokenizer.vocab_size)
                    ),
                ),
                0.2,
                needs=("data",),
                outputs=("*.txt",),
                sized_by_budget=True,
            ),
        ]

    def writer(
        self, name: str, text: Callable[[StageContext], str]
    ) -> Callable[[StageContext], StageResult]:
        def run(context: StageContext) -> StageResult:
            self.ran.append(name)
            steps = context.fix("steps", lambda: self.measured)
            if self.fail_in == name:
                raise DataError("planted")
            with atomic_folder(context.folder) as folder:
                (folder / "out.txt").write_text(text(context))
            return StageResult(f"{name} done", {"steps": steps})

        return run

    def build(
        self,
        out: Path,
        recipe: Recipe,
        *,
        fresh: bool = False,
        redo: Sequence[str] = (),
        tokenizer_version: int = 1,
    ) -> BuildResults:
        self.ran.clear()
        stages = self.stages(tokenizer_version=tokenizer_version)
        return build(recipe, out, stages, compute=CPU, progress=Silent(), fresh=fresh, redo=redo)


@pytest.fixture
def pipeline() -> FakePipeline:
    return FakePipeline()


def recipe(*sets: str) -> Recipe:
    return load_recipe("quickstart", BuildConfig(settings=sets))


def test_second_build_redoes_nothing(pipeline: FakePipeline, tmp_path: Path) -> None:
    pipeline.build(tmp_path / "b", recipe())
    assert pipeline.ran == ["data", "tokenizer"]
    pipeline.build(tmp_path / "b", recipe())
    assert pipeline.ran == []


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ("tokenizer.vocab_size=512", ["tokenizer"]),
        ("data.text=body", ["data", "tokenizer"]),
        ("data.strict=true", ["data"]),  # the same text comes out: what hangs on it stays
        ("budget=20m", ["tokenizer"]),
        ("seed=5", ["data", "tokenizer"]),
        ("export.prompts=3", []),
    ],
)
def test_changed_field_redoes_its_stage_and_what_hangs_on_it(
    pipeline: FakePipeline, tmp_path: Path, change: str, again: list[str]
) -> None:
    pipeline.build(tmp_path / "b", recipe())
    pipeline.build(tmp_path / "b", recipe(change))
    assert pipeline.ran == again


def test_raised_version_redoes_the_stage(pipeline: FakePipeline, tmp_path: Path) -> None:
    pipeline.build(tmp_path / "b", recipe())
    pipeline.build(tmp_path / "b", recipe(), tokenizer_version=2)
    assert pipeline.ran == ["tokenizer"]


def test_failed_stage_keeps_what_was_done_and_its_measured_sizes(
    pipeline: FakePipeline, tmp_path: Path
) -> None:
    pipeline.fail_in = "tokenizer"
    with pytest.raises(DataError):
        pipeline.build(tmp_path / "b", recipe())
    record = read_json(tmp_path / "b" / "build.json")
    assert record["stages"]["tokenizer"]["status"] == "failed"
    pipeline.fail_in, pipeline.measured = (
        None,
        1000,
    )  # the machine is faster now: the same work is done all the same
    results = pipeline.build(tmp_path / "b", recipe())
    assert pipeline.ran == ["tokenizer"]
    assert results.stages["tokenizer"].facts == {"steps": 7}


def test_altered_output_is_refused_and_redo_mends_it(
    pipeline: FakePipeline, tmp_path: Path
) -> None:
    out = tmp_path / "b"
    pipeline.build(out, recipe())
    (out / "data" / "out.txt").write_text("Text")
    with pytest.raises(FormatError, match="altered") as caught:
        pipeline.build(out, recipe())
    assert "`redo` data" in caught.value.fix
    pipeline.build(out, recipe(), redo=["data"])
    assert pipeline.ran == ["data"]


def test_fresh_starts_again(pipeline: FakePipeline, tmp_path: Path) -> None:
    pipeline.build(tmp_path / "b", recipe())
    pipeline.build(tmp_path / "b", recipe(), fresh=True)
    assert pipeline.ran == ["data", "tokenizer"]


def test_folder_with_other_files_is_not_built_into(pipeline: FakePipeline, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not a build"):
        pipeline.build(tmp_path, recipe())
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_fresh_removes_nothing_where_there_is_no_build(
    pipeline: FakePipeline, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not a build"):
        pipeline.build(tmp_path, recipe(), fresh=True)
    assert (tmp_path / "data" / "thesis.txt").read_text() == "mine"


def test_two_builds_never_write_one_folder(pipeline: FakePipeline, tmp_path: Path) -> None:
    out = tmp_path / "b"

    def second(context: StageContext) -> StageResult:
        with pytest.raises(ConfigError, match="Another process is writing"):
            pipeline.build(out, recipe())
        return StageResult("")

    with pytest.raises(FormatError):  # the stage leaves no manifest
        build(recipe(), out, [Stage("data", 1, second, 0.1)], compute=CPU, progress=Silent())


@pytest.mark.parametrize(
    "entry",
    [
        [],
        {"key": 1},
        {"key": "k", "key_parts": {}, "sizes": [], "elapsed_s": 1.0, "status": "done"},
    ],
)
def test_damaged_record_is_refused_in_one_sentence(
    pipeline: FakePipeline, tmp_path: Path, entry: object
) -> None:
    pipeline.build(tmp_path / "b", recipe())
    write_json(tmp_path / "b" / "build.json", BUILD.stamp({"stages": {"data": entry}}))
    with pytest.raises(FormatError, match="not a record that a build writes"):
        pipeline.build(tmp_path / "b", recipe())


def test_what_quick_stages_leave_over_goes_to_later_ones_and_one_that_goes_on_keeps_its_time(
    pipeline: FakePipeline, tmp_path: Path
) -> None:
    out = tmp_path / "b"
    pipeline.fail_in = "tokenizer"
    with pytest.raises(DataError):
        pipeline.build(out, recipe("budget=100s"))
    planned = {
        name: entry["planned_s"] for name, entry in read_json(out / "build.json")["stages"].items()
    }
    assert planned["data"] == 10, "its share: a budget does not size it"
    assert planned["tokenizer"] == pytest.approx(100, abs=2), "data took no time"
    pipeline.fail_in = None
    pipeline.build(out, recipe("budget=100s"))
    assert read_json(out / "build.json")["stages"]["tokenizer"]["planned_s"] == planned["tokenizer"]


class Recorded:
    """A Progress that shows stages as lines, and keeps them."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    track = Silent().track

    @contextmanager
    def stage(self, title: str) -> Iterator[PlainStage]:
        said = self.said

        class Line(PlainStage):
            def end(self, result: str) -> None:
                said.append(f"{title}  {result}")

        yield Line(title)


def test_a_build_says_one_line_a_stage_and_its_log_has_the_rest(tmp_path: Path) -> None:
    def talkative(context: StageContext) -> StageResult:
        for step in range(84):
            context.progress.say(f"step {step} of 84")
        with atomic_folder(context.folder) as folder:
            (folder / "out.txt").write_text("x")
        return StageResult("all done")

    progress = Recorded()
    build(
        recipe(), tmp_path / "b", [Stage("data", 1, talkative, 0.1)], compute=CPU, progress=progress
    )
    assert len(progress.said) == 1 and progress.said[0].startswith("[1/1] data ")
    assert progress.said[0].endswith("all done")
    log = (tmp_path / "b" / LOG_FILE).read_text()
    assert "step 83 of 84" in log and "all done" in log and log.count("step ") == 84


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ("Stopped after step 3 of 50, saved: the same command resumes.", " after step 3 of 50: "),
        ("busy", ": "),
    ],
)
def test_a_stopped_build_says_where_and_that_the_same_command_goes_on(
    tmp_path: Path, said: str, where: str
) -> None:
    def stopped(context: StageContext) -> StageResult:
        context.progress.say(said)
        raise KeyboardInterrupt

    progress = Recorded()
    with pytest.raises(KeyboardInterrupt):
        build(
            recipe(),
            tmp_path / "b",
            [Stage("data", 1, stopped, 0.1)],
            compute=CPU,
            progress=progress,
        )
    goes_on = "what is done is kept, and the same command goes on from there."
    assert progress.said == [f"Stopped in data (stage 1 of 1){where}{goes_on}"]


@pytest.mark.skipif(not keep_freed_memory(), reason="malloc of glibc")
def test_the_memory_of_a_stage_is_returned_before_the_next(tmp_path: Path) -> None:
    """After a training run malloc keeps what is freed: 256 MB here."""
    seen: list[int] = []

    def filling(context: StageContext) -> StageResult:
        seen.append(memory_bytes() or 0)
        kept = [torch.ones(2**20) for _ in range(64)]
        with atomic_folder(context.folder):
            seen.append(memory_bytes() or 0)
        return StageResult(str(len(kept)))

    def looking(context: StageContext) -> StageResult:
        with atomic_folder(context.folder):
            seen.append(memory_bytes() or 0)
        return StageResult("done")

    stages = [Stage("data", 1, filling, 0.1), Stage("tokenizer", 1, looking, 0.1)]
    build(recipe(), tmp_path / "b", stages, compute=CPU, progress=Silent())
    before, full, after = seen
    assert full - before > 2**27 and after - before < 2**26


def test_a_build_that_is_stopped_as_a_stage_begins_says_so(tmp_path: Path) -> None:
    class StoppedAtOnce(Recorded):
        def stage(self, title: str) -> AbstractContextManager[StageProgress]:
            raise KeyboardInterrupt

    progress = StoppedAtOnce()
    stages = [Stage("data", 1, lambda context: StageResult("done"), 0.1)]
    with pytest.raises(KeyboardInterrupt):
        build(recipe(), tmp_path / "b", stages, compute=CPU, progress=progress)
    assert [line[:37] for line in progress.said] == ["Stopped in data (stage 1 of 1): what "]


def test_a_log_without_a_build_keeps_no_build_from_beginning(
    pipeline: FakePipeline, tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / LOG_FILE).write_text("stopped before its first stage")
    pipeline.build(tmp_path / "b", recipe())
    assert pipeline.ran == ["data", "tokenizer"]


def test_more_is_measured_while_any_of_the_builds_time_is_left(tmp_path: Path) -> None:
    reasons: list[str] = []

    def measuring(context: StageContext) -> StageResult:
        reasons.append(context.lack_of_time("worth", 60.0, time.monotonic()))
        reasons.append(context.lack_of_time("more", 90.0, time.monotonic()))
        with atomic_folder(context.folder) as folder:
            (folder / "out.txt").write_text("x")
        return StageResult("")

    later = Stage("tokenizer", 1, FakePipeline().writer("tokenizer", lambda c: "x"), 0.4)
    stages = [Stage("data", 1, measuring, 0.1), later]
    build(recipe("budget=100s"), tmp_path / "b", stages, compute=CPU, progress=Silent())
    assert reasons[0] == "", (
        "the stage's own share is 10 s, but the later one needs 20 s at least, so 80 s are left"
    )
    assert "about 90 s, and " in reasons[1]


def test_a_stage_that_was_killed_has_the_time_of_its_whole_run(tmp_path: Path) -> None:
    def resumed(context: StageContext) -> StageResult:
        with atomic_folder(context.folder) as folder:
            (folder / "out.txt").write_text("x")
        return StageResult("", {"elapsed_s": 2700.5})

    stages = [Stage("data", 1, resumed, 0.1)]
    found = build(recipe(), tmp_path / "b", stages, compute=CPU, progress=Silent())
    assert found.stages["data"].elapsed_s == 2700.5


@pytest.mark.parametrize(("elapsed_s", "given_s"), [(150.0, 225.0), (550.0, 150.0)])
def test_a_stage_after_slow_ones_has_half_its_share_at_least(
    tmp_path: Path, elapsed_s: float, given_s: float
) -> None:
    given: list[float] = []

    def timed(context: StageContext) -> StageResult:
        given.append(context.seconds)
        with atomic_folder(context.folder) as folder:
            (folder / "out.txt").write_text("x")
        return StageResult("", {"elapsed_s": elapsed_s})

    stages = [
        Stage(name, 1, timed, share, sized_by_budget=True)
        for name, share in (("data", 0.25), ("tokenizer", 0.5), ("export", 0.5))
    ]
    build(recipe("budget=600s"), tmp_path / "b", stages, compute=CPU, progress=Silent())
    assert given[1] == pytest.approx(given_s, abs=1)


def page_stage(context: StageContext) -> StageResult:
    (context.build / "report.html").write_text("<p>What was made.</p>")
    return StageResult("a page")


def fails(folder: Path) -> bool:
    try:
        verify_path(folder)
    except FormatError:
        return True
    return False


def silent(folder: Path, places: int) -> list[tuple[str, int]]:
    """Of each file below a folder, removed or with a wrong byte at some places: what `verify` does not notice."""
    missed = []
    for file in sorted(
        each for each in folder.rglob("*") if each.is_file() and each.stat().st_size
    ):
        whole = file.read_bytes()
        file.unlink()
        missed += [] if fails(folder) else [(file.name, -1)]
        for number in range(places):
            place = number * len(whole) // places
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            missed += [] if fails(folder) else [(file.name, place)]
        file.write_bytes(whole)
    return missed


def test_no_file_of_a_build_is_gone_or_damaged_in_silence(
    pipeline: FakePipeline, tmp_path: Path
) -> None:
    page = Stage("report", 1, page_stage, 0.1, outputs=("report.html",), has_folder=False)
    build(recipe(), tmp_path / "b", [*pipeline.stages(), page], compute=CPU, progress=Silent())
    (tmp_path / "b" / LOG_FILE).unlink()  # which nothing reads
    assert verify_path(tmp_path / "b").unlisted == 0
    assert silent(tmp_path / "b", 60) == []
    verify_path(tmp_path / "b")
    shutil.rmtree(tmp_path / "b" / "tokenizer")
    assert fails(tmp_path / "b")


@pytest.mark.parametrize(
    "changed", ['"status": "done"', '"sha256"', '"planned_s"', '"recipe_sha256"']
)
def test_a_changed_record_of_a_build_is_named(
    pipeline: FakePipeline, tmp_path: Path, changed: str
) -> None:
    """Each a record that can be read."""
    pipeline.build(tmp_path / "b", recipe())
    file = tmp_path / "b" / "build.json"
    content = file.read_text()
    at = content.rindex(changed) + len(changed) - 2
    file.write_text(f"{content[:at]}x{content[at + 1 :]}")
    with pytest.raises(FormatError, match=r"build\.json: sha256"):
        verify_path(tmp_path / "b")


def test_a_page_that_is_written_again_is_known_to_verify(
    pipeline: FakePipeline, tmp_path: Path
) -> None:
    page = Stage("report", 1, page_stage, 0.1, outputs=("report.html",), has_folder=False)
    build(recipe(), tmp_path / "b", [*pipeline.stages(), page], compute=CPU, progress=Silent())
    assert run(["report", str(tmp_path / "b")]) == 0
    assert "What was made." not in (tmp_path / "b" / "report.html").read_text()
    verify_path(tmp_path / "b")


def test_a_recipe_alone_is_no_build(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("")
    (tmp_path / "model.gguf").touch()
    with pytest.raises(FormatError, match="gguf"):
        verify_path(tmp_path)
