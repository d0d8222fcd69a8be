"""Where a run resumes: at its newest intact checkpoint, computing as its record (fit.json) says; or
at the beginning, where the record is made.

A new run measures what its config leaves open (number of threads, float32 or bf16, torch.compile).
A resumed run takes those from the record.
"""

from collections.abc import Callable
from typing import Any

from groundup.device import Compute, choose_threads
from groundup.files import remove_temporaries
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.train.checkpoint.identity import (
    identity_hash,
    machine,
    read_record,
    require_same,
    write_record,
)
from groundup.train.checkpoint.state import load_latest
from groundup.train.monitor.time_budget import TimeBudget
from groundup.train.steps.compiled import compile_obstacle, decide_compile
from groundup.train.steps.precision import StepClock, decide_precision
from groundup.train.steps.process_group import ProcessGroup


def find_resume_point(
    run: RunFolder,
    identity: dict[str, Any],
    begin: Callable[[dict[str, Any]], dict[str, Any]],
    say: Callable[[str], None],
) -> tuple[dict[str, Any], int | None]:
    """Return the run's record, which `begin` makes where there is none, and the step to resume
    after. Raises ConfigError, FormatError.
    """
    remove_temporaries(run.path)
    record = read_record(run)
    if record is None:
        return begin(identity), None
    require_same(run, record, identity)
    checkpoint = load_latest(run.checkpoints, identity_hash(identity), say)
    return record, checkpoint.state.step if checkpoint else None


def begin_run(
    run: RunFolder,
    identity: dict[str, Any],
    clock: StepClock,
    group: ProcessGroup,
    *,
    budget: TimeBudget | None,
    progress: Progress,
) -> dict[str, Any]:
    """Measure what the config of a new run leaves open, write its record and return it."""
    config, compute, muon = clock.config, clock.compute, clock.muon
    if muon.precision == "float32" and muon.times is not None:
        progress.say(f"Muon orthogonalises in float32: {muon.times}.")
    if (
        len(compute.thread_counts) > 1 and config.compile != "off" and group.world == 1
    ):  # compiled for one number
        choose_threads(compute, lambda: clock.step_s(bf16=False))
    decision = decide_precision(clock, progress=progress, run_s=budget.seconds if budget else None)
    decision = decide_compile(decision, clock, progress=progress, shared=group.patient is not None)
    return write_record(run, identity, decision, muon, machine(compute, config, group))


def resumes_compiled(
    record: dict[str, Any], compute: Compute, group: ProcessGroup, say: Callable[[str], None]
) -> bool:
    """Whether the steps are compiled as when the run began; a machine that can't compile them any
    more is reported.
    """
    if not record.get("compiled"):
        return False
    obstacle = compile_obstacle(compute.device, shared=group.patient is not None)
    if obstacle:
        say(
            f"Resuming without torch.compile, so not bitwise equal to an uninterrupted run: {obstacle}."
        )
    return not obstacle
