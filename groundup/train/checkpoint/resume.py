"""Where a run stands before the first step: a new one, or one to go on with from its newest checkpoint that holds."""

from collections.abc import Callable
from typing import Any

from groundup.files import remove_temporaries
from groundup.runs import RunFolder
from groundup.train.checkpoint.identity import identity_hash, read_record, require_same
from groundup.train.checkpoint.state import load_latest


def find_resume_point(
    run: RunFolder,
    identity: dict[str, Any],
    begin: Callable[[dict[str, Any]], dict[str, Any]],
    say: Callable[[str], None],
) -> tuple[dict[str, Any], int | None]:
    """The run's record, which `begin` makes where there is none, and the step to go on from. Raises ConfigError, FormatError."""
    remove_temporaries(run.path)
    record = read_record(run)
    if record is None:
        return begin(identity), None
    require_same(run, record, identity)
    checkpoint = load_latest(run.checkpoints, identity_hash(identity), say)
    return record, checkpoint.state.step if checkpoint else None
