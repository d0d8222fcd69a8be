"""A run on a mixture of three sources: stopped, repeated, on several processes, limited; what it read of each source is in its folder."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from groundup.cli.main import run
from groundup.data.batches.loader import Batch
from groundup.data.batches.mixture import Mixture
from groundup.data.batches.mixture_config import MixtureConfig
from groundup.data.batches.shards import open_shards
from groundup.errors import ConfigError
from groundup.files import read_json
from groundup.model.config import ModelConfig
from groundup.train.monitor.time_budget import StepControl, TimeBudget, TimeReading
from groundup.train.pretrain import most_steps, require_steps, train_windows, within_mixture
from groundup.train.steps.config import FitConfig, Rows
from groundup.train.steps.process_group import ProcessGroup
from groundup.train.steps.step import rank_slices
from groundup.train.steps.step_schedule import StepSchedule

WORDS = {
    "letters": "dear friend the harbour writes",
    "books": "the war of two houses",
    "songs": "o silver moon sing",
}
SIZES = {"letters": 9, "books": 40, "songs": 6}
SMALL = [
    *("--set", "model.width=32", "--set", "model.num_layers=1", "--set", "model.context_tokens=16"),
    *(
        "--set",
        "model.vocab_size=290",
        "--set",
        "fit.precision=float32",
        "--set",
        "fit.batch_size=6",
    ),
]
STEPS = ["--steps", "12", "--set", "fit.checkpoints.every=4"]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of three sources of very different sizes; letters count three times as much as each of the others."""
    root = tmp_path_factory.mktemp("texts")
    for source, count in SIZES.items():
        (root / source).mkdir()
        for number in range(count):
            (root / source / f"{number}.txt").write_text(
                f"{source} {number}. " + f"{WORDS[source]} {number}, " * 40
            )
    weights = {"letters": 3, "books": 1, "songs": 1}
    tables = (
        f"[[data.sources]]\nspec = '{root / each}'\nweight = {weight}\n"
        for each, weight in weights.items()
    )
    (root / "three.toml").write_text("\n".join(tables))
    return root


