"""Is this run finished, another one, or still to do? Asked before the first step, so that a repeated command costs nothing.

A finished run has a manifest. What it was made from stands in run.json: config and inputs (hashes of base model and data).
"""

from typing import Any

from groundup.errors import ConfigError
from groundup.files import MANIFEST
from groundup.finetune.features import FEATURES_FILE
from groundup.runs import RunFolder
from groundup.train.checkpoint.identity import FRESH

# Parts of a run folder with manifests of their own.
APART = ("checkpoints",)


def make_way(run: RunFolder, *, fresh: bool) -> None:
    """Refuse to write among files that no run made; where `fresh`, remove what an earlier run left. Raises ConfigError."""
    if run.path.exists() and not run.run_file.exists() and any(run.path.iterdir()):
        raise ConfigError(f"{run.path} has files in it but is no run.", fix="Choose another folder with --out.")
    if fresh:
        run.clear()
        (run.path / FEATURES_FILE).unlink(missing_ok=True)


def begin_or_finished(
    run: RunFolder, kind: str, config: dict[str, Any], inputs: dict[str, Any]
) -> dict[str, Any] | None:
    """results.json of this very run if it is finished (all hashes hold), else None; run.json is then written.

    Raises ConfigError when the folder holds another run, FormatError when a finished one was altered.
    """
    if run.run_file.exists():
        before = run.read_run()
        asked = {"kind": kind, "config": config, "inputs": inputs}
        differ = [
            difference(name, before.get(name), value) for name, value in asked.items() if before.get(name) != value
        ]
        if differ:
            raise ConfigError(f"{run.path} holds another run; what differs: {'; '.join(differ)}.", fix=FRESH)
        if (run.path / MANIFEST).exists():
            run.require_whole()
            return run.read_results()
    else:
        run.create(kind, config, inputs)
    return None


def difference(name: str, before: Any, now: Any) -> str:
    """What differs in one part of run.json: the fields by name, with their values where these are short."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return f"{name} was {before} and is {now}"
    fields = [field for field in {**before, **now} if before.get(field) != now.get(field)]
    if name != "config":  # hashes say nothing to people
        return f"{name} ({', '.join(fields)})"
    return ", ".join(f"{field} was {before.get(field, 'unset')} and is {now.get(field, 'unset')}" for field in fields)
