"""Which folders pretraining may write into, and what it leaves there beside a run's own files."""

import shutil

from groundup.errors import ConfigError
from groundup.files import TMP_PREFIX
from groundup.planning.corpus import DATA, SHARDS
from groundup.runs import PLAN_FILE, RunFolder


def require_ours(run: RunFolder, also: tuple[str, ...] = ()) -> None:
    """Refuse to write among files that no run of this kind, nor what makes those in `also`, has made. Raises ConfigError."""
    if run.run_file.exists() or not run.path.exists():
        return
    own = {DATA, SHARDS, PLAN_FILE, *also}
    others = [p.name for p in run.path.iterdir() if p.name not in own and not p.name.startswith(TMP_PREFIX)]
    if others:
        raise ConfigError(
            f"{run.path} has files in it ('{others[0]}') but is no run.", fix="Choose another folder with --out."
        )


def make_way(run: RunFolder, *, fresh: bool) -> None:
    """See that the folder may be written to, and empty it where that is asked for (--fresh). Raises ConfigError."""
    require_ours(run)
    if fresh:
        clear(run)


def clear(run: RunFolder) -> None:
    """Remove what an earlier run left (--fresh)."""
    run.clear()
    for name in (DATA, SHARDS):
        shutil.rmtree(run.path / name, ignore_errors=True)
    run.plan_file.unlink(missing_ok=True)
