"""A loss that rises and stays takes the run back, past the text that led there; counted, shown, bounded; stops change none of it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from stopping import facts, said
from tiny_run import Said, TinyBatch, TinyBatches, TinyBlocks, tiny_loss

from groundup.device import Compute
from groundup.errors import ConfigError, GroundupError
from groundup.runs import RunFolder, read_lines
from groundup.train.checkpoint.identity import identify
from groundup.train.checkpoint.state import MODEL_FILE, TrainState
from groundup.train.checkpoint.tensors import weight_tensors
from groundup.train.loop import FitResult, fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.monitor.loss_spikes import (
    RISEN_STEPS,
    find_loss_rise,
    needed_steps,
    target_step,
)
from groundup.train.optimizers.adamw import AdamW
from groundup.train.steps.config import Checkpoints, FitConfig, Schedule, Stability
from groundup.weights.hf import save_tensors

CPU = Compute(torch.device("cpu"))
POISONED = range(40, 48)  # positions of the data
CONFIG = FitConfig(
    steps=70,
    batch_size=4,
    evaluate_every=35,
    precision="float32",
    seed=7,
    schedule=Schedule(warmup_steps=0),
    checkpoints=Checkpoints(every=5, snapshots=2),
    stability=Stability(rollback_nats=1.0),
    optimizer=AdamW(learning_rate=0.08),
)


@dataclass(frozen=True)
class PoisonedBatches:
    """Texts of which a stretch teaches nonsense; Ctrl-C when the batch at `stop_at` is asked for."""

    poisoned: range = POISONED
    stop_at: int | None = None
    fingerprint: str = "poisoned"

    def batch(self, position: int) -> TinyBatch:
        if position == self.stop_at:
            raise KeyboardInterrupt
        batch = TinyBatches().batch(position)
        if position not in self.poisoned:
            return batch
        return TinyBatch(
            batch.ids,
            torch.randint(
                0, 256, batch.ids.shape, generator=torch.Generator().manual_seed(position)
            ),
        )


def trained(
    folder: Path, batches: PoisonedBatches = PoisonedBatches(), config: FitConfig = CONFIG
) -> FitResult:
    model = TinyBlocks()
    return fit(
        model,
        batches,
        tiny_loss,
        config,
        RunFolder(folder),
        compute=CPU,
        hooks=Hooks(
            evaluate=lambda: {"validation_loss": 1.0},
            sample=lambda step: [],
            snapshot=lambda to: save_tensors(weight_tensors(model), to / MODEL_FILE),
            progress=Said(folder.with_suffix(".said")),
        ),
    )


def losses(folder: Path) -> dict[int, float]:
    return {
        line["step"]: line["loss"]
        for line in read_lines(RunFolder(folder).metrics_file)
        if "event" not in line
    }


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    trained(folder)
    return folder


def test_the_run_goes_back_to_the_weights_of_before_and_past_the_poisoned_text(
    never_stopped: Path, tmp_path: Path
) -> None:
    run = RunFolder(never_stopped)
    (line,) = [line for line in read_lines(run.metrics_file) if line.get("event") == "rolled back"]
    assert line["step"] == POISONED.start + RISEN_STEPS and line["to_step"] == POISONED.start
    assert line["rolled_back"] == 1 and "for 8 steps, the median before is" in line["reason"]
    assert "step 48 of 70: the loss was" in said(never_stopped) and "1 of at most 3 times" in said(
        never_stopped
    )
    found = losses(never_stopped)
    assert sorted(found) == list(range(1, 71)), "no step is done twice"
    trained(tmp_path / "off", config=CONFIG.with_fields({"stability.rollback_nats": None}))
    without = losses(tmp_path / "off")
    assert all(found[step] == without[step] for step in range(1, 49)), (
        "until then nothing is otherwise"
    )
    gained = [without[step] - found[step] for step in range(49, 61)]
    assert min(gained) > 0 and sum(gained) / 12 > 0.5, "the poison is forgotten at once"


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "stop_at", [pytest.param(36, marks=SLOW), 42, 47, 48, pytest.param(52, marks=SLOW)]
)
def test_a_run_that_was_stopped_around_it_is_the_same_bit_for_bit(
    never_stopped: Path, tmp_path: Path, stop_at: int
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        trained(folder, PoisonedBatches(stop_at=stop_at))
    assert trained(folder).state.rolled_back == 1
    assert facts(folder) == facts(never_stopped)


def test_a_run_that_was_killed_before_its_next_save_is_the_same_bit_for_bit(
    never_stopped: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        trained(folder, PoisonedBatches(stop_at=49))
    shutil.rmtree(
        folder / "checkpoints" / "step-49"
    )  # kill -9 would not have saved it: it is done again from step 45
    trained(folder)
    assert facts(folder) == facts(never_stopped)


def test_after_too_many_the_run_ends_with_one_sentence_and_again_when_resumed(
    tmp_path: Path,
) -> None:
    folder, forever = tmp_path / "run", PoisonedBatches(range(40, 1000))
    for _ in range(2):
        with pytest.raises(GroundupError, match="the run was rolled back 1 times already") as ended:
            trained(folder, forever, CONFIG.with_fields({"stability.max_rollbacks": 1}))
        assert "`fresh`" in ended.value.fix
    events = [
        line
        for line in read_lines(RunFolder(folder).metrics_file)
        if line.get("event") == "rolled back"
    ]
    assert [line["to_step"] for line in events] == [40]


def test_what_lies_between_a_checkpoint_and_the_way_back_to_it_is_never_gone_to_again() -> None:
    config = CONFIG.with_fields({"checkpoints.every": 4})
    state = TrainState("", step=34)
    assert target_step(state, config) == 24 and needed_steps(state, config) == {24, 28, 32}
    state.rolled_back_at, state.rolled_back_to = 34, 24
    for step in range(35, 44):
        state.step = step
        assert target_step(state, config) == 24, "28 and 32 are spoiled"
        assert needed_steps(state, config) == {24, *(s for s in (36, 40) if s <= step)}
    state.step = 44
    assert target_step(state, config) == 36
    assert target_step(TrainState("", step=11), config) is None, "there is no checkpoint of step 0"
    assert needed_steps(state, config.with_fields({"stability.rollback_nats": None})) == set()


def test_only_a_rise_that_stays_is_one() -> None:
    calm = [2.0] * 30
    assert find_loss_rise([*calm, *[3.5] * 8], 1.0) is not None
    assert find_loss_rise([*calm, *[3.5] * 7], 1.0) is None
    assert find_loss_rise([*calm, *[9.0] * 7, 2.9], 1.0) is None, "it came back"
    assert find_loss_rise([*calm, *[3.5] * 8], None) is None
    assert find_loss_rise([2.0] * 15 + [9.0] * 8, 1.0) is None, "too few to know a median"


def test_the_rule_is_part_of_what_makes_a_run_and_where_it_is_on_checkpoints_are() -> None:
    off = CONFIG.with_fields({"stability.rollback_nats": None})
    model = TinyBlocks()
    assert "checkpoints" not in identify(model, "", off)["config"]
    on = identify(model, "", CONFIG)["config"]
    assert on["stability"]["rollback_nats"] == 1.0 and on["checkpoints"] == {"every": 5}
    for wrong in ({"rollback_nats": 0.0}, {"rollback_nats": float("inf")}, {"max_rollbacks": 0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            CONFIG.with_fields({"stability": wrong})