@pytest.fixture(scope="module")
def straight(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing stopped."""
    out = tmp_path_factory.mktemp("runs") / "straight"
    assert run(["pretrain", str(texts / "three.toml"), "--out", str(out), *STEPS, *SMALL]) == 0
    return out


def test_results_say_what_was_read_of_each_source(straight: Path) -> None:
    sources = {each["name"]: each for each in read_json(straight / "results.json")["sources"]}
    assert {name: each["read_tokens"] for name, each in sources.items()} == pytest.approx(
        {"letters": 691, "books": 230, "songs": 230}, abs=2 * 16
    )  # of 12 steps of 6 rows of 16 tokens
    assert {name: each["wanted"] for name, each in sources.items()} == pytest.approx(
        {"letters": 0.6, "books": 0.2, "songs": 0.2}
    )
    assert sum(each["share"] for each in sources.values()) == pytest.approx(1)
    assert sources["letters"]["epochs"] == pytest.approx(
        sources["letters"]["read_tokens"] / sources["letters"]["tokens"], rel=0.05
    )
    mixture = read_json(straight / "run.json")["config"]["fit"]["rows"]["mixture"]["weights"]
    assert sorted(mixture.values()) == [1, 1, 3]


@pytest.mark.parametrize(
    "stop_at", [6, *(pytest.param(step, marks=pytest.mark.slow) for step in (1, 10))]
)
def test_a_run_that_is_stopped_goes_on_as_if_it_were_not(
    texts: Path, straight: Path, tmp_path: Path, stop_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Mixture.batch
    stopped: list[int] = []

    def batch(mixture: Mixture, position: int) -> Batch:
        if (
            position == stop_at
            and not stopped
            and mixture.batch_size == 6
            and (tmp_path / "run" / "fit.json").exists()
        ):
            stopped.append(position)
            raise KeyboardInterrupt
        return made(mixture, position)

    monkeypatch.setattr(Mixture, "batch", batch)
    command = [
        "pretrain",
        str(texts / "three.toml"),
        "--out",
        str(tmp_path / "run"),
        *STEPS,
        *SMALL,
    ]
    assert run(command) == 130 and stopped == [stop_at]
    assert run(command) == 0
    for name in ("model.safetensors", "samples.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (straight / name).read_bytes()
    assert (
        read_json(tmp_path / "run" / "results.json")["sources"]
        == read_json(straight / "results.json")["sources"]
    )


def test_a_run_is_done_again_from_its_folder(
    straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(["pretrain", "--again", str(straight), "--out", str(tmp_path / "again"), "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["same_weights"] is True


def test_another_mixture_is_another_run(
    texts: Path, straight: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["pretrain", str(texts / "three.toml"), "--out", str(straight), *STEPS, *SMALL]
    assert run([*command, "--mixture", "temperature=2"]) == 2
    said = capsys.readouterr().err
    assert (
        "rows.mixture.temperature was 1.0 and is 2.0" in said
        and "the data are not the same" in said
    )


def mixture_in(folder: Path, **fields: object) -> tuple[Mixture, FitConfig]:
    config = FitConfig(
        12, batch_size=6, rows=Rows(mixture=MixtureConfig(**{"temperature": 2.0, **fields}))
    )  # type: ignore[arg-type]
    shape = ModelConfig(
        vocab_size=290,
        context_tokens=16,
        width=32,
        num_layers=1,
        num_heads=2,
        num_kv_heads=1,
        feedforward_width=24,
    )
    windows = train_windows(open_shards(folder / "shards"), shape, config)
    assert isinstance(windows, Mixture)
    return windows, config


@pytest.mark.parametrize("world", [1, 2, 3])
def test_any_number_of_processes_reads_the_same_rows_from_any_step_on(
    straight: Path, world: int
) -> None:
    whole, _ = mixture_in(straight)
    for begun in (0, 7):
        ranks = [
            rank_slices(mixture_in(straight)[0].batch, ProcessGroup(rank, world))
            for rank in range(world)
        ]
        for position in range(begun, begun + 5):
            parts = [rank(position) for rank in ranks]
            assert torch.equal(torch.cat([part.ids for part in parts]), whole.batch(position).ids)
            assert torch.equal(
                torch.cat([part.labels for part in parts]), whole.batch(position).labels
            )


def test_a_run_is_not_longer_than_its_sources_may_be_read(straight: Path) -> None:
    mixture, config = mixture_in(straight, max_epochs=0.5)
    most = most_steps(mixture, config)
    assert most == (mixture.length or 0) // 6 and 0 < most < 10**4
    require_steps(mixture, FitConfig(most, batch_size=6, rows=Rows(mixture=config.rows.mixture)))
    with pytest.raises(
        ConfigError, match=f"at most 0.5 epochs of each source there is text for {most:,} steps"
    ):
        require_steps(
            mixture, FitConfig(most + 1, batch_size=6, rows=Rows(mixture=config.rows.mixture))
        )


def test_a_time_budget_does_not_lengthen_a_run_beyond_its_text() -> None:
    schedule, fast = StepSchedule(64, []), TimeReading(16, 1.0, 0.001, 0.0, 4)
    free, bounded = (
        StepControl(TimeBudget(100.0)),
        within_mixture(StepControl(TimeBudget(100.0)), 80),
    )
    assert free.time_budget and bounded.time_budget
    assert (free.time_budget.steps(schedule, fast) or 0) > 80
    assert bounded.time_budget.steps(schedule, fast) == 80
    assert within_mixture(StepControl(), 80) == StepControl()


@pytest.fixture
def planned(
    texts: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """planned("--mixture", ...) -> what `groundup plan` prints for the three sources."""
    for name in ("measure.MEASURED_S", "measure.TRIAL_S"):
        monkeypatch.setattr(f"groundup.planning.{name}", 0.02)

    def plan(*words: str, status: int = 0, data: str = "three.toml") -> str:
        assert (
            run(
                ["plan", str(texts / data), "--depth", "1", "--set", "model.vocab_size=290", *words]
            )
            == status
        )
        said = capsys.readouterr()
        return said.out or said.err

    return plan


def test_the_plan_shows_wanted_and_there_and_who_is_memorised(planned: Callable[..., str]) -> None:
    lines = planned("--steps", "200").splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("sources "))
    assert lines[begin].split() == ["sources", "by", "weights"]
    assert lines[begin + 1].split() == ["tokens", "there", "wanted", "read", "epochs"]
    name, _, there, wanted, read, epochs = lines[begin + 2].replace(" %", "").split()
    assert (
        (name, wanted, read) == ("letters", "60.0", "60.0")
        and float(there) < 35
        and float(epochs) > 4
    )
    note = next(line for line in lines if "will be memorised" in line)
    assert "letters (" in note and "books" not in note and "max_epochs_per_source" in note


def test_the_plan_in_json_has_the_sources(planned: Callable[..., str]) -> None:
    plan = json.loads(planned("--steps", "20", "--mixture", "temperature=2", "--json"))
    assert plan["mixture"] == "by temperature 2" and [
        each["name"] for each in plan["sources"]
    ] == list(SIZES)
    wanted = {each["name"]: each["wanted"] for each in plan["sources"]}
    there = {each["name"]: each["share"] for each in plan["sources"]}
    assert wanted["books"] / wanted["songs"] == pytest.approx(
        (there["books"] / there["songs"]) ** 0.5, rel=1e-6
    )


def test_folders_of_one_source_are_mixed_by_name(planned: Callable[..., str]) -> None:
    assert "by weights" in planned(
        "--steps", "5", "--mixture", "letters=1,books=1,songs=0", data=""
    )


def test_a_limit_that_the_run_would_exceed_is_refused_and_a_time_is_cut_to_it(
    planned: Callable[..., str],
) -> None:
    refused = planned("--epochs", "9", "--max-epochs-per-source", "2", status=2)
    assert (
        "With at most 2 epochs of each source there is text for" in refused
        and "raise --max-epochs-per-source" in refused
    )
    plan = json.loads(planned("--budget", "10m", "--max-epochs-per-source", "2", "--json"))
    assert all(1.5 < each["epochs"] <= 2 for each in plan["sources"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--mixture", "leters=1,books=1,songs=1"], "no source 'leters' to be mixed"),
        (["--mixture", "letters=-1,books=1,songs=1"], "the weight of letters must be 0 or more"),
        (["--mixture", "letters=0,books=0,songs=0"], "All weights of the mixture are 0"),
        (["--mixture", "tempersture"], "no mixture 'tempersture'"),
        (["--max-epochs-per-source", "0"], "must be above 0"),
    ],
)
def test_a_mixture_that_can_not_be_is_one_sentence(
    planned: Callable[..., str], words: list[str], said: str
) -> None:
    found = planned("--steps", "5", *words, status=2)
    assert said in found and "Traceback" not in found
