"""Is this run finished, another one, or still to do? Asked before the first step, so that a repeated command costs nothing.

A finished run has a manifest. What it was made from stands in run.json: config and inputs (hashes of base model and data).
"""

from typing import Any

from groundup.errors import ConfigError
from groundup.files import MANIFEST, verify_folder
from groundup.runs import RunFolder
from groundup.train.identity import FRESH

# Parts of a run folder with manifests of their own.
APART = ("checkpoints",)


def begin_or_finished(
    run: RunFolder, kind: str, config: dict[str, Any], inputs: dict[str, Any]
) -> dict[str, Any] | None:
    """results.json of this very run if it is finished (all hashes hold), else None; run.json is then written.

    Raises ConfigError when the folder holds another run, FormatError when a finished one was altered.
    """
    if run.run_file.exists():
        before = run.read_run()
        asked = {"kind": kind, "config": config, "inputs": inputs}
        differ = [name for name, value in asked.items() if before.get(name) != value]
        if differ:
            raise ConfigError(
                f"{run.path} holds another run: its {' and '.join(differ)} differ from what is asked for.", fix=FRESH
            )
        if (run.path / MANIFEST).exists():
            verify_folder(run.path)
            return run.read_results()
    else:
        run.create(kind, config, inputs)
    return None
